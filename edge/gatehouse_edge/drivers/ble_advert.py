"""From service data on the air to an authenticated message of a known tag, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from gatehouse_edge.drivers.ble_roster import Roster, Tag, TagKey
from gatehouse_edge.reading import ButtonEvent, RefusalReason
from gatehouse_wire import bthome
from gatehouse_wire.errors import MAC, WireError

_MIC_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One authenticated advert. Whether it is new is not judged here."""

    tag: Tag
    key: TagKey
    counter: int
    event: ButtonEvent
    battery_pct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One advert that was not let in."""

    reason: RefusalReason


class AdvertReader:
    """Opens adverts with the keys of the roster; the ciphers are built once."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._ciphers: dict[bytes, AESCCM] = {}

    def read(self, address: str, service_data: bytes) -> Message | Refused:
        """Return what the tag at this address says in the service data of UUID 0xFCD2."""
        tag = self._roster.find(address)
        if tag is None:
            return Refused(reason=RefusalReason.UNKNOWN_NODE)
        # Newest key first: after a rotation it is the one in use, before it the attempt costs 10 us.
        for key in reversed(tag.keys):
            try:
                advert = bthome.open_advert(service_data, tag.address_bytes, self._opener(key))
            except WireError as error:
                if error.reason == MAC:
                    continue
                return Refused(reason=RefusalReason.BAD_FRAME)
            return Message(
                tag=tag,
                key=key,
                counter=advert.counter,
                event=_event(advert),
                battery_pct=_battery(advert),
            )
        return Refused(reason=RefusalReason.BAD_TAG)

    def _opener(self, key: TagKey) -> Callable[[bytes, bytes], bytes]:
        cipher = self._ciphers.get(key.secret)
        if cipher is None:
            cipher = self._ciphers[key.secret] = AESCCM(key.secret, tag_length=_MIC_BYTES)
        return lambda nonce, sealed: cipher.decrypt(nonce, sealed, None)


def _event(advert: bthome.Advert) -> ButtonEvent:
    """Any way of pressing is a press: nobody in need counts clicks. A press goes before tamper."""
    if advert.byte(bthome.BUTTON) not in (None, bthome.BUTTON_NONE):
        return ButtonEvent.PRESS
    if advert.byte(bthome.TAMPER):
        return ButtonEvent.TAMPER
    return ButtonEvent.ALIVE


def _battery(advert: bthome.Advert) -> float | None:
    value = advert.byte(bthome.BATTERY)
    return None if value is None else float(value)
