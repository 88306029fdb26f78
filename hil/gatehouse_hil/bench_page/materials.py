"""What a technician has at hand: the runtime file and the gas bottle. Entered at the page once, kept beside its runs, and part of every command."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import msgspec
import yaml
from msgspec import Meta, Struct

from gatehouse_hil import rom_image
from gatehouse_hil.bench import calibration
from gatehouse_hil.bench.disk_file import replace_file
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench_page.commands import Setup

_MAX_RUNTIME_BYTES: Final = 16 * 1024 * 1024
_FOUND: Final = 20


class GasWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands on the bottle's certificate."""

    gas: Annotated[str, Meta(min_length=1, max_length=40)]
    percent_lel: Annotated[float, Meta(gt=0, le=100)]
    bottle: Annotated[str, Meta(min_length=1, max_length=40)]
    expires: date


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change; None: as before."""

    runtime: Annotated[str, Meta(max_length=1000)] | None = None
    gas: GasWanted | None = None
    command_id: str = ""


class MaterialsView(Struct, frozen=True, kw_only=True):
    """What every command is given."""

    runtime: str
    gas: GasWanted | None
    has_floors: bool
    """Without a floors file there is nothing to calibrate on a lift's sensor."""


class _Kept(Struct, frozen=True, kw_only=True):
    runtime: str = ""


class Materials:
    """Of one bench directory. What the command line named goes before what was entered at the page."""

    def __init__(self, folder: Path) -> None:
        self._file: Final = folder / "materials.json"
        self._bottle: Final = folder / "bottle.yaml"
        self._kept = _read(self._file)

    def applied(self, setup: Setup) -> Setup:
        """Return the setup with what was entered where the command line said nothing."""
        runtime = setup.runtime or (Path(self._kept.runtime) if self._kept.runtime else None)
        gas = setup.gas or (self._bottle if self._bottle.exists() else None)
        return dataclasses.replace(setup, runtime=runtime, gas=gas)

    def change(self, wanted: Wanted, today: date) -> None:
        """Keep what was entered, once it has been looked into.

        Raises:
            BenchError: NO_SUCH_FILE, IMAGE_DAMAGED; PLAN_WRONG, GAS_EXPIRED.
        """
        if wanted.runtime is not None:
            _check_runtime(Path(wanted.runtime))
            self._kept = _Kept(runtime=wanted.runtime)
            replace_file(self._file, msgspec.json.encode(self._kept))
        if wanted.gas is not None:
            text = yaml.safe_dump(msgspec.to_builtins(wanted.gas, builtin_types=(date,)), allow_unicode=True)
            tried = self._bottle.with_suffix(".tried.yaml")
            replace_file(tried, text.encode())
            try:
                calibration.check_bottle(calibration.load_bottle(tried), today)
                replace_file(self._bottle, text.encode())
            finally:
                tried.unlink()


def view(setup: Setup) -> MaterialsView:
    """Return what the page shows of it."""
    gas = None
    if setup.gas is not None:
        try:
            bottle = calibration.load_bottle(setup.gas)
            gas = GasWanted(
                gas=bottle.gas, percent_lel=bottle.percent_lel, bottle=bottle.bottle, expires=bottle.expires
            )
        except BenchError:
            gas = None  # the run that needs it will say what is wrong with the file
    return MaterialsView(
        runtime=setup.runtime.name if setup.runtime else "", gas=gas, has_floors=setup.floors is not None
    )


def runtimes_near(folders: tuple[Path, ...]) -> tuple[str, ...]:
    """Return runtime files that lie where people put downloads, to choose from."""
    found = [path for folder in folders for path in sorted(folder.glob("*.bin")) if path.is_file()]
    return tuple(str(path) for path in found[:_FOUND])


def _check_runtime(path: Path) -> None:
    try:
        if not 0 < path.stat().st_size <= _MAX_RUNTIME_BYTES:
            raise BenchError(Fault.NO_SUCH_FILE, path=path)
        rom_image.read_runtime(path.read_bytes())
    except OSError as error:
        raise BenchError(Fault.NO_SUCH_FILE, path=path) from error
    except rom_image.ImageError as error:
        raise BenchError(Fault.IMAGE_DAMAGED, why=str(error)) from error


def _read(file: Path) -> _Kept:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return _Kept()
