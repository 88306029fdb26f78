"""The image in a slot: its manifest, and whether every byte is what the manifest says."""

import os
import sys
from hashlib import sha256

from gatehouse_wire import node_update
from gatehouse_wire.errors import WireError

MANIFEST = "MANIFEST"
_PIECE = 512


def running_abi():
    """Return the kind of compiled files this MicroPython takes."""
    return getattr(sys.implementation, "_mpy", 0) & 0x3FF


def head_of(slot):
    """Return the head of the image in a slot, None when it holds none."""
    try:
        with open(slot + "/" + MANIFEST, "rb") as source:
            return node_update.parse_head(source.read(node_update.HEAD_BYTES))
    except (OSError, WireError):
        return None


def is_whole(slot):
    """Return whether the files of a slot hash to what its manifest says."""
    try:
        with open(slot + "/" + MANIFEST, "rb") as source:
            head = node_update.parse_head(source.read(node_update.HEAD_BYTES))
            table = source.read()
        parsed = node_update.parse_table(table, head)
        if parsed is None:
            return False
        digest = sha256(table)
        piece = bytearray(_PIECE)
        view = memoryview(piece)
        for name, _ in parsed[0]:
            with open(slot + "/" + name, "rb") as source:
                while True:
                    count = source.readinto(piece)
                    if not count:
                        break
                    digest.update(view[:count])
        return digest.digest() == head.sha256
    except (OSError, WireError):
        return False


class Files:
    """The flash as an update needs it: every change of it goes through here."""

    def make_folder(self, path):
        """Make one folder; harmless when it is there."""
        try:
            os.mkdir(path)
        except OSError:
            os.stat(path)  # raises when it is really not there

    def open(self, path):
        """Return a new, empty file for writing."""
        return open(path, "wb")

    def remove(self, path):
        """Remove a file; harmless when it is not there."""
        try:
            os.remove(path)
        except OSError:
            return

    def names(self, slot):
        """Return the files of a slot, relative to it, one folder deep."""
        found = []
        for name in self._list(slot):
            try:
                inner = self._list(slot + "/" + name)
            except OSError:
                found.append(name)
            else:
                found += [name + "/" + one for one in inner]
        return found

    def _list(self, path):
        try:
            is_folder = os.stat(path)[0] & 0x4000
        except OSError:
            return []
        if not is_folder:
            raise OSError(20)
        return os.listdir(path)
