"""Who and where the gateway is, where it stores, and how it is looked at."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gatehouse_config.part import FilePath, Id, Part, Port, Text


def _is_network(text: str) -> str:
    ip_network(text)
    return text


Network = Annotated[str, AfterValidator(_is_network)]


class Gateway(Part):
    """The gateway itself."""

    id: Id = Field(description="name of this gateway, unique in the city")
    language: Literal["zh", "en"] = Field(
        default="zh", description="first language of messages and notifications"
    )


class Position(Part):
    """A point with its datum; the wrong datum is 461 m off in Weihai (domain table row 3)."""

    lon: float = Field(ge=-180, le=180, description="longitude in degrees")
    lat: float = Field(ge=-90, le=90, description="latitude in degrees")
    crs: Literal["CGCS2000", "WGS84", "GCJ02", "BD09"] = Field(description="datum; never guessed")
    accuracy_m: float | None = Field(default=None, gt=0, le=10_000, description="radius of doubt in metres")


class Building(Part):
    """One building as the screens draw it. Buildings that are not listed are drawn from the places of their devices."""

    id: Text = Field(min_length=1, description="as in the locations of devices")
    name: Text = Field(default="", description="words on the screen; absent: the id")
    floors: int = Field(ge=1, le=200, description="floors above ground")
    basements: int = Field(default=0, ge=0, le=9, description="floors below ground")
    units: tuple[Text, ...] = Field(
        default=("",),
        min_length=1,
        max_length=12,
        description="entrances 单元, from left to right as one looks at it",
    )
    rooms_per_floor: int = Field(default=2, ge=1, le=20, description="flats of one entrance on one floor")


class Site(Part):
    """The community."""

    division_code: Annotated[str, StringConstraints(pattern=r"^(\d{6}|\d{9}|\d{12})$")] = Field(
        description="administrative division, 6, 9 or 12 digits, in quotes"
    )
    division_standard: Literal["gbt2260", "stats_gov"] = Field(description="whose list the code is from")
    community_id: Id = Field(description="the city platform's id of the community")
    estate: Text = Field(min_length=1, description="name of the estate")
    position: Position = Field(description="where the gatehouse stands")
    buildings: tuple[Building, ...] = Field(
        default=(), max_length=64, description="the buildings, from left to right on the screen"
    )

    @model_validator(mode="after")
    def _names_each_building_once(self) -> Site:
        ids = [building.id for building in self.buildings]
        if len(set(ids)) < len(ids):
            raise ValueError("buildings: an id stands twice")
        return self


class Storage(Part):
    """The journal on disk."""

    directory: FilePath = Field(default="var/gateway", description="where the journal lies")
    alarm_quota_mib: int = Field(
        default=512, ge=16, le=65_536, description="size limit of the alarm lane in MiB"
    )
    telemetry_quota_mib: int = Field(
        default=256, ge=8, le=65_536, description="size limit of the telemetry lane in MiB"
    )
    ballast_mib: int = Field(
        default=8, ge=1, le=1024, description="space given up when the disk is full, in MiB"
    )
    evidence_days: int = Field(
        default=30,
        ge=1,
        le=90,
        description="days clips are kept, then deleted for good unless held; the law says 30 (row 9)",
    )
    alarm_retention_days: int = Field(
        default=200,
        ge=200,
        le=3660,
        description="days alarms and audit are kept, at least 200; the law asks 6 months (row 8)",
    )


class Console(Part):
    """The console on the gateway. TLS always, unless on loopback and switched off."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=8443, description="TCP port")
    tls: Literal["own_ca", "files", "off"] = Field(
        default="own_ca",
        description="own_ca: a CA made at first start; files: the two below; off: loopback only",
    )
    certificate_file: FilePath | None = Field(default=None, description="PEM chain, with `tls: files`")
    private_key_file: FilePath | None = Field(default=None, description="PEM key, with `tls: files`")
    names: tuple[Text, ...] = Field(
        default=(), max_length=16, description="further DNS names or addresses in the certificate"
    )
    site_networks: tuple[Network, ...] = Field(
        default=(),
        max_length=16,
        description="networks whose browsers stand on site (10.0.0.0/24): only they may open a gas valve, and only their screens tell an alarm; loopback counts",
    )
    session_hours: float = Field(default=12, gt=0, le=72, description="hours until a login ends")

    @property
    def is_loopback(self) -> bool:
        """True if nobody outside this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Console:
        if self.tls == "off" and not self.is_loopback:
            raise ValueError(f"tls may be off only on loopback, not on {self.host}")
        has_files = self.certificate_file is not None and self.private_key_file is not None
        if self.tls == "files" and not has_files:
            raise ValueError("tls: files needs certificate_file and private_key_file")
        if self.tls != "files" and (self.certificate_file or self.private_key_file):
            raise ValueError("certificate_file and private_key_file go with tls: files")
        return self
