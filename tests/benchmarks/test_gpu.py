"""The GPU benchmarks run, small and in Triton's interpreter, and claim no speed there."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from benchmarks.gpu import kernels, rows, stages
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.kernels import errors
from benchmarks.gpu.rows import Machine, Writer, commit, open_machine
from sqe_fast.answer.template import AUDIO_TOKEN, TEMPLATE
from sqe_fast.checkpoint.hashes import write_hashes
from sqe_fast.kernels import Operators, reference, select
from sqe_fast.model.packed import PackedModel
from sqe_fast.runners.torch_runner import decode_step
from tests.support.least_work import least_work
from tests.support.operator_calls import calls
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
