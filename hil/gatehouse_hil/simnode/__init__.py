"""Simulated nodes: the real firmware on the official MicroPython VM, with pins, flash, radio and power in our hands."""

from __future__ import annotations

from gatehouse_hil.simnode.node import Cut, ResetCause, SimNode
from gatehouse_hil.simnode.vm import VmError, is_available

__all__ = ["Cut", "ResetCause", "SimNode", "VmError", "is_available"]
