"""The counter of encrypted adverts: on flash before it goes on air, so that no value is ever used twice, whatever the power does.

A value used twice would break AES-CCM and would be refused by the gateway as a recording. Key and counter share one NVS partition:
who loses one loses both.
"""

from micropython import const

MOST = const(0x7FFFFFFF)
"""i32; at one advert a second a beacon gets there after 68 years."""
_SPACE = "gh_run"
_KEY = "counter"


class Counter:
    """`stride` 1: every value is written. More: a whole run is reserved by one write, and the rest of it is skipped after a restart."""

    def __init__(self, store, stride=1):
        self._store = store
        self._stride = stride
        self._value = store.number(_SPACE, _KEY, 0)
        self._reserved = self._value

    def step(self):
        """Return the next value, already durable.

        Raises:
            OverflowError: all are used up; the node needs a new key.
        """
        if self._value >= MOST:
            raise OverflowError("counter")
        following = self._value + 1
        if following > self._reserved:
            reserved = min(self._value + self._stride, MOST)
            self._store.put_number(_SPACE, _KEY, reserved)
            self._reserved = reserved
        self._value = following
        return following
