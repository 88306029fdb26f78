"""One file that a fleet server can be made of again: its database, keys, settings of the areas, photos; evidence by name and hash.

What was acknowledged after the backup is not in it: the gateways still have it and send again from the older cursor.
"""

from gatehouse_fleet.backup.archive import BackupError, Manifest, Member, pack, read_manifest, unpack
from gatehouse_fleet.backup.server import back_up, restore

__all__ = ["BackupError", "Manifest", "Member", "back_up", "pack", "read_manifest", "restore", "unpack"]
