"""Who may speak on the air: the configured buttons and beacons, each with its keys. Nobody else exists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gatehouse_config.devices import BeaconDevice, ButtonDevice, Key

_ADDRESS: Final = re.compile(r"^([0-9A-F]{2}:){5}[0-9A-F]{2}$")
KEY_BYTES: Final = 16
"""AES-128, as BTHome has it (bthome.io/encryption)."""
KEYS_MAX: Final = 2
"""The key in use and its successor: an on-line rotation overlaps two keys, never more (domain notes row 19)."""


class RosterError(ValueError):
    """The configured buttons and beacons cannot all be told apart or have no usable key."""


class TagKind(StrEnum):
    """What a tag is for."""

    BUTTON = "button"
    BEACON = "beacon"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagKey:
    """One key of one tag. The secret is not part of the text form, so it cannot reach a log."""

    key_id: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise RosterError(f"key {self.key_id} has {len(self.secret)} bytes, not {KEY_BYTES}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One button or beacon: its configured id, its address on air and its one or two keys, newest last."""

    device_id: str
    kind: TagKind
    address: str
    keys: tuple[TagKey, ...]

    def __post_init__(self) -> None:
        if not _ADDRESS.match(self.address):
            raise RosterError(f"{self.device_id}: {self.address!r} is not an address like C3:28:40:FF:C1:94")
        if not 1 <= len(self.keys) <= KEYS_MAX:
            raise RosterError(f"{self.device_id}: {len(self.keys)} keys, one or two are possible")
        if len({key.key_id for key in self.keys}) != len(self.keys):
            raise RosterError(f"{self.device_id}: two keys bear one id")

    @property
    def address_bytes(self) -> bytes:
        """The six address bytes in the order they are printed, as the cipher's nonce wants them."""
        return bytes.fromhex(self.address.replace(":", ""))

    def counter_key(self, key_id: int) -> str:
        """Return the name under which the ledger keeps the replay counter of one key."""
        return f"{self.kind}/{self.device_id}/{key_id}"


def tag_of(device: ButtonDevice | BeaconDevice, read_key: Callable[[Key], bytes]) -> Tag:
    """Return the tag of one configured device; ``read_key`` turns a key of the configuration into its 16 bytes.

    Raises:
        RosterError: a key does not have 16 bytes.
    """
    return Tag(
        device_id=device.id,
        kind=TagKind(device.kind),
        address=device.address.upper(),
        keys=tuple(TagKey(key_id=key.id, secret=read_key(key)) for key in device.keys),
    )


class Roster:
    """The allow-list, looked up by address."""

    def __init__(self, tags: Iterable[Tag]) -> None:
        """Raises RosterError: two tags share an address or an id."""  # Raises is the contract
        self._by_address: dict[str, Tag] = {}
        ids: set[str] = set()
        for tag in tags:
            if tag.address in self._by_address:
                other = self._by_address[tag.address].device_id
                raise RosterError(f"{tag.device_id} and {other} share the address {tag.address}")
            if tag.device_id in ids:
                raise RosterError(f"{tag.device_id} is configured twice")
            self._by_address[tag.address] = tag
            ids.add(tag.device_id)

    def find(self, address: str) -> Tag | None:
        """Return the tag with this address, None for a stranger."""
        return self._by_address.get(address.upper())

    @property
    def beacons(self) -> tuple[Tag, ...]:
        """The beacons, in configured order."""
        return tuple(tag for tag in self._by_address.values() if tag.kind is TagKind.BEACON)
