"""Reports of the Hi-Link HLK-LD2410 24 GHz presence radar, serial 256000 8N1. Little-endian.

| offset | type | name          | unit | meaning                                                             |
|--------|------|---------------|------|---------------------------------------------------------------------|
| 0      | 4 B  | start         |      | F4 F3 F2 F1                                                         |
| 4      | u16  | length        | byte | of what stands between here and the end marker: 13, or 13 + details |
| 6      | u8   | report        |      | 2 basic, 1 engineering                                              |
| 7      | u8   | head          |      | 0xAA                                                                |
| 8      | u8   | target        |      | 0 none, 1 moving, 2 still, 3 both                                   |
| 9      | u16  | moving        | cm   | distance of the moving target                                       |
| 11     | u8   | moving energy | %    | 0..100                                                              |
| 12     | u16  | still         | cm   | distance of the still target                                        |
| 14     | u8   | still energy  | %    | 0..100                                                              |
| 15     | u16  | detection     | cm   | detection distance                                                  |
| 17     | B    | details       |      | engineering only: per-gate energies, kept raw                       |
| n-6    | u8   | tail          |      | 0x55                                                                |
| n-5    | u8   | check         |      | 0x00                                                                |
| n-4    | 4 B  | end           |      | F8 F7 F6 F5                                                         |

Source: Hi-Link "HLK-LD2410 serial communication protocol" V1.02 §2.3; the LD2410S differs and is refused by these checks.
Targets 4..6 of later firmware (background learning) are refused: not a presence, not an absence.
"""

import struct

from gatehouse_wire.errors import FIELD, FRAMING, LENGTH, TYPE, WireError
from gatehouse_wire.record import Record

START = b"\xf4\xf3\xf2\xf1"
END = b"\xf8\xf7\xf6\xf5"
BASIC = 2
ENGINEERING = 1
NONE = 0
MOVING = 1
STILL = 2
BOTH = 3
MIN_FRAME = 23
MAX_FRAME = 64
"""An engineering report has 45 bytes; later firmware adds two."""


class Report(Record):
    """One report of the radar."""

    def __init__(
        self,
        *,
        target: int,
        moving_cm: int,
        moving_pct: int,
        still_cm: int,
        still_pct: int,
        detection_cm: int,
        details=None,
    ):
        self.target = target
        self.moving_cm = moving_cm
        self.moving_pct = moving_pct
        self.still_cm = still_cm
        self.still_pct = still_pct
        self.detection_cm = detection_cm
        self.details = details

    def is_present(self) -> bool:
        """Return whether the radar sees anybody."""
        return self.target != NONE


def parse(frame) -> Report:
    """Return the report in one frame.

    Raises:
        WireError: LENGTH, FRAMING (markers), TYPE (report), FIELD (target, energies).
    """
    frame = bytes(frame)
    size = len(frame)
    if not MIN_FRAME <= size <= MAX_FRAME:
        raise WireError(LENGTH, "%d bytes" % size)
    if frame[:4] != START or frame[-4:] != END or frame[-6:-4] != b"\x55\x00" or frame[7] != 0xAA:
        raise WireError(FRAMING, "markers")
    if frame[4] | frame[5] << 8 != size - 10:
        raise WireError(LENGTH, "length field %d in %d bytes" % (frame[4] | frame[5] << 8, size))
    kind = frame[6]
    if kind not in (BASIC, ENGINEERING):
        raise WireError(TYPE, "report %d" % kind)
    if kind == BASIC and size != MIN_FRAME:
        raise WireError(LENGTH, "basic report of %d bytes" % size)
    target, moving_cm, moving_pct, still_cm, still_pct, detection_cm = struct.unpack("<BHBHBH", frame[8:17])
    if target > BOTH or moving_pct > 100 or still_pct > 100:
        raise WireError(FIELD, "target %d, energies %d and %d" % (target, moving_pct, still_pct))
    return Report(
        target=target,
        moving_cm=moving_cm,
        moving_pct=moving_pct,
        still_cm=still_cm,
        still_pct=still_pct,
        detection_cm=detection_cm,
        details=frame[17:-6] if kind == ENGINEERING else None,
    )


def build(report) -> bytes:
    """Return the frame of a report (for simulated radars); engineering when it has details."""
    details = report.details or b""
    body = struct.pack(
        "<BBBHBHBH",
        BASIC if report.details is None else ENGINEERING,
        0xAA,
        report.target,
        report.moving_cm,
        report.moving_pct,
        report.still_cm,
        report.still_pct,
        report.detection_cm,
    )
    body += details + b"\x55\x00"
    return START + struct.pack("<H", len(body)) + body + END


class Deframer:
    """Finds reports in the raw line; holds at most one frame. `bad` counts starts that led to no report."""

    def __init__(self):
        self.bad = 0
        self._held = b""

    def feed(self, data) -> list[Report]:
        """Return the reports that `data` completes, oldest first."""
        reports: list[Report] = []
        held = self._held + bytes(data)
        while True:
            start = held.find(START)
            if start < 0:
                self._held = held[max(0, len(held) - 3) :]
                return reports
            held = held[start:]
            if len(held) < 6:
                break
            size = (held[4] | held[5] << 8) + 10
            if MIN_FRAME <= size <= MAX_FRAME and len(held) < size:
                break
            try:
                reports.append(parse(held[:size]))
                held = held[size:]
            except WireError:
                self.bad += 1
                held = held[1:]
        self._held = held
        return reports
