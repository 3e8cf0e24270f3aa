"""A checkpoint with its own tokenizer, of single digits, rates as Hugging Face's model says it does."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sqe_fast.answer.program import Spell
from sqe_fast.answer.scale import NUMBER_TOKENS, NUMBER_VALUES
from sqe_fast.answer.template import AUDIO_TOKEN, VERDICTS, PromptBuilder
from sqe_fast.audio.features import LogMel
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import AudioInput, Request
from sqe_fast.options import Serving
from sqe_fast.results import RATINGS, Ratings
from sqe_fast.runners.torch_runner import TorchRunner
from tests.support.hugging_face import Prompt, theirs
from tests.support.small_model import SMALL, save_small
from tests.support.small_tokenizer import spelling_tokenizer

PROMPTS = PromptBuilder(spelling_tokenizer())
SECONDS = 0.9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = PROMPTS.tokenizer
    text = replace(SMALL.text, vocab_size=tokenizer.get_vocab_size())
    config = replace(SMALL, text=text, audio_token_id=tokenizer.token_to_id(AUDIO_TOKEN))
    return save_small(tmp_path_factory.mktemp("spelling"), config=config)


def chances(folder: Path, prompt: Prompt, before: tuple[int, ...], candidates: list[tuple[int, ...]]) -> np.ndarray:
    """Of each candidate behind `before`, by their model: each token among those that any candidate goes on with."""
    found = []

    @cache
    def logits(begun: tuple[int, ...]) -> Tensor:
        asked = copy.copy(prompt)
        asked.tokens = torch.tensor([[*before, *begun]])
        return theirs(folder, asked, torch.float32, "eager").logits

    for candidate in candidates:
        probability = 1.0
        for at, token in enumerate(candidate):
            others = sorted({each[at] for each in candidates if each[:at] == candidate[:at]})
            seen = logits(candidate[:-1])[len(before) - 1 + at, others]
            probability *= float(seen.softmax(0)[others.index(token)])
        found.append(probability)
    return np.array(found)


def test_ratings_are_the_expectation_over_all_spellings(folder: Path) -> None:
    prompt = Prompt(folder, (SECONDS,), torch.float32)
    [(mel, frames)] = prompt.clips
    program = PROMPTS.rate(audio_tokens(frames), describe=False)
    assert all(isinstance(step, Spell) for step in program.steps)
    clip = AudioInput("clip", LogMel(mel.numpy(), frames))
    [result] = Engine(TorchRunner(folder, Serving("torch-cpu", slots=2, max_length=256))).run(
        [Request(program, (clip,))]
    )
    spellings = [PROMPTS.encode(token) for token in NUMBER_TOKENS]
    before = program.tokens
    for name in RATINGS[:2]:
        expected = chances(folder, prompt, before, spellings)
        read = result.reads[name]
        np.testing.assert_allclose(read.probabilities, expected, rtol=2e-3, atol=1e-6)
        assert read.mean == pytest.approx(float(expected @ np.array(NUMBER_VALUES)), abs=1e-4)
        before += PROMPTS.number(read.mean)
    assert result.tokens == tuple(token for name in RATINGS for token in PROMPTS.number(result.reads[name].mean))


def test_a_verdict_is_spelt_too(folder: Path) -> None:
    """ "[SpeechA]" and "[Tie]" are several tokens each, and of different lengths; what is argued follows."""
    prompt = Prompt(folder, (SECONDS, SECONDS), torch.float32)
    counts = [audio_tokens(frames) for frames in prompt.frames]
    a = Ratings(3.0, 3.0, 3.0, 3.0, 3.0, 0.3)
    program = PROMPTS.compare(*counts, a, replace(a, mos=4.0))
    [verdict] = program.steps
    assert isinstance(verdict, Spell)
    bare = replace(verdict, then=())
    clips = tuple(AudioInput(str(n), LogMel(mel.numpy(), frames)) for n, (mel, frames) in enumerate(prompt.clips))
    runner = TorchRunner(folder, Serving("torch-cpu", slots=2, max_length=256))
    [result] = Engine(runner).run([Request(replace(program, steps=(bare,)), clips)])
    spellings = [PROMPTS.encode(token) for token in VERDICTS.values()]
    expected = chances(folder, prompt, program.tokens, spellings)
    np.testing.assert_allclose(result.reads["verdict"].probabilities, expected, rtol=2e-3, atol=1e-6)
    assert result.tokens in spellings


def test_what_is_trained_needs_one_token_a_rating() -> None:
    for ask in (lambda: PROMPTS.number_ids, lambda: PROMPTS.verdict_ids, lambda: PROMPTS.number_id(3.4)):
        with pytest.raises(ValueError, match="as one token"):
            ask()
