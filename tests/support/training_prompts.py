"""The templates of a small model in training: a tokenizer learnt at once, and every cause and phrase that there is."""

from __future__ import annotations

from tokenizers import AddedToken

from sqe_fast.answer.template import PromptBuilder, cause_tokens
from tests.support.small_tokenizer import small_tokenizer
from training.learning.tokenizer import STOCK, lacking


def training_prompts() -> PromptBuilder:
    tokenizer = small_tokenizer()
    names = lacking(tokenizer, cause_tokens(STOCK.causes))
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in names])
    return PromptBuilder(tokenizer, STOCK)
