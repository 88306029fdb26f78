"""The files a configuration names: keys, tokens, passwords, certificates, profiles of one's own. Names only; nothing is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from gatehouse_config.yaml_source import Step, written


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """One file or folder that must lie on the gateway."""

    path: str
    """Place in the yaml that names it."""
    file: str
    """As the yaml says it, relative to the folder of the gateway's own file."""


def named_files(config: BaseModel) -> tuple[NamedFile, ...]:
    """Return every file a configuration names, in the order of its models.

    A field is a file by its name (`file`, `…_file`, `profiles_directory`, `models_directory`), so that a new one is not forgotten here.
    """
    return tuple(_named(config, ()))


def _named(part: object, path: tuple[Step, ...]) -> Iterator[NamedFile]:
    if isinstance(part, BaseModel):
        for name in type(part).model_fields:
            value = getattr(part, name)
            if isinstance(value, str) and _is_file(name):
                yield NamedFile(path=written((*path, name)), file=value)
            else:
                yield from _named(value, (*path, name))
    elif isinstance(part, tuple):
        for index, item in enumerate(part):
            yield from _named(item, (*path, index))


def _is_file(name: str) -> bool:
    return name in {"file", "profiles_directory", "models_directory"} or name.endswith("_file")
