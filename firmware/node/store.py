"""Settings, keys and counters in NVS: numbers and short byte strings, each write whole or not at all."""

_MAX_BLOB = 512


class Store:
    """Reads and writes NVS; `open_nvs(namespace)` returns an `esp32.NVS`."""

    def __init__(self, open_nvs):
        self._open = open_nvs
        self._spaces = {}

    def number(self, space, key, default=None):
        """Return a stored number, `default` when there is none."""
        try:
            return self._nvs(space).get_i32(key)
        except OSError:
            return default

    def put_number(self, space, key, value):
        """Store a number; on flash when this returns."""
        nvs = self._nvs(space)
        nvs.set_i32(key, value)
        nvs.commit()

    def blob(self, space, key):
        """Return stored bytes, None when there are none."""
        buffer = bytearray(_MAX_BLOB)
        try:
            length = self._nvs(space).get_blob(key, buffer)
        except OSError:
            return None
        return bytes(buffer[:length])

    def put_blob(self, space, key, value):
        """Store at most 512 bytes; on flash when this returns."""
        if len(value) > _MAX_BLOB:
            raise ValueError("%d bytes do not fit" % len(value))
        nvs = self._nvs(space)
        nvs.set_blob(key, value)
        nvs.commit()

    def erase(self, space, key):
        """Forget a key; harmless when it is not there."""
        nvs = self._nvs(space)
        try:
            nvs.erase_key(key)
        except OSError:
            return
        nvs.commit()

    def _nvs(self, space):
        if space not in self._spaces:
            self._spaces[space] = self._open(space)
        return self._spaces[space]


def on_chip():
    """Return the store of this chip."""
    import esp32

    return Store(esp32.NVS)
