"""What the lift node makes of its sensors: the state it reports and the events it keeps. Pure: the sensors are handed in."""

from micropython import const

from gatehouse_wire import lift_link

VIBRATION_UV = const(120_000)
"""Peak to peak of a running machine, on a car roof; below it is standing. Bench value, to be set on the first real car."""


class LiftWatch:
    """Call `look` every 50 ms. Changes become events in the ring before anything is sent."""

    def __init__(self, *, sensors, finder, ring, talk, has_zone):
        self._sensors = sensors
        self._finder = finder
        self._ring = ring
        self._talk = talk
        self._has_zone = has_zone
        self._has_pressure = False
        self._last = None
        self._looks = 0

    def look(self, now_ms):
        """Read everything once; return whether a new event waits."""
        sensors = self._sensors
        sensors.door_closed.look()
        sensors.presence.look()
        sensors.zone.look()
        sensors.vibration.look()
        is_pressed = sensors.alarm_button.look() and sensors.alarm_button.is_on
        is_opened = sensors.tamper.look() and sensors.tamper.is_on
        is_switched = sensors.mains.look()
        self._looks += 1
        if self._looks & 1:
            self._read_pressure(now_ms)
        before = self._last
        state = self._state()
        self._talk.state = state
        self._set_flags()
        newest = self._ring.newest
        if is_pressed:
            self._keep(lift_link.CAUSE_ALARM_BUTTON, state, now_ms)
        if is_opened:
            self._keep(lift_link.CAUSE_TAMPER, state, now_ms)
        if is_switched:
            self._keep(lift_link.CAUSE_POWER, state, now_ms)
        if before is not None and state.faults & ~before.faults:
            self._keep(lift_link.CAUSE_SENSOR_FAULT, state, now_ms)
        elif before is not None and _points(before) != _points(state) and not is_pressed:
            self._keep(lift_link.CAUSE_STATE, state, now_ms)
        self._last = state
        self._set_flags()
        return self._ring.newest != newest

    @property
    def is_alarm(self):
        """Whether somebody calls, or may be shut in between floors: no time to restart."""
        state = self._talk.state
        is_shut_in = (
            state.passenger
            and state.door_closed
            and state.car != lift_link.CAR_RUNNING
            and state.door_zone is not True
        )
        return bool(state.alarm_button or is_shut_in)

    def _read_pressure(self, now_ms):
        try:
            pressure = self._sensors.barometer.pressure_pa()
        except OSError:
            self._has_pressure = False
            self._finder.lose()
            return
        self._has_pressure = True
        self._finder.feed(pressure, now_ms, self._sensors.zone.is_on if self._has_zone else None)

    def _state(self):
        sensors = self._sensors
        finder = self._finder
        faults = 0
        car = lift_link.CAR_UNKNOWN
        direction = lift_link.DIRECTION_NONE
        if self._has_pressure:
            car = lift_link.CAR_RUNNING if finder.is_running else lift_link.CAR_STOPPED
            if finder.is_running:
                direction = lift_link.DIRECTION_UP if finder.speed_mm_s > 0 else lift_link.DIRECTION_DOWN
        else:
            faults |= lift_link.FAULT_PRESSURE_SENSOR
            peak = sensors.vibration.peak_uv
            if peak is None:
                faults |= lift_link.FAULT_MOTION_SENSOR
            else:
                car = lift_link.CAR_RUNNING if peak >= VIBRATION_UV else lift_link.CAR_STOPPED
        if self._ring.is_damaged:
            faults |= lift_link.FAULT_RING
        return lift_link.State(
            car=car,
            direction=direction,
            door_zone=sensors.zone.is_on if self._has_zone else None,
            door_closed=sensors.door_closed.is_on,
            passenger=sensors.presence.is_on,
            alarm_button=sensors.alarm_button.is_on,
            mode=lift_link.MODE_UNKNOWN,
            speed_mm_s=max(-32767, min(32767, finder.speed_mm_s)) if self._has_pressure else None,
            faults=faults,
            floor=finder.floor,
        )

    def _set_flags(self):
        flags = 0 if self._sensors.mains.is_on else lift_link.ON_BATTERY
        self._talk.flags = flags | (lift_link.EVENTS_LOST if self._ring.has_lost else 0)

    def _keep(self, cause, state, now_ms):
        self._ring.append(cause=cause, state=state, uptime_ms=now_ms)


def _points(state):
    """Return what makes an event when it changes. Floor and speed are live values only."""
    return (state.car, state.door_zone, state.door_closed, state.passenger, state.alarm_button)
