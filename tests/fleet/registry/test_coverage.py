"""Coverage figures on a known set, reckoned by hand; and what must hold of any set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from gatehouse_fleet.registry import devices, gateways, org
from gatehouse_fleet.registry.coverage import (
    CommunityFacts,
    DeviceFact,
    Figures,
    figures_of,
    indicators,
    total,
    works,
)
from gatehouse_fleet.registry.devices import NewDevice
from gatehouse_fleet.registry.life import LifeState
from gatehouse_fleet.registry.measuring import Month, measure, month_of, sample
from gatehouse_fleet.registry.org import NewNode, NodeFacts, NodeKind
from gatehouse_fleet.registry.report import ReportRow, monthly_csv
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.gateways import device, gateway

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
NOVEMBER = Month(year=2026, month=11, zone="Asia/Shanghai")
GOLDEN = Path(__file__).parents[2] / "vectors" / "fleet" / "coverage-2026-11.csv"


def fact(kind: str, *, online: bool = True, fault: bool = False) -> DeviceFact:
    return DeviceFact(kind=kind, is_online=online, has_fault=fault)


def whole() -> tuple[DeviceFact, ...]:
    kinds = ("household_gas_detector", "lift", "ble_button", "camera")
    return tuple(fact(kind) for kind in kinds)


KNOWN = {
    # all four senses work: smart
    "garden": CommunityFacts(
        devices=(*whole(), fact("camera"), fact("io_module")),
        camera_points=4,
        camera_samples=200,
        camera_online_samples=190,
        alarms_raised=8,
        alarms_handled=6,
    ),
    # the only lift is offline: not smart
    "harbour": CommunityFacts(
        devices=(
            fact("household_gas_detector"),
            fact("lift", online=False),
            fact("ble_button", fault=True),
            fact("camera"),
        ),
        camera_points=1,
        camera_samples=100,
        camera_online_samples=50,
    ),
    # nothing there yet
    "meadow": CommunityFacts(),
}


def test_a_known_set_gives_the_figures_reckoned_by_hand() -> None:
    sums = total(figures_of(facts) for facts in KNOWN.values())
    assert (sums.communities, sums.smart_communities) == (3, 1)
    assert (sums.gas, sums.lift, sums.sos, sums.throw) == (2, 1, 1, 2)
    assert (sums.devices, sums.devices_online, sums.devices_intact) == (10, 9, 9)
    assert (sums.cameras, sums.cameras_delivering) == (3, 3)
    assert (sums.camera_points, sums.cameras_at_points) == (5, 3)
    assert sums.smart_coverage == pytest.approx(1 / 3)
    assert sums.online_rate == pytest.approx(0.9)
    assert sums.camera_uptime == pytest.approx(240 / 300), "of all samples, not the mean of two rates"
    assert sums.handled_rate == pytest.approx(0.75)
    met = {one.name: one.is_met for one in indicators(sums)}
    assert (met["intact_rate"], met["frames_rate"], met["camera_coverage"], met["smart_coverage"]) == (
        True,
        True,
        False,
        False,
    )


def test_the_monthly_report_is_byte_for_byte_the_known_one() -> None:
    names = {"garden": "示例花园", "harbour": "=示例港湾", "meadow": "示例草甸"}
    rows = [
        ReportRow(code=code, name=names[code], figures=figures_of(facts)) for code, facts in KNOWN.items()
    ]
    assert monthly_csv("2026-11", rows).encode() == GOLDEN.read_bytes()


def test_a_rate_of_nothing_is_nothing() -> None:
    assert all(one.value is None and one.is_met is None for one in indicators(Figures()))


@pytest.mark.parametrize(
    ("good", "bad", "expected"), [(0, 0, False), (1, 0, True), (9, 1, True), (8, 1, False), (0, 1, False)]
)
def test_a_sense_works_when_nine_of_ten_devices_do(good: int, bad: int, expected: bool) -> None:
    assert works([fact("lift")] * good + [fact("lift", online=False)] * bad) is expected


FACTS = st.builds(
    CommunityFacts,
    devices=st.lists(
        st.builds(
            DeviceFact,
            kind=st.sampled_from(["lift", "camera", "ble_button", "household_gas_detector", "other"]),
            is_online=st.booleans(),
            has_fault=st.booleans(),
        ),
        max_size=20,
    ).map(tuple),
    camera_points=st.none() | st.integers(0, 30),
)


@given(st.lists(FACTS, max_size=6), st.integers(0, 6))
def test_parts_add_up_to_the_whole_and_rates_stay_between_nothing_and_all(
    communities: list[CommunityFacts], cut: int
) -> None:
    figures = [figures_of(one) for one in communities]
    whole = total(figures)
    assert total([total(figures[:cut]), total(figures[cut:])]) == whole
    assert all(one.value is None or 0 <= one.value <= 1 for one in indicators(whole))
    assert whole.smart_communities <= min(whole.gas, whole.lift, whole.sos, whole.throw)


@given(FACTS)
def test_a_device_that_fails_never_makes_a_figure_better(facts: CommunityFacts) -> None:
    broken = CommunityFacts(
        devices=tuple(DeviceFact(kind=one.kind, is_online=False, has_fault=True) for one in facts.devices),
        camera_points=facts.camera_points,
    )
    before, after = figures_of(facts), figures_of(broken)
    assert after.smart_communities == 0
    assert after.devices_online <= before.devices_online
    assert after.cameras_delivering == 0


def test_a_month_is_the_one_of_the_peoples_zone() -> None:
    edge = datetime(2026, 10, 31, 16, 0, tzinfo=UTC)  # midnight in Weihai
    assert month_of(edge, "Asia/Shanghai").label == "2026-11"
    assert month_of(edge - timedelta(seconds=1), "Asia/Shanghai").label == "2026-10"
    december = Month(year=2026, month=12, zone="Asia/Shanghai")
    assert december.end == datetime(2026, 12, 31, 16, tzinfo=UTC)


async def test_figures_come_out_of_the_tables_as_they_are(store: Store) -> None:
    async with store.begin() as db:
        city = await org.ensure_city(db, code="shili", name="示例市", at=NOW)
        facts = NodeFacts(camera_points=2)
        new = NewNode(kind=NodeKind.COMMUNITY, parent_id=city, code="yuan", name="示例花园", facts=facts)
        garden = await org.make(db, new, at=NOW)
        one = await gateways.make(db, "wh-gw1", garden.id, at=NOW)
        for device_id, kind in (
            ("gas-1", "household_gas_detector"),
            ("cam-1", "camera"),
            ("cam-2", "camera"),
        ):
            await devices.make(db, one.no, one.id, NewDevice(id=device_id, kind=kind))
        online = {"online": True, "state": LifeState.DEPLOYED.value}
        await db.execute(device.update().where(device.c.id != "cam-2").values(online))
        await db.execute(gateway.update().values(last_contact_at=NOW))
        body = {
            "gateway_no": one.no,
            "node_id": garden.id,
            "seq": 1,
            "entry_epoch": "0",
            "entry_seq": 1,
            "category": "gas",
            "priority": "P1",
            "state": "unack",
            "changed_at": NOW,
            "committed_at": NOW,
            "is_verified": True,
            "body": "{}",
        }
        for alarm_id, device_id, kind, is_open, raised_at in (
            ("A" * 26, "gas-1", "fault", True, NOW),
            ("B" * 26, "gas-1", "alarm", False, NOW),
            ("C" * 26, "gas-1", "alarm", True, NOW),
            ("D" * 26, "gas-1", "alarm", True, NOW - timedelta(days=60)),
        ):
            values = body | {
                "alarm_id": alarm_id,
                "device_id": device_id,
                "code": "gas.high",
                "kind": kind,
                "is_open": is_open,
                "raised_at": raised_at,
            }
            await db.execute(insert(alarm).values(values))
        for minutes in (0, 10, 20):
            at = NOW + timedelta(minutes=minutes)
            heard = at if minutes < 20 else NOW
            await db.execute(gateway.update().values(last_contact_at=heard))
            await sample(db, now=at, zone="Asia/Shanghai")
        await db.execute(gateway.update().values(last_contact_at=NOW))
    async with store.read() as db:
        [found] = await measure(db, "/", month=NOVEMBER, now=NOW)
        [later] = await measure(db, "/", month=NOVEMBER, now=NOW + timedelta(minutes=5))
    figures = figures_of(found.facts)
    assert (figures.devices, figures.devices_online, figures.devices_intact) == (2, 2, 1), (
        "cam-2 lies in store"
    )
    assert (figures.camera_samples, figures.camera_online_samples) == (3, 2), (
        "the gateway was silent at the third"
    )
    assert (figures.alarms_raised, figures.alarms_handled) == (2, 1), "of this month, faults not counted"
    assert figures.camera_points == 2
    assert figures_of(later.facts).devices_online == 0, "behind a silent gateway nothing is online"
