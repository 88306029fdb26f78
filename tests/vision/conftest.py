"""`write_video` makes small clips; its helpers are a module beside it, found through this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small_video import write_video

__all__ = ["write_video"]
