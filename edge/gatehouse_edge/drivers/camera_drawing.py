"""What is drawn on a camera's still now: the newest version of the console, else a file that the configuration names."""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from gatehouse_edge.calibration import CalibrationStore
from gatehouse_edge.evidence.promise import Drawn
from gatehouse_edge.vision.facade import CalibrationError, decode

_log = logging.getLogger(__name__)


class Drawing:
    """One camera's. `now` may be called every second: it reads only what has changed."""

    def __init__(self, folder: Path, camera_id: str, file: Path | None) -> None:
        """Read nothing yet.

        Args:
            folder: of the calibration store.
            camera_id: whose.
            file: used while nothing has been drawn at the console; None: no such file.
        """
        self._store: Final = CalibrationStore(folder)
        self._camera_id: Final = camera_id
        self._file: Final = file
        self._seen: tuple[int, int] | None = None
        self._drawn = b""

    def now(self) -> bytes:
        """Return the drawing as a camera's process takes it (JSON of `Drawn`); empty: none, or none that can be used."""
        version = self._store.newest(self._camera_id)
        seen = (version, 0 if version or self._file is None else _changed_ns(self._file))
        if seen != self._seen:
            self._seen = seen
            try:
                self._drawn = self._read(version)
            except CalibrationError as error:
                _log.warning("drawing of %s cannot be used: %s", self._camera_id, error)
                self._drawn = b""
        return self._drawn

    def _read(self, version: int) -> bytes:
        if version:
            found = self._store.get(self._camera_id, version)
            if found is None:
                raise CalibrationError(f"version {version} cannot be read")
            return msgspec.json.encode(found.drawn())
        return b"" if self._file is None else read_drawing(self._file)


def read_drawing(path: Path) -> bytes:
    """Return a drawing out of a file; its version is 0, for no console has counted it.

    Raises:
        CalibrationError: the file is not there, or what is drawn cannot be a façade.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CalibrationError(f"{path.name} cannot be read: {error.strerror}") from error
    return msgspec.json.encode(Drawn(version=0, sha256=sha256(raw).hexdigest(), calibration=decode(raw)))


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
