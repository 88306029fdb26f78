"""What goes wrong in the simulated community, for tests and pictures."""

from __future__ import annotations

from gatehouse_edge.reading import ButtonEvent, GasFlag

GAS = "gas-3-2-1502"
LEVELS = (0.6, 0.9, 1.4, 2.2, 3.6, 5.0, 6.9, 8.4, 11.2, 14.6, 18.1, 23.4)


def leak(estate, name=GAS, *, levels=LEVELS, step_s=0.0):
    """The level climbs over both set points, a step each `step_s` of the gateway's clock."""
    for level in levels:
        estate.clock.shift_s += step_s
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


def throw(estate, name="cam-2-n", *, has_film=False):
    """Something falls, and the camera has it on film."""
    estate.put(estate.throw(name, 17, 20))
    alarm = estate.alarm("throw.object_falling")
    if has_film:
        estate.keep_film(name, alarm)
    return alarm


def mute_detector(estate, name="gas-2-1-901"):
    """A detector does not answer any more: no alarm yet, but nobody calls it on line."""
    estate.put(estate.silence(name))


def fail_detector(estate, name="gas-2-1-901"):
    """A detector says that its sensor is broken."""
    estate.put(estate.gas(name, 0.4, GasFlag.SENSOR_FAULT))
    return estate.alarm("gas.sensor_fault")
