"""Pictures of a clip changed and encoded again: shield zones burnt in before storage, and coarse copies for viewing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from gatehouse_edge.drivers.camera_ring import StoredPacket
from gatehouse_edge.drivers.clip import ClipError
from gatehouse_edge.drivers.clip_file import ClipFileError, StreamShape, parameter_sets, units_of
from gatehouse_edge.evidence.masking import Picture, zone_mask

Change = Callable[[Picture], Picture]
"""BGR in, BGR out."""
_QUALITY: Final = {"crf": "20", "preset": "veryfast", "threads": "1", "bf": "0"}
"""No pictures out of order: time stamps are the camera's, and some of them are crowded."""
_START: Final = b"\x00\x00\x00\x01"
_JPEG_QUALITY: Final = 90


def shielded(
    packets: Sequence[StoredPacket],
    shape: StreamShape,
    zones: Sequence[Sequence[tuple[float, float]]],
    path: Path,
) -> int:
    """Decode packets in memory, burn the zones in and write the clip; returns its pictures. Nothing unshielded touches the disk.

    Raises:
        ClipFileError: no room, or nothing could be decoded.
    """
    mask = zone_mask(zones, width_px=shape.width_px, height_px=shape.height_px)

    def burn(picture: Picture) -> Picture:
        if picture.shape[:2] != mask.shape:  # the stream changed its size: better nothing than a window
            return np.zeros_like(picture)
        return np.where(mask[..., None], np.uint8(0), picture)

    return _encode(_decoded(packets, shape), burn, path)


def changed(clip: Path, change: Change, path: Path) -> int:
    """Write a copy of a clip with every picture changed; returns the number of pictures.

    Raises:
        ClipError: the clip cannot be read.
        ClipFileError: the copy cannot be written.
    """
    try:
        with av.open(str(clip), metadata_errors="ignore") as container:
            container.streams.video[0].thread_type = "NONE"
            return _encode(container.decode(video=0), change, path)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ClipError(f"{clip.name} cannot be read: {type(error).__name__}") from error


def still(clip: Path, at_s: float) -> bytes:
    """Return the picture shown at `at_s` of a clip (the last one, if it ends before) as JPEG.

    Raises:
        ClipError: there is none.
    """
    found: VideoFrame | None = None
    try:
        with av.open(str(clip), metadata_errors="ignore") as container:
            video = container.streams.video[0]
            video.thread_type = "NONE"
            if video.time_base is not None and at_s > 0:
                container.seek(int(at_s / video.time_base), stream=video, backward=True)
            for frame in container.decode(video):
                if found is not None and frame.time is not None and frame.time > at_s + 1e-3:
                    break
                found = frame
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ClipError(f"{clip.name} cannot be read: {type(error).__name__}") from error
    if found is None:
        raise ClipError(f"{clip.name} has no picture in it")
    return jpeg(_bgr(found))


def still_of_packets(
    packets: Sequence[StoredPacket], shape: StreamShape, zones: Sequence[Sequence[tuple[float, float]]] = ()
) -> bytes:
    """Return the newest picture of packets out of a ring as JPEG, zones burnt in; for calibration.

    Raises:
        ClipError: none of them can be decoded.
    """
    latest: VideoFrame | None = None
    newest_key = max((n for n, packet in enumerate(packets) if packet.is_key), default=0)
    for frame in _decoded(packets[newest_key:], shape):
        latest = frame
    if latest is None:
        raise ClipError("no picture can be decoded now")
    picture = _bgr(latest)
    if zones:
        mask = zone_mask(zones, width_px=picture.shape[1], height_px=picture.shape[0])
        picture = np.where(mask[..., None], np.uint8(0), picture)
    return jpeg(picture)


def jpeg(picture: Picture) -> bytes:
    """Return a BGR picture as JPEG."""
    import cv2

    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return coded.tobytes()


def _bgr(frame: VideoFrame) -> Picture:
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _decoded(packets: Sequence[StoredPacket], shape: StreamShape) -> Iterator[VideoFrame]:
    """Decode packets that never were in a container; what cannot be decoded is left out."""
    decoder = VideoCodecContext.create(shape.codec, "r")
    assert isinstance(decoder, VideoCodecContext)  # noqa: S101  # video codecs only
    sets = parameter_sets(shape)
    for number, stored in enumerate(packets):
        octets = b"".join(_START + unit for unit in units_of(stored.octets, shape))
        packet = Packet(sets + octets if number == 0 else octets)
        packet.pts, packet.dts, packet.time_base = stored.pts, stored.dts, stored.time_base
        try:
            yield from decoder.decode(packet)
        except av.error.InvalidDataError:
            continue
    yield from decoder.decode(None)


def _encode(frames: Iterator[VideoFrame], change: Change, path: Path) -> int:
    draft = path.with_name(f".{path.name}.part")
    count, first, last = 0, 0, -1
    try:
        with av.open(str(draft), "w", format="mp4") as out:
            stream = out.add_stream("libx264", options=_QUALITY)
            for frame in frames:
                picture = change(_bgr(frame))
                if count == 0:
                    stream.width, stream.height = picture.shape[1], picture.shape[0]
                    stream.pix_fmt = "yuv420p"
                    stream.time_base = frame.time_base or Fraction(1, 90_000)
                    stream.codec_context.time_base = stream.time_base
                    first = frame.pts or 0
                elif picture.shape[:2] != (stream.height, stream.width):
                    continue
                fresh = VideoFrame.from_ndarray(picture, format="bgr24")
                last = max((frame.pts or 0) - first, last + 1)
                fresh.pts, fresh.time_base = last, stream.time_base
                out.mux(stream.encode(fresh))
                count += 1
            if count:
                out.mux(stream.encode(None))
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        if count:
            draft.replace(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        draft.unlink(missing_ok=True)
        raise ClipFileError(f"clip {path.name} cannot be written: {type(error).__name__}") from error
    if not count:
        draft.unlink()
        raise ClipFileError("not one picture can be decoded")
    return count
