"""What goes wrong in the simulated community, for tests and pictures."""

from __future__ import annotations

from gatehouse_edge.reading import ButtonEvent

GAS = "gas-3-2-1502"
LEVELS = (0.6, 0.9, 1.4, 2.2, 3.6, 5.0, 6.9, 8.4, 11.2, 14.6, 18.1, 23.4)


def leak(estate, name=GAS, *, levels=LEVELS):
    """The level climbs over both set points."""
    for level in levels:
        estate.put(estate.gas(name, level))
    return estate.alarm("gas.high_alarm" if levels[-1] >= 20 else "gas.low_alarm")


def press(estate, name="btn-1-1-602", *, counter=2):
    """Somebody asks for help."""
    estate.put(estate.button(name, ButtonEvent.PRESS, counter=counter))
    return estate.alarm("sos.pressed")


def trap(estate, name="lift-1-2"):
    """The lift stands between floors and the button in the car is pressed."""
    estate.put(estate.lift(name, floor="6", passenger=True, alarm=True, door_zone=False))
    return estate.alarm("lift.alarm_button")


def throw(estate, name="cam-2-n"):
    """Something falls."""
    estate.put(estate.throw(name, 17, 20))
    return estate.alarm("throw.object_falling")


def mute_detector(estate, name="gas-2-1-901"):
    """A detector does not answer any more."""
    estate.put(estate.silence(name))
