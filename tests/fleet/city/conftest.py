"""Events, targets and a simulated platform for the tests of everything that goes to the city."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
