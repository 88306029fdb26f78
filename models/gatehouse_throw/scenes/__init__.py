"""A procedural renderer of what a throw camera sees, with exact ground truth. Seeded: a seed is a scene."""

from gatehouse_throw.scenes.scene import Scene, Truth
from gatehouse_throw.scenes.spec import SceneSpec, Setting, Split, spec_of

__all__ = ["Scene", "SceneSpec", "Setting", "Split", "Truth", "spec_of"]
