"""The way to the fleet server. Without this section the gateway stands alone, and lacks nothing for it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from gatehouse_config.part import FilePath, Part

_Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+$", max_length=512)]


class Fleet(Part):
    """The fleet server of the district or the city. Made ready by `gatehouse-edge enrol`."""

    url: _Url = Field(description="https://name:port, without a path; http only to loopback")
    directory: FilePath | None = Field(
        default=None,
        description="identity and configurations from the fleet; `fleet` below `storage.directory` by default",
    )
    proxy: _Url | None = Field(default=None, description="http://name:port of a proxy on the way")
    orders: Literal["auto", "poll"] = Field(
        default="auto",
        description="auto: a stream, and polls behind a proxy that holds it back; poll: only polls",
    )
    evidence_kib_s: int = Field(
        default=256, ge=8, le=1_048_576, description="most KiB per second for clips; alarms always go first"
    )
    lost_after_s: float = Field(
        default=300,
        ge=30,
        le=86_400,
        description="seconds without contact until that is a fault at the console",
    )

    @model_validator(mode="after")
    def _is_private(self) -> Fleet:
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError(f"{self.url} must be https; http goes to this machine only")
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
