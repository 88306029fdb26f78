"""Whether a text may become a version of a gateway: the gateway's own models, and what it would refuse as foreign. Pure.

The gateway refuses a configuration of another gateway, one that moves journal or identity, and one without a fleet: nobody could take
that back (`edge/gatehouse_edge/uplink/config_trial.py`, `foreign`). Here it is said before anybody is asked to try it.
"""

from __future__ import annotations

from collections.abc import Iterator

from gatehouse_config import Fault, GatewayConfig, NamedFile, examine
from gatehouse_fleet.configs.errors import FaultyTextError


def check(text: str, gateway_id: str, *, before: str | None = None) -> tuple[NamedFile, ...]:
    """Return the files that must lie on the gateway: keys do not travel.

    Args:
        text: of gateway.yaml.
        gateway_id: whose it is to be.
        before: text of an earlier version; journal and identity must stay where that one has them.

    Raises:
        FaultyTextError: with every fault, its line and its place.
    """
    found = examine(text)
    if found.config is None:
        raise FaultyTextError(found.faults)
    former = None if before is None else examine(before).config
    foreign = tuple(_foreign(found.config, gateway_id, former))
    if foreign:
        raise FaultyTextError(foreign)
    return found.files


def _foreign(config: GatewayConfig, gateway_id: str, former: GatewayConfig | None) -> Iterator[Fault]:
    if config.gateway.id != gateway_id:
        yield Fault(path="gateway.id", message=f"must be {gateway_id}, it is {config.gateway.id}")
    if config.fleet is None:
        yield Fault(path="fleet", message="missing: without this section nobody could take it back")
    if former is None:
        return
    if config.storage.directory != former.storage.directory:
        was = former.storage.directory
        yield Fault(path="storage.directory", message=f"the journal stays where it is: {was}")
    if config.fleet is not None and former.fleet is not None:
        was_kept = former.fleet.directory
        if config.fleet.directory != was_kept:
            place = "where it is by default; leave it out" if was_kept is None else f"where it is: {was_kept}"
            yield Fault(path="fleet.directory", message=f"the identity stays {place}")
