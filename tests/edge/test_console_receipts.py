"""An alarm is told when a screen at the desk has painted and sounded it; nobody else's screen counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from console_site import following, running_site, until


@pytest.fixture
async def site(tmp_path):
    async with running_site(tmp_path) as found:
        yield found


def receipt(alarm, **fields):
    return {
        "receipts": [
            {"alarm_id": alarm.alarm_id, "seq": alarm.seq, "visible": True, "audible": True} | fields
        ]
    }


async def told(site):
    return (await site.alarm("sos.pressed")).heard_s


async def test_the_receipt_of_a_viewer_tells_nobody(site):
    async with site.person("viewer") as viewer, site.person("operator") as guard:
        await site.press()
        alarm = await site.alarm("sos.pressed")
        assert (await viewer.post("/api/v1/annunciated", json=receipt(alarm))).status_code == 200
        assert await told(site) is None
        assert (await guard.post("/api/v1/annunciated", json=receipt(alarm))).status_code == 200
        assert await told(site) is not None


async def test_without_a_receipt_the_fault_stands_in_the_list_and_in_the_journal(site):
    await site.press()
    site.clock.shift_s += 5
    fault = await site.alarm("gateway.console_unheard")
    assert fault.priority == "P2"
    async with site.person("operator") as guard:
        entries = (await guard.get("/api/v1/journal?limit=500")).json()["entries"]
        assert any(
            entry["kind"] == "alarm" and entry["body"]["alarm"]["code"] == "gateway.console_unheard"
            for entry in entries
        )


async def test_when_the_last_screen_at_the_desk_closes_its_receipts_end(site):
    async with site.person("operator") as guard, site.person("viewer") as viewer:
        async with following(guard) as events:
            await events.next("snapshot")
            await site.press()
            alarm = await site.alarm("sos.pressed")
            await guard.post("/api/v1/annunciated", json=receipt(alarm))
            site.clock.shift_s += 6
            await events.next("beat")
            assert await told(site) is not None
        async with following(viewer) as elsewhere:
            await elsewhere.next("snapshot")
            await until(lambda: site.stream.screens == 0)
            site.clock.shift_s += 6
            await site.alarm("gateway.console_unheard")
            assert await told(site) is None


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
        max_leaves=12,
    )
)
def test_a_receipt_that_is_none_is_refused_before_it_comes_near_the_desk(body):
    from pydantic import ValidationError

    from gatehouse_edge.console.requests import Receipts

    with pytest.raises(ValidationError):
        Receipts.model_validate(body)
