"""Answers drawn from the audio model: of the template, the same whatever stands beside them, kept and resumed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sqe_fast.answer.causes import END, MOST
from sqe_fast.answer.program import MAX_DESCRIPTION_TOKENS, chosen
from sqe_fast.answer.template import PromptBuilder
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips
from training.configs import Sampling
from training.learning import sampling
from training.learning.questions import Question, draw_questions
from training.learning.sampling import Asked, read_sampled, sample
from training.learning.stage import write_checkpoint

SEED = 3
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


@pytest.fixture(scope="module")
def clips() -> FakeClips:
    return FakeClips(6)


@pytest.fixture(scope="module")
def questions(clips: FakeClips) -> list[Question]:
    return draw_questions(clips, 0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def checkpoint(prompts: PromptBuilder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, folder = listening_model(prompts), tmp_path_factory.mktemp("sft")
    with torch.no_grad():
        model.decoder.head.weight *= 8  # far from uniform
    write_checkpoint(model, prompts, folder, {})
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def answers(
    checkpoint: Path, prompts: PromptBuilder, clips: FakeClips, questions: list[Question]
) -> list[tuple[int, ...]]:
    return drawn(checkpoint, prompts, Asked(clips, questions, checkpoint.parent / "sampled.jsonl"))  # type: ignore[arg-type]


def drawn(checkpoint: Path, prompts: PromptBuilder, asked: Asked, seed: int = SEED) -> list[tuple[int, ...]]:
    sample(checkpoint, prompts, [asked], Sampling(), seed, CPU)
    return read_sampled(asked.file)


def test_a_description_follows_the_template(answers: list[tuple[int, ...]], prompts: PromptBuilder) -> None:
    for answer in answers[:6]:
        end = answer.index(prompts.cause_ids[END])
        line, listed, prose = answer[:5], answer[5:end], answer[end + 1 :]
        assert set(line) <= set(prompts.number_ids)
        assert set(listed) <= set(prompts.cause_ids.values())
        assert len(listed) <= MOST
        assert 1 <= len(prose) <= MAX_DESCRIPTION_TOKENS
        assert set(prose[:-1]) <= prompts.prose_ids
        assert {token for token in prose if token in prompts.number_ids} <= {line[-1]}
        assert len(prose) == MAX_DESCRIPTION_TOKENS or prose[-1] == prompts.stop


def test_a_comparison_argues_for_its_own_verdict(
    answers: list[tuple[int, ...]], prompts: PromptBuilder, questions: list[Question]
) -> None:
    assert [question.task for question in questions[6:]] == ["compare"] * 2
    winners = {id: name for name, id in prompts.verdict_ids.items()}
    for question, answer in zip(questions[6:], answers[6:], strict=True):
        argued = prompts.compare_answer(*question.clips, winners[answer[0]], "")  # type: ignore[arg-type]
        conclusion = argued[: -len(prompts.encode(" ")) - 1]
        assert answer[: len(conclusion)] == conclusion
        assert not set(answer[len(conclusion) :]) & set(prompts.number_ids)
        assert sum(chosen(question.program(prompts), answer)) <= 1 + MAX_DESCRIPTION_TOKENS


def test_line_and_list_are_drawn_not_read(answers: list[tuple[int, ...]], prompts: PromptBuilder) -> None:
    """Ratings by expectation, or a list by its likeliest names, leave nothing for the preference to tell apart."""
    assert len({answer[:5] for answer in answers[:6]}) == 6
    assert len({answer[5 : answer.index(prompts.cause_ids[END])] for answer in answers[:6]}) > 1


def test_an_answer_does_not_depend_on_its_neighbours(
    checkpoint: Path,
    prompts: PromptBuilder,
    clips: FakeClips,
    questions: list[Question],
    answers: list[tuple[int, ...]],
    tmp_path: Path,
) -> None:
    """Other questions beside it, in another order; and yet each has numbers of its own."""
    few = [questions[i] for i in (7, 2)]
    alone = drawn(checkpoint, prompts, Asked(clips, few, tmp_path / "sampled.jsonl"))  # type: ignore[arg-type]
    assert alone == [answers[7], answers[2]]
    assert len(set(answers)) == len(answers)


def test_another_seed_draws_other_answers(
    checkpoint: Path,
    prompts: PromptBuilder,
    clips: FakeClips,
    questions: list[Question],
    answers: list[tuple[int, ...]],
    tmp_path: Path,
) -> None:
    asked = Asked(clips, questions[:2], tmp_path / "sampled.jsonl")  # type: ignore[arg-type]
    other = drawn(checkpoint, prompts, asked, SEED + 1)
    assert not set(other) & set(answers)


def test_sampling_goes_on_where_it_stopped(
    checkpoint: Path,
    prompts: PromptBuilder,
    clips: FakeClips,
    questions: list[Question],
    answers: list[tuple[int, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers under the wrong questions after a line that was cut off; a file of other settings taken for its own."""
    asked = Asked(clips, questions, tmp_path / checkpoint.parent.name / "sampled.jsonl")  # type: ignore[arg-type]
    monkeypatch.setattr(sampling, "AT_ONCE", 3)
    whole = (checkpoint.parent / "sampled.jsonl").read_text()
    asked.file.parent.mkdir()
    asked.file.write_text(whole[: int(len(whole) * 0.6)])
    assert drawn(checkpoint, prompts, asked) == answers
    monkeypatch.setattr(sampling, "TorchRunner", None)  # nothing is missing: no model is opened
    assert drawn(checkpoint, prompts, asked) == answers
    with pytest.raises(ValueError, match="otherwise"):
        sample(checkpoint, prompts, [asked], Sampling(temperature=1.1), SEED, CPU)


def test_clips_of_other_splits_are_not_taken_for_one_another(
    checkpoint: Path, prompts: PromptBuilder, questions: list[Question], tmp_path: Path
) -> None:
    """The engine knows a clip by its seed, and two splits of NISQA may hold the same: other audio under one name."""
    splits = [FakeClips(2, seed=seed) for seed in (1, 2)]
    asked = [
        Asked(clips, draw_questions(clips, 0)[:2], tmp_path / f"{place}.jsonl")  # type: ignore[arg-type]
        for place, clips in enumerate(splits)
    ]
    sample(checkpoint, prompts, asked, Sampling(), SEED, CPU)
    alone = drawn(checkpoint, prompts, replace(asked[1], file=tmp_path / "alone.jsonl"))
    assert read_sampled(asked[1].file) == alone
    assert read_sampled(asked[0].file) != alone
