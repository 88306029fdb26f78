"""Read YAML as data with places: duplicate keys, line numbers, and no surprises in the scalars.

Scalars follow the YAML 1.2 core schema: `no` is text, `0501` is text (a room), `12:30` is text. Anchors,
aliases and tags are refused: a configuration needs none and they are the way to a "billion laughs".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import yaml

from gatehouse_config.fault import Fault

MAX_BYTES: Final = 1024 * 1024
"""2048 devices take about 600 KiB."""
MAX_DEPTH: Final = 20
"""The models are 6 deep."""

_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_HEX: Final = re.compile(r"0x[0-9A-Fa-f]{1,16}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9]")
_WORDS: Final[dict[str, bool | None]] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
"""What plain YAML resolves to; everything else was asked for with a tag."""

Step = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed file: plain dicts, lists and scalars, and where each of them stood."""

    data: object
    lines: dict[tuple[Step, ...], int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def line(self, path: tuple[Step, ...]) -> int | None:
        """Return the line of `path`, or of the nearest part above it that is in the file."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def written(path: tuple[Step, ...]) -> str:
    """Return a path as people write it: `devices[3].unit_id`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def parse(text: str) -> Source:
    """Return the contents of a YAML text; syntax errors, duplicate keys and the like are in `faults`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        words = " ".join(part for part in (error.context, error.problem) if part)
        return Source(data=None, faults=(Fault(path="", message=f"not YAML: {words}", line=line),))
    except yaml.YAMLError as error:
        return Source(
            data=None, faults=(Fault(path="", message=f"not YAML: {' '.join(str(error).split())}"),)
        )
    except (RecursionError, ValueError):
        return Source(data=None, faults=(Fault(path="", message="not YAML: nested too deep or not text"),))
    if node is None:
        return Source(data=None, faults=(Fault(path="", message="the file is empty"),))
    builder = _Builder()
    data = builder.build(node, ())
    return Source(data=data, lines=builder.lines, faults=tuple(builder.faults))


class _Builder:
    """Walks the node graph once; each node may be met only once, else it was an alias."""

    def __init__(self) -> None:
        self.lines: dict[tuple[Step, ...], int] = {}
        self.faults: list[Fault] = []
        self._met: set[int] = set()

    def build(self, node: yaml.Node, path: tuple[Step, ...]) -> object:
        line = node.start_mark.line + 1
        self.lines[path] = line
        if id(node) in self._met:
            self._refuse(path, line, "anchors and aliases are not used here; write it out")
            return None
        self._met.add(id(node))
        if len(path) > MAX_DEPTH:
            self._refuse(path[:MAX_DEPTH], line, f"nested deeper than {MAX_DEPTH}")
            return None
        if node.tag not in _TAGS:
            self._refuse(path, line, f"tag {node.tag} is not used here")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101  # YAML has three kinds of nodes
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: tuple[Step, ...]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(path, line, "a key must be a word")
                continue
            key = str(key_node.value)
            if key in found:
                first = self.lines.get((*path, key))
                self._refuse((*path, key), line, f"this key is here twice (first in line {first})")
                continue
            found[key] = self.build(value_node, (*path, key))
            self.lines[*path, key] = line
        return found

    def _refuse(self, path: tuple[Step, ...], line: int, message: str) -> None:
        self.faults.append(Fault(path=written(path), message=message, line=line))


def _scalar(node: yaml.ScalarNode) -> object:
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _LEADING_ZERO.match(text):
        # 0501 is a room number, not octal 321; 08.5 is nobody's number either.
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
