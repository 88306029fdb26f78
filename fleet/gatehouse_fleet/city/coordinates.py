"""WGS-84 and CGCS2000 to GCJ-02, the datum of Chinese maps: here only, once only.

The published formula (eviltransform, `wgs2gcj`; Krasovsky 1940 ellipsoid). CGCS2000 and WGS-84 differ by less than any of
our sensors can see (domain notes 0.4). There is no way back in here: what is GCJ-02 stays GCJ-02.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from gatehouse_events.event import Crs, Point

_A_M: Final = 6378245.0
"""Semi-major axis of Krasovsky 1940."""
_EE: Final = 0.00669342162296594323
"""Its eccentricity, squared."""
_WEST, _EAST, _SOUTH, _NORTH = 72.004, 137.8347, 0.8293, 55.8271
"""Outside this box the formula is not applied."""


def to_crs(point: Point, wanted: Crs | None) -> Point:
    """Return `point` in the datum a platform wants; unchanged when it has it or when none is wanted.

    Raises:
        ValueError: there is no conversion (from GCJ-02 back).
    """
    if wanted is None or point.crs is wanted:
        return point
    if {point.crs, wanted} == {Crs.CGCS2000, Crs.WGS84}:
        return msgspec.structs.replace(point, crs=wanted)
    if wanted is Crs.GCJ02:
        lon, lat = _shifted(point.lon, point.lat)
        return msgspec.structs.replace(point, lon=lon, lat=lat, crs=Crs.GCJ02)
    raise ValueError(f"{point.crs} cannot be turned into {wanted}: the way back is not published")


def _shifted(lon: float, lat: float) -> tuple[float, float]:
    if not (_WEST <= lon <= _EAST and _SOUTH <= lat <= _NORTH):
        return lon, lat
    x, y = lon - 105.0, lat - 35.0
    root = math.sqrt(abs(x))
    ripple = (20.0 * math.sin(6.0 * x * math.pi) + 20.0 * math.sin(2.0 * x * math.pi)) * 2.0 / 3.0
    d_lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + ripple
    d_lat += (20.0 * math.sin(y * math.pi) + 40.0 * math.sin(y / 3.0 * math.pi)) * 2.0 / 3.0
    d_lat += (160.0 * math.sin(y / 12.0 * math.pi) + 320.0 * math.sin(y * math.pi / 30.0)) * 2.0 / 3.0
    d_lon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + ripple
    d_lon += (20.0 * math.sin(x * math.pi) + 40.0 * math.sin(x / 3.0 * math.pi)) * 2.0 / 3.0
    d_lon += (150.0 * math.sin(x / 12.0 * math.pi) + 300.0 * math.sin(x / 30.0 * math.pi)) * 2.0 / 3.0
    rad = lat / 180.0 * math.pi
    magic = 1.0 - _EE * math.sin(rad) ** 2
    d_lat = d_lat * 180.0 / ((_A_M * (1.0 - _EE)) / (magic * math.sqrt(magic)) * math.pi)
    d_lon = d_lon * 180.0 / (_A_M / math.sqrt(magic) * math.cos(rad) * math.pi)
    return lon + d_lon, lat + d_lat
