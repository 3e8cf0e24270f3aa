"""Low-rank adapters (peft) in the decoder's linear layers while it trains; a finished checkpoint is plain again."""

from __future__ import annotations

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

TARGETS = ["q", "k", "v", "o", "gate", "up", "down"]
"""Names of the decoder's linear layers; embeddings and head stay as they are."""


def inject(decoder: nn.Module, rank: int) -> None:
    """Add adapters of `rank`, scaled by 2, which change nothing yet. Everything else in the decoder is frozen."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=TARGETS)
    inject_adapter_in_model(config, decoder)


def merge(decoder: nn.Module) -> None:
    """Add what the adapters learnt to the weights they adapt, and take them out, if there are any."""
    for name, module in list(decoder.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(decoder.get_submodule(parent), child, module.get_base_layer())
    decoder.requires_grad_(True)
