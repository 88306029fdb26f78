"""`gatehouse-edge evidence`: a package handed over, and everything anybody could change in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import msgspec
import pytest
from console_site import CAMERA, SETTINGS, running_site
from film import film, promised
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_edge import cli
from gatehouse_edge.drivers.clip_keep import keep
from gatehouse_edge.evidence_orders import EvidenceOrders
from gatehouse_edge.reading import ThrowReading
from gatehouse_events.chain import Entry, Lane, canonical, entry_hash
from gatehouse_events.records import signed_bytes
from gatehouse_journal import Signer
from gatehouse_journal.signer import public_keys

DEVICES = [*SETTINGS["devices"], CAMERA]


class Handed:
    """What a gateway handed over, and its storage directory after it had stopped."""

    storage: Path
    original: Path
    masked: Path
    sha: str
    key: str


@pytest.fixture(scope="module")
def handed(tmp_path_factory) -> Handed:
    folder, found = tmp_path_factory.mktemp("handed"), Handed()

    async def gateway() -> None:
        async with running_site(folder, devices=DEVICES) as site:
            now = site.clock.now()
            await site.ledger.put(
                ThrowReading(
                    device_id="cam-1", at=now, floor_low=5, floor_high=6, confidence=0.9, track_points=9
                )
            )
            alarm = await site.alarm("throw.object_falling")
            packets, shape = film()
            kept = keep(
                promised(alarm_id=alarm.alarm_id, first_seen_at=now.wall),
                packets, shape, site.evidence.folder, made_at=now.wall,
            )  # fmt: skip
            await site.evidence.adopt(kept)
            found.storage, found.sha = site.directory, kept.manifest_sha256
            orders = asyncio.get_running_loop().create_task(
                EvidenceOrders(site.evidence, site.directory).run()
            )
            for name, more in (("original", ["--original"]), ("masked", [])):
                target = folder / f"{name}.zip"
                command = ["evidence", "export", str(site.directory), found.sha[:8], "-o", str(target), *more]
                assert (
                    await asyncio.to_thread(
                        cli.main, [*command, "--reason", "示例 document 1", "--by", "tester"]
                    )
                    == 0
                )
                setattr(found, name, target)
            for verb in ("hold", "lift", "hold"):
                command = ["evidence", verb, str(site.directory), found.sha[:8], "--reason", "示例"]
                assert await asyncio.to_thread(cli.main, command) == 0
            orders.cancel()
            await asyncio.gather(orders, return_exceptions=True)

    asyncio.run(gateway())
    (found.key,) = public_keys(found.storage)
    return found


def verdict(target: Path, *more: str) -> tuple[int, dict]:
    """Return status and the one verdict of a verification."""
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = cli.main(["evidence", "verify", str(target), "--json", *more])
    told = json.loads(out.getvalue())
    assert (status == 0) is told["is_intact"]
    return status, told["evidence"][0]


def faults(told: dict) -> dict[str, str]:
    return {one["about"]: one["text"] for one in told["findings"] if one["grade"] == "fault"}


@pytest.fixture
def unpacked(handed: Handed, tmp_path: Path) -> Path:
    with zipfile.ZipFile(handed.original) as packed:
        packed.extractall(tmp_path / "x")
    return tmp_path / "x"


def test_what_was_handed_over_is_proven_from_any_side(handed: Handed, capsys) -> None:
    for target, more in (
        (handed.original, ()),
        (handed.original, ("--key", handed.key)),
        (handed.original, ("--journal", str(handed.storage))),
        (handed.storage, ()),
        (handed.storage / "evidence", ()),
        (handed.storage / f"evidence/{handed.sha}.manifest.json", ()),
        (next((handed.storage / "evidence").glob("*.clip.mp4")), ()),
    ):
        status, told = verdict(target, *more)
        assert (status, faults(told)) == (0, {}), target
        assert told["signed_by"] == handed.key
        assert told["is_key_known"] is (target != handed.original or bool(more))
    assert told["views"] == 2
    assert told["is_held"]
    assert cli.main(["evidence", "verify", str(handed.original)]) == 0
    shown = capsys.readouterr().out
    assert "intact 完整" in shown
    assert "compare with the gateway's key" in shown


def test_a_masked_package_holds_no_picture_of_the_original(handed: Handed) -> None:
    with zipfile.ZipFile(handed.masked) as packed:
        assert set(packed.namelist()) == {
            "README.txt", "manifest.json", "masked.mp4", "track.json", "overlay.svg", "journal.jsonl", "keys.txt",
        }  # fmt: skip
        readme = packed.read("README.txt").decode()
    assert "打码副本" in readme
    assert handed.key in readme
    status, told = verdict(handed.masked)
    assert status == 0
    left_out = {one["about"] for one in told["findings"] if "masked copy stands for it" in one["text"]}
    assert left_out == {"clip.mp4", "release.jpg", "landing.jpg"}


def test_a_package_carries_nobody_elses_entries(handed: Handed) -> None:
    with zipfile.ZipFile(handed.original) as packed:
        lines = [json.loads(line) for line in packed.read("journal.jsonl").splitlines()]
    shown = {line["kind"] for line in lines if line["body"] is not None}
    assert shown == {"evidence", "checkpoint"}


def test_any_change_of_any_file_is_named(handed: Handed, unpacked: Path) -> None:
    names = [path.name for path in unpacked.iterdir() if path.name not in {"README.txt", "keys.txt", "journal.jsonl", "manifest.json"}]  # fmt: skip
    assert len(names) == 5

    @settings(max_examples=settings().max_examples // 10)
    @given(st.sampled_from(names), st.integers(0, 1 << 30), st.integers(1, 255))
    def flip(name: str, at: int, bits: int) -> None:
        path = unpacked / name
        whole = path.read_bytes()
        at %= len(whole)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :])
        try:
            _, told = verdict(unpacked)
        finally:
            path.write_bytes(whole)
        assert set(faults(told)) == {name}
        assert "the same length" in faults(told)[name]

    flip()
    for name in names:
        path = unpacked / name
        whole = path.read_bytes()
        path.write_bytes(whole + b"\n")
        assert f"{len(whole) + 1} bytes, was {len(whole)}" in faults(verdict(unpacked)[1])[name]
        path.unlink()
        assert set(faults(verdict(unpacked)[1])) == {name}
        path.write_bytes(whole)
    (unpacked / "extra.jpg").write_bytes(b"x")
    status, told = verdict(unpacked)
    assert status == 0
    assert any(one["about"] == "extra.jpg" for one in told["findings"])


def leaves(value, at=()):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, (*at, number))
    else:
        yield at, value


def other(value):
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value + 0.5
        case str():
            digit = "0" if value[-1:] != "0" else "1"
            return value[:-1] + digit if value else "X"
        case None:
            return 7
        case []:
            return ["nothing is missing"]
        case _:
            return None


def named(at: tuple) -> str:
    return "manifest." + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).lstrip(
        "."
    )


def test_any_change_of_any_field_of_the_manifest_is_named(unpacked: Path) -> None:
    path = unpacked / "manifest.json"
    whole = path.read_bytes()
    fields = list(leaves(json.loads(whole)))
    assert len(fields) > 60
    for at, value in fields:
        document = json.loads(whole)
        inner = document
        for step in at[:-1]:
            inner = inner[step]
        inner[at[-1]] = other(value)
        path.write_bytes(canonical(document))
        found = faults(verdict(unpacked)[1])
        assert "manifest" in found, at
        expected = named(at)
        assert any(about == expected or about.startswith(f"{expected}[") for about in found), (at, found)
    added = json.loads(whole) | {"extra": 1}
    path.write_bytes(canonical(added))
    assert faults(verdict(unpacked)[1])["manifest.extra"] == "added: 1"
    path.write_bytes(json.dumps(json.loads(whole), indent=1).encode())  # the same words in another form
    assert "manifest" in faults(verdict(unpacked)[1])
    path.write_bytes(b"{")
    assert "manifest" in faults(verdict(unpacked)[1])


def test_any_change_of_any_line_of_the_proof_is_found(unpacked: Path) -> None:
    path = unpacked / "journal.jsonl"
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines):
        for at, value in leaves(json.loads(line)):
            if at[0] == "corrected_at":  # told from clock entries, no part of the chain
                continue
            document = json.loads(line)
            inner = document
            for step in at[:-1]:
                inner = inner[step]
            inner[at[-1]] = other(value)
            path.write_bytes(b"\n".join([*lines[:number], canonical(document), *lines[number + 1 :]]))
            status, _ = verdict(unpacked)
            assert status == 1, (number, at)
    path.write_bytes(b"\n".join(lines[1:]))
    assert "no entry vouches" in faults(verdict(unpacked)[1])["journal"]


def rehash(fields: dict) -> None:
    """Make one line agree with itself again."""
    if fields["body"] is not None:
        fields["body_hash"] = sha256(canonical(fields["body"])).hexdigest()
    hashes = {name: bytes.fromhex(fields[name]) for name in ("body_hash", "prev_hash")}
    entry = msgspec.convert(fields | {"body": None, "body_hash": b"", "prev_hash": b""}, Entry, strict=False)
    fields["hash"] = entry_hash(msgspec.structs.replace(entry, **hashes)).hex()


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("evidence", lambda body: body["manifest"]["place"].update(floor_low=1), "does not follow"),
        ("checkpoint", lambda body: body["telemetry"].update(seq=999), "signature of this checkpoint"),
    ],
)
def test_one_line_that_agrees_with_itself_is_found_by_its_neighbours_or_its_signature(
    unpacked: Path, kind: str, change, words: str
) -> None:
    path = unpacked / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    target = next(line for line in lines if line["kind"] == kind)
    change(target["body"])
    rehash(target)
    path.write_bytes(b"\n".join(canonical(line) for line in lines))
    found = faults(verdict(unpacked)[1])
    assert any(words in text for text in found.values()), found


def test_a_forger_who_makes_everything_agree_still_lacks_the_key(handed: Handed, unpacked: Path) -> None:
    """Changes the clip, the manifest, the entry and the whole chain after it; then signs with a key of his own."""
    clip = unpacked / "clip.mp4"
    clip.write_bytes(clip.read_bytes() + b"\0")
    manifest = json.loads((unpacked / "manifest.json").read_bytes())
    for file in manifest["files"]:
        if file["name"] == "clip.mp4":
            file |= {"sha256": sha256(clip.read_bytes()).hexdigest(), "size_bytes": clip.stat().st_size}
    raw = canonical(manifest)
    (unpacked / "manifest.json").write_bytes(raw)
    forger, lines, previous = Signer(b"\7" * 32), [], None
    for line in (unpacked / "journal.jsonl").read_bytes().splitlines():
        fields = json.loads(line)
        body = fields["body"]
        if body is not None and body.get("manifest_sha256"):
            body["manifest_sha256"] = sha256(raw).hexdigest()
            if "manifest" in body:
                body["manifest"] = manifest
        if body is not None and fields["kind"] == "checkpoint":
            body["alarm"]["hash"], body["key"], body["signature"] = previous["hash"], forger.public_key, ""
            body["signature"] = forger.sign(signed_bytes("checkpoint", canonical(body)))
        if previous is not None and previous["seq"] + 1 == fields["seq"]:
            fields["prev_hash"] = previous["hash"]
        rehash(fields)
        lines.append(canonical(fields))
        previous = fields
    (unpacked / "journal.jsonl").write_bytes(b"\n".join(lines))
    keys = (unpacked / "keys.txt").read_text()
    assert any("key that is not known" in words for words in faults(verdict(unpacked)[1]).values())
    (unpacked / "keys.txt").write_text(forger.public_key)  # now it agrees with itself …
    status, told = verdict(unpacked)
    assert (status, told["is_key_known"]) == (0, False)  # … which is all it says
    assert verdict(unpacked, "--key", keys.strip())[0] == 1  # the key got apart from it tells
    assert verdict(unpacked, "--journal", str(handed.storage))[0] == 1


def test_on_the_gateways_own_disk_a_change_is_named_too(handed: Handed, tmp_path: Path) -> None:
    storage = tmp_path / "copy"
    shutil.copytree(handed.storage, storage)
    clip = next((storage / "evidence").glob("*.clip.mp4"))
    clip.write_bytes(clip.read_bytes()[:-1])
    assert set(faults(verdict(storage)[1])) == {"clip.mp4"}
    assert cli.main(["evidence", "verify", str(clip)]) == 1
    path = storage / f"evidence/{handed.sha}.manifest.json"
    document = json.loads(path.read_bytes())
    document["place"]["floor_low"] = 1
    path.write_bytes(canonical(document))
    found = faults(verdict(storage)[1])
    assert found["manifest.place.floor_low"] == "was 5, is 1"
    path.unlink()
    assert cli.main(["evidence", "verify", str(storage)]) == 1


def test_what_is_no_package_is_said(tmp_path: Path, handed: Handed, capsys) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4 nonsense")
    assert cli.main(["evidence", "verify", str(tmp_path / "bad.zip")]) == 1
    assert "no package" in capsys.readouterr().err
    torn = tmp_path / "torn.zip"
    torn.write_bytes(handed.original.read_bytes()[:-200])
    assert cli.main(["evidence", "verify", str(torn)]) == 1
    assert cli.main(["evidence", "verify", str(tmp_path / "nothing")]) == 1
    climbing = tmp_path / "climbing.zip"
    with zipfile.ZipFile(climbing, "w") as packed:
        packed.writestr("../escaped.txt", "x")
        packed.writestr("manifest.json", "{}")
        packed.writestr("journal.jsonl", "")
    assert cli.main(["evidence", "verify", str(climbing)]) == 1
    assert not (tmp_path.parent / "escaped.txt").exists()


def test_the_list_and_orders_without_a_gateway(handed: Handed, capsys, monkeypatch) -> None:
    assert cli.main(["evidence", "list", str(handed.storage), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["sha256"], row["floors"], row["is_whole"]) == (handed.sha, [5, 6], True)
    assert cli.main(["evidence", "list", str(handed.storage)]) == 0
    assert "1 kept" in capsys.readouterr().out
    monkeypatch.setattr("gatehouse_edge.evidence_tools._WAIT_S", 0.1)
    command = ["evidence", "hold", str(handed.storage), handed.sha[:8], "--reason", "x"]
    assert cli.main(command) == 1
    assert "no gateway is running" in capsys.readouterr().err
    assert list((handed.storage / "evidence-orders").glob("*.order")) == []
    assert cli.main(["evidence", "hold", str(handed.storage), "ffff", "--reason", "x"]) == 1


def test_a_checkpoint_is_found_in_a_whole_export_as_well(
    handed: Handed, unpacked: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "alarm.jsonl"
    assert (
        cli.main(["journal", "export", str(handed.storage), "--lane", Lane.ALARM.value, "-o", str(whole)])
        == 0
    )
    status, told = verdict(unpacked, "--journal", str(whole), "--key", handed.key)
    assert (status, faults(told)) == (0, {})
    assert told["views"] == 2
