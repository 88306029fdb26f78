"""The air of a test: a simulated bluetoothd on a bus of its own, or on a real rig the machine's own adapter."""

from __future__ import annotations

import asyncio
from typing import Final

from gatehouse_hil.pytest_plugin.subject import Subject, skip_on_rig
from gatehouse_hil.radio.listening import listening
from gatehouse_hil.radio.medium import Medium

BTHOME_UUID: Final = "0000fcd2-0000-1000-8000-00805f9b34fb"


class Radio:
    """Listens with stock bleak, as the gateway does."""

    def __init__(self, medium: Medium | None) -> None:
        self._medium = medium

    @property
    def medium(self) -> Medium:
        """The simulated air with its faults; on a real rig the test skips here."""
        if self._medium is None:
            skip_on_rig("the air's losses are not ours to order")
        return self._medium

    async def hear(self, subject: Subject, *, count: int = 1, timeout_s: float = 30.0) -> list[bytes]:
        """Return the BTHome service data of the next `count` different adverts of this node.

        Raises:
            TimeoutError: there were fewer within `timeout_s`.
        """
        heard: list[bytes] = []
        async with asyncio.timeout(timeout_s), listening() as adverts:
            while len(heard) < count:
                device, advert = await adverts.get()
                payload = advert.service_data.get(BTHOME_UUID)
                if device.address.upper() != subject.address or payload is None or payload in heard:
                    continue
                heard.append(payload)
        return heard
