"""What has broken on this rig. A first failure is remembered: a broken rig does not pass on the second try.

The idea is labgrid's `strategy.never_retry`. One JSON file beside the records, written before anybody is told.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_hil.bench.disk_file import locked, replace_file
from gatehouse_hil.bench.fault import BenchError, Fault

_HISTORY_LIMIT: Final = 500
"""Older repairs are dropped from the file; the records that failed keep their own account."""


class Breakage(Struct, frozen=True, kw_only=True):
    """One resource that failed."""

    resource: str
    fault: str
    facts: dict[str, str]
    at: datetime


class Repair(Struct, frozen=True, kw_only=True):
    """Somebody said what was mended."""

    breakage: Breakage
    reason: str
    by: str
    at: datetime


class _Remembered(Struct, frozen=True, kw_only=True):
    broken: dict[str, Breakage] = {}
    repairs: tuple[Repair, ...] = ()


class RigMemory:
    """The memory of one rig."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    def broken(self) -> tuple[Breakage, ...]:
        """Return what is broken now, by name of resource."""
        return tuple(self._read().broken[name] for name in sorted(self._read().broken))

    def check(self, *resources: str) -> None:
        """Refuse to use a resource that has failed.

        Raises:
            BenchError: RIG_BROKEN.
        """
        remembered = self._read().broken
        for resource in resources:
            if resource in remembered:
                first = remembered[resource]
                raise BenchError(
                    Fault.RIG_BROKEN,
                    resource=resource,
                    part=resource,
                    since=f"{first.at:%Y-%m-%d %H:%M}Z",
                    was=first.fault,
                )

    def remember(self, error: BenchError, at: datetime) -> None:
        """Keep the first failure of `error.resource`; a later one changes nothing."""
        with locked(self._path.parent):
            before = self._read()
            if error.resource in before.broken:
                return
            breakage = Breakage(resource=error.resource, fault=error.fault.value, facts=error.facts, at=at)
            self._write(msgspec.structs.replace(before, broken={**before.broken, error.resource: breakage}))

    def reset(self, resource: str, *, reason: str, by: str, at: datetime) -> None:
        """Believe that `resource` was mended.

        Raises:
            BenchError: NO_RESOURCE, it is not broken.
        """
        with locked(self._path.parent):
            before = self._read()
            broken = dict(before.broken)
            breakage = broken.pop(resource, None)
            if breakage is None:
                known = ", ".join(sorted(before.broken)) or "-"
                raise BenchError(Fault.NO_RESOURCE, part=resource, known=known)
            repair = Repair(breakage=breakage, reason=reason, by=by, at=at)
            self._write(_Remembered(broken=broken, repairs=(*before.repairs, repair)[-_HISTORY_LIMIT:]))

    def repairs(self) -> tuple[Repair, ...]:
        """Return what was mended, oldest first."""
        return self._read().repairs

    def _read(self) -> _Remembered:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Remembered)
        except FileNotFoundError:
            return _Remembered()
        except msgspec.DecodeError as error:
            raise BenchError(Fault.RIG_UNREADABLE, path=self._path, why=str(error)) from error

    def _write(self, remembered: _Remembered) -> None:
        replace_file(self._path, msgspec.json.format(msgspec.json.encode(remembered)))
