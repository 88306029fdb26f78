"""Who is told, and by which way; the part of the configuration the notifier lives on."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_config.devices import ButtonDevice
from gatehouse_config.model import GatewayConfig
from gatehouse_config.notifiers import GsmContact

FAMILY: Final = "family"
"""In a ladder: the family contacts of the resident whose button it is."""


class Via(StrEnum):
    """The ways out."""

    WEBHOOK = "webhook"
    SMTP = "smtp"
    GSM = "gsm"


class Contact(Struct, frozen=True, kw_only=True):
    """One person or server."""

    id: str
    via: Via
    to: str
    """Mail address, telephone number, or the recipient as the webhook's server knows it."""
    call: bool = False
    """GSM only: ring as well as write."""


class Directory(Struct, frozen=True, kw_only=True):
    """All contacts, and which of them are family of which button."""

    contacts: dict[str, Contact] = {}
    families: dict[str, tuple[str, ...]] = {}
    """Device id -> contact ids."""
    private_words: frozenset[str] = frozenset()
    """Names and numbers of residents; they leave the gateway in no notification."""

    @classmethod
    def from_config(cls, config: GatewayConfig) -> Directory:
        """Return the directory of a checked configuration."""
        contacts = {
            contact.id: Contact(
                id=contact.id,
                via=Via(contact.via),
                to=contact.to,
                call=isinstance(contact, GsmContact) and contact.call,
            )
            for contact in config.notifiers.contacts
        }
        residents = {
            device.id: device.resident
            for device in config.devices
            if isinstance(device, ButtonDevice) and device.resident is not None
        }
        words = {
            word for person in residents.values() for word in (person.name, person.phone) if len(word) > 1
        }
        return cls(
            contacts=contacts,
            families={device_id: person.family_contacts for device_id, person in residents.items()},
            private_words=frozenset(words),
        )

    def resolve(self, notify: Sequence[str], device_id: str) -> tuple[Contact, ...]:
        """Return the people a ladder step means, each once. `desk` and the prompts are the console's business."""
        wanted: dict[str, Contact] = {}
        for name in notify:
            for contact_id in self.families.get(device_id, ()) if name == FAMILY else (name,):
                if contact_id in self.contacts:
                    wanted[contact_id] = self.contacts[contact_id]
        return tuple(wanted.values())

    def redact(self, text: str) -> str:
        """Return `text` without residents' names and numbers."""
        for word in sorted(self.private_words, key=len, reverse=True):
            text = text.replace(word, "**")
        return text
