"""Evidence as one file to hand over: manifest, files, proof, keys and a page that says how to check it. And reading one back."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from gatehouse_edge.evidence.drafts import PARTS
from gatehouse_edge.evidence.drawer import MANIFEST, MASKED
from gatehouse_events.evidence import Manifest
from gatehouse_journal.durable import sync_directory

JOURNAL: Final = "journal.jsonl"
KEYS: Final = "keys.txt"
README: Final = "README.txt"
NAMES: Final = frozenset({MANIFEST, JOURNAL, KEYS, README, MASKED, *PARTS})
MAX_BYTES: Final = 1 << 30
_CHUNK: Final = 1 << 20


class PackError(Exception):
    """A file is not a package, or cannot be written; the text says why."""


def write_pack(
    target: Path,
    raw_manifest: bytes,
    files: Mapping[str, Path],
    proof: Iterable[bytes],
    *,
    keys: Iterable[str],
    readme: str,
) -> None:
    """Write a package in one step; an interrupted one leaves nothing of that name.

    Raises:
        OSError: the disk refuses.
    """
    draft = target.with_name(f".{target.name}.part")
    try:
        with draft.open("wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:
            packed.writestr(README, readme.replace("\n", "\r\n"))
            packed.writestr(MANIFEST, raw_manifest)
            for name, path in files.items():
                packed.write(path, name)
            packed.writestr(JOURNAL, b"".join(proof), zipfile.ZIP_DEFLATED)
            packed.writestr(KEYS, "".join(f"{key}\n" for key in keys))
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(target)
        sync_directory(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def open_pack(source: Path, folder: Path) -> None:
    """Lay the parts of a package into `folder`; what has another name than a part of one is left out.

    Raises:
        PackError: not a package, damaged, or larger than a package may be.
    """
    try:
        with zipfile.ZipFile(source) as packed:
            names = [info for info in packed.infolist() if info.filename in NAMES]
            if sum(info.file_size for info in names) > MAX_BYTES:
                raise PackError("larger than a package may be")
            for info in names:
                left = MAX_BYTES
                with packed.open(info) as part, (folder / info.filename).open("wb") as out:
                    while piece := part.read(_CHUNK):
                        left -= len(piece)
                        if left < 0:
                            raise PackError("larger than a package may be")
                        out.write(piece)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise PackError(f"{source.name} is no package, or damaged: {error}") from error


def readme_of(manifest: Manifest, sha: str, *, is_masked: bool, keys: Iterable[str]) -> str:
    """Return the page for whoever is handed the package, Chinese first."""
    place = manifest.place
    floors = (
        "未标定 not calibrated"
        if place is None
        else f"{place.floor_low}-{place.floor_high} ({place.probability:.0%})"
    )
    lost = "\n".join(f"  - {words}" for words in manifest.missing) or "  无 none"
    kind_zh = "打码副本（原始录像留存于网关，其哈希见清单）" if is_masked else "原始录像"
    kind_en = (
        "a masked copy (the original stays on the gateway; its hash stands in the manifest)"
        if is_masked
        else "the original clip"
    )
    known = "\n".join(f"  {key}" for key in keys)
    return f"""高空抛物证据包  EVIDENCE OF A THROW
事件 event      {manifest.event_id}
报警 alarm      {manifest.alarm_id or "-"}
摄像机 camera   {manifest.camera_id}   网关 gateway {manifest.gateway_id}
拍摄 seen       {manifest.first_seen_at.isoformat()} .. {manifest.last_seen_at.isoformat()}
楼层 floors     {floors}
清单 manifest   SHA-256 {sha}
缺失 missing
{lost}

一、内容
  {kind_zh}；clip.mp4 为摄像机原始数据包（清单 is_original 为 true 时未重新编码），
  track.json、overlay.svg 为轨迹与楼层图层（不在画面内），manifest.json 为清单（每个文件的 SHA-256 与 SM3），
  journal.jsonl 为网关日志的相关部分（哈希链与 Ed25519 签名），keys.txt 为网关公钥。
二、核验
  1. gatehouse-edge evidence verify 本文件.zip --key 公钥
     公钥须从物业或平台另行取得，与下列一致方可信；包内公钥只能证明包内自洽。
  2. 也可用任何工具计算各文件的 SHA-256 或 SM3，与清单比对。
三、能证明什么，不能证明什么
  能：自写入日志之时起，文件与清单未被改动；时间、摄像机、算法版本如清单所记。
  不能：摄像机自身的画面或时钟未被做假；持有网关私钥者（与日志同在一块磁盘）事后伪造；楼层为估计区间，不是指认到户。
  时间的依据见清单 clock：arrival 为网关收到的时间，晚于拍摄；camera 为摄像机自报。

1. CONTENT
  {kind_en}; clip.mp4 holds the camera's own packets (not encoded anew where the manifest says is_original: true).
  track.json and overlay.svg are the path and the floors as layers, not in the picture. manifest.json names every file
  with SHA-256 and SM3. journal.jsonl is the part of the gateway's journal that vouches for it (hash chain, Ed25519).
2. CHECKING
  gatehouse-edge evidence verify THIS.zip --key KEY
  The key must come from the estate or the platform, apart from this package; the keys in here only show that it agrees
  with itself. Or compute SHA-256 or SM3 of each file with any tool and compare with the manifest.
3. WHAT IT PROVES AND WHAT NOT
  It does: since the journal took them in, neither files nor manifest were changed; times, camera and model are as kept.
  It does not: that the camera's own picture or clock was true; that nobody with the gateway's private key (it lies on the
  same disk) forged it afterwards; the floors are an estimated interval, not a household.
  What times rest on stands under `clock`: arrival is when the gateway received it, later than it was taken.

公钥 keys
{known}
"""
