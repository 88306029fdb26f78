"""Helps to aim a camera: a still twice a second, how sharp it is, and what is too dark or too bright to see anything in.

The calibration itself (façade quad, floor lines, zones) is made at the gateway, whose camera it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import av
import cv2
import numpy as np
import numpy.typing as npt
from typing_extensions import override

from gatehouse_hil.bench.disk_file import replace_file
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.rig import Camera, SimulatedRig
from gatehouse_hil.bench.watching import BEAT_S, Tell
from gatehouse_hil.bench.workplace import Workplace
from gatehouse_hil.camera_player import CameraPlayer
from gatehouse_hil.facade import Facade, Luma

SIMULATED: Final = "facade"
"""The camera that every simulated rig has."""
_EVERY_S: Final = 0.5
_OPEN_S: Final = 8
_AGAIN_S: Final = 2.0
_WIDTH: Final = 1280
"""A larger picture is made smaller for the page; sharpness is measured on the original."""
_QUALITY: Final = 80
_DARK, _BRIGHT = 32, 224
"""Luma below and above which a compressed picture of eight bits shows nothing that moves."""


async def watch(place: Workplace, name: str | None, tell: Tell) -> None:
    """Tell each still until cancelled; a camera that goes away is tried again.

    Findings: `{"file", "width", "height", "focus", "mean", "dark_pct", "bright_pct"}`, or `{"silent": reason}`.

    Raises:
        BenchError: NO_RESOURCE, there is no such camera on this rig; NO_SUCH_FILE, its password.
    """
    async with _camera(place, name) as (camera, url):
        path = place.directory / "aim" / f"{camera}.jpg"
        eye = Eye(url, path, tell)
        try:
            await asyncio.to_thread(eye.watch)
        finally:
            eye.stop()


class Eye:
    """Looks through one camera in a thread."""

    def __init__(self, url: str, path: Path, tell: Tell) -> None:
        self._url: Final = url
        self._path: Final = path
        self._tell: Final = tell
        self._stopped: Final = threading.Event()

    def stop(self) -> None:
        """End `watch` soon: within the time that opening a camera may take."""
        self._stopped.set()

    def watch(self) -> None:
        """Look until stopped."""
        while not self._stopped.is_set():
            try:
                self._look()
            except (av.FFmpegError, OSError) as error:
                reason = type(error).__name__  # never the message: it holds the address
                self._tell({"silent": reason}, f"— {reason}")
            self._stopped.wait(_AGAIN_S)

    def _look(self) -> None:
        options = {"probesize": "65536", "analyzeduration": "500000", "fflags": "nobuffer"}
        if self._url.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        with av.open(self._url, options=options, timeout=(_OPEN_S, BEAT_S * 2)) as source:
            due_s = 0.0
            for frame in source.decode(video=0):
                if self._stopped.is_set():
                    return
                if time.monotonic() < due_s:
                    continue
                due_s = time.monotonic() + _EVERY_S
                self._still(_octets(frame.to_ndarray(format="bgr24")))

    def _still(self, picture: npt.NDArray[np.uint8]) -> None:
        height, width = picture.shape[:2]
        luma = _octets(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
        shown = picture
        if width > _WIDTH:
            shown = _octets(
                cv2.resize(picture, (_WIDTH, round(height * _WIDTH / width)), interpolation=cv2.INTER_AREA)
            )
        done, jpeg = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            return
        replace_file(self._path, jpeg.tobytes(), mode=0o600)
        finding = {
            "file": str(self._path),
            "width": width,
            "height": height,
            "focus": round(sharpness(luma), 1),
            "mean": round(float(luma.mean())),
            "dark_pct": round(float((luma < _DARK).mean()) * 100, 1),
            "bright_pct": round(float((luma > _BRIGHT).mean()) * 100, 1),
        }
        self._tell(finding, f"{width} x {height}  focus {finding['focus']}  mean {finding['mean']}")


def sharpness(luma: Luma) -> float:
    """Return how sharp a picture is: variance of the Laplacian after a light blur, which takes the sensor's noise out.

    A number without a scale: it grows until the lens is right and then falls. Compare it with itself only, on the same scene.
    """
    return float(cv2.Laplacian(cv2.GaussianBlur(luma, (3, 3), 0), cv2.CV_64F).var())


@contextlib.asynccontextmanager
async def _camera(place: Workplace, name: str | None) -> AsyncIterator[tuple[str, str]]:
    cameras = {camera.name: camera for camera in place.rig.cameras}
    if isinstance(place.rig, SimulatedRig) and name in (None, SIMULATED) and SIMULATED not in cameras:
        async with CameraPlayer(fps=6, facade=_Turned(960, 540, noise_sigma=1.5)) as player:
            yield SIMULATED, player.url
        return
    wanted = name or next(iter(cameras), "")
    if wanted not in cameras:
        raise BenchError(Fault.NO_RESOURCE, part=wanted or "cameras", known=", ".join(cameras) or "-")
    yield wanted, _address(cameras[wanted])


def _address(camera: Camera) -> str:
    if not camera.user:
        return camera.url
    password = ""
    if camera.password_file is not None:
        try:
            password = camera.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BenchError(Fault.NO_SUCH_FILE, path=camera.password_file) from error
    scheme, _, rest = camera.url.partition("://")
    return f"{scheme}://{quote(camera.user, safe='')}:{quote(password, safe='')}@{rest}"


class _Turned(Facade):
    """A house front through a lens that somebody turns: out of focus, sharp, and out again in about twenty seconds."""

    @override
    def picture(self, number: int) -> Luma:
        blur = abs((number / 6) % 20 - 10) / 2.5
        sharp = super().picture(number)
        if blur < 0.3:
            return sharp
        return _octets(cv2.GaussianBlur(sharp, (0, 0), blur))


def _octets(picture: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """OpenCV's types allow any number in what it returns."""
    return np.asarray(picture, dtype=np.uint8)
