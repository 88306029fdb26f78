from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatehouse_edge.drivers.camera_picture import PictureJudge, PictureSettings, worst_block
from gatehouse_edge.drivers.camera_ring import PacketRing, StoredPacket
from gatehouse_edge.reading import PictureState
from gatehouse_hil.facade import Facade

FPS = 10


def judged(pictures, *, keys=lambda _: False, pts=float) -> list[PictureState]:
    """The verdict after each picture."""
    judge = PictureJudge(PictureSettings(frozen_after_s=3.0, black_after_s=1.0))
    verdicts = []
    for number, luma in enumerate(pictures):
        judge.see(luma, pts_s=pts(number), is_key=keys(number), now_s=number / FPS)
        verdicts.append(judge.verdict(number / FPS).picture)
    return verdicts


def test_sensor_noise_alone_keeps_a_still_scene_alive() -> None:
    facade = Facade(noise_sigma=1.0)
    assert set(judged(facade.picture(number) for number in range(100))) == {PictureState.OK}


def test_one_small_thing_that_moves_keeps_a_noiseless_scene_alive() -> None:
    wall = Facade(noise_sigma=0.0).picture(0)

    def with_person(number: int):
        picture = wall.copy()
        picture[100:116, 2 * number : 2 * number + 6] = 20
        return picture

    pictures = [with_person(number) for number in range(100)]
    assert abs(pictures[0].astype(int) - pictures[50]).mean() < 0.3  # the mean would call it frozen
    assert set(judged(pictures)) == {PictureState.OK}


def test_the_same_picture_again_and_again_is_frozen_after_the_limit_and_not_before() -> None:
    picture = Facade().picture(0)
    verdicts = judged([picture] * 50)
    assert verdicts.index(PictureState.FROZEN) == 3 * FPS


def test_a_dead_picture_that_the_encoder_redraws_between_key_frames_is_frozen() -> None:
    picture = Facade().picture(0)
    refinements = [np.clip(picture.astype(int) + step, 0, 255).astype(np.uint8) for step in range(5)]
    verdicts = judged([refinements[n % 5] for n in range(60)], keys=lambda number: number % 5 == 0)
    assert verdicts[-1] is PictureState.FROZEN


def test_a_covered_lens_is_black_rather_than_frozen() -> None:
    assert judged([Facade(noise_sigma=0.0).black(0)] * 60)[-1] is PictureState.BLACK


def test_one_lit_window_at_night_is_not_black() -> None:
    night = np.full((240, 320), 17, np.uint8)
    night[40:60, 40:70] = 180
    assert PictureState.BLACK not in judged([night] * 60)


def test_noise_with_standing_time_stamps_is_frozen() -> None:
    facade = Facade()
    assert judged((facade.picture(n) for n in range(60)), pts=lambda _: 7.0)[-1] is PictureState.FROZEN


@given(height=st.integers(0, 70), width=st.integers(0, 70), level=st.integers(0, 255))
def test_any_size_of_picture_can_be_compared(height: int, width: int, level: int) -> None:
    dark, lit = np.zeros((height, width), np.uint8), np.full((height, width), level, np.uint8)
    assert worst_block(dark, lit) == pytest.approx(level if dark.size else 0.0)
    assert worst_block(lit, dark) == worst_block(dark, lit)


packets = st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.floats(0, 1)), max_size=60)


@given(packets=packets)
@example(packets=[(True, 1, 0.0), (True, 0, 0.0)])  # two key frames at one moment
def test_the_ring_stays_within_its_bounds_and_begins_with_a_key_frame(packets) -> None:
    ring, at_s = PacketRing(keep_s=2.0, limit_bytes=1000), 1.0
    for is_key, size, gap_s in packets:
        at_s += gap_s
        ring.add(
            StoredPacket(
                octets=bytes(size),
                pts=0,
                dts=0,
                duration=1,
                time_base=Fraction(1, 10),
                is_key=is_key,
                arrived_s=at_s,
            )
        )
        held = ring.packets(since_s=0.0)
        assert ring.held_bytes == sum(len(packet.octets) for packet in held) <= 1000
        assert not held or held[0].is_key


def test_a_cut_begins_at_the_key_frame_before_the_wanted_moment() -> None:
    ring = PacketRing(keep_s=60.0, limit_bytes=10**6)
    for second in range(10):
        for part in range(4):
            ring.add(
                StoredPacket(
                    octets=b"x",
                    pts=None,
                    dts=None,
                    duration=None,
                    time_base=Fraction(1, 4),
                    is_key=part == 0,
                    arrived_s=second + part / 4,
                )
            )
    assert ring.packets(since_s=4.6)[0].arrived_s == 4.0
    assert len(ring.packets(since_s=-1.0)) == 40
