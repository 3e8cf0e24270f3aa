"""The log-mel of a stream: however the samples come, that of the whole clip, bit for bit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqe_fast.audio.features import HOP, SAMPLE_RATE, LogMelStream, log_mel
from tests.audio.test_features import HARD_SIGNALS, LENGTHS, UNREADABLE, Samples, assert_releases_the_gil, noise, voiced

CAPACITY = 480_000


def assert_holds(stream: LogMelStream, samples: Samples, n_mels: int = 80) -> None:
    """The stream's log-mel is that of `samples`."""
    assert stream.samples == samples.size
    expected = log_mel(samples, n_mels)
    actual = stream.log_mel()
    assert actual.frames == expected.frames
    assert actual.data.flags.c_contiguous
    np.testing.assert_array_equal(actual.data, expected.data)


def push_in_chunks(stream: LogMelStream, samples: Samples, *sizes: int) -> None:
    """Sizes take turns."""
    start = 0
    for size in cycle(sizes):
        if start >= samples.size:
            return
        stream.push(samples[start : start + size])
        start += size


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("sizes", [(CAPACITY,), (160,), (163, 0, 37), (1, 16_000), (4_096,)], ids=str)
@pytest.mark.parametrize("count", LENGTHS)
def test_equals_the_whole_clip(count: int, sizes: tuple[int, ...], n_mels: int) -> None:
    samples = noise(count, seed=count)
    stream = LogMelStream(n_mels)
    push_in_chunks(stream, samples, *sizes)
    assert_holds(stream, samples, n_mels)


@pytest.mark.parametrize("signal", HARD_SIGNALS)
def test_equals_the_whole_clip_of_hard_signals(signal: str) -> None:
    """The loudest value, from which the clamp hangs, comes late or has gone by long ago."""
    stream = LogMelStream()
    push_in_chunks(stream, HARD_SIGNALS[signal], 700)
    assert_holds(stream, HARD_SIGNALS[signal])


def test_sample_by_sample_and_read_after_each() -> None:
    """A frame taken for final while a sample of its own, or of the reflected start, is still to come."""
    samples = voiced(1_800)
    stream = LogMelStream()
    for count in range(1, samples.size + 1):
        stream.push(samples[count - 1 : count])
        assert_holds(stream, samples[:count])


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.integers(0, 400) | st.integers(0, 20_000)),
            st.tuples(st.just("drop"), st.integers(0, 12) | st.integers(0, 100)),
            st.tuples(st.just("read"), st.just(0)),
        ),
        max_size=30,
    ),
    seed=st.integers(0, 2**32 - 1),
    n_mels=st.sampled_from([80, 128]),
)
def test_any_sequence_of_pushes_drops_and_reads(steps: list[tuple[str, int]], seed: int, n_mels: int) -> None:
    rng = np.random.default_rng(seed)
    stream, held = LogMelStream(n_mels), np.zeros(0, np.float32)
    for step, amount in steps:
        if step == "push" and held.size + amount <= CAPACITY:
            chunk = (rng.standard_normal(amount) * 10 ** rng.uniform(-5, 0)).astype(np.float32)
            stream.push(chunk)
            held = np.concatenate([held, chunk])
        elif step == "drop":
            count = min(amount, held.size // HOP) * HOP
            stream.drop(count)
            held = held[count:]
        elif step == "read" and held.size:
            assert_holds(stream, held, n_mels)
    if held.size:
        assert_holds(stream, held, n_mels)
    else:
        assert stream.samples == 0


@pytest.mark.parametrize("ending", [0, 77])
def test_a_window_slides_over_a_call(ending: int) -> None:
    """5 s, moved on by 1 s, over a call longer than a stream can hold."""
    call = voiced(45 * SAMPLE_RATE + ending)
    window = 5 * SAMPLE_RATE + ending  # a chunk that ends within a hop leaves the window's end there, too
    stream = LogMelStream()
    stream.push(call[: window - SAMPLE_RATE])
    for end in range(window, call.size + 1, SAMPLE_RATE):
        stream.push(call[end - SAMPLE_RATE : end])
        assert_holds(stream, call[end - window : end])
        stream.drop(SAMPLE_RATE)


@pytest.mark.parametrize("left", [0, 1, 40, 200, 201, 360, 361, 520, 521, 680, 681])
def test_drops_nearly_everything(left: int) -> None:
    """Few samples remain: the frames that held are reflected anew, and may lack a sample again."""
    samples = noise(20 * HOP + left % HOP)
    stream = LogMelStream()
    stream.push(samples)
    stream.log_mel()
    stream.drop(samples.size - left)
    rest = samples[samples.size - left :]
    if left:
        assert_holds(stream, rest)
    more = noise(2_000, seed=1)
    stream.push(more)
    assert_holds(stream, np.concatenate([rest, more]))


def test_a_log_mel_once_read_stays() -> None:
    """It is the reader's own: neither a view of the stream's memory nor overwritten by the next."""
    samples = noise(9_000)
    stream = LogMelStream()
    stream.push(samples[:5_000])
    first, again = stream.log_mel().data, stream.log_mel().data
    stream.push(samples[5_000:])
    stream.log_mel()
    for data in (first, again):
        np.testing.assert_array_equal(data, log_mel(samples[:5_000]).data)


def test_a_chunk_may_change_after_its_push() -> None:
    """A buffer that the caller fills again and again."""
    samples = noise(3_200)
    buffer = np.empty(100, np.float32)
    stream = LogMelStream()
    for start in range(0, samples.size, 100):
        buffer[:] = samples[start : start + 100]
        stream.push(buffer)
    buffer[:] = 1e6
    assert_holds(stream, samples)


def test_holds_30_seconds_and_no_sample_more() -> None:
    samples = noise(CAPACITY + HOP)
    stream = LogMelStream()
    push_in_chunks(stream, samples[:CAPACITY], 50_000)
    for count in (1, HOP, CAPACITY):
        with pytest.raises(ValueError, match=rf"at most 480000 .*{count} more than the 480000 held"):
            stream.push(noise(count))
        assert_holds(stream, samples[:CAPACITY])
    stream.push(noise(0))
    stream.drop(HOP)
    stream.push(samples[CAPACITY:])
    assert_holds(stream, samples[HOP:])


def test_refuses_a_chunk_longer_than_it_can_hold() -> None:
    stream = LogMelStream()
    with pytest.raises(ValueError, match="at most 480000"):
        stream.push(np.zeros(CAPACITY + 1, np.float32))
    assert stream.samples == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        *UNREADABLE,
        *(
            pytest.param(
                np.where(np.arange(700) == place, value, 0).astype(np.float32), "finite", id=f"{value} {place}"
            )
            for value in (np.nan, np.inf, -np.inf)
            for place in (0, 699)
        ),
    ],
)
def test_goes_on_after_an_error(bad: Samples, message: str) -> None:
    samples = noise(5_000)
    stream = LogMelStream()
    stream.push(samples[:2_345])
    with pytest.raises(ValueError, match=message):
        stream.push(bad)
    assert_holds(stream, samples[:2_345])
    stream.push(samples[2_345:])
    assert_holds(stream, samples)


def test_refuses_what_is_no_array() -> None:
    with pytest.raises(TypeError):
        LogMelStream().push([0.0] * 800)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [-HOP, -1, 1, HOP - 1, HOP + 1, 1_600 + HOP])
def test_drops_whole_hops_that_it_holds(count: int) -> None:
    samples = noise(1_650)
    stream = LogMelStream()
    stream.push(samples)
    with pytest.raises(ValueError, match=f"whole hops of 160 samples, up to the 1650 held, not {count}"):
        stream.drop(count)
    assert_holds(stream, samples)


def test_reset_begins_anew() -> None:
    stream = LogMelStream()
    stream.push(voiced(30_000) * 1e3)
    stream.log_mel()
    stream.reset()
    assert stream.samples == 0
    stream.push(noise(7_000))
    assert_holds(stream, noise(7_000))


def test_an_empty_stream_has_no_log_mel() -> None:
    stream = LogMelStream()
    with pytest.raises(ValueError, match="holds no samples"):
        stream.log_mel()
    stream.push(noise(HOP))
    stream.drop(HOP)
    with pytest.raises(ValueError, match="holds no samples"):
        stream.log_mel()


@pytest.mark.parametrize("n_mels", [-1, 0, 79, 256])
def test_refuses_other_filter_banks(n_mels: int) -> None:
    with pytest.raises(ValueError, match="80 or 128"):
        LogMelStream(n_mels)


def test_streams_do_not_know_of_one_another() -> None:
    clips = [noise(20_000 + 37 * i, seed=i) for i in range(4)]
    streams = [LogMelStream(128) for _ in clips]
    start = threading.Barrier(len(clips))

    def feed(stream: LogMelStream, clip: Samples) -> None:
        start.wait(timeout=60)
        push_in_chunks(stream, clip, 501)

    with ThreadPoolExecutor(len(clips)) as pool:
        for future in [pool.submit(feed, stream, clip) for stream, clip in zip(streams, clips, strict=True)]:
            future.result()
    for stream, clip in zip(streams, clips, strict=True):
        assert_holds(stream, clip, 128)


def test_other_threads_run_meanwhile() -> None:
    samples = noise(48_000)
    stream = LogMelStream()

    def push() -> bool:
        stream.reset()
        stream.push(samples)
        return True

    assert_releases_the_gil(push)
    assert_releases_the_gil(stream.log_mel)


def test_a_second_thread_is_refused() -> None:
    """Rather than two of them writing to one place."""
    stream = LogMelStream()
    stream.push(noise(CAPACITY))
    expected = stream.log_mel().data
    refusals: list[str] = []

    def read() -> None:
        for _ in range(2_000):
            if refusals:
                return
            try:
                data = stream.log_mel().data
            except RuntimeError as error:
                refusals.append(str(error))
            else:
                np.testing.assert_array_equal(data, expected)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(read) for _ in range(2)]:
            future.result()
    assert refusals
    assert all("another thread" in refusal for refusal in refusals)
    assert_holds(stream, noise(CAPACITY))
