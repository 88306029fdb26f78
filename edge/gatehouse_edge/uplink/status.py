"""What the gateway says of itself every half minute, and what it hears back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from gatehouse_edge.clock import Clock
from gatehouse_edge.ledger import DeviceView
from gatehouse_events.alarm import Alarm
from gatehouse_events.chain import Lane, Position
from gatehouse_events.fleet_api import GatewayStatus, LaneStatus
from gatehouse_journal import Health


class ConfigOrigin(Struct, frozen=True, kw_only=True):
    """Which configuration is in force."""

    version: str = ""
    """As the fleet named it; empty: the local file."""
    sha256: str = ""


class Figures(Protocol):
    """What a status is made of; the ledger has it."""

    @property
    def health(self) -> Health | None:
        """Return the latest look at the journal."""
        ...

    def head(self, lane: Lane) -> Position:
        """Return the last entry of a lane."""
        ...

    def alarms(self) -> list[Alarm]:
        """Return the open alarms."""
        ...

    def devices(self) -> list[DeviceView]:
        """Return all devices."""
        ...


def status_of(
    figures: Figures,
    clock: Clock,
    *,
    version: str,
    started_at: datetime,
    origin: ConfigOrigin,
    acknowledged: Callable[[Lane], int],
    is_stopping: bool = False,
) -> GatewayStatus:
    """Return how the gateway is now."""
    now, health, devices = clock.now(), figures.health, figures.devices()
    alarm, telemetry = figures.head(Lane.ALARM), figures.head(Lane.TELEMETRY)
    return GatewayStatus(
        sent_at=now.wall,
        version=version,
        boot=now.boot,
        epoch=alarm.epoch,
        started_at=started_at,
        alarm=LaneStatus(head=alarm.seq, acknowledged=acknowledged(Lane.ALARM)),
        telemetry=LaneStatus(head=telemetry.seq, acknowledged=acknowledged(Lane.TELEMETRY)),
        clock=now.clock,
        config_version=origin.version,
        config_sha256=origin.sha256,
        disk_used=None if health is None else min(1.0, max(0.0, health.fill)),
        devices=len(devices),
        devices_online=sum(device.last is not None and device.silence is None for device in devices),
        open_alarms=len(figures.alarms()),
        is_stopping=is_stopping,
    )
