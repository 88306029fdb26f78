"""Runs inside the MicroPython VM: power cuts at every write of a flash held in memory, far more than real restarts would allow.

The firmware's own modules (`update`, `slots`, `counter`, `lift_ring`, `store`) work on it; a cut is an exception nobody catches. Every
result is one line of JSON. Real restarts of whole nodes: test_power_cuts.py.
"""
# ruff: noqa: UP031, T201, PTH123, PERF401  # MicroPython subset; its console is the result

import json
import sys
from hashlib import sha256

sys.path.insert(0, "a")

import slots as boot_slots
from counter import Counter
from hmac_sha256 import mac_of
from lift_ring import Ring
from store import Store
from update import UpdateDesk

from gatehouse_wire import lift_link, node_update

BEFORE, TORN, AFTER = 0, 1, 2
KEY = bytes(range(16))


class PowerCut(BaseException):
    pass


class Flash:
    """Files and NVS; `cut_at` counts down over all writes of both."""

    def __init__(self):
        self.files = {}
        self.folders = set()
        self.nvs = {}
        self.writes = 0
        self.cut_at = 0
        self.how = BEFORE

    def write(self, whole, torn=None):
        self.writes += 1
        if self.cut_at and self.writes == self.cut_at:
            if self.how == TORN and torn is not None:
                torn()
            elif self.how == AFTER:
                whole()
            raise PowerCut
        whole()

    def power_on(self, cut_at=0, how=BEFORE):
        self.writes = 0
        self.cut_at = cut_at
        self.how = how

    # what `image.Files` offers

    def make_folder(self, path):
        if path not in self.folders:
            self.write(lambda: self.folders.add(path))

    def open(self, path):
        self.write(lambda: self.files.update({path: b""}))
        return Sink(self, path)

    def remove(self, path):
        if path in self.files:
            self.write(lambda: self.files.pop(path))

    def names(self, slot):
        return [path[len(slot) + 1 :] for path in self.files if path.startswith(slot + "/")]

    def has(self, slot):
        return slot + "/MANIFEST" in self.files

    def open_nvs(self, space):
        return Nvs(self, space)


class Sink:
    def __init__(self, flash, path):
        self._flash = flash
        self._path = path

    def write(self, data):
        files = self._flash.files
        old = files[self._path]
        data = bytes(data)
        self._flash.write(
            lambda: files.update({self._path: old + data}),
            lambda: files.update({self._path: old + data[: len(data) // 2]}),
        )

    def close(self):
        pass


class Nvs:
    def __init__(self, flash, space):
        self._flash = flash
        self._space = space
        self._fresh = {}

    def get_i32(self, key):
        value = self._flash.nvs.get((self._space, key))
        if value is None:
            raise OSError(-0x1102)
        return value

    set_i32 = lambda self, key, value: self._fresh.update({key: value})  # noqa: E731
    set_blob = set_i32

    def get_blob(self, key, buffer):
        value = self.get_i32(key)
        buffer[: len(value)] = value
        return len(value)

    def commit(self):
        fresh = {(self._space, key): value for key, value in self._fresh.items()}
        self._fresh = {}
        self._flash.write(lambda: self._flash.nvs.update(fresh))


class Identity:
    kind = node_update.GAS
    node = 7

    def mac_for(self, key_id):
        return mac_of(KEY) if key_id == 1 else None


def say(what, **found):
    print("CUTS " + json.dumps({"what": what, "found": found}))


# ---- updates


def install(flash, slot, image):
    head = node_update.parse_head(image)
    entries, length = node_update.parse_table(image[48:], head)
    at = 48 + length
    for name, size in entries:
        flash.files[slot + "/" + name] = image[at : at + size]
        at += size
    flash.files[slot + "/MANIFEST"] = image[: 48 + length]


def whole_version(flash, slot):
    """Return the version in a slot if every byte of it is right, None else."""
    manifest = flash.files.get(slot + "/MANIFEST")
    if manifest is None or len(manifest) < 48:
        return None
    head = node_update.parse_head(manifest)
    digest = sha256(manifest[48:])
    for name, _ in node_update.parse_table(manifest[48:], head)[0]:
        if slot + "/" + name not in flash.files:
            return None
        digest.update(flash.files[slot + "/" + name])
    return head.version if digest.digest() == head.sha256 else None


def boot(flash):
    """Start as boot.py does; return (slots, slot)."""
    slots = boot_slots.Slots(flash.open_nvs("gh_boot"), flash.has)
    return slots, slots.choose(True, False)


def update(flash, slots, image, chunks):
    """Send `image` through the desk; return its last verdict."""
    desk = UpdateDesk(
        identity=Identity(), head=node_update.parse_head(flash.files[slots.running + "/MANIFEST"]), abi=0x306, slots=slots,
        files=flash, random=lambda n: bytes(range(1, n + 1)), is_alarm=lambda: False,
    )  # fmt: skip
    nonce = node_update.parse_answer(desk.handle(node_update.ask())).nonce
    offer = node_update.offer(image[:48], key_id=1, flags=0, node_id=7, nonce=nonce, mac=mac_of(KEY))
    verdict = node_update.parse_answer(desk.handle(offer)).verdict
    for chunk in chunks:
        if verdict == node_update.DONE:
            verdict = node_update.parse_answer(desk.handle(chunk)).verdict
    if verdict == node_update.DONE:
        verdict = node_update.parse_answer(desk.handle(node_update.finish())).verdict
    return verdict


def stored(old, older):
    flash = Flash()
    install(flash, "a", old)
    install(flash, "b", older)
    flash.files["b/stale.mpy"] = b"left over"
    flash.nvs["gh_boot", "state"] = 0x4748 << 16 | 2
    return flash


def cut_updates(image, every):
    """Cut the power at each `every`-th write of an update and of the start after it; report what was not right."""
    make = lambda version, files: node_update.build_image(  # noqa: E731
        files, kind=1, version=version, abi=0, sha256=lambda data: sha256(data).digest()
    )
    old = make((1, 0, 0), [("app.py", b"the running one")])
    older = make((0, 9, 0), [("app.py", b"the one before"), ("gatehouse_wire/crc.py", b"x" * 300)])
    body = image[48:]
    chunks = [node_update.chunk(at, body[at : at + 128]) for at in range(0, len(body), 128)]
    flash = stored(old, older)
    slots, _ = boot(flash)
    flash.power_on()
    verdict = update(flash, slots, image, chunks)
    total = flash.writes + 2  # and the counting of the first start, and the confirmation
    bad = [] if verdict == node_update.DONE else ["the update itself: %d" % verdict]
    points = 0
    ends = {"a": 0, "b": 0}
    for n in range(total, 0, -every):  # from the end: the last write is always among them
        points += 1
        flash = stored(old, older)
        slots, _ = boot(flash)
        flash.power_on(n, (BEFORE, TORN, AFTER)[n // every % 3])
        try:
            update(flash, slots, image, chunks)
            slots, _ = boot(flash)
            slots.confirm()
            bad.append("no cut at %d" % n)
        except PowerCut:
            pass
        flash.power_on()
        slots, slot = boot(flash)
        version = whole_version(flash, slot) if slot else None
        if (slot, version) not in (("a", (1, 0, 0)), ("b", node_update.parse_head(image).version)):
            bad.append("%d: slot %s version %s" % (n, slot, version))
            continue
        ends[slot] += 1
        slots.confirm()
        if slot == "a" and points % 6 == 0:
            again = update(flash, slots, image, chunks)
            slots, slot = boot(flash)
            if again != node_update.DONE or slot != "b" or not whole_version(flash, slot):
                bad.append("%d: second try %d, slot %s" % (n, again, slot))
    say("updates", points=points, total=total, ends=ends, bad=bad)


# ---- counters


class Dice:
    """The same numbers in every run (Numerical Recipes' linear congruence)."""

    def __init__(self, seed):
        self._state = seed

    def roll(self, sides):
        self._state = (self._state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self._state >> 8) % sides


def cut_counters(cuts, stride):
    """Use counters through `cuts` power cuts; report values used twice."""
    dice = Dice(stride)
    flash = Flash()
    used = set()
    twice = []
    for _ in range(cuts):
        flash.power_on(1 + dice.roll(4), dice.roll(3))
        try:
            counter = Counter(Store(flash.open_nvs), stride)
            while True:
                value = counter.step()
                if value in used:
                    twice.append(value)
                used.add(value)  # it is on air from here on
        except PowerCut:
            pass
    say("counters", stride=stride, cuts=cuts, used=len(used), twice=twice, highest=max(used))


# ---- the event ring


def cut_rings(cuts):
    """Events and acknowledgements through power cuts: whatever was appended and not acknowledged is still told, in order."""
    dice = Dice(99)
    flash = Flash()
    told = {}  # ring seq -> uptime it was appended with
    bad = []
    acked = 0
    uptime = 0
    for cut in range(cuts):
        flash.power_on(2 + dice.roll(9), dice.roll(3))
        try:
            ring = Ring(Store(flash.open_nvs))
            events = [lift_link.parse_event_payload(one, None) for one in ring.waiting(40)]
            for event in events:
                if told.get(event.ring_seq, event.uptime_ms) != event.uptime_ms:
                    bad.append("cut %d: seq %d used twice" % (cut, event.ring_seq))
            expected = [seq for seq in sorted(told) if seq > acked and seq > ring.newest - 32]
            seen = [event.ring_seq for event in events]
            if [seq for seq in expected if seq not in seen] or seen != sorted(seen):
                bad.append("cut %d: %s expected, %s there" % (cut, expected, seen))
            while True:
                if dice.roll(3) and ring.oldest <= ring.newest:
                    seq = ring.oldest + dice.roll(ring.newest - ring.oldest + 1)
                    acked = max(acked, seq)  # the gateway has it; told again is right, forgotten too
                    ring.acknowledge(seq)
                else:
                    uptime += 1
                    seq = ring.append(cause=lift_link.CAUSE_STATE, state=lift_link.State(), uptime_ms=uptime)
                    told[seq] = uptime
        except PowerCut:
            pass  # what the cut write would have appended may be there or not; both are right
    say("rings", cuts=cuts, told=len(told), bad=bad[:10])


with open("plan.json") as source:
    plan = json.load(source)
with open("image.bin", "rb") as source:
    whole_image = source.read()
cut_counters(plan["cuts"], 1)
cut_counters(plan["cuts"], 20)
cut_rings(plan["cuts"])
cut_updates(whole_image, plan["every"])
say("end")
