"""Whatever comes over a wire: a message or a WireError, bounded memory, and the next good frame is found."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_wire import (
    bthome,
    button_receipt,
    cobs,
    crc,
    gas_registers,
    ld2410,
    lift_link,
    lift_push,
    modbus_rtu,
    node_update,
    pir_radar,
    witmotion,
)
from gatehouse_wire.errors import WireError

KEY = bytes(range(16))
ADDRESS = bytes.fromhex("c32840ffc194")


def mac(data: bytes) -> bytes:
    return hmac.digest(KEY, data, hashlib.sha256)


def open_to_itself(nonce: bytes, sealed: bytes) -> bytes:
    assert len(nonce) == 13
    return sealed[:-4]


DECODERS: dict[str, Callable[[bytes], object]] = {
    "cobs": cobs.decode,
    "lift_link": lambda data: lift_link.decode(data, lambda node_id, key_id: mac),
    "modbus": lambda data: modbus_rtu.parse_read_reply(data, unit=1, function=3, count=2),
    "pir_radar": pir_radar.parse,
    "witmotion": witmotion.parse,
    "ld2410": ld2410.parse,
    "bthome_plain": bthome.parse,
    "bthome_open": lambda data: bthome.open_advert(data, ADDRESS, open_to_itself),
    "receipt": lambda data: button_receipt.decode(data, ADDRESS, mac),
    "modbus_request": modbus_rtu.parse_request,
    "update_request": node_update.parse_request,
    "update_answer": node_update.parse_answer,
    "update_image": lambda data: node_update.parse_image(data, lambda body: sha256(body).digest()),
    "gas": lambda data: gas_registers.decode(list(data)),
}


def refusal(decode: Callable[[bytes], object], data: bytes) -> str:
    try:
        decode(data)
    except WireError as error:
        return str(error.reason)
    return ""


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=80))
def test_arbitrary_bytes_are_a_message_or_a_wire_error(name: str, data: bytes) -> None:
    refusal(DECODERS[name], data)


@given(data=st.binary(max_size=80))
def test_arbitrary_payloads_with_a_right_checksum_are_a_message_or_a_wire_error(data: bytes) -> None:
    refusal(DECODERS["modbus"], modbus_rtu.with_crc(data))
    refusal(DECODERS["pir_radar"], modbus_rtu.with_crc(data))
    refusal(DECODERS["modbus_request"], modbus_rtu.with_crc(data))
    chunk = b"\x03" + data
    refusal(DECODERS["update_request"], chunk + crc.crc16_ccitt(chunk).to_bytes(2, "little"))
    head = b"GHN1" + (data + bytes(8))[:8] + len(data).to_bytes(4, "little") + sha256(data).digest()
    refusal(DECODERS["update_image"], head + data)
    body = data + mac(lift_link.LABEL + data)[:8]
    refusal(DECODERS["lift_link"], body + crc.crc16_ccitt(body).to_bytes(2, "little"))
    framed = b"\x55" + (data + bytes(9))[:9]
    refusal(DECODERS["witmotion"], framed + bytes([sum(framed) & 255]))
    refusal(DECODERS["receipt"], data[:7] + mac(button_receipt.LABEL + ADDRESS + data[:7])[:8])


@given(data=st.binary(max_size=600))
def test_cobs_gives_back_what_it_was_given_and_never_a_zero(data: bytes) -> None:
    stuffed = cobs.encode(data)
    assert 0 not in stuffed
    assert len(stuffed) <= len(data) + 1 + len(data) // 254
    assert cobs.decode(stuffed) == data


POINT = st.none() | st.booleans()
STATES = st.builds(
    lift_link.State,
    car=st.integers(0, 2),
    direction=st.integers(0, 2),
    door_zone=POINT,
    door_closed=POINT,
    passenger=POINT,
    alarm_button=POINT,
    mode=st.integers(0, 7),
    speed_mm_s=st.none() | st.integers(-32767, 32767),
    faults=st.integers(0, 0x3F),
    floor=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=4),
)
U32 = st.integers(0, 0xFFFFFFFF)
HEADERS = st.builds(
    lift_link.Header,
    node_id=st.integers(0, 0xFFFF),
    key_id=st.integers(0, 255),
    boot=U32,
    seq=U32,
    flags=st.integers(0, 3),
)
NONCES = st.binary(min_size=8, max_size=8).filter(any)
MESSAGES = st.one_of(
    st.builds(lift_link.Status, HEADERS, STATES),
    st.builds(
        lift_link.Event, HEADERS, STATES, ring_seq=U32, cause=st.integers(1, 5), event_boot=U32, uptime_ms=U32
    ),
    st.builds(
        lift_link.Hello,
        HEADERS,
        ring_oldest=U32,
        ring_newest=U32,
        nonce=NONCES,
        reset_cause=st.integers(0, 255),
        firmware=st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)),
    ),
    st.builds(lift_link.Ack, HEADERS, ring_seq=U32),
    st.builds(lift_link.Challenge, HEADERS, nonce=NONCES),
)


@given(message=MESSAGES)
def test_a_lift_message_survives_the_wire(message: object) -> None:
    deframer = cobs.Deframer(lift_link.MAX_STUFFED)
    (frame,) = deframer.feed(b"\xff\xff" + lift_link.encode(message, mac))
    assert lift_link.decode(frame, lambda node_id, key_id: mac) == message


@given(message=MESSAGES, at=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_lift_message_with_one_byte_changed_is_refused(message: object, at: int, flip: int) -> None:
    frame = bytearray(lift_link.pack(message, mac))
    frame[at % len(frame)] ^= flip
    assert refusal(DECODERS["lift_link"], bytes(frame)) == "crc"
    body = bytes(frame[:-2])
    assert refusal(DECODERS["lift_link"], body + crc.crc16_ccitt(body).to_bytes(2, "little")) != "crc"


@given(message=MESSAGES, keep=st.integers(min_value=0))
def test_a_lift_message_cut_short_is_refused(message: object, keep: int) -> None:
    frame = lift_link.pack(message, mac)
    assert refusal(DECODERS["lift_link"], frame[: keep % len(frame)]) in {"length", "crc"}


@given(noise=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3100), max_size=6))
def test_a_deframer_holds_little_and_finds_the_next_frame_after_any_noise(
    noise: bytes, cuts: list[int]
) -> None:
    good = lift_link.Status(lift_link.Header(node_id=7, key_id=1, boot=1, seq=1), lift_link.State())
    deframer = cobs.Deframer(lift_link.MAX_STUFFED)
    frames = []
    for piece in pieces(noise + lift_link.encode(good, mac), cuts):
        frames += deframer.feed(piece)
        assert len(deframer._held) <= lift_link.MAX_STUFFED
    assert frames[-1] == lift_link.pack(good, mac)


@given(noise=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3100), max_size=6))
def test_a_push_frame_is_found_after_any_noise(noise: bytes, cuts: list[int]) -> None:
    deframer = lift_push.Deframer(128)
    payloads = []
    for piece in pieces(noise + lift_push.encode(b'{"floor":3}'), cuts):
        payloads += deframer.feed(piece)
        assert len(deframer._held) <= 128 + 8
    assert payloads[-1] == b'{"floor":3}'


@given(noise=st.binary(max_size=300), cuts=st.lists(st.integers(0, 330), max_size=6))
def test_sensor_frames_are_found_after_noise_that_holds_no_start(noise: bytes, cuts: list[int]) -> None:
    noise = noise.replace(b"\x55", b"").replace(b"\xf4", b"")
    report = ld2410.Report(target=3, moving_cm=1, moving_pct=2, still_cm=3, still_pct=4, detection_cm=5)
    radar = ld2410.Deframer()
    reports = [found for piece in pieces(noise + ld2410.build(report), cuts) for found in radar.feed(piece)]
    assert reports == [report]
    motion = witmotion.Deframer()
    frame = witmotion.build(witmotion.ANGLE, (0x4000, 0, 0, 0))
    samples = [found for piece in pieces(noise + frame, cuts) for found in motion.feed(piece)]
    assert samples == [witmotion.Sample(witmotion.ANGLE, (90.0, 0.0, 0.0, 0))]


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Return the stream in the pieces a serial line might deliver it in."""
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(borders)]


@given(
    status=st.sampled_from([gas_registers.MEASURING, gas_registers.MEASURING | gas_registers.HIGH_ALARM]),
    raw=st.integers(0, 0xFFFE),
    decimals=st.integers(0, 3),
    temperature=st.none() | st.integers(-3276, 3276),
    uptime_s=U32,
)
def test_a_gas_block_survives_its_registers(
    status: int, raw: int, decimals: int, temperature: int | None, uptime_s: int
) -> None:
    block = gas_registers.Block(
        status=status,
        unit=gas_registers.PCT_LEL,
        decimals=decimals,
        value=raw / 10**decimals,
        low_set=0.0,
        high_set=0.0,
        full_scale=0.0,
        heartbeat=1,
        temperature_c=None if temperature is None else temperature / 10,
        uptime_s=uptime_s,
    )
    assert gas_registers.decode(gas_registers.encode(block)) == block


@pytest.mark.parametrize(
    "header",
    [
        lift_link.Header(node_id=0x10000, key_id=1),
        lift_link.Header(node_id=7, key_id=-1),
        lift_link.Header(node_id=7, key_id=1, seq=1 << 32),
        lift_link.Header(node_id=7, key_id=1, flags=4),
    ],
    ids=["node id", "key id", "seq", "flags"],
)
def test_a_lift_message_that_does_not_fit_is_not_sent(header: lift_link.Header) -> None:
    with pytest.raises(WireError):
        lift_link.encode(lift_link.Status(header, lift_link.State()), mac)


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_a_talker_that_never_ends_a_frame_costs_no_memory(step: int) -> None:
    deframer = cobs.Deframer(lift_link.MAX_STUFFED)
    push = lift_push.Deframer(128)
    push.feed(lift_push.START)
    for _ in range(10_000 // step + 2):
        deframer.feed(b"\xff" * step)
        push.feed(b"{" * step)
        assert len(deframer._held) <= lift_link.MAX_STUFFED
        assert len(push._held) <= 128 + 8
    assert deframer.bad == 1
    assert push.bad == 1


NAMES = st.from_regex(r"[a-z0-9_]{1,12}(/[a-z0-9_]{1,12})?\.mpy", fullmatch=True)


@given(
    files=st.dictionaries(NAMES, st.binary(max_size=60), min_size=1, max_size=6), piece=st.integers(1, 128)
)
def test_an_image_in_chunks_is_the_image_again(files: dict[str, bytes], piece: int) -> None:
    image = node_update.build_image(
        sorted(files.items()),
        kind=node_update.GAS,
        version=(1, 2, 3),
        abi=0x306,
        sha256=lambda body: sha256(body).digest(),
    )
    head = node_update.parse_image(image, lambda body: sha256(body).digest())
    body = image[node_update.HEAD_BYTES :]
    received = b""
    for at in range(0, len(body), piece):
        request = node_update.parse_request(node_update.chunk(at, body[at : at + piece]))
        assert request.offset == at
        received += request.data
    assert received == body
    entries, length = node_update.parse_table(body, head)
    assert node_update.parse_table(body[: length - 1], head) is None
    assert [name for name, _ in entries] == sorted(files)
    for name, size in entries:
        assert body[length : length + size] == files[name]
        length += size
