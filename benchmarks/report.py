"""What pytest-benchmark wrote → a table in Markdown, and a picture of speed: length, batch, threads, precision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COARSE = "8 bits, "
"""How the groups of benchmarks/engine/test_precision.py begin."""
Found = Mapping[str, Any]
"""A file of `--benchmark-json`."""


def table(found: Found) -> str:
    """A table a group; times are medians, "× peer" how often ours fits into the peer's."""
    machine, commit = found["machine_info"], found["commit_info"]
    state = " (with changes that are not committed)" if commit.get("dirty") else ""
    lines = [
        f"{found['datetime'][:10]}, {machine['cpu'].get('brand_raw', machine['machine'])}, {machine['cpu']['count']} "
        f"cores, Python {machine['python_version']}, commit {str(commit['id'])[:12]}{state}"
    ]
    groups = defaultdict(list)
    for each in found["benchmarks"]:
        groups[each["group"] or each["name"]].append(each)
    for group, members in groups.items():
        lines += [
            "",
            f"### {group}",
            "",
            "| what | ours, ms | rounds | × peer | beside |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [_row(each) for each in members]
    return "\n".join(lines) + "\n"


def _row(each: Mapping[str, Any]) -> str:
    said = dict(each["extra_info"])
    times = said.pop("times", {})
    peers = ", ".join(f"{name} {ratio:g}" for name, ratio in times.items()) or "–"
    beside = ", ".join(f"{name} {value}" for name, value in said.items())
    stats = each["stats"]
    return f"| {each['name']} | {stats['median'] * 1e3:.2f} | {stats['rounds']} | {peers} | {beside} |"


def draw(found: Found, path: Path) -> None:
    """PNG: audio-seconds a second against the length of a clip, by threads, and against the batch; and how many times
    as fast 8 bits are, stage by stage."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    by_length, by_batch, by_precision = figure.subplots(1, 3)
    lines = defaultdict(list)
    for seconds, threads, rate in _speeds(found, "by length", "seconds"):
        lines[threads].append((seconds, rate))
    for threads, points in sorted(lines.items()):
        by_length.plot(*zip(*sorted(points), strict=True), marker="o", label=f"{threads} threads")
    by_length.set(xscale="log", xlabel="clip, s", ylabel="audio-seconds a second", title="ratings, one clip a call")
    batches = sorted((batch, rate) for batch, _, rate in _speeds(found, "by batch", "batch"))
    if batches:
        by_batch.plot(*zip(*batches, strict=True), marker="o")
    by_batch.set(xlabel="clips a call", ylabel="audio-seconds a second", title="ratings, clips of 5.5 s")
    ratios = [
        (each["group"].removeprefix(COARSE), each["extra_info"]["times"]["fp32"])
        for each in found["benchmarks"]
        if (each["group"] or "").startswith(COARSE) and "times" in each["extra_info"]
    ]
    if ratios:
        stages, times = zip(*ratios, strict=True)
        by_precision.bar(stages, times)
        by_precision.tick_params("x", rotation=30)
        by_precision.axhline(1, color="black", linewidth=1)
    by_precision.set(ylabel="fp32's time over int8's", title="8 bits beside fp32")
    for axes in (by_length, by_batch, by_precision):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    if lines:
        by_length.legend()
    figure.savefig(path, dpi=150)


def _speeds(found: Found, group: str, parameter: str) -> Iterator[tuple[float, int, float]]:
    """Parameter, threads and audio-seconds a second of each."""
    for each in found["benchmarks"]:
        if each["group"] == group:
            said = each["extra_info"]
            yield each["params"][parameter], said["threads"], said["audio_seconds_per_second"]
