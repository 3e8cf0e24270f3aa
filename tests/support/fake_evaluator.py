"""An Evaluator on the fake runner: real audio, features, prompts and engine; only the model is arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from sqe_fast.answer.argument import conclusion
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.speech import SHORT
from sqe_fast.engine.engine import Priority
from sqe_fast.evaluator import Evaluator
from tests.support.audio_samples import speech
from tests.support.fake_runner import FakeRunner, History, Script
from tests.support.small_tokenizer import small_tokenizer
from tests.support.stocks import EAGER

RATE = 16_000
PROMPTS = PromptBuilder(small_tokenizer())
LISTING = PromptBuilder(small_tokenizer(), EAGER)
"""Lists causes between ratings and prose."""
SAID = "Packet loss breaks the word, so the overall MOS is 1.0."
MODEL = "fake@0123456789ab"

Source = tuple[np.ndarray, int]


def prose(text: str = SAID, stops: bool = True) -> Script:
    """After the newline of a rating line or list, or a verdict's conclusion: this text, then the stop, or the last word
    for ever."""
    words = PROMPTS.encode(text) + ((PROMPTS.stop,) if stops else ())
    newline = PROMPTS.encode("\n")[0]
    named = map(LISTING.listing, ([name] for name in EAGER.causes.dimension))
    openings = dict.fromkeys(
        (*PROMPTS.number_ids, *(token for token, _ in named)), 0
    )  # tokens between the newline and the prose, by what precedes it
    for verdict, token in PROMPTS.verdict_ids.items():
        openings[token] = len(PROMPTS.encode(f"\n{conclusion(verdict, 1.0, 1.0)}")) - 1

    def script(history: History) -> tuple[int, ...]:
        last = max(i for i, token in enumerate(history) if token == newline)
        if history[last - 1] not in openings:
            return ()
        written = len(history) - 1 - last - openings[history[last - 1]]
        return (words[min(written, len(words) - 1)],)

    return script


def fake_runner(slots: int = 4, script: Script | None = None, max_length: int = 2048) -> FakeRunner:
    return FakeRunner(
        slots,
        max_length,
        script or prose(),
        vocab=PROMPTS.tokenizer.get_vocab_size(),
        audio_token=PROMPTS.audio_token_id,
    )


def fake_evaluator(runner: FakeRunner | None = None, prompts: PromptBuilder = PROMPTS) -> Evaluator:
    return Evaluator(runner or fake_runner(), prompts, model=MODEL)


def sound(seed: int, seconds: float = 1.0) -> Source:
    """Every seed at its own level: what the fake model hears of a clip is its mean log-mel. Noise; from 2 s on, where
    that is not taken for speech, speech."""
    rng = np.random.default_rng(seed)
    size = round(seconds * RATE)
    samples = rng.standard_normal(size) if seconds < SHORT else np.resize(np.roll(speech(), 7_919 * seed), size)
    return (samples * 10 ** -rng.uniform(1, 2.5)).astype(np.float32), RATE


def silence(seconds: float) -> Source:
    return np.zeros(round(seconds * RATE), np.float32), RATE


def joined(*parts: Source) -> Source:
    return np.concatenate([samples for samples, _ in parts]), RATE


def wait_until(holds: Callable[[], bool], seconds: float = 300.0) -> None:
    """For what another thread will bring about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.001)


def gather(evaluator: Evaluator, runner: FakeRunner, requests: int) -> None:
    """Nothing is encoded before so many requests of a batch wait, so that they share their passes."""
    engine = evaluator._driver.engine
    come = False

    def hold() -> None:
        nonlocal come
        if not come:
            wait_until(lambda: engine.depth(Priority.BATCH) >= requests)
            come = True

    runner.before_encoding = hold


def idle(evaluator: Evaluator) -> None:
    """Wait until the engine has nothing to do."""
    wait_until(lambda: not evaluator._driver.engine.busy)
