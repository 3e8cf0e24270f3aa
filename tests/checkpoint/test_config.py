"""config.json as Hugging Face writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from sqe_fast.checkpoint.config import Qwen2AudioConfig
from sqe_fast.errors import UnusableError
from tests.support.small_model import SMALL

SEVEN_B: dict[str, Any] = {  # what Qwen2-Audio-7B's config.json says; the rest are defaults
    "model_type": "qwen2_audio",
    "audio_token_index": 151646,
    "audio_config": {"model_type": "qwen2_audio_encoder", "num_mel_bins": 128, "encoder_layers": 32},
    "text_config": {
        "model_type": "qwen2",
        "intermediate_size": 11008,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000,
        "sliding_window": 32768,
        "vocab_size": 156032,
    },
}


def test_what_we_write_reads_back_the_same(tmp_path: Path) -> None:
    SMALL.write(tmp_path)
    assert Qwen2AudioConfig.from_folder(tmp_path) == SMALL


def test_hugging_face_reads_and_writes_the_same_model(tmp_path: Path) -> None:
    SMALL.write(tmp_path)
    AutoConfig.from_pretrained(tmp_path).save_pretrained(tmp_path / "theirs")
    assert Qwen2AudioConfig.from_folder(tmp_path / "theirs") == SMALL


def test_what_the_seven_b_leaves_out_is_filled_in(tmp_path: Path) -> None:
    config = Qwen2AudioConfig.from_dict(SEVEN_B)
    theirs = AutoConfig.for_model(**SEVEN_B)
    assert config.audio.width == theirs.audio_config.d_model == 1280
    assert config.audio.heads == theirs.audio_config.encoder_attention_heads
    text = theirs.text_config
    assert (config.text.hidden_size, config.text.layers) == (text.hidden_size, text.num_hidden_layers)
    assert (config.text.heads, config.text.kv_heads) == (text.num_attention_heads, text.num_key_value_heads)
    assert config.text.head_dim == 128


def test_a_head_that_is_not_stated_is_its_share_of_the_width() -> None:
    """A default of 128 in a narrower model: what Hugging Face writes of one may leave head_dim out."""
    text = {**SEVEN_B["text_config"], "hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2}
    config = Qwen2AudioConfig.from_dict({**SEVEN_B, "text_config": text})
    assert config.text.head_dim == 64


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("", {"model_type": "llama"}, "'llama', not 'qwen2_audio'"),
        ("", {"audio_token_index": 156032}, "audio token 156032 is outside"),
        ("text_config", {"use_sliding_window": True}, "use_sliding_window"),
        ("text_config", {"hidden_act": "gelu"}, "hidden_act"),
        ("text_config", {"rope_parameters": {"rope_type": "yarn"}}, "rope_type"),
        ("text_config", {"rope_scaling": {"type": "linear"}}, "rope_scaling"),
        ("text_config", {"num_key_value_heads": 5}, "cannot share 5 KV heads"),
        ("text_config", {"num_hidden_layers": 0}, "layers must be positive"),
        ("audio_config", {"activation_function": "relu"}, "activation_function"),
        ("audio_config", {"encoder_attention_heads": 7}, "not a multiple of its 7 heads"),
    ],
)
def test_a_model_we_cannot_run_exactly_is_refused(part: str, change: dict[str, Any], message: str) -> None:
    fields = {**SEVEN_B, **change} if not part else {**SEVEN_B, part: {**SEVEN_B[part], **change}}
    with pytest.raises(UnusableError, match=message):
        Qwen2AudioConfig.from_dict(fields)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(UnusableError, match=r"config\.json"):
        Qwen2AudioConfig.from_folder(tmp_path)
