"""Contacts, ladders, keys and secrets: who is told, and what nobody else may know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gatehouse_config.devices import BeaconDevice, ButtonDevice, GasDevice, LiftDevice
from gatehouse_config.draft import Draft, Found, near
from gatehouse_config.notifiers import Notifiers
from gatehouse_config.rulesets import Escalation
from gatehouse_config.secret_files import SecretError, read_key, read_pin, read_secret
from gatehouse_config.yaml_source import Step

BUILT_IN_TARGETS: Final = frozenset({"desk", "family", "prompt_120", "prompt_110"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SECRETS: Final[tuple[tuple[str, str, Callable[[Path], str]], ...]] = (
    ("webhook", "token_file", read_secret),
    ("smtp", "password_file", read_secret),
    ("gsm", "pin_file", read_pin),
)


def contact_faults(draft: Draft) -> Iterator[Found]:
    """Yield ladders and families that name nobody, contacts without a way, and doubles."""
    notifiers = draft.notifiers
    if notifiers is None:
        return
    contacts: dict[str, int] = {}
    for index, contact in enumerate(notifiers.contacts):
        if contact.id in contacts:
            yield (
                ("notifiers", "contacts", index, "id"),
                f"'{contact.id}' is already contact {contacts[contact.id]}",
            )
        contacts.setdefault(contact.id, index)
        if getattr(notifiers, contact.via) is None:
            yield ("notifiers", "contacts", index, "via"), f"there is no section notifiers.{contact.via}"
    yield from _families(draft, contacts)
    if draft.escalation is not None:
        yield from _ladders(draft.escalation, contacts)


def _families(draft: Draft, contacts: Mapping[str, int]) -> Iterator[Found]:
    for index, device in draft.devices.items():
        if not isinstance(device, ButtonDevice):
            continue
        for number, name in enumerate(device.resident.family_contacts):
            if name not in contacts:
                place = ("devices", index, "resident", "family_contacts", number)
                yield place, f"there is no contact '{name}'{near(name, contacts)}"


def _ladders(escalation: Escalation, contacts: Mapping[str, int]) -> Iterator[Found]:
    targets = BUILT_IN_TARGETS | contacts.keys()
    for category in Escalation.model_fields:
        last_s = -1.0
        for number, step in enumerate(getattr(escalation, category)):
            if step.after_s <= last_s:
                yield ("escalation", category, number, "after_s"), "steps must come in the order of time"
            last_s = step.after_s
            for which, name in enumerate(step.notify):
                if name not in targets:
                    place = ("escalation", category, number, "notify", which)
                    yield place, f"there is no contact '{name}'{near(name, targets)}"


def key_faults(draft: Draft, directory: Path, keys: dict[str, bytes]) -> Iterator[Found]:
    """Yield missing, malformed, copied and shared keys; put the good ones into `keys` (file -> 16 bytes)."""
    owners: dict[bytes, str] = {}
    for index, device in draft.devices.items():
        if not isinstance(device, GasDevice | LiftDevice | ButtonDevice | BeaconDevice):
            continue
        numbers: set[int] = set()
        for number, key in enumerate(device.keys):
            place: tuple[Step, ...] = ("devices", index, "keys", number)
            if key.id in numbers:
                yield (*place, "id"), f"key {key.id} of {device.id} is here twice"
            numbers.add(key.id)
            try:
                value = read_key(directory / key.file)
            except SecretError as error:
                yield (*place, "file"), str(error)
                continue
            if value in owners:
                yield (
                    (*place, "file"),
                    f"the same key is already in use by {owners[value]}; every key is its own",
                )
            owners.setdefault(value, f"{device.id} key {key.id}")
            keys[key.file] = value


def secret_faults(draft: Draft, directory: Path) -> Iterator[Found]:
    """Yield what is wrong with tokens, passwords, the PIN and the console's certificate."""
    notifiers = draft.notifiers
    if notifiers is not None:
        yield from _ways(notifiers)
        for section, key, read in _SECRETS:
            file = getattr(getattr(notifiers, section), key, None)
            if file is None:
                continue
            try:
                read(directory / file)
            except SecretError as error:
                yield ("notifiers", section, key), str(error)
    console = draft.console
    if console is not None and console.tls == "files":
        for name in ("certificate_file", "private_key_file"):
            file = getattr(console, name)
            if file is not None and not (directory / file).is_file():
                yield ("console", name), f"there is no file {directory / file}"


def _ways(notifiers: Notifiers) -> Iterator[Found]:
    if notifiers.webhook is not None:
        yield from _webhook(notifiers.webhook.url)
    smtp = notifiers.smtp
    if smtp is not None:
        if smtp.security == "off" and smtp.host not in _LOOPBACK_NAMES:
            yield ("notifiers", "smtp", "security"), f"may be off only on loopback, not to {smtp.host}"
        if (smtp.user is None) != (smtp.password_file is None):
            yield ("notifiers", "smtp", "user"), "user and password_file go together"


def _webhook(url: str) -> Iterator[Found]:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        yield ("notifiers", "webhook", "url"), "is not an address"
        return
    if host is None:
        yield ("notifiers", "webhook", "url"), "names no host"
    elif parts.scheme == "http" and host not in _LOOPBACK_NAMES:
        yield ("notifiers", "webhook", "url"), "http is for loopback only; use https"
    if parts.username or parts.password:
        yield ("notifiers", "webhook", "url"), "holds a login; put the token into token_file"
