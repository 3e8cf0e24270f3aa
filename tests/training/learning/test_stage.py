"""What stages share: adapters, and what may be started from."""

from pathlib import Path

import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from training.learning import stage


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


def test_adapters_start_from_nothing_and_merge_into_plain_weights(prompts: PromptBuilder) -> None:
    model, tokens = listening_model(prompts), torch.arange(5)[None]
    names = set(model.state_dict())
    before = model(tokens, ())
    stage.inject_adapters(model.decoder, 2)
    assert torch.allclose(model(tokens, ()), before, atol=1e-6)
    trained = [name for name, p in model.decoder.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    adapted = model(tokens, ())
    assert not torch.allclose(adapted, before, atol=1e-3)
    stage.merge_adapters(model.decoder)
    assert set(model.state_dict()) == names
    assert torch.allclose(model(tokens, ()), adapted, atol=1e-4)


def test_an_unfinished_run_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="finish that run"):
        stage.start_model(tmp_path)
