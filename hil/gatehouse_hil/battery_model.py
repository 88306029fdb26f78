"""How long a help button's battery lasts, and what its supervision costs. Assumed currents, measured by nobody yet: see each field.

Source of the shape: charge balance per day. Sources of the numbers are beside them; the first thing to do with a real button on a
current probe is to replace them.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MISSED_UNTIL_LOST: Final = 3
"""So many signs of life may fail to come before the gateway calls a button lost (domain row 39)."""
_HOURS_PER_DAY: Final = 24.0
_DAYS_PER_YEAR: Final = 365.25
_S_PER_H: Final = 3600.0


class Draw(Struct, frozen=True, kw_only=True):
    """One phase of a waking: its mean current and how long it lasts."""

    current_ma: float
    lasts_s: float

    @property
    def charge_mah(self) -> float:
        """Return what it takes from the battery."""
        return self.current_ma * self.lasts_s / _S_PER_H


class ButtonBattery(Struct, frozen=True, kw_only=True):
    """One button and its cell."""

    capacity_mah: float = 950.0
    """CR2477, data sheets of several makers: 950 to 1000 mAh at light load."""
    usable: float = 0.7
    """Assumed: pulses of 80 mA and a cut-off at 2.2 V leave the rest in the cell."""
    self_discharge_per_year: float = 0.01
    """Makers say 1 % a year at room temperature."""
    sleep_ma: float = 0.008
    """Assumed: 5 uA of an ESP32-C3 in deep sleep (Espressif data sheet) and 3 uA of the board."""
    start: Draw = Draw(current_ma=40.0, lasts_s=0.4)
    """Assumed: boot of the runtime and import of the program."""
    shout: Draw = Draw(current_ma=60.0, lasts_s=3.0)
    """Assumed: adverts every 30 ms with the processor awake."""
    window: Draw = Draw(current_ma=25.0, lasts_s=5.0)
    """Assumed: adverts every 100 ms; ends earlier when the receipt comes."""
    sign_of_life: Draw = Draw(current_ma=80.0, lasts_s=1.0)
    """Assumed: one second of adverts, radio calibration included."""
    presses_per_day: float = 1.0
    """More than a real resident presses, trial presses included."""

    def life_years(self, *, alive_every_h: float) -> float:
        """Return how long the cell lasts when the button says every `alive_every_h` hours that it lives.

        Raises:
            ValueError: the interval is not above 0.
        """
        if alive_every_h <= 0:
            raise ValueError("an interval is above 0 hours")
        press_mah = self.start.charge_mah + self.shout.charge_mah + self.window.charge_mah
        alive_mah = self.start.charge_mah + self.sign_of_life.charge_mah
        per_day_mah = (
            self.sleep_ma * _HOURS_PER_DAY
            + self.presses_per_day * press_mah
            + _HOURS_PER_DAY / alive_every_h * alive_mah
            + self.capacity_mah * self.self_discharge_per_year / _DAYS_PER_YEAR
        )
        return self.capacity_mah * self.usable / per_day_mah / _DAYS_PER_YEAR


def lost_after_h(*, alive_every_h: float) -> float:
    """Return after how many hours of silence a button counts as lost."""
    return MISSED_UNTIL_LOST * alive_every_h
