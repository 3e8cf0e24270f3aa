"""CUDA graphs of the decode step, on a stand-in for torch's: what is captured, when, and on which memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.runtime import interpreter

from sqe_fast.kernels import OPERATORS, select
from sqe_fast.kernels.operators import IDLE
from sqe_fast.model.packed import PackedModel
from sqe_fast.model.qwen2_audio import Qwen2Audio
from sqe_fast.runners.torch_runner import DecodeGraphs, decode_step, graph_sizes
from tests.support.small_model import SMALL

SLOTS = 4


class FakeModel:
    """Writes to one place per call and remembers on what it was called, as a captured graph does."""

    operators = select("triton")

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []
        self.idle = True
        """Whether every call so far was of idle rows alone."""

    def decode(self, tokens: Tensor, past: Tensor) -> Tensor:
        out = (10 * tokens + past).float()
        self.idle &= bool((past == IDLE).all())
        self.calls.append((tokens, past, out))
        return out


class FakeStream:
    def wait_stream(self, other: object) -> None: ...


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    fake = FakeModel()

    class FakeGraph:
        def replay(self) -> None:
            """The captured work again, on the captured memory."""
            tokens, past, out = self.captured
            out.copy_((10 * tokens + past).float())

    @contextmanager
    def capture(graph: Any, pool: object, capture_error_mode: str = "global") -> Iterator[None]:
        assert capture_error_mode == "thread_local", "another thread's allocation would end the capture"
        yield
        graph.captured = fake.calls[-1]

    @contextmanager
    def stream(stream: object) -> Iterator[None]:
        yield

    for name, stand_in in {
        "CUDAGraph": FakeGraph,
        "graph": capture,
        "stream": stream,
        "Stream": FakeStream,
        "current_stream": FakeStream,
        "graph_pool_handle": object,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return fake


def step(graphs: DecodeGraphs, tokens: list[int], past: list[int]) -> list[float]:
    return graphs(torch.tensor(tokens), torch.tensor(past, dtype=torch.int32)).tolist()


def test_a_replay_sees_new_tokens_and_positions(model: FakeModel) -> None:
    """A graph captured on the caller's own tensors would answer the first step for ever."""
    graphs = DecodeGraphs(cast(PackedModel, model), SLOTS, torch.device("cpu"))
    assert step(graphs, [1, 2], [5, 6]) == [15, 26]
    assert step(graphs, [3, 4], [7, 8]) == [37, 48]


def test_graphs_are_captured_when_the_model_is_loaded_and_for_few_sizes(model: FakeModel) -> None:
    """A capture for each number of rows made dozens of requests wait, each 20 ms and a compilation, while serving."""
    graphs = DecodeGraphs(cast(PackedModel, model), 20, torch.device("cpu"))
    captured = [len(tokens) for tokens, _, _ in model.calls]
    assert captured == [rows for rows in (20, 16, 8, 4, 2, 1) for _ in range(2)]  # to compile, and to capture
    assert model.idle, "a capture that writes to slots"
    for rows in (1, 3, 17, 20, 3, 5):
        assert step(graphs, [1] * rows, [rows] * rows) == [10.0 + rows] * rows
    assert len(model.calls) == len(captured)


@pytest.mark.parametrize(
    ("slots", "sizes"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9]), (25, [1, 2, 4, 8, 16, 24, 25])],
)
def test_the_sizes_of_graphs(slots: int, sizes: list[int]) -> None:
    assert graph_sizes(slots) == sizes


def test_rows_that_fill_up_a_graph_are_idle(model: FakeModel) -> None:
    """They would go on writing to the slots of sequences that have ended."""
    graphs = DecodeGraphs(cast(PackedModel, model), SLOTS, torch.device("cpu"))
    step(graphs, [1] * 4, [5] * 4)
    step(graphs, [1] * 3, [7] * 3)
    assert graphs._past.tolist() == [7, 7, 7, IDLE]


@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_captured_reads_nothing_on_the_host(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a tensor's values is illegal while a GPU's stream is captured; `meta` tensors have none."""
    monkeypatch.setattr(interpreter.GridExecutor, "__call__", lambda *_, **__: None)
    with torch.device("meta"):
        packed = PackedModel(Qwen2Audio(SMALL), select(name), slots=SLOTS, max_length=32)
        step = torch.ones(3, dtype=torch.int64), torch.ones(3, dtype=torch.int32)
    if packed.operators.CAPTURABLE:
        assert packed.decode(*step).shape == (3, SMALL.text.hidden_size)
    else:
        with pytest.raises(ValueError, match=f"no CUDA graph can be made of operators '{name}'"):
            DecodeGraphs(packed, SLOTS, torch.device("meta"))


@pytest.mark.parametrize("name", OPERATORS)
def test_only_what_can_be_captured_is_replayed_on_a_gpu(
    model: FakeModel, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain torch, asked for on a GPU, runs eagerly: a capture of it would fail at its first decode step."""
    monkeypatch.setattr(model, "operators", select(name))
    monkeypatch.setattr(DecodeGraphs, "_capture", lambda *_: None)
    with FakeTensorMode():
        on_gpu, on_cpu = (decode_step(cast(PackedModel, model), SLOTS, torch.device(kind)) for kind in ("cuda", "cpu"))
    assert isinstance(on_gpu, DecodeGraphs) == (name == "triton")
    assert isinstance(on_gpu, DecodeGraphs) or on_gpu == model.decode
    assert on_cpu == model.decode
