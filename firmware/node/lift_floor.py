"""From air pressure to floor and speed. Pure: pressures and times are handed in.

Height by the international barometric formula (ISO 2533:1975, troposphere). The weather moves the pressure by the height of many
floors within a day, so heights are relative: every stop at a landing pulls the reference to that landing. After a power-on nothing
says which landing this is; the floor stays unknown until the car has travelled from end to end.
"""

from micropython import const

_SPEED_SPAN_MS = const(1000)
RUNNING_MM_S = const(150)
"""A door-to-door creep of relevelling is slower than this."""
STOPPED_MM_S = const(60)
_NEAR_MM = const(900)
"""Farther than this from a landing it is between floors."""
_END_TO_END_MM = const(700)
_PULL_DIV = const(16)


def height_mm(pressure_pa):
    """Return the height in mm at which the standard atmosphere has this pressure."""
    return int(44_330_770 * (1.0 - (pressure_pa / 101_325.0) ** 0.190263))


class FloorFinder:
    """Follows one car. `floors`: (name, height in mm above the lowest landing), rising."""

    def __init__(self, floors):
        self._floors = floors
        self._reference = None
        """Absolute height of the lowest landing; None: unknown."""
        self._lowest = None
        self._highest = None
        self._heights = []
        """(ticks in ms, height) of the last second, oldest first."""
        self.is_running = False
        self.speed_mm_s = 0
        self.floor = ""

    def feed(self, pressure_pa, now_ms, is_level):
        """Take a pressure; `is_level` None when the landing magnet is not there."""
        height = height_mm(pressure_pa)
        heights = self._heights
        heights.append((now_ms, height))
        while now_ms - heights[0][0] > _SPEED_SPAN_MS and len(heights) > 2:
            heights.pop(0)
        span_ms = now_ms - heights[0][0]
        self.speed_mm_s = 0 if span_ms <= 0 else (height - heights[0][1]) * 1000 // span_ms
        speed = abs(self.speed_mm_s)
        if speed >= RUNNING_MM_S:
            self.is_running = True
        elif speed <= STOPPED_MM_S:
            self.is_running = False
        if self._floors:
            self._learn(height)
            self._place(height, is_level)

    def lose(self):
        """The barometer is gone: nothing is known any more."""
        self._heights = []
        self.is_running = False
        self.speed_mm_s = 0
        self.floor = ""

    def _learn(self, height):
        if self._reference is not None or self.is_running:
            return
        self._lowest = height if self._lowest is None else min(self._lowest, height)
        self._highest = height if self._highest is None else max(self._highest, height)
        span = self._floors[-1][1] - self._floors[0][1]
        if abs(self._highest - self._lowest - span) <= _END_TO_END_MM:
            self._reference = self._lowest

    def _place(self, height, is_level):
        if self._reference is None:
            self.floor = ""
            return
        above = height - self._reference
        name, at = self._floors[0]
        for one, landing in self._floors:
            if abs(above - landing) < abs(above - at):
                name, at = one, landing
        self.floor = name if abs(above - at) <= _NEAR_MM else ""
        if is_level and not self.is_running and self.floor:
            self._reference += (above - at) // _PULL_DIV
