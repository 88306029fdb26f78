"""Any order of alarms, people's actions, restarts and clock moves: no step skipped, no deadline lost, no alarm without its case."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from gatehouse_events.alarm import DealStatus
from gatehouse_events.states import Disposition
from gatehouse_fleet.cases import desk
from gatehouse_fleet.cases.clockwork import tick
from gatehouse_fleet.cases.errors import RefusedError
from gatehouse_fleet.cases.lights import Light, Marks, light
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.cases.photos import Kept
from gatehouse_fleet.cases.policy import Stage
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.cases.steps import BACK, ORDER, CaseStep
from gatehouse_fleet.store import Wake
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.cases import case_alarm, deadline, timeline

if TYPE_CHECKING:
    from conftest import Scene  # type: ignore[import-not-found]  # pytest loads it

T = TypeVar("T")
REACHED = {
    "filed": CaseStep.FILED,
    "dispatched": CaseStep.DISPATCHED,
    "taken": CaseStep.HANDLING,
    "feedback": CaseStep.FEEDBACK,
    "verified": CaseStep.VERIFIED_CLOSED,
    "evaluated": CaseStep.EVALUATED,
}
NEXT = {
    CaseStep.COLLECTED: "file",
    CaseStep.FILED: "dispatch",
    CaseStep.DISPATCHED: "take",
    CaseStep.HANDLING: "feedback",
    CaseStep.FEEDBACK: "verify",
    CaseStep.VERIFIED_CLOSED: "evaluate",
    CaseStep.EVALUATED: "note",
}
OWED = {
    CaseStep.COLLECTED: {"filing"},
    CaseStep.FILED: {"dispatching"},
    CaseStep.DISPATCHED: {"taking", "handling"},
    CaseStep.HANDLING: {"handling"},
    CaseStep.FEEDBACK: {"verifying"},
    CaseStep.VERIFIED_CLOSED: {"evaluating"},
    CaseStep.EVALUATED: set(),
}
SOURCES = [
    ("sos-602", "sos.pressed"),
    ("gas-602", "gas.pre_warning"),
    ("gas-602", "gas.high_alarm"),
    ("lift-1", "lift.trapped"),
    ("lift-1", "lift.repeated_door_cycle"),
    ("gas-602", "gas.offline"),
]
LIGHTS = list(Light)


WHATS = ["file", "dispatch", "take", "feedback", "verify", "evaluate", "send_back", "photo", "injury", "note"]
ACTS = st.tuples(
    st.integers(0, 50),
    st.sampled_from(["guard", "manager", "district", "judge", "city"]),
    st.sampled_from(WHATS + ["next"] * 8 + ["back"] * 4),
    st.sampled_from(list(CaseStep)),
    st.sampled_from([False, False, False, True]),
)
"""Which case, who, what (what is next or leads back more often than chance would have it), whereto, and with an old screen."""


class CaseMachine(RuleBasedStateMachine):
    """Alarms come and go, people act on what they see or saw, the clock moves, the server restarts."""

    def __init__(self, make: Callable[[Path], Coroutine[Any, Any, Scene]]) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.scene = self.do(make(Path(self.folder.name)))
        self.seen: dict[int, int] = {}
        self.told: dict[int, str] = {}

    alarms = Bundle("alarms")

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(target=alarms)
    def one_alarm(self) -> Any:
        return self._raise(0, None)

    @rule(target=alarms, source=st.integers(0, len(SOURCES) - 1), incident=st.sampled_from([None, "A", "B"]))
    def another_alarm(self, source: int, incident: str | None) -> Any:
        return self._raise(source, incident)

    def _raise(self, source: int, incident: str | None) -> Any:
        device, code = SOURCES[source]
        alarm_id, found = self.do(self.scene.raise_alarm(device, code, incident_id=incident))
        assert found is not None
        return multiple(alarm_id)

    @rule(which=alarms, what=st.sampled_from(["ack", "repeat", "close", "false", "arrived", "rescue_false"]))
    def the_gateway_tells(self, which: str, what: str) -> None:
        before = self.scene.alarms[which]
        if not before.is_open or (what in {"arrived", "rescue_false"} and before.rescue is None):
            return
        match what:
            case "ack":
                self.do(self.scene.acknowledge(which))
            case "repeat":
                self.do(self.scene.repeat(which))
            case "arrived":
                self.do(self.scene.rescue(which, DealStatus.ARRIVED))
            case "rescue_false":
                self.do(self.scene.rescue(which, DealStatus.FALSE_ALARM))
            case _:
                why = Disposition.FALSE_ALARM if what == "false" else Disposition.HANDLED
                self.do(self.scene.close(which, why))

    @rule(acts=st.lists(ACTS, min_size=1, max_size=4))
    def people_act(self, acts: list[tuple[int, str, str, CaseStep, bool]]) -> None:
        for pick, who, what, back_to, is_stale in acts:
            with contextlib.suppress(RefusedError):
                self.do(self._one_act(self._pick(pick), who, what, back_to, is_stale=is_stale))

    async def _one_act(self, found: Case, who: str, what: str, back_to: CaseStep, *, is_stale: bool) -> None:
        act = self.scene.act(who, found.id, self.seen.get(found.id, 1) if is_stale else found.revision)
        if what == "next":
            what = NEXT[found.step]
        if what == "back":
            what, back_to = "send_back", min(BACK.get(found.step, {back_to}), key=ORDER.index)
        actions: dict[str, Callable[[Any], Coroutine[Any, Any, Case]]] = {
            "file": lambda work: desk.file(work, act, "示例"),
            "dispatch": lambda work: desk.dispatch(work, act, unit="示例单位", user_id=None, note=""),
            "take": lambda work: desk.take(work, act),
            "feedback": lambda work: desk.feedback(work, act, text="示例"),
            "verify": lambda work: desk.verify(work, act, note=""),
            "evaluate": lambda work: desk.evaluate(work, act, score=4, note=""),
            "send_back": lambda work: desk.send_back(work, act, back_to, reason="返工"),
            "photo": lambda work: desk.add_photo(
                work, act, Kept(sha256=f"{found.revision:064x}", media_type="image/png", size_bytes=1)
            ),
            "injury": lambda work: desk.flag_injury(work, act, text="示例"),
            "note": lambda work: desk.note(work, act, text="示例"),
        }
        async with self.scene.office.work() as work:
            await actions[what](work)

    @rule(one=st.integers(0, 50), two=st.integers(0, 50))
    def a_person_merges(self, one: int, two: int) -> None:
        found, other = self._pick(one), self._pick(two)

        async def merge() -> None:
            async with self.scene.office.work() as work:
                await desk.merge(work, self.scene.act("district", found.id, found.revision), other.id)

        with contextlib.suppress(RefusedError):
            self.do(merge())

    @rule(minutes=st.sampled_from([1, 3, 29, 31, 200, 3000]))
    def time_passes(self, minutes: int) -> None:
        self.scene.move(minutes=minutes)

    @rule(minutes=st.sampled_from([0, 2, 45]), is_restarted=st.booleans())
    def the_clockwork_looks(self, minutes: int, is_restarted: bool) -> None:
        if is_restarted:
            self.scene.office = Office(store=self.scene.store, clock=self.scene.clock, wake=Wake())
        self.scene.move(minutes=minutes)

        async def look() -> list[tuple[Light, Light]]:
            while await tick(self.scene.office):
                pass
            async with self.scene.store.read() as db:
                rows = await db.execute(
                    select(deadline).where(deadline.c.met_at.is_(None), deadline.c.voided_at.is_(None))
                )
                return [
                    (
                        Light(row.told),
                        light(Marks(yellow_at=row.yellow_at, due_at=row.due_at), self.scene.clock.now()),
                    )
                    for row in rows
                ]

        behind = [pair for pair in self.do(look()) if LIGHTS.index(pair[0]) < LIGHTS.index(pair[1])]
        assert behind == []

    def check_invariants(self, *arguments: Any, **named: Any) -> None:
        super().check_invariants(*arguments, **named)
        if hasattr(self, "scene") and self.scene.alarms:
            self.do(self._check())

    async def _check(self) -> None:
        cases = {one.id: one for one in await self.scene.cases()}
        links = await self.scene.links()
        assert set(links) == set(self.scene.alarms)
        async with self.scene.store.read() as db:
            alarm_rows = (await db.execute(select(alarm.c.alarm_id, alarm.c.case_id))).all()
            link_rows = (await db.execute(select(case_alarm))).all()
            lines = (await db.execute(select(timeline).order_by(timeline.c.case_id, timeline.c.n))).all()
            rows = (
                await db.execute(
                    select(deadline).where(deadline.c.met_at.is_(None), deadline.c.voided_at.is_(None))
                )
            ).all()
        assert {row.alarm_id: row.case_id for row in alarm_rows} == links
        for row in link_rows:
            assert row.is_open == self.scene.alarms[row.alarm_id].is_open
            assert cases[row.case_id].merged_into is None
            assert not row.is_open or cases[row.case_id].is_open
        steps = dict.fromkeys(cases, CaseStep.COLLECTED)
        for line in lines:
            was = steps[line.case_id]
            if line.what in REACHED:
                assert ORDER.index(REACHED[line.what]) == ORDER.index(was) + 1
                steps[line.case_id] = REACHED[line.what]
            elif line.what == "sent_back":
                target = next(step for step in BACK[was] if f'"to":"{step}"' in line.detail)
                steps[line.case_id] = target
        for one in cases.values():
            assert steps[one.id] is one.step
            running = [row for row in rows if row.case_id == one.id]
            owed = {row.stage for row in running} - {Stage.RESCUE.value, Stage.ACCIDENT_REPORT.value}
            assert owed == (set() if one.merged_into else OWED[one.step])
            once = [row.stage for row in running if row.stage != Stage.RESCUE.value]
            assert len(once) == len(set(once))
            self.seen.setdefault(one.id, one.revision)

    def _pick(self, n: int) -> Case:
        cases = self.do(self.scene.cases())
        return cases[n % len(cases)]

    def teardown(self) -> None:
        async def whole() -> None:
            for one in await self.scene.cases():
                assert await self.scene.first_broken_line(one.id) is None
            await self.scene.store.close()

        try:
            self.do(whole())
        finally:
            self.runner.close()
            self.folder.cleanup()


@pytest.mark.parametrize(("kind", "part"), [("sqlite", 8), ("postgresql", 25)])
def test_any_order_of_events_keeps_every_promise(
    kind: str, part: int, copy_of_scene: Callable[[str, Path], Coroutine[Any, Any, Scene]]
) -> None:
    run_state_machine_as_test(
        lambda: CaseMachine(lambda folder: copy_of_scene(kind, folder)),
        settings=settings(max_examples=settings().max_examples // part, stateful_step_count=30),
    )
