"""Hypothesis profiles and round counts: quick on a laptop, repeatable in CI, long at night."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("dev", parent=settings.get_profile("ci"), max_examples=50, derandomize=False)
settings.register_profile(
    "nightly",
    parent=settings.get_profile("ci"),
    max_examples=5_000,
    derandomize=False,
    deadline=timedelta(seconds=5),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
