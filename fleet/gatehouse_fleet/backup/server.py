"""Backing a server up and making an empty one from a backup."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, inspect, select

from gatehouse_fleet.backup.archive import FORMAT, BackupError, Manifest, Member, digest, pack, unpack
from gatehouse_fleet.backup.dump import (
    POSTGRES_NAME,
    SQLITE_NAME,
    dump_postgres,
    dump_sqlite,
    restore_postgres,
    restore_sqlite,
)
from gatehouse_fleet.orders.lane import begin_epochs
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.migrate import migrate, newest, revision
from gatehouse_fleet.store.schema.gateways import gateway

EVIDENCE: Final = "evidence"
"""Clips: large and content-addressed; named in the manifest, packed only when asked for."""
_SKIPPED: Final = (".db", ".db-wal", ".db-shm", ".part", ".new", ".sock")
_ACTOR: Final = Actor(name="cli", role="system", unit="", station="server")


async def back_up(
    settings: FleetSettings, target: Path, *, now: datetime, with_evidence: bool = False
) -> Manifest:
    """Write a backup of a server that may be running.

    Args:
        settings: of the server.
        target: the file to make. It holds the server's private keys: keep it where only those go who may run the server.
        now: this instant.
        with_evidence: pack clips too; without, their names and hashes stand in the manifest.

    Raises:
        BackupError: no database, no space for the copy, or the target exists.
    """
    store = Store.open(settings.database_url)
    try:
        found = await revision(store)
        url, is_sqlite = store.url, store.is_sqlite
    finally:
        await store.close()
    if found is None:
        raise BackupError("数据库是空的 the database is empty: there is nothing to back up")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as scratch:
        name = SQLITE_NAME if is_sqlite else POSTGRES_NAME
        dump = Path(scratch) / name
        if is_sqlite:
            await asyncio.to_thread(dump_sqlite, Path(str(url.database)), dump)
        else:
            await asyncio.to_thread(dump_postgres, url, dump)
        head = Manifest(
            format=FORMAT,
            made_at=now,
            database="sqlite" if is_sqlite else "postgresql",
            revision=found,
            members=(),
            outside=() if with_evidence else await asyncio.to_thread(_evidence, settings.directory),
        )
        files = [(f"database/{name}", dump), *_files(settings.directory, with_evidence=with_evidence)]
        return await asyncio.to_thread(pack, target, files, head)


async def restore(settings: FleetSettings, source: Path, *, now: datetime) -> Manifest:
    """Make an empty server from a backup. The server must not run.

    Every gateway's orders lane gets a new epoch: numbers given out after the backup must not mean something else now. What the
    gateways had sent after the backup they send again, from the cursor that the backup knows.

    Raises:
        BackupError: the server is not empty, the archive is damaged, of another kind of database, or of a newer release.
    """
    store = Store.open(settings.database_url)
    try:
        is_sqlite, url = store.is_sqlite, store.url
        await _require_empty(settings, store)
    finally:
        await store.close()
    settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=settings.directory, prefix=".restore-") as scratch:
        folder = Path(scratch)
        manifest = await asyncio.to_thread(unpack, source, folder)
        kind = "sqlite" if is_sqlite else "postgresql"
        if manifest.database != kind:
            raise BackupError(f"the backup is of {manifest.database}, these settings name {kind}")
        if manifest.revision > newest():
            raise BackupError(
                f"the backup has schema {manifest.revision}, newer than this release's {newest()}: "
                "install the release that made it"
            )
        if (folder / "files").is_dir():
            for path in sorted((folder / "files").iterdir()):
                path.replace(settings.directory / path.name)
        if is_sqlite:
            await asyncio.to_thread(
                restore_sqlite, folder / "database" / SQLITE_NAME, Path(str(url.database))
            )
        else:
            await asyncio.to_thread(restore_postgres, folder / "database" / POSTGRES_NAME, url)
    await _set_going(settings, manifest, now)
    return manifest


def missing_evidence(settings: FleetSettings, manifest: Manifest) -> list[Member]:
    """Return the evidence that a backup names and this server does not hold as it was."""
    lost = []
    for member in manifest.outside:
        path = settings.directory / member.name
        if not path.is_file() or digest(path, member.name) != member:
            lost.append(member)
    return lost


async def _set_going(settings: FleetSettings, manifest: Manifest, now: datetime) -> None:
    store = Store.open(settings.database_url)
    try:
        await migrate(store)
        async with store.begin() as db:
            lanes = await begin_epochs(db, now)
            gateways = (await db.execute(select(func.count()).select_from(gateway))).scalar_one()
            await audit.append(
                db,
                _ACTOR,
                "server.restore",
                "server",
                at=now,
                detail={
                    "made_at": manifest.made_at.isoformat(),
                    "gateways": gateways,
                    "lanes": lanes,
                    "outside": len(manifest.outside),
                },
            )
    finally:
        await store.close()


async def _require_empty(settings: FleetSettings, store: Store) -> None:
    if store.is_sqlite:
        if Path(str(store.url.database)).exists():
            raise BackupError(f"{store.url.database} 已存在 is there already; restore into an empty server")
    else:
        async with store.read() as db:
            tables = await db.run_sync(lambda plain: inspect(plain).get_table_names())
        if tables:
            raise BackupError(f"数据库不是空的 the database is not empty: {', '.join(sorted(tables)[:3])}, …")
    held = [name for name, _ in _files(settings.directory, with_evidence=True)]
    if held:
        raise BackupError(f"{settings.directory} 不是空的 is not empty: {held[0]}, …")


def _files(folder: Path, *, with_evidence: bool) -> Iterator[tuple[str, Path]]:
    """Yield what belongs to the server beside its database."""
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        is_left = name.parts[0].startswith(".") or path.name.endswith(_SKIPPED)
        if path.is_symlink() or not path.is_file() or is_left:
            continue
        if with_evidence or name.parts[0] != EVIDENCE:
            yield f"files/{name.as_posix()}", path


def _evidence(folder: Path) -> tuple[Member, ...]:
    held = folder / EVIDENCE
    if not held.is_dir():
        return ()
    return tuple(
        digest(path, path.relative_to(folder).as_posix())
        for path in sorted(held.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.name.endswith(_SKIPPED)
    )
