"""A disk that really is full: a small tmpfs in a mount namespace of its own, filled by somebody else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from gatehouse_hil.disk import Recorder

ENOSPC = 28


@pytest.fixture(scope="module")
def story(writer_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    mount = tmp_path_factory.mktemp("small")
    probe = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True, timeout=20)
    if probe.returncode != 0:
        pytest.skip(
            "this kernel lets no ordinary user mount a tmpfs of his own; the recorded disk covers the rest"
        )
    script = 'mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@"'
    told = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(mount), *writer_command, str(mount), "fill"],
        check=True, stdout=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    result: dict[str, object] = msgspec.json.decode(told.stdout)
    return result


def test_alarms_are_accepted_on_a_full_disk_because_the_ballast_is_given_up(story: dict[str, object]) -> None:
    assert (story["foreign"], story["held_before"], story["held_when_full"]) == (ENOSPC, True, False)


def test_telemetry_is_refused_while_the_room_is_kept_for_alarms(story: dict[str, object]) -> None:
    assert story["refused_telemetry"] == 60


def test_when_even_the_ballast_is_used_up_the_refusal_is_named(story: dict[str, object]) -> None:
    assert "no space left for the journal" in str(story["refusal"])


def test_with_room_again_alarms_go_on_and_the_ballast_comes_back(story: dict[str, object]) -> None:
    assert story["held_after"] is True


def test_after_a_full_disk_every_acknowledged_alarm_is_there_once_and_the_chain_is_whole(
    story: dict[str, object],
) -> None:
    assert (story["alarms"], story["faults"]) == (2 * int(str(story["committed"])), [])


def test_a_recorder_wants_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(Exception, match="not empty"):
        Recorder(tmp_path).install()
