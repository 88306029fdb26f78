"""Keeping the evidence of one throw: the clip out of the ring, stills, layers, manifest. Called in the camera's own process.

    promise(found, folder)                 when the throw is seen (a small synced write)
    keep(found, packets, shape, folder)    when the ring holds `POST_S` after it; the same call again after a `KeepError`
    recover(folder, camera_id)             when that process has ended and nobody will call `keep` any more

All three may be called again at any time; a kill at any moment leaves either what was there before or something that
`recover` finishes. The journal's part is the gateway's: what these return goes to `EvidenceInbox.adopt` (`ports.py`).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from gatehouse_edge.drivers import clip_recode
from gatehouse_edge.drivers.camera_ring import StoredPacket
from gatehouse_edge.drivers.clip import ClipError
from gatehouse_edge.drivers.clip_file import ClipFileError, StreamShape, write_clip
from gatehouse_edge.evidence import drafts
from gatehouse_edge.evidence.drafts import CLIP, PARTS, Draft, KeepError, promise
from gatehouse_edge.evidence.overlay import encode_track, svg_of, track_of
from gatehouse_edge.evidence.promise import POST_S, PRE_S, Cut, Promise, gaps_in
from gatehouse_events.evidence import EvidenceClip, EvidenceError, EvidencePlace, KeptFiles, Manifest

__all__ = ["KeepError", "KeptFiles", "cut_of", "keep", "promise", "recover"]

_log = logging.getLogger(__name__)
_SLACK_S: Final = 0.5
"""A clip may be so much longer or shorter than asked for: packets come one by one."""
_CLIP_OVERHEAD: Final = 1.1


class _Moment(Struct, frozen=True):
    """A packet's time on both clocks (`promise.Timed`)."""

    pts_s: float | None
    arrived_s: float


def cut_of(found: Promise, packets: Sequence[StoredPacket]) -> list[StoredPacket]:
    """Return what of the ring belongs to a throw: from the key frame `PRE_S` before it to `POST_S` after it. Pure."""
    since_s = found.boxes[0].arrived_s - PRE_S
    until_s = found.boxes[-1].arrived_s + POST_S + _SLACK_S
    first = next((n for n, packet in enumerate(packets) if packet.is_key), len(packets))
    for number, packet in enumerate(packets):
        if packet.is_key and packet.arrived_s <= since_s:
            first = number
    return [packet for packet in packets[first:] if packet.arrived_s <= until_s]


def keep(
    found: Promise, packets: Sequence[StoredPacket], shape: StreamShape, folder: Path, *, made_at: datetime
) -> KeptFiles:
    """Write everything of one throw into `folder` and return its manifest. Blocks; a second or two of a core.

    Args:
        found: what was seen, with the alarm's id if the gateway has told it.
        packets: out of the ring; may hold more than is needed.
        shape: of the stream they came from.
        folder: of all evidence of the gateway.
        made_at: the wall clock now.

    Raises:
        KeepError: the disk is full or refuses. The promise stands; nothing half-written counts.
    """
    draft = promise(found, folder)
    chosen = cut_of(found, packets)
    why = ""
    try:
        if chosen and not draft.path(CLIP).exists():
            drafts.check_room(folder, int(sum(len(p.octets) for p in chosen) * _CLIP_OVERHEAD))
            drafts.note_cut(draft, _described(found, chosen, shape))
            why = _write_clip(draft, chosen, shape)
        return _finish(draft, why or "the ring held no picture of that time", made_at)
    except OSError as error:
        raise drafts.refused(error) from error


def recover(
    folder: Path,
    camera_id: str | None = None,
    *,
    made_at: datetime,
    among: frozenset[str] | None = None,
    takes_stills: bool = True,
) -> list[KeptFiles]:
    """Finish what an ended process left, with what there is; return what lies on the disk now, oldest first.

    Args:
        folder: of all evidence of the gateway.
        camera_id: whose process has ended; None: everybody's.
        made_at: the wall clock now.
        among: names of drafts to look at (`drafts.left_in`); None: all.
        takes_stills: False: leave pictures out, for one of them may be what ended the process.

    Raises:
        KeepError: the disk is full or refuses; what is left can be recovered later.
    """
    kept = []
    try:
        for sealed in drafts.sealed_drafts(folder, camera_id=camera_id, among=among):
            sha, manifest = drafts.put_away(sealed)
            kept.append(KeptFiles(manifest_sha256=sha, manifest=manifest))
        kept += [
            _finish(
                draft,
                "the camera's process ended before the clip was written",
                made_at,
                takes_stills=takes_stills,
            )
            for draft in drafts.open_drafts(folder, camera_id=camera_id, among=among)
        ]
    except OSError as error:
        raise drafts.refused(error) from error
    except EvidenceError as error:
        raise KeepError(str(error)) from error
    return kept


def _write_clip(draft: Draft, packets: list[StoredPacket], shape: StreamShape) -> str:
    """Write the clip; return why there is none, empty when there is."""
    zones = draft.promise.shield
    try:
        if zones:
            clip_recode.shielded(packets, shape, zones, draft.path(CLIP))
        else:
            write_clip(packets, shape, draft.path(CLIP))
    except ClipFileError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}:
            raise drafts.refused(cause) from error
        _log.warning("clip of %s cannot be made: %s", draft.promise.event_id, error)
        return str(error)
    return ""


def _finish(draft: Draft, no_clip: str, made_at: datetime, *, takes_stills: bool = True) -> KeptFiles:
    """Add the parts that follow from the clip, seal and put away."""
    found, cut, missing = draft.promise, draft.cut, list[str]()
    has_clip = draft.path(CLIP).exists() and cut is not None
    if not has_clip:
        missing.append(f"{CLIP}: {no_clip}")
    track = track_of(found, cut if has_clip else None)
    makers: dict[str, Callable[[], bytes]] = {
        "release.jpg": lambda: clip_recode.still(draft.path(CLIP), track.boxes[0].t_s),
        "landing.jpg": lambda: clip_recode.still(draft.path(CLIP), track.boxes[-1].t_s),
        "track.json": lambda: encode_track(track),
        "overlay.svg": lambda: svg_of(track),
    }
    for name, make in makers.items():
        if name.endswith(".jpg") and not has_clip:
            missing.append(f"{name}: there is no clip to take it from")
        elif name.endswith(".jpg") and not takes_stills and not draft.path(name).exists():
            missing.append(f"{name}: the process ended while taking it from the clip")
        elif not draft.path(name).exists():
            try:
                drafts.write_part(draft, name, make())
            except ClipError as error:
                missing.append(f"{name}: {error}")
    files = tuple(
        drafts.described(draft, name)
        for name in PARTS
        if draft.path(name).exists() and (name != CLIP or has_clip)
    )
    clip = _clip_facts(found, cut) if has_clip and cut is not None else None
    manifest = Manifest(
        event_id=found.event_id,
        gateway_id=found.gateway_id,
        camera_id=found.camera_id,
        alarm_id=found.alarm_id,
        first_seen_at=found.first_seen_at,
        last_seen_at=found.last_seen_at,
        made_at=made_at,
        clock=found.clock,
        model=found.model,
        config_sha256=found.config_sha256,
        place=_place(found),
        clip=clip,
        files=files,
        missing=(*missing, *_shortfalls(clip, cut if has_clip else None)),
    )
    drafts.seal(draft, manifest)
    sha, manifest = drafts.put_away(draft.folder)
    return KeptFiles(manifest_sha256=sha, manifest=manifest)


def _described(found: Promise, packets: list[StoredPacket], shape: StreamShape) -> Cut:
    times = [found.time_of(_moment(packet)) for packet in packets]
    shown = sorted(times)  # packets stand in decoding order
    return Cut(
        first_s=shown[0],
        last_s=shown[-1],
        pictures=len(packets),
        codec=shape.codec,
        width_px=shape.width_px,
        height_px=shape.height_px,
        gaps=gaps_in(shown),
    )


def _moment(packet: StoredPacket) -> _Moment:
    at = packet.pts if packet.pts is not None else packet.dts
    return _Moment(None if at is None else float(at * packet.time_base), packet.arrived_s)


def _clip_facts(found: Promise, cut: Cut) -> EvidenceClip:
    seen_s = found.time_of(found.boxes[0])
    zones = len(found.shield)
    return EvidenceClip(
        codec="h264" if zones else cut.codec,
        width_px=cut.width_px,
        height_px=cut.height_px,
        pictures=cut.pictures,
        first_at=found.first_seen_at + timedelta(seconds=cut.first_s - seen_s),
        last_at=found.first_seen_at + timedelta(seconds=cut.last_s - seen_s),
        pre_s=round(seen_s - cut.first_s, 3),
        post_s=round(cut.last_s - found.time_of(found.boxes[-1]), 3),
        is_original=not zones,
        shield_zones=zones,
    )


def _place(found: Promise) -> EvidencePlace | None:
    told, drawn = found.origin, found.drawn
    if told is None or drawn is None:
        return None
    return EvidencePlace(
        floor_low=told.floor_low,
        floor_high=told.floor_high,
        probability=told.probability,
        column=told.column,
        fall_s=told.fall_s,
        speed_m_s=told.speed_m_s,
        calibration_version=drawn.version,
        calibration_sha256=drawn.sha256,
    )


def _shortfalls(clip: EvidenceClip | None, cut: Cut | None) -> list[str]:
    """Say where the clip is not all it should be."""
    if clip is None or cut is None:
        return []
    told = []
    if clip.pre_s < PRE_S - _SLACK_S:
        told.append(
            f"only {max(0.0, clip.pre_s):.1f} s before it was first seen: the ring reached no further back"
        )
    if clip.post_s < POST_S - _SLACK_S:
        told.append(f"only {max(0.0, clip.post_s):.1f} s after it was last seen: no picture came later")
    return [*told, *(f"no picture for {long:.1f} s at {at:.1f} s of the clip" for at, long in cut.gaps)]
