"""A tokenizer of the kind that a checkpoint holds: byte-level BPE, markers, one token a rating or a cause. Learnt at
once."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from sqe_fast.answer.scale import NUMBER_TOKENS
from sqe_fast.answer.template import COMPARE_TASK, NEWLINE, RATE_TASK, SPECIAL_TOKENS, VERDICTS, cause_tokens
from tests.support.stocks import causes

TEXTS = (
    "user\n", "assistant\n", "A:", "B:", f"\n{RATE_TASK}", f"\n{COMPARE_TASK}",
    "Strong street noise buries most of the speech.", "The voice is clear, with a faint hiss behind it.",
    "Packet loss breaks nearly every word, so the overall MOS is", "Speech A is cleaner than Speech B.",
    "kHz 4 16 2024 and other numbers",
)  # fmt: skip


MARKERS = tuple(token for token in SPECIAL_TOKENS if token not in VERDICTS.values())


def spelling_tokenizer() -> Tokenizer:
    """Without our answer tokens, and with digits by themselves, as Qwen2's: " 3.4" is " ", "3", ".", "4"."""
    digits = pre_tokenizers.Digits(individual_digits=True)
    return _learnt(pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]), MARKERS)


def small_tokenizer() -> Tokenizer:
    tokenizer = _learnt(pre_tokenizers.ByteLevel(add_prefix_space=False), SPECIAL_TOKENS)
    names = [token for token in cause_tokens(causes()) if token != NEWLINE]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in (*NUMBER_TOKENS, *names)])
    return tokenizer


def _learnt(pre_tokenizer: pre_tokenizers.PreTokenizer, special: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXTS] * 4, trainer)
    return tokenizer
