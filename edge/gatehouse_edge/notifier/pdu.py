"""Text messages as a modem takes them: SMS-SUBMIT in UCS-2, long ones in linked parts.

| offset | type  | name   | meaning                                                                                     |
|--------|-------|--------|---------------------------------------------------------------------------------------------|
| 0      | u8    | SCA    | 0: the SIM knows its service centre (not counted in the length that AT+CMGS is told)        |
| 1      | u8    | first  | 0x01 SMS-SUBMIT, no validity period; + 0x40 a user data header follows                      |
| 2      | u8    | MR     | message reference; modems put their own                                                     |
| 3      | u8    | DA len | digits of the number                                                                        |
| 4      | u8    | TOA    | 0x91 international (number began with +), 0x81 as dialled                                   |
| 5      | bytes | DA     | digits, two per byte, low half first, 0xF fills                                             |
| ..     | u8    | PID    | 0                                                                                           |
| ..     | u8    | DCS    | 0x08 UCS-2                                                                                  |
| ..     | u8    | UDL    | bytes that follow, at most 140                                                              |
| ..     | 6 B   | UDH    | linked parts only: 05 00 03 reference parts number                                          |
| ..     | bytes | UD     | UTF-16 big-endian                                                                           |

Sources: 3GPP TS 23.040 §9.2.2.2, §9.2.3 (fields), §9.2.3.24.1 (linking); TS 27.005 §3.5.1 and §4.3 (AT+CMGS).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

_ONE_PART: Final = 140
_LINKED_PART: Final = 134
MAX_PARTS: Final = 4
"""A longer text is cut: nobody reads five messages on the way to a fire."""
_ELLIPSIS: Final = "…".encode("utf-16-be")


class Submit(Struct, frozen=True):
    """One message for AT+CMGS."""

    hex: str
    length: int
    """What AT+CMGS is told: bytes without the service centre."""


def submits(number: str, text: str, *, reference: int) -> tuple[Submit, ...]:
    """Return the messages that carry `text` to `number` (3 to 20 digits, `+` in front if international).

    `reference` (0 to 255) links the parts; use another for the next text.

    Raises:
        ValueError: not a number.
    """
    digits = number.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and 3 <= len(digits) <= 20):  # noqa: PLR2004  # as documented
        raise ValueError("not a telephone number")
    swapped = bytes(
        int(low, 16) | int(high, 16) << 4 for low, high in zip(digits[::2], digits[1::2] + "F", strict=False)
    )
    address = bytes([len(digits), 0x91 if number.startswith("+") else 0x81]) + swapped
    parts = _parts(text)
    built = []
    for index, part in enumerate(parts, 1):
        header = bytes([5, 0, 3, reference, len(parts), index]) if len(parts) > 1 else b""
        first = 0x41 if header else 0x01
        data = header + part
        body = bytes([first, reference]) + address + bytes([0, 0x08, len(data)]) + data
        built.append(Submit((b"\x00" + body).hex().upper(), len(body)))
    return tuple(built)


def _parts(text: str) -> list[bytes]:
    whole = text.encode("utf-16-be", "replace")
    if len(whole) <= _ONE_PART:
        return [whole]
    parts: list[bytes] = []
    while whole and len(parts) < MAX_PARTS:
        size = _cut(whole, _LINKED_PART)
        parts.append(whole[:size])
        whole = whole[size:]
    if whole:
        last = parts[-1]
        parts[-1] = last[: _cut(last, _LINKED_PART - len(_ELLIPSIS))] + _ELLIPSIS
    return parts


def _cut(data: bytes, size: int) -> int:
    """Return where to cut so that no surrogate pair is torn."""
    if len(data) <= size:
        return len(data)
    is_high_surrogate = 0xD8 <= data[size - 2] <= 0xDB  # noqa: PLR2004  # UTF-16, RFC 2781 §2.1
    return size - 2 if is_high_surrogate else size
