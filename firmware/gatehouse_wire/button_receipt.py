"""The receipt a help button gets: the gateway writes it to the button after the press is on disk.

After a press the button is connectable for 5 s. The gateway connects and writes these 15 bytes (one ATT write, MTU 23)
to RECEIPT_UUID of SERVICE_UUID; the button checks them and lights its lamp.

| offset | type | name    | unit | meaning                                                                              |
|--------|------|---------|------|--------------------------------------------------------------------------------------|
| 0      | u8   | version |      | 1                                                                                    |
| 1      | u8   | key_id  |      | which of the button's keys made `mac`                                                |
| 2      | u32  | counter |      | of the advert that is answered, little-endian                                        |
| 6      | u8   | status  |      | 1 recorded (on disk, sounding at the desk), 2 acknowledged by a person               |
| 7      | 8 B  | mac     |      | first 8 bytes of mac(LABEL + address (6, as printed) + bytes 0..6); HMAC-SHA256,     |
|        |      |         |      | key = the button's key                                                               |

A button lights its lamp only for the counter of its own last press: an old receipt proves nothing.
Source: our own. The UUIDs are random (version 4), made for this project.
"""

import struct

from gatehouse_wire.crc import same
from gatehouse_wire.errors import FIELD, LENGTH, MAC, VERSION, WireError
from gatehouse_wire.record import Record

SERVICE_UUID = "ef3af7b8-aa87-4f26-a71d-a47e6fe1ef99"
RECEIPT_UUID = "4bbb9e4a-c696-42cc-8606-91613bfbdd18"
LABEL = b"gatehouse button receipt 1"
WINDOW_S = 5
"""How long the button stays connectable after a press."""
RECORDED = 1
ACKNOWLEDGED = 2
BYTES = 15


class Receipt(Record):
    """What the gateway says about one press."""

    def __init__(self, *, key_id: int, counter: int, status: int):
        self.key_id = key_id
        self.counter = counter
        self.status = status


def encode(receipt, address, mac) -> bytes:
    """Return the receipt as written; `address` 6 bytes as printed, `mac(bytes)` at least 8 bytes.

    Raises:
        WireError: reason FIELD; a field does not fit.
    """
    if not (
        0 <= receipt.key_id <= 255
        and 0 <= receipt.counter <= 0xFFFFFFFF
        and receipt.status in (RECORDED, ACKNOWLEDGED)
    ):
        raise WireError(FIELD, "receipt")
    body = struct.pack("<BBIB", 1, receipt.key_id, receipt.counter, receipt.status)
    return bytes(body + _tag(body, address, mac))


def decode(data, address, mac) -> Receipt:
    """Return the receipt in 15 bytes.

    Raises:
        WireError: LENGTH, VERSION, MAC or FIELD.
    """
    if len(data) != BYTES:
        raise WireError(LENGTH, "%d bytes" % len(data))
    data = bytes(data)
    version, key_id, counter, status = struct.unpack("<BBIB", data[:7])
    if version != 1:
        raise WireError(VERSION, "version %d" % version)
    if not same(_tag(data[:7], address, mac), data[7:]):
        raise WireError(MAC, "receipt")
    if status not in (RECORDED, ACKNOWLEDGED):
        raise WireError(FIELD, "status %d" % status)
    return Receipt(key_id=key_id, counter=counter, status=status)


def _tag(body, address, mac):
    if len(address) != 6:
        raise WireError(LENGTH, "address")
    return mac(LABEL + bytes(address) + body)[:8]
