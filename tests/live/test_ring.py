"""The ring between producer and hub: what goes in comes out in blocks, in order, and never more than it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.live.ring import Block, Ring

RATE = 8_000


def blocks(ring: Ring) -> list[Block]:
    return list(iter(ring.take, None))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5_000), max_size=12), st.sampled_from([1, 2]), st.booleans())
def test_blocks_are_what_was_pushed(sizes: list[int], channels: int, integers: bool) -> None:
    """A piece that wraps around, an int16 scaled by 32,767, channels that change places."""
    ring = Ring(RATE, seconds=10.0)
    values = np.random.default_rng(0).integers(-32_768, 32_768, (sum(sizes), channels)).astype(np.int16)
    scaled = (values / 32_768).astype(np.float32)
    got, start = [], 0
    for size in sizes:
        ring.push((values if integers else scaled)[start : start + size], now=float(start))
        start += size
        got += blocks(ring)
    assert all(len(block.samples) == ring.block for block in got)
    rest = ring.rest()
    got += [rest] if rest else []
    assert [block.frame for block in got] == [ring.block * i for i in range(len(got))]
    assert (np.concatenate([np.empty((0, channels)), *(block.samples for block in got)]) == scaled).all()


def test_the_oldest_blocks_are_lost_and_the_newest_kept() -> None:
    """Memory that grows with the producer's speed; a block of two times mixed; a time that is another block's."""
    ring = Ring(RATE, seconds=1.0)
    for second in range(5):
        ring.push(np.full(RATE + 100, second, np.float32), now=float(second))
    got = blocks(ring)
    assert [block.frame for block in got] == list(range(got[0].frame, 40_000, 800))
    assert 9 <= len(got) <= 10
    assert [block.pushed_at for block in got] == [3.0 if block.frame + 800 <= 32_400 else 4.0 for block in got]
    assert ring.frames == 5 * (RATE + 100)
    rest = ring.rest()
    assert rest is not None
    assert len(rest.samples) == 500
    assert (rest.samples == 4).all()


def test_one_piece_larger_than_the_ring() -> None:
    ring = Ring(RATE, seconds=1.0)
    ring.push(np.arange(3 * RATE, dtype=np.float32) / 30_000, now=1.0)
    got = np.concatenate([block.samples[:, 0] for block in blocks(ring)])
    assert (got == np.arange(2 * RATE, 3 * RATE, dtype=np.float32) / 30_000).all()


def test_push_tells_of_whole_blocks_only() -> None:
    """A hub woken for each 20 ms."""
    ring = Ring(RATE)
    assert [ring.push(np.zeros(400, np.int16), 0.0) for _ in range(5)] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("pcm", "code"),
    [
        (np.zeros(9), ErrorCode.BAD_INPUT),
        (np.zeros(9, np.int32), ErrorCode.BAD_INPUT),
        (np.zeros((9, 3), np.int16), ErrorCode.BAD_INPUT),
        (np.zeros((2, 9), np.int16), ErrorCode.BAD_INPUT),
        (np.zeros((3, 1, 1), np.int16), ErrorCode.BAD_INPUT),
        (np.zeros((9, 2), np.int16), ErrorCode.BAD_INPUT),  # one channel came before
        (np.array([0, np.nan], np.float32), ErrorCode.NON_FINITE),
        (np.array([np.inf, 0], np.float32), ErrorCode.NON_FINITE),
        (np.array([0, -11], np.float32), ErrorCode.OUT_OF_RANGE),
    ],
)
def test_what_cannot_be_heard_is_refused_and_nothing_taken(pcm: np.ndarray, code: ErrorCode) -> None:
    ring = Ring(RATE)
    ring.push(np.ones(500, np.int16), 0.0)
    with pytest.raises(ClipError) as caught:
        ring.push(pcm, 0.0)
    assert caught.value.code is code
    assert ring.frames == 500
