"""The gas node as a Modbus slave: one request frame in, one reply frame or nothing out. Pure."""

from gatehouse_wire import gas_registers, modbus_rtu
from gatehouse_wire.errors import WireError

_BROADCAST = 0


class Slave:
    """Answers for one unit. `meter` has the registers, `updates` the dialogue of a node update."""

    def __init__(self, *, unit, meter, updates, who, store_unit):
        """`who`: bytes for FC 0x11; `store_unit(n)` writes a new unit id to flash."""
        self.unit = unit
        self._meter = meter
        self._updates = updates
        self._who = who
        self._store_unit = store_unit
        self.answered = 0
        """Requests answered since the start: the gateway is there."""

    def hear(self, frame):
        """Return the reply to a frame, None when it is not for us or not a frame. Never raises."""
        try:
            request = modbus_rtu.parse_request(frame)
        except WireError as error:
            if not error.code or frame[0] != self.unit:
                return None
            return modbus_rtu.exception_reply(unit=self.unit, function=frame[1], code=error.code)
        if request.unit == _BROADCAST or request.unit != self.unit:
            return None
        self.answered += 1
        function = request.function
        if function == modbus_rtu.NODE_UPDATE:
            return modbus_rtu.update_frame(unit=self.unit, data=self._updates.handle(request.data))
        if function == modbus_rtu.REPORT_ID:
            return modbus_rtu.report_id_reply(unit=self.unit, who=self._who)
        if function in (modbus_rtu.READ_HOLDING, modbus_rtu.READ_INPUT):
            return self._read(request)
        code = self._write(request)
        if code:
            return modbus_rtu.exception_reply(unit=request.unit, function=function, code=code)
        return modbus_rtu.write_reply(request)

    def _read(self, request):
        end = request.start + request.count
        if end > gas_registers.START + gas_registers.COUNT:
            return modbus_rtu.exception_reply(
                unit=self.unit, function=request.function, code=modbus_rtu.ILLEGAL_ADDRESS
            )
        registers = self._meter.registers()[request.start : end]
        return modbus_rtu.read_reply(unit=self.unit, function=request.function, registers=registers)

    def _write(self, request):
        """Return 0 or the exception code; all registers of a request are judged before any is written."""
        at = request.start
        for value in request.values:
            if at == gas_registers.UNIT_ID_REGISTER:
                if not 1 <= value <= 247:
                    return modbus_rtu.ILLEGAL_VALUE
            elif at == gas_registers.SELF_TEST_REGISTER:
                if value != gas_registers.SELF_TEST_KEY:
                    return modbus_rtu.ILLEGAL_VALUE
                if not self._meter.may_test():
                    return modbus_rtu.DEVICE_FAILURE
            else:
                return modbus_rtu.ILLEGAL_ADDRESS
            at += 1
        at = request.start
        for value in request.values:
            if at == gas_registers.UNIT_ID_REGISTER:
                self._store_unit(value)
                self.unit = value  # the reply still comes from the unit that was asked
            else:
                self._meter.start_test()
            at += 1
        return 0
