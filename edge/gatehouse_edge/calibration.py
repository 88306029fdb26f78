"""What operators have drawn on stills of the cameras: versions that are never changed, each with the still it was drawn on.

    <storage>/calibration/<camera>/000001.json     one version (`Calibrated`); the highest number counts
    <storage>/calibration/<camera>/<sha256>.jpg    a still

Taking a version back writes a new one with the old content: what a manifest refers to stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_edge.evidence.promise import Drawn
from gatehouse_edge.vision.facade import Calibration, CalibrationError, checked, faults_of
from gatehouse_events.chain import canonical
from gatehouse_journal.durable import sync_directory, write_file

FOLDER: Final = "calibration"
MAX_STILL_BYTES: Final = 16 * 1024 * 1024
SPARE_STILLS: Final = 4
"""Stills nobody drew on yet; older ones are deleted: they show where people live."""
_CAMERA: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION: Final = re.compile(r"(\d{6})\.json")
_STILL: Final = re.compile(r"([0-9a-f]{64})\.jpg")
_MODE: Final = 0o640


class FaultyDrawingError(CalibrationError):
    """What was drawn cannot be a façade."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults: Final = tuple(faults)
        """(field, sentence)."""
        super().__init__("; ".join(sentence for _, sentence in self.faults))


class StaleVersionError(Exception):
    """Somebody else has drawn meanwhile."""

    def __init__(self, newest: int) -> None:
        super().__init__(f"version {newest} has been stored meanwhile")
        self.newest: Final = newest


class Calibrated(Struct, frozen=True, kw_only=True):
    """One version."""

    version: int
    camera_id: str
    at: datetime
    by: str
    still_sha256: str
    """Empty: drawn without one (from a file)."""
    calibration: Calibration
    note: str = ""

    def drawn(self) -> Drawn:
        """Return it as evidence refers to it."""
        return Drawn(version=self.version, sha256=sha_of(self), calibration=self.calibration)


def sha_of(calibrated: Calibrated) -> str:
    """Return the SHA-256 of a version as it lies on the disk."""
    return sha256(canonical(calibrated)).hexdigest()


class CalibrationStore:
    """Every call touches the disk. One writer at a time; readers (a camera's process) at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def newest(self, camera_id: str) -> int:
        """Return the number of the version that counts; 0: none. Cheap: a camera's process may ask every few seconds."""
        return max(self.versions(camera_id), default=0)

    def versions(self, camera_id: str) -> list[int]:
        """Return the numbers of all versions, oldest first."""
        found = (_VERSION.fullmatch(path.name) for path in self._of(camera_id).glob("*.json"))
        return sorted(int(match[1]) for match in found if match)

    def get(self, camera_id: str, version: int | None = None) -> Calibrated | None:
        """Return a version (None: the one that counts); None: there is none, or it cannot be read."""
        number = self.newest(camera_id) if version is None else version
        try:
            raw = (self._of(camera_id) / f"{number:06}.json").read_bytes()
            found = msgspec.json.decode(raw, type=Calibrated)
            checked(found.calibration)
        except (OSError, msgspec.DecodeError, ValueError):
            return None
        return found

    def put(
        self,
        camera_id: str,
        calibration: Calibration,
        *,
        based_on: int,
        still_sha256: str,
        by: str,
        at: datetime,
        note: str = "",
    ) -> Calibrated:
        """Store a new version.

        Raises:
            FaultyDrawingError: it cannot be a façade.
            StaleVersionError: `based_on` is not the newest any more.
            OSError: the disk refuses; nothing has changed.
        """
        faults = faults_of(calibration)
        if faults:
            raise FaultyDrawingError(faults)
        newest = self.newest(camera_id)
        if based_on != newest:
            raise StaleVersionError(newest)
        made = Calibrated(
            version=newest + 1,
            camera_id=camera_id,
            at=at,
            by=by[:64],
            still_sha256=still_sha256,
            calibration=calibration,
            note=note[:200],
        )
        folder = self._of(camera_id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        write_file(folder / f"{made.version:06}.json", canonical(made), mode=_MODE)
        self._tidy(camera_id)
        return made

    def restore(self, camera_id: str, version: int, *, based_on: int, by: str, at: datetime) -> Calibrated:
        """Make an old version count again, as a new one.

        Raises:
            KeyError: there is no such version.
            StaleVersionError, OSError: as `put`.
        """
        old = self.get(camera_id, version)
        if old is None:
            raise KeyError(version)
        return self.put(
            camera_id,
            old.calibration,
            based_on=based_on,
            still_sha256=old.still_sha256,
            by=by,
            at=at,
            note=f"version {version} again",
        )

    def put_still(self, camera_id: str, jpeg: bytes) -> str:
        """Keep a still; return its hash.

        Raises:
            ValueError: too large, or no JPEG.
            OSError: the disk refuses.
        """
        if len(jpeg) > MAX_STILL_BYTES or not jpeg.startswith(b"\xff\xd8\xff"):
            raise ValueError("a still is a JPEG of at most 16 MiB")
        sha, folder = sha256(jpeg).hexdigest(), self._of(camera_id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        write_file(folder / f"{sha}.jpg", jpeg, mode=_MODE)
        self._tidy(camera_id)
        return sha

    def still(self, camera_id: str, sha: str) -> Path | None:
        """Return where a still lies; None: it does not."""
        path = self._of(camera_id) / f"{sha}.jpg"
        return path if _STILL.fullmatch(path.name) and path.is_file() else None

    def _of(self, camera_id: str) -> Path:
        if not _CAMERA.fullmatch(camera_id):
            raise ValueError("not the name of a camera")
        return self._folder / camera_id

    def _tidy(self, camera_id: str) -> None:
        """Delete stills nobody drew on, but for the newest few."""
        folder = self._of(camera_id)
        used = {
            found.still_sha256
            for number in self.versions(camera_id)
            if (found := self.get(camera_id, number)) is not None
        }
        spare = sorted(
            (path for path in folder.glob("*.jpg") if path.stem not in used),
            key=lambda path: path.stat().st_mtime_ns,
        )
        if len(spare) > SPARE_STILLS:
            for path in spare[:-SPARE_STILLS]:
                path.unlink(missing_ok=True)
            sync_directory(folder)
