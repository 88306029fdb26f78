"""Evidence in the gateway's own process: what cameras kept goes into the journal, is held, shown, masked and deleted.

State keys: `evidence/kept/<manifest sha256>` (`Stored`), in the same commit as the register entry and the alarm's revision.
Every deed is in the journal before it is done; files are touched afterwards, and what a kill left undone is done at the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct, structs

from gatehouse_edge.alarms.board import NewRecord
from gatehouse_edge.alarms.commands import AnyCommand, AttachEvidence
from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers.clip_masked import MaskError, mask_apart
from gatehouse_edge.drivers.clip_recover import recover_apart
from gatehouse_edge.evidence import drawer
from gatehouse_edge.evidence.drafts import KeepError, check_room, left_in
from gatehouse_edge.evidence.retention import (
    Hold,
    Steadiness,
    Stored,
    decode_stored,
    is_due,
    retention_until,
    stored_of,
)
from gatehouse_edge.ledger import LedgerError, OrderPlace, Settlement
from gatehouse_edge.ports import NoEvidenceError
from gatehouse_events.alarm import SYSTEM, Actor, Alarm
from gatehouse_events.chain import EntryKind
from gatehouse_events.evidence import (
    Deleted,
    EvidenceError,
    FileKind,
    Held,
    Kept,
    KeptFiles,
    Lifted,
    Manifest,
    Masked,
    Missed,
    RegisterEntry,
    Viewed,
    encode_manifest,
)

KEY: Final = "evidence/kept/"
FAILED: Final = "gateway.evidence_failed"
THROW: Final = "throw.object_falling"
NAMED: Final = ("clip.mp4", "release.jpg", "track.json")
"""Files an alarm names beside the manifest, so that a fleet may fetch them; the manifest names all of them."""
_SWEEP_EVERY_S: Final = 900.0
_SETTLE_S: Final = 10.0
"""A camera's process of the gateway's last life may still be writing a clip it had promised (`camera_worker.py`: 5 s)."""
_EARLY_MOST: Final = 8
"""Viewing copies that wait to be made before anybody asks: of a whole burst the newest, the others on demand."""
_log = logging.getLogger(__name__)


class RegisterPort(Protocol):
    """What evidence needs of the ledger."""

    async def enter(
        self,
        records: tuple[NewRecord, ...],
        *,
        state: dict[str, bytes | None],
        commands: tuple[AnyCommand, ...] = (),
    ) -> None:
        """Write all of it in one commit."""
        ...

    async def sign(self) -> None:
        """Sign what has been written."""
        ...

    async def report(self, code: str, text: str = "", *, is_true: bool) -> None:
        """Say that something is wrong with the gateway, or no longer."""
        ...

    def kept_under(self, prefix: str) -> dict[str, bytes]:
        """Return state keys."""
        ...

    def alarms(self) -> Sequence[Alarm]:
        """Return the open alarms."""
        ...


Settle = Callable[[Settlement], Awaitable[None]]
"""Commits what an order does to evidence, with the order's outcome and place."""


class Shown(Struct, frozen=True, kw_only=True):
    """One piece of evidence as people are told of it."""

    stored: Stored
    manifest: Manifest


class EvidenceDesk:
    """Owned by the gateway for its whole life. `run` beside the ledger; everything else from any task of its loop."""

    def __init__(
        self,
        register: RegisterPort,
        folder: Path,
        *,
        clock: Clock,
        days: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            register: the ledger.
            folder: of all evidence; made when first needed.
            clock: the gateway's.
            days: the retention in force.
        """
        self.folder: Final = folder
        self._register: Final = register
        self._clock: Final = clock
        self._days: Final = days
        self._steadiness: Final = Steadiness()
        # Before any camera's process begins: what lies there now has nobody at work on it.
        self._left: Final = left_in(folder)
        self._masking: Final = asyncio.Lock()
        self._recovering: Final = asyncio.Lock()
        self._changing: Final = asyncio.Lock()
        self._unmasked: Final[deque[str]] = deque(maxlen=_EARLY_MOST)
        self._has_unmasked: Final = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        """Of the copy that is being made and that nobody waits for."""

    async def mask_early(self) -> None:
        """Make viewing copies of what is new before anybody asks, one after the other, until cancelled.

        What fails or is too much is made on demand (`masked`), and whoever asks goes first.
        """
        while True:
            await self._has_unmasked.wait()
            self._has_unmasked.clear()
            while self._unmasked:
                sha = self._unmasked.popleft()
                try:
                    await self._mask(sha, is_awaited=False)
                except TimeoutError:  # somebody asked for a copy
                    self._unmasked.append(sha)
                except (NoEvidenceError, MaskError, LedgerError) as error:
                    _log.info("no viewing copy of %s before somebody asks: %s", sha[:12], error)

    async def run(self) -> None:
        """Finish what the last life left, then look after retention until cancelled."""
        await asyncio.to_thread(self.folder.mkdir, mode=0o750, parents=True, exist_ok=True)
        await asyncio.sleep(_SETTLE_S)
        await self.recover()
        while True:
            await self.sweep()
            await asyncio.sleep(_SWEEP_EVERY_S)

    # --- from the cameras

    def alarm_of(self, camera_id: str) -> str:
        """Return the open throw alarm of a camera, for its promise; empty: there is none."""
        return next(
            (a.alarm_id for a in self._register.alarms() if a.device_id == camera_id and a.code == THROW), ""
        )

    async def adopt(self, kept: KeptFiles) -> None:
        """Enter what lies on the disk into the journal and name it in its alarm; again: nothing happens. Signed at once.

        Raises:
            LedgerError: the gateway is stopping; the next start finds the files.
        """
        sha, manifest = kept.manifest_sha256, kept.manifest
        async with self._changing:
            if f"{KEY}{sha}" in self._register.kept_under(KEY):
                return
            alarm_id = manifest.alarm_id or self.alarm_of(manifest.camera_id)
            names = (
                *(drawer.stored_name(file.sha256, file.name) for file in manifest.files),
                drawer.stored_name(sha, drawer.MANIFEST),
            )
            now = self._clock.now()
            stored = stored_of(sha, manifest, names, alarm_id=alarm_id, now=now)
            entry = Kept(alarm_id=alarm_id, manifest_sha256=sha, manifest=manifest)
            attach = self._attach(stored, self._items(stored, manifest), f"evidence/{sha[:32]}")
            await self._enter(entry, stored, attach)
        if manifest.clip is not None:
            self._unmasked.append(sha)
            self._has_unmasked.set()
        await self.sign()
        await self._register.report(FAILED, is_true=False)
        _log.info("evidence %s of %s is kept", sha[:12], manifest.camera_id)

    async def missed(self, *, camera_id: str, event_id: str, alarm_id: str, why: str) -> None:
        """Write down that promised evidence could not be kept, and raise the fault."""
        entry = Missed(
            alarm_id=alarm_id or self.alarm_of(camera_id),
            event_id=event_id,
            camera_id=camera_id,
            why=why[:200],
        )
        await self._register.enter((_record(entry),), state={})
        await self.failing(f"{camera_id}: {why}")

    async def failing(self, why: str) -> None:
        """Raise the fault: something promised is not on the disk yet."""
        _log.error("evidence cannot be kept: %s", why)
        await self._register.report(FAILED, why[:120], is_true=True)

    async def recover(self, camera_id: str | None = None) -> None:
        """Finish what an ended camera process (None: the last life of the gateway) left, and enter it.

        Of a camera: after its process has ended and before the next one begins. In a process of its own: it was perhaps a
        clip that ended the first one.
        """
        async with self._recovering:
            names = (
                self._left if camera_id is None else await asyncio.to_thread(left_in, self.folder, camera_id)
            )
            try:
                found = await recover_apart(self.folder, names, made_at=self._clock.now().wall)
            except KeepError as error:
                await self.failing(str(error))
                found = []
        for kept in found:
            await self.adopt(kept)
        if camera_id is None:
            await self._adopt_strays()
            await asyncio.to_thread(self._clear)

    async def _adopt_strays(self) -> None:
        """Enter manifests that lie in the drawer and that no journal entry tells of: a kill came between."""
        known = self._register.kept_under(KEY)
        for sha in await asyncio.to_thread(drawer.manifests, self.folder):
            if f"{KEY}{sha}" in known:
                continue
            try:
                manifest = await asyncio.to_thread(drawer.read_manifest, self.folder, sha)
            except EvidenceError as error:
                _log.warning("left alone: %s", error)
                continue
            await self.adopt(KeptFiles(manifest_sha256=sha, manifest=manifest))

    def _clear(self) -> None:
        """Remove viewing copies that no account knows: a kill came before the journal's entry."""
        known = {name for one in self.stored() for name in one.files}
        copies = {path.name for path in self.folder.glob(f"*.{drawer.MASKED}")}
        unfinished = {path.name for path in self.folder.glob(".*masked-*")}
        drawer.remove(self.folder, (copies - known) | unfinished)

    # --- for people

    def stored(self) -> list[Stored]:
        """Return the account of everything that is kept, newest first."""
        found = [decode_stored(raw) for raw in self._register.kept_under(KEY).values()]
        return sorted(
            (one for one in found if one is not None and not one.is_going),
            key=lambda one: one.captured_at,
            reverse=True,
        )

    async def of_alarm(self, alarm_id: str) -> list[Shown]:
        """Return what is kept of one alarm, newest first; what cannot be read any more is left out."""
        shown = []
        for stored in self.stored():
            if stored.alarm_id == alarm_id:
                try:
                    shown.append(await self.show(stored.manifest_sha256))
                except NoEvidenceError as error:
                    _log.warning("%s", error)
        return shown

    async def show(self, sha: str) -> Shown:
        """Return one piece of evidence.

        Raises:
            NoEvidenceError: it is not here (any more), or damaged.
        """
        stored = self._one(sha)
        try:
            manifest = await asyncio.to_thread(drawer.read_manifest, self.folder, sha)
        except EvidenceError as error:
            raise NoEvidenceError(str(error)) from error
        return Shown(stored=stored, manifest=manifest)

    def path(self, shown: Shown, name: str) -> Path:
        """Return where a file lies (`masked.mp4`: the viewing copy). To be called only after `view` has written it down.

        Raises:
            NoEvidenceError: there is no such file.
        """
        if name == drawer.MASKED and shown.stored.masked_sha256:
            path = self.folder / drawer.stored_name(shown.stored.masked_sha256, name)
        else:
            file = shown.manifest.file(name)
            if file is None:
                raise NoEvidenceError(f"there is no {name} of evidence {shown.stored.manifest_sha256[:12]}")
            path = drawer.path_of(self.folder, file)
        if not path.is_file():
            raise NoEvidenceError(f"{name} of evidence {shown.stored.manifest_sha256[:12]} is gone")
        return path

    async def view(self, shown: Shown, name: str, *, actor: Actor, reason: str) -> Path:
        """Write down who is about to see what and why; return where it lies.

        Raises:
            NoEvidenceError: there is no such file.
            LedgerError: the gateway is stopping; nobody sees anything.
        """
        path = self.path(shown, name)
        entry = Viewed(
            alarm_id=shown.stored.alarm_id,
            manifest_sha256=shown.stored.manifest_sha256,
            sha256=path.name.partition(".")[0],
            name=name,
            is_masked=name == drawer.MASKED,
            actor=actor,
            reason=reason,
        )
        await self._register.enter((_record(entry),), state={})
        return path

    async def masked(self, sha: str) -> Shown:
        """Return evidence that has a masked viewing copy, made now if there was none. One at a time; takes a while.

        Raises:
            NoEvidenceError: there is no clip.
            MaskError: it could not be made.
        """
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())
        return await self._mask(sha, is_awaited=True)

    async def _mask(self, sha: str, *, is_awaited: bool) -> Shown:
        """As `masked`.

        Raises:
            TimeoutError: nobody waits for this one, and somebody for another.
        """
        async with self._masking:
            shown = await self.show(sha)
            if shown.stored.masked_sha256:
                return shown
            clip, track = self.path(shown, "clip.mp4"), self.path(shown, "track.json")
            draft = self.folder / f".masked-{sha}.mp4"
            try:
                # A copy may be larger than its clip; the rest is kept for alarms.
                await asyncio.to_thread(check_room, self.folder, 2 * clip.stat().st_size)
                try:
                    async with asyncio.timeout(None) as patience:
                        self._patience = None if is_awaited else patience
                        await mask_apart(clip, track, draft, is_awaited=is_awaited)
                finally:
                    self._patience = None
                copy_sha = await asyncio.to_thread(drawer.digest, draft)
                name = drawer.stored_name(copy_sha, drawer.MASKED)
                size_bytes = draft.stat().st_size
                await asyncio.to_thread(drawer.rename, draft, self.folder / name)
            except KeepError as error:
                raise MaskError(str(error)) from error
            except TimeoutError:
                raise
            except OSError as error:
                raise MaskError(f"the disk refuses: {error.strerror}") from error
            finally:
                draft.unlink(missing_ok=True)
            async with self._changing:
                try:
                    stored = self._one(sha)
                except NoEvidenceError:  # its time was over meanwhile
                    await asyncio.to_thread(drawer.remove, self.folder, (name,))
                    raise
                stored = structs.replace(stored, masked_sha256=copy_sha, files=(*stored.files, name))
                entry = Masked(
                    alarm_id=stored.alarm_id,
                    manifest_sha256=sha,
                    source_sha256=clip.name.partition(".")[0],
                    sha256=copy_sha,
                    rule=drawer.MASK_RULE,
                )
                item = self._item(stored, FileKind.CLIP, copy_sha, size_bytes) | {"privacy_masked": True}
                await self._enter(entry, stored, self._attach(stored, (item,), f"evidence/m/{copy_sha[:32]}"))
            return Shown(stored=stored, manifest=shown.manifest)

    async def hold(self, sha: str, *, actor: Actor, reason: str) -> Stored:
        """Keep evidence beyond its time until the hold is lifted; held already: the first hold stands.

        Raises:
            NoEvidenceError: it is not here.
        """
        async with self._changing:
            stored = self._one(sha)
            if stored.hold is not None:
                return stored
            now = self._clock.now()
            hold = Hold(by=actor.name, role=actor.role, reason=reason, at=now.wall)
            stored = structs.replace(stored, hold=hold)
            entry = _held(stored, actor=actor, reason=reason)
            await self._enter(entry, stored, await self._attach_anew(stored, f"hold/{now.mono_ns}"))
            return stored

    async def lift(self, sha: str, *, actor: Actor, reason: str) -> Stored:
        """End a hold; the ordinary time counts again, from the capture.

        Raises:
            NoEvidenceError: it is not here, or not held.
        """
        async with self._changing:
            stored = self._one(sha)
            if stored.hold is None:
                where = "held by the fleet alone, and lifted there" if stored.by_fleet else "not held"
                raise NoEvidenceError(f"evidence {sha[:12]} is {where}")
            stored = structs.replace(stored, hold=None)
            lifting = await self._lifting(stored, actor=actor, reason=reason)
            await self._register.enter(lifting.records, state=dict(lifting.state), commands=lifting.commands)
            return stored

    # --- from the fleet

    async def hold_afar(self, file: str, *, actor: Actor, reason: str, settle: Settle) -> None:
        """Hold all evidence that a file belongs to, because the fleet holds that file; `settle` commits it with the order's outcome.

        Raises:
            NoEvidenceError: no evidence here has such a file.
        """
        async with self._changing:
            changes, now = [], self._clock.now()
            hold = Hold(by=actor.name, role=actor.role, reason=reason, at=now.wall)
            for stored in self._with(file):
                held = structs.replace(stored, by_fleet={file: hold} | stored.by_fleet)
                entries = (_held(held, actor=actor, reason=reason),)
                changes.append(await self._change(entries, held, f"hold/{now.mono_ns}"))
            await settle(_together(changes))

    async def lift_afar(self, file: str, *, actor: Actor, reason: str, settle: Settle) -> None:
        """End what `hold_afar` began; what is held here, or for another file, stays held.

        Raises:
            NoEvidenceError: no evidence here has such a file, or it is not held for the fleet.
        """
        async with self._changing:
            found = [stored for stored in self._with(file) if file in stored.by_fleet]
            if not found:
                raise NoEvidenceError(f"file {file[:12]} is not held for the fleet")
            lifted = [
                structs.replace(
                    stored, by_fleet={name: hold for name, hold in stored.by_fleet.items() if name != file}
                )
                for stored in found
            ]
            await settle(_together([await self._lifting(one, actor=actor, reason=reason) for one in lifted]))

    def _with(self, file: str) -> list[Stored]:
        found = [stored for stored in self.stored() if file in _hashes(stored)]
        if not found:
            raise NoEvidenceError(f"there is no evidence with a file {file[:12]} here")
        return found

    async def _lifting(self, stored: Stored, *, actor: Actor, reason: str) -> Settlement:
        """Return what the end of one hold amounts to. Holds that still stand are entered anew: a `lifted` ends all for whoever reads it."""
        entry = Lifted(
            alarm_id=stored.alarm_id,
            manifest_sha256=stored.manifest_sha256,
            files=_hashes(stored),
            actor=actor,
            reason=reason,
        )
        others = [
            _held(stored, actor=Actor(name=hold.by, role=hold.role, station=""), reason=hold.reason)
            for hold in stored.holds
        ]
        return await self._change((entry, *others), stored, f"lift/{self._clock.now().mono_ns}")

    async def _change(self, entries: tuple[RegisterEntry, ...], stored: Stored, why: str) -> Settlement:
        return Settlement(
            place=OrderPlace(),
            records=tuple(_record(entry) for entry in entries),
            state={f"{KEY}{stored.manifest_sha256}": msgspec.json.encode(stored)},
            commands=await self._attach_anew(stored, why),
            is_late=True,
        )

    # --- retention

    async def sweep(self) -> int:
        """Delete what is over its time; returns how many pieces went."""
        now = self._clock.now()
        steady_s, days, gone = self._steadiness.see(now), self._days(), 0
        for raw in self._register.kept_under(KEY).values():
            stored = decode_stored(raw)
            if stored is not None and is_due(stored, now, days=days, steady_s=steady_s):
                try:
                    await self._delete(stored, f"{days} days are over")
                    gone += 1
                except (OSError, LedgerError) as error:
                    _log.warning("evidence %s stays for now: %s", stored.manifest_sha256[:12], error)
        return gone

    async def _delete(self, stored: Stored, why: str) -> None:
        key = f"{KEY}{stored.manifest_sha256}"
        async with self._changing:
            if key not in self._register.kept_under(KEY):
                return
            if not stored.is_going:
                entry = Deleted(
                    alarm_id=stored.alarm_id,
                    manifest_sha256=stored.manifest_sha256,
                    files=_hashes(stored),
                    why=why,
                )
                await self._enter(entry, structs.replace(stored, is_going=True), ())
            # Two throws of one moment may share a clip.
            shared = {name for other in self.stored() for name in other.files}
            names = [name for name in stored.files if name not in shared]
            await asyncio.to_thread(drawer.remove, self.folder, names)
            await self._register.enter((), state={key: None})

    # --- parts

    def _one(self, sha: str) -> Stored:
        raw = self._register.kept_under(KEY).get(f"{KEY}{sha}")
        stored = None if raw is None else decode_stored(raw)
        if stored is None or stored.is_going:
            raise NoEvidenceError(f"there is no evidence {sha[:12]}")
        return stored

    async def _enter(self, entry: RegisterEntry, stored: Stored, commands: tuple[AnyCommand, ...]) -> None:
        state: dict[str, bytes | None] = {f"{KEY}{stored.manifest_sha256}": msgspec.json.encode(stored)}
        await self._register.enter((_record(entry),), state=state, commands=commands)

    async def sign(self) -> None:
        """Have the journal signed now, so that a proof taken in the next moment is whole."""
        try:
            await self._register.sign()
        except LedgerError as error:  # the hourly signature covers it
            _log.warning("evidence is not signed yet: %s", error)

    def _attach(
        self, stored: Stored, items: tuple[dict[str, object], ...], command_id: str
    ) -> tuple[AnyCommand, ...]:
        if not stored.alarm_id:
            return ()
        return (
            AttachEvidence(
                actor=SYSTEM, command_id=command_id[:64], alarm_id=stored.alarm_id, evidence=items
            ),
        )

    async def _attach_anew(self, stored: Stored, why: str) -> tuple[AnyCommand, ...]:
        """Name the files of an open alarm once more; of a closed one the register entry tells."""
        if all(alarm.alarm_id != stored.alarm_id for alarm in self._register.alarms()):
            return ()
        try:
            manifest = await asyncio.to_thread(drawer.read_manifest, self.folder, stored.manifest_sha256)
        except EvidenceError:
            return ()
        return self._attach(
            stored, self._items(stored, manifest), f"evidence/{why}/{stored.manifest_sha256[:16]}"
        )

    def _items(self, stored: Stored, manifest: Manifest) -> tuple[dict[str, object], ...]:
        """Return what the alarm says of its files, in the words of the event schema."""
        items = []
        for name in NAMED:
            file = manifest.file(name)
            if file is not None:
                item = self._item(stored, file.kind, file.sha256, file.size_bytes)
                if file.sm3 is not None:
                    item["sm3"] = file.sm3
                if file.kind is FileKind.CLIP and manifest.clip is not None:
                    item |= {"pre_s": manifest.clip.pre_s, "post_s": manifest.clip.post_s}
                items.append(item)
        size_bytes = len(encode_manifest(manifest))
        return (*items, self._item(stored, FileKind.LOG, stored.manifest_sha256, size_bytes))

    def _item(self, stored: Stored, kind: FileKind, sha: str, size_bytes: int) -> dict[str, object]:
        until = retention_until(stored.captured_at, self._clock.now().wall, days=self._days())
        item: dict[str, object] = {
            "kind": kind.value,
            "sha256": sha,
            "bytes": size_bytes,
            "captured_at": stored.captured_at.isoformat(),
            "retention_until": until.isoformat(),
        }
        return item | {"legal_hold": True} if stored.holds else item


def _hashes(stored: Stored) -> tuple[str, ...]:
    return tuple(name.partition(".")[0] for name in stored.files)


def _held(stored: Stored, *, actor: Actor, reason: str) -> Held:
    return Held(
        alarm_id=stored.alarm_id,
        manifest_sha256=stored.manifest_sha256,
        files=_hashes(stored),
        actor=actor,
        reason=reason,
    )


def _together(changes: list[Settlement]) -> Settlement:
    return Settlement(
        place=OrderPlace(),
        records=tuple(record for one in changes for record in one.records),
        state={key: value for one in changes for key, value in one.state.items()},
        commands=tuple(command for one in changes for command in one.commands),
        is_late=True,
    )


def _record(entry: RegisterEntry) -> NewRecord:
    return NewRecord(kind=EntryKind.EVIDENCE.value, body=entry)
