"""Batches: where prompt and answer meet, what is scored and weighed, and that a batch can be built again."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from sqe_fast.answer.scale import NUMBER_VALUES, verdict
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.results import RATINGS
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import cause, partly_rated, rows
from training.language import captions, problems
from training.learning import listing
from training.learning.examples import (
    IGNORED,
    Batch,
    Example,
    Sampler,
    Task,
    audio_example,
    audio_prompt,
    collate,
    text_example,
    text_prompt,
)
from training.streams import Stream

STREAMS = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


def one(
    prompts: PromptBuilder, task: Task, chosen: list[dict[str, Any]], seed: int = 0, *, certain: bool = False
) -> tuple[Example, Batch]:
    example = audio_example(prompts, task, chosen, np.random.default_rng(seed), certain=certain)
    return example, collate([example])


def scored(batch: Batch) -> list[int]:
    found: list[int] = batch.targets[0][batch.targets[0] != IGNORED].tolist()
    return found


def test_targets_are_the_answer_and_nothing_else(prompts: PromptBuilder) -> None:
    example, batch = one(prompts, "describe", rows(1))
    assert tuple(scored(batch)) == example.answer
    first = int((batch.targets[0] != IGNORED).nonzero()[0])
    assert first == len(example.prompt) - 1  # the prompt's last token predicts the first rating


@pytest.mark.parametrize("make", [audio_example, text_example])
def test_the_line_carries_the_exact_ratings_in_order(prompts: PromptBuilder, make: Any) -> None:
    [row] = rows(1)
    batch = collate([make(prompts, "line", [row], np.random.default_rng(0))])
    rated = ~batch.ratings.isnan()
    assert batch.ratings[rated].tolist() == pytest.approx([row[name] for name in RATINGS])
    values = [NUMBER_VALUES[prompts.number_ids.index(int(token))] for token in batch.targets[rated]]
    assert values == pytest.approx([round(row[name], 1) for name in RATINGS], abs=0.051)


def test_of_a_partly_rated_clip_what_is_known_is_scored(prompts: PromptBuilder) -> None:
    """A stand-in that is learnt; an MOS at the place of another rating; a list of which nothing is known."""
    [clip] = partly_rated(1).annotations
    example, batch = one(prompts, "line", [clip])
    assert example.answer == prompts.line({**clip, "coloration": 3.3, "discontinuity": 3.3, "loudness": 3.3})
    assert scored(batch) == [prompts.number_id(clip["noisiness"]), prompts.number_id(clip["mos"])]
    rated = ~batch.ratings.isnan()
    assert batch.ratings[rated].tolist() == pytest.approx([clip["noisiness"], clip["mos"]])
    assert torch.equal(rated, batch.targets != IGNORED)
    assert not batch.prose.any()


def test_what_inference_forces_is_not_trained(prompts: PromptBuilder) -> None:
    pair = rows(2)
    _, batch = one(prompts, "compare", pair)
    assert scored(batch)[0] in prompts.verdict_ids.values()
    assert batch.ratings.isnan().all()
    assert (batch.tokens == prompts.audio_token_id).sum() == sum(audio_tokens(-(-r["samples"] // 160)) for r in pair)


def test_an_aspect_is_a_rating_and_its_worst_cause(prompts: PromptBuilder) -> None:
    row = {**rows(1)[0], "causes": [cause("voices", 3.0), cause("hum", 2.0), cause("clipping", 1.5)]}
    expected = {"Rate the noise.": " hum", "Rate the timbre.": " clipping", "Rate the flow.": " none",
                "Rate the volume.": " none", "Rate the overall quality.": " clipping"}  # fmt: skip
    names = dict(zip(expected, RATINGS, strict=True))
    seen = set()
    for seed in range(40):
        example, batch = one(prompts, "aspect", [row], seed)
        task = prompts.tokenizer.decode(list(example.prompt)).split("\n")[-3]
        assert task in names, task
        seen.add(task)
        number, *said = scored(batch)
        assert number == prompts.number_id(row[names[task]])
        assert said == [*prompts.encode(expected[task]), prompts.stop]
        assert batch.ratings[~batch.ratings.isnan()].tolist() == pytest.approx([row[names[task]]])
    assert seen == set(expected)


def test_nobody_knows_what_a_human_rated_clip_suffers_from(prompts: PromptBuilder) -> None:
    row = {**rows(1)[0], "causes": [], "rated_by": "human"}
    _, batch = one(prompts, "aspect", [row])
    assert len(scored(batch)) == 1
    assert not batch.named.any()


def test_which_is_the_verdict_alone(prompts: PromptBuilder) -> None:
    a, b = rows(2)
    for pair in ((a, b), (b, a)):
        _, batch = one(prompts, "which", list(pair))
        better = verdict(pair[0]["mos"], pair[1]["mos"])
        assert better in "AB"
        assert scored(batch) == [prompts.verdict_ids[better]]


def test_the_tokens_that_name_a_cause_are_known(prompts: PromptBuilder) -> None:
    row = {**rows(1)[0], "noisiness": 1.6, "causes": [cause("hum", 1.8)]}
    example, batch = one(prompts, "describe", [row], certain=True)
    text = prompts.text(example.answer[len(RATINGS) + 2 :])
    [read] = captions.stock().read(text).causes
    named = prompts.tokenizer.decode(batch.targets[0][batch.named[0]].tolist())
    assert named.strip() == text[read.start : read.end]


def test_stored_descriptions_come_before_the_grammar(prompts: PromptBuilder) -> None:
    row = {**rows(1)[0], "descriptions": ["One text.", "Two texts."]}
    entries = len(prompts.listing(listing.entries(row)))
    told = {prompts.text(one(prompts, "describe", [row], seed)[0].answer[5 + entries :]) for seed in range(12)}
    assert told == {"One text.", "Two texts."}


@pytest.mark.parametrize("task", ["line", "describe"])
def test_an_answer_goes_on_from_the_line_that_was_told(prompts: PromptBuilder, task: Task) -> None:
    """The words follow from it; what is to be read stays the truth."""
    [row] = rows(1)
    told = dict(zip(RATINGS, (4.9, 1.2, 4.7, 3.0, 2.0), strict=True))
    example, batch = one(prompts, task, [{**row, "told": told}])
    true, _ = one(prompts, task, [row])
    assert example.answer[:5] == prompts.line(told) != true.answer[:5]
    assert (example.ratings, example.prompt) == (true.ratings, true.prompt)
    wanted, truly = ([each for each in of.listed if each is not None] for of in (example, true))
    assert wanted == truly
    assert batch.ratings[~batch.ratings.isnan()].tolist() == pytest.approx([row[name] for name in RATINGS])
    if task == "describe":
        text = prompts.text(example.answer[5 + len(wanted) :])
        assert problems.of_description(text, told, listing.entries(row)) == []
        assert problems.of_description(text, row, listing.entries(row)) != []


def test_a_written_text_stays_behind_the_true_line(prompts: PromptBuilder) -> None:
    row = {**rows(1)[0], "descriptions": ["One text."]}
    true, _ = one(prompts, "describe", [row])
    assert one(prompts, "describe", [{**row, "told": dict.fromkeys(RATINGS, 3.0)}])[0] == replace(
        true, clips=({**row, "told": dict.fromkeys(RATINGS, 3.0)},)
    )


def test_a_partly_rated_clip_is_told_a_whole_line(prompts: PromptBuilder) -> None:
    [clip] = partly_rated(1).annotations
    example, _ = one(prompts, "line", [{**clip, "told": dict.fromkeys(RATINGS, 2.0)}])
    assert example.answer == prompts.line(dict.fromkeys(RATINGS, 2.0))
    assert example.ratings == pytest.approx(one(prompts, "line", [clip])[0].ratings, nan_ok=True)


@pytest.mark.parametrize("task", ["line", "describe"])
def test_a_batch_stands_behind_other_lines(prompts: PromptBuilder, task: Task) -> None:
    batch = Sampler(rows(8), prompts, audio_example, {task: 1.0}, 4, 0, *STREAMS)(0)
    assert batch.behind is not None
    lines = [dict.fromkeys(RATINGS, 1.0 + place) for place in range(len(batch.clips))]
    moved = batch.behind(lines)
    assert [clip["seed"] for clip in moved.clips] == [clip["seed"] for clip in batch.clips]
    assert [clip["told"] for clip in moved.clips] == lines
    for found, line in zip(moved.targets, lines, strict=True):
        assert tuple(found[found != IGNORED][:5].tolist()) == prompts.line(line)
    same = batch.behind(batch.clips)
    assert torch.equal(same.tokens, batch.tokens)
    assert torch.equal(same.targets, batch.targets)


@pytest.mark.parametrize("task", ["compare", "aspect", "which"])
def test_where_no_line_is_read_nothing_goes_on_from_one(prompts: PromptBuilder, task: Task) -> None:
    assert Sampler(rows(8), prompts, audio_example, {task: 1.0}, 4, 0, *STREAMS)(0).behind is None
    assert Sampler(rows(8), prompts, text_example, {"describe": 1.0}, 4, 0, *STREAMS)(0).behind is None


def test_without_diversity_a_clip_has_one_caption(prompts: PromptBuilder) -> None:
    for task, chosen in (("describe", rows(1)), ("compare", rows(2))):
        for make in (audio_example, text_example):
            told = [make(prompts, task, chosen, np.random.default_rng(s), diverse=False).answer for s in range(4)]
            assert len(set(told)) == 1
            told = [make(prompts, task, chosen, np.random.default_rng(s)).answer for s in range(4)]
            assert task == "compare" or len(set(told)) > 1


def test_policy_and_expert_answer_alike(prompts: PromptBuilder) -> None:
    [row] = rows(1)
    heard = audio_example(prompts, "describe", [row], np.random.default_rng(4))
    read = text_example(prompts, "describe", [row], np.random.default_rng(4))
    assert heard.answer == read.answer
    assert heard.prompt != read.prompt
    with pytest.raises(ValueError, match="no task"):
        text_example(prompts, "aspect", [row], np.random.default_rng(4))


def test_marks_belong_to_answer_tokens() -> None:
    with pytest.raises(ValueError, match="marks"):
        Example((1, 2), (3, 4), scored=(True,))


@pytest.mark.parametrize("prompt_of", [audio_prompt, text_prompt])
def test_both_sides_know_the_ratings_of_what_they_compare(prompts: PromptBuilder, prompt_of: Any) -> None:
    """The verdict follows from two lines that inference has read: an expert without them answers another question."""
    pair = rows(2)
    prompt, lines = prompt_of(prompts, pair), prompts.lines(*pair)
    assert prompt[-len(lines) :] == lines
    assert [token for token in lines if token in prompts.number_ids] == [*prompts.line(pair[0]), *prompts.line(pair[1])]


def test_a_batch_can_be_built_again(prompts: PromptBuilder) -> None:
    tasks: dict[Task, float] = {"describe": 0.4, "compare": 0.2, "aspect": 0.2, "which": 0.2}
    made = [Sampler(rows(60, longest=90_000), prompts, audio_example, tasks, 8, 2, *STREAMS) for _ in range(2)]
    for index in (0, 5, len(made[0].epochs.of(0)) + 3):
        assert torch.equal(made[0](index).tokens, made[1](index).tokens)
    assert not torch.equal(made[0](0).tokens, made[0](1).tokens)


def test_an_epoch_shows_every_row_once_and_long_clips_share_less(prompts: PromptBuilder) -> None:
    every = rows(200, shortest=16_000, longest=200_000)
    sampler = Sampler(every, prompts, partial(audio_example, diverse=False), {"line": 1.0}, 8, 2, *STREAMS)
    batches = [sampler(index).clips for index in range(len(sampler.epochs.of(0)))]
    seen = [row["seed"] for batch in batches for row in batch]
    assert len(seen) == len(set(seen))
    assert len(seen) >= len(every) - 20  # a batch of one is left out
    assert all(len(batch) * max(row["samples"] for row in batch) <= 8 * 96_000 for batch in batches if len(batch) > 2)


def test_pairs_that_a_language_model_argued_are_asked_in_its_words(prompts: PromptBuilder) -> None:
    clips = rows(6)
    reasons = "On tone, Speech A sounds more natural, while Speech B sounds harsh."
    clips[4]["arguments"] = {clips[1]["seed"]: reasons}
    clips[1]["arguments"] = {}
    compare = Sampler(clips, prompts, audio_example, {"compare": 1.0}, 4, 1, *STREAMS)
    assert [(a["seed"], b["seed"]) for a, b in compare.argued] == [(4, 1)]
    for index in range(3):
        batch = compare(index)
        assert {row["seed"] for row in batch.clips} == {4, 1}
        tail = prompts.encode(f" {reasons}")
        tokens = batch.tokens[0].tolist()
        assert any(tuple(tokens[i : i + len(tail)]) == tail for i in range(len(tokens)))
