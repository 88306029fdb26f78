"""Who may appear in a scene, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from gatehouse_throw.scenes.distractors import (
    Distractor,
    Flock,
    Flyer,
    Leaf,
    Patch,
    Stage,
    Traffic,
    Tree,
    Walker,
)
from gatehouse_throw.scenes.lookalikes import DistantTraffic, NearTraffic, Sinker

_MAKERS: Final[dict[str, Callable[[np.random.Generator, Stage], Distractor]]] = {
    "bird": lambda rng, stage: Flyer("bird", rng, stage),
    "flock": Flock,
    "insect": lambda rng, stage: Flyer("insect", rng, stage),
    "drone": lambda rng, stage: Flyer("drone", rng, stage),
    "helicopter": lambda rng, stage: Flyer("helicopter", rng, stage),
    "leaf": Leaf,
    "tree": Tree,
    "laundry": lambda rng, stage: Patch("laundry", rng, stage),
    "curtain": lambda rng, stage: Patch("curtain", rng, stage),
    "window": lambda rng, stage: Patch("window", rng, stage),
    "lamp": lambda rng, stage: Patch("lamp", rng, stage),
    "headlight": lambda rng, stage: Patch("headlight", rng, stage),
    "lift_outside": lambda rng, stage: Patch("lift_outside", rng, stage),
    "person": lambda rng, stage: Walker("person", rng, stage),
    "roof_person": lambda rng, stage: Walker("roof_person", rng, stage),
    "hand": lambda rng, stage: Walker("hand", rng, stage),
    "vehicle": lambda rng, stage: Walker("vehicle", rng, stage),
    "traffic": Traffic,
    "sinker": lambda rng, stage: Sinker("bird", rng, stage),
    "descender": lambda rng, stage: Sinker("drone", rng, stage),
    "distant_traffic": DistantTraffic,
    "near_traffic": NearTraffic,
}
_MANY: Final[dict[str, tuple[int, int]]] = {
    "bird": (1, 4), "insect": (1, 6), "leaf": (1, 8), "tree": (1, 3), "laundry": (1, 5), "window": (1, 3), "lamp": (1, 4),
    "person": (1, 5), "vehicle": (1, 4), "drone": (1, 3), "traffic": (1, 2), "curtain": (1, 3),
    "sinker": (1, 4), "descender": (1, 3), "distant_traffic": (1, 2), "near_traffic": (1, 2),
}  # fmt: skip


def make(kind: str, rng: np.random.Generator, stage: Stage) -> list[Distractor]:
    """Return some distractors of one kind."""
    low, high = _MANY.get(kind, (1, 1))
    return [_MAKERS[kind](rng, stage) for _ in range(int(rng.integers(low, high + 1)))]
