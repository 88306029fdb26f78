"""Takes a new image, chunk by chunk, into the slot that is not running. Pure: flash, randomness and slots are handed in.

The order that makes every power cut harmless: the manifest of the target slot goes first, its files are written, the whole is
hashed, the manifest is written last, and only then the boot state names the slot. Until that last write the running slot starts.
"""

import sys
from hashlib import sha256

import slots as boot_slots

from gatehouse_wire import node_update as wire
from gatehouse_wire.errors import CRC, WireError


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
        self._phase = wire.IDLE
        self._offer = None
        self._target = ""
        self._forget()

    @property
    def is_restart_due(self):
        """True: the new slot is chosen; restart once the answer is out."""
        return self._phase == wire.RESTARTING

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
            self._reset()
            verdict = wire.FLASH
        return self._answer(op, verdict)

    def _serve(self, request):
        if request.op == wire.ASK or self.is_restart_due:
            return wire.DONE
        if request.op == wire.OFFER:
            return self._take_offer(request)
        if request.op == wire.ABORT:
            self._reset()
            return wire.DONE
        if self._offer is None:
            return wire.NO_OFFER
        if request.op == wire.CHUNK:
            return self._take_chunk(request.offset, request.data)
        return self._finish()

    def _take_offer(self, request):
        if self._offer is not None and request.mac == self._offer.mac:
            return wire.DONE  # our answer was lost
        verdict = self._judge(request)
        if verdict != wire.DONE:
            return verdict
        self._reset()
        self._nonce_spent = True
        self._target = boot_slots.other_than(self._slots.running)
        self._files.make_folder(self._target)
        self._files.remove(self._target + "/" + boot_slots.MANIFEST)
        self._offer = request
        self._head = wire.parse_head(request.head)
        self._digest = sha256()
        self._phase = wire.RECEIVING
        return wire.DONE

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

    def _take_chunk(self, offset, data):
        if offset + len(data) == self._wanted:
            return wire.DONE  # the one before, again: our answer was lost
        if offset != self._wanted:
            return wire.OFFSET
        if offset + len(data) > self._head.size:
            return wire.BAD_BODY
        self._digest.update(data)
        self._wanted += len(data)
        if self._entries is None:
            self._table += data
            try:
                parsed = wire.parse_table(self._table, self._head)
            except WireError:
                parsed = None
                self._table_bad = True
            if self._table_bad or (parsed is None and len(self._table) > wire.MAX_TABLE):
                self._reset()
                return wire.BAD_BODY
            if parsed is None:
                return wire.DONE
            self._entries, length = parsed
            data = self._table[length:]
            self._table = self._table[:length]
            wanted = [name for name, _ in self._entries]
            self._stale = [name for name in self._files.names(self._target) if name not in wanted]
        elif self._stale:
            # One a chunk: removing twenty at once would keep a poll waiting.
            self._files.remove(self._target + "/" + self._stale.pop())
        self._write(data)
        return wire.DONE

    def _write(self, data):
        """Spread `data` over the files, opening each as its turn comes."""
        data = memoryview(data)
        while True:
            if self._left == 0:
                self._close()
                if self._file_at == len(self._entries):
                    return
                name, self._left = self._entries[self._file_at]
                self._file_at += 1
                at = name.find("/")
                if at > 0:
                    self._files.make_folder(self._target + "/" + name[:at])
                self._sink = self._files.open(self._target + "/" + name)
                continue  # it may be an empty one
            if not data:
                return
            count = min(self._left, len(data))
            self._sink.write(data[:count])
            self._left -= count
            data = data[count:]

    def _finish(self):
        if self._wanted != self._head.size or self._digest.digest() != self._head.sha256:
            self._reset()
            return wire.BAD_BODY
        if self._is_alarm():
            return wire.IN_ALARM  # not now; ask again later
        self._close()
        for name in self._stale:
            self._files.remove(self._target + "/" + name)
        sink = self._files.open(self._target + "/" + boot_slots.MANIFEST)
        sink.write(self._offer.head)
        sink.write(self._table)
        sink.close()
        self._slots.switch(self._target)
        self._offer = None
        self._phase = wire.RESTARTING
        return wire.DONE

    def _close(self):
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _reset(self):
        try:
            self._close()
        except OSError as error:
            sys.print_exception(error)
            self._sink = None
        if self._nonce_spent:
            self._nonce = self._random(wire.NONCE_BYTES)
        self._phase = wire.IDLE
        self._offer = None
        self._forget()

    def _forget(self):
        self._nonce_spent = False
        self._head = None
        self._digest = None
        self._wanted = 0
        self._table = b""
        self._table_bad = False
        self._entries = None
        self._stale = []
        self._file_at = 0
        self._left = 0
        self._sink = None

    def _answer(self, op, verdict):
        return wire.pack_answer(
            wire.Answer(
                op=op,
                verdict=verdict,
                phase=self._phase,
                kind=self._identity.kind,
                version=self._version,
                is_slot_b=self._slots.running == "b",
                is_confirmed=self._slots.is_confirmed(),
                wanted=self._wanted,
                nonce=self._nonce,
            )
        )
