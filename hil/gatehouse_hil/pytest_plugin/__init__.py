"""pytest fixtures for tests of nodes that run alike on simulated and on real ones.

    pytest_plugins = ["gatehouse_hil.pytest_plugin"]          # in the conftest.py at the root of the tests

    async def test_a_gas_node_answers(node, line):
        gas = await node(NodeKind.GAS, number=17)
        with line(gas) as wire:
            ...                                               # open wire.port as any Modbus master would

Without `--rig` the nodes are simulated (the same firmware on the MicroPython VM); with `--rig FILE` they are the boards of
that file, and what only a simulation can do (a torn flash write, lost adverts) skips with a sentence.

| fixture   | what it is                                                                                      |
|-----------|-------------------------------------------------------------------------------------------------|
| `node`    | `await node(kind, number=1, ...)`: a commissioned node, started                                 |
| `line`    | `line(node, ...)`: a context manager, the serial line the nodes are on; `wire.port` is its host  |
| `radio`   | the air: `await radio.hear(node)`; faults on `radio.medium` when simulated                      |
| `power`   | `await power.off(node)`, `on`, `cycle`; `power.cut_at_write(node, n)` when simulated            |
| `gateway` | `await gateway(config)`: a gateway process on a configuration, watched through its journal      |
| `golden`  | `golden(recorder, "name")`: compares what went over a line with `golden/name.trace`             |
"""

from __future__ import annotations

from gatehouse_hil.pytest_plugin.fixtures import (
    fixture_gateway,
    fixture_golden,
    fixture_line,
    fixture_medium,
    fixture_node,
    fixture_power,
    fixture_program,
    fixture_radio,
)
from gatehouse_hil.pytest_plugin.hooks import pytest_addoption, pytest_configure, pytest_terminal_summary

__all__ = [
    "fixture_gateway",
    "fixture_golden",
    "fixture_line",
    "fixture_medium",
    "fixture_node",
    "fixture_power",
    "fixture_program",
    "fixture_radio",
    "pytest_addoption",
    "pytest_configure",
    "pytest_terminal_summary",
]
