"""Batch scoring: items in, rows out, in order. Holds a bounded number of inputs and outputs, and can be resumed."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from sqe_fast.jobs.inputs import Item, Listed, file_of
from sqe_fast.jobs.lists import Part
from sqe_fast.jobs.outputs import RowStore, RowWriter
from sqe_fast.jobs.rows import Origin, Stored, rows_of
from sqe_fast.jobs.summary import Summary
from sqe_fast.results import Evaluation

if TYPE_CHECKING:
    from sqe_fast.audio import Channels, RawFormat, Source
    from sqe_fast.audio.timeline import Timeline
    from sqe_fast.evaluator import Evaluator


@dataclass(frozen=True)
class Choices:
    """What is asked for of every recording. As a string, what the rows say of it: "describe=yes channels=auto"."""

    describe: bool = True
    timeline: Timeline | None = None
    channels: Channels = "auto"
    raw: RawFormat | None = None
    """Every file is PCM without a header."""

    def __str__(self) -> str:
        told = [f"describe={'yes' if self.describe else 'no'}", f"channels={self.channels}"]
        if self.timeline is not None:
            told += [f"window={self.timeline.window:g}", f"hop={self.timeline.hop:g}"]
        if self.raw is not None:
            told.append(f"raw={self.raw.rate},{self.raw.encoding},{self.raw.channels}")
        return " ".join(told)


DEFAULT = Choices()


@dataclass
class Progress:
    """Where a job stands, in recordings."""

    written: int = 0
    skipped: int = 0
    """They are in the output already."""
    audio_seconds: float = 0.0
    """Of those that were written."""
    summary: Summary = field(default_factory=Summary)
    """Of all rows of the output, earlier ones included."""

    @property
    def failed(self) -> int:
        return self.summary.failed

    def add(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
        """A recording was written."""
        self.written += 1
        self.audio_seconds += sum(evaluation.duration or 0.0 for evaluation in evaluations)
        self.summary.add([stored for row in rows_of(evaluations, origin) if (stored := Stored.of(row)) is not None])


class Display(Protocol):
    """A line of progress where rows may appear, too."""

    def clear(self) -> None:
        """Before a row is written, and at the end."""

    def update(self, progress: Progress) -> None:
        """After a row."""


class _NoDisplay:
    def clear(self) -> None:
        pass

    def update(self, progress: Progress) -> None:
        pass


class Interrupted(BaseException):
    """SIGINT or SIGTERM; no `except Exception` on the way may swallow it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class Interruption:
    """Turns SIGINT and SIGTERM into Interrupted, never in the middle of a row. A context manager (main thread)."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._busy = False
        self._pending: int | None = None

    def __enter__(self) -> Interruption:
        self._before = [signal.signal(signum, self._handle) for signum in self.SIGNALS]
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in zip(self.SIGNALS, self._before, strict=True):
            signal.signal(signum, handler)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        if self._busy:
            self._pending = signum
        else:
            raise Interrupted(signum)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """A signal that comes within is raised at the end."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            if self._pending is not None:
                raise Interrupted(self._pending)


def run(
    evaluator: Evaluator,
    items: Iterable[Item],
    writer: RowWriter,
    choices: Choices = DEFAULT,
    *,
    interruption: Interruption | None = None,
    display: Display | None = None,
) -> Progress:
    """Score all items and write a row for each, in their order, or for each of its channels that is heard by itself;
    what a resumed output holds is not done again.

    Raises UnusableError where a row cannot be written, or where the output holds rows of another kind.
    """
    interruption = interruption or Interruption()
    progress = Progress()
    display = display or _NoDisplay()
    wanted: Iterator[tuple[Item, Origin]] = ((item, origin_of(item, choices)) for item in items)
    if isinstance(writer, RowStore):
        writer.go_on(evaluator.model, str(choices))
        progress.summary = writer.done.summary
        wanted = _not_done(wanted, writer, progress)
    try:
        for evaluations, origin in evaluated(evaluator, wanted, choices):
            display.clear()
            with interruption.shielded():
                writer.write(evaluations, origin)
                progress.add(evaluations, origin)
            display.update(progress)
        if isinstance(writer, RowStore):
            writer.finish()
            progress.summary = writer.done.summary
    finally:
        display.clear()
    return progress


def evaluated(
    evaluator: Evaluator, items: Iterable[tuple[Item, Origin]], choices: Choices
) -> Iterator[tuple[list[Evaluation], Origin]]:
    """What became of each item, in their order; a bounded number of them is under way."""
    with evaluator.batch(choices.describe, choices.timeline, choices.channels) as batch:
        sources = (((item, origin), _source(item, choices, evaluator.model)) for item, origin in items)
        for (item, origin), found in batch.in_order(sources):
            yield [replace(each, file=file_of(item)) for each in found], origin


def _not_done(
    items: Iterable[tuple[Item, Origin]], writer: RowStore, progress: Progress
) -> Iterator[tuple[Item, Origin]]:
    for item, origin in items:
        if writer.done.take(writer.stored_name(file_of(item)), origin.excerpt, origin.fingerprint):
            progress.skipped += 1
        else:
            yield item, origin


def origin_of(item: Item, choices: Choices) -> Origin:
    if isinstance(item, Evaluation):
        return Origin(options=str(choices))
    if isinstance(item, str):
        return Origin(fingerprint=fingerprint_of(item), options=str(choices))
    fingerprint = item.fingerprint or (fingerprint_of(item.file) if item.content is None else None)
    return Origin(item.given or {}, _named(item.part), fingerprint, str(choices))


def _named(part: Part | None) -> str | None:
    """ "3.5+2.0" """
    if part is None:
        return None
    start, length = part
    return f"{float(start)}+{'' if length is None else float(length)}"


def fingerprint_of(path: str) -> str | None:
    """Size in bytes and time of the last change in nanoseconds; None for what is no file, or not there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a zero byte in the name; its row will say
        return None
    return f"{found.st_size}:{found.st_mtime_ns}" if stat.S_ISREG(found.st_mode) else None


def _source(item: Item, choices: Choices, model: str) -> Source | Evaluation:
    return replace(item, model=model) if isinstance(item, Evaluation) else source_of(item, choices.raw)


def source_of(item: str | Listed, raw: RawFormat | None) -> Source:
    """What the evaluator is given of an item; with `raw` it is PCM without a header, and a manifest may name a part."""
    source: Source = item if isinstance(item, str) else item.file if item.content is None else item.content
    part = None if isinstance(item, str) else item.part
    if raw is None and part is None:
        return source
    from sqe_fast.audio import Excerpt, Raw

    if raw is not None and not isinstance(source, Mapping):  # what a dataset has decoded has its rate beside it
        source = Raw(source, raw.rate, raw.encoding, raw.channels)
    return source if part is None else Excerpt(source, *part)
