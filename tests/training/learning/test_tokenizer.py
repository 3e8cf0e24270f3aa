"""The tokenizer of `tiny`: what one step reads is one token, beside the stock that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from sqe_fast.answer.causes import END, UNCLEAR
from sqe_fast.answer.stock import Stock
from sqe_fast.answer.template import PromptBuilder
from tests.support.small_tokenizer import TEXTS
from tests.support.training_rows import FakeClips
from training.configs import Tokenizer as Config
from training.language.causes import KINDS
from training.learning import tokenizer


def test_ratings_and_causes_are_one_token_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that was added to the table and that the tokenizer spells; two names on one token; a stock that is left
    behind."""
    monkeypatch.setattr(tokenizer, "_texts", lambda _: iter([*TEXTS, "Some packet loss and a hum, humming on."]))
    folder = Path(tokenizer.run(Config(run=tmp_path), FakeClips(8)))  # type: ignore[arg-type]
    learnt = Tokenizer.from_file(str(folder / "tokenizer.json"))
    prompts = PromptBuilder(learnt, Stock.load(folder / "stock.json"))
    assert set(prompts.cause_ids) == {*KINDS, *UNCLEAR.values(), END}
    assert len({*prompts.cause_ids.values(), *prompts.number_ids}) == len(prompts.cause_ids) + 41
    assert learnt.get_vocab_size() <= tokenizer.VOCABULARY
    listed = prompts.listing(["packet loss", "hum"])
    assert learnt.decode(list(listed)) == " packet loss hum\n"
