"""`gatehouse-edge vision calibrate`: draw on a still without a page. A ruler to read coordinates from, then the drawing to look at.

gatehouse-edge vision calibrate --still still.jpg --picture ruler.png        a ruler, and a drawing to begin with on standard output
gatehouse-edge vision calibrate drawing.json --still still.jpg --picture seen.png --storage var/gateway --camera cam-1
"""

from __future__ import annotations

import getpass
import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from gatehouse_edge.evidence.masking import Picture
    from gatehouse_edge.vision.facade import Calibration

_DONE: Final = 0
_FAILED: Final = 1
_MISUSE: Final = 2
_Colour = tuple[int, int, int]
"""As OpenCV orders them: blue, green, red."""
_BLUE: Final[_Colour] = (255, 160, 0)
_GREEN: Final[_Colour] = (80, 220, 80)
_RED: Final[_Colour] = (60, 60, 255)
_YELLOW: Final[_Colour] = (0, 220, 255)
_WHITE: Final[_Colour] = (255, 255, 255)
_DARK: Final[_Colour] = (20, 20, 20)
_RULER_STEPS: Final = (10, 20, 50, 100, 200, 500, 1000)


class _PictureError(Exception):
    """A still cannot be read or a picture not written; the text says which."""


def add_parser(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add `calibrate` to the verbs of `vision`."""
    parser = verbs.add_parser(
        "calibrate", help="check what is drawn on a camera's still, look at it as a picture, store it"
    )
    parser.add_argument(
        "drawing", nargs="?", type=Path, help="JSON; without: a ruler and a drawing to begin with"
    )
    parser.add_argument("--still", type=Path, required=True, help="picture of the camera (JPEG or PNG)")
    parser.add_argument("--picture", type=Path, help="PNG to write, to look at")
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="X,Y",
        help="a point to try: its floors and window column are told; may be given several times",
    )
    parser.add_argument(
        "--storage", type=Path, help="the gateway's storage directory: store it there as a new version"
    )
    parser.add_argument("--camera", help="id of the camera, with --storage")
    parser.add_argument("--by", default=getpass.getuser(), help="who has drawn (default: this user)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    """Do what `args` ask; 0 done, 1 cannot be a front or cannot be read, 2 misuse."""
    if (args.storage is None) != (args.camera is None) or (args.storage and args.drawing is None):
        print("gatehouse-edge: storing wants a drawing, --storage and --camera", file=sys.stderr)
        return _MISUSE
    try:
        still = _read(args.still)
        if args.drawing is None:
            return _begin(args, still)
        return _drawn(args, still)
    except (_PictureError, OSError) as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return _FAILED


def _begin(args: Namespace, still: Picture) -> int:
    height, width = still.shape[:2]
    if args.picture:
        _write(args.picture, ruler(still))
    print(json.dumps(template(width, height), ensure_ascii=False, indent=1))
    return _DONE


def _drawn(args: Namespace, still: Picture) -> int:
    from gatehouse_edge.vision.facade import Calibration, faults_of

    try:
        calibration = msgspec.json.decode(args.drawing.read_bytes(), type=Calibration)
        points = [_point(text) for text in args.point]
    except (msgspec.DecodeError, ValueError) as error:
        print(f"gatehouse-edge: {args.drawing}: {error}", file=sys.stderr)
        return _FAILED
    faults = list(faults_of(calibration))
    size = (still.shape[1], still.shape[0])
    if size != (calibration.width_px, calibration.height_px):
        faults.append(
            (
                "width_px",
                f"drawn for {calibration.width_px} x {calibration.height_px}, the still has {size[0]} x {size[1]}",
            )
        )
    for at, words in faults:
        print(f"gatehouse-edge: {args.drawing}: {at}: {words}", file=sys.stderr)
    if faults:
        return _FAILED
    if args.picture:
        _write(args.picture, seen(still, calibration, points))
    told = [_told(calibration, x, y) for x, y in points]
    version = _store(args, calibration) if args.storage else None
    if args.json:
        print(json.dumps({"version": version, "points": told}, ensure_ascii=False))
        return _DONE
    for one in told:
        print("({x:g}, {y:g}): floor {floor_low}-{floor_high}, window column {column}".format(**one))
    print(f"{args.drawing}: good" if version is None else f"{args.camera}: version {version}")
    return _DONE


def _store(args: Namespace, calibration: Calibration) -> int:
    from gatehouse_edge.calibration import FOLDER, CalibrationStore, StaleVersionError
    from gatehouse_edge.clock import SystemClock
    from gatehouse_edge.drivers.clip_recode import jpeg

    store = CalibrationStore(args.storage / FOLDER)
    try:
        raw = args.still.read_bytes()
        still = store.put_still(
            args.camera, raw if raw.startswith(b"\xff\xd8\xff") else jpeg(_read(args.still))
        )
        made = store.put(
            args.camera,
            calibration,
            based_on=store.newest(args.camera),
            still_sha256=still,
            by=args.by,
            at=SystemClock().now().wall,
            note="vision calibrate",
        )
    except (StaleVersionError, ValueError) as error:
        raise _PictureError(str(error)) from error
    return made.version


def template(width: int, height: int) -> dict[str, Any]:
    """Return a drawing to begin with: a front that fills most of the still, two floor lines. Every number is to be replaced."""
    left, right, top, bottom = width * 0.2, width * 0.8, height * 0.1, height * 0.9
    return {
        "width_px": width,
        "height_px": height,
        "facade": [[left, top], [right, top], [right, bottom], [left, bottom]],
        "floors": [
            {"floor": 1, "left": [left, bottom], "right": [right, bottom]},
            {"floor": 10, "left": [left, top], "right": [right, top]},
        ],
        "columns": 6,
        "floor_m": 2.9,
        "distance_m": None,
        "detect": [],
        "shield": [],
        "landing": [],
    }


def ruler(still: Picture) -> Picture:
    """Return the still under a grid of coordinates."""
    import cv2

    drawn, (height, width) = still.copy(), still.shape[:2]
    step = next((one for one in _RULER_STEPS if height / one <= 20), _RULER_STEPS[-1])  # noqa: PLR2004  # lines that still can be told apart
    for x in range(0, width, step):
        cv2.line(drawn, (x, 0), (x, height), _YELLOW, 1)
        _label(drawn, str(x), (x + 2, 14 + height // 80), _YELLOW)
    for y in range(step, height, step):
        cv2.line(drawn, (0, y), (width, y), _YELLOW, 1)
        _label(drawn, str(y), (2, y - 3), _YELLOW)
    return drawn


def seen(still: Picture, calibration: Calibration, points: list[tuple[float, float]]) -> Picture:
    """Return the still with everything drawn on it: every floor between the lines, columns, zones, points."""
    import cv2

    from gatehouse_edge.vision.facade import line_of

    drawn, height = still.copy(), still.shape[0]
    thick = max(1, height // 540)
    for zones, colour in (
        (calibration.detect, _GREEN),
        (calibration.shield, _RED),
        (calibration.landing, _YELLOW),
    ):
        _tint(drawn, zones, colour)
    cv2.polylines(drawn, [_pixels(calibration.facade)], isClosed=True, color=_BLUE, thickness=thick * 2)
    for a, b in _columns(calibration):
        cv2.line(drawn, a, b, _BLUE, thick)
    numbers = {line.floor for line in calibration.floors}
    for floor in range(min(numbers), max(numbers) + 1):
        left, right = line_of(calibration, floor)
        colour = _WHITE if floor in numbers else _BLUE
        a, b = _pixel(left), _pixel(right)
        cv2.line(drawn, a, b, colour, thick)
        name = calibration.name_of(floor)
        words = name if name.isascii() else f"{floor}F"  # OpenCV's letters are Latin only
        _label(drawn, words, (a[0] + 3, a[1] - 3), colour)
    for x, y in points:
        cv2.drawMarker(drawn, _pixel((x, y)), _RED, cv2.MARKER_CROSS, 12 * thick, thick * 2)
    return drawn


def _label(drawn: Picture, words: str, at: tuple[int, int], colour: _Colour) -> None:
    """Write on any background: letters with a dark edge."""
    import cv2

    scale = max(0.4, drawn.shape[0] / 1500)
    thick = max(1, round(scale))
    for shade, width in ((_DARK, thick + 3), (colour, thick)):
        cv2.putText(drawn, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, shade, width, cv2.LINE_AA)


def _tint(drawn: Picture, zones: tuple[tuple[tuple[float, float], ...], ...], colour: _Colour) -> None:
    import cv2
    import numpy as np

    from gatehouse_edge.evidence.masking import zone_mask

    if not zones:
        return
    mask = zone_mask(zones, width_px=drawn.shape[1], height_px=drawn.shape[0])
    drawn[mask] = (drawn[mask].astype(np.uint16) + colour) // 2
    cv2.polylines(drawn, [_pixels(zone) for zone in zones], isClosed=True, color=colour, thickness=2)


def _columns(calibration: Calibration) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    top_left, top_right, bottom_right, bottom_left = calibration.facade
    lines = []
    for number in range(1, calibration.columns):
        share = number / calibration.columns
        lines.append(
            (_pixel(_between(top_left, top_right, share)), _pixel(_between(bottom_left, bottom_right, share)))
        )
    return lines


def _between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _told(calibration: Calibration, x: float, y: float) -> dict[str, Any]:
    from gatehouse_edge.vision.facade import column_of
    from gatehouse_edge.vision.origin import floors_at

    low, high = floors_at(calibration, x, y)
    return {"x": x, "y": y, "floor_low": low, "floor_high": high, "column": column_of(calibration, x, y)}


def _point(text: str) -> tuple[float, float]:
    x, _, y = text.partition(",")
    return float(x), float(y)


def _pixel(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])


def _pixels(points: tuple[tuple[float, float], ...]) -> Any:  # noqa: ANN401  # as OpenCV takes them
    import numpy as np

    return np.array([_pixel(point) for point in points], np.int32)


def _read(path: Path) -> Picture:
    import cv2
    import numpy as np

    raw = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if picture is None:
        raise _PictureError(f"{path} is not a picture")
    return np.asarray(picture, np.uint8)


def _write(path: Path, picture: Picture) -> None:
    import cv2

    _, coded = cv2.imencode(".png", picture)
    path.write_bytes(coded.tobytes())
