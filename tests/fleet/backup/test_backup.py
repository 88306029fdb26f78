"""A server is made again from its backup, and the gateways go on from the older cursor."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, hand_in, register, stored

from gatehouse_events.orders import Command, Issuer
from gatehouse_events.replication import Accepted
from gatehouse_fleet.backup import BackupError, back_up, restore
from gatehouse_fleet.backup.server import missing_evidence
from gatehouse_fleet.cli import main
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.orders.lane import head, issue
from gatehouse_fleet.people import audit
from gatehouse_fleet.pki.authority import FOLDER, Authority
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.migrate import migrate
from gatehouse_fleet.store.schema.people import audit as audit_table
from gatehouse_hil.postgres import PostgresCluster

ISSUER = Issuer(name="示例甲", role="district_operator", unit="示例区")


def settings_at(folder: Path, url: str) -> FleetSettings:
    return FleetSettings.model_validate({"directory": folder, "database": {"url": url}})


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[FleetSettings, FleetSettings]:
    """The server that is backed up, and the empty one."""
    if request.param == "sqlite":
        urls = ["sqlite:///fleet.db"] * 2
    else:
        cluster: PostgresCluster = request.getfixturevalue("cluster")
        urls = [cluster.url(cluster.create_database()) for _ in range(2)]
    return settings_at(tmp_path / "old", urls[0]), settings_at(tmp_path / "new", urls[1])


@pytest.fixture
async def old(servers: tuple[FleetSettings, FleetSettings], clock: SetClock) -> AsyncIterator[Store]:
    settings = servers[0]
    settings.directory.mkdir()
    Authority.open(settings.directory / FOLDER, at=clock.now())
    for name, content in {"case-photos/aa/photo": b"photo", "evidence/bb/clip": b"clip"}.items():
        (settings.directory / name).parent.mkdir(parents=True)
        (settings.directory / name).write_bytes(content)
    store = Store.open(settings.database_url)
    await migrate(store)
    yield store
    await store.close()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path / "gw1")
    yield found
    found.close()


async def order(store: Store, identity: GatewayIdentity, clock: SetClock) -> None:
    async with store.begin() as db:
        await issue(
            db,
            identity.no,
            Command(name="report_status"),
            issuer=ISSUER,
            expires_at=clock.now() + timedelta(hours=1),
            now=clock.now(),
        )


async def test_gateways_go_on_from_the_cursor_that_the_backup_knows(
    servers: tuple[FleetSettings, FleetSettings], old: Store, clock: SetClock, one: Gateway, tmp_path: Path
) -> None:
    before, after = servers
    identity = (await register(old, clock, one))[0]
    one.write(5)
    await hand_in(old, clock, identity, one)
    await order(old, identity, clock)
    made = await back_up(before, tmp_path / "fleet.gh", now=clock.now())
    one.write(7)  # acknowledged after the backup: lost at the fleet, kept at the gateway
    await hand_in(old, clock, identity, one)
    await order(old, identity, clock)
    assert len(await stored(old)) == len(one.entries())

    found = await restore(after, tmp_path / "fleet.gh", now=clock.now())
    assert found == made
    new = Store.open(after.database_url)
    try:
        kept = await stored(new)
        assert 5 <= len(kept) < len(await stored(old))
        async with new.read() as db:
            lane = await head(db, identity.no)
            verdict = await audit.verify(db)
            last = (await db.execute(select(audit_table.c.action))).scalars().all()[-1]
        async with old.read() as db:
            former = await head(db, identity.no)
        assert (lane.seq, lane.epoch != former.epoch) == (
            1,
            True,
        )  # the unanswered order, under a number of a new epoch
        assert (verdict.broken_at, last) == (None, "server.restore")
        answers = await hand_in(new, clock, identity, one)
        assert all(isinstance(answer, Accepted) for answer in answers)
        assert [row.seq for row in await stored(new)] == [entry.seq for entry in one.entries()]
        assert [row.doubt for row in await stored(new)] == [None] * len(one.entries())
    finally:
        await new.close()


async def test_keys_and_photos_come_back_and_missing_evidence_is_named(
    servers: tuple[FleetSettings, FleetSettings], old: Store, clock: SetClock, tmp_path: Path
) -> None:
    before, after = servers
    made = await back_up(before, tmp_path / "fleet.gh", now=clock.now())
    await restore(after, tmp_path / "fleet.gh", now=clock.now())
    here, there = (Authority.open(one.directory / FOLDER, at=clock.now()) for one in (before, after))
    assert here.root_fingerprint == there.root_fingerprint
    assert (after.directory / "case-photos/aa/photo").read_bytes() == b"photo"
    assert [member.name for member in missing_evidence(after, made)] == ["evidence/bb/clip"]
    (after.directory / "evidence/bb").mkdir(parents=True)
    (after.directory / "evidence/bb/clip").write_bytes(b"clip")
    assert missing_evidence(after, made) == []


async def test_evidence_is_packed_when_asked_for(
    servers: tuple[FleetSettings, FleetSettings], old: Store, clock: SetClock, tmp_path: Path
) -> None:
    before, after = servers
    made = await back_up(before, tmp_path / "fleet.gh", now=clock.now(), with_evidence=True)
    await restore(after, tmp_path / "fleet.gh", now=clock.now())
    assert made.outside == ()
    assert (after.directory / "evidence/bb/clip").read_bytes() == b"clip"


async def test_a_server_that_is_not_empty_is_left_alone(
    servers: tuple[FleetSettings, FleetSettings], old: Store, clock: SetClock, tmp_path: Path
) -> None:
    before, after = servers
    await back_up(before, tmp_path / "fleet.gh", now=clock.now())
    with pytest.raises(BackupError, match=r"already|not empty"):
        await restore(before, tmp_path / "fleet.gh", now=clock.now())
    (after.directory / "pki").mkdir(parents=True)
    (after.directory / "pki/root.key").write_bytes(b"another server's")
    with pytest.raises(BackupError, match="not empty"):
        await restore(after, tmp_path / "fleet.gh", now=clock.now())


async def test_a_damaged_backup_leaves_the_server_empty(
    servers: tuple[FleetSettings, FleetSettings], old: Store, clock: SetClock, tmp_path: Path
) -> None:
    before, after = servers
    await back_up(before, tmp_path / "fleet.gh", now=clock.now())
    raw = (tmp_path / "fleet.gh").read_bytes()
    (tmp_path / "cut.gh").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BackupError):
        await restore(after, tmp_path / "cut.gh", now=clock.now())
    await restore(after, tmp_path / "fleet.gh", now=clock.now())  # still empty: the good one fits


async def test_a_backup_while_the_server_writes_is_one_moment(
    servers: tuple[FleetSettings, FleetSettings], old: Store, clock: SetClock, one: Gateway, tmp_path: Path
) -> None:
    before, after = servers
    identity = (await register(old, clock, one))[0]
    one.write(40)
    entries = one.entries()

    async def write() -> None:
        for entry in entries:
            await hand_in(old, clock, identity, one, [entry])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write(), name="writes")
        tasks.create_task(back_up(before, tmp_path / "fleet.gh", now=clock.now()), name="backup")
    await restore(after, tmp_path / "fleet.gh", now=clock.now())
    new = Store.open(after.database_url)
    try:
        seqs = [row.seq for row in await stored(new)]
        assert seqs == [entry.seq for entry in entries][: len(seqs)]
        await hand_in(new, clock, identity, one)
        assert len(await stored(new)) == len(one.entries())
    finally:
        await new.close()


async def test_the_commands_say_what_they_did(
    old: Store,
    servers: tuple[FleetSettings, FleetSettings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for settings, name in zip(servers, ("old", "new"), strict=True):
        (tmp_path / f"{name}.yaml").write_text(
            f"directory: {name}\ndatabase: {{url: '{settings.database.url}'}}\n", encoding="utf-8"
        )
    assert (
        await asyncio.to_thread(
            main, ["backup", "--config", str(tmp_path / "old.yaml"), str(tmp_path / "b.gh")]
        )
        == 0
    )
    assert "1 pieces of evidence named only" in capsys.readouterr().out
    assert (
        await asyncio.to_thread(
            main, ["restore", "--config", str(tmp_path / "new.yaml"), str(tmp_path / "b.gh")]
        )
        == 0
    )
    assert "1 of 1 pieces of evidence are not here" in capsys.readouterr().out
    assert (
        await asyncio.to_thread(
            main, ["restore", "--config", str(tmp_path / "new.yaml"), str(tmp_path / "b.gh")]
        )
        == 1
    )
