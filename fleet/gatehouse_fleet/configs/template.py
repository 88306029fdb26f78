"""Templates: gateway.yaml with `${variables}`. Pure.

A variable stands where a scalar stands and is put in as quoted YAML text or a plain number, so no value can become structure. What
comes out is checked by the gateway's own models like anything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from gatehouse_config import Fault
from gatehouse_config.yaml_source import MAX_BYTES
from gatehouse_fleet.configs.errors import FaultyTextError

Value = str | int | float | bool
MAX_VARIABLES: Final = 200
MAX_VALUE_CHARS: Final = 200
_VARIABLE: Final = re.compile(r"\$\{([^}\n]{0,80})\}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def variables_of(text: str) -> frozenset[str]:
    """Return the names a template wants.

    Raises:
        FaultyTextError: something in `${}` is not a name.
    """
    found = set()
    for match in _VARIABLE.finditer(text):
        if _NAME.fullmatch(match[1]) is None:
            line = text.count("\n", 0, match.start()) + 1
            raise FaultyTextError(
                (Fault(path="", message=f"'{match[1]}' is not a variable's name", line=line),)
            )
        found.add(match[1])
    return frozenset(found)


def rendered(text: str, values: Mapping[str, Value]) -> str:
    """Return a template with its variables put in.

    Raises:
        FaultyTextError: a variable has no value, a value is no single line, or a value is for nothing.
    """
    wanted = variables_of(text)
    faults = [
        Fault(path="", message=f"variable {name} has no value") for name in sorted(wanted - values.keys())
    ]
    faults += [
        Fault(path="", message=f"variable {name} must be one printable line of at most {MAX_VALUE_CHARS}")
        for name, value in sorted(values.items())
        if isinstance(value, str) and (not value.isprintable() or len(value) > MAX_VALUE_CHARS)
    ]
    if faults:
        raise FaultyTextError(tuple(faults))
    made = _VARIABLE.sub(lambda match: _written(values[match[1]]), text)
    if len(made.encode()) > MAX_BYTES:
        raise FaultyTextError((Fault(path="", message=f"larger than {MAX_BYTES} bytes"),))
    return made


def _written(value: Value) -> str:
    # JSON strings are YAML scalars: quotes, escapes and all.
    return json.dumps(value, ensure_ascii=False)
