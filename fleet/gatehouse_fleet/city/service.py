"""The targets of one server: their files, and a courier for each."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Final

from msgspec import Struct

from gatehouse_config.fault import ConfigError
from gatehouse_fleet.city.courier import Courier
from gatehouse_fleet.city.envelopes import Envelope, envelope_for
from gatehouse_fleet.city.errors import CityError, TargetFileError
from gatehouse_fleet.city.target import Target, read
from gatehouse_fleet.city.transports import Transport, transport_for
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.services import Services

_log = logging.getLogger(__name__)
MAX_TARGETS: Final = 64


class Adapter(Struct, frozen=True, kw_only=True):
    """A target's file with everything it names, ready to be used."""

    target: Target
    envelope: Envelope
    transport: Transport


def adapter(path: Path, clock: Clock) -> Adapter:
    """Return the adapter in a file; its keys and tables are looked up beside it.

    Raises:
        CityError: the file, or one it names, cannot be used.
    """
    target = read(path)
    try:
        return Adapter(
            target=target,
            envelope=envelope_for(target, beside=path.parent),
            transport=transport_for(target, beside=path.parent, clock=clock),
        )
    except ConfigError as error:  # a key file
        raise TargetFileError(path.name, (str(error),)) from error


def find(folder: Path, target_id: str) -> Path:
    """Return the file of a target.

    Raises:
        CityError: no file in the folder has this id.
    """
    for path in files(folder):
        try:
            if read(path).id == target_id:
                return path
        except TargetFileError:
            continue
    raise CityError(f"no target {target_id} in {folder}")


def files(folder: Path) -> list[Path]:
    """Return the target files of a folder, in order of their names."""
    return sorted(folder.glob("*.yaml"))[:MAX_TARGETS] if folder.is_dir() else []


def folder_of(services: Services) -> Path:
    """Return where the target files of this server are."""
    return services.settings.directory / services.settings.city.targets


def couriers(services: Services) -> list[Courier]:
    """Return a courier for each usable file; one that is faulty is named in the log, and the others go on."""
    found: dict[str, Courier] = {}
    for path in files(folder_of(services)):
        try:
            made = adapter(path, services.clock)
            if made.target.id in found:
                raise TargetFileError(path.name, (f"id: {made.target.id} is taken by another file",))
        except CityError as error:
            _log.error("city target not started: %s", error)  # the sentence says it all
            continue
        found[made.target.id] = Courier(
            made.target,
            envelope=made.envelope,
            transport=made.transport,
            store=services.store,
            wake=services.wake,
            clock=services.clock,
            dice=random.Random(),  # noqa: S311  # spreads retries, hides nothing
        )
    return list(found.values())
