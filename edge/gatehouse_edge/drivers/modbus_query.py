"""What may be asked of a Modbus unit, and what is accepted as its answer. Pure; pymodbus writes and reads the PDUs.

A lift's port is read-only by law of its maker: whoever holds a `RegisterQuery` can say functions 3 and 4 and nothing
else, so a lift driver built on `RegisterReader` cannot write, by type (domain row 29).
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

from msgspec import Struct
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from gatehouse_edge.reading import SilenceReason
from gatehouse_wire import modbus_rtu, node_update

MOST_REGISTERS: Final = 125
"""Modbus application protocol V1.1b3 §6.3."""
MOST_BITS: Final = 2000
_EXCEPTION: Final = 0x80
_EXCEPTION_FRAME_BYTES: Final = 5
_WRITE_FRAME_BYTES: Final = 8
_WRITE_PDU_BYTES: Final = 5
_UPDATE_FRAME_BYTES: Final = node_update.ANSWER_BYTES + 4
_HUNT_LIMIT_BYTES: Final = 1024
"""Bytes kept while waiting for one answer: four of the longest frames; a babbling line grows nothing."""
_DECODE: Final = DecodePDU(is_server=False)


class RegisterFunction(IntEnum):
    """The two functions that read registers."""

    HOLDING = 3
    INPUT = 4


class BitFunction(IntEnum):
    """The two functions that read bits."""

    COILS = 1
    INPUTS = 2


class RegisterQuery(Struct, frozen=True, kw_only=True):
    """Read `count` registers (1 to 125) from `address` of one unit (1 to 247)."""

    unit_id: int
    function: RegisterFunction
    address: int
    count: int

    def __post_init__(self) -> None:
        _check(self.unit_id, self.address, self.count, MOST_REGISTERS)


class BitQuery(Struct, frozen=True, kw_only=True):
    """Read `count` coils or discrete inputs (1 to 2000) from `address`."""

    unit_id: int
    function: BitFunction
    address: int
    count: int

    def __post_init__(self) -> None:
        _check(self.unit_id, self.address, self.count, MOST_BITS)


class CoilOrder(Struct, frozen=True, kw_only=True):
    """Switch one coil. Only a bus with outputs can send it."""

    unit_id: int
    address: int
    is_on: bool
    is_multiple: bool = False
    """True: function 15 with one coil, for boards that do not know function 5."""

    def __post_init__(self) -> None:
        _check(self.unit_id, self.address, 1, 1)


class UpdateOrder(Struct, frozen=True, kw_only=True):
    """One request of a node update (`gatehouse_wire.node_update`), to a node of ours. Its answer tells which request it answers."""

    unit_id: int
    data: bytes

    def __post_init__(self) -> None:
        _check(self.unit_id, 0, 1, 1)


Query = RegisterQuery | BitQuery | CoilOrder | UpdateOrder


class Evidence(StrEnum):
    """What was on the line instead of an answer."""

    NOTHING = "nothing"
    GARBAGE = "garbage"
    ANOTHER_UNIT = "another_unit"


class ModbusError(Exception):
    """No believable answer; `reason` is what becomes of it in a `Silence`."""

    reason = SilenceReason.NO_ANSWER


class NoAnswerError(ModbusError):
    """Nothing came in time."""


class BadFrameError(ModbusError):
    """Something came, and it was no frame: bad CRC, wrong length, noise."""

    reason = SilenceReason.BAD_FRAME


class WrongAnswerError(ModbusError):
    """A frame came that cannot be the answer: another unit's, another function's."""

    reason = SilenceReason.WRONG_ANSWER


class RefusedError(ModbusError):
    """The unit answered with an exception; `code` is its number (V1.1b3 §7)."""

    reason = SilenceReason.REFUSED

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code: Final = code


class PortLostError(ModbusError):
    """The port or the connection is gone."""

    reason = SilenceReason.PORT_LOST


class PortBusyError(PortLostError):
    """Another program holds the port."""


def _check(unit_id: int, address: int, count: int, limit: int) -> None:
    if not 1 <= unit_id <= 247:  # noqa: PLR2004  # unit ids of V1.02 §2.2; 0 is broadcast and has no answer
        raise ValueError(f"unit_id {unit_id} is not in 1 to 247")
    if not 1 <= count <= limit or not 0 <= address <= 0x10000 - count:
        raise ValueError(f"{count} items from {address} are not addressable")


def request_pdu(query: Query) -> bytes:
    """Return the request as the bytes between the address and the check sum."""
    pdu: ModbusPDU
    match query:
        case RegisterQuery(function=RegisterFunction.HOLDING):
            pdu = ReadHoldingRegistersRequest(address=query.address, count=query.count)
        case RegisterQuery():
            pdu = ReadInputRegistersRequest(address=query.address, count=query.count)
        case BitQuery(function=BitFunction.COILS):
            pdu = ReadCoilsRequest(address=query.address, count=query.count)
        case BitQuery():
            pdu = ReadDiscreteInputsRequest(address=query.address, count=query.count)
        case CoilOrder(is_multiple=True):
            pdu = WriteMultipleCoilsRequest(address=query.address, bits=[query.is_on])
        case CoilOrder():
            pdu = WriteSingleCoilRequest(address=query.address, bits=[query.is_on])
        case UpdateOrder():
            return bytes([modbus_rtu.NODE_UPDATE]) + query.data
    return bytes([pdu.function_code]) + pdu.encode()


def request_frame(query: Query) -> bytes:
    """Return the request as an RTU frame."""
    body = bytes([query.unit_id]) + request_pdu(query)
    return body + _crc(body)


def reply_bytes(query: Query) -> int:
    """Return the length of the RTU frame that answers `query`."""
    match query:
        case RegisterQuery():
            return 5 + 2 * query.count
        case BitQuery():
            return 5 + (query.count + 7) // 8
        case CoilOrder():
            return _WRITE_FRAME_BYTES
        case UpdateOrder():
            return _UPDATE_FRAME_BYTES


def accept(query: Query, pdu: bytes) -> tuple[int, ...]:
    """Return the values in a reply PDU: registers, bits as 0 and 1, the bytes of an update's answer; none for a `CoilOrder`.

    Raises:
        RefusedError: the unit answered with an exception.
        WrongAnswerError: another function, another length, another coil than asked for.
    """
    function = request_pdu(query)[0] if isinstance(query, CoilOrder | UpdateOrder) else int(query.function)
    if len(pdu) == 2 and pdu[0] == function | _EXCEPTION:  # noqa: PLR2004  # function and code
        raise RefusedError(pdu[1])
    if len(pdu) != reply_bytes(query) - 3 or pdu[0] != function:
        raise WrongAnswerError(f"function {pdu[0] if pdu else None}, {len(pdu)} bytes")
    if isinstance(query, CoilOrder):
        if pdu != request_pdu(query)[:_WRITE_PDU_BYTES]:
            raise WrongAnswerError("confirms another coil")
        return ()
    if isinstance(query, UpdateOrder):
        return tuple(pdu[1:])
    if pdu[1] != len(pdu) - 2:
        raise WrongAnswerError(f"declares {pdu[1]} bytes, holds {len(pdu) - 2}")
    reply = _DECODE.decode(pdu)
    if reply is None:
        raise WrongAnswerError("not decodable")
    if isinstance(query, RegisterQuery):
        return tuple(reply.registers)
    return tuple(int(bit) for bit in reply.bits[: query.count])


class Hunt:
    """Looks for the one RTU answer to one query in whatever comes down the line.

    Bytes before, between and after are stepped over: our own echo, foreign frames, noise. A frame is taken only if
    unit, function, length and CRC are those of the answer asked for.
    """

    def __init__(self, query: Query, request: bytes, *, is_echo_known: bool = False) -> None:
        self._query: Final = query
        self._request: Final = request
        self._length: Final = reply_bytes(query)
        self._function: Final = request[1]
        self._heard = bytearray()
        self._is_echo_possible = is_echo_known or not isinstance(query, CoilOrder)
        """The confirmation of a coil order equals its echo, so there an echo is stripped only when known to exist."""
        self.is_echo_seen = False
        self.pdu: bytes | None = None

    @property
    def is_begun(self) -> bool:
        """True: something besides our own echo has come."""
        heard, request = self._heard, self._request
        return bool(heard) and not (
            self._is_echo_possible and not self.is_echo_seen and request.startswith(heard)
        )

    @property
    def heard_bytes(self) -> int:
        """How many bytes have come, our own echo left out."""
        return len(self._heard)

    def feed(self, content: bytes) -> bool:
        """Take bytes from the line; True: `pdu` now holds the answer."""
        heard = self._heard
        heard += content
        if self._is_echo_possible and not self.is_echo_seen:
            if heard.startswith(self._request):
                del heard[: len(self._request)]
                self.is_echo_seen = True
            elif self._request.startswith(heard):
                return False
        del heard[:-_HUNT_LIMIT_BYTES]
        at = heard.find(self._query.unit_id)
        while at >= 0:
            if (pdu := self._frame_at(at)) is not None:
                self.pdu = pdu
                return True
            at = heard.find(self._query.unit_id, at + 1)
        return False

    def _frame_at(self, at: int) -> bytes | None:
        heard = self._heard
        if len(heard) < at + _EXCEPTION_FRAME_BYTES:
            return None
        function = heard[at + 1]
        if function == self._function | _EXCEPTION:
            length = _EXCEPTION_FRAME_BYTES
        elif function != self._function:
            return None
        else:
            length = self._length
            if length > len(heard) - at or not (
                isinstance(self._query, CoilOrder | UpdateOrder)
                or heard[at + 2] == length - _EXCEPTION_FRAME_BYTES
            ):
                return None
        frame = bytes(heard[at : at + length])
        return frame[1:-2] if _crc(frame[:-2]) == frame[-2:] else None

    def evidence(self) -> Evidence:
        """Return what the line carried, once the time is up."""
        heard = bytes(self._heard)
        if not heard or (self._is_echo_possible and self._request.startswith(heard)):
            return Evidence.NOTHING
        for at in range(len(heard) - _EXCEPTION_FRAME_BYTES + 1):
            for end in _possible_ends(heard, at):
                if end <= len(heard) and _crc(heard[at : end - 2]) == heard[end - 2 : end]:
                    return Evidence.ANOTHER_UNIT
        return Evidence.GARBAGE


def silence_error(evidence: Evidence) -> ModbusError:
    """Return the error that tells people what `evidence` means."""
    match evidence:
        case Evidence.NOTHING:
            return NoAnswerError("no answer")
        case Evidence.GARBAGE:
            return BadFrameError("bytes came, but no whole frame")
        case Evidence.ANOTHER_UNIT:
            return WrongAnswerError("a frame came that does not answer this request")


def _possible_ends(heard: bytes, at: int) -> tuple[int, ...]:
    function = heard[at + 1]
    if function & _EXCEPTION:
        return (at + _EXCEPTION_FRAME_BYTES,)
    if function in {1, 2, 3, 4}:
        return (at + _EXCEPTION_FRAME_BYTES + heard[at + 2], at + _WRITE_FRAME_BYTES)
    return (at + _WRITE_FRAME_BYTES,)


def _crc(content: bytes) -> bytes:
    return FramerRTU.compute_CRC(content).to_bytes(2, "big")
