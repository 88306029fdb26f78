"""Feeds the watchdog only while every task lives: one that hangs takes the node down and up again, seen and counted."""

import asyncio

WATCHDOG_MS = 8000
_LOOK_MS = 1000


class Supervisor:
    """Each task calls `tick(name)` at least every few seconds; `run` feeds when all of them have."""

    def __init__(self, names, feed):
        self._ticked = {name: False for name in names}
        self._feed = feed

    def tick(self, name):
        """Say that this task lives. No allocation: the name is known already."""
        self._ticked[name] = True

    def look(self):
        """Feed if everybody has ticked since the last feeding; return whether it did."""
        for is_alive in self._ticked.values():
            if not is_alive:
                return False
        for name in self._ticked:
            self._ticked[name] = False
        self._feed()
        return True

    async def run(self):
        """Look once a second."""
        while True:
            self.look()
            await asyncio.sleep_ms(_LOOK_MS)
