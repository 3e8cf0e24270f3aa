"""A published Qwen2-Audio with our tokens: it rates, and says all else as before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2AudioForConditionalGeneration

from sqe_fast import Evaluator
from sqe_fast.answer.causes import END, UNCLEAR
from sqe_fast.answer.scale import NUMBER_TOKENS
from sqe_fast.answer.stock import Stock
from sqe_fast.answer.template import (
    AUDIO_BOS,
    AUDIO_EOS,
    AUDIO_TOKEN,
    END_OF_TEXT,
    IM_END,
    IM_START,
    SPECIAL_TOKENS,
    PromptBuilder,
)
from sqe_fast.model.qwen2_audio import load_checkpoint
from sqe_fast.model.weights import EMBEDDING, HEAD
from tests.support.small_model import SMALL, save_small, waveform
from training.language.causes import KINDS
from training.learning.adopt import adopt
from training.learning.tokenizer import ANSWER_TOKENS

OWN_TOKENS = [END_OF_TEXT, IM_START, IM_END, AUDIO_BOS, AUDIO_EOS, AUDIO_TOKEN]


def published(folder: Path, vocabulary: int, shard_size: str = "5GB") -> Path:
    """As on a hub: no manifest, the model's own special tokens, ratings spelt in digits."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=OWN_TOKENS, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(["user\n assistant\n A B the noise is"] * 4, trainer)
    text = replace(SMALL.text, vocab_size=vocabulary)
    config = replace(SMALL, text=text, audio_token_id=tokenizer.token_to_id(AUDIO_TOKEN))
    plain = save_small(folder.with_name("plain"), config=config)
    Qwen2AudioForConditionalGeneration.from_pretrained(plain, dtype=torch.float16).save_pretrained(
        folder, max_shard_size=shard_size
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize(("vocabulary", "rows"), [(512, 512), (320, 384)])
def test_old_tokens_keep_their_rows_and_new_ones_start_as_the_mean_of_their_pieces(
    tmp_path: Path, vocabulary: int, rows: int
) -> None:
    source = published(tmp_path / "published", vocabulary)
    assert f"{rows} rows" in adopt(source, tmp_path / "adopted")
    before, after = (load_file(folder / "model.safetensors") for folder in (source, tmp_path / "adopted"))
    old, new = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in (source, tmp_path / "adopted"))
    for name in (EMBEDDING, HEAD):
        assert len(after[name]) == rows
        assert torch.equal(after[name][: old.get_vocab_size()], before[name][: old.get_vocab_size()])
        mean = before[name][old.encode(" 3.4").ids].float().mean(0).half()
        assert torch.equal(after[name][new.token_to_id(" 3.4")], mean)
    assert load_checkpoint(tmp_path / "adopted")[1].text.vocab_size == rows


def test_the_tokenizer_serves_our_template(tmp_path: Path) -> None:
    source = published(tmp_path / "published", 512)
    adopt(source, tmp_path / "adopted")
    old, new = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in (source, tmp_path / "adopted"))
    with pytest.raises(ValueError, match="as one token"):
        PromptBuilder(old).number_ids  # noqa: B018 (it is worked out when it is asked for)
    prompts = PromptBuilder(new, Stock.load(tmp_path / "adopted" / "stock.json"))
    assert len(set(prompts.number_ids)) == len(NUMBER_TOKENS)
    assert {*KINDS, *UNCLEAR.values(), END} == set(prompts.cause_ids)
    assert len(set(prompts.cause_ids.values())) == len(prompts.cause_ids)
    assert new.encode("the noise is").ids == old.encode("the noise is").ids


def test_another_vocabulary_takes_over_the_rows_of_what_both_know(tmp_path: Path) -> None:
    """A checkpoint of an earlier recipe goes on under this one's tokenizer."""
    source = published(tmp_path / "published", 512)
    adopt(source, tmp_path / "earlier")
    ours = Tokenizer(models.BPE())
    ours.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ours.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = [AUDIO_TOKEN, *(token for token in SPECIAL_TOKENS if token != AUDIO_TOKEN)]  # other ids than theirs
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=specials, initial_alphabet=alphabet)
    ours.train_from_iterator(["a clear voice, the noise is\nuser assistant"] * 4, trainer)
    ours.add_tokens([token for token in ANSWER_TOKENS if len(ours.encode(token).ids) != 1])
    adopt(tmp_path / "earlier", tmp_path / "later", ours)

    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("earlier", "later"))
    old, new = (Tokenizer.from_file(str(tmp_path / name / "tokenizer.json")) for name in ("earlier", "later"))
    assert new.get_vocab() == ours.get_vocab()
    assert old.token_to_id(" 3.4") != new.token_to_id(" 3.4")
    voice = new.encode(" voice").ids
    assert len(voice) == 1
    assert len(old.encode(" voice").ids) > 1
    for name in (EMBEDDING, HEAD):
        for token in (" 3.4", AUDIO_TOKEN, "noise"[0]):
            assert torch.equal(after[name][new.token_to_id(token)], before[name][old.token_to_id(token)])
        mean = before[name][old.encode(" voice").ids].float().mean(0).half()
        assert torch.equal(after[name][voice[0]], mean)
    assert load_checkpoint(tmp_path / "later")[1].audio_token_id == new.token_to_id(AUDIO_TOKEN)
    prompts = PromptBuilder(new, Stock.load(tmp_path / "later" / "stock.json"))
    assert len(set(prompts.number_ids)) == len(NUMBER_TOKENS)


def test_a_sharded_checkpoint_is_adopted_and_served(tmp_path: Path) -> None:
    """What nothing was added to is not written again; rows name weights that lie in several files."""
    source = published(tmp_path / "published", 512, shard_size="100KB")
    index = json.loads((source / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    adopt(source, tmp_path / "adopted")
    evaluator = Evaluator.from_pretrained(tmp_path / "adopted", device="torch-cpu")
    [evaluation] = evaluator.evaluate([(waveform(1.0), 16_000)], describe=False)
    assert evaluation.error is None
    assert evaluation.ratings is not None
    assert evaluation.model.startswith("adopted@")
    shard = next(iter((tmp_path / "adopted").glob("*-of-*.safetensors")))
    shard.unlink()
    shard.write_bytes(b"")
    with pytest.raises(Exception, match="corrupt or replaced"):
        Evaluator.from_pretrained(tmp_path / "adopted", device="torch-cpu")


def test_what_cannot_be_adopted_is_refused(tmp_path: Path) -> None:
    source = published(tmp_path / "published", 512)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        adopt(source, tmp_path / "full")
    (source / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json"):
        adopt(source, tmp_path / "adopted")
