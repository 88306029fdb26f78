"""A real gateway process, a real fleet server and the operator's command line: one configuration that works, and one that cuts the link."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parent))
from fleet_pair import CLOCK, GATEWAY, LIMIT_S, Pair, free_port

from gatehouse_fleet.cli import main
from gatehouse_fleet.store.schema.gateways import gateway

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
NEIGHBOUR = "wh-371002-0007-gw2"
WINDOW_S = "3"


class Operator:
    """Sits at the server's machine."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.config = pair.directory / "fleet.yaml"
        self.config.write_text(f"directory: {pair.fleet_directory}\n", encoding="utf-8")

    async def says(self, *words: str) -> Any:
        said, wrong = io.StringIO(), io.StringIO()

        def run() -> int:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
                return main(["config", *words, "--config", str(self.config), "--json"])

        assert await asyncio.to_thread(run) == 0, wrong.getvalue()
        return json.loads(said.getvalue())

    async def puts(self, config: dict[str, object], name: str = GATEWAY) -> int:
        path = self.pair.directory / "next.yaml"
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        return int((await self.says("put", name, str(path), "--reason", "示例"))["number"])

    async def brings_out(self, *gateways: str) -> int:
        limits = ("--confirm-within-s", WINDOW_S, "--stage", "1")
        return int((await self.says("rollout", *gateways, "--reason", "示例", *limits))["id"])

    async def sees(self, rollout: int, phase: str) -> dict[str, Any]:
        """The rollout by gateway, once it is in that phase."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(LIMIT_S):
                while found.get("phase") != phase:
                    found = await self.says("show", "--rollout", str(rollout))
                    await asyncio.sleep(0.2)
        except TimeoutError:
            pytest.fail(f"never {phase}: {found}\n{self.pair.tail()}")
        return {row["gateway"]: row for row in found["gateways"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """A gateway that is enrolled and runs its local file, and a neighbour that is only registered."""
    async with asyncio.TaskGroup() as tasks:
        pair = Pair(tmp_path_factory.mktemp("configs"), tasks)
        await pair.start_fleet()
        pair.write(pair.configure())
        code = await pair.register()
        values = {"id": NEIGHBOUR, "node_id": 1, "state": "deployed", "created_at": CLOCK.now()}
        async with pair.services.store.begin() as db:
            await db.execute(insert(gateway).values(values))
        command = ("enrol", str(pair.config_path), "--fingerprint", pair.fingerprint)
        status, said = await pair.edge(*command, typed=f"{code}\n")
        assert status == 0, said
        await pair.start_gateway()
        yield pair
        await pair.end_gateway(signal.SIGTERM)
        await pair.stop_fleet()


@pytest.fixture(scope="module")
def operator(pair: Pair) -> Operator:
    return Operator(pair)


def named(pair: Pair, estate: str, **changes: object) -> dict[str, object]:
    config = yaml.safe_load(pair.config_path.read_bytes())
    config["site"]["estate"] = estate
    return config | changes


async def test_a_good_configuration_is_taken_and_confirmed(pair: Pair, operator: Operator) -> None:
    number = await operator.puts(named(pair, "示例二期"))
    found = await operator.sees(await operator.brings_out(GATEWAY), "done")
    one = found[GATEWAY]
    assert (one["standing"], one["version"], one["former"]) == ("confirmed", number, None)
    assert await operator.says("diff", GATEWAY) == []


async def test_one_that_cuts_the_link_returns_by_itself_and_the_rollout_stops(
    pair: Pair, operator: Operator
) -> None:
    bad = named(pair, "示例三期", fleet={"url": f"https://127.0.0.1:{free_port()}"})
    number = await operator.puts(bad)
    changed = await operator.says("diff", GATEWAY)
    assert [row["path"] for row in changed] == ["fleet.url", "site.estate"]
    await operator.puts(bad | {"gateway": {"id": NEIGHBOUR}}, NEIGHBOUR)
    rollout = await operator.brings_out(GATEWAY, NEIGHBOUR)
    found = await operator.sees(rollout, "stopped")
    assert (found[GATEWAY]["standing"], found[GATEWAY]["version"]) == ("failed", number)
    assert "taken back: the fleet was lost with it" in found[GATEWAY]["detail"]
    assert found[NEIGHBOUR]["standing"] == "waiting", "the next stage was never ordered"
    # The one before is in force: taking everybody back needs no order.
    await operator.says("rollback", str(rollout))
    found = await operator.sees(rollout, "rolled_back")
    assert {name: row["standing"] for name, row in found.items()} == {
        GATEWAY: "returned",
        NEIGHBOUR: "spared",
    }


async def test_an_older_version_is_brought_back_as_a_new_order(
    pair: Pair, operator: Operator, rounds: Callable[[int], int]
) -> None:
    if rounds(5) < 5:
        pytest.skip("two more real trials; at night. By day tests/fleet/configs/test_clockwork.py says it")
    await operator.puts(named(pair, "示例四期"))
    rollout = await operator.brings_out(GATEWAY)
    assert (await operator.sees(rollout, "done"))[GATEWAY]["former"] == 1
    await operator.says("rollback", str(rollout))
    assert (await operator.sees(rollout, "rolled_back"))[GATEWAY]["standing"] == "returned"
    assert {row["path"] for row in await operator.says("diff", GATEWAY)} == {"site.estate"}
