"""The whole way from files of rows to a page."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqe_fast.audio.sandbox import Pool
from sqe_fast.audio.sources import Opens
from sqe_fast.errors import ClipError
from sqe_fast.jobs.lists import InputError
from sqe_fast.jobs.reading import read_rows
from sqe_fast.options import WORST, Sandbox
from sqe_fast.report import data, document, sound
from sqe_fast.report.files import Files, files_of, is_file
from sqe_fast.report.pairs import CONFIDENCE, MARGIN, RESAMPLES, Pairs, differences, pair
from sqe_fast.report.table import Table, table_of
from sqe_fast.report.timelines import lowest_span, packed, timelines
from sqe_fast.report.worst import changed, worst

_NAMED = 50
"""Recordings without a counterpart that are named; of more, their number."""


@dataclass(frozen=True)
class Summary:
    """Of a page that was written."""

    recordings: int
    failed: int
    pairs: int | None
    """None where nothing was compared."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class _Side:
    """A file of rows, and where its recordings are."""

    path: Path
    table: Table
    files: Files


def write(
    rows: Path,
    output: Path,
    *,
    before: Path | None = None,
    audio: Path | None = None,
    most: int = WORST,
    embed: int = 0,
    sandbox: Sandbox | None = None,
) -> Summary:
    """A page about `rows`, and about what changed since `before`, into `output`, which is replaced.

    `audio` is the folder that rows name recordings from (default: the current one, or that of the rows). `most` of the
    worst recordings, and of those that changed most, have a waveform; the page carries the sound of `embed` of them.
    They are decoded in the child processes of a `sandbox`, or in this one.
    Raises InputError where there are no rows to be read, UnusableError where the page cannot be written.
    """
    if any(output.exists() and output.samefile(each) for each in (rows, before) if each is not None and each.exists()):
        raise InputError(f"{output}: holds rows: choose another file for the page")
    now = _side(rows, audio, output)
    then = _side(before, audio, output) if before is not None else None
    pairs = pair(now.table, then.table) if then else None
    chosen = worst(now.table, most)
    if then and pairs:
        chosen = list(dict.fromkeys([*changed(now.table, then.table, pairs, most), *chosen]))
    known = data.Vocabularies(*(side.table for side in (now, then) if side))
    facts = _facts(now, then, pairs) | known.facts()

    def blocks() -> Iterator[data.Block]:
        yield from data.blocks(now.table, now.files, known)
        if then and pairs:
            yield from data.blocks_before(now.table, then.table, then.files, known, pairs)
        yield from _sounds(now, then, pairs, chosen, embed, None if pool is None else pool.open)

    pool = None if sandbox is None else Pool(sandbox)
    try:
        size = document.write(output, rows.name, facts, blocks())
    finally:
        if pool is not None:
            pool.close()
    failed = sum(end > start for start, end in zip(now.table.errors.ends, now.table.errors.ends[1:], strict=False))
    return Summary(len(now.table), failed, None if pairs is None else len(pairs.now), size)


def _side(path: Path, audio: Path | None, output: Path) -> _Side:
    table = table_of(read_rows(path))
    if not len(table) and table.no_rows:
        first = table.no_rows[0]
        raise InputError(f"{path}: has no rows as sqe score writes them; line {first.line}: {first.message}")
    return _Side(path, table, files_of(table, path, audio, output.parent))


def _facts(now: _Side, then: _Side | None, pairs: Pairs | None) -> dict[str, Any]:
    return {
        "count": len(now.table),
        "chunk": data.CHUNK,
        "now": _about(now),
        "before": _about(then) if then else None,
        "comparison": _comparison(now.table, then.table, pairs) if then and pairs else None,
        "margin": MARGIN,
        "longest": sound.MAX_SECONDS,
    }


def _about(side: _Side) -> dict[str, Any]:
    table = side.table
    written = datetime.fromtimestamp(side.path.stat().st_mtime, UTC)
    return {
        "rows": side.path.name,
        "written": f"{written:%Y-%m-%d %H:%M} UTC",
        "count": len(table),
        "models": table.models.most_common(),
        "windows": table.windows,
        "no_rows": [[each.line, each.message] for each in table.no_rows],
        "no_row_count": table.no_row_count,
    }


def _comparison(now: Table, before: Table, pairs: Pairs) -> dict[str, Any]:
    paired = set(pairs.before.tolist())
    alone = [name for row, name in enumerate(before.names) if row not in paired]
    return {
        **asdict(differences(now, before, pairs)),
        "paired": len(pairs.now),
        "rule": pairs.rule,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "only_now": len(now) - len(pairs.now),
        "only_before": len(alone),
        "only_before_names": alone[:_NAMED],
    }


def _sounds(
    now: _Side, then: _Side | None, pairs: Pairs | None, chosen: list[int], embed: int, opens: Opens | None
) -> Iterator[data.Block]:
    """Waveforms and timelines of the rows that are `chosen`, and the sound of the first ones."""
    windows = timelines(read_rows(now.path), set(chosen)) if now.table.windows else {}
    counterparts = dict(zip(pairs.now.tolist(), pairs.before.tolist(), strict=True)) if pairs else {}
    shown: dict[int, dict[str, Any]] = {}
    for place, row in enumerate(chosen):
        own = windows.get(row, [])
        carried, around = place < embed, lowest_span(own)
        shown[row] = {"now": (yield from _sound(now, row, around, f"audio-{row}" if carried else None, opens))}
        if own:
            shown[row]["timeline"] = packed(own)
        if then and row in counterparts:
            other = counterparts[row]
            if then.files.path(then.table.names[other]) != now.files.path(now.table.names[row]):
                name = f"audio-before-{row}" if carried else None
                shown[row]["before"] = yield from _sound(then, other, around, name, opens)
    yield "sounds", data.packed(json.dumps(shown).encode())


def _sound(
    side: _Side, row: int, around: tuple[float, float] | None, block: str | None, opens: Opens | None
) -> Generator[data.Block, None, dict[str, Any]]:
    """What is shown of a recording's sound, or why there is nothing to show; with a `block`, its sound, too."""
    table = side.table
    path = side.files.path(table.names[row])
    if not is_file(path):
        return {"gone": True}
    if table.durations[row] > sound.MAX_SECONDS:
        return {"long": True}
    channel, start = int(table.channels[row]), float(table.starts[row])
    try:
        recording = sound.opened(path, None if channel < 0 else channel, start, float(table.durations[row]), opens)
        wave = sound.waveform(recording)
        told: dict[str, Any] = {"peaks": wave.peaks, "peak_db": wave.peak_db, "duration": round(recording.duration, 3)}
        if block is not None:
            carried = sound.carried(recording, around)
            yield block, carried.flac
            told["carried"] = [carried.start, carried.end]
    except ClipError as error:
        return {"unreadable": error.message}
    return told
