"""Any order of appending, restarting, erasing, trimming, signing and new epochs keeps both chains whole."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gatehouse_journal import Batch, Journal, Lane, Limits, NewEntry, Reader, Signer, Stamp, canonical

_LIMITS = Limits(ballast_bytes=0, telemetry_quota_bytes=64 * 1024, checkpoint_every=15)


class Life(RuleBasedStateMachine):
    """A journal beside a plain list of what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self._home = tempfile.TemporaryDirectory()
        self.directory = Path(self._home.name)
        self.second = 0
        self.boot = 0
        self.alarms: dict[int, bytes | None] = {}
        self.state: dict[str, bytes] = {}
        self.telemetry_seen = 0
        self.journal = self._open()

    def _stamp(self) -> Stamp:
        self.second += 1
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.second)
        return Stamp(at=at, boot=f"{self.boot:032x}", mono_ns=self.second)

    def _open(self) -> Journal:
        return Journal.open(
            self.directory, limits=_LIMITS, signer=Signer.load_or_create(self.directory), stamp=self._stamp()
        )

    @rule(bodies=st.lists(st.binary(max_size=300), max_size=4), state=st.dictionaries(st.text(max_size=4), st.none() | st.binary(max_size=9), max_size=3))  # fmt: skip
    def commit(self, bodies: list[bytes], state: dict[str, bytes | None]) -> None:
        new = [NewEntry(kind="alarm", body=body, stamp=self._stamp()) for body in bodies]
        for entry in self.journal.commit(Batch(entries=new, state=state)):
            assert entry.seq not in self.alarms
            self.alarms[entry.seq] = entry.body
        for key, value in state.items():
            self.state.pop(key, None)
            self.state.update({key: value} if value is not None else {})

    @rule(count=st.integers(1, 30))
    def telemetry(self, count: int) -> None:
        new = [NewEntry(kind="reading", body=canonical({"v": n}), stamp=self._stamp()) for n in range(count)]
        entries = self.journal.append_telemetry(new)
        assert entries[0].seq > self.telemetry_seen
        self.telemetry_seen = entries[-1].seq

    @rule(is_new_boot=st.booleans())
    def restart(self, is_new_boot: bool) -> None:
        self.journal.close()
        self.boot += is_new_boot
        self.journal = self._open()
        assert self.journal.load_state() == self.state

    @rule()
    def sign(self) -> None:
        self.journal.checkpoint(self._stamp())

    @rule()
    def trim(self) -> None:
        self.journal.trim(self._stamp())

    @rule()
    def begin_epoch(self) -> None:
        self.journal.new_epoch("asked for", self._stamp())

    @precondition(lambda self: self.alarms)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.alarms)))
        self.journal.erase(Lane.ALARM, [(seq, seq)], reason="test", stamp=self._stamp())
        self.alarms[seq] = None

    @invariant()
    def everything_is_as_written(self) -> None:
        with Reader.open(self.directory) as reader:
            assert reader.verify().faults == ()
            entries = reader.read(Lane.ALARM, 0, 10_000)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert {entry.seq: entry.body for entry in entries if entry.kind == "alarm"} == self.alarms

    def teardown(self) -> None:
        self.journal.close()
        self._home.cleanup()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=20, deadline=None)
