"""The city's side of each dialect, written a second time on purpose: an oracle for the adapters of the fleet server."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from typing import Any, Final

from gatehouse_events.event import EventError
from gatehouse_events.validation import validate
from gatehouse_hil.city_shelf import Arrived

ONE_HOT_PATHS: Final = {
    "/hjdata-server/fault/postLiftFault": "fault",
    "/hjdata-server/event/postEventFault": "event",
    "/hjdata-server/realtime/postLiftMessage": "realtime",
}
_ONE_HOT_FIELDS: Final = (
    "projectId",
    "projectName",
    "address",
    "deviceNo",
    "buildNo",
    "locationeCode",
    "liftNo",
    "messageId",
    "timeStamp",
)
FIRE_HEAD: Final = 27
FIRE_TAIL: Final = 3
_OBJECT: Final = 46
_MAX_SKEW_S: Final = 300


class RefusedError(Exception):
    """The platform does not take this; `status` is what HTTP says."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def check_signature(key: bytes | None, headers: dict[str, str], body: bytes, *, now_s: float) -> None:
    """Refuse what is not signed with the shared key within five minutes."""
    if key is None:
        return
    stamp = headers.get("x-gatehouse-timestamp", "")
    made = "sha256=" + hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(made, headers.get("x-gatehouse-signature", "")):
        raise RefusedError(401, "signature")
    if not stamp.isdecimal() or abs(int(stamp) - now_s) > _MAX_SKEW_S:
        raise RefusedError(401, "stale signature")


def cloud_event(body: bytes, *, via: str) -> Arrived:
    """Return an event that satisfies the published schema."""
    try:
        document: dict[str, Any] = json.loads(body)
        validate(document)
    except (ValueError, EventError) as error:
        raise RefusedError(422, f"schema: {str(error)[:300]}") from error
    data = document["data"]
    return Arrived(
        via=via,
        id=document["id"],
        alarm=f"{document['source']}/{data['alarm_id']}",
        seq=data["seq"],
        body=document,
    )


def one_hot(path: str, body: bytes) -> Arrived:
    """Return a message of the one-hot dialect."""
    try:
        document: dict[str, Any] = json.loads(body)
        group = document[ONE_HOT_PATHS[path]]
        missing = [name for name in _ONE_HOT_FIELDS if name not in document]
        on = [key for key, value in group["data"].items() if value == "Y"]
        off = [key for key, value in group["data"].items() if value == "N"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(400, f"not this dialect: {error!r}") from error
    if missing or len(on) != 1 or len(on) + len(off) != len(group["data"]):
        raise RefusedError(400, f"missing {missing}, on {on}")
    if not document["timeStamp"].isdecimal() or len(document["timeStamp"]) != 13:
        raise RefusedError(400, "timeStamp is in milliseconds")
    return Arrived(via="one_hot", id=document["messageId"], body=document)


def info(document: dict[str, Any], count: int) -> Arrived:
    """Return an info frame; the dialect has no ids, so its place in the stream stands for one."""
    return Arrived(
        via="text",
        id=f"{hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]}-{count}",
        body=document,
    )


def fire_status(frame: bytes) -> Arrived:
    """Return the component status in a whole GB/T 26875.3 frame."""
    length = struct.unpack_from("<H", frame, 24)[0]
    if frame[:2] != b"@@" or frame[-2:] != b"##" or len(frame) != FIRE_HEAD + length + FIRE_TAIL:
        raise RefusedError(400, "frame")
    if sum(frame[2:-3]) % 256 != frame[-3]:
        raise RefusedError(400, "sum")
    data = frame[FIRE_HEAD:-FIRE_TAIL]
    if frame[26] != 2 or data[0] != 2 or data[1] != 1 or len(data) != 2 + _OBJECT:
        raise RefusedError(400, "only one object of component status is understood")
    part = data[2:]
    body = {
        "system": [part[0], part[1]],
        "component": part[2],
        "address": int.from_bytes(part[3:7], "little"),
        "status": int.from_bytes(part[7:9], "little"),
        "text": part[9:40].rstrip(b"\0").decode("gb18030"),
        "time": list(part[40:46]),
    }
    return Arrived(via="fire", id=part.hex(), body=body)


def fire_confirmation(frame: bytes, *, command: int) -> bytes:
    """Return the answer to a frame: its first 26 bytes with addresses turned round and length 0, and the command."""
    head = frame[2:12] + frame[18:24] + frame[12:18] + b"\0\0" + bytes([command])
    return b"@@" + head + bytes([sum(head) % 256]) + b"##"
