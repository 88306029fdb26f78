"""Does a camera still look where it did, and as sharply? Judged on a small picture of edges against a reference view.

Edges, not brightness: a façade is the same in sun and under clouds. The shift is found by phase correlation and, up to a fifth of the
picture, by trying; what remains by correlation; blur by how much steeper the steepest fine edge is than the steepest coarse one, beside the same figure of the reference.
Measured on five filmed and drawn scenes: a shift of 2 % of the width is found in all of them, another scene correlates below 0.1, the
same one in other light above 0.24; a blur of 6 px at 1280 halves the sharpness. A turn about the optical axis below some 10° and a
zoom below 1.2 are not seen.

The reference is the first good view, kept in a file: the camera may be turned while the gateway is off. At night, when edges vanish, the
view is not judged.
"""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_edge.drivers.camera_port import Luma
from gatehouse_edge.reading import Flaw

Edges = npt.NDArray[np.float32]

_WIDE, _HIGH = 160, 96
"""Cells of the edge picture; one is a hundredth and a half of the width."""
_LOOKS: Final = 8
"""So many looks within the time that a flaw must last; a second apart as configured."""
_SETTLE_LOOKS: Final = 4
"""Pictures averaged until the first verdict: noise must not look like edges."""
_BLEND: Final = 0.3
_SWAY_PX: Final = 24
"""Of the look, a twentieth of its width: beyond, it is not a sway."""
_SHIFT_CELLS: Final = 3.0
_NEAR: Final = (32, 19)
"""Cells across and down, a fifth of the picture: what a push, a gust or a loose screw does."""
_SAME: Final = 0.2
"""From this correlation, after shifting, it is the same scene."""
_BETTER: Final = 0.1
"""So much more like the reference must a view be a shift away than in its place: windows are like one another."""
_OTHER: Final = 0.12
"""Below it is another one."""
_LIGHT: Final = 0.5
"""With less than so much of the reference's edges, or more than its inverse, the light is another and nothing is judged."""
_BLURRED_SHARE: Final = 0.5
_BLURRED: Final = 1.45
"""Sharpness without a reference: what is below has no fine edge at all."""
_LEAST_EDGE: Final = 4.0
"""Luma steps a pixel, of the steepest coarse edges: a picture with less has no structure to be blurred."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What one look at the scene amounts to."""

    edges: Edges
    """Shape (`_HIGH`, `_WIDE`), no mean, unit spread."""
    strength: float
    """How strong its edges are, luma steps."""
    sharpness: float
    """Steepest fine edge over steepest coarse edge."""


class ViewJudge:
    """Watches the view of one camera over all its openings. Times are monotonic seconds."""

    def __init__(self, *, after_s: float, file: Path | None = None) -> None:
        """Take the reference from `file` if it holds one; else the first good view becomes it and is kept there.

        Args:
            after_s: a flaw must last so long.
            file: where the reference lies; None: in memory only.
        """
        self._after_s: Final = after_s
        self._every_s: Final = min(1.0, after_s / _LOOKS)
        self._file: Final = file
        self._reference = _load(file)
        self._mean: npt.NDArray[np.float32] | None = None
        self._looks = 0
        self._sampled_s: float | None = None
        self._since_s: dict[Flaw, float] = {}
        self._flaws: dict[Flaw, str] = {}

    @property
    def flaws(self) -> dict[Flaw, str]:
        """What is wrong with the view, "" for what is not; what cannot be judged now is absent."""
        return dict(self._flaws)

    def restart(self) -> None:
        """The stream was opened again: what was averaged is old."""
        self._mean, self._looks, self._flaws = None, 0, {}

    def see(self, luma: Luma, now_s: float) -> None:
        """Take one picture of a living scene into account; most are stepped over."""
        if self._sampled_s is not None and now_s - self._sampled_s < self._every_s:
            return
        self._sampled_s = now_s
        small = cv2.resize(luma, (_WIDE * 3, _HIGH * 3), interpolation=cv2.INTER_AREA).astype(np.float32)
        mean = small if self._mean is None else _followed(self._mean, small)
        self._mean = mean + _BLEND * (small - mean)
        self._looks += 1
        if self._looks < _SETTLE_LOOKS:
            return
        view = view_of(self._mean)
        if self._reference is None:
            if view.strength < _LEAST_EDGE:
                self._flaws = {}
                return
            self._reference = view
            _save(self._file, view)
        self._flaws = {
            flaw: self._lasting(flaw, words, now_s) for flaw, words in judged(view, self._reference).items()
        }

    def _lasting(self, flaw: Flaw, words: str, now_s: float) -> str:
        if not words:
            self._since_s.pop(flaw, None)
            return ""
        since_s = self._since_s.setdefault(flaw, now_s)
        return words if now_s - since_s >= self._after_s else ""


def _followed(mean: npt.NDArray[np.float32], small: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what was averaged, moved to where the new look shows it: a mast that sways must not blur the average. Whole cells, no smoothing."""
    window = cv2.createHanningWindow((small.shape[1], small.shape[0]), cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(mean.copy(), small.copy(), window)  # copies: see `_phase_shift`
    dx, dy = round(dx), round(dy)
    if (dx, dy) == (0, 0) or max(abs(dx), abs(dy)) > _SWAY_PX:
        return mean
    moved = np.asarray(
        cv2.warpAffine(
            mean,
            np.array([[1, 0, dx], [0, 1, dy]], np.float32),
            (mean.shape[1], mean.shape[0]),
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )
    return moved if np.abs(moved - small).mean() < np.abs(mean - small).mean() else mean


def view_of(small: npt.NDArray[np.float32]) -> View:
    """Return the view in a picture of three times `_WIDE` by `_HIGH`."""
    fine, coarse = _slopes(small), _slopes(np.asarray(cv2.GaussianBlur(small, (0, 0), 4.0), np.float32))
    steep = max(1e-3, float(np.percentile(coarse, 99)))
    edges = np.asarray(cv2.resize(np.sqrt(fine), (_WIDE, _HIGH), interpolation=cv2.INTER_AREA), np.float32)
    edges -= cv2.blur(edges, (31, 31))
    return View(
        edges=np.asarray(edges / (edges.std() + 1e-3), np.float32),
        strength=steep,
        sharpness=float(np.percentile(fine, 99)) / steep,
    )


def judged(view: View, reference: View) -> dict[Flaw, str]:
    """Return which flaws a view has, "" for those it has not; absent: it cannot be judged in this light."""
    is_like = _LIGHT * reference.strength <= view.strength <= reference.strength / _LIGHT
    if not is_like and view.sharpness >= _BLURRED:
        return {}
    is_blurred = view.sharpness < max(_BLURRED, _BLURRED_SHARE * reference.sharpness)
    if is_blurred:
        blurred = (
            f"清晰度为标定时的{view.sharpness / reference.sharpness:.0%}：擦镜头，查对焦 "
            f"sharpness {view.sharpness / reference.sharpness:.0%} of the reference: clean the lens, check the focus"
        )
        return {Flaw.BLURRED: blurred}
    return {Flaw.BLURRED: "", Flaw.MOVED: _moved(view, reference)}


def _moved(view: View, reference: View) -> str:
    phase = _phase_shift(reference.edges, view.edges)
    here, far = _best_shifts(reference.edges, view.edges)
    if max(here.likeness, far.likeness, phase.likeness) < _OTHER:
        return "画面与标定时完全不同：重新对准或重新标定 another scene than the reference: aim it again or draw it anew"
    # What phase correlation finds is right or nonsense; where it is nonsense, windows farther on must be much more like than those here.
    is_sound = phase.likeness >= max(_SAME, here.likeness)
    if not (phase.is_far if is_sound else far.likeness >= max(_SAME, here.likeness + _BETTER)):
        return ""
    found = phase if is_sound else far
    share = f"{abs(found.dx) / _WIDE:.0%} / {abs(found.dy) / _HIGH:.0%}"
    return f"画面偏移{share}：重新对准或重新标定 view shifted by {share}: aim it again or draw it anew"


@dataclass(frozen=True, slots=True)
class _Shift:
    """Cells by which a view may have shifted, and how like the reference it is then."""

    dx: float
    dy: float
    likeness: float

    @property
    def is_far(self) -> bool:
        return max(abs(self.dx), abs(self.dy)) >= _SHIFT_CELLS


def _best_shifts(reference: Edges, view: Edges) -> tuple[_Shift, _Shift]:
    """Return the best shift that is none to speak of, and the best farther one, by trying all up to `_NEAR`.

    Two, because rows of like windows look alike a window farther on: a camera that sways must not be taken for one that was pushed by a window.
    """
    across, down = _NEAR
    core = reference[down : _HIGH - down, across : _WIDE - across]
    found = cv2.matchTemplate(view, core, cv2.TM_CCOEFF_NORMED)
    reach = int(_SHIFT_CELLS) - 1
    is_near = np.zeros(found.shape, np.uint8)
    is_near[down - reach : down + reach + 1, across - reach : across + reach + 1] = 1
    best = []
    for mask in (is_near, 1 - is_near):
        _, _, _, (x, y) = cv2.minMaxLoc(found, mask)
        best.append(_shift(reference, view, float(x - across), float(y - down)))
    return best[0], best[1]


def _phase_shift(reference: Edges, view: Edges) -> _Shift:
    """Return the shift that phase correlation finds: any distance, but noise on a small picture leads it astray."""
    window = cv2.createHanningWindow((_WIDE, _HIGH), cv2.CV_32F)
    # OpenCV lays the window over the pictures it is given: without copies the reference fades a little at each look.
    (dx, dy), _ = cv2.phaseCorrelate(reference.copy(), view.copy(), window)
    return _shift(reference, view, dx, dy)


def _shift(reference: Edges, view: Edges, dx: float, dy: float) -> _Shift:
    return _Shift(dx, dy, _correlation(reference, view, dx, dy))


def _correlation(reference: Edges, view: Edges, dx: float, dy: float) -> float:
    """Return how alike the two are where they overlap after shifting the reference; 0 if hardly anything does."""
    if not (abs(dx) < _WIDE and abs(dy) < _HIGH):
        return 0.0
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(reference, shift, (_WIDE, _HIGH))
    covered = cv2.warpAffine(np.ones_like(reference), shift, (_WIDE, _HIGH)) > 0.99  # noqa: PLR2004  # wholly
    if covered.mean() < 0.2:  # noqa: PLR2004  # too little to compare
        return 0.0
    return float(np.corrcoef(moved[covered], view[covered])[0, 1])


def _slopes(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=1)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _load(file: Path | None) -> View | None:
    """Return a kept reference; a file that is not one is as good as none."""
    if file is None:
        return None
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as kept:
            edges = kept["edges"].astype(np.float32) / 16
            strength, sharpness = (float(x) for x in kept["figures"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    if edges.shape != (_HIGH, _WIDE) or not (strength > 0 and sharpness > 0):
        return None
    return View(edges=edges, strength=strength, sharpness=sharpness)


def _save(file: Path | None, view: View) -> None:
    """Keep a reference; a disk that refuses costs only that it is taken again at the next start."""
    if file is None:
        return
    draft = file.with_name(f".{file.name}.part")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with draft.open("wb") as out:
            edges = np.clip(np.round(view.edges * 16), -127, 127).astype(np.int8)
            np.savez_compressed(out, edges=edges, figures=np.array([view.strength, view.sharpness]))
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
