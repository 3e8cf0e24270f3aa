"""The text expert: what it learns from, and which experts of others are taken."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import Qwen2Config, Qwen2ForCausalLM

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.model.decoder import Qwen2Decoder
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips, rows
from training.configs import Expert, Schedule
from training.learning import expert, tokenizer
from training.learning.examples import Sampler, text_example
from training.learning.expert import ExpertObjective, ExternalExpert, OwnExpert, open_expert
from training.learning.stage import write_checkpoint
from training.streams import Stream

STREAMS = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


def external(folder: Path, prompts: PromptBuilder, extra: int = 0) -> Path:
    """A random Qwen2 of transformers in a folder of its own."""
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=prompts.tokenizer.get_vocab_size() + extra,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save(prompts.tokenizer, folder)
    return folder


def test_its_line_is_spread_like_the_audio_models(prompts: PromptBuilder) -> None:
    objective = ExpertObjective(listening_model(prompts).decoder, prompts)
    losses = objective(Sampler(rows(4), prompts, text_example, {"describe": 1.0}, 4, 0, *STREAMS)(0))
    assert {"line", "squared", "list", "prose", "loss"} == losses.keys()
    losses["loss"].backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_what_is_trained_here_is_found_again(
    prompts: PromptBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = listening_model(prompts).config
    monkeypatch.setattr(expert, "tiny_config", lambda *_: small)
    expert.run(Expert(run=tmp_path, schedule=Schedule(steps=3, batch_size=4, seed=0)), FakeClips(8), prompts)  # type: ignore[arg-type]
    opened = open_expert(tmp_path / "expert", prompts)
    assert isinstance(opened, OwnExpert)
    decoder = Qwen2Decoder(small.text)
    expert.load(tmp_path / "expert", decoder)
    tokens = torch.arange(12).view(2, 6)
    assert torch.equal(opened(tokens), decoder(decoder.embed(tokens)))
    assert not any(parameter.requires_grad for parameter in opened.parameters())


def test_it_goes_on_from_a_checkpoint_with_its_own_tokens(prompts: PromptBuilder, tmp_path: Path) -> None:
    started = listening_model(prompts)
    write_checkpoint(started, prompts, tmp_path, {})
    found = expert.start_decoder(tmp_path, prompts).state_dict()
    assert all(torch.equal(found[name], kept.half().float()) for name, kept in started.decoder.state_dict().items())
    larger = Tokenizer.from_str(prompts.tokenizer.to_str())
    larger.add_tokens(["unheard-of"])
    tokenizer.save(larger, tmp_path / "checkpoint")
    with pytest.raises(ValueError, match="tokenizer"):
        expert.start_decoder(tmp_path, prompts)


def test_any_causal_model_of_the_same_tokens_is_an_expert(prompts: PromptBuilder, tmp_path: Path) -> None:
    """Its logits are the model's own, also where the other rows of a batch are longer."""
    opened = open_expert(external(tmp_path, prompts, extra=7), prompts)
    assert isinstance(opened, ExternalExpert)
    tokens = torch.tensor([[9, 8, 7, 0, 0], [1, 2, 3, 4, 5]])
    logits = opened(tokens) @ opened.head.T
    theirs = Qwen2ForCausalLM.from_pretrained(tmp_path)(tokens[:1, :3]).logits
    assert torch.allclose(logits[:1, :3], theirs, atol=1e-5)


def test_an_expert_that_speaks_other_tokens_is_refused(prompts: PromptBuilder, tmp_path: Path) -> None:
    ours = prompts.tokenizer
    expert.check_tokenizer(ours, Tokenizer.from_str(ours.to_str()), tmp_path)
    swapped = ours.to_str().replace('" 3.4"', '" 3-4"')
    with pytest.raises(ValueError, match=r"3-4.*3\.4"):
        expert.check_tokenizer(ours, Tokenizer.from_str(swapped), tmp_path)
    larger = Tokenizer.from_str(ours.to_str())
    larger.add_tokens(["unheard-of"])
    expert.check_tokenizer(ours, larger, tmp_path)  # one more token is no contradiction
    plain = Tokenizer(models.BPE(ours.get_vocab(with_added_tokens=False), []))
    with pytest.raises(ValueError, match="None to the expert"):
        expert.check_tokenizer(ours, plain, tmp_path)


def test_a_folder_without_an_expert(prompts: PromptBuilder, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        open_expert(tmp_path, prompts)
    tokenizer.save(prompts.tokenizer, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"state\.pt"):
        open_expert(tmp_path, prompts)
