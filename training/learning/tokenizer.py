"""The small tokenizer of `tiny`: byte-level BPE on our own captions; one token a rating, a cause and a digit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from sqe_fast.answer.scale import NUMBER_TOKENS
from sqe_fast.answer.stock import Stock
from sqe_fast.answer.template import COMPARE_TASK, END_OF_TEXT, IM_END, RATE_TASK, SPECIAL_TOKENS, cause_tokens
from sqe_fast.checkpoint.files import STOCK_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from training import configs
from training.corpora.corpus import Clips
from training.language import captions, causes
from training.learning import expert_text
from training.learning.examples import ASPECT_TASKS, NO_CAUSE, WHICH_TASK
from training.streams import Stream, stream

VOCABULARY = 2_048
"""At most."""
STOCK = Stock(causes.uncalibrated(), captions.stock())
"""What training starts from."""
ANSWER_TOKENS = (*NUMBER_TOKENS, *cause_tokens(STOCK.causes))
"""Ratings and names of causes: one token each, whatever the tokenizer."""
CLIPS, TEXTS_PER_CLIP = 2_000, 4
"""The first clips of the corpus, so that a larger one does not change the tokenizer."""


def run(config: configs.Tokenizer, clips: Clips) -> str:
    """Train into RUN/tokenizer, beside the stock that its answers are written by, and return its name."""
    folder = config.run / "tokenizer"
    save(train(clips), folder)
    STOCK.save(folder / STOCK_FILE)
    return str(folder)


def train(clips: Clips) -> Tokenizer:
    """Learn merges from captions of `clips` and of pairs of them, and from the prompts."""
    tokenizer = Tokenizer(models.BPE())
    # No single rating leaks into a merge: numbers are cut out before the byte-level split, digits stay single.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(ANSWER_TOKENS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(clips), trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in lacking(tokenizer, ANSWER_TOKENS)])
    return tokenizer


def lacking(tokenizer: Tokenizer, tokens: Sequence[str]) -> dict[str, list[int]]:
    """Those of `tokens` that `tokenizer` does not hold as one, each with the ids that spell it."""
    spelt = {token: tokenizer.encode(token, add_special_tokens=False).ids for token in tokens}
    return {token: ids for token, ids in spelt.items() if len(ids) != 1}


def _texts(clips: Clips) -> Iterator[str]:
    rng = stream(Stream.TOKENIZER_TEXTS, 0)
    yield from (
        RATE_TASK,
        COMPARE_TASK,
        WHICH_TASK,
        *ASPECT_TASKS.values(),
        f" {NO_CAUSE}",
        "user",
        "assistant",
        "A:",
        "B:",
    )
    chosen = clips.annotations[:CLIPS]
    for clip in chosen:
        other = chosen[int(rng.integers(len(chosen)))]
        for _ in range(TEXTS_PER_CLIP):
            yield captions.describe(clip, causes.listed(clip), rng)
        yield captions.argue(clip, other, rng)
        yield expert_text.tuple_text(clip)


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """tokenizer.json and the tokenizer_config.json with which transformers loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": IM_END,
        "pad_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
    }
    (folder / TOKENIZER_CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
