"""What the stages of training share: `tiny`'s sizes, the model to start from, what is trained, what is left behind.

Low-rank adapters (peft) may stand in for the decoder's weights while it trains; a finished checkpoint is plain again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from tokenizers import Tokenizer
from torch import nn

from sqe_fast.answer.template import AUDIO_TOKEN, PromptBuilder
from sqe_fast.checkpoint.config import Qwen2AudioConfig, TextConfig
from sqe_fast.checkpoint.files import CONFIG_FILE, STOCK_FILE
from sqe_fast.model.qwen2_audio import Qwen2Audio, load_checkpoint, save_checkpoint
from training.configs import ENCODER_LAYERS, Tuning
from training.learning import tokenizer as tokenizer_files
from training.learning.whisper import encoder_weights

ENCODER_RATE, PROJECTOR_RATE, DECODER_RATE = 1e-4, 5e-4, 4e-4
"""Peak learning rates of the audio model's parts."""
ADAPTED = ["q", "k", "v", "o", "gate", "up", "down"]
"""Names of the decoder's linear layers; embeddings and head have no adapters."""
MATRICES = tuple(f"{name}.weight" for name in ADAPTED)


def tiny_config(tokenizer: Tokenizer, encoder_layers: int = ENCODER_LAYERS) -> Qwen2AudioConfig:
    audio, _ = encoder_weights(encoder_layers)
    text = TextConfig(
        vocab_size=-(-tokenizer.get_vocab_size() // 64) * 64,
        hidden_size=384,
        layers=6,
        heads=6,
        kv_heads=2,
        head_dim=64,
        feed_forward=1024,
        max_positions=4096,
    )
    return Qwen2AudioConfig(audio, text, audio_token_id=tokenizer.token_to_id(AUDIO_TOKEN))


def checkpoint_folder(folder: Path) -> Path:
    """Where the checkpoint of a finished run lies, or of a Hugging Face folder: that folder itself.

    Raises FileNotFoundError for any other folder.
    """
    for checkpoint in (folder / "checkpoint", folder):
        if (checkpoint / CONFIG_FILE).exists():
            return checkpoint
    raise FileNotFoundError(f"{folder} holds no checkpoint: finish that run first")


def start_model(folder: Path) -> Qwen2Audio:
    """The float32 model of a finished run, or of a Hugging Face folder. Raises FileNotFoundError for any other."""
    return load_checkpoint(checkpoint_folder(folder))[0].train()


def parameter_groups(model: Qwen2Audio, tuning: Tuning) -> list[dict[str, Any]]:
    """The loop's groups, each with its peak learning rate; injects adapters and freezes what is not to be trained."""
    if tuning.lora_rank:
        inject_adapters(model.decoder, tuning.lora_rank)
    if tuning.freeze_encoder:
        model.encoder.requires_grad_(False)
        model.projector.requires_grad_(False)
    parts = ((model.encoder, ENCODER_RATE), (model.projector, PROJECTOR_RATE))
    groups = [{"params": [p for p in part.parameters() if p.requires_grad], "lr": peak} for part, peak in parts]
    groups += decoder_groups(model.decoder, DECODER_RATE)
    return [{**group, "lr": tuning.rate * group["lr"]} for group in groups if group["params"]]


def decoder_groups(decoder: nn.Module, rate: float) -> list[dict[str, Any]]:
    """What of a decoder is trained: the weight matrices of its layers by Muon; embeddings, head, norms, biases
    and adapters by AdamW."""
    trained = [(name, parameter) for name, parameter in decoder.named_parameters() if parameter.requires_grad]
    matrices = [parameter for name, parameter in trained if name.endswith(MATRICES)]
    others = [parameter for name, parameter in trained if not name.endswith(MATRICES)]
    return [{"params": matrices, "lr": rate, "muon": True}, {"params": others, "lr": rate}]


def inject_adapters(decoder: nn.Module, rank: int) -> None:
    """Add adapters of `rank`, scaled by 2, which change nothing yet. Everything else in the decoder is frozen."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=ADAPTED)
    inject_adapter_in_model(config, decoder)


def merge_adapters(decoder: nn.Module) -> None:
    """Add what the adapters learnt to the weights they adapt, and take them out, if there are any."""
    for name, module in list(decoder.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(decoder.get_submodule(parent), child, module.get_base_layer())
    decoder.requires_grad_(True)


def write_checkpoint(model: Qwen2Audio, prompts: PromptBuilder, folder: Path, facts: Mapping[str, object]) -> None:
    """FOLDER/checkpoint: plain fp16 weights, adapters merged; tokenizer and stock; training.json, `facts` of how it
    came about."""
    merge_adapters(model.decoder)
    save_checkpoint(model, folder / "checkpoint")
    tokenizer_files.save(prompts.tokenizer, folder / "checkpoint")
    if prompts.stock is not None:
        prompts.stock.save(folder / "checkpoint" / STOCK_FILE)
    (folder / "checkpoint" / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
