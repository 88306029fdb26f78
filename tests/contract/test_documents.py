"""What the documents say exists: commands, paths, scenarios, settings, alarm codes, fault tests, routes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from gatehouse_config import decode
from gatehouse_config.profiles import GasProfile, parse
from gatehouse_edge import cli as edge_cli
from gatehouse_edge.console import (
    accounts_api,
    calibration_api,
    commands_api,
    drills_api,
    evidence_api,
    history_api,
    reading_api,
)
from gatehouse_events.codes import CODES, Code
from gatehouse_hil import cli as bench_cli
from gatehouse_hil.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {"gatehouse-edge": edge_cli._parser, "gatehouse-bench": bench_cli._parser}
COMMAND = re.compile(r"(?:^|[\s`(/])(gatehouse-(?:edge|bench)) ([a-z][^\n`#|]*)", re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def shown_commands() -> list[tuple[str, str, list[str]]]:
    """Every command line in a fenced block: document, program, arguments."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(
            r"^```sh\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            for program, rest in COMMAND.findall(block):
                found.append((document.name, program, shlex.split(rest, comments=True)))
    return found


def inline_commands() -> list[tuple[str, str, str]]:
    """Every `gatehouse-edge VERB` in running text: document, program, first words."""
    return [
        (document.name, program, rest.split()[0])
        for document in DOCUMENTS
        for program, rest in re.findall(
            r"`(gatehouse-(?:edge|bench)) ([a-z][^`]*)`", document.read_text(encoding="utf-8")
        )
    ]


@pytest.mark.parametrize(("document", "program", "arguments"), shown_commands())
def test_a_command_line_in_a_document_is_understood(
    document: str, program: str, arguments: list[str]
) -> None:
    assert PROGRAMS[program]().parse_args(arguments).command == arguments[0]


@pytest.mark.parametrize(("document", "program", "verb"), inline_commands())
def test_a_command_named_in_a_sentence_exists(document: str, program: str, verb: str) -> None:
    verbs = next(action.choices for action in PROGRAMS[program]()._actions if action.dest == "command")
    assert verb.split("|", maxsplit=1)[0] in verbs


def test_commands_are_found_in_the_documents() -> None:
    assert {"run", "check", "doctor", "journal"} <= {arguments[0] for _, _, arguments in shown_commands()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_a_document_names_is_there(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:docs|edge|firmware|hil|tests|requirements|fleet|models)/[\w./-]+)`", text)
    named += [link for link in re.findall(r"\]\(([\w./-]+)\)", text) if not link.startswith("http")]
    missing = [name for name in named if not ((ROOT / name).exists() or (document.parent / name).exists())]
    assert missing == []


@pytest.mark.parametrize("scenario", re.findall(r"gatehouse-bench play ([a-z-]+)", text_of("README.md")))
def test_every_scenario_the_readme_plays_exists(scenario: str) -> None:
    assert scenario in SCENARIOS


def test_every_make_target_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    named = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named <= targets


def test_every_fault_test_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text_of("docs/faults.md"))
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or not re.search(rf"def {name}\(", text_of(path))
    ]
    assert missing == []
    assert len(named) > 40


def code_row(code: Code) -> str:
    held = "L" if code.latched else ""
    return f"| `{code.name}` | {code.kind} | {code.priority} | {held} | {code.label.zh} | {code.label.en} |"


def test_the_list_of_alarm_codes_is_the_one_of_the_program() -> None:
    written = [line for line in text_of("docs/codes.md").splitlines() if line.startswith("| `")]
    assert written == [code_row(code) for code in CODES.values()]


def routes() -> set[str]:
    parts = (
        reading_api,
        commands_api,
        accounts_api,
        history_api,
        drills_api,
        evidence_api,
        calibration_api,
    )
    return {
        f"{method} {route.path.replace(':path', '')}"
        for part in parts
        for route in part.router.routes
        for method in route.methods
    }


def test_every_route_of_the_console_is_described_and_none_that_is_not_there() -> None:
    described = set(re.findall(r"`((?:GET|POST|PATCH|PUT) /[\w/{}-]+)`", text_of("docs/integrators.md")))
    assert described == routes()


def test_the_profile_in_the_integrators_guide_reads_a_detector() -> None:
    block = re.search(r"```json\n(\{\n  \"kind\": \"gas\".*?)```", text_of("docs/integrators.md"), re.DOTALL)
    assert block is not None
    profile, faults = parse(block.group(1), where="integrators.md")
    assert faults == ()
    assert isinstance(profile, GasProfile)
    measuring = decode(profile, {0: 125, 1: 1, 2: 250, 3: 500})
    assert (measuring.value, measuring.unit, measuring.flags) == (12.5, "%LEL", frozenset({"low_alarm"}))
    assert decode(profile, {0: 0, 1: 8, 2: 250, 3: 500}).value is None


def test_the_event_in_the_integrators_guide_is_valid() -> None:
    from gatehouse_events.event import decode as read_event

    block = re.search(r"```json\n(\{\n  \"specversion\".*?)```", text_of("docs/integrators.md"), re.DOTALL)
    assert block is not None
    raw = block.group(1)
    assert json.loads(raw)["data"]["code"] in CODES
    read_event(raw.encode())
