"""New firmware for one of our nodes, over the bus it hangs on. Little-endian.

Image, as built on a desk and as stored in a slot (the head and the table are the slot's MANIFEST):

| offset | type  | name     | unit | meaning                                                                      |
|--------|-------|----------|------|------------------------------------------------------------------------------|
| 0      | 4 B   | magic    |      | "GHN1"                                                                       |
| 4      | u8    | kind     |      | 1 gas, 2 lift, 3 button, 4 beacon                                            |
| 5      | 3 x u8| version  |      | major, minor, patch                                                          |
| 8      | u16   | abi      |      | low 10 bits of MicroPython's `sys.implementation._mpy` (0x306); 0: source     |
| 10     | u16   | files    |      | 1..48                                                                        |
| 12     | u32   | size     | byte | of the body, at most 256 KiB                                                 |
| 16     | 32 B  | sha256   |      | of the body                                                                  |
| 48     | bytes | body     |      | table, then the files one after the other, nothing between                   |
|        |       |          |      | table: per file u32 size, u8 n (1..40), n bytes of name ("app.mpy", "gatehouse_wire/crc.mpy") |

Dialogue: the gateway asks, the node answers each request with its state. It travels as the data of Modbus function 0x41
(`modbus_rtu.NODE_UPDATE`) and as the payload of UPDATE and UPDATE_ANSWER (`lift_link`).

| request     | bytes                                                                                        |
|-------------|----------------------------------------------------------------------------------------------|
| ASK 1 B     | 0x01                                                                                         |
| OFFER 67 B  | 0x02, key_id u8, flags u8 (bit 0: an older version is permitted), head 48 B, mac 16 B          |
| CHUNK       | 0x03, offset u32 in the body, 1..128 bytes, crc16_ccitt u16 of everything before              |
| FINISH 1 B  | 0x04: the body is whole; check it, make its slot the next to start, restart                  |
| ABORT 1 B   | 0x05: forget it                                                                              |

| answer 20 B | 0 op + 0x80 u8, 1 verdict u8, 2 phase u8 (0 idle, 1 receiving, 2 restarting), 3 kind u8,      |
|             | 4 version running 3 x u8, 7 slot u8 (bit 0: b, bit 1: confirmed), 8 next offset wanted u32,   |
|             | 12 nonce 8 B                                                                                 |

mac: first 16 bytes of mac(LABEL + node id u16 + nonce 8 B + key_id + flags + head); HMAC-SHA256 with the node's key.
The nonce is the one of the node's last answer: it is random, and new after every start and every update, so a recorded
offer is worth nothing. A chunk at another offset than the wanted one is not taken; the answer says which is.
Lost answers cost nothing: an OFFER or CHUNK that comes twice is answered as the first time.

Source: our own.
"""

import struct

from gatehouse_wire.crc import crc16_ccitt, same
from gatehouse_wire.errors import CRC, FIELD, LENGTH, MAC, TYPE, VERSION, WireError
from gatehouse_wire.record import Record

MAGIC = b"GHN1"
LABEL = b"gatehouse node update 1"
KINDS = ("", "gas", "lift", "button", "beacon")
GAS = 1
LIFT = 2
BUTTON = 3
BEACON = 4
HEAD_BYTES = 48
MAX_FILES = 48
MAX_NAME = 40
MAX_BODY = 262144
MAX_TABLE = MAX_FILES * (5 + MAX_NAME)
MAX_CHUNK = 128
MAC_BYTES = 16
NONCE_BYTES = 8

ASK = 0x01
OFFER = 0x02
CHUNK = 0x03
FINISH = 0x04
ABORT = 0x05
ANSWER = 0x80
ANSWER_BYTES = 20

OLDER_PERMITTED = 0x01

IDLE = 0
RECEIVING = 1
RESTARTING = 2

DONE = 0
MALFORMED = 1
FORGED = 2
"""The authenticator is wrong: another node's, a recording, another key."""
WRONG_KIND = 3
OLDER = 4
"""The version is older than the one running, and no permit came with it."""
UNCONFIRMED = 5
"""The running slot has not confirmed itself: there would be nothing to fall back to."""
OFFSET = 6
BAD_CHUNK = 7
BAD_BODY = 8
"""The whole does not hash to what the head says, or ends too early."""
NO_OFFER = 9
FLASH = 10
ABI = 11
IN_ALARM = 12
"""The node sees an alarm; it will not go away for a restart now."""
VERDICTS = (
    "done", "malformed", "forged", "wrong_kind", "older", "unconfirmed", "offset", "bad_chunk", "bad_body", "no_offer",
    "flash", "abi", "in_alarm",
)  # fmt: skip


class Head(Record):
    """What an image is: the first 48 bytes of it."""

    def __init__(self, *, kind: int, version, abi: int, files: int, size: int, sha256):
        self.kind = kind
        self.version = tuple(version)
        self.abi = abi
        self.files = files
        self.size = size
        self.sha256 = sha256


class Request(Record):
    """One request; fields that its `op` has not are None."""

    def __init__(self, op: int, *, key_id=None, flags=None, head=None, mac=None, offset=None, data=None):
        self.op = op
        self.key_id = key_id
        self.flags = flags
        self.head = head
        self.mac = mac
        self.offset = offset
        self.data = data


class Answer(Record):
    """The node's state after a request."""

    def __init__(  # noqa: PLR0913  # one argument per field
        self,
        *,
        op: int,
        verdict: int,
        phase: int,
        kind: int,
        version,
        is_slot_b: bool,
        is_confirmed: bool,
        wanted: int,
        nonce,
    ):
        self.op = op
        self.verdict = verdict
        self.phase = phase
        self.kind = kind
        self.version = tuple(version)
        self.is_slot_b = is_slot_b
        self.is_confirmed = is_confirmed
        self.wanted = wanted
        self.nonce = nonce


def pack_head(head) -> bytes:
    """Return the 48 bytes of a head."""
    return bytes(
        struct.pack(
            "<4sBBBBHHI32s",
            MAGIC, head.kind, head.version[0], head.version[1], head.version[2], head.abi, head.files, head.size, head.sha256,
        )
    )  # fmt: skip


def parse_head(data) -> Head:
    """Return the head in the first 48 bytes of `data`.

    Raises:
        WireError: LENGTH, VERSION (magic) or FIELD.
    """
    if len(data) < HEAD_BYTES:
        raise WireError(LENGTH, "head of %d bytes" % len(data))
    magic, kind, major, minor, patch, abi, files, size, digest = struct.unpack(
        "<4sBBBBHHI32s", bytes(data[:HEAD_BYTES])
    )
    if magic != MAGIC:
        raise WireError(VERSION, "magic")
    if not (1 <= kind < len(KINDS) and 1 <= files <= MAX_FILES and files * 6 <= size <= MAX_BODY):
        raise WireError(FIELD, "kind %d, %d files, %d bytes" % (kind, files, size))
    return Head(kind=kind, version=(major, minor, patch), abi=abi, files=files, size=size, sha256=digest)


def parse_table(body, head):
    """Return (files, bytes of the table), files as (name, size); None while `body` does not hold the whole table yet.

    Raises:
        WireError: FIELD; a name that could leave the slot, twice the same, or sizes that are not those of the body.
    """
    at = 0
    files = []
    total = 0
    for _ in range(head.files):
        if len(body) < at + 5:
            return None
        size, length = struct.unpack("<IB", bytes(body[at : at + 5]))
        if not 1 <= length <= MAX_NAME:
            raise WireError(FIELD, "name of %d bytes" % length)
        if len(body) < at + 5 + length:
            return None
        name = bytes(body[at + 5 : at + 5 + length])
        if not _is_name(name) or name in [known for known, _ in files]:
            raise WireError(FIELD, "name")
        at += 5 + length
        total += size
        files.append((name, size))
    if at + total != head.size:
        raise WireError(FIELD, "%d bytes in files, %d in the head" % (at + total, head.size))
    return [(name.decode(), size) for name, size in files], at


def build_image(files, *, kind: int, version, abi: int, sha256) -> bytes:
    """Return an image of `files`, a list of (name, bytes); `sha256(bytes)` returns the digest.

    Raises:
        WireError: FIELD; a name, a count or a size the format does not allow.
    """
    table = b""
    contents = b""
    for name, data in files:
        raw = name.encode()
        if not 1 <= len(raw) <= MAX_NAME:
            raise WireError(FIELD, "name %s" % name)
        table += struct.pack("<IB", len(data), len(raw)) + raw
        contents += bytes(data)
    body = table + contents
    head = Head(kind=kind, version=version, abi=abi, files=len(files), size=len(body), sha256=sha256(body))
    image = pack_head(head) + body
    parse_table(body, parse_head(image))  # what a node would refuse is not built
    return bytes(image)


def parse_image(image, sha256) -> Head:
    """Return the head of a whole image after checking every byte of it.

    Raises:
        WireError: LENGTH, VERSION, FIELD, or MAC when the body does not hash to what the head says.
    """
    head = parse_head(image)
    body = image[HEAD_BYTES:]
    if len(body) != head.size:
        raise WireError(LENGTH, "body of %d bytes, the head says %d" % (len(body), head.size))
    if not same(sha256(bytes(body)), head.sha256):
        raise WireError(MAC, "body")
    parse_table(body, head)
    return head


def ask() -> bytes:
    """Return the request for the node's state."""
    return bytes([ASK])


def finish() -> bytes:
    """Return the request to check the body and restart into it."""
    return bytes([FINISH])


def abort() -> bytes:
    """Return the request to forget what was received."""
    return bytes([ABORT])


def offer(head, *, key_id: int, flags: int, node_id: int, nonce, mac) -> bytes:
    """Return the request to take the image whose 48 bytes are `head`. `mac(bytes)`: HMAC-SHA256 with the node's key."""
    if len(head) != HEAD_BYTES or flags & ~OLDER_PERMITTED or not 0 <= key_id <= 255:
        raise WireError(FIELD, "offer")
    return bytes([OFFER, key_id, flags]) + bytes(head) + _tag(head, key_id, flags, node_id, nonce, mac)


def is_genuine(request, *, node_id: int, nonce, mac) -> bool:
    """Return whether an OFFER was made for this node, with its key, after its nonce."""
    expected = _tag(request.head, request.key_id, request.flags, node_id, nonce, mac)
    return same(expected, request.mac)


def chunk(offset: int, data) -> bytes:
    """Return the request that carries `data` (1 to 128 bytes) of the body."""
    if not 1 <= len(data) <= MAX_CHUNK or not 0 <= offset <= MAX_BODY:
        raise WireError(FIELD, "chunk")
    out = struct.pack("<BI", CHUNK, offset) + bytes(data)
    return bytes(out + struct.pack("<H", crc16_ccitt(out)))


def parse_request(data) -> Request:
    """Return the request in `data`. Whether an offer is genuine is not judged here.

    Raises:
        WireError: LENGTH, TYPE, FIELD or CRC.
    """
    if not data:
        raise WireError(LENGTH, "empty")
    data = bytes(data)
    op = data[0]
    if op in (ASK, FINISH, ABORT):
        if len(data) != 1:
            raise WireError(LENGTH, "%d bytes" % len(data))
        return Request(op)
    if op == OFFER:
        if len(data) != 3 + HEAD_BYTES + MAC_BYTES:
            raise WireError(LENGTH, "offer of %d bytes" % len(data))
        if data[2] & ~OLDER_PERMITTED:
            raise WireError(FIELD, "flags")
        head = data[3 : 3 + HEAD_BYTES]
        parse_head(head)
        return Request(op, key_id=data[1], flags=data[2], head=head, mac=data[3 + HEAD_BYTES :])
    if op != CHUNK:
        raise WireError(TYPE, "op 0x%02x" % op)
    if not 8 <= len(data) <= 7 + MAX_CHUNK:
        raise WireError(LENGTH, "chunk of %d bytes" % len(data))
    if crc16_ccitt(data[:-2]) != data[-2] | data[-1] << 8:
        raise WireError(CRC, "chunk")
    return Request(op, offset=struct.unpack("<I", data[1:5])[0], data=data[5:-2])


def pack_answer(answer) -> bytes:
    """Return the 20 bytes of an answer."""
    slot = (1 if answer.is_slot_b else 0) | (2 if answer.is_confirmed else 0)
    major, minor, patch = answer.version
    return bytes(
        struct.pack(
            "<BBBBBBBBI",
            answer.op | ANSWER, answer.verdict, answer.phase, answer.kind, major, minor, patch, slot, answer.wanted,
        )
        + answer.nonce
    )  # fmt: skip


def parse_answer(data) -> Answer:
    """Return the answer in 20 bytes.

    Raises:
        WireError: LENGTH, TYPE or FIELD.
    """
    if len(data) != ANSWER_BYTES:
        raise WireError(LENGTH, "%d bytes" % len(data))
    data = bytes(data)
    op, verdict, phase, kind, major, minor, patch, slot, wanted = struct.unpack("<BBBBBBBBI", data[:12])
    if not ASK <= op & ~ANSWER <= ABORT or not op & ANSWER:
        raise WireError(TYPE, "op 0x%02x" % op)
    if verdict >= len(VERDICTS) or phase > RESTARTING or not 1 <= kind < len(KINDS) or slot & ~3:
        raise WireError(FIELD, "verdict %d, phase %d, kind %d, slot %d" % (verdict, phase, kind, slot))
    return Answer(
        op=op & ~ANSWER,
        verdict=verdict,
        phase=phase,
        kind=kind,
        version=(major, minor, patch),
        is_slot_b=bool(slot & 1),
        is_confirmed=bool(slot & 2),
        wanted=wanted,
        nonce=data[12:],
    )


def _tag(head, key_id, flags, node_id, nonce, mac):
    if len(nonce) != NONCE_BYTES:
        raise WireError(LENGTH, "nonce")
    bound = struct.pack("<H", node_id) + bytes(nonce) + bytes([key_id, flags]) + bytes(head)
    return mac(LABEL + bound)[:MAC_BYTES]


def _is_name(name):
    for byte in name:
        if not (0x61 <= byte <= 0x7A or 0x30 <= byte <= 0x39 or byte in b"_./"):
            return False
    return not (name[0] in b"./" or name[-1] in b"./" or b".." in name or b"//" in name or b"/." in name)
