"""The ledger: the one task that steps the desk, commits what it says, and only then lets anybody know.

Inputs stand in one bounded queue. What has gathered while the disk was busy is stepped together and committed in one
transaction by one worker thread; then the waiting drivers and consoles go on. If the disk refuses, or takes longer than
half a second, the committed desk does not advance and nobody is told "done", but sirens, lamps and valves already follow
what was seen: neither a full nor a slow disk may keep an alarm quiet. The batch is tried again and again, and grows by what happens meanwhile.

State keys of its own: `clock/last` (`LastSeen`): where the service time scale stood; `orders/place` (`OrderPlace`): the last
order of the fleet that has been settled, committed with its effects, so that each order counts once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from gatehouse_edge.alarms import flood
from gatehouse_edge.alarms.board import NewRecord
from gatehouse_edge.alarms.commands import AnyCommand, Command, CommandResult
from gatehouse_edge.alarms.incidents import Incident
from gatehouse_edge.alarms.plan import OutputKind, Place, Plan
from gatehouse_edge.alarms.shelving import Inhibition
from gatehouse_edge.clock import Clock, LastSeen, Now
from gatehouse_edge.desk import Desk, Report, demands, flush, replan, step
from gatehouse_edge.outputs import OutputState, Valve, is_tested
from gatehouse_edge.reading import (
    AnyObservation,
    BeaconReading,
    ButtonReading,
    EvidenceReading,
    LiftReading,
    OutputReading,
    Refusal,
    Silence,
    ThrowReading,
)
from gatehouse_edge.samples import Kept, sample
from gatehouse_events.alarm import Alarm
from gatehouse_events.chain import MAX_BODY_BYTES, Entry, EntryKind, Lane, Position, Stamp, canonical
from gatehouse_events.orders import OrderOutcome
from gatehouse_journal import (
    BadEntryError,
    Batch,
    Health,
    Journal,
    JournalError,
    NewEntry,
    StorageFullError,
)

LAST_SEEN_KEY: Final = "clock/last"
ORDERS_KEY: Final = "orders/place"
_FOREIGN: Final = ("fleet/", "config/", "evidence/")
"""State keys that others keep here; the desk's own are its business."""
TICK_S: Final = 1.0
MAX_QUEUE: Final = 1024
"""Inputs waiting; a driver that finds it full waits, which slows its polling and loses nothing."""
MAX_BATCH: Final = 256
MAX_PENDING: Final = 5000
"""Records that wait for a disk that refuses; beyond it drivers wait at the queue."""
MAX_SAMPLES: Final = 2000
"""Telemetry lines waiting for the next tick; beyond it lines are dropped and counted, alarms never."""
RING_SPAN: Final = 4096
"""A lift node's ring number this little behind the committed one is a repeat; farther behind, the node was renewed."""
CHECKPOINT_EVERY_S: Final = 3600.0
BEACON_STRIDE: Final = 1000
"""A beacon speaks every second: committing each of its counters would wear the flash for nothing."""
_HEALTH_EVERY_S: Final = 10.0
_SAMPLES_EVERY_S: Final = 10.0
"""Telemetry is written in pieces: each write costs whole pages, and a kill may take ten seconds of it, never an alarm."""
_TIME_EVERY_S: Final = 60.0
_QUIET_TIME_EVERY_S: Final = 900.0
"""Without open alarms no timer depends on the time scale so closely: spares the flash."""
_SLOW_S: Final = 0.5
"""A disk that takes longer for one commit keeps nobody waiting but those who need the commit."""
_STUCK_S: Final = 15.0
"""A ledger that has not ticked for so long is stuck."""
_RETRY_FROM_S: Final = 0.25
_RETRY_TO_S: Final = 5.0

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class LedgerError(Exception):
    """Base of what the ledger raises."""


class LedgerClosedError(LedgerError):
    """The gateway is stopping; nothing is taken in any more."""


class DeviceView(Struct, frozen=True, kw_only=True):
    """One device as the console shows it."""

    device_id: str
    kind: str
    place: Place
    last: AnyObservation | None
    """The last thing it really said; None: nothing since the start."""
    age_s: float | None
    """How old that is."""
    silence: Silence | None
    """Why it says nothing now; None: it spoke last."""
    codes: tuple[str, ...]
    """All that is true of it now."""
    inhibition: Inhibition | None = None
    """Who put it out of service, until when and why; None: nobody did."""

    @property
    def is_inhibited(self) -> bool:
        """A person has put it out of service."""
        return self.inhibition is not None


class OutputView(Struct, frozen=True, kw_only=True):
    """One output as the console shows it."""

    output_id: str
    kind: OutputKind
    place: Place
    is_quiet: bool
    is_wanted: bool
    """What is demanded of it now."""
    last: OutputReading | None
    """The last verdict of its board; None: none since the start."""
    failed: str
    """Why it does not obey; empty: nothing is known against it."""
    is_tested: bool


class Started(Struct, frozen=True, kw_only=True):
    """Body of a journal entry of kind `start`."""

    service_s: float
    open_alarms: int


class Stopped(Struct, frozen=True, kw_only=True):
    """Body of a journal entry of kind `stop`: an orderly end."""

    service_s: float


class _Item:
    """One input and who waits for it."""

    __slots__ = ("done", "what")

    def __init__(self, what: _What, done: asyncio.Future[CommandResult | None]) -> None:
        self.what: Final = what
        self.done: Final = done


class _Record(Struct, frozen=True):
    """An entry that somebody else wants in the alarm lane."""

    record: NewRecord


class _Reload(Struct, frozen=True):
    plan: Plan


class OrderPlace(Struct, frozen=True, kw_only=True):
    """One order's place in the fleet's lane of orders."""

    epoch: str = ""
    """Of the orders lane; empty: none was ever settled."""
    seq: int = 0


class Settlement(Struct, frozen=True, kw_only=True):
    """What settling one order does, all in one commit."""

    place: OrderPlace
    commands: tuple[AnyCommand, ...] = ()
    """Carried out in this order; `answer` sees the result of the first."""
    answer: Callable[[CommandResult | None], OrderOutcome] | None = None
    """Makes the `outcome` entry; None: it is told later (`is_late`)."""
    records: tuple[NewRecord, ...] = ()
    """Entries of somebody else that belong to it."""
    state: Mapping[str, bytes | None] = {}
    """State keys of whoever goes on with it; None removes one."""
    is_late: bool = False
    """The lane has gone on meanwhile: the place is not moved and nothing is taken for a repeat."""


_What = AnyObservation | AnyCommand | Report | _Record | _Reload | Settlement


class _Pending:
    """What has been stepped and is not on the disk yet."""

    def __init__(self) -> None:
        self.entries: list[NewEntry] = []
        self.state: dict[str, bytes | None] = {}
        self.counters: dict[str, int] = {}
        self.waiters: list[tuple[asyncio.Future[CommandResult | None], CommandResult | None]] = []

    @property
    def is_durable(self) -> bool:
        return bool(self.entries or self.state or self.counters)

    def follow(self, first: _Pending) -> None:
        """Put what was stepped earlier in front: it was not written."""
        self.entries[:0] = first.entries
        self.waiters[:0] = first.waiters
        self.state = first.state | self.state
        self.counters = first.counters | self.counters


class CommittedCounters:
    """The counters as they stand on the disk (`Counters` of the ports)."""

    def __init__(self, values: Mapping[str, int]) -> None:
        self._values = dict(values)

    def get(self, key: str) -> int | None:
        """Return the last committed value, None if the key was never written."""
        return self._values.get(key)

    def take_over(self, values: Mapping[str, int]) -> None:
        """Note what has just been committed; the ledger's business."""
        self._values.update(values)


class Ledger:
    """Owner of the desk and of the journal's writing side. Is the drivers' `Inbox` and the console's door.

    Everything but `run` may be called from any task of the loop that runs it.
    """

    def __init__(
        self,
        journal: Journal,
        desk: Desk,
        plan: Plan,
        clock: Clock,
        *,
        counters: Mapping[str, int] | None = None,
        state: Mapping[str, bytes] | None = None,
    ) -> None:
        self.counters: Final = CommittedCounters(counters or {})
        self.is_storage_failing = False
        """The disk refuses; nothing is lost yet, but nothing is kept either."""
        self.samples_dropped = 0
        self.observations = 0
        self._journal: Final = journal
        self._clock: Final = clock
        self._desk = desk
        self._tentative = desk
        self._plan = plan
        self._orders = last_order(state or {})
        self._kept_state: Final = {
            key: value for key, value in (state or {}).items() if key.startswith(_FOREIGN)
        }
        self._queue: Final[asyncio.Queue[_Item | None]] = asyncio.Queue(MAX_QUEUE)
        # None only wakes the task
        self._worker: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._pending = _Pending()
        self._writing: _Pending | None = None
        """What the worker is committing just now."""
        self._is_slow = False
        self._last: Final[dict[str, AnyObservation]] = {}
        self._silences: Final[dict[str, Silence]] = {}
        self._kept: Final[dict[str, Kept]] = {}
        self._samples: Final[list[NewEntry]] = []
        self._version = 0
        self._change = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._is_closed = False
        self._health: Health | None = None
        self._damage = desk.reports.get("gateway.integrity", "")
        self._last_written_s = float("-inf")
        self._health_due_s = float("-inf")
        self._samples_due_s = float("-inf")
        self._checkpoint_s = float("-inf")
        self._ticked_s = clock.now().service_s
        self._retry_s = _RETRY_FROM_S
        self._retry_at_s = float("-inf")

    # --- what others call

    async def put(self, observation: AnyObservation) -> None:
        """Return once everything the observation led to is on disk; at once if it led to nothing.

        Raises:
            LedgerClosedError: the gateway is stopping.
        """
        await self._enqueue(observation)

    async def submit(self, command: AnyCommand) -> CommandResult:
        """Return what became of the command, once that is on disk.

        Raises:
            LedgerClosedError: the gateway is stopping.
        """
        result = await self._enqueue(command)
        if result is None:
            raise LedgerError(f"command {command.command_id} left no result")
        return result

    async def report(self, code: str, text: str = "", *, is_true: bool) -> None:
        """Say that something is wrong (or no longer wrong) with the gateway itself; `code` is a `gateway.*` code."""
        await self._enqueue(Report(code=code, is_true=is_true, text=text))

    async def record(self, kind: EntryKind, body: Struct) -> None:
        """Write an entry of somebody else (audit, security, config) into the alarm lane and return when it is there.

        Raises:
            LedgerError: the body is too large for an entry.
            LedgerClosedError: the gateway is stopping.
        """
        if len(canonical(body)) > MAX_BODY_BYTES:
            raise LedgerError(f"an entry of kind {kind} holds at most {MAX_BODY_BYTES} bytes")
        await self._enqueue(_Record(NewRecord(kind=kind.value, body=body)))

    async def reload(self, plan: Plan) -> None:
        """Go on under a new configuration; what is known of devices that stay is kept."""
        await self._enqueue(_Reload(plan))

    async def settle(self, settlement: Settlement) -> None:
        """Carry out an order's commands, write its outcome and move the place in the lane; return when it is on disk.

        An order that was settled before does nothing again; this returns when the first is on disk.

        Raises:
            LedgerClosedError: the gateway is stopping.
        """
        await self._enqueue(settlement)

    async def keep(self, state: Mapping[str, bytes | None]) -> None:
        """Set or remove (None) state keys of somebody else and return when that is on disk.

        Raises:
            LedgerClosedError: the gateway is stopping.
        """
        await self._enqueue(Settlement(place=OrderPlace(), state=state, is_late=True))

    async def enter(
        self,
        records: tuple[NewRecord, ...],
        *,
        state: Mapping[str, bytes | None],
        commands: tuple[AnyCommand, ...] = (),
    ) -> None:
        """Write entries, state keys and what commands lead to in one commit; return when it is on disk.

        Raises:
            LedgerError: a body is too large for an entry.
            LedgerClosedError: the gateway is stopping.
        """
        if any(len(canonical(record.body)) > MAX_BODY_BYTES for record in records):
            raise LedgerError(f"an entry holds at most {MAX_BODY_BYTES} bytes")
        await self._enqueue(
            Settlement(place=OrderPlace(), commands=commands, records=records, state=state, is_late=True)
        )

    async def sign(self) -> None:
        """Sign the heads of both lanes now, not at the end of the hour.

        Raises:
            LedgerError: no room, the disk refuses, or the gateway is stopping.
        """
        now = self._clock.now()
        await self._in_journal(lambda: self._journal.checkpoint(_stamp(now)))

    def kept_under(self, prefix: str) -> dict[str, bytes]:
        """Return all state keys of somebody else that begin so, on the disk or about to be."""
        return {key: value for key, value in self._kept_state.items() if key.startswith(prefix)}

    def kept(self, key: str) -> bytes | None:
        """Return a state key of somebody else, on the disk or about to be; None: not set."""
        return self._kept_state.get(key)

    @property
    def orders(self) -> OrderPlace:
        """The last order settled, whether on disk yet or not."""
        return self._orders

    def head(self, lane: Lane) -> Position:
        """Return the last entry of `lane`, as committed."""
        return self._journal.head(lane)

    async def new_epoch(self, reason: str, *, floor: Mapping[Lane, int]) -> None:
        """Begin a new life of the journal (`Journal.new_epoch`); between two commits, nobody's input is touched.

        Raises:
            LedgerError: no room, the disk refuses, or the gateway is stopping.
        """
        stamp = _stamp(self._clock.now())
        await self._in_journal(lambda: self._journal.new_epoch(reason, stamp, floor=floor))
        self._health_due_s = float("-inf")
        await self._publish()

    async def prune(self, receipt_seq: int) -> bool:
        """Let alarm entries go that are signed for, received and old enough (`Journal.prune`); True: there may be more.

        Raises:
            LedgerError: no room, the disk refuses, or the gateway is stopping.
        """
        now = self._clock.now()
        entry = await self._in_journal(
            lambda: self._journal.prune(
                receipt_seq=receipt_seq, stamp=_stamp(now), is_clock_synced=now.clock.synced
            )
        )
        return entry is not None

    async def _in_journal(self, call: Callable[[], _Result]) -> _Result:
        if self._is_closed:
            raise LedgerClosedError("the gateway is stopping")
        try:
            return await self._in_worker(call)
        except (JournalError, RuntimeError) as error:  # RuntimeError: the worker has ended meanwhile
            raise LedgerError(f"the journal refuses: {error}") from error

    def stop(self) -> None:
        """Take nothing in any more, finish what has come in, then let `run` return."""
        self._stopping.set()
        self._wake()

    def _wake(self) -> None:
        if self._queue.empty():  # otherwise the task is awake anyhow
            self._queue.put_nowait(None)

    @property
    def is_alive(self) -> bool:
        """False: no tick for 15 s, the writer is stuck and the process should be replaced."""
        return self._clock.now().service_s - self._ticked_s < _STUCK_S

    @property
    def version(self) -> int:
        """Counts publications; wait for the next one with `changed`."""
        return self._version

    async def changed(self, seen: int) -> int:
        """Return the version once it is no longer `seen`."""
        async with self._change:
            await self._change.wait_for(lambda: self._version != seen)
            return self._version

    @property
    def desk(self) -> Desk:
        """The desk as committed; while the disk refuses or takes long, as seen."""
        return self._tentative if self.is_storage_failing or self._is_slow else self._desk

    @property
    def plan(self) -> Plan:
        """The configuration in force."""
        return self._plan

    @property
    def health(self) -> Health | None:
        """The latest look at the journal, None before the first."""
        return self._health

    def alarms(self) -> list[Alarm]:
        """Return the open alarms: shown before hidden, P1 on top, unattended first, newest first."""
        return sorted(self.desk.board.alarms.values(), key=flood.order)

    def incidents(self) -> list[Incident]:
        """Return the incidents that are not over."""
        return list(self.desk.board.incidents.values())

    def valves(self) -> dict[str, Valve]:
        """Return the gas valves something was ever asked of."""
        return dict(self.desk.valves)

    def figures(self) -> flood.Figures:
        """Return how loaded the desk is (domain row 44)."""
        return flood.figures(self.desk.board.load, self.desk.board.alarms.values(), self._clock.now())

    def demands(self) -> dict[str, OutputState]:
        """Return what every output should do now. Follows what was seen also while the disk refuses."""
        return demands(self.desk, self._plan, self._clock.now())

    def outputs(self) -> list[OutputView]:
        """Return all outputs: what is demanded of each and what its board last said of it."""
        now, desk, wanted = self._clock.now(), self.desk, self.demands()
        views = []
        for output in self._plan.outputs.values():
            last = self._last.get(output.output_id)
            views.append(
                OutputView(
                    output_id=output.output_id,
                    kind=output.kind,
                    place=output.place,
                    is_quiet=output.is_quiet,
                    is_wanted=wanted[output.output_id].is_on,
                    last=last if isinstance(last, OutputReading) else None,
                    failed=desk.failed_outputs.get(output.output_id, ""),
                    is_tested=is_tested(desk.tested, output.output_id, now),
                )
            )
        return views

    def devices(self) -> list[DeviceView]:
        """Return all devices with their last data and its age."""
        now, desk = self._clock.now(), self.desk
        views = []
        for device in self._plan.devices.values():
            last = self._last.get(device.device_id)
            views.append(
                DeviceView(
                    device_id=device.device_id,
                    kind=device.kind,
                    place=device.place,
                    last=last,
                    age_s=None if last is None else max(0.0, now.service_s - last.at.service_s),
                    silence=self._silences.get(device.device_id),
                    codes=tuple(c.code for c in desk.conditions.get(device.device_id, ())),
                    inhibition=desk.board.inhibited.get(device.device_id),
                )
            )
        return views

    # --- the task

    async def run(self) -> None:
        """Step, commit, publish until `stop`; then drain and return. The owner closes the journal afterwards.

        Raises:
            JournalBrokenError: the disk refused in a way that only a restart can answer.
        """
        try:
            now = self._clock.now()
            started = Started(service_s=now.service_s, open_alarms=len(self._desk.board.alarms))
            self._add_record(NewRecord(kind=EntryKind.START, body=started), now)
            tick_at_s = now.service_s
            while not self._stopping.is_set():
                items = await self._gather(tick_at_s)
                now = self._clock.now()
                self._step_all(items, now)
                if now.service_s >= tick_at_s:
                    # Not tick_at_s + 1: after a suspended second there is one tick, not many.
                    tick_at_s = now.service_s + TICK_S
                    await self._tick(now)
                await self._commit(now)
            await self._drain()
        finally:
            self._is_closed = True
            self._abandon()
            self._worker.shutdown(wait=True)

    async def _enqueue(self, what: _What) -> CommandResult | None:
        if self._is_closed or self._stopping.is_set():
            raise LedgerClosedError("the gateway is stopping")
        done: asyncio.Future[CommandResult | None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Item(what, done))
        if self._is_closed:  # it stopped while we stood at a full queue
            raise LedgerClosedError("the gateway is stopping")
        return await done

    async def _gather(self, tick_at_s: float) -> list[_Item]:
        """Return what has come in; waits for the first input, the tick, or a stop."""
        if len(self._pending.entries) >= MAX_PENDING:
            await asyncio.sleep(self._retry_s)
            return []
        wait_s = max(0.0, tick_at_s - self._clock.now().service_s)
        if self._pending.is_durable and self._writing is None and not self.is_storage_failing:
            wait_s = 0.0  # seen while the disk was slow, and to be written now
        try:
            async with asyncio.timeout(min(wait_s, TICK_S)):
                first = await self._queue.get()
        except TimeoutError:
            return []
        return [*([] if first is None else [first]), *self._waiting()]

    def _waiting(self) -> list[_Item]:
        """Return what stands in the queue, at most one batch."""
        items: list[_Item] = []
        while len(items) < MAX_BATCH and not self._queue.empty():
            item = self._queue.get_nowait()
            if item is not None:
                items.append(item)
        return items

    def _step_all(self, items: list[_Item], now: Now) -> None:
        for item in items:
            try:
                result, is_durable = self._step(item.what, now)
            except Exception as error:  # noqa: BLE001  # a bug: told to who brought the input, nothing of it is kept
                _log.exception("an input cannot be taken")
                if not item.done.done():
                    item.done.set_exception(LedgerError(f"{type(error).__name__}: {error}"))
                continue
            if is_durable:
                self._pending.waiters.append((item.done, result))
            else:
                _resolve(item.done, result)

    def _step(self, what: _What | None, now: Now) -> tuple[CommandResult | None, bool]:
        """Step the tentative desk; return a command's result and whether there is something to commit."""
        if isinstance(what, _Record):
            self._add_record(what.record, now)
            return None, True
        if isinstance(what, _Reload):
            self._tentative = replan(self._tentative, what.plan, now)
            self._plan = what.plan
            return None, False
        if isinstance(what, Settlement):
            return None, self._settle(what, now)
        counted = None
        if what is not None and not isinstance(what, (Command, Report)):
            counted = counter_of(what)
            if counted is not None and self._is_repeat(what, counted):
                # A repeat of what is not on the disk yet must wait with the first, or its receipt would lie.
                return None, self._uncommitted(counted[0]) is not None
        desk, outcome = step(self._tentative, what, now, self._plan)
        entries = [_entry(record, now) for record in outcome.records]
        if what is not None and not isinstance(what, (Command, Report)):
            self._note(what)
        # An input is taken whole or not at all: what can fail has been done.
        self._tentative = desk
        self._pending.entries += entries
        self._pending.state |= outcome.state
        if counted is not None:
            self._pending.counters[counted[0]] = counted[1]
        if isinstance(what, BeaconReading):
            self._mark(what)
        return outcome.result, outcome.is_durable or counted is not None

    def _settle(self, settlement: Settlement, now: Now) -> bool:
        """Step an order's commands; return whether there is something to wait for on the disk."""
        place = settlement.place
        if not settlement.is_late and place.epoch == self._orders.epoch and place.seq <= self._orders.seq:
            return self._pending.is_durable or self._writing is not None
        desk, entries, state = self._tentative, list[NewEntry](), dict[str, bytes | None]()
        results: list[CommandResult | None] = []
        for command in settlement.commands:
            desk, outcome = step(desk, command, now, self._plan)
            entries += [_entry(record, now) for record in outcome.records]
            state |= outcome.state
            results.append(outcome.result)
        entries += [_entry(record, now) for record in settlement.records]
        if settlement.answer is not None:
            told = settlement.answer(results[0] if results else None)
            entries.append(_entry(NewRecord(kind=EntryKind.OUTCOME, body=told), now))
        if not settlement.is_late:
            self._orders = place
            state[ORDERS_KEY] = msgspec.json.encode(place)
        self._tentative = desk
        self._pending.entries += entries
        self._pending.state |= state | dict(settlement.state)
        for key, value in settlement.state.items():
            if value is None:
                self._kept_state.pop(key, None)
            else:
                self._kept_state[key] = value
        return True

    def _is_repeat(self, observation: AnyObservation, counted: tuple[str, int]) -> bool:
        key, value = counted
        known = self._uncommitted(key)
        if known is None:
            known = self.counters.get(key)
        if known is None or value > known:
            return False
        is_renewed = isinstance(observation, LiftReading) and (
            observation.is_ring_renewed or known - value > RING_SPAN
        )
        return not is_renewed

    def _note(self, observation: AnyObservation) -> None:
        """Keep last data and telemetry of an observation."""
        self.observations += 1
        device_id = observation.device_id
        if isinstance(observation, Silence):
            self._silences[device_id] = observation
        elif not isinstance(observation, Refusal) and self._plan.knows(device_id):
            if not isinstance(observation, ThrowReading | EvidenceReading):  # moments, not how the camera is
                self._last[device_id] = observation
            self._silences.pop(device_id, None)
            found = sample(observation, self._kept.get(device_id))
            if found is not None:
                self._kept[device_id] = found[1]
                self._add_sample(found[0], observation.at)

    def _mark(self, beacon: BeaconReading) -> None:
        """Keep a beacon's counter roughly: written every thousandth time, an old recording stays refused after a restart."""
        key = f"beacon/{beacon.device_id}/{beacon.key_id}"
        mark = beacon.counter - beacon.counter % BEACON_STRIDE
        if mark > (self._uncommitted(key) or self.counters.get(key) or 0):
            self._pending.counters[key] = mark

    def _uncommitted(self, key: str) -> int | None:
        """Return a counter that has been stepped and is not on the disk yet."""
        value = self._pending.counters.get(key)
        return self._writing.counters.get(key) if value is None and self._writing is not None else value

    async def _tick(self, now: Now) -> None:
        self._step(None, now)
        self._ticked_s = now.service_s
        if now.service_s >= self._health_due_s and not self.is_storage_failing:
            self._health_due_s = now.service_s + _HEALTH_EVERY_S
            with contextlib.suppress(
                StorageFullError
            ):  # a disk too full to be looked at; the commit will say so
                self._health = await self._in_worker(self._journal.health)
                self._judge_health(self._health, now)
            if (
                self._health
                and self._health.unsigned_entries
                and now.service_s - self._checkpoint_s >= CHECKPOINT_EVERY_S
            ):
                await self._checkpoint(now)
        every_s = _TIME_EVERY_S if self._tentative.board.alarms else _QUIET_TIME_EVERY_S
        if now.service_s - self._last_written_s >= every_s:
            self._pending.state[LAST_SEEN_KEY] = _last_seen(now)
        is_due = now.service_s >= self._samples_due_s or len(self._samples) >= MAX_SAMPLES // 2
        if is_due and not self.is_storage_failing:
            self._samples_due_s = now.service_s + _SAMPLES_EVERY_S
            await self._keep_samples()

    async def _keep_samples(self) -> None:
        """Write the telemetry that has gathered, in one piece."""
        if not self._samples:
            return
        lines = list(self._samples)
        self._samples.clear()
        try:
            await self._in_worker(lambda: self._journal.append_telemetry(lines))
        except (StorageFullError, BadEntryError) as error:
            _log.warning("%d telemetry lines are not kept: %s", len(lines), error)
            self.samples_dropped += len(lines)

    async def _checkpoint(self, now: Now) -> None:
        """Sign the heads of both lanes; without room for a signature entries wait for the next one."""
        self._checkpoint_s = now.service_s
        with contextlib.suppress(StorageFullError):
            await self._in_worker(lambda: self._journal.checkpoint(_stamp(now)))

    def _judge_health(self, health: Health, now: Now) -> None:
        integrity = "; ".join(part for part in (self._damage, *health.integrity) if part)
        for code, is_true, text in (
            ("gateway.storage_filling", health.is_filling, f"{health.fill:.0%}"),
            ("gateway.storage_full", not health.is_ballast_held, ""),
            ("gateway.integrity", bool(integrity), integrity),
        ):
            self._step(Report(code=code, is_true=is_true, text=text), now)

    async def _commit(self, now: Now) -> None:
        """Bring everything pending to the disk, or note that the disk refuses and come back later."""
        pending = self._pending
        if not pending.is_durable:
            self._desk, self._pending = self._tentative, _Pending()
            for done, result in pending.waiters:
                _resolve(done, result)
            return
        if now.service_s < self._retry_at_s:
            return
        desk = self._tentative
        self._pending, self._writing = _Pending(), pending
        try:
            await self._write(pending, now)
            self._writing = None
        except StorageFullError as error:
            self._take_back()
            self._refused(error, now)
            await self._publish()
            return
        finally:
            self._take_back()  # unless it is on the disk
        if self.is_storage_failing:
            _log.warning("the journal takes entries again")
            self.is_storage_failing = False
            self._health_due_s = float("-inf")
        self._retry_s, self._retry_at_s = _RETRY_FROM_S, float("-inf")
        self._last_written_s = now.service_s
        self.counters.take_over(pending.counters)
        self._desk = desk
        for done, result in pending.waiters:
            _resolve(done, result)
        await self._publish()

    async def _write(self, pending: _Pending, now: Now) -> None:
        """Commit in the worker. While a slow disk takes its time, take in what comes: sirens do not wait for flash."""
        batch = Batch(
            entries=tuple(pending.entries),
            state={**pending.state, LAST_SEEN_KEY: _last_seen(now)},
            counters=dict(pending.counters),
        )
        writing = self._in_worker(lambda: self._journal.commit(batch))
        await asyncio.wait({writing}, timeout=_SLOW_S)
        if not writing.done():
            writing.add_done_callback(lambda _: self._wake())
            self._is_slow = True
            try:
                await self._see_meanwhile(writing)
            finally:
                self._is_slow = False
        await writing

    async def _see_meanwhile(self, writing: asyncio.Future[list[Entry]]) -> None:
        """Step and show, but neither commit nor tell anybody "done"; the watchdog is not fed by this."""
        _log.warning("the disk takes long to write")
        tick_at_s = self._clock.now().service_s + TICK_S
        while not writing.done():
            await self._publish()
            items = await self._gather(tick_at_s)
            now = self._clock.now()
            self._step_all(items, now)
            if now.service_s >= tick_at_s:
                tick_at_s = now.service_s + TICK_S
                self._step(None, now)

    def _take_back(self) -> None:
        if self._writing is not None:
            self._pending.follow(self._writing)
            self._writing = None

    def _refused(self, error: StorageFullError, now: Now) -> None:
        if not self.is_storage_failing:
            _log.error("the journal refuses entries: %s", error)
            self.is_storage_failing = True
            self._step(Report(code="gateway.storage_full", is_true=True, text="entries wait"), now)
        self._retry_at_s = now.service_s + self._retry_s
        self._retry_s = min(_RETRY_TO_S, self._retry_s * 2)

    async def _drain(self) -> None:
        """Take in what stands in the queue, write the rules' volatile parts too, and say that this was orderly."""
        while not self._queue.empty():
            self._step_all(self._waiting(), self._clock.now())
            await asyncio.sleep(0)  # whoever stood at the full queue puts its input in now
        now = self._clock.now()
        self._pending.state |= flush(self._tentative)
        self._add_record(NewRecord(kind=EntryKind.STOP, body=Stopped(service_s=now.service_s)), now)
        self._retry_at_s = float("-inf")
        await self._commit(now)
        await self._keep_samples()
        await self._checkpoint(now)

    def _abandon(self) -> None:
        """Nobody may wait for a ledger that has ended: what is not on the disk is not acknowledged."""
        waiters = [done for done, _ in self._pending.waiters]
        while not self._queue.empty():
            waiters += [item.done for item in self._waiting()]
        for done in waiters:
            if not done.done():
                done.set_exception(LedgerClosedError("the gateway is stopping"))

    async def _publish(self) -> None:
        async with self._change:
            self._version += 1
            self._change.notify_all()

    def _in_worker(self, call: Callable[[], _Result]) -> asyncio.Future[_Result]:
        return asyncio.get_running_loop().run_in_executor(self._worker, call)

    def _add_record(self, record: NewRecord, now: Now) -> None:
        self._pending.entries.append(_entry(record, now))

    def _add_sample(self, line: Struct, at: Now) -> None:
        if len(self._samples) >= MAX_SAMPLES:
            self.samples_dropped += 1
            return
        self._samples.append(NewEntry(kind=EntryKind.READING, body=canonical(line), stamp=_stamp(at)))


def _entry(record: NewRecord, now: Now) -> NewEntry:
    return NewEntry(kind=str(record.kind), body=canonical(record.body), stamp=_stamp(now))


def counter_of(observation: AnyObservation) -> tuple[str, int] | None:
    """Return counter key and value that must commit with this observation, None if it has none."""
    match observation:
        case ButtonReading():
            return f"button/{observation.device_id}/{observation.key_id}", observation.counter
        case LiftReading(source_seq=int() as source_seq):
            return f"lift/{observation.device_id}/ring", source_seq
        case _:
            return None


def last_seen(state: Mapping[str, bytes]) -> LastSeen | None:
    """Return where the time scale stood, from the journal's state keys; None at the first start or if unreadable."""
    value = state.get(LAST_SEEN_KEY)
    try:
        return None if value is None else msgspec.json.decode(value, type=LastSeen)
    except msgspec.DecodeError:
        return None


def last_order(state: Mapping[str, bytes]) -> OrderPlace:
    """Return the last order settled, from the journal's state keys; the lane's start at first or if unreadable.

    Unreadable means that orders may come twice: an acknowledgement is then recorded as a second one, no more.
    """
    value = state.get(ORDERS_KEY)
    try:
        return OrderPlace() if value is None else msgspec.json.decode(value, type=OrderPlace)
    except msgspec.DecodeError:
        return OrderPlace()


def _last_seen(now: Now) -> bytes:
    seen = LastSeen(service_s=now.service_s, wall=now.wall, boot=now.boot, mono_ns=now.mono_ns)
    return msgspec.json.encode(seen)


def _stamp(now: Now) -> Stamp:
    return Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns)


def _resolve(done: asyncio.Future[CommandResult | None], result: CommandResult | None) -> None:
    if not done.done():  # its waiter may have been cancelled
        done.set_result(result)
