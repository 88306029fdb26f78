"""One gateway process and one fleet server process over real mTLS: up, down, away, restored, and orders back."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import yaml

from gatehouse_events.orders import (
    Acknowledgement,
    AlarmSeen,
    CityReceipt,
    Command,
    ConfigVersion,
)
from gatehouse_fleet.pki.enrolment import revoke_all

sys.path.insert(0, str(Path(__file__).parent))
from fleet_pair import CLOCK, LIMIT_S, Pair

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with asyncio.TaskGroup() as tasks:
        pair = Pair(tmp_path_factory.mktemp("pair"), tasks)
        await pair.start_fleet()
        yield pair
        if pair.gateway is not None and pair.gateway.returncode is None:
            await pair.end_gateway(signal.SIGTERM)
        await pair.stop_fleet()


async def test_a_code_becomes_a_certificate_only_at_the_server_that_was_meant(pair: Pair) -> None:
    pair.write(pair.configure())
    code = await pair.register()
    wrong = "00" * 32
    status, said = await pair.edge("enrol", str(pair.config_path), "--fingerprint", wrong, typed=f"{code}\n")
    assert status == 1
    assert "another fingerprint" in said
    command = ("enrol", str(pair.config_path), "--fingerprint", pair.fingerprint)
    status, said = await pair.edge(*command, typed=f"{code}\n")
    assert status == 0, said
    assert (pair.storage / "fleet" / "identity.pem").stat().st_mode & 0o777 == 0o600
    status, said = await pair.edge(*command, typed=f"{code}\n")
    assert status == 1, "a code is good once"
    assert "403 code" in said
    assert code not in said


async def test_the_journal_is_at_the_fleet_as_it_is_written(pair: Pair) -> None:
    await pair.start_gateway()
    await pair.until(lambda: "gas.offline" in pair.alarms())
    await pair.until(pair.is_replicated)
    assert all(doubt is None for _, _, doubt in pair.at_fleet())


async def test_an_order_from_the_fleet_is_carried_out_and_its_outcome_comes_back(pair: Pair) -> None:
    assert (await pair.result(await pair.test_alarm()))[0] == "done"
    assert pair.alarms()["gas.low_alarm"]["kind"] == "test"
    alarm = pair.alarms()["gas.offline"]
    seen = AlarmSeen(alarm_id=str(alarm["alarm_id"]), seq=int(str(alarm["seq"])))
    first = await pair.order(Acknowledgement(alarm=seen, note="已派人（示例）"))
    second = await pair.order(Acknowledgement(alarm=seen))
    assert (await pair.result(first))[0] == "done"
    assert (await pair.result(second))[0] == "recorded"
    taken = pair.alarms()["gas.offline"]
    assert (taken["state"], taken["acked_by"]) == ("acked", "示例甲（示例区）")
    assert "已派人（示例）" in str(taken["notes"])


async def test_what_is_not_understood_or_too_late_is_said(pair: Pair) -> None:
    unknown = await pair.order(Command(name="open_valve", arguments={"output_id": "valve-1"}))
    late = await pair.order(Command(name="report_status"), lasts_s=-1)
    assert (await pair.result(unknown))[0] == "not_understood"
    assert (await pair.result(late))[0] == "expired"


async def test_the_certificate_is_renewed_in_time_and_nothing_is_restarted(pair: Pair) -> None:
    directory = pair.storage / "fleet"
    before, starts = (directory / "identity.pem").read_bytes(), len(pair.entries("start"))
    (directory / "enrolment.json").write_text('{"renew_at":"2026-01-01T00:00:00Z"}')
    await pair.order(Command(name="report_status"))
    await pair.until(lambda: (directory / "identity.pem").read_bytes() != before, "the next certificate")
    assert (directory / "identity.pem").stat().st_mode & 0o777 == 0o600
    assert (await pair.result(await pair.order(Command(name="report_status"))))[0] == "done"
    assert len(pair.entries("start")) == starts


async def test_everything_goes_through_a_proxy_that_a_reload_names(pair: Pair) -> None:
    tunnels = 0

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tunnels
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"CONNECT 127.0.0.1:%d " % pair.port)
        tunnels += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", pair.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while piece := await source.read(65536):
                    sink.write(piece)
                    await sink.drain()
            sink.close()

        async with asyncio.TaskGroup() as both:
            both.create_task(carry(reader, far_writer), name="up")
            both.create_task(carry(far_reader, writer), name="down")

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        direct = pair.config_path.read_bytes()
        config = yaml.safe_load(direct)
        config["fleet"]["proxy"] = f"http://127.0.0.1:{port}"
        pair.write(config)
        assert pair.gateway is not None
        pair.gateway.send_signal(signal.SIGHUP)
        await pair.until(lambda: tunnels >= 2, "it goes through the proxy")
        assert (await pair.result(await pair.order(Command(name="report_status"))))[0] == "done"
        await pair.until(pair.is_replicated)
        pair.config_path.write_bytes(direct)
        pair.gateway.send_signal(signal.SIGHUP)
        await pair.until(lambda: len(pair.entries("config")) == 3)


async def test_alarms_of_a_long_outage_arrive_in_order_afterwards(pair: Pair) -> None:
    await pair.stop_fleet()
    before = len(pair.entries())
    await pair.end_gateway(signal.SIGKILL)
    await pair.start_gateway()
    await pair.until(lambda: len(pair.entries("start")) == 2)
    await pair.until(lambda: len(pair.entries()) > before + 1)
    await pair.start_fleet()
    await pair.until(pair.is_replicated, "everything is at the fleet")
    assert all(doubt is None for _, _, doubt in pair.at_fleet())


async def test_a_server_that_lost_what_it_acknowledged_is_told_again(pair: Pair) -> None:
    copy = pair.directory / "backup"
    await pair.stop_fleet()
    shutil.copytree(pair.fleet_directory, copy)
    await pair.start_fleet()
    given = await pair.test_alarm("gas.high_alarm")
    assert (await pair.result(given))[0] == "done"
    await pair.until(pair.is_replicated)
    await pair.stop_fleet()
    shutil.rmtree(pair.fleet_directory)
    shutil.copytree(copy, pair.fleet_directory)
    await pair.start_fleet()
    await pair.until(pair.is_replicated, "sent again from the older cursor")
    assert all(doubt is None for _, _, doubt in pair.at_fleet())
    # The backup has no order of that number: the lane begins anew and goes on.
    places = len(pair.outcomes())
    await pair.order(Command(name="report_status"))
    await pair.until(lambda: len(pair.outcomes()) > places, "the lane goes on")
    assert len({outcome.epoch for outcome in pair.outcomes()}) == 2


async def test_a_disk_put_back_from_a_copy_begins_a_new_epoch_and_loses_nothing(pair: Pair) -> None:
    await pair.end_gateway(signal.SIGTERM)
    copy = pair.directory / "old-disk"
    shutil.copytree(pair.storage, copy)
    await pair.start_gateway()
    await pair.until(lambda: len(pair.entries("start")) >= 3)
    assert (await pair.result(await pair.order(Command(name="report_status"))))[0] == "done"
    await pair.until(pair.is_replicated)
    await pair.end_gateway(signal.SIGKILL)
    shutil.rmtree(pair.storage)
    shutil.copytree(copy, pair.storage)
    epochs = {entry.epoch for entry in pair.entries()}
    await pair.start_gateway()
    await pair.until(lambda: {entry.epoch for entry in pair.entries()} > epochs, "a new epoch")
    await pair.until(pair.is_replicated, "both lives are at the fleet")
    await pair.until(lambda: "gateway.integrity" in pair.alarms())


async def test_a_wiped_disk_is_a_new_gateway_with_the_same_name(pair: Pair) -> None:
    await pair.end_gateway(signal.SIGTERM)
    identity = (pair.storage / "fleet").rename(pair.directory / "kept-identity")
    shutil.rmtree(pair.storage)
    pair.storage.mkdir()
    identity.rename(pair.storage / "fleet")
    await pair.start_gateway()
    await pair.until(lambda: "gas.offline" in pair.alarms())
    await pair.until(pair.is_replicated, "the new life is at the fleet from its first entry")


async def test_a_receipt_of_the_city_is_kept(pair: Pair) -> None:
    alarm = pair.alarms()["gas.offline"]
    head = pair.entries()[-1]
    receipt = CityReceipt(
        alarm=AlarmSeen(alarm_id=str(alarm["alarm_id"]), seq=1), target="weihai", receipt="R-1 示例",
        epoch=head.epoch, through_seq=head.seq,
    )  # fmt: skip
    assert (await pair.result(await pair.order(receipt)))[0] == "done"


def version_of(name: str, raw: bytes, confirm_within_s: float = 3.0) -> ConfigVersion:
    return ConfigVersion(
        version=name, sha256=sha256(raw).hexdigest(), size_bytes=len(raw), confirm_within_s=confirm_within_s
    )


async def test_a_configuration_that_cannot_be_had_is_answered_and_the_old_one_goes_on(pair: Pair) -> None:
    result, detail = await pair.result(await pair.order(version_of("v-none", b"not there")))
    assert result == "failed"
    assert "fetched" in detail


async def test_a_revoked_gateway_is_shut_out_at_once_and_says_so_at_its_own_console(pair: Pair) -> None:
    async with pair.services.store.begin() as db:
        await revoke_all(db, 1, "示例", at=CLOCK.now(), with_keys=True)
    port = yaml.safe_load(pair.config_path.read_bytes())["console"]["port"]
    await pair.order(Command(name="report_status"))

    async def shown() -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as web:
            return (await web.get(f"http://127.0.0.1:{port}/metrics")).text

    async with asyncio.timeout(LIMIT_S):
        while 'gatehouse_fleet_link{state="refused"} 1.0' not in await shown():
            await asyncio.sleep(0.2)


async def test_an_orderly_end_leaves_everything_at_the_fleet(pair: Pair) -> None:
    await pair.end_gateway(signal.SIGTERM)
    assert pair.entries("stop")
