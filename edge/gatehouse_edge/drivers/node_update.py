"""One update of one node of ours: what to ask next, what its answer means, how it ended. Pure; a bus's owner does the asking.

The node judges (authenticator, kind, version, hash); this side keeps the order, repeats what got no answer, and does not call
an update done before the node runs the new version and has confirmed it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_wire import node_update as wire
from gatehouse_wire.errors import WireError

SILENCE_LIMIT_S: Final = 120.0
"""A node that gives no believable answer for so long is given up, before and after its restart alike."""
CONFIRM_LIMIT_S: Final = 600.0
"""How long a restarted node may take to confirm; three failed starts and the way back fit in."""
WAIT_S: Final = 2.0
"""Between two questions while nothing else is to be done but wait."""
RETRY_S: Final = 0.3
"""After a lost answer; doubled for each further one, up to `WAIT_S`: a silent node must not take its neighbours' line."""
MAX_IMAGE_BYTES: Final = wire.HEAD_BYTES + wire.MAX_BODY
_TOO_MANY: Final = 8
"""The node refuses the same chunk so often only when flash or wire is broken."""


class NodeUpdateError(Exception):
    """An image cannot be used, or a device cannot be updated; says why and what to do."""


class Result(StrEnum):
    """How an update ended."""

    CONFIRMED = "confirmed"
    """The node runs the new version and has confirmed it."""
    ROLLED_BACK = "rolled_back"
    """The node took it, could not live with it, and runs the former one again."""
    REFUSED = "refused"
    """The node, or the gateway because of an alarm, did not take it; nothing has changed."""
    FAILED = "failed"
    """No answer, or no confirmation, in time; `detail` says what is known."""


class UpdateOutcome(Struct, frozen=True, kw_only=True):
    """The end of an update. Versions are "major.minor.patch", empty when not known."""

    result: Result
    detail: str
    from_version: str = ""
    to_version: str = ""
    slot: str = ""


class NodeImage(Struct, frozen=True, kw_only=True):
    """A firmware image whose every byte has been checked against its head."""

    octets: bytes
    kind: str
    version: tuple[int, int, int]

    @property
    def head(self) -> bytes:
        """Return its first 48 bytes, which the node's key vouches for."""
        return self.octets[: wire.HEAD_BYTES]

    @property
    def body(self) -> bytes:
        """Return what is sent in chunks."""
        return self.octets[wire.HEAD_BYTES :]


def read_image(octets: bytes) -> NodeImage:
    """Return the image in a file's bytes.

    Raises:
        NodeUpdateError: it is not an image, or not whole.
    """
    if len(octets) > MAX_IMAGE_BYTES:
        raise NodeUpdateError(f"{len(octets)} bytes are no firmware image (at most {MAX_IMAGE_BYTES})")
    try:
        head = wire.parse_image(octets, lambda body: hashlib.sha256(body).digest())
    except WireError as error:
        raise NodeUpdateError(
            f"this is not a whole firmware image ({error}); build or copy it again"
        ) from error
    return NodeImage(octets=octets, kind=wire.KINDS[head.kind], version=head.version)


class Transfer:
    """Carries one image to one node. Ask `request`, give back `take` or `miss`; `outcome` is set when it is over.

    `is_alarm` tells whether an alarm of this device is open: then nothing starts, and what has begun is called off.
    """

    def __init__(  # one argument per fact of the order
        self,
        image: NodeImage,
        *,
        node_id: int,
        key_id: int,
        key: bytes,
        chunk_bytes: int,
        is_alarm: Callable[[], bool],
        is_older_permitted: bool = False,
    ) -> None:
        self.node_id: Final = node_id
        self.outcome: UpdateOutcome | None = None
        self.sent_bytes = 0
        """How much of the body the node has, for people who watch."""
        self.due_s = 0.0
        """Monotonic time before which nothing should be asked."""
        self.ended: Final = asyncio.Event()
        self._image: Final = image
        self._key_id: Final = key_id
        self._key: Final = key
        self._chunk_bytes: Final = chunk_bytes
        self._is_alarm: Final = is_alarm
        self._flags: Final = wire.OLDER_PERMITTED if is_older_permitted else 0
        self._step = _Step.ASK
        self._first: wire.Answer | None = None
        self._last: wire.Answer | None = None
        self._heard_s: float | None = None
        self._finished_s: float | None = None
        self._complaints = 0
        self._misses = 0

    def request(self, now_s: float) -> bytes | None:
        """Return the next request, None when it is over or not yet time."""
        if self._heard_s is None:
            self._heard_s = now_s
        if self.outcome is not None or now_s < self.due_s:
            return None
        if self._step in {_Step.ASK, _Step.OFFER, _Step.SEND, _Step.FINISH} and self._is_alarm():
            if self._step is _Step.ASK:
                self._end(Result.REFUSED, "an alarm of this device is open")
                return None
            self._step = _Step.ABORT
        match self._step:
            case _Step.ASK | _Step.WAIT:
                return bytes(wire.ask())
            case _Step.OFFER:
                return self._offer()
            case _Step.SEND:
                at = self.sent_bytes
                return bytes(wire.chunk(at, self._image.body[at : at + self._chunk_bytes]))
            case _Step.FINISH:
                return bytes(wire.finish())
            case _Step.ABORT:
                return bytes(wire.abort())

    def miss(self, now_s: float, why: str) -> None:
        """No believable answer came to the last request."""
        self._misses += 1
        self.due_s = now_s + (
            WAIT_S if self._step is _Step.WAIT else min(WAIT_S, RETRY_S * 2 ** min(self._misses - 1, 8))
        )
        if self._heard_s is not None and now_s - self._heard_s >= SILENCE_LIMIT_S:
            self._end(Result.FAILED, f"no answer for {SILENCE_LIMIT_S:.0f} s: {why}")

    def take(self, data: bytes, now_s: float) -> None:
        """Take the node's answer to the last request."""
        try:
            answer = wire.parse_answer(data)
        except WireError as error:
            self.miss(now_s, str(error))
            return
        self._heard_s, self._last, self._misses = now_s, answer, 0
        match self._step:
            case _Step.ASK:
                self._first = answer
                self._step = _Step.OFFER
            case _Step.WAIT:
                self._look_whether_it_stays(answer, now_s)
            case _Step.ABORT:
                self._end(Result.REFUSED, "called off: an alarm of this device is open")
            case _ if answer.verdict == wire.DONE and answer.op == _OPS[self._step]:
                self._go_on(answer, now_s)
            case _:
                self._complain(answer, now_s)

    def stop(self, why: str) -> None:
        """End it from outside: the bus is going down."""
        if self.outcome is None:
            self._end(Result.FAILED, why)

    def _offer(self) -> bytes:
        assert self._last is not None  # noqa: S101  # for the type checker: ASK comes first
        key = self._key
        return bytes(
            wire.offer(
                self._image.head,
                key_id=self._key_id,
                flags=self._flags,
                node_id=self.node_id,
                nonce=self._last.nonce,
                mac=lambda octets: hmac.digest(key, octets, "sha256"),
            )
        )

    def _go_on(self, answer: wire.Answer, now_s: float) -> None:
        self._complaints = 0
        if self._step is _Step.FINISH:
            self._step, self._finished_s = _Step.WAIT, now_s
            self.due_s = now_s + WAIT_S
            return
        self.sent_bytes = answer.wanted
        self._step = _Step.FINISH if answer.wanted >= len(self._image.body) else _Step.SEND

    def _complain(self, answer: wire.Answer, now_s: float) -> None:
        """The node did not do what it was asked."""
        self.due_s = now_s + RETRY_S
        self._complaints += 1
        if answer.verdict in {wire.DONE, wire.OFFSET} and answer.phase == wire.RECEIVING:
            self.sent_bytes = answer.wanted  # a late answer, or one of us has lost count
        elif answer.verdict == wire.IN_ALARM and self._step is _Step.FINISH:
            self.due_s = now_s + WAIT_S
            self._step = _Step.ABORT
        elif answer.verdict == wire.NO_OFFER and self._step is not _Step.OFFER:
            self._step, self.sent_bytes = _Step.OFFER, 0  # it has restarted in between
        elif answer.verdict not in {wire.BAD_CHUNK, wire.MALFORMED, wire.DONE, wire.OFFSET}:
            self._end(Result.REFUSED, _REASONS.get(answer.verdict, wire.VERDICTS[answer.verdict]))
        if self._complaints >= _TOO_MANY and self.outcome is None:
            self._end(Result.FAILED, f"the node keeps answering {wire.VERDICTS[answer.verdict]}")

    def _look_whether_it_stays(self, answer: wire.Answer, now_s: float) -> None:
        assert self._first is not None  # noqa: S101  # for the type checker
        assert self._finished_s is not None  # noqa: S101
        self.due_s = now_s + WAIT_S
        if answer.phase == wire.RESTARTING:
            return
        if answer.is_slot_b == self._first.is_slot_b:
            self._end(Result.ROLLED_BACK, "the node runs its former version again")
        elif answer.is_confirmed:
            self._end(Result.CONFIRMED, "")
        elif now_s - self._finished_s >= CONFIRM_LIMIT_S:
            self._end(Result.FAILED, f"it runs, and has not confirmed itself for {CONFIRM_LIMIT_S:.0f} s")

    def _end(self, result: Result, detail: str) -> None:
        first, last = self._first, self._last
        self.outcome = UpdateOutcome(
            result=result,
            detail=detail,
            from_version="" if first is None else _text(first.version),
            to_version=_text(self._image.version),
            slot="" if last is None else "b" if last.is_slot_b else "a",
        )
        self.ended.set()


class _Step(StrEnum):
    ASK = "ask"
    OFFER = "offer"
    SEND = "send"
    FINISH = "finish"
    WAIT = "wait"
    ABORT = "abort"


_OPS: Final = {_Step.OFFER: wire.OFFER, _Step.SEND: wire.CHUNK, _Step.FINISH: wire.FINISH}
_REASONS: Final = {
    wire.FORGED: "the node does not accept the key: it is another node, or its key was changed",
    wire.WRONG_KIND: "the image is for another kind of node",
    wire.OLDER: "the node runs a newer version; permit an older one explicitly",
    wire.UNCONFIRMED: "the node has not confirmed the version it runs",
    wire.BAD_BODY: "the image did not arrive as it was sent",
    wire.FLASH: "the node cannot write its flash",
    wire.ABI: "the image is for another MicroPython",
    wire.IN_ALARM: "the node sees an alarm",
}


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)
