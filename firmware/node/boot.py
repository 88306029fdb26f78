"""Runs first: puts the chosen slot at the head of the path. Boot level: never changed by an update."""

import sys

import machine
import slots

_cause = machine.reset_cause()
_chosen = slots.on_chip().choose(
    _cause not in (machine.SOFT_RESET, machine.DEEPSLEEP_RESET), _cause == machine.WDT_RESET
)
if _chosen:
    sys.path.insert(0, _chosen)
