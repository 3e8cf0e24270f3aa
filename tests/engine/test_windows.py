"""Recordings over 30 s: how windows become one row, which window stands for the whole, and what is not heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sqe_fast import audio
from sqe_fast.answer.causes import MOST
from sqe_fast.answer.sentences import NOBODY_SPEAKS, not_heard
from sqe_fast.audio.features import SAMPLE_RATE
from sqe_fast.engine.pipeline import Score, combine, combine_causes, typical
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import DIMENSIONS, RATINGS, Cause, Ratings, Stretch
from tests.support.audio_samples import music, noise
from tests.support.fake_evaluator import (
    LISTING,
    PROMPTS,
    RATE,
    SAID,
    Source,
    fake_evaluator,
    fake_runner,
    gather,
    joined,
    prose,
    silence,
    sound,
)
from tests.support.not_speech import cadence


def rated(mos: float, *, std: float = 0.0, noisiness: float = 3.0) -> Ratings:
    return Ratings(noisiness, 2.0, 3.0, 4.0, mos, std)


def in_a_room(source: Source) -> Source:
    """Its pauses are not quite silent, so that what is cut in one is heard to its edge."""
    samples, rate = source
    return samples + noise(len(samples) / rate, 3e-4), rate


def windows_of(source: Source, count: int) -> list[Source]:
    samples, rate = source
    edges = [i * len(samples) // count for i in range(count + 1)]
    return [(samples[a:b], rate) for a, b in pairwise(edges)]


def test_ratings_are_means_weighted_by_active_speech() -> None:
    """A plain mean gives a rest of one second the weight of half a minute, and a pause that of speech."""
    whole = combine([Score(0, 30.0, rated(4.0, noisiness=5.0)), Score(1, 10.0, rated(2.0, noisiness=1.0))])
    assert whole.mos == pytest.approx(3.5)
    assert whole.noisiness == pytest.approx(4.0)
    assert (whole.coloration, whole.discontinuity, whole.loudness) == pytest.approx((2.0, 3.0, 4.0))


def test_the_spread_is_that_of_the_mixture() -> None:
    """Averaged deviations hide that the windows differ; a deviation of means hides that the model is unsure."""
    values = np.array([1.0, 5.0])
    halves = [Score(0, 1.0, rated(2.0, std=0.6)), Score(1, 3.0, rated(4.0, std=0.2))]
    rng = np.random.default_rng(0)
    draws = np.concatenate([rng.normal(2.0, 0.6, 100_000), rng.normal(4.0, 0.2, 300_000)])
    assert combine(halves).mos_std == pytest.approx(draws.std(), abs=0.01)
    assert combine([Score(n, 1.0, rated(value)) for n, value in enumerate(values)]).mos_std == pytest.approx(2.0)


def test_one_window_is_left_as_it_is() -> None:
    """Rounding noise on every short clip; a mean over nothing."""
    only = rated(1 / 3, std=0.1)
    assert combine([Score(0, 7.7, only)]) is only
    with pytest.raises(ValueError, match="nothing was scored"):
        combine([])


def cause(name: str, probability: float, dimension: str = "noisiness") -> Cause:
    return Cause(name, dimension, probability)


def test_a_cause_weighs_by_how_long_it_is_heard() -> None:
    """A hum of one second in half a minute as probable as if it went on; a plain mean over those that heard it."""
    scores = [
        Score(0, 30.0, rated(4.0), (cause("hum", 0.8),)),
        Score(1, 10.0, rated(2.0), (cause("hum", 0.6), cause("wind", 0.8))),
    ]
    assert combine_causes(scores) == (cause("hum", pytest.approx(0.75)), cause("wind", pytest.approx(0.2)))
    assert combine_causes(scores) == combine_causes(scores[::-1])


def test_the_cause_that_costs_most_comes_first() -> None:
    """The likeliest first, though its dimension is hardly worse for it."""
    clean, noisy = rated(4.0, noisiness=4.8), rated(2.0, noisiness=1.2)
    scores = [
        Score(0, 20.0, clean, (cause("wind", 0.9),)),
        Score(1, 10.0, noisy, (cause("hum", 0.9),)),
    ]
    assert [each.name for each in combine_causes(scores)] == ["hum", "wind"]


def test_the_causes_of_one_window_are_left_as_they_are() -> None:
    only = tuple(cause(name, 0.5) for name in "zyx")
    assert combine_causes([Score(0, 7.7, rated(3.0), only)]) is only
    many = [Score(n, 1.0, rated(3.0), (cause(f"{n}", 0.9),)) for n in range(9)]
    assert len(combine_causes(many)) == MOST


def test_the_typical_window_is_nearest_to_the_mean() -> None:
    """The best or the worst window described with the ratings of the whole; an index that ignores skipped windows."""
    scores = [Score(window, 1.0, rated(mos)) for window, mos in ((0, 1.0), (2, 3.4), (3, 4.6), (5, 2.6))]
    assert typical(scores) == 5  # the mean is 2.9, 0.3 above it and 0.5 below the next
    assert typical(scores[:1]) == 0
    assert typical([Score(4, 1.0, rated(2.0)), Score(7, 1.0, rated(4.0))]) == 4


def test_a_long_recording_is_the_mean_of_its_windows() -> None:
    """Windows rated twice, left out, or weighted by their place."""
    source = in_a_room(joined(sound(1, 25), sound(2, 25), sound(3, 25)))
    [whole] = fake_evaluator().evaluate([source])
    parts = fake_evaluator().evaluate(windows_of(source, 3), describe=False)
    weights = [clip.weight for clip in audio.load(source).windows()]
    assert len(weights) == 3
    assert min(weights) > 20
    assert "windowed" in whole.flags
    assert whole.duration == 75.0
    for name in (*DIMENSIONS, "mos"):
        mean = np.average([getattr(part, name) for part in parts], weights=weights)
        assert getattr(whole, name) == pytest.approx(mean)


def test_a_long_recording_is_described_by_its_final_ratings() -> None:
    """Words written for one window's ratings, beside the numbers of the whole."""
    source = in_a_room(joined(sound(1, 25), sound(2, 25), sound(3, 25)))
    runner = fake_runner()
    [whole] = fake_evaluator(runner).evaluate([source])
    parts = fake_evaluator().evaluate(windows_of(source, 3), describe=False)
    assert whole.ratings is not None
    assert whole.description == SAID.replace("1.0", f"{whole.ratings.mos:.1f}")
    describing = runner.prefilled[-1]
    assert describing.tokens == PROMPTS.describe(625, whole.ratings).tokens
    assert len(runner.prefilled) == 4
    # It hears the window whose MOS is nearest to the mean.
    nearest = min(range(3), key=lambda n: abs((parts[n].mos or 0) - (whole.mos or 0)))
    alone = fake_runner()
    fake_evaluator(alone).evaluate(windows_of(source, 3)[nearest : nearest + 1], describe=False)
    start = describing.tokens.index(PROMPTS.audio_token_id)
    assert runner.memory[0][start] == alone.memory[0][start]


def test_a_long_recording_is_described_under_its_causes() -> None:
    """The list of one window over the words for the whole."""
    source = in_a_room(joined(sound(1, 25), sound(2, 25), sound(3, 25)))
    runner = fake_runner()
    [whole] = fake_evaluator(runner, LISTING).evaluate([source])
    parts = fake_evaluator(prompts=LISTING).evaluate(windows_of(source, 3), describe=False)
    heard = {each.name for part in parts for each in part.causes}
    assert len(heard) > len(parts[0].causes) > 0
    assert {each.name for each in whole.causes} <= heard
    assert len(whole.causes) == min(MOST, len(heard))
    assert whole.ratings is not None
    names = [each.name for each in whole.causes]
    assert runner.prefilled[-1].tokens == LISTING.describe(625, whole.ratings, names).tokens


def test_windows_share_passes_with_the_other_clips() -> None:
    """A recording that is finished before the next clip may begin leaves the batch empty at its end."""
    runner = fake_runner(slots=5)
    evaluator = fake_evaluator(runner)
    gather(evaluator, runner, 4)
    sources = [joined(sound(1, 30), sound(2, 20)), sound(3), sound(4)]
    evaluations = evaluator.evaluate(sources, describe=False)
    assert [len(rows) for rows in runner.decoded] == [4] * 4
    assert evaluations == [fake_evaluator().evaluate([source], describe=False)[0] for source in sources]


def cuts_of(source: Source) -> list[audio.Clip]:
    return list(audio.load(source).windows())


def test_silence_around_is_not_heard() -> None:
    """A pause rated as speech, or as a five for its clean background."""
    source = joined(silence(30), sound(1, 20), silence(30))
    [clip] = cuts_of(source)
    runner = fake_runner()
    [whole] = fake_evaluator(runner).evaluate([source])
    [alone] = fake_evaluator().evaluate([(clip.samples, RATE)], describe=False)
    assert clip.duration == pytest.approx(20.0, abs=0.1)
    assert len(runner.encoded) == 1
    assert whole.ratings == alone.ratings
    assert whole.description == SAID.replace("1.0", f"{whole.mos:.1f}")
    assert whole.flags == ()
    assert whole.duration == 80.0
    assert [stretch.kind for stretch in whole.no_speech] == ["pause", "pause"]


def test_what_was_said_around_a_long_pause_is_all_heard() -> None:
    """A window that a pause silences, and all that was said in it."""
    source = joined(sound(1, 20), silence(8), sound(2, 12))
    runner = fake_runner()
    [whole] = fake_evaluator(runner).evaluate([source], describe=False)
    assert len(runner.encoded) == 2
    assert whole.flags == ("windowed",)
    [pause] = whole.no_speech
    assert (pause.start, pause.end) == (pytest.approx(20, abs=0.5), pytest.approx(28, abs=0.5))


def test_a_call_of_a_few_sentences_rates_as_they_do() -> None:
    """A window with one word in it weighs as much as one full of speech."""
    source = joined(sound(1, 5), silence(20), sound(2, 10), silence(20), sound(3, 5))
    clips = cuts_of(source)
    parts = fake_evaluator().evaluate([(clip.samples, RATE) for clip in clips], describe=False)
    [whole] = fake_evaluator().evaluate([source], describe=False)
    assert [clip.weight for clip in clips] == [pytest.approx(seconds, rel=0.2) for seconds in (5, 10, 5)]
    assert whole.mos == pytest.approx(np.average([part.mos or 0 for part in parts], weights=[1, 2, 1]), abs=0.05)


def test_beeps_after_a_call_have_no_part_in_its_ratings() -> None:
    """Two minutes of beeps rated as lost packets, five times as heavy as what was said."""
    beeps = cadence("recording beep", 120, np.random.default_rng(0)) * np.float32(0.1), RATE
    source = joined(sound(1, 20), beeps)
    [clip] = cuts_of(source)
    [whole] = fake_evaluator().evaluate([source])
    [alone] = fake_evaluator().evaluate([(clip.samples, RATE)], describe=False)
    assert whole.ratings == alone.ratings
    [stretch] = whole.no_speech
    assert stretch.kind == "sound"
    assert stretch.start == pytest.approx(20, abs=0.5)
    assert stretch.end == 140.0
    assert whole.description is not None
    assert whole.description.endswith(" Nobody speaks from 20.3 s to 2:20: what is heard there is not rated.")


@pytest.mark.parametrize("source", [(music(12), RATE), (noise(40), RATE)], ids=["music", "noise"])
def test_of_what_holds_no_speech_no_voice_is_described(source: Source) -> None:
    """A voice described that nobody hears; windows without speech, divided by nothing."""
    clips = cuts_of(source)
    [whole] = fake_evaluator().evaluate([source])
    parts = fake_evaluator().evaluate([(clip.samples, RATE) for clip in clips], describe=False)
    assert "no_speech" in whole.flags
    assert whole.error is None
    assert whole.mos == pytest.approx(np.mean([part.mos or 0 for part in parts]), abs=1e-6)
    assert whole.description == NOBODY_SPEAKS
    [stretch] = whole.no_speech
    assert (stretch.start, stretch.end, stretch.kind) == (0.0, whole.duration, "sound")
    [quiet] = fake_evaluator().evaluate([source], describe=False)
    assert quiet.description is None


def test_a_long_silence_is_silent() -> None:
    """A recording without a single heard window must not be divided by nothing."""
    [whole] = fake_evaluator().evaluate([silence(70)])
    assert whole.ratings is None
    assert whole.error is None
    assert whole.flags.count("silent") == 1
    assert [stretch.kind for stretch in whole.no_speech] == ["pause"]


def test_a_sentence_names_a_few_stretches() -> None:
    """A call of a hundred hold melodies told in full; pauses told as something to hear."""
    sounds = [Stretch(60.0 * n, 60.0 * n + 7, "sound") for n in range(5)]
    assert not_heard([Stretch(0.0, 9.0, "pause")]) is None
    assert not_heard([sounds[0], Stretch(8.0, 30.0, "pause"), sounds[1]]) == (
        "Nobody speaks from 0.0 s to 7.0 s and from 1:00 to 1:07: what is heard there is not rated."
    )
    assert "from 2:00 to 2:07 and in 2 more stretches: what" in str(not_heard(sounds))


def recordings_with(windows: Any) -> Any:
    """audio.recordings, but the windows of each come from `windows(original)`."""
    recordings = audio.recordings

    def changed(source: Any, channels: audio.Channels, **options: Any) -> list[audio.Recording]:
        [recording] = recordings(source, channels, **options)
        return [replace(recording, _windows=lambda: windows(recording.windows()))]

    return changed


def test_a_recording_that_breaks_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a recording's mean passed on as the whole's."""

    def broken(windows: Iterator[audio.Clip]) -> Iterator[audio.Clip]:
        yield next(windows)
        raise ClipError(ErrorCode.UNREADABLE, "the file changed while it was being scored")

    source, other = joined(sound(1, 30), sound(2, 30)), sound(3)
    expected = fake_evaluator().evaluate([other])
    monkeypatch.setattr(audio, "recordings", recordings_with(broken))
    whole = fake_evaluator().evaluate([source])[0]
    assert whole.error is not None
    assert whole.error.code is ErrorCode.UNREADABLE
    assert whole.ratings is None
    assert whole.description is None
    monkeypatch.undo()
    assert fake_evaluator().evaluate([other]) == expected


def test_a_recording_of_which_a_window_failed_has_no_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of what could be heard passed on as the whole's; or an error that a later window's success wipes out."""
    long, short = (next(audio.load(sound(seed, seconds)).windows()) for seed, seconds in ((1, 30), (2, 5)))
    monkeypatch.setattr(audio, "recordings", recordings_with(lambda _: iter([long, short])))
    room = len(PROMPTS.rate(125, describe=False).tokens) + len(RATINGS)
    [whole] = fake_evaluator(fake_runner(max_length=room)).evaluate([sound(3)], describe=False)
    assert whole.error is not None
    assert whole.error.code is ErrorCode.TOO_LONG
    assert whole.ratings is None


def test_windows_are_pulled_only_a_little_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ten-hour recording decoded into memory before its first window is rated."""
    pulled: list[int] = []
    runner = fake_runner(slots=2)
    clip = next(audio.load(sound(1, 30)).windows())

    def many(_: Iterator[audio.Clip]) -> Iterator[audio.Clip]:
        for _index in range(60):
            pulled.append(len(runner.prefilled))
            yield clip

    monkeypatch.setattr(audio, "recordings", recordings_with(many))
    [whole] = fake_evaluator(runner).evaluate([joined(sound(1, 30), sound(2, 30))], describe=False)
    assert len(pulled) == 60
    ahead = [index - prefilled for index, prefilled in enumerate(pulled)]
    assert max(ahead) <= 2 * 2
    assert whole.ratings is not None


def test_a_failed_description_of_a_long_recording_keeps_its_ratings() -> None:
    """The last of many requests failing must not cost the row what the others found."""
    endless = fake_evaluator(fake_runner(script=prose("The voice", stops=False)))
    source = joined(sound(1, 20), sound(2, 20))
    [whole] = endless.evaluate([source])
    [plain] = fake_evaluator().evaluate([source], describe=False)
    assert whole.error is not None
    assert whole.error.code is ErrorCode.GENERATION_FAILED
    assert whole.ratings == plain.ratings


def test_windows_are_16_khz() -> None:
    """The fake sounds and the real windows must speak of the same rate."""
    assert RATE == SAMPLE_RATE
