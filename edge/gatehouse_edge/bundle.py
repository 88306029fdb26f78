"""`gatehouse-edge bundle`: one file for whoever helps from afar, with nothing in it that opens anything.

Holds the configuration without residents, contacts and addresses of servers, what `doctor` finds, versions, the tail of
the log and the journal's health. Key files, certificates, passwords and alarm bodies stay where they are.
"""

from __future__ import annotations

import io
import json
import platform
import tarfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from gatehouse_config import load
from gatehouse_edge.doctor import examine

_LOG_TAIL_BYTES: Final = 256 * 1024
_PRIVATE: Final = frozenset(
    {"resident", "contacts", "keys", "url", "to", "name", "phone", "note", "user", "sender", "rescue_code"}
)
"""Names in gateway.yaml whose values stay out."""
MASK: Final = "(left out)"


def masked(value: object) -> object:
    """Return `value` with everything private replaced, at any depth. Pure."""
    if isinstance(value, dict):
        return {
            key: MASK if key in _PRIVATE or str(key).endswith("_file") else masked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value


def write(config_path: Path, target: Path) -> list[str]:
    """Write the bundle to `target` (.tar.gz) and return the names of its members.

    Raises:
        ConfigError: the configuration is faulty; run `check`.
        OSError: `target` cannot be written.
    """
    names = []
    with tarfile.open(target, "w:gz") as tar:
        for name, content in _members(config_path):
            info = tarfile.TarInfo(f"gatehouse-bundle/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            names.append(name)
    return names


def _members(config_path: Path) -> Iterator[tuple[str, bytes]]:
    config = load(config_path)
    storage = config.resolve(config.storage.directory)
    yield "config.json", _json(masked(config.model_dump(mode="json")))
    yield "doctor.json", _json([msgspec.to_builtins(finding) for finding in examine(config_path)])
    packages = {dist.name: dist.version for dist in metadata.distributions()}
    yield (
        "versions.json",
        _json({"python": platform.python_version(), "kernel": platform.release(), **packages}),
    )
    log = storage / "log" / "gatehouse.log"
    if log.exists():
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            yield "log.jsonl", file.read()
    yield (
        "storage.json",
        _json({path.name: path.stat().st_size for path in sorted(storage.glob("*")) if path.is_file()}),
    )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, default=str).encode()
