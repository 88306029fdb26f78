"""Invented communities: an estate with a few of each of the four senses. All names in it are made up (示例)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gatehouse_events.city import AssetCard, SiteCard
from gatehouse_events.event import Asset, Crs, EventSite, Point

DISTRICTS: Final = (
    ("371002", "371002002"),
    ("371003", "371003001"),
    ("371082", "371082001"),
    ("371083", "371083001"),
)
"""District (GB/T 2260, domain notes 1.1) and an invented street below it."""
DISTRICT_NAMES: Final = {"371002": "东港区", "371003": "南屏区", "371082": "海丰市", "371083": "银滩市"}
"""Invented names: the codes are real, the places are not."""
STREET_NAMES: Final = {
    "371002002": "望海街道",
    "371003001": "龙泉街道",
    "371082001": "港湾街道",
    "371083001": "白沙街道",
}
_MIDDLES: Final = {
    "371002": (122.10, 37.46),
    "371003": (121.99, 37.16),
    "371082": (122.40, 37.16),
    "371083": (121.60, 37.02),
}
"""Invented; they lie inside the invented outline that ships with the fleet server."""
_SPREAD: Final = 0.11
_GOLDEN: Final = 0.6180339887
_GOLDEN_ANGLE: Final = 2.3999632297
_NAMES: Final = ("翠湖", "金海", "东山", "望岛", "松涛", "银滩", "文昌", "凤鸣", "海韵", "学府")


@dataclass(frozen=True, slots=True)
class Community:
    """The n-th invented community, n from 1."""

    number: int

    @property
    def district(self) -> str:
        """Division code of its district, 6 digits."""
        return DISTRICTS[self.number % len(DISTRICTS)][0]

    @property
    def street(self) -> str:
        """Division code of its street, 9 digits."""
        return DISTRICTS[self.number % len(DISTRICTS)][1]

    @property
    def community_id(self) -> str:
        """Its short name in the tree of places."""
        return f"sim-{self.number:05d}"

    @property
    def gateway_id(self) -> str:
        """Its gateway."""
        return f"sim-{self.number:05d}-gw1"

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{_NAMES[self.number % len(_NAMES)]}{self.number}号院（示例）"

    def _position(self) -> Point:
        """Spread over a disc around an invented middle of its district, the same place each time."""
        lon, lat = _MIDDLES[self.district]
        turn = self.number // len(DISTRICTS)
        far = _SPREAD * math.sqrt(turn * _GOLDEN % 1.0)
        angle = turn * _GOLDEN_ANGLE
        return Point(
            lon=round(lon + far * math.cos(angle) * 1.25, 6),
            lat=round(lat + far * math.sin(angle), 6),
            crs=Crs.CGCS2000,
            accuracy_m=50,
        )

    def card(self) -> SiteCard:
        """Return the site card as its gateway writes it into the journal."""
        assets = {
            "gas-1-101": AssetCard(
                asset=Asset(id="gas-1-101", kind="household_gas_detector"),
                building="1",
                unit="1",
                floor="1",
                room="101",
                is_personal=True,
            ),
            "gas-2-503": AssetCard(
                asset=Asset(id="gas-2-503", kind="household_gas_detector"),
                building="2",
                unit="1",
                floor="5",
                room="503",
                is_personal=True,
            ),
            "lift-1": AssetCard(asset=Asset(id="lift-1", kind="lift", name="客梯"), building="1", unit="1"),
            "lift-2": AssetCard(asset=Asset(id="lift-2", kind="lift", name="客梯"), building="2", unit="1"),
            "btn-1-302": AssetCard(
                asset=Asset(id="btn-1-302", kind="ble_button"),
                building="1",
                unit="1",
                floor="3",
                room="302",
                is_personal=True,
            ),
            "cam-1-n": AssetCard(asset=Asset(id="cam-1-n", kind="camera", name="北立面"), building="1"),
        }
        site = EventSite(
            division_code=self.street,
            division_standard="stats_gov",
            community_id=self.community_id,
            estate=self.name,
            position=self._position(),
        )
        return SiteCard(gateway_id=self.gateway_id, site=site, assets=assets)
