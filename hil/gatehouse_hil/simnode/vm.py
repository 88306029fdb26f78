"""Where the MicroPython VM of the simulated nodes is: one pinned npm package, installed on first use beside its lock file."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent / "vm"
"""Front end and lock file; `node_modules` (ignored by git) appears here."""
INSTALL_LIMIT_S: Final = 120.0


class VmError(RuntimeError):
    """The MicroPython VM cannot be had on this machine."""


def is_available() -> bool:
    """Return whether simulated nodes can run here: Node.js is there, and the VM is installed or npm could install it."""
    has_vm = (HOME / "node_modules").is_dir() or shutil.which("npm") is not None
    return shutil.which("node") is not None and has_vm


def prepare() -> Path:
    """Return the program that Node.js runs as one simulated node, installing the VM if this is the first time.

    Raises:
        VmError: Node.js or npm is missing, or the package could not be fetched; says what to install.
    """
    if shutil.which("node") is None:
        raise VmError(
            "Node.js is missing (Debian package nodejs): simulated nodes need it to run MicroPython"
        )
    if not (HOME / "node_modules").is_dir():
        _install()
    return HOME / "main.mjs"


def _install() -> None:
    """Fetch the package into a folder of its own and move it into place, so that two installers do not meet halfway."""
    npm = shutil.which("npm")
    if npm is None:
        raise VmError("npm is missing (Debian package npm): it fetches the MicroPython VM once")
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=HOME) as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HOME / name, scratch)
        try:
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund"],
                cwd=scratch, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise VmError(f"npm ci did not end in {INSTALL_LIMIT_S:.0f} s; run it in {HOME.name}/") from error
        if done.returncode != 0:
            raise VmError(f"npm ci failed: {done.stderr.strip()[-400:]}")
        try:
            (Path(scratch) / "node_modules").rename(HOME / "node_modules")
        except OSError:
            if not (
                HOME / "node_modules"
            ).is_dir():  # else somebody else was quicker, with the same lock file
                raise
