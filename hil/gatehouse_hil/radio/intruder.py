"""Somebody with a ten-euro board: records, replays and forges adverts."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from gatehouse_hil.radio.advert import INFO_TRIGGERED, Event, advertising_data, objects, service_data
from gatehouse_hil.radio.medium import Heard, Medium


class Intruder:
    """Sends adverts under addresses that are not its own; it knows no key."""

    def __init__(self, medium: Medium, *, seed: int = 1) -> None:
        self._medium = medium
        self._rng: Final = random.Random(seed)

    def recorded(self, address: str) -> list[Heard]:
        """Return what has been on air from this address, oldest first."""
        return [heard for heard in self._medium.heard if heard.address == address.upper()]

    def replay(self, heard: Heard) -> None:
        """Send one recorded advert again."""
        self._medium.inject(heard.address, heard.data)

    async def forge(self, addresses: tuple[str, ...], count: int, *, pause_every: int = 20) -> None:
        """Send ``count`` press adverts under these addresses, each with a fresh guess for the key."""
        for number in range(count):
            address = self._rng.choice(addresses)
            counter = self._rng.randrange(2**32)
            plain = objects(counter, battery_pct=50, event=Event.PRESS)
            payload = service_data(self._rng.randbytes(16), address, counter, plain, info=INFO_TRIGGERED)
            self._medium.inject(address, advertising_data(payload))
            if number % pause_every == 0:
                await asyncio.sleep(0)

    async def shout_garbage(self, address: str, count: int) -> None:
        """Send ``count`` BTHome adverts of random length and content under this address."""
        for _ in range(count):
            self._medium.inject(address, advertising_data(self._rng.randbytes(self._rng.randrange(0, 21))))
            await asyncio.sleep(0)
