"""The outline map of the overview: districts as GeoJSON (RFC 7946, WGS-84).

One invented outline ships, marked so, and fits the simulated district alone. A city imports its own: `outline.geojson` in the
server's directory, checked by `gatehouse-fleet outline FILE`. Where borders may be taken from is the city's to know; nothing is fetched.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from gatehouse_fleet.errors import FleetError

FILE: Final = "outline.geojson"
MAX_BYTES: Final = 2 * 1024 * 1024
"""An overview needs no more: 40 000 corners."""
MAX_FEATURES: Final = 500
_LON, _LAT = 180.0, 90.0
_CORNERS: Final = 4
"""A ring's first corner is its last."""


class OutlineError(FleetError):
    """A file is no outline; the text says where."""


def check(raw: bytes) -> dict[str, Any]:
    """Return an outline in the few parts that are drawn.

    Raises:
        OutlineError: too large, not GeoJSON polygons, or corners that are no degrees (a projected file, or lat before lon far east).
    """
    if len(raw) > MAX_BYTES:
        raise OutlineError(f"{len(raw)} bytes; an outline has at most {MAX_BYTES}: simplify it")
    try:
        told = json.loads(raw)
    except ValueError as error:
        raise OutlineError(f"not JSON: {error}") from None
    if not isinstance(told, dict) or told.get("type") != "FeatureCollection":
        raise OutlineError("not a GeoJSON FeatureCollection")
    features = told.get("features")
    if not isinstance(features, list) or not 1 <= len(features) <= MAX_FEATURES:
        raise OutlineError(f"between 1 and {MAX_FEATURES} features are wanted")
    return {
        "is_invented": told.get("invented") is True,
        "areas": [_area(one, f"feature {number}") for number, one in enumerate(features, 1)],
    }


def load(directory: Path) -> dict[str, Any]:
    """Return the city's own outline, or the invented one where none was imported.

    Raises:
        OutlineError: the imported file was spoilt since.
    """
    path = directory / FILE
    return check(path.read_bytes() if path.exists() else shipped())


def shipped() -> bytes:
    """Return the invented outline."""
    return (files("gatehouse_fleet.registry") / "outline_invented.geojson").read_bytes()


def _area(told: Any, at: str) -> dict[str, Any]:  # noqa: ANN401  # JSON
    told = told if isinstance(told, dict) else {}
    geometry = told.get("geometry") if isinstance(told.get("geometry"), dict) else {}
    kind = geometry.get("type")
    if kind not in {"Polygon", "MultiPolygon"}:
        raise OutlineError(f"{at}: only Polygon and MultiPolygon are drawn, this is {kind}")
    shapes = geometry.get("coordinates")
    polygons = [shapes] if kind == "Polygon" else shapes
    if not isinstance(polygons, list):
        raise OutlineError(f"{at}: no coordinates")
    rings = [
        _ring(ring, at) for polygon in polygons for ring in (polygon if isinstance(polygon, list) else [None])
    ]
    known = told.get("properties") or {}
    text = (
        {name: str(known.get(name, ""))[:64] for name in ("code", "name")} if isinstance(known, dict) else {}
    )
    return {"code": text.get("code", ""), "name": text.get("name", ""), "rings": rings}


def _ring(told: Any, at: str) -> list[tuple[float, float]]:  # noqa: ANN401  # JSON
    if not isinstance(told, list) or len(told) < _CORNERS:
        raise OutlineError(f"{at}: a ring has four corners or more")
    return [_corner(one, at) for one in told]


def _corner(told: Any, at: str) -> tuple[float, float]:  # noqa: ANN401  # JSON
    match told:
        case [int() | float() as lon, int() | float() as lat, *_] if not isinstance(
            lon, bool
        ) and not isinstance(lat, bool):
            if abs(lon) <= _LON and abs(lat) <= _LAT:
                return float(lon), float(lat)
    raise OutlineError(f"{at}: {str(told)[:60]} is no [longitude, latitude] in degrees")
