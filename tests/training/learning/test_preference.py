"""Two responses after two prompts: what is scored, and that both sides meet on the same tokens."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from sqe_fast.answer.argument import conclusion, gaps
from sqe_fast.answer.program import Read, Write
from sqe_fast.answer.scale import shown, verdict
from sqe_fast.answer.template import PromptBuilder
from tests.support.answers import answered
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips, rows
from training.learning.examples import IGNORED
from training.learning.preference import PreferenceBatch, PreferenceSampler, preference_batch
from training.learning.questions import Question, draw_questions


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


def sampled(prompts: PromptBuilder, question: Question, text: str = "The voice is clear.", winner: str = "A") -> tuple:
    """As the engine would draw it: each sentence of an argument in the words of `text`."""
    words = prompts.encode(f" {text}" if question.task == "compare" else text)
    if question.task == "compare":
        return answered(question.program(prompts), (prompts.verdict_ids[winner], *words * 4))  # type: ignore[index]
    listed = (*prompts.line(question.clips[0]), *prompts.listing(["hum"]))
    return answered(question.program(prompts), (*listed, *words, prompts.stop))


def batch_of(
    prompts: PromptBuilder, questions: list[Question] | None = None, text: str = "The voice is clear."
) -> PreferenceBatch:
    questions = questions or [Question((row,)) for row in rows(3)]
    answers = [sampled(prompts, question, text) for question in questions]
    return preference_batch(prompts, questions, answers, np.random.default_rng(0))


def scored(batch: PreferenceBatch, row: int) -> list[int]:
    targets = batch.student.targets[row]
    return targets[targets != IGNORED].tolist()


def test_of_a_description_numbers_are_forced(prompts: PromptBuilder) -> None:
    """y_a: ratings, causes and words are the model's, the MOS in the prose is not."""
    question = Question((rows(1)[0],))
    batch = batch_of(prompts, [question], "A MOS of 1.0 and 1.0.")
    listed = [*prompts.line(question.clips[0]), *prompts.listing(["hum"])]
    assert scored(batch, 1) == [*listed, *prompts.encode("A MOS of"), *prompts.encode(" and."), prompts.stop]
    assert not set(scored(batch, 0)[5:]) & set(prompts.number_ids)


@pytest.mark.parametrize("winner", ["A", "B", "tie"])
def test_of_a_comparison_verdict_and_words_are_the_models(prompts: PromptBuilder, winner: str) -> None:
    """Which dimensions, in which order, who is ahead and how they weigh are forced, for whichever verdict."""
    question = Question(tuple(rows(2)))
    told = len(gaps(*map(shown, question.clips)))
    assert told > 0
    answers = [sampled(prompts, question, "is clear.", winner)]
    batch = preference_batch(prompts, [question], answers, np.random.default_rng(0))
    assert scored(batch, 1) == [prompts.verdict_ids[winner], *prompts.encode(" is clear.") * told]  # type: ignore[index]


def test_what_the_corpus_says_is_scored_where_the_engine_leaves_a_choice(prompts: PromptBuilder) -> None:
    """Of y_t the same is forced as of y_a: conclusion, openings and the last sentence, whichever pair it is."""
    clips = rows(24)
    for pair in pairwise(clips):
        question = Question(pair)
        batch = batch_of(prompts, [question])
        a, b = map(shown, pair)
        [read] = question.program(prompts).steps
        assert isinstance(read, Read)
        better = verdict(a["mos"], b["mos"])
        _, write = read.then[read.candidates.index(prompts.verdict_ids[better])]
        assert isinstance(write, Write)
        opening = prompts.encode(f"\n{conclusion(better, a['mos'], b['mos'])}")
        forced = [*opening, *(token for beginning in write.outline for token in beginning)]
        tokens = batch.student.tokens[0].tolist()
        start = len(question.program(prompts).tokens)
        answer = tokens[start:]
        marks = (batch.student.targets[0] != IGNORED).tolist()[start - 1 :]
        unscored = [token for token, mark in zip(answer, marks, strict=False) if not mark]
        assert unscored[: len(forced) - 1] == forced[:-1]  # the last token is a target only
        assert set(unscored[len(forced) - 1 :]) <= {0}, "padding"


def test_the_argument_of_a_language_model_is_its_own(prompts: PromptBuilder) -> None:
    """It knows nothing of the outline: held to it, it would be refused."""
    a, b = (dict(row) for row in rows(2))
    a["arguments"] = {b["seed"]: "Speech A is the better one, all in all."}
    question = Question((a, b))
    batch = batch_of(prompts, [question])
    expected = [prompts.verdict_ids[verdict(a["mos"], b["mos"])], *prompts.encode(f" {a['arguments'][b['seed']]}")]
    assert scored(batch, 0) == [*expected, prompts.stop]


def test_an_answer_off_the_template_is_refused(prompts: PromptBuilder) -> None:
    """One drawn by another template, or for another question, that is aligned all the same."""
    described, compared = Question((rows(1)[0],)), Question(tuple(rows(2)))
    rng = np.random.default_rng(0)
    for question, place in ((described, 4), (compared, 3)):
        answer = list(sampled(prompts, question))
        del answer[place]
        with pytest.raises(ValueError, match="does not follow the template"):
            preference_batch(prompts, [question], [tuple(answer)], rng)


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
    answers = [sampled(prompts, question, "Clear. " * (i + 1)) for i, question in enumerate(questions)]
    first, again = (PreferenceSampler(prompts, questions, answers, 3, 5) for _ in range(2))
    heard = []
    for index in range(len(first.epochs.of(0))):
        assert torch.equal(first(index).student.tokens, again(index).student.tokens)
        heard += [row["seed"] for row in first(index).student.clips]
    assert sorted(heard) == sorted(row["seed"] for question in questions for row in question.clips)
    assert draw_questions(FakeClips(8), 0, limit=1) == questions[:1]  # type: ignore[arg-type]
