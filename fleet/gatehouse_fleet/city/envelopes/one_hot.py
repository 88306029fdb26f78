"""The one-hot HTTP dialect: one URL per group, inside it a map that says Y for one key and N for all others.

| field | meaning (DianXinSender.java, public code) |
|---|---|
| `<group>.data` | every key of the group, "Y" or "N" |
| `<group>.time` | seconds since 1970, as text |
| `<group>.remark` | digest of the data: how it is made could not be verified, so it is empty |
| projectId, projectName, address, deviceNo, buildNo | as the platform registered the site |
| locationeCode | place of the lift; the spelling is part of the contract |
| liftNo, messageId | the lift; the event |
| timeStamp | milliseconds since 1970, as text |
| imgAddress, videoAddress | group `event` only; the text "null" when there is none |

The dialect tells that something began, never that it ended. Both times are those of the gateway's report, so a repeated
message is the same message.
"""

from __future__ import annotations

from datetime import UTC
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from gatehouse_events.event import Event, EventState
from gatehouse_fleet.city.codemap import CodeMap
from gatehouse_fleet.city.errors import CityError, UnsayableError
from gatehouse_fleet.city.exchange import Message
from gatehouse_fleet.city.target import OneHot
from gatehouse_fleet.city.times import TimeFormat, formatted

_REGISTERED: Final = ("deviceNo", "locationeCode", "liftNo")
"""What only the platform can know of a lift."""
_BEGINNINGS: Final = frozenset({EventState.RAISED, EventState.TEST})


class Group(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One URL and the keys of its map."""

    name: str
    path: Annotated[str, Meta(pattern=r"^/[^\s?#]*$")]
    keys: Annotated[tuple[str, ...], Meta(min_length=1, max_length=200)]


class Dialect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The groups of one platform."""

    id: str
    provenance: Annotated[str, Meta(min_length=8)]
    map: str
    """The code map whose words are its keys."""
    groups: Annotated[tuple[Group, ...], Meta(min_length=1, max_length=16)]


def load_dialect(name: str, *, beside: Path) -> Dialect:
    """Return the shipped dialect `name`, or the .json file of that name beside the target's file.

    Raises:
        CityError: there is none or it is unusable.
    """
    shipped = Path(str(files("gatehouse_fleet.city"))) / "dialects"
    path = beside / name if name.endswith(".json") else shipped / f"{Path(name).name}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Dialect)
    except OSError as error:
        raise CityError(f"there is no dialect {name}: name a .json file") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise CityError(f"dialect {name}: {error}") from error


class OneHotEnvelope:
    """Says only that an alarm began."""

    tells_states: Final = False

    def __init__(self, settings: OneHot, *, dialect: Dialect, codes: CodeMap) -> None:
        self._settings: Final = settings
        self._groups: Final = {key: group for group in dialect.groups for key in group.keys}
        self._codes: Final = codes
        strangers = {row.says for row in codes.rows} - self._groups.keys()
        if strangers:
            raise CityError(f"dialect {dialect.id} has no key {', '.join(sorted(strangers))}")

    def render(self, event: Event, standing: tuple[str, ...]) -> Message | None:  # noqa: ARG002  # Envelope
        """See `Envelope.render`."""
        if event.data.state not in _BEGINNINGS:
            return None
        word = self._codes.word(event)
        group = self._groups[word]
        document: dict[str, object] = {
            group.name: {
                "data": {key: "Y" if key == word else "N" for key in group.keys},
                "time": _reported(event, TimeFormat.EPOCH_S),
                "remark": "",
            },
            **self._place(event),
            "messageId": event.id,
            "timeStamp": _reported(event, TimeFormat.EPOCH_MS),
        }
        if group.name == "event":
            document |= {"imgAddress": "null", "videoAddress": "null"}
        return Message(event_id=event.id, body=msgspec.json.encode(document), path=group.path)

    def _place(self, event: Event) -> dict[str, str]:
        device_id, site = event.subject, event.data.site
        asset = self._settings.assets.get(device_id)
        words = {} if asset is None else asset.words
        missing = [name for name in _REGISTERED if name not in words]
        if missing:
            raise UnsayableError(f"envelope.assets says nothing of {device_id}: {', '.join(missing)}")
        return {
            "projectId": self._settings.project_id,
            "projectName": self._settings.project_name,
            "address": words.get("address", site.address or ""),
            "deviceNo": words["deviceNo"],
            "buildNo": words.get("buildNo", site.building or ""),
            "locationeCode": words["locationeCode"],
            "liftNo": words["liftNo"],
        }


def _reported(event: Event, form: TimeFormat) -> str:
    return formatted(event.data.reported_at, form, UTC)  # both forms of this dialect have no zone in them
