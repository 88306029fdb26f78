"""`python -m gatehouse_fleet` is `gatehouse-fleet`."""

import sys

from gatehouse_fleet.cli import main

sys.exit(main())
