"""What a journal costs its flash: bytes really sent to the disk, for the bench and for health."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class DiskBytes(Struct, frozen=True, kw_only=True):
    """Counters of one process since it started (Linux `/proc/PID/io`, proc(5))."""

    written: int
    """Bytes handed to write calls."""
    to_disk: int
    """Bytes this process caused to be sent to the storage layer; 0 on file systems in memory."""

    def since(self, earlier: DiskBytes) -> DiskBytes:
        """Return what was written between `earlier` and this."""
        return DiskBytes(written=self.written - earlier.written, to_disk=self.to_disk - earlier.to_disk)


def disk_bytes(pid: int | None = None) -> DiskBytes:
    """Return the counters of process `pid` (this one by default); divide a difference by its commits.

    Raises:
        OSError: no such process, or not permitted.
    """
    text = Path(f"/proc/{'self' if pid is None else pid}/io").read_text(encoding="ascii")
    fields = dict(line.split(": ", 1) for line in text.splitlines())
    return DiskBytes(written=int(fields["wchar"]), to_disk=int(fields["write_bytes"]))
