"""Rules: pure functions from what was seen to what is wrong. One module per device kind, one table of them.

How the desk uses a rule:

- at the first start `initial`; after a restart decode `State` from JSON and call `resume` once, before the first step;
- `step` with every observation addressed to the device, and with `None` once a second;
- write the state to disk with the step unless `volatile_equal` says that nothing of weight changed.

Who gets what besides a device's own readings: an `InputReading` also to the device that is its
`subject` (the lift of an e-bike contact), `BeaconReading` and `ButtonReading` also to the radio bus they were heard on, a `ThrowReading` to its camera, a `Refusal` to the device
or bus it names, and to the rule of kind `gateway` when it names neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from msgspec import Struct

from gatehouse_edge.rules import beacon, bus, camera, gas, lift, node, power, sos
from gatehouse_edge.rules.condition import Condition

__all__ = ["RULES", "Condition", "Rule", "volatile_equal"]


class Rule(NamedTuple):
    """One module of rules, as data. `Any` is the module's own `State` or `Settings`; a table cannot say more."""

    initial: Callable[[Any, Any], Any]
    """`(settings, now) -> State`."""
    resume: Callable[[Any, Any, Any], Any]
    """`(state, now, settings) -> State`, once after a restart."""
    step: Callable[[Any, Any, Any, Any], tuple[Any, tuple[Condition, ...]]]
    """`(state, observation | None, now, settings) -> (State, conditions)`."""
    state: type[Struct]
    settings: type[Struct]
    volatile: frozenset[str]


RULES: Final[dict[str, Rule]] = {
    "gas": Rule(gas.initial, gas.resume, gas.step, gas.State, gas.Settings, gas.VOLATILE),
    "lift": Rule(lift.initial, lift.resume, lift.step, lift.State, lift.Settings, lift.VOLATILE),
    "button": Rule(sos.initial, sos.resume, sos.step, sos.State, sos.Settings, sos.VOLATILE),
    "beacon": Rule(
        beacon.initial, beacon.resume, beacon.step, beacon.State, beacon.Settings, beacon.VOLATILE
    ),
    "io": Rule(power.initial, power.resume, power.step, power.State, power.Settings, power.VOLATILE),
    "camera": Rule(
        camera.initial, camera.resume, camera.step, camera.State, camera.Settings, camera.VOLATILE
    ),
    "bus": Rule(bus.initial, bus.resume, bus.step, bus.State, bus.Settings, bus.VOLATILE),
    "gateway": Rule(node.initial, node.resume, node.step, node.State, node.Settings, node.VOLATILE),
}
"""Device kind -> rule; `gateway` takes the refusals that name no known device or bus."""


def volatile_equal(rule: Rule, before: Struct, after: Struct) -> bool:
    """Return whether two states differ in nothing that must reach the disk at once."""
    if before is after:
        return True
    names = [name for name in rule.state.__struct_fields__ if name not in rule.volatile]
    return all(_equal(getattr(before, name), getattr(after, name)) for name in names)


def _equal(before: object, after: object) -> bool:
    if isinstance(before, node.State) and isinstance(after, node.State):
        # Each device carries its own refusals; a count that grows is no reason to write.
        return before.active == after.active
    return before == after
