"""`gatehouse-fleet` from the server's own machine: what it prints, its exit codes, and that everything is audited."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gatehouse_fleet.cli import COMMANDS, main

PASSWORD = "gatehouse 示例 2026"


class Terminal:
    """Runs commands on one folder."""

    def __init__(self, folder: Path, capsys, monkeypatch) -> None:
        self._config, self._capsys, self._monkeypatch = folder / "fleet.yaml", capsys, monkeypatch
        self._config.write_text("directory: data\n")
        self.folder = folder

    def __call__(self, *words: str, typed: str = "") -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = main([*words, "--config", str(self._config)])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *words: str, typed: str = "") -> object:
        code, out, err = self(*words, "--json", typed=typed)
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def terminal(tmp_path: Path, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    return Terminal(tmp_path, capsys, monkeypatch)


@pytest.fixture
def taken_into_use(terminal: Terminal) -> Terminal:
    """A city, a community, a person, a gateway."""
    terminal.json("migrate")
    terminal.json("org", "add", "shili", "示例市", "--kind", "city")
    terminal.json("org", "add", "yuan", "示例花园", "--kind", "community", "--parent", "1")
    person = ("--full-name", "周示例", "--unit", "示例", "--role", "city_operator", "--scope", "1")
    terminal.json("user", "add", "zhou", *person, typed=f"{PASSWORD}\n")
    terminal.json("gateway", "add", "wh-gw1", "--node", "2")
    return terminal


def test_everything_done_here_is_written_down_as_done_at_the_server(taken_into_use: Terminal) -> None:
    taken_into_use.json("gateway", "code", "wh-gw1")
    code, out, _ = taken_into_use("audit", "export")
    entries = [json.loads(line) for line in out.splitlines()]
    assert [entry["action"] for entry in entries] == [
        "node.make",
        "node.make",
        "user.make",
        "gateway.make",
        "gateway.code",
        "audit.export",
    ]
    assert {(entry["role"], entry["station"]) for entry in entries} == {("local", "server console")}
    assert code == 0
    assert taken_into_use.json("audit", "verify")["is_whole"] is True


def test_tables_are_for_people_and_json_for_programs(taken_into_use: Terminal) -> None:
    _, out, _ = taken_into_use("gateway", "list")
    assert out.split()[:3] == ["id", "community", "state"]
    assert taken_into_use.json("gateway", "list")[0]["presence"] == "never"
    assert [row["path"] for row in taken_into_use.json("org", "list")] == ["/1/", "/1/2/"]


def test_no_secret_is_printed_but_the_one_time_code(taken_into_use: Terminal) -> None:
    everything = "".join(
        "".join(str(part) for part in taken_into_use(*words))
        for words in (("user", "list", "--json"), ("audit", "export"), ("gateway", "list"))
    )
    assert PASSWORD not in everything
    assert "argon2" not in everything


@pytest.mark.parametrize(
    ("words", "typed", "fault"),
    [
        (("gateway", "code", "nobody"), "", "there is no gateway nobody"),
        (("gateway", "add", "wh-gw1", "--node", "2"), "", "there is a gateway of this id already"),
        (("gateway", "add", "wh-gw2", "--node", "1"), "", "a gateway belongs to a community"),
        (("gateway", "add", "NO", "--node", "2"), "", "small letters"),
        (("user", "disable", "zhou"), "", "the last operator"),
        (("user", "password", "zhou"), "short\n", "10 to 128"),
        (("user", "password", "zhou"), "zhou zhou zhou\n", "not the login"),
        (("user", "first-code"), "", "there are users already"),
        (("org", "move", "1", "--parent", "2"), "", "hung below itself"),
        (("ca", "show"), "", "no authority"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_said_in_one_sentence_with_exit_code_1(
    taken_into_use: Terminal, words: tuple[str, ...], typed: str, fault: str
) -> None:
    code, out, err = taken_into_use(*words, typed=typed)
    assert (code, out) == (1, "")
    assert err.startswith("gatehouse-fleet: ")
    assert fault in err
    assert err.count("\n") == 1


def test_misuse_is_exit_code_2(terminal: Terminal) -> None:
    assert terminal("nonsense")[0] == 2
    assert terminal("gateway")[0] == 2


def test_a_database_that_does_not_exist_is_not_made_by_looking(terminal: Terminal) -> None:
    code, _, err = terminal("user", "list")
    assert (code, "does not exist" in err) == (1, True)
    assert not (terminal.folder / "data").exists()


def test_migrate_check_says_whether_it_is_needed(terminal: Terminal) -> None:
    assert terminal("migrate", "--check")[0] == 1
    assert terminal("migrate")[0] == 0
    assert terminal("migrate", "--check")[0] == 0


def test_the_roots_key_moves_into_a_file_and_is_never_overwritten(terminal: Terminal, tmp_path: Path) -> None:
    from gatehouse_fleet.clock import SystemClock
    from gatehouse_fleet.pki.authority import Authority

    pki = terminal.folder / "data" / "pki"
    Authority.open(pki, at=SystemClock().now())
    key, target = (pki / "root.key").read_bytes(), tmp_path / "root-key.pem"
    assert terminal("ca", "export-root", str(target))[0] == 0
    assert target.read_bytes() == key
    assert not (pki / "root.key").exists()
    assert terminal("ca", "export-root", str(target))[0] == 1
    assert terminal("ca", "export-root", str(tmp_path / "again"))[0] == 1
    assert terminal.json("ca", "show")[0]["root_key_is_here"] is False
    assert not (tmp_path / "again").exists()


def test_every_command_is_a_module_with_name_help_arguments_and_run() -> None:
    assert all(one.NAME and one.HELP and one.arguments and one.run for one in COMMANDS)
    assert len({one.NAME for one in COMMANDS}) == len(COMMANDS)
