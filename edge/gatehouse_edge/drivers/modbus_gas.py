"""One gas detector on a Modbus bus: which registers are read, and what its answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gatehouse_config.devices import GasDevice
from gatehouse_config.gas_profile import decode
from gatehouse_config.profiles import GasProfile
from gatehouse_edge.clock import Now
from gatehouse_edge.drivers.modbus_plan import Block, Target
from gatehouse_edge.drivers.modbus_query import RegisterFunction
from gatehouse_edge.reading import AnyObservation, GasFlag, GasReading, Quality, Unit

_STALE_POLLS: Final = 3.0
"""A block older than this many periods is not put together with a fresh one."""


class GasUnit:
    """Puts the blocks of one detector together into readings."""

    def __init__(self, device: GasDevice, profile: GasProfile) -> None:
        self.device_id: Final = device.id
        self._profile: Final = profile
        poll_s = max(device.poll_ms, profile.least_poll_ms) / 1000
        function = RegisterFunction(profile.function_code)
        self.target: Final = Target(
            unit_id=device.unit_id,
            # As the profile states them: the vendor says which reads the detector understands.
            blocks=tuple(
                Block(function=function, address=block.start, count=block.count, is_alarm=at == 0)
                for at, block in enumerate(profile.blocks)
            ),
            poll_s=poll_s,
            min_gap_s=profile.min_gap_ms / 1000,
        )
        self._words: dict[int, int] = {}
        self._read_s: list[float | None] = [None] * len(profile.blocks)
        self._is_whole = False
        self._heartbeat: int | None = None
        self._beat_s = 0.0
        self._silence_s: Final = device.max_silence_s
        self._stale_s: Final = _STALE_POLLS * poll_s + self.target.min_gap_s

    def take(self, block: int, values: Sequence[int], now: Now, now_s: float) -> list[AnyObservation]:
        """Return the reading that this block completes: none while another block is missing or too old.

        Raises:
            ProfileError: the detector said something its profile cannot explain.
        """
        start = self.target.blocks[block].address
        self._words.update(zip(range(start, start + len(values)), values, strict=True))
        self._read_s[block] = now_s
        is_whole = all(read_s is not None and now_s - read_s <= self._stale_s for read_s in self._read_s)
        is_first = is_whole and not self._is_whole
        self._is_whole = is_whole
        # One reading per period, when the alarm block is in; the first one as soon as all is known.
        if not is_whole or (block and not is_first):
            return []
        sample = decode(self._profile, self._words)
        if sample.heartbeat != self._heartbeat:
            self._heartbeat, self._beat_s = sample.heartbeat, now_s
        is_stopped = sample.heartbeat is not None and now_s - self._beat_s > self._silence_s
        return [
            GasReading(
                device_id=self.device_id,
                at=now,
                # An answer whose heartbeat stands still is the last measurement, not this one.
                value=None if is_stopped else sample.value,
                unit=Unit(sample.unit),
                quality=Quality.STALE if is_stopped else Quality(sample.quality),
                flags=frozenset(GasFlag(flag) for flag in sample.flags),
                low_set=sample.low_set,
                high_set=sample.high_set,
                full_scale=sample.full_scale,
                temperature_c=sample.temperature_c,
                humidity_pct=sample.humidity_pct,
                warm_up_left_s=sample.warm_up_left_s,
            )
        ]

    def lose(self) -> None:
        """Forget what was read: the detector has fallen silent."""
        self._words.clear()
        self._read_s = [None] * len(self._read_s)
        self._is_whole = False
        self._heartbeat = None
