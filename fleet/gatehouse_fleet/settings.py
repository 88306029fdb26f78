"""fleet.yaml: frozen, every key known, units in the names. Nothing needs to be set to start on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Section):
    """Where the server listens."""

    host: str = Field(default="127.0.0.1", description="address of the console and the gateways' interface")
    port: Annotated[int, Field(ge=0, le=65535)] = 8460
    workers: Annotated[int, Field(ge=1, le=64, description="processes; more than one needs PostgreSQL")] = 1
    tls: Literal["own_ca", "files", "proxy", "off"] = Field(
        default="own_ca", description="`off` is refused outside loopback"
    )
    certificate_file: Path | None = None
    private_key_file: Path | None = None
    names: tuple[str, ...] = Field(
        default=(), description="more names and addresses for the server certificate"
    )
    proxy_address: str | None = Field(
        default=None, description="tls: proxy — the one address whose header is believed"
    )
    proxy_header: str = Field(
        default="x-client-cert",
        description="tls: proxy — header with the client certificate, URL-encoded PEM",
    )


class DatabaseSettings(_Section):
    """Where everything is kept."""

    url: str = Field(
        default="sqlite:///fleet.db",
        description="sqlite:///FILE (relative to `directory`) or postgresql://USER@HOST/NAME",
    )
    pool_size: Annotated[int, Field(ge=1, le=200)] = 10


class RetentionSettings(_Section):
    """How long things are kept."""

    telemetry_days: Annotated[int, Field(ge=1, le=3650)] = 30
    alarm_days: Annotated[
        int, Field(ge=30, le=36500, description="保安服务管理条例 Art. 25: 30 at least")
    ] = 1095
    clip_days: Annotated[int, Field(ge=30, le=30, description="floor and ceiling (domain notes 0.2)")] = 30
    audit_days: Annotated[int, Field(ge=200, le=36500, description="CSL Art. 21(3): six months at least")] = (
        1095
    )


class FleetSettings(_Section):
    """The whole of fleet.yaml."""

    directory: Path = Field(
        default=Path("var/fleet"), description="database, keys and evidence of this server"
    )
    time_zone: str = Field(default="Asia/Shanghai", description="zone of deadlines and of what people read")
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    retention: RetentionSettings = RetentionSettings()
