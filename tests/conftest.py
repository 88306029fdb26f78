"""How long the tests run: a fifth of the fault rounds in `make test`, all of them in `make nightly`.

`GATEHOUSE_ROUNDS=full` is the one switch; it also chooses Hypothesis' long profile. A test with a size of its own takes it
from the fixture `rounds` or, for Hypothesis, as a part of `settings().max_examples`, so that the switch reaches all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["gatehouse_hil.pytest_plugin"]
"""`--rig FILE` runs the tests of nodes on real boards; see the package."""

WANTED = os.environ.get("GATEHOUSE_ROUNDS", "fifth")
if WANTED not in {"fifth", "full"}:
    raise pytest.UsageError(f"GATEHOUSE_ROUNDS is {WANTED!r}; it can be 'fifth' or 'full'")

settings.register_profile(
    "fifth",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "full",
    parent=settings.get_profile("fifth"),
    max_examples=5_000,
    derandomize=False,
    deadline=timedelta(seconds=5),
)
settings.load_profile(WANTED)


@pytest.fixture(scope="session")
def rounds() -> Callable[[int], int]:
    """How many of `full` rounds to run: all of them at night, else a fifth."""
    return lambda full: full if WANTED == "full" else -(-full // 5)
