"""Two responses after two prompts: what is scored, and that both sides meet on the same tokens."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sqe_fast.answer.argument import ASPECTS
from sqe_fast.answer.template import IM_END, PromptBuilder, conclusion
from tests.support.small_tokenizer import small_tokenizer
from tests.support.training_rows import FakeClips, rows
from training.language.scale import shown
from training.learning.examples import IGNORED
from training.learning.preference import PreferenceBatch, PreferenceSampler, draw_questions, preference_batch, scored
from training.learning.sampling import Question


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(small_tokenizer())


def described(prompts: PromptBuilder, question: Question, text: str) -> tuple[int, ...]:
    return prompts.rate_answer(question.clips[0], text)


def batch_of(prompts: PromptBuilder, count: int = 3, text: str = "The voice is clear.") -> PreferenceBatch:
    questions = [Question("describe", (row,)) for row in rows(count)]
    return preference_batch(
        prompts, questions, [described(prompts, question, text) for question in questions], np.random.default_rng(0)
    )


def kept(response: tuple[int, ...], marks: tuple[bool, ...]) -> list[int]:
    return [token for token, mark in zip(response, marks, strict=True) if mark]


def test_of_a_description_newline_and_numbers_are_forced(prompts: PromptBuilder) -> None:
    question = Question("describe", (rows(1)[0],))
    response = described(prompts, question, "A MOS of 3.4 and 3.4.")
    expected = [*prompts.line(question.clips[0]), *prompts.encode("A MOS of"), *prompts.encode(f" and.{IM_END}")]
    assert kept(response, scored(prompts, question, response)) == expected
    cut_off = response[:9]
    assert scored(prompts, question, cut_off) == scored(prompts, question, response)[:9]
    with pytest.raises(ValueError, match="template at token 5"):
        scored(prompts, question, response[1:])


def test_of_a_comparison_verdict_and_reasons_are_the_models(prompts: PromptBuilder) -> None:
    question = Question("compare", tuple(rows(2)))
    reasons = f"{ASPECTS['noisiness']} Speech A is cleaner than Speech B."
    for verdict in ("A", "B", "tie"):
        response = prompts.compare_answer(*question.clips, verdict, reasons)  # type: ignore[arg-type]
        expected = [
            prompts.verdict_ids[verdict],
            *prompts.encode(f" {ASPECTS['noisiness']} Speech"),  # A follows from the ratings
            *prompts.encode(f" is cleaner than Speech B.{IM_END}"),
        ]
        assert kept(response, scored(prompts, question, response)) == expected
    at = len(prompts.compare_head(*question.clips))
    assert conclusion("A", *(shown(row)["mos"] for row in question.clips))
    with pytest.raises(ValueError, match="verdict at token"):
        scored(prompts, question, response[:at])
    with pytest.raises(ValueError, match="template"):
        scored(prompts, question, (*response[: at + 1], *prompts.encode("\nSomething else.")))


def test_both_sides_score_the_same_tokens_after_prompts_of_other_lengths(prompts: PromptBuilder) -> None:
    batch = batch_of(prompts)
    firsts = [[int((row != IGNORED).nonzero()[0]) for row in side.targets] for side in (batch.student, batch.teacher)]
    assert all(ours != theirs for ours, theirs in zip(*firsts, strict=True))
    for ours, theirs in zip(batch.student.targets, batch.teacher.targets, strict=True):
        assert ours[ours != IGNORED].tolist() == theirs[theirs != IGNORED].tolist()
    ours, theirs = batch.student, batch.teacher
    assert ours.tokens[ours.targets != IGNORED].shape == theirs.tokens[theirs.targets != IGNORED].shape
    # The token that sees the first target is the prompt's last on either side: the newline.
    for side, starts in zip((ours, theirs), firsts, strict=True):
        assert {int(side.tokens[i, start]) for i, start in enumerate(starts)} == set(prompts.encode("\n"))


def test_each_clip_stands_in_a_batch_once(prompts: PromptBuilder) -> None:
    batch = batch_of(prompts)
    assert [row["seed"] for row in batch.student.clips] == [0, 1, 2]
    assert batch.teacher.clips == ()
    assert len(batch.student.tokens) == 6


def test_other_tokens_or_other_counts_are_refused(prompts: PromptBuilder) -> None:
    batch = batch_of(prompts)
    for change in ("token", "count"):
        targets = batch.teacher.targets.clone()
        at = (targets[1] != IGNORED).nonzero()[2]
        targets[1, at] = IGNORED if change == "count" else targets[1, at] + 1
        with pytest.raises(ValueError, match="same response tokens"):
            PreferenceBatch(batch.student, replace(batch.teacher, targets=targets))


def test_a_prompt_that_could_swallow_the_answers_first_token_is_refused(
    prompts: PromptBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = type(prompts).turn
    monkeypatch.setattr(type(prompts), "turn", lambda self, user: turn(self, user)[:-1])
    with pytest.raises(ValueError, match="newline"):
        batch_of(prompts)


def test_batches_cover_the_questions_and_can_be_built_again(prompts: PromptBuilder) -> None:
    questions = draw_questions(FakeClips(8), 0)  # type: ignore[arg-type]
    assert [question.task for question in questions] == ["describe"] * 8 + ["compare"] * 2
    sampled = {}
    for i, question in enumerate(questions):
        text = f"{'Clear. ' * (i + 1)}"
        compared = question.task == "compare"
        sampled[i] = (
            prompts.compare_answer(*question.clips, "tie", text) if compared else described(prompts, question, text)
        )
    first, again = (PreferenceSampler(prompts, questions, sampled, 3, 5) for _ in range(2))
    heard = []
    for index in range(len(first.epochs.of(0))):
        assert torch.equal(first(index).student.tokens, again(index).student.tokens)
        heard += [row["seed"] for row in first(index).student.clips]
    assert sorted(heard) == sorted(row["seed"] for question in questions for row in question.clips)
    assert draw_questions(FakeClips(8), 0, limit=1) == questions[:1]  # type: ignore[arg-type]
