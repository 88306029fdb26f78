"""From the sensor's microvolts to the sixteen registers of the gas node. Pure: voltage and time are handed in."""

from micropython import const

from gatehouse_wire import gas_registers as reg

OPEN_UV = const(50_000)
"""Below this the sensor is not connected."""
SHORT_UV = const(2_450_000)
"""Above this its line is shorted to the supply."""
SHORT_WARM_MS = const(5_000)
"""After a restart the heater was never cold: settle for this long instead of the whole warm-up."""
_FAULTY_SAMPLES = const(2)
_TEST_SAMPLES = const(3)
_RELEASE_NUM = const(9)
_RELEASE_DEN = const(10)
"""An alarm bit goes at nine tenths of its set point: no chatter at the edge."""


class Calibration:
    """What the bench measured and set (NVS `gh_cal`). Concentrations in the smallest step of the unit."""

    def __init__(self, store):
        self.zero_uv = store.number("gh_cal", "zero_uv", 400_000)
        self.span_uv = store.number("gh_cal", "span_uv", 1_400_000)
        self.span = store.number("gh_cal", "span", 500)
        self.unit = store.number("gh_cal", "unit", reg.PCT_LEL)
        self.decimals = store.number("gh_cal", "decimals", 1)
        self.low = store.number("gh_cal", "low", 100)
        self.high = store.number("gh_cal", "high", 200)
        self.full = store.number("gh_cal", "full", 1000)
        self.warm_ms = store.number("gh_cal", "warm_ms", 180_000)
        # A node that was never calibrated says so: its value is an estimate.
        self.is_due = (
            store.number("gh_cal", "due", 0 if store.number("gh_cal", "span_uv") is not None else 1) != 0
        )
        if self.span_uv <= self.zero_uv or self.span <= 0:
            self.span_uv = self.zero_uv + 1_000_000
            self.is_due = True

    def steps(self, uv):
        """Return the concentration of a voltage in steps of the unit, rounded to the nearest, never below 0."""
        steps = ((uv - self.zero_uv) * self.span * 2 // (self.span_uv - self.zero_uv) + 1) // 2
        return steps if steps > 0 else 0


class GasMeter:
    """The measuring half of the gas node. One `sample` per measurement; `registers` may be read at any time."""

    def __init__(self, calibration, *, reset_cause, is_cold, firmware, slot):
        """`firmware` and `slot` as in the register map; `is_cold`: the node had no power before this start."""
        self._cal = calibration
        self._warm_ms = calibration.warm_ms if is_cold else min(calibration.warm_ms, SHORT_WARM_MS)
        self._reset_cause = reset_cause
        self._firmware = firmware
        self.slot = slot
        self._heartbeat = 0
        self._uptime_ms = 0
        self._faults = 0
        self._testing = 0
        self._status = reg.WARMING_UP
        self._steps = None
        self._registers = [0] * reg.COUNT
        self._write()

    @property
    def is_alarm(self):
        """Whether gas stands above a set point now."""
        return self._status & (reg.LOW_ALARM | reg.HIGH_ALARM) != 0

    @property
    def is_sensor_good(self):
        """Whether the sensor gives a voltage that can be one."""
        return self._heartbeat > 0 and self._faults == 0

    def registers(self):
        """Return the sixteen registers of the last measurement; treat as read-only."""
        return self._registers

    def may_test(self):
        """Return whether a self-test may hide the value for a moment: never during an alarm."""
        return not self.is_alarm

    def start_test(self):
        """Show SELF_TEST for the next few measurements."""
        self._testing = _TEST_SAMPLES

    def sample(self, uv, uptime_ms):
        """Take one measurement; `uv` None when the converter gave nothing."""
        self._uptime_ms = uptime_ms
        self._heartbeat = (self._heartbeat + 1) & 0xFFFF
        is_bad = uv is None or not OPEN_UV <= uv <= SHORT_UV
        # One odd sample is noise; the value before it stands, an alarm stays.
        self._faults = min(self._faults + 1, _FAULTY_SAMPLES) if is_bad else 0
        if self._faults >= _FAULTY_SAMPLES:
            self._status, self._steps = reg.SENSOR_FAULT, None
        elif self.warm_up_left_ms():
            self._status, self._steps = reg.WARMING_UP, None
        elif not is_bad:
            self._judge(self._cal.steps(uv))
        if self._testing:
            self._testing -= 1
            if not self.is_alarm:
                self._status, self._steps = reg.SELF_TEST | self._status & reg.SENSOR_FAULT, None
        if self._cal.is_due:
            self._status |= reg.CALIBRATION_DUE
        self._write()

    def warm_up_left_ms(self):
        """Return how long the sensor still warms up."""
        return max(0, self._warm_ms - self._uptime_ms)

    def _judge(self, steps):
        cal = self._cal
        status = 0
        for bit, limit in ((reg.LOW_ALARM, cal.low), (reg.HIGH_ALARM, cal.high)):
            is_held = self._status & bit and steps * _RELEASE_DEN > limit * _RELEASE_NUM
            if steps >= limit or is_held:
                status |= bit
        if steps > cal.full:
            # Beyond its range the number means nothing, the alarm everything.
            self._status, self._steps = status | reg.OVER_RANGE, None
            return
        self._status, self._steps = status | reg.MEASURING, steps

    def _write(self):
        cal = self._cal
        scale = 10**cal.decimals
        block = reg.Block(
            status=self._status,
            unit=cal.unit,
            decimals=cal.decimals,
            value=None if self._steps is None else self._steps / scale,
            low_set=cal.low / scale,
            high_set=cal.high / scale,
            full_scale=cal.full / scale,
            heartbeat=self._heartbeat,
            warm_up_left_s=min(self.warm_up_left_ms() / 1000, 6553),
            reset_cause=self._reset_cause,
            uptime_s=self._uptime_ms // 1000,
            firmware=self._firmware,
            slot=self.slot,
        )
        self._registers = reg.encode(block)
