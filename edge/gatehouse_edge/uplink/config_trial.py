"""Configurations from the fleet: fetched, checked, tried, and kept only if the fleet is still reached with them.

| state key | meaning |
|---|---|
| config/fleet | the configuration in force instead of the local file (`Kept`) |
| config/trial | one is being tried (`Trial`); found at a start: the power went during the trial, and the one before is in force |

The bytes lie in `configs` below the fleet directory, named by their hash; the keys above say which of them counts, and change
in one commit with the outcome of the order. A trial that has not been confirmed when its window ends is taken back.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from gatehouse_config import FaultyConfigError, GatewayConfig, load
from gatehouse_edge.clock import Clock
from gatehouse_edge.ledger import OrderPlace, Settlement
from gatehouse_edge.uplink.errors import RefusedError, UplinkError
from gatehouse_edge.uplink.link import Link, LinkState
from gatehouse_edge.uplink.status import ConfigOrigin
from gatehouse_events.orders import ConfigVersion, Order, OrderOutcome, OrderResult
from gatehouse_journal.durable import write_file

KEPT_KEY: Final = "config/fleet"
TRIAL_KEY: Final = "config/trial"
FOLDER: Final = "configs"
USE_LOCAL: Final = "use-local"
"""A file of this name in the fleet directory brings the local file back at the next reload or start."""
_KEPT_FILES: Final = 8
"""Configurations kept on disk besides the one in force; the oldest go."""
_FETCH_PAUSE_S: Final = 2.0
_LOOKS: Final = 12
"""A trial asks the fleet this often during its window."""
_MAX_DETAIL: Final = 1800
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


class Kept(Struct, frozen=True, kw_only=True):
    """A configuration of the fleet that has been confirmed."""

    version: str
    sha256: str


class Trial(Struct, frozen=True, kw_only=True):
    """The order whose configuration is being tried."""

    place: OrderPlace
    version: str
    sha256: str


class ConfigHost(Protocol):
    """The gateway: it can go over to a configuration, and back."""

    @property
    def config(self) -> GatewayConfig:
        """Return what is in force."""
        ...

    @property
    def origin(self) -> ConfigOrigin:
        """Return where that comes from."""
        ...

    @property
    def failing_parts(self) -> frozenset[str]:
        """Return the parts that do not work now."""
        ...

    async def adopt(self, config: GatewayConfig, origin: ConfigOrigin) -> None:
        """Go over to a configuration.

        Raises:
            FaultyConfigError: it cannot be built; the old one goes on.
        """
        ...

    def report_status(self) -> None:
        """Tell the fleet how we are, now."""
        ...


class ConfigSource(Protocol):
    """Where a configuration's bytes come from."""

    async def config(self, version: str, size_bytes: int) -> bytes:
        """Return them."""
        ...


class TrialLedger(Protocol):
    """Where its outcome goes."""

    async def settle(self, settlement: Settlement) -> None:
        """Commit an outcome with its state keys."""
        ...


class _FailedError(Exception):
    """The trial ends here; carries what is answered."""

    def __init__(self, result: OrderResult, detail: str) -> None:
        super().__init__(detail)
        self.result: Final = result


class ConfigTrials:
    """One trial at a time. Owned by the gateway; outlives the uplink, which a trial may replace."""

    def __init__(
        self,
        ledger: TrialLedger,
        host: ConfigHost,
        source: Callable[[], ConfigSource | None],
        *,
        directory: Path,
        link: Link,
        clock: Clock,
        left: Trial | None,
    ) -> None:
        self._ledger: Final = ledger
        self._host: Final = host
        self._source: Final = source
        self._directory: Final = directory
        self._link: Final = link
        self._clock: Final = clock
        self._left = left
        self._orders: Final[asyncio.Queue[Order]] = asyncio.Queue(1)
        self._is_busy = left is not None

    def refusal(self) -> str | None:
        """Return why none can be tried now."""
        return "another configuration is being tried" if self._is_busy else None

    def key_of(self, order: Order) -> Mapping[str, bytes]:
        """Return the state keys that a trial begins with."""
        wanted = _wanted(order)
        trial = Trial(place=_place(order), version=wanted.version, sha256=wanted.sha256)
        return {TRIAL_KEY: msgspec.json.encode(trial)}

    def begin(self, order: Order) -> None:
        """Begin the trial."""
        self._is_busy = True
        self._orders.put_nowait(order)

    async def run(self) -> None:
        """Try what is ordered, until cancelled."""
        if self._left is not None:
            left, self._left = self._left, None
            await self._answer(
                left.place, OrderResult.FAILED, "restarted during the trial; the one before is in force"
            )
        self._is_busy = False
        while True:
            order = await self._orders.get()
            try:
                kept = await self._try(order)
            except _FailedError as failed:
                _log.error("configuration of the fleet is not taken: %s", failed)
                await self._answer(_place(order), failed.result, str(failed))
            else:
                await self._answer(_place(order), OrderResult.DONE, "confirmed", kept=kept)
            self._is_busy = False

    async def _try(self, order: Order) -> Kept:
        """Return the configuration to keep.

        Raises:
            _FailedError: it is not; the one before is in force.
        """
        wanted = _wanted(order)
        raw = await self._fetch(order, wanted)
        path = await asyncio.to_thread(self._stored, raw, wanted.sha256)
        before, origin = self._host.config, self._host.origin
        config = await asyncio.to_thread(self._checked, path, before)
        failing = self._host.failing_parts
        try:
            await self._host.adopt(config, ConfigOrigin(version=wanted.version, sha256=wanted.sha256))
        except FaultyConfigError as error:
            raise _FailedError(OrderResult.REFUSED, str(error)[:_MAX_DETAIL]) from error
        doubt = await self._watch(wanted, failing)
        if doubt is not None:
            await self._host.adopt(before, origin)
            raise _FailedError(OrderResult.FAILED, f"taken back: {doubt}")
        return Kept(version=wanted.version, sha256=wanted.sha256)

    async def _fetch(self, order: Order, wanted: ConfigVersion) -> bytes:
        while True:
            source = self._source()
            try:
                if source is not None:
                    raw = await source.config(wanted.version, wanted.size_bytes)
                    break
            except UplinkError as error:
                if isinstance(error, RefusedError) and not 500 <= error.status < 600:  # noqa: PLR2004  # HTTP
                    raise _FailedError(OrderResult.FAILED, f"cannot be fetched: {error}") from error
                self._link.failed(error)
            if order.is_expired(self._link.fleet_now()):
                raise _FailedError(OrderResult.EXPIRED, "could not be fetched in time")
            await asyncio.sleep(_FETCH_PAUSE_S)
        if len(raw) != wanted.size_bytes or sha256(raw).hexdigest() != wanted.sha256:
            raise _FailedError(OrderResult.REFUSED, "size or hash is not what was ordered")
        return raw

    def _stored(self, raw: bytes, digest: str) -> Path:
        folder = self._directory / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = config_path(self._directory, digest)
        write_file(path, raw, mode=0o600)
        former = sorted(folder.glob("*.yaml"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in former[_KEPT_FILES:]:
            if file.stem not in {digest, self._host.origin.sha256}:
                file.unlink(missing_ok=True)
        return path

    def _checked(self, path: Path, before: GatewayConfig) -> GatewayConfig:
        try:
            config = load(path, folder=before.resolve("."))
        except FaultyConfigError as error:
            raise _FailedError(OrderResult.REFUSED, str(error)[:_MAX_DETAIL]) from error
        stranger = foreign(config, before)
        if stranger is not None:
            raise _FailedError(OrderResult.REFUSED, stranger)
        return config

    async def _watch(self, wanted: ConfigVersion, failing: frozenset[str]) -> str | None:
        """Watch the window; return what speaks against the configuration, None when nothing does."""
        began_s = self._clock.now().service_s
        step_s = wanted.confirm_within_s / _LOOKS
        for _ in range(_LOOKS):
            self._host.report_status()
            await asyncio.sleep(step_s)
            worse = self._host.failing_parts - failing
            if worse and self._clock.now().service_s - began_s > wanted.confirm_within_s / 2:
                return f"these parts fail under it: {', '.join(sorted(worse))}"
        fresh_s = self._clock.now().service_s - wanted.confirm_within_s / 2
        status_s = self._link.status_s
        if self._link.state is not LinkState.UP or status_s is None or status_s < fresh_s:
            return "the fleet was lost with it"
        if self._link.config_version != wanted.version:
            return "the fleet was not told of it"
        return None

    async def _answer(
        self, place: OrderPlace, result: OrderResult, detail: str, *, kept: Kept | None = None
    ) -> None:
        outcome = OrderOutcome(
            epoch=place.epoch, seq=place.seq, result=result, at=self._link.fleet_now(), detail=detail
        )
        state: dict[str, bytes | None] = {TRIAL_KEY: None}
        if kept is not None:
            state[KEPT_KEY] = msgspec.json.encode(kept)
        await self._ledger.settle(
            Settlement(place=place, answer=lambda _: outcome, state=state, is_late=True)
        )


def config_path(directory: Path, digest: str) -> Path:
    """Return where the configuration of that hash lies."""
    return directory / FOLDER / f"{digest}.yaml"


def foreign(config: GatewayConfig, before: GatewayConfig) -> str | None:
    """Return why a configuration is not for this gateway, None when it is."""
    if config.gateway.id != before.gateway.id:
        return f"gateway.id: it is for {config.gateway.id}"
    if config.storage.directory != before.storage.directory:
        return "storage.directory: the journal stays where it is"
    if config.fleet is None:
        return "fleet: without this section nobody could take it back"
    if config.fleet_directory != before.fleet_directory:
        return "fleet.directory: the identity stays where it is"
    return None


def kept_config(
    state: Mapping[str, bytes], local: GatewayConfig
) -> tuple[GatewayConfig, ConfigOrigin, str | None]:
    """Return what to start with: the fleet's confirmed configuration, or the local file, and what speaks against the former."""
    value = state.get(KEPT_KEY)
    if value is None or local.fleet is None:
        return local, ConfigOrigin(), None
    try:
        kept = msgspec.json.decode(value, type=Kept)
        if not _HASH.fullmatch(kept.sha256):
            return local, ConfigOrigin(), "the note of the fleet's configuration cannot be read"
        path = config_path(local.fleet_directory, kept.sha256)
        if sha256(path.read_bytes()).hexdigest() != kept.sha256:
            return local, ConfigOrigin(), "the fleet's configuration was changed on the disk"
        config = load(path, folder=local.resolve("."))
    except (msgspec.DecodeError, OSError, FaultyConfigError) as error:
        return local, ConfigOrigin(), f"the fleet's configuration cannot be used: {error}"[:_MAX_DETAIL]
    stranger = foreign(config, local)
    if stranger is not None:
        return local, ConfigOrigin(), stranger
    return config, ConfigOrigin(version=kept.version, sha256=kept.sha256), None


def left_trial(state: Mapping[str, bytes]) -> Trial | None:
    """Return the trial that a power cut or a kill has ended."""
    value = state.get(TRIAL_KEY)
    try:
        return None if value is None else msgspec.json.decode(value, type=Trial)
    except msgspec.DecodeError:
        return None


def _wanted(order: Order) -> ConfigVersion:
    assert isinstance(order.action, ConfigVersion)  # noqa: S101  # the desk brings no other
    return order.action


def _place(order: Order) -> OrderPlace:
    return OrderPlace(epoch=order.epoch, seq=order.seq)
