"""One receiver, read from `webhooks/NAME.yaml`; its secret stands in a file beside it, never in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.projection.feed import FeedTopic

MAX_FILE_BYTES: Final = 16 * 1024
MAX_HOOKS: Final = 32
MIN_SECRET_BYTES: Final = 32
_MAX_SECRET_BYTES: Final = 1024


class WebhookError(FleetError):
    """A webhook cannot be used as its file says."""


class Hook(BaseModel):
    """What one file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(max_length=2048, description="https://…; http only to this machine itself")]
    secret_file: Annotated[Path, Field(description="32 bytes or more, beside this file")]
    topics: Annotated[
        tuple[FeedTopic, ...],
        Field(min_length=1, description="alarm, case, gateway, rollout, city"),
    ] = tuple(FeedTopic)
    scope_path: Annotated[str, Field(pattern=r"^/(\d+/)*$", description="only this place and below")] = "/"
    timeout_s: Annotated[float, Field(gt=0, le=30)] = 10.0

    @field_validator("url")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be https://HOST/PATH")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError("no user, password or fragment: the signature is the proof")
        _ = parts.port
        return value


class NamedHook(BaseModel):
    """A hook with its name and its secret."""

    model_config = ConfigDict(frozen=True)

    name: str
    hook: Hook
    secret: Annotated[bytes, Field(repr=False)]


def load_all(folder: Path) -> tuple[NamedHook, ...]:
    """Return every webhook of a folder; none when there is no folder.

    Raises:
        WebhookError: a file does not fit, or there are too many; the text names the file and each place.
    """
    if not folder.is_dir():
        return ()
    paths = sorted(folder.glob("*.yaml"))
    if len(paths) > MAX_HOOKS:
        raise WebhookError(f"{folder}: {len(paths)} webhooks; at most {MAX_HOOKS}")
    return tuple(_load(path) for path in paths)


def _load(path: Path) -> NamedHook:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise WebhookError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        hook = Hook.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        secret = (path.parent / hook.secret_file).read_bytes().strip()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:10]
        )
        raise WebhookError(f"{path}: {faults}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise WebhookError(f"{path} cannot be read: {error}") from error
    if not MIN_SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
        raise WebhookError(f"{path}: its secret has {len(secret)} bytes; {MIN_SECRET_BYTES} at least")
    return NamedHook(name=path.stem[:64], hook=hook, secret=secret)
