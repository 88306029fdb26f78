"""fleet.yaml: frozen, every key known, units in the names. Nothing needs to be set to start on loopback."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gatehouse_fleet.errors import FleetError

MAX_FILE: Final = 1024 * 1024


class SettingsError(FleetError):
    """fleet.yaml cannot be used; the text names every fault."""


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

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.tls == "off" and not is_loopback(self.host):
            raise ValueError("tls: off is for 127.0.0.1 only; passwords would cross the network in the clear")
        if self.tls == "files" and (self.certificate_file is None or self.private_key_file is None):
            raise ValueError("tls: files needs certificate_file and private_key_file")
        if self.tls == "proxy" and self.proxy_address is None:
            raise ValueError("tls: proxy needs proxy_address, the one address whose headers are believed")
        return self


class DatabaseSettings(_Section):
    """Where everything is kept."""

    url: str = Field(
        default="sqlite:///fleet.db",
        description="sqlite:///FILE (relative to `directory`) or postgresql://USER@HOST/NAME",
    )
    pool_size: Annotated[int, Field(ge=1, le=200)] = 10


class OidcSettings(_Section):
    """The organisation's own login (OpenID Connect); off where the section is absent."""

    issuer: str = Field(max_length=512, description="as the provider calls itself; https")
    client_id: str = Field(min_length=1, max_length=256)
    client_secret_file: Path = Field(description="file with the client's secret, 0600")
    own_url: str = Field(max_length=256, description="this server as browsers see it: https://fleet.example")
    label: str = Field(default="统一身份认证", max_length=64, description="text of the button")

    @model_validator(mode="after")
    def _has_tls(self) -> Self:
        for url in (self.issuer, self.own_url):
            parts = urlsplit(url)
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                raise ValueError(f"{url} must be https")
        return self


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


class CitySettings(_Section):
    """Who is told of alarms."""

    targets: Path = Field(
        default=Path("city"),
        description="folder of target files (*.yaml) with their keys, relative to `directory`; see docs/city.md",
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
    city: CitySettings = CitySettings()
    oidc: OidcSettings | None = None

    @model_validator(mode="after")
    def _has_database_for_workers(self) -> Self:
        if self.server.workers > 1 and self.database.url.startswith("sqlite"):
            raise ValueError("more than one worker needs PostgreSQL; SQLite has one writer")
        return self

    @property
    def database_url(self) -> str:
        """Address of the database, a relative SQLite file resolved against `directory`."""
        prefix = "sqlite:///"
        if not self.database.url.startswith(prefix):
            return self.database.url
        return f"{prefix}{(self.directory / self.database.url.removeprefix(prefix)).absolute()}"


def is_loopback(host: str) -> bool:
    """Return whether an address cannot be reached from another machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load(path: Path | None) -> FleetSettings:
    """Read fleet.yaml; without a file the defaults stand. Relative paths count from the file's own folder.

    Raises:
        SettingsError: unreadable, not YAML, or wrong; every fault is named with its path.
    """
    if path is None:
        return FleetSettings()
    try:
        if path.stat().st_size > MAX_FILE:
            raise SettingsError(f"{path} is larger than {MAX_FILE} bytes")
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    try:
        settings = FleetSettings.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(step) for step in item['loc']) or 'fleet.yaml'}: {item['msg']}"
            for item in error.errors()
        )
        raise SettingsError(f"{path}: {faults}") from error
    return _resolved(settings, path.parent)


def _resolved(settings: FleetSettings, folder: Path) -> FleetSettings:
    server, oidc = settings.server, settings.oidc
    files = {
        name: folder / file
        for name in ("certificate_file", "private_key_file")
        if (file := getattr(server, name)) is not None
    }
    return settings.model_copy(
        update={
            "directory": folder / settings.directory,
            "server": server.model_copy(update=files),
            "oidc": oidc and oidc.model_copy(update={"client_secret_file": folder / oidc.client_secret_file}),
        }
    )
