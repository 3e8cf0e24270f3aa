"""What every runner says of its model, and what it refuses: steps that do not fit the model or its KV memory.

A ValueError from here is the caller's mistake.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqe_fast.model.config import AudioConfig, Qwen2AudioConfig, TextConfig
from sqe_fast.runners.base import Embedding, FloatArray, Row, RunnerInfo

DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def kv_bytes_per_token(config: TextConfig, dtype: str) -> int:
    """Keys and values of one position in all layers."""
    return 2 * config.layers * config.kv_heads * config.head_dim * DTYPE_BYTES[dtype]


def runner_info(
    name: str,
    config: Qwen2AudioConfig,
    slots: int,
    max_length: int,
    *,
    dtype: str = "float32",
    encode_frames: int = 1,
) -> RunnerInfo:
    """`max_length` is cut to the positions that the model was made for."""
    text = config.text
    return RunnerInfo(
        name=name,
        hidden_size=text.hidden_size,
        vocab_size=text.vocab_size,
        audio_token_id=config.audio_token_id,
        n_mels=config.audio.n_mels,
        max_audio_frames=config.audio.max_frames,
        slots=slots,
        max_length=min(max_length, text.max_positions),
        kv_bytes_per_token=kv_bytes_per_token(text, dtype),
        dtype=dtype,
        encode_frames=encode_frames,
    )


def check_mel(config: AudioConfig, log_mel: FloatArray, frames: int) -> None:
    expected = config.mel_shape(frames)
    if log_mel.shape != expected:
        raise ValueError(f"a log-mel of {frames} frames must be {list(expected)}, not {list(log_mel.shape)}")


def check_prefill(info: RunnerInfo, row: Row, audio: Sequence[Embedding]) -> None:
    _check_row(info, row)
    for clip in audio:
        if len(clip.shape) != 2 or clip.shape[1] != info.hidden_size:
            raise ValueError(f"audio embeddings must be [n, {info.hidden_size}], not {list(clip.shape)}")
    wanted, given = row.tokens.count(info.audio_token_id), sum(clip.shape[0] for clip in audio)
    if wanted != given:
        raise ValueError(f"{wanted} audio tokens, but {given} audio embeddings")


def check_decode(info: RunnerInfo, rows: Sequence[Row]) -> None:
    if not rows:
        raise ValueError("a decode step needs at least one row")
    for index, row in enumerate(rows):
        _check_row(info, row)
        if row.slot != index:
            raise ValueError(f"decode rows must occupy slots 0, 1, …; row {index} is in slot {row.slot}")
        if len(row.tokens) != 1 or row.past < 1:
            raise ValueError(f"row {index} must add one token to a prefilled slot")
        if row.tokens[0] == info.audio_token_id:
            raise ValueError(f"row {index} decodes the audio token, which needs an embedding: prefill it")


def check_move(info: RunnerInfo, source: int, destination: int, length: int) -> None:
    for slot in (source, destination):
        _check_slot(info, slot)
    if not 0 <= length <= info.max_length:
        raise ValueError(f"cannot move {length} of {info.max_length} positions")


def _check_row(info: RunnerInfo, row: Row) -> None:
    _check_slot(info, row.slot)
    if not row.tokens or row.past < 0:
        raise ValueError("a step needs at least one token and a past of at least 0")
    if row.past + len(row.tokens) > info.max_length:
        raise ValueError(f"{row.past} + {len(row.tokens)} positions do not fit the slot's {info.max_length}")
    for ids in (row.tokens, row.candidates):
        if ids and not 0 <= min(ids) <= max(ids) < info.vocab_size:
            raise ValueError(f"token ids must be 0 to {info.vocab_size - 1}")


def _check_slot(info: RunnerInfo, slot: int) -> None:
    if not 0 <= slot < info.slots:
        raise ValueError(f"slot {slot} is none of the {info.slots}")
