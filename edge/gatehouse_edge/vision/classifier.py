"""The learned judge of paths: what kinds of movers it tells apart, and the ONNX model that says which one a strip shows."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.detector import PATCH_PX, open_model
from gatehouse_edge.vision.release import ModelError
from gatehouse_edge.vision.strip import NUMBER_NAMES, STEP_NAMES, STEPS, Strip


class Mover(StrEnum):
    """What the classifier tells apart; the first is what we look for."""

    THROW = "throw"
    BIRD = "bird"
    INSECT = "insect"
    LEAF = "leaf"
    CLOTH = "cloth"
    RAIN = "rain"
    VEHICLE = "vehicle"
    FLYING_MACHINE = "flying_machine"
    CLUTTER = "clutter"


MOVERS: Final = tuple(Mover)
_AT_ONCE: Final = 16
"""Strips in one run of the classifier: what lies between its layers is kept for each."""
_WANTED: Final = {
    "numbers": [len(NUMBER_NAMES)],
    "steps": [STEPS, len(STEP_NAMES)],
    "patches": [STEPS, 4, PATCH_PX, PATCH_PX],
}
"""Inputs of a classifier, and their shapes for one path."""


class Classifier:
    """The learned judge of paths: ONNX, strips in, probabilities of `MOVERS` out."""

    def __init__(self, path: Path, *, sha256: str | None = None) -> None:
        """Open the model.

        Raises:
            ModelError: missing, another hash, or of another shape.
        """
        self._session: Final = open_model(path, sha256=sha256)
        inputs = {one.name: list(one.shape[1:]) for one in self._session.get_inputs()}
        outputs = [list(one.shape[1:]) for one in self._session.get_outputs()]
        if inputs != _WANTED or outputs != [[len(MOVERS)]]:
            raise ModelError(
                f"{path.name} is not a path classifier: wants {_WANTED} in, {len(MOVERS)} probabilities out"
            )

    def judge(self, strips: Sequence[Strip]) -> npt.NDArray[np.float32]:
        """Return probabilities, shape (n, len(MOVERS)), of strips, at least one."""
        told = []
        for first in range(0, len(strips), _AT_ONCE):
            some = strips[first : first + _AT_ONCE]
            shown = {name: np.stack([getattr(strip, name) for strip in some]) for name in _WANTED}
            told.append(self._session.run(None, shown)[0])
        return np.concatenate(told)
