# mypy: ignore-errors
"""`esp32`: the NVS partition and the wake sources of deep sleep."""

import binascii
import json

import _board

WAKEUP_ALL_LOW, WAKEUP_ANY_HIGH = False, True
_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND, negated as the port raises it


class NVS:
    """A namespace of the key-value store; set values are on flash after commit()."""

    def __init__(self, namespace):
        if len(namespace) > 15:
            raise OSError(-0x110D, "ESP_ERR_NVS_KEY_TOO_LONG")
        self._space = namespace
        self._fresh = {}

    def _set(self, key, value):
        if len(key) > 15:
            raise OSError(-0x110D, "ESP_ERR_NVS_KEY_TOO_LONG")
        self._fresh[key] = value

    def _get(self, key, kind):
        value = self._fresh[key] if key in self._fresh else _board.nvs_get(self._space, key)
        if value is None or not value.startswith(kind):
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return value[1:]

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("i32")
        self._set(key, "i%d" % value)

    def get_i32(self, key):
        return int(self._get(key, "i"))

    def set_str(self, key, value):
        self._set(key, "s" + value)

    def get_str(self, key):
        return self._get(key, "s")

    def set_blob(self, key, value):
        self._set(key, "b" + binascii.hexlify(bytes(value)).decode())

    def get_blob(self, key, buffer):
        value = binascii.unhexlify(self._get(key, "b"))
        if len(value) > len(buffer):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        if key not in self._fresh and _board.nvs_get(self._space, key) is None:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        self._fresh[key] = None

    def commit(self):
        if self._fresh:
            _board.nvs_commit(self._space, json.dumps(self._fresh))
            self._fresh = {}


def wake_on_gpio(pins=(), level=WAKEUP_ANY_HIGH):
    import machine

    machine._wake_pins[:] = [[machine.Pin(pin)._id, 1 if level else 0] for pin in pins or ()]


wake_on_ext1 = wake_on_gpio


def wake_on_ext0(pin=None, level=WAKEUP_ANY_HIGH):
    wake_on_gpio(() if pin is None else (pin,), level)


def gpio_deep_sleep_hold(enable):
    pass


def mcu_temperature():
    return 31


def raw_temperature():
    return 88
