"""The timeline of a recording, and that a live call of the same audio gives the same windows."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from sqe_fast import Evaluator, QualityUpdate, Timeline, WindowRating
from sqe_fast.errors import ErrorCode
from tests.support.audio_samples import encoded, long_speech, music
from tests.support.fake_evaluator import LISTING, MODEL, fake_evaluator, joined, silence, sound
from tests.support.live_calls import CALM


def call(evaluator: Evaluator, samples: np.ndarray, rate: int, frame: int) -> list[WindowRating]:
    """Pushed in frames, as fast as it is heard."""
    with evaluator.stream(rate, alerting=CALM, deadline=1e6) as stream:
        for start in range(0, len(samples), frame):
            stream.push(samples[start : start + frame])
            if start // frame % (rate // frame) == 0:
                stream.settle(60.0)
    updates = [event for event in stream.events() if isinstance(event, QualityUpdate)]
    assert sum(update.dropped for update in updates) == 0
    return [WindowRating(each.start, each.end, each.ratings, each.causes, each.flags) for each in updates]


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_call_equals_the_timeline_of_its_file(rate: int, channels: int) -> None:
    """A resampler, a mix or a log-mel that is another live; windows that stand elsewhere. Equal to the bit: the fake
    model's ratings change with any bit of what it hears."""
    speech = soxr.resample(long_speech(6.3), 16_000, rate)
    samples = speech if channels == 1 else np.stack([speech, 0.8 * np.roll(speech, rate)], 1)
    file = encoded((samples * 32_767).astype(np.int16), rate)
    pcm = (samples * 32_767).astype(np.int16)
    with fake_evaluator(prompts=LISTING) as evaluator:
        [evaluation] = evaluator.evaluate([file], describe=False, timeline=Timeline(), channels="mix")
        assert len(evaluation.timeline) == 6
        assert len({window.ratings for window in evaluation.timeline}) == 6
        for frame in (80, 160, 401, 960):
            assert call(evaluator, pcm, rate, frame) == list(evaluation.timeline)
        as_floats = (pcm / 32_768).astype(np.float32)
        assert call(evaluator, as_floats, rate, 960) == list(evaluation.timeline)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_pieces_of_any_size_with_gaps_between_them_change_nothing(rate: int, channels: int) -> None:
    """Row 28: a window that ends where a piece does, or that a pause of the producer makes another."""
    rng = np.random.default_rng(rate + channels)
    samples = np.resize(long_speech(9.3), (round(9.3 * rate), channels)).astype(np.float32)
    file = encoded((samples * 32_767).astype(np.int16), rate)
    pcm = (samples * 32_767).astype(np.int16)
    sizes = np.r_[np.ones(20, int), np.exp(rng.uniform(0, np.log(100_000), 400)).astype(int)]
    with fake_evaluator(prompts=LISTING) as evaluator:
        [evaluation] = evaluator.evaluate([file], describe=False, timeline=Timeline(), channels="mix")
        with evaluator.stream(rate, alerting=CALM, deadline=1e6) as stream:
            for piece in np.split(pcm, np.cumsum(sizes)):
                stream.push(piece)
                if rng.random() < 0.2:
                    stream.settle(60.0)
        updates = [event for event in stream.events() if isinstance(event, QualityUpdate)]
    found = [WindowRating(each.start, each.end, each.ratings, each.causes, each.flags) for each in updates]
    assert found == list(evaluation.timeline)


def test_the_timeline_changes_no_rating() -> None:
    """A recording rated by its overlapping windows, because somebody looked at them."""
    sources = [sound(1, 3.0), (long_speech(12.0), 16_000), (long_speech(40.0), 16_000)]
    with fake_evaluator() as evaluator:
        plain = evaluator.evaluate(sources, describe=False)
        seen = evaluator.evaluate(sources, describe=False, timeline=Timeline(2.0, 2.0))
    assert [each.ratings for each in plain] == [each.ratings for each in seen]
    assert [len(each.timeline) for each in seen] == [2, 6, 20]
    assert all(each.timeline == () for each in plain)


def test_a_long_description_names_the_worst_stretch() -> None:
    with fake_evaluator() as evaluator:
        [short, long] = evaluator.evaluate(
            [(long_speech(9.0), 16_000), (long_speech(12.0), 16_000)], timeline=Timeline(5.0, 1.0)
        )
    worst = min(long.timeline, key=lambda window: window.ratings.mos)
    assert long.description.endswith(
        f" It is worst from {worst.start:.1f} s to {worst.end:.1f} s, with a MOS of {worst.ratings.mos:.1f}."
    )
    assert "worst" not in short.description


def test_silence_and_music_are_windows_without_ratings() -> None:
    """Windows left out, so that times don't fit; a pause rated."""
    source = joined((long_speech(6.0), 16_000), silence(4.0), (music(8.0), 16_000))
    with fake_evaluator() as evaluator:
        [evaluation] = evaluator.evaluate([source], describe=False, timeline=Timeline(2.0, 2.0))
    windows = {(window.start, window.end): (window.ratings is None, window.flags) for window in evaluation.timeline}
    assert windows[(0.0, 2.0)] == (False, ())
    assert windows[(6.0, 8.0)] == windows[(8.0, 10.0)] == (True, ("silent",))
    assert windows[(12.0, 14.0)] == (True, ("no_speech",))
    assert len(windows) == 9


def test_a_silent_or_unusable_source_has_its_timeline_or_its_error() -> None:
    with fake_evaluator() as evaluator:
        quiet, short = evaluator.evaluate([silence(3.0), sound(0, 0.1)], timeline=Timeline(1.0, 1.0))
    assert [window.flags for window in quiet.timeline] == [("silent",)] * 3
    assert quiet.error is None
    assert short.error is not None
    assert short.error.code is ErrorCode.TOO_SHORT
    assert short.timeline == ()


def test_rows_of_a_timeline() -> None:
    with fake_evaluator() as evaluator:
        [evaluation] = evaluator.evaluate([sound(3, 1.0)], timeline=Timeline(1.0, 1.0))
    [row] = [window.to_row() for window in evaluation.timeline]
    assert list(row)[:4] == ["start", "end", "mos", "mos_std"]
    assert row["mos"] == round(evaluation.timeline[0].ratings.mos, 3)
    assert evaluation.model == MODEL
