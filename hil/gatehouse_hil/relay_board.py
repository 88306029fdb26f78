"""A simulated relay board: eight coils (function 1, 5, 15) and eight opto inputs (function 2).

The estate wires the inputs to mains, UPS, e-bike contact and valve feedback; tests flip them by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from typing_extensions import override

from gatehouse_hil.modbus_slave import Slave

POINTS = 8


@dataclass
class RelayBoard(Slave):
    """Eight relays and eight inputs. `feedback` wires a relay to an input, as a valve's position switch does."""

    coils: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(POINTS), 0))
    inputs: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(POINTS), 0))
    stuck: dict[int, int] = field(default_factory=dict)
    """Relays that do not move: coil -> position they stay in, whatever is written."""
    feedback: dict[int, int] = field(default_factory=dict)
    """Coil -> input that follows it."""
    closes: dict[int, int] = field(default_factory=dict)
    """Coil -> input of a bistable valve: a pulse closes it and its contact stays closed."""
    opens: dict[int, int] = field(default_factory=dict)
    """Coil -> input of the same valve: a pulse opens it."""
    writes: list[tuple[int, int]] = field(default_factory=list)
    """What was written to the coils, in order."""

    def set_input(self, point: int, is_on: bool) -> None:
        """Drive one input."""
        self.inputs[point] = int(is_on)

    def stick(self, point: int, at: bool) -> None:
        """Let one relay stick."""
        self.stuck[point] = int(at)
        self.coils[point] = int(at)

    def loosen(self, point: int) -> None:
        """Let a stuck relay move again."""
        self.stuck.pop(point, None)

    def power_cycle(self) -> None:
        """Lose the supply for a moment: all relays fall off."""
        for point in self.coils:
            self.coils[point] = self.stuck.get(point, 0)

    @override
    def after_write(self, address: int, *, is_coil: bool) -> None:
        """Move the relay, unless it is stuck, and the input wired to it."""
        if not is_coil:
            return
        self.writes.append((address, self.coils[address]))
        if address in self.stuck:
            self.coils[address] = self.stuck[address]
        if address in self.feedback:
            self.inputs[self.feedback[address]] = self.coils[address]
        if self.coils[address] and address in self.closes:
            self.inputs[self.closes[address]] = 1
        if self.coils[address] and address in self.opens:
            self.inputs[self.opens[address]] = 0
