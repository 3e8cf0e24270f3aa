"""The GPU benchmarks run, small and in Triton's interpreter, and claim no speed there."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from transformers import WhisperFeatureExtractor

from benchmarks.gpu import __main__ as gpu_benchmarks
from benchmarks.gpu import ceilings, kernels, kl, rows, stages
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.kernels import errors
from benchmarks.gpu.rows import Machine, Writer, commit, copies_to_rotate, open_machine
from sqe_fast.answer.template import AUDIO_TOKEN, TEMPLATE
from sqe_fast.checkpoint.hashes import write_hashes
from sqe_fast.kernels import Operators, reference, select
from sqe_fast.model.packed import PackedModel
from sqe_fast.runners.torch_runner import decode_step
from tests.support.least_work import least_work
from tests.support.operator_calls import Call, calls
from tests.support.small_model import SMALL, save_small
from tests.support.small_tokenizer import small_tokenizer
from tests.support.workloads import DRY

OPERATORS = {
    "conv_stem", "norm_linear", "linear_residual", "packed_attention", "pool_norm_linear", "norm_swiglu",
    "prefill_attention", "decode_attention", "read_out",
}  # fmt: skip
DRY_MACHINE = Machine(torch.device("cpu"), torch.float16)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Random weights so few that they answer in the interpreter."""
    tokenizer = small_tokenizer()
    text = replace(SMALL.text, vocab_size=tokenizer.get_vocab_size(), layers=1)
    audio_token = tokenizer.token_to_id(AUDIO_TOKEN)
    config = replace(SMALL, audio=replace(SMALL.audio, layers=1), text=text, audio_token_id=audio_token)
    folder = save_small(tmp_path / "random", config=config)
    tokenizer.save(str(folder / "tokenizer.json"))
    WhisperFeatureExtractor(feature_size=config.audio.n_mels).save_pretrained(folder)
    (folder / "sqe_fast.json").write_text(json.dumps({"name": "random", "template": TEMPLATE}))
    write_hashes(folder, ["model.safetensors", "tokenizer.json"])
    return folder


def dry(folder: Path, level: str, *more: str) -> list[dict[str, object]]:
    file = folder / "rows.jsonl"
    assert main(["--dry", "--only", level, "--out", str(file), *more]) == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows
    for row in rows:
        assert row["dry"] is True
        assert row["operators"] == "triton"
        assert row["right"] is True
        assert {"device", "dtype", "commit", "torch", "triton", "driver", "peer"} <= row.keys()
        assert not [key for key in row if key.endswith(("ms", "per_second")) or key.startswith("times_")]
    return rows


def test_kernels(tmp_path: Path) -> None:
    rows = dry(tmp_path, "kernels")
    assert {str(row["case"]).split(" ")[-2] for row in rows} == OPERATORS
    in_int8 = {str(row["case"]).split(" ")[-2] for row in rows if str(row["case"]).startswith("int8 ")}
    assert in_int8 == OPERATORS - {"conv_stem", "packed_attention", "pool_norm_linear"}


def test_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They made CUDA graphs of plain torch as well, by a branch that no dry run took: its first decode step on a GPU
    would have ended the run. They decode as the runner does."""
    served: list[str] = []

    def noted(model: PackedModel, *more: Any) -> Any:
        served.append(model.operators.NAME)
        return decode_step(model, *more)

    monkeypatch.setattr(stages, "decode_step", noted)
    rows = dry(tmp_path, "stages")
    assert {str(row["case"]).split(" ")[0] for row in rows} == {"encode", "prefill", "decode"}
    assert {row["peer"] for row in rows} == {"torch", "transformers sdpa"}
    assert set(served) == {"torch", "triton"}


def test_answers(tmp_path: Path, checkpoint: Path) -> None:
    (row,) = dry(tmp_path, "answers", "--checkpoint", str(checkpoint))
    assert row["runner"] == "triton-cpu"


@pytest.mark.parametrize("level", ["ceilings", "kl"])
def test_ceilings_and_losses(tmp_path: Path, level: str) -> None:
    file = tmp_path / "rows.jsonl"
    assert main(["--dry", "--only", level, "--out", str(file)]) == 0
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["level"] for row in found} == {level.removesuffix("s")}
    assert all(row["right"] for row in found)


# --- what a run on a card does, on a stand-in for it -----------------------------------------------------------------


class FakeCard(Machine):
    """Tensors of the CPU, and everything that is done with those of a GPU."""

    dry = False  # type: ignore[assignment]


class FakeEvent:
    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None: ...

    def elapsed_time(self, other: FakeEvent) -> float:
        return 2.0


class FakeGraph:
    replays = 0

    def replay(self) -> None:
        FakeGraph.replays += 1


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def capture(graph: FakeGraph, capture_error_mode: str) -> Iterator[None]:
        def refuse(_: Tensor) -> None:
            raise RuntimeError("operation not permitted when stream is capturing")

        assert capture_error_mode == "thread_local"
        with pytest.MonkeyPatch.context() as patch:
            for reading in ("tolist", "item"):
                patch.setattr(Tensor, reading, refuse)
            yield

    for name, stand_in in {
        "synchronize": lambda *_: None,
        "CUDAGraph": FakeGraph,
        "graph": capture,
        "Event": FakeEvent,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "memory_allocated": lambda: 0,
        "max_memory_allocated": lambda: 5 << 20,
        "get_device_name": lambda _: "a stand-in",
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(gpu_benchmarks, "open_machine", lambda _: FakeCard(torch.device("cpu"), torch.float16))
    monkeypatch.setattr(rows, "_output", lambda *_: "0")
    for module, sizes in ((gpu_benchmarks, ("BATCH", "GROUPED")), (kl, ("SIZES",)), (ceilings, ("COPY_BYTES", "SIDE"))):
        for name in sizes:
            small = {"SIZES": ((5, 24),), "COPY_BYTES": 4096, "SIDE": 32}.get(name, DRY)
            monkeypatch.setattr(module, name, small)
    monkeypatch.setattr(kl, "AUDIO_VOCABULARY", 301)

    def some(*given: Any) -> list[Call]:
        """One whose peers can be captured, and the one whose peers read on the host: all others are in the dry run."""
        first = {call.operator: call for call in reversed(calls(*given))}
        return [first["linear_residual"], first["decode_attention"]]

    monkeypatch.setattr(kernels, "calls", some)
    monkeypatch.setattr(rows, "MOST_COPIES", 1)
    monkeypatch.setattr(rows, "ROUNDS", 1)
    rows.environment.cache_clear()


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("level", ["ceilings", "kernels", "kl", "stages"])
def test_every_branch_of_a_run_on_a_card(tmp_path: Path, level: str) -> None:
    """Graphs were made of operators that read on the host, in a branch that no dry run took; a deviation, a missing
    .git or the ninth size of a compiled function ended the run or its meaning."""
    before, file = FakeGraph.replays, tmp_path / "rows.jsonl"
    assert main(["--only", level, "--out", str(file)]) == 0
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert found
    for row in found:
        assert row["right"] is True
        assert row["dry"] is False
        assert row["ms"] > 0
    replayed = {str(row["case"]).split(" ")[-2] for row in found if row.get("timed") == "replay"}
    assert (FakeGraph.replays > before) == (level in ("ceilings", "kernels"))
    assert "decode_attention" in replayed if level == "kernels" else not replayed
    if level in ("kernels", "stages"):
        assert {row["peer"] for row in found} >= {"torch"}
        assert all(row["times_peer"] == 1.0 or level == "kernels" for row in found)


@pytest.mark.usefixtures("card")
def test_a_level_that_ends_early_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Writer) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(kl, "measure", broken)
    file = tmp_path / "rows.jsonl"
    assert main(["--only", "kl", "--only", "ceilings", "--out", str(file)]) == 1
    assert {json.loads(line)["level"] for line in file.read_text().splitlines()} == {"ceiling"}
    assert "not right: kl: ended early" in capsys.readouterr().err


@pytest.mark.usefixtures("card")
def test_a_loss_without_memory_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(kl, "peers", lambda: {"naive": greedy})
    file = tmp_path / "rows.jsonl"
    assert main(["--only", "kl", "--out", str(file)]) == 0
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert row["ms"] > 0
    assert row["peer_ms"] is row["times_peer"] is None


def test_a_calls_arguments_are_rotated_through_memory() -> None:
    """Found in the L2 time and again, weights would cost nothing."""
    assert copies_to_rotate(1 << 30) == copies_to_rotate(256 << 20) == 1
    assert copies_to_rotate(100 << 20) == 3
    assert copies_to_rotate(1) == copies_to_rotate(0) == rows.MOST_COPIES
    (call, *_) = calls(DRY, torch.float16, DRY_MACHINE.device, select("torch"))
    first, second, *_ = kernels.rotated(call)
    assert first is call
    for one, other in zip(tree_leaves(first.arguments), tree_leaves(second.arguments), strict=True):
        if isinstance(one, Tensor):
            assert torch.equal(one, other)
            assert one.data_ptr() != other.data_ptr()


def test_what_is_not_dry_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no GPU is here"):
        open_machine(dry=False)


def test_a_dry_row_with_a_time_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "rows.jsonl").open("w") as file, pytest.raises(AssertionError):
        Writer(DRY_MACHINE, file).write("kernel", "none", "triton", right=True, peer_ms=1.0)


class Faulty:
    """Plain torch in place of the kernels, with one operator wrong."""

    NAME, CAPTURABLE = "triton", True

    def __init__(self, fault: float) -> None:
        self._fault = fault

    def __getattr__(self, operator: str) -> Any:
        return getattr(reference, operator)

    def linear_residual(self, *given: Any) -> Tensor:
        return reference.linear_residual(*given) * self._fault


@pytest.mark.parametrize("fault", [1.5, math.nan])
def test_a_deviation_is_written_down_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: float
) -> None:
    """The first deviation ended the run, and with it an hour on a card."""
    for level in (kernels, stages):
        monkeypatch.setattr(level, "select", lambda name: Faulty(fault) if name == "triton" else select(name))
    file = tmp_path / "rows.jsonl"
    assert main(["--dry", "--only", "kernels", "--only", "stages", "--out", str(file)]) == 1
    rows = [json.loads(line, parse_constant=pytest.fail) for line in file.read_text().splitlines()]
    right, wrong = ({f"{row['level']} {row['case']}" for row in rows if row["right"] == kind} for kind in (True, False))
    assert {case.split(" ")[-2] for case in right if case.startswith("kernel")} == OPERATORS - {"linear_residual"}
    assert {case.split(" ")[-2] for case in wrong if case.startswith("kernel")} == {"linear_residual"}
    assert {case.split(" ")[1] for case in wrong if case.startswith("stage")} == {"encode", "prefill", "decode"}
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("not right")]
    assert sorted(said) == sorted(f"not right: {case}" for case in wrong)


def test_what_is_written_elsewhere_is_not_right() -> None:
    """A kernel that writes beside its slot spoils another sequence."""
    (call,) = (
        made
        for made in calls(DRY, torch.float16, DRY_MACHINE.device, select("torch"))
        if made.operator == "decode_attention"
    )
    astray = SimpleNamespace(decode_attention=lambda *given: (given[5].add_(1.0), call.results(select("torch"))[0])[1])
    assert errors(call, cast(Operators, astray), select("torch"))[0] == math.inf


def test_a_copy_without_git_says_its_commit_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking git where there is no .git ended the run at its first row."""
    monkeypatch.delenv("SQE_COMMIT", raising=False)
    assert commit()
    monkeypatch.setattr(rows, "ROOT", tmp_path)
    assert commit() is None
    monkeypatch.setenv("SQE_COMMIT", "0123abc")
    assert commit() == "0123abc"


def test_least_work_by_hand() -> None:
    """By the sizes of DRY: 31 + 17 positions of width 64, two heads of 32; 25 tokens after 3; 3 rows that hold 30."""
    made = calls(DRY, torch.float16, torch.device("cpu"), select("torch"))
    work = {call.name: least_work(call, DRY.held) for call in made}
    assert work["encode norm_linear 48×64→192"].products == 48 * 64 * 192
    # x and two vectors of the norm; three weights, two of three biases; results
    assert work["encode norm_linear 48×64→192"].bytes == 2 * (48 * 64 + 128 + 192 * 64 + 128 + 48 * 192)
    assert work["encode packed_attention 48×64"].products == 2 * 64 * (31**2 + 17**2)
    assert work["encode packed_attention 48×64"].bytes == 4 * 48 * 64 * 2
    assert work["prefill prefill_attention 25×128"].products == 2 * 128 * sum(range(4, 29))
    assert work["decode 3 decode_attention 3×128"].products == 2 * 128 * 3 * 31
    # q and result; k and v; keys and values of 31 positions, two heads of 32; sines and cosines of 16 angles
    assert work["decode 3 decode_attention 3×128"].bytes == 2 * (6 * 128 + 6 * 64 + 6 * 31 * 64) + 3 * 2 * 16 * 4
    assert work["decode 3 read_out 3×64"].products == 3 * 5 * 64
