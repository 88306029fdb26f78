"""A day in an invented city, for pictures and for looking around: alarms of every kind, silence, cases at every step, a rollout."""

from __future__ import annotations

import asyncio

import yaml

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


async def keep_reporting(city, but):
    """Let every gateway that is not silent be heard, for as long as somebody looks."""
    while True:
        for number, one in enumerate(city.gateways, 1):
            if number not in but:
                await one.report()
        await asyncio.sleep(20)


def whole(city):
    people(city)
    alarms(city)
    cases(city)
    made = rollout(city)
    city.report()
    silence(city)
    return made
