"""Reads SMS-SUBMIT messages the way a service centre does; written apart from the gateway's encoder on purpose.

Source: 3GPP TS 23.040 §9.2.2.2, §9.2.3; TS 23.038 §4 (coding schemes). Knows UCS-2 and 8-bit bodies, not GSM 7-bit.
"""

from __future__ import annotations

from dataclasses import dataclass


class PduError(ValueError):
    """A modem would answer +CMS ERROR 304 (invalid PDU mode parameter)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One submitted message, possibly a part of a longer one."""

    number: str
    """With `+` when the type of address says international."""
    text: str
    reference: int = 0
    parts: int = 1
    index: int = 1


def read_submit(octets: bytes, *, length: int) -> Part:
    """Return the message in `octets` (service centre included), announced with `AT+CMGS=length`.

    Raises:
        PduError: not a well-formed SMS-SUBMIT, or not of the announced length.
    """
    try:
        return _read(octets, length)
    except (IndexError, UnicodeDecodeError) as error:
        raise PduError("cut short") from error


def _read(octets: bytes, length: int) -> Part:
    tpdu = octets[1 + octets[0] :]
    if len(tpdu) != length:
        raise PduError(f"{len(tpdu)} bytes announced as {length}")
    first = tpdu[0]
    if first & 0x03 != 0x01:
        raise PduError("not a SUBMIT")
    number, at = _address(tpdu, 2)
    if tpdu[at] != 0:
        raise PduError("protocol identifier")
    coding = tpdu[at + 1]
    validity_bytes = (0, 7, 1, 7)[first >> 3 & 0x03]
    at += 2 + validity_bytes
    data = tpdu[at + 1 :]
    if len(data) != tpdu[at] or len(data) > 140:
        raise PduError(f"user data of {len(data)} bytes, said to be {tpdu[at]}")
    reference, parts, index = 0, 1, 1
    if first & 0x40:
        header, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        reference, parts, index = _link(header)
    if coding != 0x08:
        raise PduError(f"data coding scheme 0x{coding:02x}")
    return Part(number=number, text=data.decode("utf-16-be"), reference=reference, parts=parts, index=index)


def _address(tpdu: bytes, at: int) -> tuple[str, int]:
    count = tpdu[at]
    if not 1 <= count <= 20:
        raise PduError(f"a number of {count} digits")
    kind = tpdu[at + 1]
    end = at + 2 + (count + 1) // 2
    halves = [half for octet in tpdu[at + 2 : end] for half in (octet & 0x0F, octet >> 4)]
    digits, filling = halves[:count], halves[count:]
    if len(digits) != count or any(half > 9 for half in digits) or any(half != 0x0F for half in filling):
        raise PduError("digits")
    if kind not in {0x91, 0x81, 0xA1}:
        raise PduError(f"type of address 0x{kind:02x}")
    return ("+" if kind == 0x91 else "") + "".join(str(half) for half in digits), end


def _link(header: bytes) -> tuple[int, int, int]:
    at = 0
    while at < len(header):
        kind, size = header[at], header[at + 1]
        body = header[at + 2 : at + 2 + size]
        if kind == 0x00 and size == 3 and 1 <= body[2] <= body[1]:
            return body[0], body[1], body[2]
        if kind == 0x08 and size == 4 and 1 <= body[3] <= body[2]:
            return body[0] << 8 | body[1], body[2], body[3]
        at += 2 + size
    raise PduError("user data header without linking")
