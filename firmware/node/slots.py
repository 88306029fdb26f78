"""Which of the two application slots starts, and what happens when it does not come up.

Boot level: copied by the bench, never touched by an update, needs nothing from a slot. State word and rules: README.
"""

from micropython import const

_MAGIC = const(0x4748)
_TRIES = const(3)
_KEY = "state"
MANIFEST = "MANIFEST"


class Slots:
    """The boot state in NVS. `nvs` is an `esp32.NVS`; `has(slot)` tells whether that slot holds a whole image."""

    def __init__(self, nvs, has):
        self._nvs = nvs
        self._has = has
        self._word = None
        self.running = ""
        """Slot chosen at this start; empty before `choose`, or when there is none."""

    def state(self):
        """Return (slot, is confirmed, counted starts), None when nothing sensible is stored."""
        if self._word is None:
            try:
                self._word = self._nvs.get_i32(_KEY)
            except OSError:
                self._word = 0
        word = self._word
        if word >> 16 != _MAGIC:
            return None
        return "b" if word & 1 else "a", bool(word & 2), word >> 8 & 0xFF

    def choose(self, is_counted, is_trouble):
        """Return the slot to start, "" when none can be, and note the start.

        `is_counted`: not a soft reset by a technician. `is_trouble`: the last run ended in the watchdog.
        """
        state = self.state()
        if state is None or not self._has(state[0]):
            slot = "a" if self._has("a") else "b" if self._has("b") else ""
            if slot and is_counted:
                self._store(slot, False, 1)
        else:
            slot, is_confirmed, tries = state
            other = other_than(slot)
            if is_counted and tries >= _TRIES and self._has(other):
                # What ran before an unconfirmed slot was confirmed, or no update would have been taken.
                self._store(other, not is_confirmed, 0)
                slot = other
            elif is_counted and tries < _TRIES and (is_trouble or not is_confirmed):
                self._store(slot, is_confirmed, tries + 1)
        self.running = slot
        return slot

    def crashed(self):
        """Count an exception of a confirmed program; unconfirmed ones are counted at their start anyhow."""
        state = self.state()
        if state is not None and state[1] and state[2] < _TRIES:
            self._store(state[0], True, state[2] + 1)

    def is_confirmed(self):
        """Return whether the running program may stay."""
        state = self.state()
        return state is not None and state[0] == self.running and state[1]

    def confirm(self):
        """Let the running program stay. Writes only when there is something to write."""
        state = self.state()
        if self.running and state is not None and state[0] == self.running and (not state[1] or state[2]):
            self._store(self.running, True, 0)

    def switch(self, slot):
        """Start `slot` next time, unconfirmed."""
        self._store(slot, False, 0)

    def _store(self, slot, is_confirmed, tries):
        word = _MAGIC << 16 | tries << 8 | (2 if is_confirmed else 0) | (1 if slot == "b" else 0)
        self._nvs.set_i32(_KEY, word)
        self._nvs.commit()
        self._word = word


def other_than(slot):
    """Return the name of the other slot."""
    return "a" if slot == "b" else "b"


def has_manifest(slot):
    """Return whether a slot on the flash holds a whole image."""
    import os

    try:
        os.stat(slot + "/" + MANIFEST)
    except OSError:
        return False
    return True


def on_chip():
    """Return the one `Slots` of this start; `boot.py` makes its choice on it, the program confirms on it."""
    import esp32

    if not _made:
        _made.append(Slots(esp32.NVS("gh_boot"), has_manifest))
    return _made[0]


_made = []
