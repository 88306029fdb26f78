"""Cameras as the gateway runs them, each in a process of its own, and a desk that keeps what they say."""

from __future__ import annotations

import asyncio

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.camera import CameraDriver, CameraSettings
from gatehouse_edge.reading import AnyObservation, CameraReading, Flaw, PictureState

LIMIT_S = 30.0
QUICK = {
    "frozen_after_s": 1.0, "lost_after_s": 2.0, "black_after_s": 0.5, "report_every_s": 0.5, "read_limit_s": 1.0,
}  # fmt: skip


class Desk:
    """An inbox that keeps what cameras say and lets a test wait for the next change."""

    def __init__(self) -> None:
        self.seen: list[AnyObservation] = []
        self._news = asyncio.Condition()

    async def put(self, observation: AnyObservation) -> None:
        async with self._news:
            self.seen.append(observation)
            self._news.notify_all()

    @property
    def readings(self) -> list[CameraReading]:
        return [one for one in self.seen if isinstance(one, CameraReading)]

    @property
    def pictures(self) -> list[PictureState]:
        """Every change, without repeats."""
        seen = [reading.picture for reading in self.readings]
        return [one for one, before in zip(seen, [None, *seen], strict=False) if one is not before]

    async def wait(self, wanted, limit_s: float = LIMIT_S):
        """Return what `wanted(self)` finds, once it is something."""
        async with asyncio.timeout(limit_s), self._news:
            await self._news.wait_for(lambda: wanted(self))
        return wanted(self)

    async def until(self, picture: PictureState, device_id: str = "cam-1") -> CameraReading:
        def latest(_: object) -> CameraReading | None:
            mine = self.of(device_id)
            return mine[-1] if mine and mine[-1].picture is picture else None

        return await self.wait(latest)

    def of(self, device_id: str) -> list[CameraReading]:
        return [reading for reading in self.readings if reading.device_id == device_id]

    async def flaw(self, flaw: Flaw, device_id: str = "cam-1") -> str:
        """Return the words of a flaw once it stands."""
        return await self.wait(lambda desk: (latest := desk.of(device_id)[-1:]) and latest[0].flaws.get(flaw))

    async def well(self, flaw: Flaw, device_id: str = "cam-1") -> None:
        """Return once a flaw was looked for and is not there."""
        await self.wait(lambda desk: (latest := desk.of(device_id)[-1:]) and latest[0].flaws.get(flaw) == "")


class Watch:
    """Runs camera drivers for the length of a test."""

    def __init__(self, *drivers: CameraDriver) -> None:
        self._drivers = drivers

    async def __aenter__(self) -> None:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._running = [self._tasks.create_task(driver.run()) for driver in self._drivers]

    async def __aexit__(self, *error) -> None:
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(*error)


def watching(url: str, desk: Desk, *, camera_id: str = "cam-1", drawn=bytes, **limits) -> CameraDriver:
    settings = CameraSettings(
        camera_id=camera_id,
        url=url,
        open_limit_s=1.0,
        first_retry_s=0.1,
        last_retry_s=0.4,
        **QUICK | limits,
    )
    return CameraDriver(settings, inbox=desk, clock=SystemClock(), drawn=drawn)
