"""`gatehouse-edge evidence`: list, verify, export, hold, lift. `verify` needs no gateway and no configuration."""

from __future__ import annotations

import getpass
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from gatehouse_edge.evidence.verdict import Verdict
    from gatehouse_events.evidence import Manifest

_DONE: Final = 0
_FAILED: Final = 1
_MISUSE: Final = 2
_WAIT_S: Final = 30.0
_MASK_WAIT_S: Final = 330.0
_NOBODY: Final = (
    "no gateway is running here, or it does not answer: holds and looks must stand in its journal"
)


class ToolError(Exception):
    """The command cannot be done; the text says why."""


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add `evidence` with its verbs; the parsed arguments go to `run`."""
    parser = subparsers.add_parser("evidence", help="clips of throws: list, verify, export, hold, lift")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    shown = verbs.add_parser("list", help="what is kept, newest first")
    shown.add_argument("storage", type=Path, help="the gateway's storage directory")
    verify = verbs.add_parser(
        "verify", help="check files, manifest, chain and signature; say exactly what was changed"
    )
    verify.add_argument(
        "target", type=Path, help="a package (.zip), a folder, a manifest, or one file of an evidence"
    )
    verify.add_argument(
        "--journal",
        type=Path,
        help="storage directory of the gateway, or an exported journal; without: what lies with the target",
    )
    verify.add_argument(
        "--key",
        action="append",
        default=[],
        help="public key of the gateway (hex), got apart from the evidence; may be given several times",
    )
    export = verbs.add_parser(
        "export", help="one file to hand over; the look is written into the journal first"
    )
    export.add_argument("storage", type=Path, help="the gateway's storage directory")
    export.add_argument("evidence", help="hash of its manifest, or the beginning of it")
    export.add_argument("-o", "--output", type=Path, help="file to write (default: evidence-EVENT.zip)")
    export.add_argument(
        "--original", action="store_true", help="with the original clip, for the police; else a masked copy"
    )
    hold = verbs.add_parser("hold", help="keep evidence beyond its time")
    lift = verbs.add_parser("lift", help="end a hold")
    for verb in (hold, lift):
        verb.add_argument("storage", type=Path, help="the gateway's storage directory")
        verb.add_argument("evidence", help="hash of its manifest, or the beginning of it")
    for verb in (hold, lift, export):
        verb.add_argument("--reason", required=True, help="for the register: who asked, which document")
        verb.add_argument("--by", default=getpass.getuser(), help="who does it (default: this user)")
    for verb in (shown, verify, export, hold, lift):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    """Do what `args` ask; 0 done (verify: intact), 1 failed or not intact, 2 misuse."""
    from gatehouse_edge.evidence.pack import PackError
    from gatehouse_journal import JournalError

    work = {"list": _list, "verify": _verify, "export": _export, "hold": _order, "lift": _order}[args.verb]
    try:
        return work(args)
    except (ToolError, PackError, JournalError) as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return _FAILED
    except OSError as error:
        print(f"gatehouse-edge: {error.filename or args.verb}: {error.strerror}", file=sys.stderr)
        return _FAILED


# --- list


def _list(args: Namespace) -> int:
    folder = _folder(args.storage)
    rows: list[dict[str, Any]] = []
    for sha, manifest in _manifests(folder):
        whole = all(_lies(folder, manifest))
        rows.append(
            {
                "sha256": sha,
                "event_id": manifest.event_id,
                "alarm_id": manifest.alarm_id,
                "camera_id": manifest.camera_id,
                "first_seen_at": manifest.first_seen_at.isoformat(),
                "floors": None
                if manifest.place is None
                else [manifest.place.floor_low, manifest.place.floor_high],
                "bytes": sum(file.size_bytes for file in manifest.files),
                "is_whole": whole,
                "missing": list(manifest.missing),
            }
        )
    rows.sort(key=lambda row: str(row["first_seen_at"]), reverse=True)
    if args.json:
        print(msgspec.json.encode(rows).decode())
        return _DONE
    for row in rows:
        floors = "" if row["floors"] is None else "  floors {}-{}".format(*row["floors"])
        state = "" if row["is_whole"] else "  FILES ARE GONE"
        print(
            f"{str(row['sha256'])[:12]}  {row['first_seen_at']}  {row['camera_id']}{floors}  {row['bytes']} bytes{state}"
        )
        for words in row["missing"]:
            print(f"              missing: {words}")
    print(f"{len(rows)} kept")
    return _DONE


def _lies(folder: Path, manifest: Manifest) -> Iterator[bool]:
    from gatehouse_edge.evidence.drawer import path_of

    return (path_of(folder, file).is_file() for file in manifest.files)


# --- verify


def _verify(args: Namespace) -> int:
    with _unpacked(args.target) as target:
        verdicts = _judged(target, args.journal, frozenset(key.strip().lower() for key in args.key))
    is_intact = bool(verdicts) and all(one.is_intact for one, _ in verdicts)
    if args.json:
        rows = [
            msgspec.to_builtins(one) | {"is_intact": one.is_intact, "is_key_known": is_known}
            for one, is_known in verdicts
        ]
        print(msgspec.json.encode({"is_intact": is_intact, "evidence": rows}).decode())
    else:
        for one, is_known in verdicts:
            _tell(one, is_key_known=is_known)
        if not verdicts:
            print(f"{args.target}: there is no evidence in it")
    return _DONE if is_intact else _FAILED


def _tell(one: Verdict, *, is_key_known: bool) -> None:
    print(f"{one.manifest_sha256[:12]}  {one.event_id or '?'}  alarm {one.alarm_id or '-'}")
    for finding in one.findings:
        print(f"  {finding.grade.value.upper():<7} {finding.about}: {finding.text}")
    if one.kept_at is not None:
        print(
            f"  kept {one.kept_at.isoformat()}, looked at {one.views} time(s){', held' if one.is_held else ''}"
        )
    if one.signed_by is not None:
        known = "" if is_key_known else "  <- compare with the gateway's key, got apart from this evidence"
        print(f"  signed by {one.signed_by}{known}")
    print("  intact 完整" if one.is_intact else "  NOT intact 不完整")


@contextmanager
def _unpacked(target: Path) -> Iterator[Path]:
    from gatehouse_edge.evidence.pack import open_pack

    if target.suffix != ".zip":
        yield target
        return
    with tempfile.TemporaryDirectory(prefix="gatehouse-evidence-") as folder:
        open_pack(target, Path(folder))
        yield Path(folder)


def _judged(target: Path, journal: Path | None, keys: frozenset[str]) -> list[tuple[Verdict, bool]]:
    """Return a verdict on each piece of evidence at `target`, and whether its key was got apart from it."""
    from gatehouse_edge.evidence.drawer import MANIFEST
    from gatehouse_edge.evidence.pack import JOURNAL, KEYS, README

    if not target.exists():
        raise ToolError(f"{target} does not exist")
    if target.is_dir() and (target / MANIFEST).is_file():
        raw = (target / MANIFEST).read_bytes()
        own = {MANIFEST, JOURNAL, KEYS, README}
        files = {path.name: path for path in target.iterdir() if path.is_file() and path.name not in own}
        told_keys = _words(target / KEYS)
        return [_judge(raw, files, journal or target / JOURNAL, keys, told_keys)]
    folder = _folder(target) if target.is_dir() else target.parent
    source = journal or (folder.parent if (folder.parent / "alarm.db").exists() else folder)
    if target.is_dir():
        found = [(path.name.partition(".")[0], path) for path in sorted(folder.glob(f"*.{MANIFEST}"))]
    elif target.name.endswith(f".{MANIFEST}"):
        found = [(target.name.partition(".")[0], target)]
    else:
        found = _naming(folder, target, source)
    return [
        _judge(path.read_bytes(), _files_of(folder, path.read_bytes()), source, keys, frozenset())
        for _, path in found
    ]


def _judge(
    raw: bytes, files: dict[str, Path], journal: Path, keys: frozenset[str], told_keys: frozenset[str]
) -> tuple[Verdict, bool]:
    from gatehouse_edge.evidence.proof import check
    from gatehouse_edge.evidence.verdict import judge
    from gatehouse_journal.signer import public_keys

    if (journal / "alarm.db").exists():
        known = keys or frozenset(public_keys(journal))
        return judge(raw, files, check(_live(journal, raw), known)), True
    if not journal.is_file():
        raise ToolError("there is no journal to check against: name one with --journal")
    with journal.open("rb") as lines:
        return judge(raw, files, check(lines, keys or told_keys)), bool(keys)


def _live(storage: Path, raw: bytes) -> list[bytes]:
    """Return the lines of a gateway's own journal that speak of a manifest, or of the event of a changed one."""
    from gatehouse_edge.evidence.proof import proof_lines, sha_of_event
    from gatehouse_journal import Reader

    with Reader.open(storage) as reader:
        lines = list(proof_lines(reader, sha256(raw).hexdigest()))
        if not lines:
            other = sha_of_event(reader, raw)
            lines = [] if other is None else list(proof_lines(reader, other))
        return lines


def _naming(folder: Path, target: Path, source: Path) -> list[tuple[str, Path]]:
    """Return the manifests that name a file by its hash."""
    from gatehouse_edge.evidence.drawer import digest, manifest_path

    sha = digest(target)
    found = [
        (one, manifest_path(folder, one))
        for one, manifest in _manifests(folder)
        if any(file.sha256 == sha for file in manifest.files)
    ]
    if not found:
        raise ToolError(f"no manifest in {folder} names {target.name} (SHA-256 {sha}); journal {source}")
    return found


def _files_of(folder: Path, raw: bytes) -> dict[str, Path]:
    """Return the files of a manifest in a gateway's folder, as far as they lie there."""
    from gatehouse_edge.evidence.drawer import path_of
    from gatehouse_events.evidence import EvidenceError, decode_manifest

    try:
        manifest = decode_manifest(raw)
    except EvidenceError:
        return {}
    return {file.name: path_of(folder, file) for file in manifest.files if path_of(folder, file).is_file()}


# --- export, hold, lift


def _export(args: Namespace) -> int:
    from gatehouse_edge.evidence.drawer import MASKED, digest, manifest_path, path_of, stored_name
    from gatehouse_edge.evidence.pack import readme_of, write_pack
    from gatehouse_edge.evidence.proof import masked_sha, proof_lines
    from gatehouse_edge.evidence_orders import EvidenceOrder
    from gatehouse_journal import Reader
    from gatehouse_journal.signer import public_keys

    folder = _folder(args.storage)
    sha, manifest = _chosen(folder, args.evidence)
    files = {file.name: path_of(folder, file) for file in manifest.files}
    if not args.original:
        _done(args, EvidenceOrder(do="mask", sha=sha, by=args.by, reason=args.reason), wait_s=_MASK_WAIT_S)
        with Reader.open(args.storage) as reader:
            copy = folder / stored_name(masked_sha(reader, sha), MASKED)
        files = {name: path for name, path in files.items() if not name.endswith((".mp4", ".jpg"))} | {
            MASKED: copy
        }
    name = "clip.mp4" if args.original else MASKED
    if name in files:
        order = EvidenceOrder(do="view", sha=sha, by=args.by, reason=f"export: {args.reason}", name=name)
        _done(args, order, wait_s=_WAIT_S)
    keys = public_keys(args.storage)
    target = args.output or Path(f"evidence-{manifest.event_id}.zip")
    with Reader.open(args.storage) as reader:
        write_pack(
            target,
            manifest_path(folder, sha).read_bytes(),
            files,
            proof_lines(reader, sha),
            keys=keys,
            readme=readme_of(manifest, sha, is_masked=not args.original, keys=keys),
        )
    told = {
        "file": str(target),
        "sha256": digest(target),
        "names": sorted(files),
        "is_masked": not args.original,
    }
    print(
        msgspec.json.encode(told).decode()
        if args.json
        else f"{target}: {', '.join(sorted(files))}; SHA-256 {told['sha256']}"
    )
    return _DONE


def _order(args: Namespace) -> int:
    from gatehouse_edge.evidence_orders import EvidenceOrder

    sha, manifest = _chosen(_folder(args.storage), args.evidence)
    _done(args, EvidenceOrder(do=args.verb, sha=sha, by=args.by, reason=args.reason), wait_s=_WAIT_S)
    words = "is held" if args.verb == "hold" else "is held no more"
    print(
        msgspec.json.encode({"sha256": sha, "is_held": args.verb == "hold"}).decode()
        if args.json
        else f"{manifest.event_id} {words}"
    )
    return _DONE


def _done(args: Namespace, order: object, *, wait_s: float) -> None:
    from gatehouse_edge.evidence_orders import EvidenceOrder, place_order, wait_for

    assert isinstance(order, EvidenceOrder)  # noqa: S101  # its module is imported late
    if not (args.storage / "alarm.db").exists():
        raise ToolError(f"there is no journal in {args.storage}")
    result = wait_for(args.storage, place_order(args.storage, order), at_most_s=wait_s)
    if result is None:
        raise ToolError(_NOBODY)
    if not result.is_done:
        raise ToolError(result.text)


def _chosen(folder: Path, beginning: str) -> tuple[str, Manifest]:
    found = [(sha, one) for sha, one in _manifests(folder) if sha.startswith(beginning.lower()) and beginning]
    if len(found) != 1:
        raise ToolError(f"{len(found)} pieces of evidence begin with {beginning!r}: see `evidence list`")
    return found[0]


# --- both


def _folder(path: Path) -> Path:
    """Return the folder of evidence below a storage directory, or the folder itself."""
    from gatehouse_edge.evidence.drawer import FOLDER

    return path / FOLDER if (path / FOLDER).is_dir() else path


def _manifests(folder: Path) -> Iterable[tuple[str, Manifest]]:
    from gatehouse_edge.evidence.drawer import manifests, read_manifest
    from gatehouse_events.evidence import EvidenceError

    for sha in manifests(folder):
        try:
            yield sha, read_manifest(folder, sha)
        except EvidenceError as error:
            print(f"gatehouse-edge: {error}", file=sys.stderr)


def _words(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return frozenset()
