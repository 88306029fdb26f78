"""Read gateway.yaml: either a whole, cross-checked configuration or every fault at once."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from gatehouse_config import yaml_source
from gatehouse_config.buses import Bus
from gatehouse_config.cross_check import cross_faults
from gatehouse_config.devices import Device
from gatehouse_config.draft import Draft
from gatehouse_config.fault import Fault, FaultyConfigError
from gatehouse_config.model import GatewayConfig
from gatehouse_config.notifiers import Notifiers
from gatehouse_config.outputs import Output
from gatehouse_config.profiles import Profile, load_directory, shipped
from gatehouse_config.rulesets import Escalation
from gatehouse_config.site import Console
from gatehouse_config.yaml_source import Source, Step, written

_LISTS: Final[dict[str, TypeAdapter[Any]]] = {
    "buses": TypeAdapter(Bus),
    "devices": TypeAdapter(Device),
    "outputs": TypeAdapter(Output),
}
_SECTIONS: Final[dict[str, TypeAdapter[Any]]] = {
    "console": TypeAdapter(Console),
    "escalation": TypeAdapter(Escalation),
    "notifiers": TypeAdapter(Notifiers),
}
_MAX_FAULTS: Final = 500
"""Nobody corrects more in one sitting; bounds the answer to a hostile file."""


def load(path: Path | str, *, folder: Path | None = None) -> GatewayConfig:
    """Return the configuration in `path`.

    Args:
        path: the file.
        folder: what paths inside it are relative to; its own folder by default.

    Raises:
        FaultyConfigError: with every fault; the file was read and nothing else was touched.
    """
    config, faults = _examined(Path(path), folder or Path(path).parent)
    if config is None or faults:
        raise FaultyConfigError(tuple(faults))
    return config


def check(path: Path | str) -> list[Fault]:
    """Return everything that is wrong with the file at `path`, in the order of its lines."""
    return _examined(Path(path), Path(path).parent)[1]


def _examined(path: Path, folder: Path) -> tuple[GatewayConfig | None, list[Fault]]:
    try:
        with path.open("rb") as file:
            data = file.read(yaml_source.MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return None, [Fault(path="", message=f"{path} cannot be read: {error}")]
    if len(data) > yaml_source.MAX_BYTES:
        return None, [Fault(path="", message=f"larger than {yaml_source.MAX_BYTES} bytes")]
    source = yaml_source.parse(text)
    if not isinstance(source.data, dict):
        faults = list(source.faults) or [
            Fault(path="", message="the file must hold sections such as gateway: and site:", line=1)
        ]
        return None, faults
    profiles, faults = _profiles(source.data, folder)
    config: GatewayConfig | None = None
    try:
        config = GatewayConfig.model_validate(source.data)
    except ValidationError as error:
        faults.extend(_model_faults(error, source))
    crossed, keys = cross_faults(_draft(source.data), profiles, folder)
    faults.extend(source.faults)
    faults.extend(
        Fault(path=written(place), message=message, line=source.line(place)) for place, message in crossed
    )
    ordered = sorted(dict.fromkeys(faults), key=lambda fault: (fault.line or 0, fault.path))[:_MAX_FAULTS]
    if config is None or ordered:
        return None, ordered
    return config.placed(folder.absolute(), profiles=profiles, keys=keys), []


def _profiles(data: dict[str, object], directory: Path) -> tuple[dict[str, Profile], list[Fault]]:
    profiles = shipped()
    named = data.get("profiles_directory")
    if not isinstance(named, str) or "\0" in named:
        return profiles, []
    own, wrong = load_directory(directory / named)
    doubled = [
        Fault(
            path=f"profiles_directory: {name}", message="a profile of this name is shipped; choose another id"
        )
        for name in sorted(own.keys() & profiles.keys())
    ]
    return profiles | own, [*wrong, *doubled]


def _draft(data: dict[str, object]) -> Draft:
    """Gather the parts that are right in themselves, so that one fault does not hide those between parts."""
    parts: dict[str, Any] = {name: {} for name in _LISTS}
    claimed: dict[str, list[tuple[int, str]]] = {name: [] for name in _LISTS}
    for name, adapter in _LISTS.items():
        rows = data.get(name)
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            if isinstance(row, dict) and isinstance(row.get("id"), str):
                claimed[name].append((index, row["id"]))
            try:
                parts[name][index] = adapter.validate_python(row)
            except ValidationError:
                continue
    sections: dict[str, Any] = {}
    for name, adapter in _SECTIONS.items():
        try:
            sections[name] = adapter.validate_python(data.get(name, {}))
        except ValidationError:
            sections[name] = None
    return Draft(claimed=claimed, **parts, **sections)


def _model_faults(error: ValidationError, source: Source) -> Iterator[Fault]:
    for item in error.errors(include_url=False, include_context=False):
        kind, loc = item["type"], item["loc"]
        path = _yaml_path(loc, source.data)
        line = source.line(path)
        if kind == "extra_forbidden":
            yield Fault(path=written(path), message=_unknown_key(str(loc[-1]), loc[:-1]), line=line)
        elif kind == "missing":
            yield Fault(path=written(path), message="missing", line=line)
        elif kind == "literal_error" and loc and loc[-1] == "sign_posted":
            yield Fault(
                path=written(path),
                message="must be true: no camera without its sign (视频条例 Art 13)",
                line=line,
            )
        elif kind.startswith("union_tag"):
            yield Fault(
                path=written(path), message=f"kind or via is missing or unknown: {item['msg']}", line=line
            )
        else:
            yield Fault(path=written(path), message=item["msg"].removeprefix("Value error, "), line=line)


def _yaml_path(loc: tuple[Step, ...], data: object) -> tuple[Step, ...]:
    """Return pydantic's place without the tags of discriminated unions, which are not in the file."""
    path: list[Step] = []
    node = data
    before: Step = ""
    for step in loc:
        # The tag follows the index at once; a key of the same name (a gas detector's `gas`) comes later.
        is_tag = isinstance(before, int) and isinstance(node, dict) and _is_tag(step, node)
        before = step
        if is_tag:
            continue
        path.append(step)
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            node = None
    return tuple(path)


def _is_tag(step: Step, node: dict[str, object]) -> bool:
    return step in (node.get("kind"), node.get("via"))


def _unknown_key(key: str, owner_loc: tuple[Step, ...]) -> str:
    known = sorted(_known_keys(owner_loc))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f"unknown key '{key[:64]}'; did you mean '{near[0]}'?"
    return f"unknown key '{key[:64]}'; known here: {', '.join(known)}"


def _known_keys(loc: tuple[Step, ...]) -> set[str]:
    """Return the keys of the model at pydantic's place `loc`."""
    models: list[type[BaseModel]] = [GatewayConfig]
    before: Step = ""
    for step in loc:
        tagged = [model for model in models if _tag(model) == step] if isinstance(before, int) else []
        before = step
        if isinstance(step, int):
            continue
        if tagged:
            models = tagged
        else:
            fields = [field for model in models if (field := model.model_fields.get(step)) is not None]
            models = [model for field in fields for model in _models(field.annotation)]
    return {name for model in models for name in model.model_fields}


def _tag(model: type[BaseModel]) -> str | None:
    for name in ("kind", "via"):
        if name in model.model_fields:
            return str(get_args(model.model_fields[name].annotation)[0])
    return None


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in {Annotated, Union, types.UnionType, tuple}:
        return [model for part in get_args(annotation) for model in _models(part)]
    return []
