"""A LoRA adapter as peft saves it, added to a checkpoint's weights while they are loaded: W + s·B·A.

Hu et al. 2021, arXiv 2106.09685; s is alpha/r, or alpha/√r (rsLoRA, arXiv 2312.03732). What is not plain LoRA on linear
layers is refused: merged in part, an adapter would be another model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sqe_fast.checkpoint.files import ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE
from sqe_fast.errors import UnusableError

PLAIN = {"bias": "none", "fan_in_fan_out": False, "lora_bias": False, "use_dora": False, "use_qalora": False}
"""Settings and what they must be."""
ABSENT = (
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "modules_to_save",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "velora_config",
)
"""Settings that must not be set: each makes more of an adapter than W + s·B·A."""

_PREFIX = "base_model.model."
_ON_DISK = (
    ("model.language_model.", "language_model.model."),
    ("model.audio_tower.", "audio_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("lm_head", "language_model.lm_head"),
)
"""Modules are named as in memory, which since transformers 5 is no longer as on disk."""


@dataclass(frozen=True)
class Adapter:
    """What was read of an adapter's folder."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @classmethod
    def read(cls, folder: Path) -> Adapter:
        """Raises UnusableError by name for a folder that holds none, or one that is not plain LoRA."""
        path = folder / ADAPTER_CONFIG_FILE
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UnusableError(f"{path}: cannot be read ({error.strerror}); an adapter's folder holds one") from error
        except ValueError as error:
            raise UnusableError(f"{path}: not JSON ({error})") from error
        if not isinstance(config, dict) or config.get("peft_type") != "LORA":
            raise UnusableError(f"{path}: not a LoRA adapter as peft saves it")
        odd = [name for name, value in PLAIN.items() if config.get(name, value) != value]
        odd += [name for name in ABSENT if config.get(name)]
        if odd:
            raise UnusableError(f"{path}: {', '.join(odd)}: only plain LoRA can be merged; merge it with peft first")
        try:
            return cls(folder, config, load_file(folder / ADAPTER_WEIGHTS_FILE))
        except (OSError, SafetensorError) as error:
            raise UnusableError(f"{folder / ADAPTER_WEIGHTS_FILE}: not readable safetensors ({error})") from error

    def merge(self, weights: dict[str, Tensor]) -> None:
        """Replace what is adapted among `weights`, under their names on disk; float32 in between.

        Raises UnusableError for a tensor that adapts none of them, or of another shape.
        """
        for module, first, second in self._pairs():
            name = f"{_on_disk(module)}.weight"
            if name not in weights:
                raise UnusableError(f"{self.folder}: adapts {module}, which this model does not have")
            weight = weights[name]
            if first.dim() != 2 or second.dim() != 2 or (second.shape[0], first.shape[1]) != tuple(weight.shape):
                shapes = f"{list(second.shape)} × {list(first.shape)}"
                raise UnusableError(f"{self.folder}: {module} is {list(weight.shape)}, its adapter {shapes}")
            change = self._scale(module, first.shape[0]) * (second.float() @ first.float())
            weights[name] = (weight.float() + change).to(torch.promote_types(weight.dtype, first.dtype))

    def _pairs(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Each adapted module with its A [r, in] and B [out, r].

        Beside an adapted head peft saves the head itself ("base_layer"), in case it was resized; then it would not fit.
        """
        known = re.compile(rf"{re.escape(_PREFIX)}(.+)\.(lora_A|lora_B)\.weight")
        found: dict[str, dict[str, Tensor]] = {}
        for name, tensor in self.tensors.items():
            if name.endswith(".base_layer.weight"):
                continue
            match = known.fullmatch(name)
            if not match:
                raise UnusableError(f"{self.folder}: {name} is no part of a plain LoRA adapter")
            found.setdefault(match[1], {})[match[2]] = tensor
        for module, parts in found.items():
            if not {"lora_A", "lora_B"} <= parts.keys():
                raise UnusableError(f"{self.folder}: of the adapter of {module} only {', '.join(parts)} is there")
            yield module, parts["lora_A"], parts["lora_B"]

    def _scale(self, module: str, rank: int) -> float:
        alpha = self.config["lora_alpha"]
        for pattern, value in (self.config.get("alpha_pattern") or {}).items():
            if re.fullmatch(rf"(.*\.)?({pattern})", module):
                alpha = value
                break
        return float(alpha) / (math.sqrt(rank) if self.config.get("use_rslora") else rank)


def _on_disk(module: str) -> str:
    for ours, theirs in _ON_DISK:
        if module.startswith(ours):
            return theirs + module[len(ours) :]
    return module
