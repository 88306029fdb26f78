"""One I/O board on a Modbus bus: its inputs as readings, its relays read back on every poll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gatehouse_config.devices import Input, IoDevice
from gatehouse_config.profiles import IoProfile
from gatehouse_edge.clock import Now
from gatehouse_edge.drivers.io_board import Order
from gatehouse_edge.drivers.modbus_plan import Block, Target
from gatehouse_edge.drivers.modbus_query import BitFunction, BitQuery, CoilOrder
from gatehouse_edge.reading import AnyObservation, InputReading, Quality

_REFRESHES_PER_SILENCE: Final = 3
"""An unchanged input is said again this many times within the longest silence allowed."""


class _Contact:
    """One input and what it has been lately."""

    def __init__(self, setting: Input) -> None:
        self.setting: Final = setting
        self.level: bool | None = None
        self.candidate: bool | None = None
        self.since_s = 0.0
        self.said_s: float | None = None

    def settle(self, is_high: bool, now_s: float) -> bool:
        """Take a sample; True: the level that counts has changed."""
        if is_high is self.level:
            self.candidate = None
            return False
        if self.candidate is not is_high:
            self.candidate, self.since_s = is_high, now_s
        # The first sample after silence counts at once: there is nothing to bounce against.
        if self.level is None or now_s - self.since_s >= self.setting.debounce_ms / 1000:
            self.level, self.candidate = is_high, None
            return True
        return False


class IoUnit:
    """Blocks 0 and 1 are the inputs and the relays; either may be missing."""

    def __init__(self, device: IoDevice, profile: IoProfile) -> None:
        self.device_id: Final = device.id
        self._profile: Final = profile
        self._refresh_s: Final = device.max_silence_s / _REFRESHES_PER_SILENCE
        self._contacts: Final = tuple(_Contact(setting) for setting in device.inputs)
        inputs = Block(
            function=BitFunction(profile.input_function_code),
            address=profile.input_start,
            count=profile.input_count or 1,
            is_alarm=True,
        )
        coils = Block(
            function=BitFunction.COILS,
            address=profile.coil_start,
            count=profile.coil_count or 1,
            is_alarm=False,
        )
        blocks = ((inputs,) if profile.input_count else ()) + ((coils,) if profile.coil_count else ())
        self.coil_block: Final = blocks.index(coils) if profile.coil_count else None
        """Which block holds the relays."""
        self.target: Final = Target(
            unit_id=device.unit_id,
            blocks=blocks,
            poll_s=max(device.poll_ms, profile.min_poll_ms) / 1000,
            min_gap_s=profile.min_gap_ms / 1000,
        )

    def take(self, block: int, values: Sequence[int], now: Now, now_s: float) -> list[AnyObservation]:
        """Return the inputs that changed, and those that have not been said for a while."""
        if block == self.coil_block:
            return []
        said: list[AnyObservation] = []
        for contact in self._contacts:
            setting = contact.setting
            if setting.point >= len(values):
                continue
            is_changed = contact.settle(bool(values[setting.point]), now_s)
            is_due = contact.said_s is None or now_s - contact.said_s >= self._refresh_s
            if contact.level is None or not (is_changed or is_due):
                continue
            contact.said_s = now_s
            said.append(
                InputReading(
                    device_id=self.device_id,
                    at=now,
                    role=setting.role,
                    is_on=contact.level is (setting.active == "high"),
                    subject=setting.device or "",
                    quality=Quality.GOOD,
                )
            )
        return said

    def bounce_ends_s(self) -> float | None:
        """Return when an input that has just moved is to be sampled again, None: none has."""
        ends = [
            one.since_s + one.setting.debounce_ms / 1000
            for one in self._contacts
            if one.candidate is not None
        ]
        return min(ends, default=None)

    def lose(self) -> None:
        """Forget what the inputs were: the board has fallen silent."""
        for contact in self._contacts:
            contact.level = contact.candidate = contact.said_s = None

    def order(self, order: Order) -> CoilOrder:
        """Return an order in the terms of this board's map."""
        return CoilOrder(
            unit_id=order.unit_id,
            address=self._profile.coil_start + order.point,
            is_on=order.is_on,
            is_multiple=self._profile.write_function_code == 15,  # noqa: PLR2004  # Modbus function 15
        )

    def read_back(self) -> BitQuery:
        """Return the request that reads all relays."""
        return BitQuery(
            unit_id=self.target.unit_id,
            function=BitFunction.COILS,
            address=self._profile.coil_start,
            count=self._profile.coil_count,
        )
