"""Drills and self-tests: one at a time, each ends in a report of what came back, and when.

A drill of an alarm travels the entire way: the journal, a page at the desk and its sound, the outputs that the alarm demands (by
the relay's read-back, not by the order), the fleet server (by its confirmed cursor), and a person who acknowledges. It is of
kind `test` everywhere, so no city platform takes it for a real one. A real alarm ends it at once (`alarms/board.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

from msgspec import Struct, structs
from ulid import ULID

from gatehouse_edge import outputs
from gatehouse_edge.alarms.commands import AnyCommand, CommandResult, EndTest, StartTest, TestOutput
from gatehouse_edge.clock import Clock, Now
from gatehouse_edge.console.port import DeskPort
from gatehouse_edge.console.problems import ProblemError
from gatehouse_edge.ledger import LedgerError, OutputView
from gatehouse_edge.uplink.link import LinkState, LinkView
from gatehouse_events.alarm import Actor, Alarm
from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.drill import Check, DrillKind, DrillReport, EndedBy, Proof, Verdict
from gatehouse_events.states import Label

LIMIT_S: Final = 10.0
"""What a machine has to give back within this is late afterwards: the screen has 5 s, a relay a poll or two, the fleet a batch."""
_LOOK_EVERY_S: Final = 0.2
_BUSY: Final = ProblemError(
    409, "drill_running", Label("已有演练或自检在进行", "a drill or self-test is running already")
)
_NONE: Final = ProblemError(404, "no_drill", Label("没有进行中的演练", "no drill is running"))
_OF_ALARM: Final = frozenset({Proof.SCREEN, Proof.SOUND, Proof.PERSON})
_log = logging.getLogger(__name__)


class Submit(Protocol):
    """How a command is given so that a refusal becomes a problem for the page."""

    def __call__(self, command: AnyCommand) -> Awaitable[CommandResult]: ...  # noqa: D102  # see the class


class _Drill(Struct, kw_only=True):
    """One drill under way."""

    report: DrillReport
    began: Now
    head: int
    """Last alarm entry when it had begun: what the fleet must have confirmed."""
    ends_s: float
    """On the service scale; over by then at the latest."""
    is_ended_by_person: bool = False


class Drills:
    """Owner of the drill that runs now; `run` must be running."""

    def __init__(
        self,
        desk: DeskPort,
        clock: Clock,
        link: Callable[[], LinkView],
        confirmed: Callable[[], Awaitable[int]],
    ) -> None:
        """Take the parts.

        Args:
            desk: the ledger.
            clock: the gateway's clock.
            link: how the way to the fleet is.
            confirmed: the last alarm entry that the fleet has confirmed.
        """
        self._desk: Final = desk
        self._clock: Final = clock
        self._link: Final = link
        self._confirmed: Final = confirmed
        self._now_on: _Drill | None = None
        self._is_beginning = False
        self._begun: Final = asyncio.Event()
        self.last: DrillReport | None = None
        """The last one that is over, since the start."""

    @property
    def running(self) -> DrillReport | None:
        """The drill that runs now, as far as it has come."""
        return None if self._now_on is None else self._now_on.report

    async def begin_alarm(
        self, submit: Submit, actor: Actor, *, device_id: str, code: str, duration_s: float
    ) -> DrillReport:
        """Raise a test alarm and return its report at the beginning.

        Raises:
            ProblemError: another one runs, or the desk refuses.
        """
        with self._only_one():
            began = self._clock.now()
            command = StartTest(
                actor=actor, command_id=str(ULID()), device_id=device_id, code=code, duration_s=duration_s
            )
            result = await submit(command)
            alarm = self._alarm(result.alarm_id or "")
            report = DrillReport(
                drill_id=result.alarm_id or "",
                kind=DrillKind.ALARM,
                actor=actor,
                started_at=began.wall,
                device_id=device_id,
                code=code,
                checks=(
                    Check(
                        proof=Proof.JOURNAL,
                        verdict=Verdict.OK,
                        after_s=_since(began, self._clock.now()),
                        limit_s=LIMIT_S,
                    ),
                    *self._expected(alarm),
                ),
            )
            return self._start(report, began, duration_s)

    async def begin_output(
        self, submit: Submit, actor: Actor, *, output_id: str, duration_s: float
    ) -> DrillReport:
        """Switch one output on for a while and return the report at the beginning.

        Raises:
            ProblemError: another one runs, or the desk refuses.
        """
        with self._only_one():
            began = self._clock.now()
            command = TestOutput(
                actor=actor, command_id=str(ULID()), output_id=output_id, duration_s=duration_s
            )
            await submit(command)
            report = DrillReport(
                drill_id=str(ULID()),
                kind=DrillKind.OUTPUT,
                actor=actor,
                started_at=began.wall,
                device_id=output_id,
                checks=tuple(
                    Check(
                        proof=proof,
                        verdict=Verdict.WAITING,
                        subject=output_id,
                        limit_s=LIMIT_S + duration_s * is_late,
                    )
                    for proof, is_late in ((Proof.OUTPUT_ON, False), (Proof.OUTPUT_OFF, True))
                ),
            )
            return self._start(report, began, 2 * LIMIT_S + duration_s)

    async def judged(self, actor: Actor, *, kind: DrillKind, is_good: bool, note: str) -> DrillReport:
        """Write down what a person saw of the screen or heard of the sounds.

        Raises:
            LedgerError: the gateway is stopping.
        """
        now = self._clock.now()
        verdict = Verdict.OK if is_good else Verdict.FAILED
        report = DrillReport(
            drill_id=str(ULID()),
            kind=kind,
            actor=actor,
            started_at=now.wall,
            ended_at=now.wall,
            ended_by=EndedBy.PERSON,
            checks=(Check(proof=Proof.PERSON, verdict=verdict, after_s=0.0, limit_s=0.0),),
            note=note,
        )
        await self._desk.record(EntryKind.DRILL, report)
        self.last = report
        return report

    async def end(self, submit: Submit, actor: Actor) -> None:
        """End the drill of an alarm that runs now.

        Raises:
            ProblemError: none runs.
        """
        drill = self._now_on
        if drill is None or drill.report.kind is not DrillKind.ALARM:
            raise _NONE
        drill.is_ended_by_person = True
        await submit(EndTest(actor=actor, command_id=str(ULID()), alarm_id=drill.report.drill_id))

    async def run(self) -> None:
        """See each drill through to its report, until cancelled."""
        while True:
            await self._begun.wait()
            self._begun.clear()
            drill = self._now_on
            if drill is None:
                continue
            while not await self._look(drill):  # noqa: ASYNC110  # a read-back is no commit: nothing rings for it
                await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self._desk.record(EntryKind.DRILL, drill.report)
            except LedgerError as error:
                _log.warning("the report of a drill is not kept: %s", error)
            self._now_on, self.last = None, drill.report  # only now: who sees it over finds its report

    # --- one look

    async def _look(self, drill: _Drill) -> bool:
        """Bring the report up to date; return whether the drill is over."""
        now = self._clock.now()
        confirmed = await self._fleet_has()
        checks = tuple([self._judge(drill, check, now, confirmed) for check in drill.report.checks])
        drill.report = structs.replace(drill.report, checks=checks)
        ended_by = self._end_of(drill, now)
        if ended_by is None:
            return False
        # What had time left when it was cut short has not failed.
        over = tuple(
            structs.replace(check, verdict=Verdict.CUT) if check.verdict is Verdict.WAITING else check
            for check in checks
        )
        drill.report = structs.replace(drill.report, checks=over, ended_at=now.wall, ended_by=ended_by)
        return True

    def _end_of(self, drill: _Drill, now: Now) -> EndedBy | None:
        report = drill.report
        if report.kind is DrillKind.OUTPUT:
            is_decided = all(check.verdict is not Verdict.WAITING for check in report.checks)
            return EndedBy.DONE if is_decided or now.service_s >= drill.ends_s else None
        if self._alarm(report.drill_id) is not None:
            return None
        if drill.is_ended_by_person:
            return EndedBy.PERSON
        return EndedBy.TIME if now.service_s >= drill.ends_s else EndedBy.REAL_ALARM

    def _judge(self, drill: _Drill, check: Check, now: Now, confirmed: int | None) -> Check:
        """Return a check that waits, decided if it can be."""
        if check.verdict is not Verdict.WAITING:
            return check
        alarm = self._alarm(drill.report.drill_id)
        if check.proof in _OF_ALARM:
            check, at_s = (check, None) if alarm is None else _told(check, alarm, now)
        elif check.proof is Proof.FLEET:
            at_s = now.service_s if confirmed is not None and confirmed >= drill.head else None
        else:
            at_s = self._proven_s(drill, check)
        if at_s is not None:
            after_s = max(0.0, at_s - drill.began.service_s)
            return structs.replace(check, verdict=Verdict.OK, after_s=after_s)
        if now.service_s - drill.began.service_s >= check.limit_s:
            return structs.replace(check, verdict=Verdict.FAILED)
        return check

    def _proven_s(self, drill: _Drill, check: Check) -> float | None:
        """Return when the relay was read back as it should be, None: not yet."""
        view = self._output(check.subject)
        if view is None or view.last is None or view.failed or not view.last.is_ok:
            return None
        wants_on = check.proof is Proof.OUTPUT_ON
        is_level = view.last.wanted is wants_on
        if not wants_on and view.is_wanted and not view.is_tested:
            return self._clock.now().service_s  # an alarm wants it on: off would be wrong
        # Read back before the drill began counts where an alarm had it on already.
        return max(view.last.at.service_s, drill.began.service_s) if is_level else None

    def _expected(self, alarm: Alarm | None) -> Iterator[Check]:
        """Yield what a test alarm must bring back."""
        waits = Check(proof=Proof.SCREEN, verdict=Verdict.WAITING, limit_s=LIMIT_S)
        yield waits
        yield structs.replace(waits, proof=Proof.SOUND)
        now, plan = self._clock.now(), self._desk.plan
        demanded = {} if alarm is None else outputs.demand([alarm], {}, plan, now)
        wanted = [name for name, state in demanded.items() if state.is_on]
        if not wanted:
            yield Check(proof=Proof.OUTPUT_ON, verdict=Verdict.ABSENT, limit_s=LIMIT_S)
        for name in wanted:
            yield structs.replace(waits, proof=Proof.OUTPUT_ON, subject=name)
        has_fleet = self._link().state not in {LinkState.OFF, LinkState.NOT_ENROLLED}
        yield Check(
            proof=Proof.FLEET, verdict=Verdict.WAITING if has_fleet else Verdict.ABSENT, limit_s=LIMIT_S
        )
        limit_s = LIMIT_S if alarm is None or alarm.ack_due_s is None else alarm.ack_due_s - alarm.raised_s
        yield Check(proof=Proof.PERSON, verdict=Verdict.WAITING, limit_s=limit_s)

    async def _fleet_has(self) -> int | None:
        if self._link().state in {LinkState.OFF, LinkState.NOT_ENROLLED}:
            return None
        return await self._confirmed()

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        if self._now_on is not None or self._is_beginning:
            raise _BUSY
        self._is_beginning = True
        try:
            yield
        finally:
            self._is_beginning = False

    def _start(self, report: DrillReport, began: Now, duration_s: float) -> DrillReport:
        self._now_on = _Drill(
            report=report,
            began=began,
            head=self._desk.head(Lane.ALARM).seq,
            ends_s=began.service_s + duration_s,
        )
        self._begun.set()
        return report

    def _alarm(self, alarm_id: str) -> Alarm | None:
        return next((alarm for alarm in self._desk.alarms() if alarm.alarm_id == alarm_id), None)

    def _output(self, output_id: str) -> OutputView | None:
        return next((view for view in self._desk.outputs() if view.output_id == output_id), None)


def _told(check: Check, alarm: Alarm, now: Now) -> tuple[Check, float | None]:
    """Return a check about what people at the desk saw, heard and did, and when that was, None: not yet."""
    is_mute = alarm.is_mute and alarm.heard_s is None
    match check.proof:
        case Proof.SCREEN:
            return check, now.service_s if is_mute else alarm.heard_s
        case Proof.SOUND if is_mute:
            return structs.replace(check, verdict=Verdict.FAILED, detail="page is mute"), None
        case Proof.SOUND:
            return check, alarm.heard_s
        case _:
            taken = alarm.acked_by is not None
            return structs.replace(check, detail=alarm.acked_by or ""), now.service_s if taken else None


def _since(began: Now, now: Now) -> float:
    return max(0.0, (now.mono_ns - began.mono_ns) / 1e9)
