"""Who this node is: kind, serial number, address on its bus, keys. Read from NVS; keys are never printed."""

from hmac_sha256 import mac_of

KINDS = ("", "gas", "lift", "button", "beacon")
KEY_BYTES = 16


class Identity:
    """What the bench has written into this node. `problem` is empty when all of it is there and fits the program."""

    def __init__(self, store, kind):
        self.kind = kind
        self.serial = (store.blob("gh_id", "serial") or b"").decode()
        self.node = store.number("gh_id", "node", 0)
        self.keys = {}
        """Key id -> 16 bytes; the newest last."""
        for at in ("1", "2"):
            key_id = store.number("gh_key", "id" + at)
            key = store.blob("gh_key", "key" + at)
            if key_id is not None and key is not None and len(key) == KEY_BYTES and 1 <= key_id <= 255:
                self.keys[key_id] = key
        self._macs = {key_id: mac_of(key) for key_id, key in self.keys.items()}
        stored = store.number("gh_id", "kind")
        self.problem = ""
        if stored is None:
            self.problem = "not provisioned"
        elif stored != kind:
            self.problem = "provisioned as %s" % (
                KINDS[stored] if 0 < stored < len(KINDS) else "nothing known"
            )
        elif not self.keys:
            self.problem = "no key"

    @property
    def key_id(self):
        """The key to seal with: the highest number, so that a rotation goes forward; 0 without a key."""
        return max(self.keys) if self.keys else 0

    def mac_for(self, key_id):
        """Return the mac function of a key, None when we do not hold it."""
        return self._macs.get(key_id)
