"""The sizes of a Qwen2-Audio model, read from a Hugging Face config.json. Needs neither torch nor transformers.

Defaults are those of transformers' Qwen2AudioConfig: a config.json may leave out whatever equals them, and that of
Qwen2-Audio-7B does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqe_fast.checkpoint.files import CONFIG_FILE
from sqe_fast.errors import UnusableError

MEL_PER_POSITION = 2
"""conv2's stride: two 10 ms mel frames to one encoder position."""
POSITIONS_PER_TOKEN = 2
"""The average pool: two encoder positions to one audio token (40 ms)."""
MEL_MARGIN = 2
"""Mel frames beyond a clip's own that its last valid encoder position reaches through conv1 and conv2."""
SHORTEST = 3
"""Mel frames that leave one audio token."""


@dataclass(frozen=True)
class AudioConfig:
    """The Whisper-style encoder (`audio_config` in config.json)."""

    n_mels: int = 128
    width: int = 1280
    layers: int = 32
    heads: int = 20
    feed_forward: int = 5120
    max_positions: int = 1500
    """Longest input after conv2, in 20 ms positions."""

    def __post_init__(self) -> None:
        _require_positive(self)
        if self.width % self.heads:
            raise UnusableError(f"encoder width {self.width} is not a multiple of its {self.heads} heads")

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def max_frames(self) -> int:
        """Longest log-mel, in 10 ms frames."""
        return self.max_positions * MEL_PER_POSITION

    def mel_shape(self, frames: int) -> tuple[int, int]:
        """The log-mel of a clip of `frames` 10 ms frames. Raises ValueError for a clip that is too short or long."""
        if not SHORTEST <= frames <= self.max_frames:
            raise ValueError(f"a clip must have {SHORTEST} to {self.max_frames} mel frames, not {frames}")
        return self.n_mels, min(frames + MEL_MARGIN, self.max_frames)


@dataclass(frozen=True)
class TextConfig:
    """The Qwen2 decoder (`text_config` in config.json)."""

    vocab_size: int = 151936
    hidden_size: int = 4096
    layers: int = 32
    heads: int = 32
    kv_heads: int = 32
    head_dim: int = 128
    feed_forward: int = 22016
    max_positions: int = 32768
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        _require_positive(self)
        if self.heads % self.kv_heads:
            raise UnusableError(f"{self.heads} decoder heads cannot share {self.kv_heads} KV heads evenly")
        if self.head_dim % 2:
            raise UnusableError(f"rotary embedding needs an even head size, not {self.head_dim}")


@dataclass(frozen=True)
class Qwen2AudioConfig:
    audio: AudioConfig
    text: TextConfig
    audio_token_id: int

    def __post_init__(self) -> None:
        if not 0 <= self.audio_token_id < self.text.vocab_size:
            raise UnusableError(f"audio token {self.audio_token_id} is outside the {self.text.vocab_size} tokens")

    @classmethod
    def from_folder(cls, folder: Path) -> Qwen2AudioConfig:
        """Raises UnusableError where config.json is missing, not JSON, or not a Qwen2-Audio we can run exactly."""
        path = folder / CONFIG_FILE
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UnusableError(f"{path}: cannot be read ({error.strerror}); a checkpoint folder holds one") from error
        except ValueError as error:
            raise UnusableError(f"{path}: not JSON ({error})") from error
        if not isinstance(fields, dict):
            raise UnusableError(f"{path}: not a JSON object")
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Qwen2AudioConfig:
        """`fields` as in config.json."""
        if fields.get("model_type") != "qwen2_audio":
            raise UnusableError(f"model_type is {fields.get('model_type')!r}, not 'qwen2_audio'")
        return cls(
            audio=_audio(fields.get("audio_config", {})),
            text=_text(fields.get("text_config", {})),
            audio_token_id=fields.get("audio_token_index", fields.get("audio_token_id", 151646)),
        )

    def to_dict(self, dtype: str) -> dict[str, Any]:
        """A config.json that `transformers` reads to the same model, of weights stored as `dtype` ("float16")."""
        audio, text = self.audio, self.text
        return {
            "architectures": ["Qwen2AudioForConditionalGeneration"],
            "model_type": "qwen2_audio",
            "audio_token_index": self.audio_token_id,
            "tie_word_embeddings": False,
            "dtype": dtype,
            "audio_config": {
                "model_type": "qwen2_audio_encoder",
                "activation_function": "gelu",
                "num_mel_bins": audio.n_mels,
                "d_model": audio.width,
                "encoder_layers": audio.layers,
                "encoder_attention_heads": audio.heads,
                "encoder_ffn_dim": audio.feed_forward,
                "max_source_positions": audio.max_positions,
            },
            "text_config": {
                "model_type": "qwen2",
                "hidden_act": "silu",
                "vocab_size": text.vocab_size,
                "hidden_size": text.hidden_size,
                "num_hidden_layers": text.layers,
                "num_attention_heads": text.heads,
                "num_key_value_heads": text.kv_heads,
                "head_dim": text.head_dim,
                "intermediate_size": text.feed_forward,
                "max_position_embeddings": text.max_positions,
                "rms_norm_eps": text.rms_norm_eps,
                "rope_parameters": {"rope_type": "default", "rope_theta": text.rope_theta},
                "tie_word_embeddings": False,
                "use_sliding_window": False,
            },
        }

    def write(self, folder: Path, dtype: str = "float16") -> None:
        text = json.dumps(self.to_dict(dtype), indent=2, sort_keys=True) + "\n"
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")


def positions(frames: int) -> int:
    """Encoder positions (20 ms) of a clip of `frames` mel frames (10 ms)."""
    return (frames - 1) // MEL_PER_POSITION + 1


def audio_tokens(frames: int) -> int:
    """Audio tokens (40 ms) of a clip of `frames` mel frames (10 ms).

    Raises ValueError below 3 frames, which leave nothing after the pool.
    """
    tokens = positions(frames) // POSITIONS_PER_TOKEN
    if tokens < 1:
        raise ValueError(f"{frames} frames are too few for one audio token")
    return tokens


def _audio(fields: Mapping[str, Any]) -> AudioConfig:
    _require(fields, "activation_function", "gelu")
    default = AudioConfig()
    return AudioConfig(
        n_mels=fields.get("num_mel_bins", default.n_mels),
        width=fields.get("d_model", default.width),
        layers=fields.get("encoder_layers", default.layers),
        heads=fields.get("encoder_attention_heads", default.heads),
        feed_forward=fields.get("encoder_ffn_dim", default.feed_forward),
        max_positions=fields.get("max_source_positions", default.max_positions),
    )


def _text(fields: Mapping[str, Any]) -> TextConfig:
    _require(fields, "model_type", "qwen2")
    _require(fields, "hidden_act", "silu")
    _require(fields, "use_sliding_window", False)
    rope = fields.get("rope_parameters") or {}
    _require(rope, "rope_type", "default")
    _require(fields, "rope_scaling", None)
    default = TextConfig()
    hidden = fields.get("hidden_size", default.hidden_size)
    heads = fields.get("num_attention_heads", default.heads)
    return TextConfig(
        vocab_size=fields.get("vocab_size", default.vocab_size),
        hidden_size=hidden,
        layers=fields.get("num_hidden_layers", default.layers),
        heads=heads,
        kv_heads=fields.get("num_key_value_heads") or default.kv_heads,
        head_dim=fields.get("head_dim") or hidden // heads,
        feed_forward=fields.get("intermediate_size", default.feed_forward),
        max_positions=fields.get("max_position_embeddings", default.max_positions),
        rms_norm_eps=fields.get("rms_norm_eps", default.rms_norm_eps),
        rope_theta=float(rope.get("rope_theta", fields.get("rope_theta", default.rope_theta))),
    )


def _require(fields: Mapping[str, Any], name: str, value: object) -> None:
    if fields.get(name, value) != value:
        raise UnusableError(f"{CONFIG_FILE}: {name} is {fields[name]!r}; only {value!r} is supported")


def _require_positive(config: AudioConfig | TextConfig) -> None:
    for name, value in vars(config).items():
        if not value > 0:
            raise UnusableError(f"{CONFIG_FILE}: {name} must be positive, not {value!r}")
