"""`python -m gatehouse_edge` is `gatehouse-edge`."""

import sys

from gatehouse_edge.cli import main

sys.exit(main())
