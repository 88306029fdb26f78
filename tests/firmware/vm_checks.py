"""Runs inside the MicroPython VM: the firmware's pure modules at their edges. One line per check; test_modules.py reads them."""
# ruff: noqa: UP031, T201  # MicroPython subset; its console is the result

import sys

sys.path.insert(0, "a")

import slots as boot_slots
from battery import percent
from ccm import sealer
from counter import MOST, Counter
from gas_meter import Calibration, GasMeter
from hmac_sha256 import key_check, mac_of
from identity import Identity
from image import Files, head_of, is_whole
from lift_floor import FloorFinder, height_mm
from lift_ring import Ring
from lift_talk import LiftTalk
from modbus_slave import Slave
from store import Store
from supervisor import Supervisor
from update import UpdateDesk

from gatehouse_wire import gas_registers, lift_link, modbus_rtu, node_update

KEY = bytes(range(16))
OTHER_KEY = bytes(range(16, 32))


class Memory:
    """NVS in memory."""

    def __init__(self):
        self.values = {}

    def open(self, space):
        return Space(self.values, space)


class Space:
    def __init__(self, values, space):
        self._values = values
        self._space = space

    def get_i32(self, key):
        if (self._space, key) not in self._values:
            raise OSError(-0x1102)
        return self._values[self._space, key]

    def set_i32(self, key, value):
        self._values[self._space, key] = value

    set_blob = set_i32

    def get_blob(self, key, buffer):
        value = self.get_i32(key)
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        self.get_i32(key)
        self._values.pop((self._space, key))

    def commit(self):
        pass


def store_of(**spaces):
    memory = Memory()
    for space, values in spaces.items():
        for key, value in values.items():
            memory.values[space, key] = value
    return Store(memory.open)


def raises(kind, call):
    try:
        call()
    except kind:
        return True
    return False


CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
def ccm_says_what_the_bthome_specification_says():
    # bthome.io/encryption, example: temperature and humidity, counter 00 11 22 33.
    key = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
    nonce = bytes.fromhex("5448e68f80a5d2fc4100112233")
    assert sealer(key)(nonce, bytes.fromhex("02ca0903bf13")).hex() == "a47266c95f73" + "78237214"


@check
def hmac_says_what_rfc_4231_says():
    # Test case 1.
    expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert mac_of(b"\x0b" * 20)(b"Hi There").hex() == expected
    assert len(key_check(KEY)) == 8


@check
def a_store_keeps_numbers_and_bytes_and_forgets_on_demand():
    store = store_of()
    store.put_blob("s", "k", b"abc")
    assert store.blob("s", "k") == b"abc"
    assert store.number("s", "none", 5) == 5
    assert raises(ValueError, lambda: store.put_blob("s", "k", bytes(513)))
    store.erase("s", "k")
    store.erase("s", "k")
    assert store.blob("s", "k") is None


@check
def an_identity_names_its_problem():
    assert Identity(store_of(), 1).problem == "not provisioned"
    assert Identity(store_of(gh_id={"kind": 2}), 1).problem == "provisioned as lift"
    assert Identity(store_of(gh_id={"kind": 9}), 1).problem == "provisioned as nothing known"
    assert Identity(store_of(gh_id={"kind": 1}), 1).problem == "no key"
    short = store_of(gh_id={"kind": 1}, gh_key={"id1": 1, "key1": b"short"})
    assert Identity(short, 1).problem == "no key"
    two = store_of(gh_id={"kind": 1}, gh_key={"id1": 1, "key1": KEY, "id2": 2, "key2": OTHER_KEY})
    assert Identity(two, 1).key_id == 2
    assert Identity(two, 1).mac_for(3) is None


@check
def a_counter_at_its_end_stops_instead_of_starting_anew():
    counter = Counter(store_of(gh_run={"counter": MOST - 1}))
    assert counter.step() == MOST
    assert raises(OverflowError, counter.step)


@check
def the_battery_is_between_empty_and_full():
    assert [percent(mv) for mv in (3300, 2900, 2550, 2200, 1000)] == [100, 100, 50, 0, 0]
    assert percent(3000, 2000, 2000) == 0


def meter_of(**cal):
    values = {"zero_uv": 400_000, "span_uv": 1_400_000, "span": 500, "warm_ms": 10_000}
    values.update(cal)
    return GasMeter(
        Calibration(store_of(gh_cal=values)), reset_cause=1, is_cold=True, firmware=0x0100, slot=0
    )


def steps_uv(steps):
    return 400_000 + steps * 2000


@check
def a_meter_warms_up_measures_alarms_and_lets_go_late():
    meter = meter_of()
    meter.sample(steps_uv(0), 9_000)
    block = gas_registers.decode(meter.registers())
    assert (block.status, block.value, block.warm_up_left_s) == (gas_registers.WARMING_UP, None, 1.0)
    seen = []
    for steps in (0, 100, 95, 91, 89, 200, 181, 179, 1001):
        meter.sample(steps_uv(steps), 11_000)
        seen.append(meter.registers()[1])
    measuring, low, high = gas_registers.MEASURING, gas_registers.LOW_ALARM, gas_registers.HIGH_ALARM
    assert seen[:5] == [measuring, measuring | low, measuring | low, measuring | low, measuring]
    assert seen[5:8] == [measuring | low | high, measuring | low | high, measuring | low]
    assert seen[8] == low | high | gas_registers.OVER_RANGE  # no number, but an alarm all the same
    assert meter.registers()[2] == gas_registers.NO_VALUE
    assert meter.is_alarm


@check
def one_odd_sample_takes_no_alarm_away_two_are_a_fault():
    meter = meter_of()
    meter.sample(steps_uv(150), 11_000)
    meter.sample(0, 11_500)
    assert meter.is_alarm
    meter.sample(None, 12_000)
    assert meter.registers()[1] == gas_registers.SENSOR_FAULT
    assert not meter.is_sensor_good
    meter.sample(steps_uv(150), 12_500)
    assert meter.is_alarm


@check
def a_self_test_never_hides_an_alarm():
    meter = meter_of()
    meter.sample(steps_uv(0), 11_000)
    meter.start_test()
    meter.sample(steps_uv(0), 11_500)
    assert meter.registers()[1] == gas_registers.SELF_TEST
    meter.sample(steps_uv(300), 12_000)
    assert meter.is_alarm
    assert not meter.may_test()


@check
def a_meter_without_calibration_says_so():
    meter = GasMeter(Calibration(store_of()), reset_cause=1, is_cold=False, firmware=0, slot=0)
    meter.sample(500_000, 6_000)
    assert meter.registers()[1] & gas_registers.CALIBRATION_DUE
    odd = Calibration(store_of(gh_cal={"zero_uv": 5, "span_uv": 5}))
    assert odd.is_due
    assert odd.span_uv > odd.zero_uv


class Desk:
    def handle(self, data):
        return bytes(data)


@check
def a_slave_answers_what_is_its_own_and_nothing_else():
    meter = meter_of()
    units = []
    slave = Slave(unit=7, meter=meter, updates=Desk(), who=b"who", store_unit=units.append)
    ask = lambda *body: slave.hear(modbus_rtu.with_crc(bytes(body)))  # noqa: E731
    assert ask(8, 3, 0, 0, 0, 1) is None
    assert ask(0, 3, 0, 0, 0, 1) is None
    assert ask(8, 1, 0, 0, 0, 1) is None
    assert slave.hear(b"\x07\x03\x00\x00\x00\x01\x00\x00") is None
    assert slave.hear(b"") is None
    assert ask(7, 3, 0, 0, 0, 1)[1] == 3
    assert ask(7, 6, 1, 0, 0, 0)[1:3] == b"\x86\x03"
    assert ask(7, 6, 1, 1, 0, 1)[1:3] == b"\x86\x03"
    assert ask(7, 16, 1, 0, 0, 2, 4, 0, 9, 0xA5, 0x5A)[1] == 16
    assert (slave.unit, units) == (9, [9])
    meter.sample(steps_uv(900), 11_000)
    assert ask(9, 6, 1, 1, 0xA5, 0x5A)[1:3] == b"\x86\x04"  # no self-test during an alarm
    assert ask(9, 0x41, 1)[:3] == b"\x09\x41\x01"


@check
def a_supervisor_feeds_only_when_everybody_lives():
    fed = []
    supervisor = Supervisor(("one", "two"), lambda: fed.append(1))
    supervisor.tick("one")
    assert not supervisor.look()
    supervisor.tick("two")
    assert supervisor.look()
    assert not supervisor.look()
    assert fed == [1]


@check
def an_overwritten_ring_says_that_events_are_lost_and_a_hole_is_damage():
    store = store_of()
    ring = Ring(store)
    for at in range(40):
        ring.append(cause=lift_link.CAUSE_STATE, state=lift_link.State(), uptime_ms=at)
    assert (ring.oldest, ring.newest, ring.has_lost) == (9, 40, True)
    ring.acknowledge(99)
    ring.acknowledge(8)
    assert ring.oldest == 9
    again = Ring(store)
    assert (again.oldest, again.newest, again.boot, again.has_lost) == (9, 40, 2, True)
    store.put_blob("gh_run", "e%d" % (20 % 32), bytes(27))
    holed = Ring(store)
    assert (holed.oldest, holed.newest, holed.is_damaged, holed.has_lost) == (21, 40, True, True)
    store.put_blob("gh_run", "e%d" % (30 % 32), b"short")
    assert Ring(store).oldest == 31
    store.put_number("gh_run", "acked", 0)
    store.put_blob("gh_run", "e1", bytes(27))
    assert Ring(store).has_lost


@check
def a_lost_barometer_loses_floor_and_speed():
    finder = FloorFinder([("1", 0), ("2", 3000)])
    for at in range(20):
        finder.feed(101_325 - at * 30, at * 100, None)
    assert finder.is_running
    assert finder.speed_mm_s > 1000
    finder.lose()
    assert (finder.is_running, finder.speed_mm_s, finder.floor) == (False, 0, "")
    assert abs(height_mm(100_000) - 110_900) < 300  # ISO 2533: 1000 hPa stand at 111 m


class Ledger:
    boot = 3
    oldest = 1
    newest = 0
    has_lost = False

    def __init__(self):
        self.acked = []

    def waiting(self, most):
        return []

    def acknowledge(self, seq):
        self.acked.append(seq)


@check
def a_lift_node_obeys_only_what_is_sealed_and_said_to_this_start():
    identity = Identity(store_of(gh_id={"kind": 2, "node": 7}, gh_key={"id1": 1, "key1": KEY}), 2)
    sent = []
    ring = Ledger()
    talk = LiftTalk(
        identity=identity, ring=ring, updates=Desk(), send=sent.append, firmware=(1, 0, 0), reset_cause=1
    )
    talk.say_hello()
    mac = mac_of(KEY)
    head = lambda boot, seq, node=7: lift_link.Header(node_id=node, key_id=1, boot=boot, seq=seq)  # noqa: E731
    talk.hear(lift_link.encode(lift_link.Ack(head(2, 1), ring_seq=1), mac))  # another start
    talk.hear(lift_link.encode(lift_link.Ack(head(3, 9), ring_seq=1), mac))  # never sent
    talk.hear(lift_link.encode(lift_link.Ack(head(3, 1), ring_seq=1), mac_of(OTHER_KEY)))
    talk.hear(lift_link.encode(lift_link.Ack(head(3, 1, 8), ring_seq=1), mac))  # another node
    talk.hear(lift_link.encode(lift_link.Status(head(3, 1), lift_link.State()), mac))  # our own words
    talk.hear(b"\x00\x01\x02\x00")
    assert (ring.acked, talk.answered) == ([], 0)
    talk.flags = lift_link.EVENTS_LOST
    talk.hear(lift_link.encode(lift_link.Ack(head(3, 1), ring_seq=1), mac))
    assert (ring.acked, talk.answered, talk.flags) == ([1], 1, 0)
    count = len(sent)
    talk.hear(lift_link.encode(lift_link.Update(head(3, 1), data=bytes(20)), mac))
    talk.hear(lift_link.encode(lift_link.Challenge(head(0, 0), nonce=b"12345678"), mac))
    assert len(sent) == count + 2
    silent = LiftTalk(
        identity=Identity(store_of(), 2), ring=ring, updates=Desk(), send=sent.append, firmware=(1, 0, 0), reset_cause=1
    )  # fmt: skip
    silent.say_status()
    assert len(sent) == count + 2  # a node without a key keeps silent


class Flash:
    """Refuses when told to."""

    def __init__(self):
        self.is_full = False
        self.files = {}

    def make_folder(self, path):
        pass

    def remove(self, path):
        self.files.pop(path, None)

    def names(self, slot):
        return [name[2:] for name in self.files if name.startswith(slot)]

    def open(self, path):
        if self.is_full:
            raise OSError(28)
        self.files[path] = b""
        return Sink(self, path)


class Sink:
    def __init__(self, flash, path):
        self._flash = flash
        self._path = path

    def write(self, data):
        self._flash.files[self._path] += bytes(data)

    def close(self):
        if self._flash.is_full:
            raise OSError(28)


class Bench:
    """An update desk and what is needed to talk to it."""

    def __init__(self, version=(1, 0, 0)):
        from hashlib import sha256

        self.flash = Flash()
        self.alarm = False
        nvs = Memory().open("gh_boot")
        self.slots = boot_slots.Slots(nvs, lambda slot: slot == "a")
        self.slots.choose(True, False)
        self.slots.confirm()
        self.serial = 0
        identity = Identity(store_of(gh_id={"kind": 1, "node": 7}, gh_key={"id1": 1, "key1": KEY}), 1)
        files = [("app.py", b"x" * 300), ("gatehouse_wire/a.py", b""), ("z.py", b"z")]
        self.image = node_update.build_image(
            files, kind=1, version=(1, 1, 0), abi=0x306, sha256=lambda data: sha256(data).digest()
        )
        head = node_update.Head(kind=1, version=version, abi=0, files=1, size=6, sha256=bytes(32))
        self.desk = UpdateDesk(
            identity=identity, head=head, abi=0x306, slots=self.slots, files=self.flash, random=self._random,
            is_alarm=lambda: self.alarm,
        )  # fmt: skip

    def _random(self, count):
        self.serial += 1
        return bytes([self.serial]) * count

    def say(self, data):
        return node_update.parse_answer(self.desk.handle(data))

    def offer(self, head=None, **changes):
        given = {
            "key_id": 1,
            "flags": 0,
            "node_id": 7,
            "nonce": self.say(node_update.ask()).nonce,
            "mac": mac_of(KEY),
        }
        given.update(changes)
        return node_update.offer(self.image[:48] if head is None else head, **given)

    def chunk(self, at, size=128):
        return node_update.chunk(at, self.image[48 + at : 48 + at + size])

    def send_all(self):
        at = 0
        while at < len(self.image) - 48:
            at = self.say(self.chunk(at)).wanted


@check
def an_update_goes_in_in_order_whatever_comes_twice():
    bench = Bench()
    bench.flash.files["b/stale.py"] = b"old"
    bench.flash.files["b/MANIFEST"] = b"old"
    offer = bench.offer()
    first = bench.say(offer)
    assert (first.verdict, first.phase) == (node_update.DONE, node_update.RECEIVING)
    assert bench.say(offer).verdict == node_update.DONE
    assert "b/MANIFEST" not in bench.flash.files
    assert bench.say(bench.chunk(128)).verdict == node_update.OFFSET
    assert bench.say(bench.chunk(0)).wanted == 128
    assert bench.say(bench.chunk(0)).verdict == node_update.DONE
    spoilt = bytearray(bench.chunk(128))
    spoilt[9] ^= 1
    assert bench.say(bytes(spoilt)).verdict == node_update.BAD_CHUNK
    assert bench.say(b"\x07").verdict == node_update.MALFORMED
    bench.send_all()
    bench.alarm = True
    assert bench.say(node_update.finish()).verdict == node_update.IN_ALARM
    bench.alarm = False
    last = bench.say(node_update.finish())
    assert (last.verdict, last.phase) == (node_update.DONE, node_update.RESTARTING)
    assert bench.desk.is_restart_due
    assert bench.say(node_update.abort()).verdict == node_update.DONE
    assert sorted(bench.flash.files) == ["b/MANIFEST", "b/app.py", "b/gatehouse_wire/a.py", "b/z.py"]
    assert bench.slots.state() == ("b", False, 0)


@check
def an_offer_is_refused_for_each_reason_by_its_name():
    bench = Bench(version=(2, 0, 0))
    assert bench.say(bench.offer()).verdict == node_update.OLDER
    assert bench.say(bench.offer(flags=1)).verdict == node_update.DONE
    bench.say(node_update.abort())
    for wrong in ({"key_id": 2}, {"node_id": 8}, {"nonce": bytes(8)}, {"mac": mac_of(OTHER_KEY)}):
        assert bench.say(bench.offer(**wrong)).verdict == node_update.FORGED
    head = bytearray(bench.image[:48])
    head[4] = 2
    assert bench.say(bench.offer(bytes(head))).verdict == node_update.WRONG_KIND
    head[4], head[8] = 1, 5
    assert bench.say(bench.offer(bytes(head))).verdict == node_update.ABI
    bench.alarm = True
    assert bench.say(bench.offer(flags=1)).verdict == node_update.IN_ALARM
    bench.slots.switch("a")
    assert bench.say(bench.offer(flags=1)).verdict == node_update.UNCONFIRMED
    assert bench.say(bench.chunk(0)).verdict == node_update.NO_OFFER
    assert bench.say(node_update.finish()).verdict == node_update.NO_OFFER
    assert bench.flash.files == {}


@check
def a_used_offer_is_worth_nothing_after_its_end():
    bench = Bench()
    offer = bench.offer()
    assert bench.say(offer).verdict == node_update.DONE
    bench.say(node_update.abort())
    assert bench.say(offer).verdict == node_update.FORGED


@check
def a_body_that_is_not_what_was_promised_is_thrown_away():
    bench = Bench()
    bench.say(bench.offer())
    bench.say(bench.chunk(0))
    assert bench.say(node_update.finish()).verdict == node_update.BAD_BODY
    bench.say(bench.offer())
    assert bench.say(node_update.chunk(0, b"\xff" * 128)).verdict == node_update.BAD_BODY
    bench.say(bench.offer())
    bench.image = bench.image[:-1] + b"y" + b"more"
    at = 0
    while bench.say(bench.chunk(at)).verdict == node_update.DONE and at < 1000:
        at += 128
    assert bench.say(node_update.ask()).phase == node_update.IDLE


@check
def a_flash_that_refuses_ends_the_update_and_not_the_node():
    bench = Bench()
    bench.say(bench.offer())
    bench.flash.is_full = True
    assert bench.say(bench.chunk(0)).verdict == node_update.FLASH
    bench.flash.is_full = False
    bench.say(bench.offer())
    bench.say(bench.chunk(0))
    bench.flash.is_full = True
    assert bench.say(node_update.abort()).verdict == node_update.DONE
    assert bench.say(node_update.ask()).phase == node_update.IDLE


@check
def a_folder_is_made_once_and_a_lost_manifest_is_an_empty_slot():
    files = Files()
    files.make_folder("c")
    files.make_folder("c")
    assert raises(OSError, lambda: files.make_folder("no/where"))
    files.make_folder("c/inner")
    for name in ("c/x.py", "c/inner/y.py"):
        sink = files.open(name)
        sink.write(b"1")
        sink.close()
    assert sorted(files.names("c")) == ["inner/y.py", "x.py"]
    assert files.names("nothing") == []
    files.remove("c/x.py")
    files.remove("c/x.py")
    assert head_of("c") is None
    assert not is_whole("c")
    sink = files.open("c/MANIFEST")
    sink.write(b"not a manifest")
    sink.close()
    assert head_of("c") is None
    assert not is_whole("c")


@check
def a_slot_state_of_another_program_counts_as_none():
    memory = Memory()
    nvs = memory.open("gh_boot")
    nvs.set_i32("state", 12345)
    slots = boot_slots.Slots(nvs, lambda slot: slot == "b")
    assert slots.state() is None
    assert slots.choose(True, False) == "b"
    assert slots.state() == ("b", False, 1)
    nothing = boot_slots.Slots(Memory().open("gh_boot"), lambda slot: False)
    assert nothing.choose(True, False) == ""
    nothing.confirm()
    nothing.crashed()
    assert nothing.state() is None


for one in CHECKS:
    try:
        one()
        print("CHECK ok", one.__name__)
    except Exception as error:  # noqa: BLE001  # told, and the next one runs
        print("CHECK failed", one.__name__)
        sys.print_exception(error)
print("CHECK end", len(CHECKS))
