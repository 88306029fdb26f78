"""One page on simulated boards for each module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from bench_site import BenchSite

from gatehouse_hil.simnode import VmError, vm


@pytest.fixture(scope="session")
def needs_vm():
    try:
        vm.prepare()
    except VmError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    found = BenchSite(tmp_path_factory.mktemp("bench")).start()
    yield found
    found.close()
