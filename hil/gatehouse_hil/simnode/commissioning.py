"""What the bench does to a bare board, done to a simulated node's directory: files on its flash, identity and keys in its NVS.

The names and types of the NVS entries are those of `firmware/node/README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gatehouse_hil.node_build import Build

NvsValue = int | bytes | str
_KEYS_KEPT: Final = 2
"""The firmware holds the present key and, while keys are changed, the next."""


def write_nvs(directory: Path, namespace: str, values: Mapping[str, NvsValue]) -> None:
    """Set entries of a node that has no power; what is there under other names stays."""
    folder = directory / "nvs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{namespace}.json"
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entries |= {name: _encoded(value) for name, value in values.items()}
    path.write_text(json.dumps(entries), encoding="utf-8")


def read_nvs(directory: Path, namespace: str) -> dict[str, NvsValue]:
    """Return what a namespace holds."""
    path = directory / "nvs" / f"{namespace}.json"
    if not path.exists():
        return {}
    entries: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return {name: _decoded(entry) for name, entry in entries.items()}


def commission(
    directory: Path,
    build: Build,
    *,
    serial: str,
    node: int = 0,
    keys: Mapping[int, bytes] | None = None,
    calibration: Mapping[str, NvsValue] | None = None,
) -> None:
    """Make a directory the node that `build` makes of a board: program in slot a, confirmed, identity and keys written.

    Args:
        directory: the node's; without power.
        build: its program.
        serial: serial number, ASCII, at most 24 characters.
        node: Modbus unit (gas) or node id (lift); 0 for the others.
        keys: key number to 16 bytes; at most two.
        calibration: entries of `gh_cal`.
    """
    keys = dict(sorted((keys or {}).items()))
    if len(keys) > _KEYS_KEPT:
        raise ValueError(f"a node holds {_KEYS_KEPT} keys, not {len(keys)}")
    build.write(directory / "flash")
    write_nvs(directory, "gh_id", {"kind": int(build.kind), "serial": serial.encode("ascii"), "node": node})
    for at, (number, key) in enumerate(keys.items(), start=1):
        write_nvs(directory, "gh_key", {f"id{at}": number, f"key{at}": key})
    if calibration:
        write_nvs(directory, "gh_cal", calibration)


def _encoded(value: NvsValue) -> str:
    if isinstance(value, bytes):
        return f"b{value.hex()}"
    return f"s{value}" if isinstance(value, str) else f"i{value}"


def _decoded(entry: str) -> NvsValue:
    kind, text = entry[0], entry[1:]
    if kind == "b":
        return bytes.fromhex(text)
    return text if kind == "s" else int(text)
