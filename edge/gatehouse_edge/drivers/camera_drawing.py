"""What is drawn on a camera's still, out of a file: for cameras whose drawing was made elsewhere, and for the simulated estate."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from gatehouse_edge.evidence.promise import Drawn
from gatehouse_edge.vision.origin import CalibrationError, decode

__all__ = ["CalibrationError", "read_drawing"]


def read_drawing(path: Path) -> bytes:
    """Return a drawing as a camera's process takes it (JSON of `Drawn`); its version is 0, for no console has counted it.

    Raises:
        CalibrationError: the file is not there, or what is drawn cannot be a façade.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CalibrationError(f"{path.name} cannot be read: {error.strerror}") from error
    return msgspec.json.encode(Drawn(version=0, sha256=sha256(raw).hexdigest(), calibration=decode(raw)))
