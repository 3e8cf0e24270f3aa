"""Encoder, one clip at its true length: ours beside Hugging Face's, torch.compile, and our own graph padded to 30 s.

pytest benchmarks/engine/test_encoder.py --benchmark-columns=min,median,rounds
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine.conftest import THREADS, speech
from benchmarks.peers.hugging_face_parts import HuggingFaceParts
from benchmarks.turns import describe, take_turns
from sqe_fast.audio.features import log_mel
from sqe_fast.checkpoint.config import Qwen2AudioConfig
from sqe_fast.runners.base import Runner


@pytest.mark.parametrize("seconds", [2.0, 5.5, 12.0, 28.0], ids=lambda seconds: f"{seconds:g}s")
def test_encoder(
    benchmark: BenchmarkFixture, runner: Runner, tiny: Path, seconds: float, quick: bool, rounds: int
) -> None:
    mel = log_mel(speech(seconds))
    hf = HuggingFaceParts(tiny)
    audio = Qwen2AudioConfig.from_folder(tiny).audio
    padded = np.zeros(audio.mel_shape(audio.max_frames), np.float32)
    padded[:, : mel.data.shape[1]] = mel.data
    peers = {
        "hf_sdpa": lambda: hf.encode(mel),
        "onnx_padded": lambda: runner.encode([(padded, audio.max_frames)]),
    }
    if not quick:
        compiled = HuggingFaceParts(tiny, compiled=True)
        peers["torch_compile"] = lambda: compiled.encode(mel)
    [ours] = (np.asarray(each) for each in runner.encode([(mel.data, mel.frames)]))
    for name, peer in peers.items():
        if name != "onnx_padded":  # which hears the padding, as it has no mask: it stands for its cost alone
            np.testing.assert_allclose(np.asarray(peer()), ours, rtol=0, atol=1e-3, err_msg=name)

    benchmark.group = f"encoder, {seconds:g} s"
    take_turns(benchmark, lambda: runner.encode([(mel.data, mel.frames)]), peers, rounds)
    describe(benchmark, ran=runner.info.name, threads=THREADS, dtype=runner.info.dtype, audio_seconds=seconds)
