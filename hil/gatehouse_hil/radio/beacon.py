"""The mains-powered beacon beside each adapter: as long as it is heard, the scanner is alive."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from bumble import hci, ll
from bumble.controller import Controller

from gatehouse_hil.radio.advert import INFO_PERIODIC, advertising_data, objects, service_data
from gatehouse_hil.radio.medium import Medium


class Beacon:
    """One beacon: an encrypted BTHome advert without event every ``period_s``. Enter it as a context manager."""

    def __init__(
        self, medium: Medium, *, address: str, secret: bytes, period_s: float = 1.0, first_counter: int = 1
    ) -> None:
        self.address: Final = address.upper()
        self.period_s = period_s
        self.is_on = True
        """False: mains lost, it says nothing."""
        self.counter = first_counter
        self._medium = medium
        self._secret = secret
        self._group = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._task = self._group.create_task(self._run(), name="beacon")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._group.__aexit__(None, None, None)

    async def _run(self) -> None:
        controller = Controller("beacon", link=self._medium)
        address = hci.Address(self.address)
        try:
            while True:
                if self.is_on:
                    plain = objects(self.counter, battery_pct=None, event=None)
                    payload = service_data(
                        self._secret, self.address, self.counter, plain, info=INFO_PERIODIC
                    )
                    packet = ll.AdvInd(advertiser_address=address, data=advertising_data(payload))
                    controller.send_advertising_pdu(packet)
                    self.counter += 1
                await asyncio.sleep(self.period_s)
        finally:
            self._medium.remove_controller(controller)
