"""A 7B with random weights, made in the GPU's memory, end to end: clips of 7 s to ratings, and to ratings with prose.

No checkpoint is at hand everywhere, and none has to be read: what is computed costs the same whatever the weights are.
Ratings are read whatever they say; prose is noise, as long as it may become.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from transformers import WhisperFeatureExtractor

from benchmarks.gpu.answers import compare
from benchmarks.gpu.rows import Machine, Writer
from benchmarks.peers.hugging_face_stages import same_model
from sqe_fast import Evaluator
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig, TextConfig
from sqe_fast.checkpoint.folder import open_checkpoint
from sqe_fast.model.qwen2_audio import Qwen2Audio
from sqe_fast.options import Serving
from sqe_fast.runners.torch_runner import TorchRunner
from tests.support.hugging_face_answers import HuggingFace
from tests.support.workloads import DRY, SEVEN_B, random_model

CLIPS, FRAMES, ROUNDS = 64, 700, 1


def measure(writer: Writer) -> None:
    """With the prompts of the bundled model, whose tokens any model of as large a vocabulary has."""
    machine, bundled = writer.machine, open_checkpoint("tiny")
    own = Qwen2AudioConfig.from_folder(bundled.folder)
    model = _made(_config(machine, own), machine)
    frames = (120,) if machine.dry else (FRAMES,) * CLIPS
    serving = Serving("torch-cpu" if machine.dry else "cuda", slots=len(frames), max_length=512)
    peer = InMemory(model, bundled.prompts(), machine)  # before ours gives what is left to its slots
    runner = TorchRunner.of(model, serving, operators="triton")
    evaluator = Evaluator(runner, bundled.prompts(), model="random weights")
    try:
        compare(writer, "whole", evaluator, {"transformers sdpa": peer}, frames, ROUNDS)
    finally:
        evaluator.close()


def _config(machine: Machine, bundled: Qwen2AudioConfig) -> Qwen2AudioConfig:
    if machine.dry:
        text = replace(DRY.config.text, vocab_size=bundled.text.vocab_size, max_positions=512)
        audio = replace(DRY.config.audio, n_mels=80, max_positions=1_500)
        return Qwen2AudioConfig(audio=audio, text=text, audio_token_id=bundled.audio_token_id)
    text = replace(SEVEN_B.text, layers=TextConfig().layers)
    return Qwen2AudioConfig(audio=AudioConfig(), text=text, audio_token_id=bundled.audio_token_id)


def _made(config: Qwen2AudioConfig, machine: Machine) -> Qwen2Audio:
    """In the precision that it keeps: in single it would take twice the memory first."""
    with _default_dtype(torch.float32 if machine.dry else machine.dtype):
        return random_model(config, torch.get_default_dtype(), machine.device)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class InMemory(HuggingFace):
    """Hugging Face's model over the same weights, where they lie."""

    def __init__(self, model: Qwen2Audio, prompts: PromptBuilder, machine: Machine) -> None:
        self._prompts, self._device, self._more = prompts, machine.device, {}
        self._dtype = model.decoder.head.weight.dtype
        self._extractor = WhisperFeatureExtractor(feature_size=model.config.audio.n_mels)
        self._model = same_model(model)
