"""From a trained checkpoint to a folder that serves, that evaluates, and that transformers loads."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, Qwen2AudioForConditionalGeneration

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.folder import open_checkpoint
from sqe_fast.errors import UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.model.qwen2_audio import save_checkpoint
from tests.support.small_tokenizer import small_tokenizer
from tests.support.speech import SAMPLE_RATE, listening_model, talk
from tests.support.stocks import EAGER
from training.learning import bundle, tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    learnt = small_tokenizer()
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(listening_model(PromptBuilder(learnt)), checkpoint)
    tokenizer.save(learnt, checkpoint)
    EAGER.save(checkpoint / "stock.json")
    folder = tmp_path_factory.mktemp("models") / "small"
    assert bundle.write(checkpoint, folder, "small").parity.passed
    return folder


def test_a_bundle_serves(folder: Path) -> None:
    [evaluation] = Evaluator.from_pretrained(folder).evaluate([(talk(2.0), SAMPLE_RATE)], describe=False)
    assert evaluation.error is None
    assert evaluation.ratings is not None
    assert evaluation.model.startswith("small@")
    opened = open_checkpoint(folder)
    assert opened.prompts().stock == EAGER
    (folder / "stock.json").write_text("{}")
    with pytest.raises(UnusableError, match=r"stock\.json: corrupt or replaced"):
        Evaluator.from_pretrained(folder)
    EAGER.save(folder / "stock.json")


def test_transformers_loads_model_and_tokenizer(folder: Path) -> None:
    _, report = Qwen2AudioForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    loaded = AutoTokenizer.from_pretrained(folder)
    text = "Strong street noise, a MOS of 2.4."
    assert loaded(text)["input_ids"] == small_tokenizer().encode(text).ids
