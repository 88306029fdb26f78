"""One text for many gateways: `${name}` stands for what differs. Pure.

Strict in both directions: a variable without a value is refused, and so is a value that no variable asks for (it is a slip of the
pen). A value is one printable line; what it makes of the text is checked like any other text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gatehouse_config import Fault

BUILT_IN: Final = "gateway_id"
"""Always there: the gateway's own name."""
MAX_VALUE: Final = 256
MAX_VALUES: Final = 100
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MARK: Final = re.compile(r"\$\{([^}\n]*)(\}?)")


def variables(text: str) -> tuple[frozenset[str], tuple[Fault, ...]]:
    """Return the variables a template names, and what is wrong with how it names them."""
    names, faults = set(), []
    for number, line in enumerate(text.splitlines(), start=1):
        for mark in _MARK.finditer(line):
            if mark.group(2) and NAME.fullmatch(mark.group(1)):
                names.add(mark.group(1))
            else:
                shown = "".join(c if c.isprintable() else "?" for c in mark.group(0)[:40])
                faults.append(
                    Fault(path="", message=f"{shown} is no variable; write ${{small_letters}}", line=number)
                )
    return frozenset(names), tuple(faults)


def render(text: str, gateway_id: str, values: Mapping[str, str]) -> tuple[str, tuple[Fault, ...]]:
    """Return the text of one gateway, and why it cannot be had."""
    names, faults = variables(text)
    known = {BUILT_IN: gateway_id, **values}
    found = list(faults)
    found += [_fault(text, name) for name in sorted(names - known.keys())]
    found += [
        Fault(path="", message=f"{name} has a value for {gateway_id}, and the template has no such variable")
        for name in sorted(known.keys() - names - {BUILT_IN})
    ]
    found += [
        Fault(path="", message=f"the value of {name} must be one printable line of at most {MAX_VALUE}")
        for name, value in sorted(values.items())
        if len(value) > MAX_VALUE or not value.isprintable()
    ]
    if found:
        return "", tuple(found)
    return _MARK.sub(lambda mark: known[mark.group(1)], text), ()


def _fault(text: str, name: str) -> Fault:
    line = next(n for n, one in enumerate(text.splitlines(), start=1) if f"${{{name}}}" in one)
    return Fault(path="", message=f"${{{name}}} has no value", line=line)
