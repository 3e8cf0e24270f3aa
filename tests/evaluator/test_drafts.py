"""Drafts with the bundled model: no bit of an answer changes, and passes are saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sqe_fast import Evaluator
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.folder import BUNDLED, open_checkpoint
from sqe_fast.options import Serving
from sqe_fast.runners import open_runner
from tests.golden.clips import golden_clips

pytestmark = pytest.mark.skipif(
    not (BUNDLED / "tiny" / "model.safetensors").is_file(), reason="the bundled model is not in this tree"
)
READS = 4
"""Passes that ratings take; a list takes none, as the bundled model has no stock."""


class Undrafted(PromptBuilder):
    @property
    def follows(self) -> None:  # type: ignore[override]
        return None


def opened(device: str, builder: type[PromptBuilder] = PromptBuilder) -> Evaluator:
    checkpoint = open_checkpoint("tiny")
    prompts = checkpoint.prompts()
    runner = open_runner(checkpoint.folder, Serving(device=device, slots=4))
    return Evaluator(runner, builder(prompts.tokenizer, prompts.stock, prompts.written), model=checkpoint.model)


@pytest.fixture(scope="module")
def clips() -> list[Any]:
    """None of them is among those whose texts the table was counted from."""
    return list(golden_clips().values())


def test_the_same_with_and_without(clips: list[Any]) -> None:
    """Ratings, causes and words, to the last bit."""
    with opened("cpu") as drafted, opened("cpu", Undrafted) as plain:
        for clip in clips:
            assert drafted.evaluate([clip]) == plain.evaluate([clip])
        assert plain.evaluate(clips) == drafted.evaluate(clips)
        assert drafted.trace().decode_tokens == plain.trace().decode_tokens


@pytest.mark.xfail(reason="2.58: the bundled model's texts are half as long as those of the one before it")
def test_prose_takes_a_third_of_the_passes(clips: list[Any]) -> None:
    """At least three tokens of prose in each pass."""
    assert tokens_a_pass(clips) >= 3


def test_prose_takes_fewer_passes(clips: list[Any]) -> None:
    assert tokens_a_pass(clips) >= 2.5


def tokens_a_pass(clips: list[Any]) -> float:
    """Of prose, once more is written than the verifier waits for."""
    with opened("cpu") as drafted:
        drafted.evaluate(clips)
        passes = tokens = 0
        for clip in clips:
            drafted.evaluate([clip])
            passes += drafted.trace().decode_steps - READS
            tokens += drafted.trace().decode_tokens - READS
        return tokens / passes


def test_arguments_are_the_same_with_and_without(clips: list[Any]) -> None:
    with opened("cpu") as drafted, opened("cpu", Undrafted) as plain:
        there, back = drafted.rank(clips, describe=True), plain.rank(clips, describe=True)
    assert there == back
    assert [each.description for each in there[:-1]] == [each.description for each in back[:-1]]


def test_torch_says_the_same_words(clips: list[Any]) -> None:
    """Its matrix products may round otherwise for another number of rows: words are promised, not bits."""
    with opened("torch-cpu") as drafted, opened("torch-cpu", Undrafted) as plain:
        there, back = drafted.evaluate(clips[:4]), plain.evaluate(clips[:4])
    assert [each.description for each in there] == [each.description for each in back]
    assert [[cause.name for cause in each.causes] for each in there] == [[c.name for c in each.causes] for each in back]
    unread = {"ratings": None, "causes": ()}
    assert [replace(each, **unread) for each in there] == [replace(each, **unread) for each in back]


def test_the_verifier_is_opened_where_it_pays(clips: list[Any]) -> None:
    """It holds the weights once more: not for ratings alone, nor for a single description."""
    with opened("cpu") as evaluator:
        runner: Any = evaluator._driver.engine.runner
        evaluator.evaluate(clips, describe=False)
        evaluator.evaluate(clips[:1])
        assert runner._verifier is None
        evaluator.evaluate(clips)
        assert runner._verifier is not None
