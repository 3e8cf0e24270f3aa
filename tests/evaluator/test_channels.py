"""Evaluations of recordings with several channels: whose row is which, and comparisons of one sound with one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from sqe_fast import Timeline
from sqe_fast.audio import Channels
from sqe_fast.errors import ErrorCode
from sqe_fast.results import Evaluation
from tests.support.fake_evaluator import RATE, Source, fake_evaluator, fake_runner, silence, sound


def stereo(*seeds: int, seconds: float = 1.0) -> Source:
    return np.stack([sound(seed, seconds)[0] for seed in seeds], axis=1), RATE


def alone(seed: int, channel: int | None, seconds: float = 1.0) -> Evaluation:
    [evaluation] = fake_evaluator().evaluate([sound(seed, seconds)])
    return replace(evaluation, channel=channel)


def rows(evaluations: Iterable[Evaluation]) -> list[dict[str, object]]:
    return [evaluation.to_row() for evaluation in evaluations]


MIXED: list[object] = [sound(1), stereo(2, 3), b"bad", stereo(4, 4), stereo(5, 6, 7), "absent.wav", sound(8)]
PLACES = [(0, None), (1, 0), (1, 1), (2, None), (3, None), (4, 0), (4, 1), (4, 2), (5, None), (6, None)]


def test_rows_stand_in_the_order_of_their_sources_and_say_which() -> None:
    """Names and ratings that were zipped, and are another recording's behind the first with two talkers."""
    found = fake_evaluator().evaluate(MIXED)  # type: ignore[arg-type]
    assert [(each.source, each.channel) for each in found] == PLACES
    assert [each.error is not None for each in found] == [place in (2, 5) for place, _ in PLACES]
    for each, seed in zip([found[n] for n in (0, 1, 2, 4, 5, 6, 7, 9)], range(1, 9), strict=True):
        assert each == alone(seed, each.channel)
    one_by_one = fake_evaluator(fake_runner(slots=1)).iter_evaluate(MIXED)  # type: ignore[arg-type]
    assert rows(one_by_one) == rows(found)


def test_an_event_loop_gets_the_same_rows() -> None:
    found = asyncio.run(fake_evaluator().aevaluate(MIXED))  # type: ignore[arg-type]
    assert [(each.source, each.channel) for each in found] == PLACES
    assert rows(found) == rows(fake_evaluator().evaluate(MIXED))  # type: ignore[arg-type]
    with fake_evaluator().batch() as batch:
        futures = [batch.submit(source) for source in MIXED]  # type: ignore[arg-type]
        assert rows(row for future in futures for row in future.result()) == rows(found)


@pytest.mark.parametrize(
    ("channels", "expected"), [("auto", [0, 1]), ("mix", [None]), ("each", [0, 1]), (0, [0]), (1, [1])]
)
def test_choices(channels: Channels, expected: list[int | None]) -> None:
    [*found] = fake_evaluator().evaluate([stereo(1, 2)], channels=channels)
    assert [each.channel for each in found] == expected
    if channels != "mix":
        assert found == [alone(1 + channel, channel) for channel in expected if channel is not None]
    else:
        mean = stereo(1, 2)[0].astype(np.float64).mean(axis=1).astype(np.float32)
        assert found == fake_evaluator().evaluate([(mean, RATE)])


def test_each_channel_has_its_own_timeline_and_words() -> None:
    source = stereo(1, 2, seconds=40.0)
    both = fake_evaluator().evaluate([source], timeline=Timeline(5.0, 5.0))
    for channel, each in enumerate(both):
        samples = (np.ascontiguousarray(source[0][:, channel]), RATE)
        [expected] = fake_evaluator().evaluate([samples], timeline=Timeline(5.0, 5.0))
        assert len(each.timeline) == 8
        assert each == replace(expected, channel=channel)


def test_what_is_wrong_with_one_channel_costs_its_own_row() -> None:
    quiet = np.stack([sound(1)[0], silence(1)[0]], axis=1), RATE
    talking, silent = fake_evaluator().evaluate([quiet], channels="each")
    assert (talking.ratings is None, silent.ratings is None, silent.flags) == (False, True, ("silent",))
    first, second = fake_evaluator().evaluate([sound(1), stereo(2, 3)], channels=1)
    assert first.error is not None
    assert first.error.code is ErrorCode.NO_SUCH_CHANNEL
    assert second == alone(3, 1)


def test_a_choice_that_is_none_is_refused_at_once() -> None:
    evaluator = fake_evaluator()
    for call in (evaluator.iter_evaluate, evaluator.evaluate):
        with pytest.raises(ValueError, match="auto, mix, each"):
            call([sound(1)], channels="left")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="auto, mix, each"):
        evaluator.batch(channels=-1)


def test_a_comparison_needs_one_sound_of_each() -> None:
    """Two talkers averaged without a word, or one of them left out."""
    evaluator, apart = fake_evaluator(), stereo(2, 3)
    for pair in ((sound(1), apart), (apart, sound(1))):
        comparison = evaluator.compare(*pair)
        assert (comparison.winner, comparison.probability, comparison.description) == (None, None, None)
        refused = comparison.b if pair[1] is apart else comparison.a
        assert refused.error is not None
        assert refused.error.code is ErrorCode.CHANNELS_DIFFER
        assert "0 and 1" in refused.error.message
    chosen = evaluator.compare(apart, stereo(4, 5), channels=1)
    plain = evaluator.compare(sound(3), sound(5))
    assert (chosen.winner, chosen.probability, chosen.description) == (
        plain.winner,
        plain.probability,
        plain.description,
    )
    assert (chosen.a.channel, chosen.b.channel) == (1, 1)
    assert evaluator.compare(apart, sound(1), channels="mix").winner is not None
    assert evaluator.compare(stereo(2, 2), sound(1)) == evaluator.compare(sound(2), sound(1))
    with pytest.raises(ValueError, match="each"):
        evaluator.compare(apart, apart, channels="each")
