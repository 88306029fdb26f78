"""Power of the nodes under test."""

from __future__ import annotations

from gatehouse_hil.pytest_plugin.subject import Subject
from gatehouse_hil.simnode import Cut


class Power:
    """Switches nodes. On a real rig "off" counts only when it is really off (`gatehouse_hil.bench.power`)."""

    async def on(self, subject: Subject) -> None:
        """Give power."""
        await subject.on()

    async def off(self, subject: Subject) -> None:
        """Take it."""
        await subject.off()

    async def cycle(self, subject: Subject) -> None:
        """Take it and give it back."""
        await subject.off()
        await subject.on()

    def cut_at_write(self, subject: Subject, n: int, how: Cut = Cut.TORN) -> None:
        """Lose power during the n-th flash write from now; skips on a real rig."""
        subject.simulated.cut_power_at_write(n, how)
