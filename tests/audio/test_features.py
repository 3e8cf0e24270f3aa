"""The log-mel front end, against a float64 computation and beside Hugging Face's extractor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from sqe_fast.audio.features import HOP, MAX_FRAMES, N_FFT, SAMPLE_RATE, LogMel, log_mel
from tests.support import log_mel_oracle

Samples = npt.NDArray[np.float32]

# Both lengths' parities, whole and ragged hops, shorter than the reflected half window, and around the 30 s cap.
LENGTHS = [1, 2, 160, 161, 200, 201, 399, 400, 6_400, 6_401, 6_560, 7_999, 51_200, 51_201, 479_679, 479_999, 480_000]
TOLERANCE = 1e-5


def noise(count: int, seed: int = 0, scale: float = 0.1) -> Samples:
    return (np.random.default_rng(seed).standard_normal(count) * scale).astype(np.float32)


def voiced(count: int, pitch: float = 140.0) -> Samples:
    """A decaying stack of harmonics that starts and stops: loud and quiet bands and frames in one clip."""
    t = np.arange(count) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * pitch * k * t) / k**2 for k in range(1, 25))
    return (0.2 * tone * np.maximum(0, np.sin(2 * np.pi * 1.5 * t))).astype(np.float32)


def assert_close_to_float64(samples: Samples, n_mels: int) -> None:
    expected = log_mel_oracle.log_mel(samples, n_mels)
    actual = log_mel(samples, n_mels).data
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("count", LENGTHS)
def test_equals_float64_log_mel(count: int, n_mels: int) -> None:
    """Framing, padding, FFT, filters and clamp, at every kind of length."""
    assert_close_to_float64(noise(count, seed=count), n_mels)


HARD_SIGNALS = {
    "voiced": voiced(40_000),
    "below 16-bit resolution": voiced(40_000) * np.float32(1e-6),
    "beyond full scale": voiced(40_000) * np.float32(1e4),
    "constant": np.full(8_000, 0.5, np.float32),
    "clipped": np.sign(voiced(8_000)),
    "one impulse": np.eye(1, 9_000, 4_321, dtype=np.float32)[0],
    "pure tone": np.sin(2 * np.pi * 1_000 / SAMPLE_RATE * np.arange(16_000)).astype(np.float32),
    "Nyquist": np.where(np.arange(16_000) % 2, 1, -1).astype(np.float32),
    "loud, then faint": np.concatenate([noise(16_000, scale=0.5), noise(16_000, scale=2e-5)]),
}
"""Eight decades of power in one clip: where a float32 FFT would lose the tolerance."""


@pytest.mark.parametrize("signal", HARD_SIGNALS)
def test_equals_float64_log_mel_of_hard_signals(signal: str) -> None:
    assert_close_to_float64(HARD_SIGNALS[signal], 80)


@given(
    count=st.integers(1, 20_000),
    seed=st.integers(0, 2**32 - 1),
    decades=st.floats(-6, 3),
    n_mels=st.sampled_from([80, 128]),
)
def test_equals_float64_log_mel_of_anything(count: int, seed: int, decades: float, n_mels: int) -> None:
    assert_close_to_float64(noise(count, seed, 10**decades), n_mels)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_silence_is_the_floor(n_mels: int) -> None:
    """log10(1e-10) = -10, mapped by (x + 4) / 4."""
    mel = log_mel(np.zeros(8_000, np.float32), n_mels)
    assert mel.data.shape == (n_mels, 52)
    assert (mel.data == -1.5).all()


@pytest.mark.parametrize(
    ("count", "frames", "columns"),
    [
        (1, 1, 3),
        (160, 1, 3),
        (161, 2, 4),
        (6_400, 40, 42),
        (479_520, 2_997, 2_999),
        (479_521, 2_998, 3_000),
        (480_000, 3_000, 3_000),
    ],
)
def test_shape_and_layout(count: int, frames: int, columns: int) -> None:
    mel = log_mel(noise(count))
    assert isinstance(mel, LogMel)
    assert mel.frames == frames
    assert mel.data.shape == (80, columns)
    assert mel.data.dtype == np.float32
    assert mel.data.flags.c_contiguous


def test_frames_past_the_kept_ones_are_silence() -> None:
    """Why the clamp's maximum over the kept frames is the padded clip's: the zero-padded rest holds nothing."""
    samples = noise(6_401)
    kept = log_mel(samples).data.shape[1]
    rest = log_mel_oracle.padded_log_mel(samples, 80)[:, kept:]
    assert (rest == rest[0, 0]).all()
    assert rest[0, 0] <= log_mel(samples).data.min() + TOLERANCE


def test_doubling_the_amplitude_shifts_the_log() -> None:
    """Power grows by 4, so the log-mel of a clip without clamped values by log10(4) / 4."""
    samples = noise(16_000)
    shift = log_mel(samples * 2).data[:, :100] - log_mel(samples).data[:, :100]
    np.testing.assert_allclose(shift, np.log10(4) / 4, atol=1e-6)


def test_a_frame_does_not_depend_on_its_place() -> None:
    """Frames are computed side by side in blocks: shifting a clip by whole hops must shift its frames, bit for bit."""
    body = noise(16_000)
    plain = log_mel(body).data
    for hops in (1, 3, 8, 13):
        shifted = log_mel(np.concatenate([np.zeros(hops * HOP, np.float32), body])).data
        np.testing.assert_array_equal(shifted[:, hops + 2 : hops + 99], plain[:, 2:99])


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("count", [1, 6_400, 51_201, 96_000, 479_999, 480_000])
def test_beside_hugging_face(count: int, n_mels: int) -> None:
    """Never further from the extractor than its own float32 error, which is the larger of the two, allows."""
    samples = voiced(count) + noise(count, scale=1e-3)
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    theirs = extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="np").input_features[0]
    ours = log_mel(samples, n_mels).data
    theirs = theirs[:, : ours.shape[1]]
    exact = log_mel_oracle.log_mel(samples, n_mels)
    assert np.abs(ours - exact).max() <= TOLERANCE
    assert np.abs(ours - theirs).max() <= np.abs(theirs - exact).max() + TOLERANCE
    assert np.abs(ours - theirs).max() <= 5e-5


def test_constants_are_whispers() -> None:
    extractor = WhisperFeatureExtractor()
    assert extractor.sampling_rate == SAMPLE_RATE
    assert extractor.hop_length == HOP
    assert extractor.n_fft == N_FFT
    assert extractor.nb_max_frames == MAX_FRAMES


def test_threads_get_identical_bits() -> None:
    """Tables are built by whoever comes first, without the GIL; every thread must see them whole."""
    clips = [noise(6_400 + 37 * i, seed=i) for i in range(16)]
    alone = [log_mel(clip, 128).data for clip in clips]
    start = threading.Barrier(4)

    def all_clips() -> list[npt.NDArray[np.float32]]:
        start.wait(timeout=60)
        return [log_mel(clip, 128).data for clip in clips]

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(all_clips) for _ in range(4)]:
            for ours, expected in zip(future.result(), alone, strict=True):
                np.testing.assert_array_equal(ours, expected)


def assert_releases_the_gil(call: Callable[[], object]) -> None:
    """With a switch interval that never ends, another thread gets its turn only where `call` lets go of the GIL."""
    gate = threading.Lock()
    passed = threading.Event()

    def wait_at_the_gate() -> None:
        with gate:
            passed.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e3)
    try:
        with gate:
            other = threading.Thread(target=wait_at_the_gate)
            other.start()
        released = any(call() is not None and passed.is_set() for _ in range(1_000))
    finally:
        sys.setswitchinterval(before)
    other.join(timeout=60)
    assert released


def test_other_threads_run_meanwhile() -> None:
    samples = noise(96_000)
    assert_releases_the_gil(lambda: log_mel(samples))


def test_input_is_left_alone() -> None:
    samples = noise(6_400)
    before = samples.copy()
    samples.flags.writeable = False
    log_mel(samples)
    np.testing.assert_array_equal(samples, before)


UNREADABLE = [
    pytest.param(np.zeros(800), "float32, not float64", id="float64"),
    pytest.param(np.zeros(800, np.int16), "float32, not int16", id="int16"),
    pytest.param(np.zeros(800, ">f4"), "float32, not >f4", id="foreign byte order"),
    pytest.param(np.zeros((2, 800), np.float32), "one dimension", id="two channels"),
    pytest.param(np.zeros((), np.float32), "one dimension", id="scalar"),
    pytest.param(np.zeros(800, np.float32)[::2], "contiguous", id="strided"),
    pytest.param(np.zeros(800, np.float32)[::-1], "contiguous", id="reversed"),
    pytest.param(np.frombuffer(bytes(3_201), np.float32, 800, offset=1), "aligned", id="unaligned"),
]
"""Arrays of the wrong type or layout, and what is said of them."""

BAD_LENGTHS = [
    pytest.param(np.zeros(0, np.float32), "1 to 480000", id="empty"),
    pytest.param(np.zeros(480_001, np.float32), "1 to 480000", id="over 30 s"),
]


@pytest.mark.parametrize(("samples", "message"), UNREADABLE + BAD_LENGTHS)
def test_refuses_what_it_cannot_read(samples: Samples, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_mel(samples)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 799, 1_599])
def test_refuses_samples_that_are_not_finite(value: float, place: int) -> None:
    samples = noise(1_600)
    samples[place] = value
    with pytest.raises(ValueError, match="finite"):
        log_mel(samples)


@pytest.mark.parametrize("n_mels", [-1, 0, 79, 81, 256])
def test_refuses_other_filter_banks(n_mels: int) -> None:
    with pytest.raises(ValueError, match="80 or 128"):
        log_mel(noise(800), n_mels)


def test_refuses_what_is_no_array() -> None:
    with pytest.raises(TypeError):
        log_mel([0.0] * 800)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1e-30, 1e18, 3e38])
def test_extreme_but_finite_samples_stay_finite(scale: float) -> None:
    """Powers of float32's largest values still fit float64."""
    assert np.isfinite(log_mel(np.sign(noise(8_000)) * np.float32(scale)).data).all()
