"""`python -m gatehouse_hil` is `gatehouse-bench`."""

import sys

from gatehouse_hil.cli import main

sys.exit(main())
