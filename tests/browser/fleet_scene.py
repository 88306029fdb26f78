"""A day in an invented city, for pictures and for looking around: alarms of every kind, silence, cases at every step, a rollout."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import msgspec
import yaml

from gatehouse_events.alarm import Alarm
from gatehouse_events.chain import moment
from gatehouse_events.codes import CODES
from gatehouse_events.states import ACK_LIMIT_S, AlarmState, Disposition
from gatehouse_fleet.clock import SystemClock
from gatehouse_hil.light.story import KINDS

HISTORY = 420
BURST = 14
SILENT = (10, 18, 19)

CONFIG = {
    "site": {
        "division_code": "371002002",
        "division_standard": "stats_gov",
        "estate": "示例小区",
        "position": {"lon": 122.1, "lat": 37.4, "crs": "CGCS2000"},
    },
    "fleet": {"url": "https://fleet.example:8460"},
}


def config_of(gateway_id, community, **more):
    """Return a gateway.yaml that the fleet takes."""
    told = CONFIG | {"gateway": {"id": gateway_id}} | more
    told["site"] = CONFIG["site"] | {"community_id": community} | more.pop("site", {})
    return yaml.safe_dump(told, allow_unicode=True)


def act(city, case_id, action, **body):
    """Take a case one step on as the first user."""
    revision = city.call("GET", f"/cases/{case_id}")["case"]["revision"]
    return city.call("POST", f"/cases/{case_id}/{action}", {"revision": revision} | body)


def people(city):
    whole = city.call("GET", "/me")["scope_id"]
    east = city.every("/nodes?kind=district")[0]["id"]
    city.add_person("lin", "district_operator", east, full_name="林示例")
    city.add_person("he", "auditor", whole, full_name="何示例")
    city.add_person("wu", "technician", whole, full_name="吴示例", is_contractor=True)
    city.add_person("qian", "property_manager", east, full_name="钱示例", is_contractor=True)


def alarms(city):
    """What stands open: some taken, some not, some at gateways that then fall silent."""
    for number, code, ago_s in (
        (3, "lift.trapped_off_level", 44),
        (8, "gas.high_alarm", 21),
        (5, "throw.object_falling", 130),
        (14, "sos.pressed", 300),
        (2, "gas.low_alarm", 900),
        (11, "lift.repeated_door_cycle", 420),
        (17, "gas.sensor_fault", 5200),
        (20, "sos.low_battery", 8000),
        (13, "lift.repeated_door_cycle", 2000),
        (9, "gas.low_alarm", 4000),
        (19, "sos.pressed", 7000),
        (10, "throw.object_falling", 9000),
    ):
        alarm = city.raise_alarm(number, code, ago_s=ago_s)
        if number in {14, 11, 2, 19, 9}:
            city.move(number, "acknowledge", alarm.alarm_id)
    for _ in range(13):
        alarm = city.raise_alarm(11, "lift.repeated_door_cycle", ago_s=3000)
        city.move(11, "acknowledge", alarm.alarm_id)
        city.move(11, "close", alarm.alarm_id)
    city.drill(16)


def cases(city):
    """Move some cases on, so that every column holds one."""
    rows = {row["code"] + row["community"]: row for row in city.every("/cases")}
    opened = sorted(rows.values(), key=lambda row: row["id"])
    for row in opened:
        one = city.call("GET", f"/cases/{row['id']}")["case"]
        if one["code"] == "throw.object_falling" and one["step"] == "dispatched":
            act(city, one["id"], "take")
            act(city, one["id"], "notes", text="已电话联系物业，正在查看监控（示例）")
    taken = city.every("/cases?step=handling")
    if taken:
        act(city, taken[0]["id"], "feedback", text="已到场：花盆已清理，住户已告知（示例）")


def rollout(city):
    ids = []
    for number in (1, 4, 6, 7, 12, 15):
        one = city.gateway(number)
        for at, language in enumerate(("zh", "en"), 1):
            text = config_of(
                one.gateway_id,
                one.community.community_id,
                gateway={"id": one.gateway_id, "language": language},
            )
            city.call(
                "POST",
                f"/gateways/{one.gateway_id}/config-versions",
                {"text": text, "reason": f"新探测器接入 第{at}版（示例）"},
            )
        ids.append(one.gateway_id)
    stages = [{"gateways": 1}, {"gateways": 2}]
    chosen = [{"gateway_id": name} for name in ids]
    body = {"reason": "新探测器接入（示例）", "gateways": chosen, "stages": stages, "max_failures": 1}
    return city.call("POST", "/config-rollouts", body)["id"]


def silence(city):
    city.heard(10, 340)
    city.heard(18, 5400)
    city.heard(19, 128)


def history(city, days=7):
    """Enter a week of alarms that are over, as the projection would have kept them: few at night, one bad afternoon."""
    random = Random("week")
    rows = []
    now_us = int(SystemClock().now().timestamp() * 1_000_000)
    for n in range(HISTORY):
        hour = random.choices(
            range(24), weights=[1, 1, 1, 1, 1, 2, 5, 9, 8, 6, 6, 8, 9, 6, 5, 6, 8, 10, 12, 10, 7, 5, 3, 2]
        )[0]
        ago_s = (random.randrange(days) + 0.25) * 86_400 + hour * 3600 + random.random() * 3600
        if n < BURST:
            ago_s = 2.6 * 86_400 + random.random() * 540
        code, device, value, unit = random.choices(KINDS, weights=[10, 2, 1, 40, 3, 3, 14, 16])[0]
        number = random.choices(
            range(1, len(city.gateways) + 1), weights=[1 + 30 // n for n in range(1, len(city.gateways) + 1)]
        )[0]
        rows.append(
            _row(city, random, (number, code, device, value, unit), now_us - int(ago_s * 1_000_000), n)
        )
    columns = "alarm_id, gateway_no, node_id, device_id, seq, entry_epoch, entry_seq, code, category, kind, priority, state, is_open, raised_at, changed_at, committed_at, is_verified, body"
    gateways = "(SELECT no FROM gateway WHERE id = ?), (SELECT node_id FROM gateway WHERE id = ?)"
    marks = ", ".join("?" * 15)
    city.write_database(f"INSERT INTO alarm ({columns}) VALUES (?, {gateways}, {marks})", rows)  # noqa: S608  # our own words


def _row(city, random, what, raised_us, n):
    number, code, device, value, unit = what
    row = CODES[code]
    raised = moment(raised_us)
    limit = ACK_LIMIT_S[row.priority] or 3600
    acked = raised + timedelta(seconds=min(random.expovariate(2.2 / limit) + 4, 5 * limit))
    closed = acked + timedelta(minutes=4 + random.expovariate(1 / 40))
    is_false = random.random() < 0.08
    alarm = Alarm(
        alarm_id=f"{n:026d}", seq=3, device_id=device, code=code, kind=row.kind, priority=row.priority, state=AlarmState.CLOSED,
        is_active=False, raised_at=raised, raised_s=0.0, changed_at=closed, changed_s=0.0, unack_since_s=0.0, closed_at=closed,
        acked_by=random.choice(("王示例", "赵示例", "孙示例")), acked_at=acked, value=value, unit=unit, repeats=int(random.expovariate(1.2)),
        disposition=Disposition.FALSE_ALARM if is_false else Disposition.HANDLED, close_reason="示例：现场处理完毕",
    )  # fmt: skip
    name = city.gateway(number).gateway_id
    times = (raised_us, int(closed.timestamp() * 1_000_000), raised_us)
    said = (
        device,
        3,
        "0" * 32,
        n + 1,
        code,
        code.partition(".")[0],
        row.kind.value,
        row.priority.value,
        "closed",
        0,
    )
    return (alarm.alarm_id, name, name, *said, *times, 1, msgspec.json.encode(alarm).decode())


def lateness(city):
    """Let two cases be late and two nearly so: nobody waits an hour for a picture."""
    now_us = int(SystemClock().now().timestamp() * 1_000_000)
    rows = sorted(city.every("/cases"), key=lambda one: one["due_at"] or "z")
    for one, due_s, yellow_s in zip(rows, (-260, -90, 240, 500), (-600, -400, -30, -60), strict=False):
        city.write_database(
            "UPDATE case_deadline SET due_at = ?, yellow_at = ? WHERE case_id = ? AND met_at IS NULL",
            [(now_us + due_s * 1_000_000, now_us + yellow_s * 1_000_000, one["id"])],
        )


def whole(city):
    city.report()
    people(city)
    history(city)
    alarms(city)
    cases(city)
    made = rollout(city)
    lateness(city)
    silence(city)
    return made
