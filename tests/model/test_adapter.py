"""LoRA adapters: what peft saves, merged at load, gives the logits of peft's own unmerged model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2AudioForConditionalGeneration

from sqe_fast.errors import UnusableError
from sqe_fast.model.qwen2_audio import load_checkpoint
from tests.support.small_model import SMALL, save_small

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
]

EVERYWHERE = ["q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "fc1", "fc2", "gate_proj", "down_proj", "linear"]
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 8, "target_modules": EVERYWHERE},
    "with the head": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "lm_head"]},
    "rank-stabilised": {"r": 4, "lora_alpha": 8, "use_rslora": True, "target_modules": ["q_proj", "up_proj"]},
    "of several ranks": {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"fc1": 2, "language_model.layers.1.self_attn.q_proj": 6},
        "alpha_pattern": {"self_attn.q_proj": 3, "fc1": 5, "layers.0.fc1": 7},  # of two that match, the first
        "target_modules": ["q_proj", "fc1"],
    },
}


def save_adapter(base: Path, folder: Path, **settings: Any) -> tuple[Path, Any]:
    """A random adapter of the model in `base`; its folder, and peft's model, unmerged."""
    model = Qwen2AudioForConditionalGeneration.from_pretrained(base, dtype=torch.float32).eval()
    adapted = get_peft_model(model, LoraConfig(**settings))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:  # peft starts them at 0: an adapter that changes nothing
                parameter.normal_(std=0.2)
    adapted.save_pretrained(folder)
    return folder, adapted.eval()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_merged_equals_unmerged(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = save_small(tmp_path / "base")
    adapter, theirs = save_adapter(base, tmp_path / "adapter", **settings)
    ours, _ = load_checkpoint(base, adapter=adapter)
    plain, _ = load_checkpoint(base)
    text = torch.arange(30, 60)[None]
    frames = 333
    mel = torch.randn(SMALL.audio.n_mels, SMALL.audio.max_frames, generator=torch.Generator().manual_seed(0)) * 0.5
    mel[:, frames:] = 0
    mask = (torch.arange(SMALL.audio.max_frames) < frames)[None].long()
    clip = (mel[:, : SMALL.audio.mel_shape(frames)[1]], frames)
    with torch.inference_mode():
        audio = ours.encode(*clip)
        tokens = torch.cat([torch.full((1, len(audio)), SMALL.audio_token_id), text], 1)
        found = ours.logits(ours(tokens, audio))
        without = plain.logits(plain(tokens, plain.encode(*clip)))
        expected = theirs(input_ids=tokens, input_features=mel[None], feature_attention_mask=mask).logits
    assert (found - expected).abs().max() <= 2e-5 * expected.abs().max()
    assert (without - expected).abs().max() > 1e-2 * expected.abs().max()


def test_half_precision_weights_are_merged_in_single(tmp_path: Path) -> None:
    """The base is stored in float16; a change too small for it must not be lost."""
    base = save_small(tmp_path / "base")
    adapter, _ = save_adapter(base, tmp_path / "adapter", **SETTINGS["plain"])
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: tensor * 1e-3 for name, tensor in tensors.items()}, adapter / "adapter_model.safetensors")
    changed, plain = (load_checkpoint(base, adapter=one)[0].decoder.layers[0].q.weight for one in (adapter, None))
    assert 0 < (changed - plain).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_dora": True}, "use_dora: only plain LoRA"),
        ({"bias": "all"}, "bias: only plain LoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save: only plain LoRA"),
        ({"peft_type": "IA3"}, "not a LoRA adapter"),
    ],
)
def test_what_is_more_than_lora_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    base = save_small(tmp_path / "base")
    adapter, _ = save_adapter(base, tmp_path / "adapter", **SETTINGS["plain"])
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(UnusableError, match=message):
        load_checkpoint(base, adapter=adapter)


FIRST = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
TENTH = FIRST.replace("layers.0", "layers.9")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{FIRST}.lora_A.weight": None}, "only lora_B is there"),
        ({f"{FIRST}.lora_A.weight": torch.zeros(4, 63)}, r"q_proj is \[64, 64\], its adapter \[64, 4\] × \[4, 63\]"),
        ({f"{FIRST}.lora_magnitude_vector": torch.zeros(4)}, "no part of a plain LoRA adapter"),
        (
            {
                f"{FIRST.replace('layers.0', 'layers.9')}.{part}.weight": torch.zeros(64, 64)
                for part in ("lora_A", "lora_B")
            },
            "layers.9.self_attn.q_proj, which this model does not have",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    base = save_small(tmp_path / "base")
    adapter, _ = save_adapter(base, tmp_path / "adapter", **SETTINGS["plain"])
    tensors = {**load_file(adapter / "adapter_model.safetensors"), **change}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, adapter / "adapter_model.safetensors")
    with pytest.raises(UnusableError, match=message):
        load_checkpoint(base, adapter=adapter)


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    base = save_small(tmp_path / "base")
    with pytest.raises(UnusableError, match=r"adapter_config.json: cannot be read"):
        load_checkpoint(base, adapter=tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 8}')
    with pytest.raises(UnusableError, match="not readable safetensors"):
        load_checkpoint(base, adapter=tmp_path)
