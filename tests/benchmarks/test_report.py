"""The report of a run of benchmarks: every figure with what it was taken with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import draw, table


def measured(name: str, group: str, median: float, **said: Any) -> dict[str, Any]:
    parameters = said.pop("params", None)
    stats = {"median": median, "rounds": 5}
    return {"name": name, "group": group, "params": parameters, "stats": stats, "extra_info": said}


FOUND = {
    "datetime": "2026-11-30T12:00:00",
    "machine_info": {"cpu": {"brand_raw": "A CPU", "count": 2}, "machine": "x86_64", "python_version": "3.11.7"},
    "commit_info": {"id": "0123456789abcdef", "dirty": True},
    "benchmarks": [
        measured("test_encoder[5.5s]", "encoder, 5.5 s", 0.0123, ran="onnx-cpu", threads=2, times={"hf_sdpa": 9.5}),
        measured("test_decode[1]", "8 bits, decode, 1 rows", 0.001, ran="onnx-cpu", threads=2, times={"fp32": 2.5}),
        *(
            measured(
                f"test_length[{seconds}s-{threads}threads]",
                "by length",
                0.05,
                threads=threads,
                audio_seconds_per_second=seconds * threads,
                params={"seconds": seconds, "threads": threads},
            )
            for seconds in (1.0, 30.0)
            for threads in (1, 2)
        ),
    ],
}


def test_a_figure_stands_with_its_machine_commit_peers_and_threads() -> None:
    text = table(FOUND)
    assert text.startswith("2026-11-30, A CPU, 2 cores, Python 3.11.7, commit 0123456789ab (with changes")
    assert "### encoder, 5.5 s" in text
    assert "| test_encoder[5.5s] | 12.30 | 5 | hf_sdpa 9.5 | ran onnx-cpu, threads 2 |" in text
    assert text.count("### by length") == 1


@pytest.mark.parametrize("benchmarks", [FOUND["benchmarks"], []], ids=["some", "none"])
def test_a_picture_is_drawn(benchmarks: list[Any], tmp_path: Path) -> None:
    draw({**FOUND, "benchmarks": benchmarks}, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
