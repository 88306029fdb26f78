"""A release of the throw models: its manifest, and the chain made of it. Imports the heavy libraries only when a chain is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from gatehouse_edge.vision.classifier import Classifier
    from gatehouse_edge.vision.detector import Detector
    from gatehouse_edge.vision.watch import Watch

MANIFEST: Final = "manifest.json"


class ModelError(Exception):
    """A model file is not the one it should be."""


class ModelFile(Struct, frozen=True, kw_only=True):
    """One file of a release."""

    file: str
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a release of the models holds."""

    version: str
    detector: ModelFile
    classifier: ModelFile
    """Judges the paths that the detector's spots make."""
    fallback: ModelFile | None = None
    """Judges the paths of the classical proposals (three-frame difference); None: there is no fallback."""
    threshold: float = 0.5
    """Calibrated probability from which a path is an event."""
    for_alarms: bool = False
    """Whether its figures are good enough to raise alarms by themselves; False: only suggestions to a person."""

    @property
    def sha256(self) -> str:
        """One hash for both files."""
        return hashlib.sha256(f"{self.detector.sha256}{self.classifier.sha256}".encode()).hexdigest()


def released() -> Path | None:
    """Return the folder of the models that came with this program; None: there are none."""
    inside = Path(__file__).parent / "released"
    beside = Path(__file__).parents[3] / "models" / "throw"
    return next((folder for folder in (inside, beside) if (folder / MANIFEST).is_file()), None)


def load_manifest(folder: Path) -> Manifest:
    """Return the manifest of a release.

    Raises:
        ModelError: there is none, or it is not one.
    """
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelError(f"no {MANIFEST} in {folder}: name the folder of a release with --models") from error
    except msgspec.DecodeError as error:
        raise ModelError(f"{folder / MANIFEST} is not a manifest: {error}") from error


def proven(folder: Path | None) -> Manifest:
    """Return the manifest of a release whose files are all what it says, without opening any of them as a model.

    Raises:
        ModelError: there is no release, or a file is missing or another one.
    """
    if folder is None:
        raise ModelError("this installation has no throw models: name a folder with models_directory")
    manifest = load_manifest(folder)
    for one in (manifest.detector, manifest.classifier, manifest.fallback):
        if one is None:
            continue
        try:
            found = hashlib.sha256((folder / one.file).read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"model {one.file} cannot be read: {error.strerror}") from error
        if found != one.sha256:
            raise ModelError(f"model {one.file} has another SHA-256 than the manifest says")
    return manifest


def watch_maker(
    folder: Path | None, *, is_classical: bool, threshold: float | None = None
) -> Callable[[int], Watch]:
    """Return what makes a fresh chain for a picture of so many rows. OpenCV is held to one thread.

    Args:
        folder: of a release; None: this installation has none.
        is_classical: three-frame difference instead of the detector network.
        threshold: probability from which a path is an event; None: the release's own.

    Raises:
        ModelError: no usable models.
    """
    import cv2

    from gatehouse_edge.vision.watch import Watch

    if folder is None:
        raise ModelError("this installation has no throw models: name a folder with --models")
    detector, classifier, limit = parts(folder, is_classical=is_classical)
    cv2.setNumThreads(1)
    return lambda height_px: Watch(
        detector, classifier, height_px=height_px, threshold=limit if threshold is None else threshold
    )


def parts(folder: Path, *, is_classical: bool) -> tuple[Detector, Classifier, float]:
    """Return the detector, the classifier and the threshold of a release.

    Raises:
        ModelError: no usable models.
    """
    from gatehouse_edge.vision.classifier import Classifier
    from gatehouse_edge.vision.detector import ClassicalDetector, OnnxDetector

    manifest = load_manifest(folder)
    detector: Detector
    if is_classical:
        if manifest.fallback is None:
            raise ModelError(f"the release {manifest.version} has no classifier for the classical path")
        detector, judge = ClassicalDetector(), manifest.fallback
    else:
        detector = OnnxDetector(folder / manifest.detector.file, sha256=manifest.detector.sha256)
        judge = manifest.classifier
    return detector, Classifier(folder / judge.file, sha256=judge.sha256), manifest.threshold
