"""Everything one command works with: rig, folders, words, clock, and the stations it opened."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, assert_never

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gatehouse_events.bench_record import Where
from gatehouse_hil.bench import backend_labgrid, backend_local, backend_simulated
from gatehouse_hil.bench.archive import Archive
from gatehouse_hil.bench.clock import Clock
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.outbox import Outbox, Post
from gatehouse_hil.bench.rig import Fleet, LabgridRig, LocalRig, Rig, SimulatedRig
from gatehouse_hil.bench.rig_memory import RigMemory
from gatehouse_hil.bench.station import Hands, Station
from gatehouse_hil.bench.words import Words

DEFAULT_RIG: Final = Path(__file__).with_name("simulated_rig.yaml")
DEFAULT_GAS: Final = Path(__file__).with_name("simulated_gas.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """One bench, as one command sees it."""

    directory: Path
    rig: Rig
    words: Words
    clock: Clock
    operator: str
    bench: str
    """Name of this computer."""
    hands: Hands
    """Whoever does what no relay can."""

    @property
    def archive(self) -> Archive:
        """The records and the key that signs them."""
        return Archive(self.directory)

    @property
    def outbox(self) -> Outbox:
        """What the fleet must be told."""
        return Outbox(self.directory / "outbox")

    @property
    def memory(self) -> RigMemory:
        """What has broken on this rig."""
        return RigMemory(self.directory / "rigs" / f"{self.rig.name}.json")

    @property
    def labels(self) -> Path:
        """Folder of the labels."""
        return self.directory / "labels"

    def chosen(self, boards: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the boards meant; all of the rig when none is named.

        Raises:
            BenchError: NO_SUCH_BOARD.
        """
        known = tuple(board.name for board in self.rig.boards)
        if unknown := [name for name in boards if name not in known]:
            raise BenchError(Fault.NO_SUCH_BOARD, board=unknown[0], known=", ".join(known))
        return tuple(name for name in known if not boards or name in boards)

    def where(self, station: Station) -> Where:
        """Return the part of a record that says where it was made."""
        return Where(
            bench=self.bench,
            operator=self.operator,
            rig=self.rig.name,
            station=station.name,
            backend=self.rig.backend,
            is_simulated=station.is_simulated,
            esptool=version("esptool"),
            mpremote=version("mpremote"),
        )

    @contextlib.asynccontextmanager
    async def stations(self, boards: tuple[str, ...]) -> AsyncIterator[tuple[Station, ...]]:
        """Open the chosen boards' places for the block.

        Raises:
            BenchError: NO_SUCH_BOARD; whatever the back end says.
        """
        names = frozenset(self.chosen(boards))
        match self.rig:
            case SimulatedRig():
                chosen = self.rig.model_copy(
                    update={"boards": tuple(board for board in self.rig.boards if board.name in names)}
                )
                opened = backend_simulated.stations(chosen, self.directory / "simulated", self.hands)
            case LocalRig():
                opened = backend_local.stations(self.rig, self.hands)
            case LabgridRig():
                opened = backend_labgrid.stations(self.rig, self.hands, boards=names)
            case never:
                assert_never(never)
        async with opened as stations:
            yield tuple(station for station in stations if station.name in names)


def post_for(fleet: Fleet) -> Post:
    """Return where and as whom the outbox is sent.

    Raises:
        BenchError: NO_SUCH_FILE, there is no token.
    """
    try:
        token = fleet.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(Fault.NO_SUCH_FILE, path=fleet.token_file) from error
    return Post(url=fleet.url, token=token, ca_file=fleet.ca_file)


def fleet_key(fleet: Fleet | None) -> X25519PublicKey | None:
    """Return the key that device keys are sealed for; None when the rig names none.

    Raises:
        BenchError: NO_SUCH_FILE, it is no X25519 public key.
    """
    if fleet is None or fleet.wrap_key_file is None:
        return None
    try:
        key = load_pem_public_key(fleet.wrap_key_file.read_bytes())
    except (OSError, ValueError) as error:
        raise BenchError(Fault.NO_SUCH_FILE, path=fleet.wrap_key_file) from error
    if not isinstance(key, X25519PublicKey):
        raise BenchError(Fault.NO_SUCH_FILE, path=fleet.wrap_key_file)
    return key
