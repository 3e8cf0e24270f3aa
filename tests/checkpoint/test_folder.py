"""Finding a checkpoint and refusing one that cannot be served, by name and with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from sqe_fast import Evaluator
from sqe_fast.checkpoint import folder as checkpoint
from sqe_fast.checkpoint.folder import open_checkpoint
from sqe_fast.errors import UnusableError
from tests.support.small_tokenizer import small_tokenizer

CARD = {
    "name": "small",
    "template": "numbers-first",
    "sha256": {"model.safetensors": "0123456789abcdef", "tokenizer.json": "fedcba9876543210"},
}


def folder(path: Path, **changes: Any) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    small_tokenizer().save(str(path / "tokenizer.json"))
    (path / "sqe_fast.json").write_text(json.dumps(CARD | changes))
    return path


def test_rows_name_the_weights(tmp_path: Path) -> None:
    """Two models of one name that cannot be told apart in a result."""
    opened = open_checkpoint(folder(tmp_path / "any"))
    assert opened.model == "small@0123456789ab"
    assert opened.prompts().number_id(3.4) == small_tokenizer().token_to_id(" 3.4")


def test_the_name_of_weights_in_several_files(tmp_path: Path) -> None:
    """One model under two names because its card lists the files in another order, or two under one because only the
    index, which names no content, was hashed."""
    index = "model.safetensors.index.json"
    hashes = {"tokenizer.json": "0", index: "1", "model-1.safetensors": "2", "model-2.safetensors": "3"}
    path = folder(tmp_path, sha256=hashes)
    (path / index).write_text("{}")
    name = open_checkpoint(path).model
    assert open_checkpoint(folder(path, sha256=dict(reversed(hashes.items())))).model == name
    assert open_checkpoint(folder(path, sha256={**hashes, "model-2.safetensors": "4"})).model != name


def test_a_bundled_name_and_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the user's shadowed by a bundled model, or a bundled name looked for in the working directory."""
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    bundled = folder(tmp_path / "models" / "small")
    assert open_checkpoint("small").folder == bundled
    own = folder(tmp_path / "small")
    assert open_checkpoint("small").folder.resolve() == own
    assert open_checkpoint(str(own)).folder == own


@pytest.mark.parametrize("name", ["no-such-model", "models/small", "small/", "sqe_fast.json"])
def test_an_unknown_name_is_refused_with_the_known_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download attempted, or a path that is resolved inside the package."""
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path / "models")
    folder(tmp_path / "models" / "small")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UnusableError, match=r"a checkpoint folder or one of the bundled names \(small\)"):
        Evaluator.from_pretrained(name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"template": "prose-first"},
            "template 'prose-first'; this version serves 'numbers-first' and 'numbers-causes'",
        ),
        ({"template": "numbers-causes"}, r"no hash of stock\.json"),
        ({"template": None}, "template None"),
        ({"sha256": {}}, "no hash of model.safetensors"),
        ({"sha256": {"model.safetensors": "0"}}, "no hash of tokenizer.json"),
    ],
)
def test_a_card_that_cannot_be_served_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """A model asked in a template that it was not trained with answers fluently, and wrongly."""
    with pytest.raises(UnusableError, match=message):
        open_checkpoint(folder(tmp_path, **changes))


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    """An ordinary Hugging Face folder: nothing says which template it knows."""
    with pytest.raises(UnusableError, match=r"sqe_fast\.json"):
        open_checkpoint(tmp_path)


def test_a_folder_of_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    """A folder of recordings, of which it was said that it wants to be exported."""
    (tmp_path / "a.wav").touch()
    with pytest.raises(UnusableError, match="no checkpoint: it holds neither"):
        open_checkpoint(tmp_path)


def test_a_tokenizer_without_ratings_is_refused(tmp_path: Path) -> None:
    """Ratings read from tokens that do not exist."""
    Tokenizer(models.BPE()).save(str(folder(tmp_path) / "tokenizer.json"))
    with pytest.raises(UnusableError, match=r"tokenizer\.json: the tokenizer must hold"):
        open_checkpoint(tmp_path).prompts()
