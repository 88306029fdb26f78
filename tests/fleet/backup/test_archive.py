"""The archive: whole or refused, private, and never outside its folder."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.backup import BackupError, Manifest, Member, pack, read_manifest, unpack

HEAD = Manifest(
    format=1,
    made_at=datetime(2026, 11, 25, tzinfo=UTC),
    database="sqlite",
    revision="0001",
    members=(),
    outside=(Member(name="evidence/aa/clip", size=3, sha256="0" * 64),),
)


def make(folder: Path, files: dict[str, bytes]) -> Path:
    pairs = []
    for n, (name, content) in enumerate(files.items()):
        path = folder / f"source{n}"
        path.write_bytes(content)
        pairs.append((name, path))
    pack(folder / "backup.gh", pairs, HEAD)
    return folder / "backup.gh"


def by_hand(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for head, content in members:
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))
    path.write_bytes(zstandard.compress(plain.getvalue()))
    return path


@given(
    files=st.dictionaries(
        st.from_regex("files/[a-z]{1,8}/[a-z]{1,8}", fullmatch=True), st.binary(max_size=5000), max_size=5
    )
)
def test_what_was_packed_comes_out_again(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    source = make(folder, files)
    out = folder / "out"
    out.mkdir()
    found = unpack(source, out)
    assert {name: (out / name).read_bytes() for name in files} == files
    assert {member.name for member in found.members} == set(files)
    assert found.outside == HEAD.outside
    assert read_manifest(source) == found


def test_only_its_owner_reads_a_backup(tmp_path: Path) -> None:
    source = make(tmp_path, {"files/key": b"secret"})
    assert source.stat().st_mode & 0o777 == 0o600
    (tmp_path / "out").mkdir()
    unpack(source, tmp_path / "out")
    assert (tmp_path / "out/files/key").stat().st_mode & 0o777 == 0o600


def test_a_backup_never_overwrites_one(tmp_path: Path) -> None:
    source = make(tmp_path, {"files/a": b"1"})
    before = source.read_bytes()
    with pytest.raises(BackupError, match="already"):
        pack(source, [], HEAD)
    assert source.read_bytes() == before


def test_a_backup_that_was_cut_short_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = make(tmp_path, {"files/a": bytes(range(256)) * 40, "files/b": b"2"}).read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:length])
        out = tmp_path / f"out{length}"
        out.mkdir()
        with pytest.raises(BackupError):
            unpack(cut, out)


def test_a_changed_missing_or_added_member_is_refused(tmp_path: Path) -> None:
    good = Member(
        name="files/a", size=1, sha256="6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    )
    manifest = msgspec.json.encode(msgspec.structs.replace(HEAD, members=(good,)))
    for name, members in {
        "changed": [("files/a", b"2")],
        "missing": [],
        "added": [("files/a", b"1"), ("files/b", b"1")],
    }.items():
        parts = [(tarfile.TarInfo(n), c) for n, c in members] + [(tarfile.TarInfo("manifest.json"), manifest)]
        (tmp_path / name).mkdir()
        with pytest.raises(BackupError, match="not what the manifest says"):
            unpack(by_hand(tmp_path / f"{name}.gh", parts), tmp_path / name)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "files/../../evil", "files\\..\\evil"])
def test_a_member_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(BackupError, match="a member is called"):
        unpack(by_hand(tmp_path / "evil.gh", [(tarfile.TarInfo(name), b"1")]), tmp_path / "out")


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("files/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    (tmp_path / "out").mkdir()
    with pytest.raises(BackupError, match="no ordinary file"):
        unpack(by_hand(tmp_path / "evil.gh", [(link, b"")]), tmp_path / "out")


def test_a_backup_of_another_format_says_so(tmp_path: Path) -> None:
    raw = msgspec.json.encode(msgspec.structs.replace(HEAD, format=2))
    (tmp_path / "out").mkdir()
    with pytest.raises(BackupError, match="format 2"):
        unpack(by_hand(tmp_path / "new.gh", [(tarfile.TarInfo("manifest.json"), raw)]), tmp_path / "out")


@given(raw=st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("noise")
    (folder / "noise").write_bytes(raw)
    (folder / "out").mkdir()
    with pytest.raises(BackupError):
        unpack(folder / "noise", folder / "out")
