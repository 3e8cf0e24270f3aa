"""What a runner computes, counted from within: the head's product for those who write, and no upload twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from torch import Tensor

from sqe_fast.model.packed import PackedModel
from sqe_fast.runners import onnx_cpu
from sqe_fast.runners.base import Candidates, Runner, SlotStep, Top
from sqe_fast.runners.torch_runner import TorchRunner
from tests.runners.test_conformance import ASKS, CANDIDATES, TEXTS, opened


@pytest.mark.parametrize("name", ["torch-cpu", "triton-cpu"])
def test_only_writers_are_multiplied_with_the_whole_head(
    name: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rating that costs the whole vocabulary."""
    multiplied: list[int] = []
    real = PackedModel.logits
    monkeypatch.setattr(PackedModel, "logits", lambda model, x: (multiplied.append(len(x)), real(model, x))[1])
    ask_all_ways(opened(name, exported))
    assert multiplied == [1, 2]


def test_only_writers_are_multiplied_with_the_whole_head_by_onnx_runtime(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, by what ONNX Runtime's profiler saw leave its nodes."""

    def profiling(threads: int) -> onnxruntime.SessionOptions:
        options = real(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / "profile")
        return options

    real = onnx_cpu._options
    monkeypatch.setattr(onnx_cpu, "_options", profiling)
    runner = opened("onnx-cpu", exported)
    assert isinstance(runner, onnx_cpu.OnnxRunner)
    ask_all_ways(runner)
    events = json.loads(Path(runner._decoder.end_profiling()).read_text())
    shapes = [
        shape
        for event in events
        for out in event.get("args", {}).get("output_type_shape", ())
        for shape in out.values()
    ]
    vocabulary = runner.info.vocab_size
    rows = [shape[0] for shape in shapes if len(shape) == 2 and shape[1] == vocabulary and shape[0]]
    assert sorted(set(rows)) == [1, 2]
    assert rows.count(1) == rows.count(2), "a write is a pass of its own here"


def ask_all_ways(runner: Runner) -> None:
    """Reads, and what is only fed; then one write; then two beside a read."""
    for slot, text in enumerate(TEXTS):
        runner.prefill([SlotStep(slot, 0, text, Candidates(CANDIDATES) if slot else None)], [()])
    questions = [ASKS[1:] * 4, (None,) * 4, (None, Top(3), None, None), (*ASKS, Top(2), None)]
    for past, asks in enumerate(questions):
        pairs = zip(TEXTS, asks, strict=True)
        runner.decode([SlotStep(slot, len(text) + past, (20,), ask) for slot, (text, ask) in enumerate(pairs)])


def test_candidates_are_uploaded_once(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """41 ids that never change, padded and sent to the GPU at every step; or one list taken for another."""
    uploaded: list[list[int]] = []
    real = TorchRunner._tensor

    def noted(runner: TorchRunner, array: np.ndarray) -> Tensor:
        uploaded.append(array.tolist())
        return real(runner, array)

    monkeypatch.setattr(TorchRunner, "_tensor", noted)
    runner = opened("torch-cpu", exported)
    lists = [CANDIDATES, CANDIDATES[::-1], CANDIDATES, CANDIDATES]
    for slot, text in enumerate(TEXTS):
        runner.prefill([SlotStep(slot, 0, text)], [()])
    for past in range(3):
        steps = [SlotStep(slot, len(text) + past, (20,), Candidates(lists[slot])) for slot, text in enumerate(TEXTS)]
        runner.decode(steps)
    assert uploaded.count(list(CANDIDATES)) == uploaded.count(list(CANDIDATES[::-1])) == 1
