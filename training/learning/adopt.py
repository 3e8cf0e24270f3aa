"""A Qwen2-Audio checkpoint as published → one that knows our answer template, to start SFT from.

Ratings, causes and verdicts are single tokens here ("A rating is one token", ARCHITECTURE.md). What a tokenizer lacks
of them is added to it; each new token starts as the mean of the tokens that used to spell it, in embedding and head
alike, which says nothing yet and is learnt by SFT. Rows beyond the model's vocabulary are appended, in multiples of 64.

A checkpoint of an earlier recipe speaks another vocabulary of our own: `--own-vocabulary` gives it this run's. A token
that both know keeps its row; any other starts as the mean of the tokens that used to spell it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer
from torch import Tensor

from sqe_fast.answer.template import AUDIO_TOKEN, CAUSES_TEMPLATE, SPECIAL_TOKENS
from sqe_fast.checkpoint.config import Qwen2AudioConfig
from sqe_fast.checkpoint.files import (
    CARD_FILE,
    CHAT_TEMPLATE_FILE,
    CONFIG_FILE,
    GENERATION_FILE,
    INDEX_FILE,
    PREPROCESSOR_FILE,
    STOCK_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
)
from sqe_fast.checkpoint.hashes import write_hashes
from sqe_fast.model.weights import EMBEDDING, HEAD
from training import configs
from training.learning import tokenizer as tokenizer_files

ROUNDED_TO = 64
COMPANIONS = (PREPROCESSOR_FILE, GENERATION_FILE, CHAT_TEMPLATE_FILE)
"""Kept where they are there. Other tokenizer files describe the old vocabulary and are not copied."""


def run(config: configs.Adopt) -> str:
    """Adopt, and keep tokenizer and stock in RUN/tokenizer, where the other stages look for them; or take them from
    there."""
    if config.own_vocabulary:
        return adopt(config.source, config.folder, Tokenizer.from_file(str(config.run / "tokenizer" / TOKENIZER_FILE)))
    done = adopt(config.source, config.folder)
    tokenizer_files.save(Tokenizer.from_file(str(config.folder / TOKENIZER_FILE)), config.run / "tokenizer")
    tokenizer_files.STOCK.save(config.run / "tokenizer" / STOCK_FILE)
    return done


def adopt(source: Path, folder: Path, vocabulary: Tokenizer | None = None) -> str:
    """Write `source` with our tokens, or with `vocabulary` in place of its own, to `folder`; what was done, in words.

    Raises UnusableError where `source` holds no Qwen2-Audio, FileNotFoundError where it holds no tokenizer.json or
    weights in safetensors, and FileExistsError where `folder` is not empty.
    """
    Qwen2AudioConfig.from_folder(source)
    if not (source / TOKENIZER_FILE).exists():
        raise FileNotFoundError(f"{source} holds no {TOKENIZER_FILE}; save its tokenizer with transformers first")
    shards = _shards(source)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    theirs = Tokenizer.from_file(str(source / TOKENIZER_FILE))
    if vocabulary is None:
        pieces, done = _add_tokens(theirs), "added to"
        theirs.save(str(folder / TOKENIZER_FILE))
    else:
        pieces, done = _spelt(vocabulary, theirs), "in place of those of"
        tokenizer_files.save(vocabulary, folder)
    rows = _write_weights(source, folder, shards, pieces, kept=vocabulary is None)
    _write_config(source, folder, rows, vocabulary or theirs)
    for name in COMPANIONS:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    tokenizer_files.STOCK.save(folder / STOCK_FILE)
    manifest = {"name": folder.resolve().name, "template": CAUSES_TEMPLATE}
    (folder / CARD_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    write_hashes(folder, [path.name for path in folder.iterdir() if path.name != CARD_FILE])
    return f"{len(pieces)} tokens {done} {source.name}; the vocabulary has {rows} rows"


def _add_tokens(tokenizer: Tokenizer) -> dict[int, list[int]]:
    """Add what is missing; each new id with the ids that spelt it before."""
    markers = tokenizer_files.lacking(tokenizer, SPECIAL_TOKENS)
    answers = tokenizer_files.lacking(tokenizer, tokenizer_files.ANSWER_TOKENS)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in markers])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in answers])
    return {tokenizer.token_to_id(token): ids for token, ids in (markers | answers).items()}


def _spelt(ours: Tokenizer, theirs: Tokenizer) -> dict[int, list[int]]:
    """Each of our ids with the ids that spell it in another vocabulary."""
    added = {added.content for added in ours.get_added_tokens_decoder().values()}
    pieces: dict[int, list[int]] = {}
    for token, id in ours.get_vocab().items():
        same = theirs.token_to_id(token)
        text = token if token in added else ours.decode([id], skip_special_tokens=False)
        pieces[id] = [same] if same is not None else theirs.encode(text, add_special_tokens=False).ids
    return pieces


def _shards(source: Path) -> dict[str, list[str]]:
    """The tensors of each weights file."""
    if (source / WEIGHTS_FILE).exists():
        with safe_open(source / WEIGHTS_FILE, "pt") as file:
            return {WEIGHTS_FILE: list(file.keys())}
    if not (source / INDEX_FILE).exists():
        raise FileNotFoundError(f"{source} holds neither {WEIGHTS_FILE} nor {INDEX_FILE}")
    shards: dict[str, list[str]] = {}
    for tensor, file_name in json.loads((source / INDEX_FILE).read_text())["weight_map"].items():
        shards.setdefault(file_name, []).append(tensor)
    return shards


def _write_weights(
    source: Path,
    folder: Path,
    shards: Mapping[str, Sequence[str]],
    pieces: Mapping[int, Sequence[int]],
    *,
    kept: bool,
) -> int:
    """Copy the files, those with embedding or head with rows for new tokens, the old ones `kept` or not; the
    vocabulary's rows."""
    rows = 0
    for name, tensors in shards.items():
        if not {EMBEDDING, HEAD} & set(tensors):
            _link(source / name, folder / name)
            continue
        loaded = load_file(source / name)
        for tensor in {EMBEDDING, HEAD} & set(tensors):
            loaded[tensor] = _with_rows(loaded[tensor], pieces, kept=kept)
            rows = len(loaded[tensor])
        save_file(loaded, folder / name, metadata={"format": "pt"})
    if (source / INDEX_FILE).exists():
        shutil.copyfile(source / INDEX_FILE, folder / INDEX_FILE)
    return rows


def _with_rows(weight: Tensor, pieces: Mapping[int, Sequence[int]], *, kept: bool) -> Tensor:
    """[vocabulary, H] with a row for each new id, the mean of its pieces'; beside the old rows where these are kept."""
    old = len(weight) if kept else 0
    needed = max((*pieces, old - 1)) + 1
    rows = -(-needed // ROUNDED_TO) * ROUNDED_TO if needed > old else old
    changed = weight.new_zeros(rows, weight.shape[1])
    changed[:old] = weight[:old]
    for new, spelling in pieces.items():
        changed[new] = weight[list(spelling)].float().mean(0).to(weight.dtype)
    return changed


def _write_config(source: Path, folder: Path, rows: int, tokenizer: Tokenizer) -> None:
    fields = json.loads((source / CONFIG_FILE).read_text())
    if "audio_token_index" in fields:
        fields["audio_token_index"] = tokenizer.token_to_id(AUDIO_TOKEN)
    fields.setdefault("text_config", {})["vocab_size"] = rows
    if "vocab_size" in fields:
        fields["vocab_size"] = rows
    (folder / CONFIG_FILE).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system allows one: shards are gigabytes."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
