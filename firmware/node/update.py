"""Takes a new image, chunk by chunk, into the slot that is not running. Pure: flash, randomness and slots are handed in.

The order that makes every power cut harmless: the manifest of the target slot goes first, its files are written, the whole is
hashed, the manifest is written last, and only then the boot state names the slot. Until that last write the running slot starts.
"""

from hashlib import sha256

import slots as boot_slots

from gatehouse_wire import node_update as wire
from gatehouse_wire.errors import CRC, WireError


class Intake:
    """One accepted offer and what has come of its body. Every method may raise OSError: the flash refuses."""

    def __init__(self, offer, *, files, target):
        self.offer = offer
        self.head = wire.parse_head(offer.head)
        self.wanted = 0
        """Next offset of the body."""
        self._files = files
        self._target = target
        self._digest = sha256()
        self._table = b""
        self._entries = []
        self._is_table_known = False
        self._stale = []
        self._at = 0
        self._left = 0
        self._sink = None
        files.make_folder(target)
        files.remove(target + "/" + boot_slots.MANIFEST)

    def take(self, data):
        """Take the next bytes of the body.

        Raises:
            WireError: the table in it is not one.
        """
        self._digest.update(data)
        self.wanted += len(data)
        if not self._is_table_known:
            self._table += data
            parsed = wire.parse_table(self._table, self.head)
            if parsed is None:
                return
            self._entries, length = parsed
            self._is_table_known = True
            data = self._table[length:]
            self._table = self._table[:length]
            names = [name for name, _ in self._entries]
            self._stale = [name for name in self._files.names(self._target) if name not in names]
        elif self._stale:
            # One a chunk: removing twenty at once would keep a poll waiting.
            self._files.remove(self._target + "/" + self._stale.pop())
        self._spread(memoryview(data))

    def is_whole(self):
        """Return whether all of it has come and hashes to what the head says. Once: MicroPython's hash is final then."""
        return self.wanted == self.head.size and self._digest.digest() == self.head.sha256

    def seal(self):
        """Write the manifest: from here on the target slot counts as whole."""
        self.close()
        for name in self._stale:
            self._files.remove(self._target + "/" + name)
        sink = self._files.open(self._target + "/" + boot_slots.MANIFEST)
        sink.write(self.offer.head)
        sink.write(self._table)
        sink.close()

    def close(self):
        """Close the file that is being written."""
        sink = self._sink
        self._sink = None
        if sink is not None:
            sink.close()

    def _spread(self, data):
        """Spread `data` over the files, opening each as its turn comes."""
        while True:
            if self._left == 0:
                self.close()
                if self._at == len(self._entries):
                    return
                self._open_next()
            elif data and self._sink is not None:
                count = min(self._left, len(data))
                self._sink.write(data[:count])
                self._left -= count
                data = data[count:]
            else:
                return

    def _open_next(self):
        name, self._left = self._entries[self._at]
        self._at += 1
        cut = name.find("/")
        if cut > 0:
            self._files.make_folder(self._target + "/" + name[:cut])
        self._sink = self._files.open(self._target + "/" + name)


class UpdateDesk:
    """Answers the requests of `gatehouse_wire.node_update` for one node."""

    def __init__(self, *, identity, head, abi, slots, files, random, is_alarm):
        """`head` is the running image's, `random(n)` returns n random bytes, `is_alarm()` whether one stands now."""
        self._identity = identity
        self._version = head.version if head is not None else (0, 0, 0)
        self._abi = abi
        self._slots = slots
        self._files = files
        self._random = random
        self._is_alarm = is_alarm
        self._nonce = random(wire.NONCE_BYTES)
        self._intake = None
        self.is_restart_due = False
        """True: the new slot is chosen; restart once the answer is out."""

    def handle(self, data):
        """Return the answer to a request; never raises, whatever the bytes."""
        op = data[0] if data and wire.ASK <= data[0] <= wire.ABORT else wire.ASK
        try:
            request = wire.parse_request(data)
        except WireError as error:
            return self._answer(op, wire.BAD_CHUNK if error.reason == CRC else wire.MALFORMED)
        try:
            verdict = self._serve(request)
        except OSError:
            self._forget()
            verdict = wire.FLASH
        return self._answer(op, verdict)

    def _serve(self, request):
        if request.op == wire.ASK or self.is_restart_due:
            return wire.DONE
        if request.op == wire.OFFER:
            return self._take_offer(request)
        if request.op == wire.ABORT:
            self._forget()
            return wire.DONE
        if self._intake is None:
            return wire.NO_OFFER
        if request.op == wire.CHUNK:
            return self._take_chunk(self._intake, request.offset, request.data)
        return self._finish(self._intake)

    def _take_offer(self, request):
        if self._intake is not None and request.mac == self._intake.offer.mac:
            return wire.DONE  # our answer was lost
        verdict = self._judge(request)
        if verdict == wire.DONE:
            self._forget()
            self._intake = Intake(
                request, files=self._files, target=boot_slots.other_than(self._slots.running)
            )
        return verdict

    def _judge(self, request):
        mac = self._identity.mac_for(request.key_id)
        if mac is None or not wire.is_genuine(
            request, node_id=self._identity.node, nonce=self._nonce, mac=mac
        ):
            return wire.FORGED
        head = wire.parse_head(request.head)
        if head.kind != self._identity.kind:
            return wire.WRONG_KIND
        if head.abi not in (0, self._abi):
            return wire.ABI
        if head.version < self._version and not request.flags & wire.OLDER_PERMITTED:
            return wire.OLDER
        if not self._slots.is_confirmed():
            return wire.UNCONFIRMED
        return wire.IN_ALARM if self._is_alarm() else wire.DONE

    def _take_chunk(self, intake, offset, data):
        if offset + len(data) == intake.wanted:
            return wire.DONE  # the one before, again: our answer was lost
        if offset != intake.wanted:
            return wire.OFFSET
        is_good = offset + len(data) <= intake.head.size
        if is_good:
            try:
                intake.take(data)
            except WireError:
                is_good = False
        if not is_good:
            self._forget()
            return wire.BAD_BODY
        return wire.DONE

    def _finish(self, intake):
        if self._is_alarm():
            return wire.IN_ALARM  # not now; ask again later
        if not intake.is_whole():
            self._forget()
            return wire.BAD_BODY
        intake.seal()
        self._slots.switch(boot_slots.other_than(self._slots.running))
        self._intake = None
        self.is_restart_due = True
        return wire.DONE

    def _forget(self):
        """End what was under way; the nonce of a used offer is worth nothing afterwards."""
        intake = self._intake
        self._intake = None
        if intake is None:
            return
        self._nonce = self._random(wire.NONCE_BYTES)
        try:
            intake.close()
        except OSError:
            return  # it is thrown away anyhow

    def _answer(self, op, verdict):
        phase = (
            wire.RESTARTING if self.is_restart_due else wire.IDLE if self._intake is None else wire.RECEIVING
        )
        return wire.pack_answer(
            wire.Answer(
                op=op,
                verdict=verdict,
                phase=phase,
                kind=self._identity.kind,
                version=self._version,
                is_slot_b=self._slots.running == "b",
                is_confirmed=self._slots.is_confirmed(),
                wanted=0 if self._intake is None else self._intake.wanted,
                nonce=self._nonce,
            )
        )
