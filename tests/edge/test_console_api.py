"""The API as described by its own OpenAPI document: whatever is sent, the answer is a documented kind of answer."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import schemathesis
from console_site import running_site  # importlib mode: a neighbour is found through its folder
from hypothesis import HealthCheck, Phase, given, settings


async def test_no_request_the_description_allows_or_forbids_makes_the_server_stumble(tmp_path):
    async with running_site(tmp_path) as site, site.person("admin") as browser:
        described = json.loads((await browser.get("/openapi.json")).text)
        schema = schemathesis.openapi.from_dict(described)
        sent = []
        for result in schema.get_all_operations():
            operation = result.ok()
            if (
                operation.path in {"/api/v1/events", "/api/v1/logout", "/api/v1/login", "/api/v1/setup"}
                or operation.method == "patch"
            ):
                continue
            sent += [(operation, case) for case in await asyncio.to_thread(cases, operation)]
        assert len(sent) > 150
        for operation, case in sent:
            body = case.body if isinstance(case.body, dict | list | str | int | float | bool | None) else None
            answer = await browser.request(
                operation.method,
                case.formatted_path,
                json=body,
                params={k: str(v) for k, v in (case.query or {}).items()},
            )
            assert answer.status_code < 500, (operation.label, case.body, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", operation.label
                assert {"title", "title_en", "reason"} <= answer.json().keys()


def cases(operation):
    found = []

    @settings(
        max_examples=settings().max_examples * 3 // 25,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())
    def draw(case):
        found.append(case)

    draw()
    return found
