"""Batch scoring: items in, rows out, in order. Holds a bounded number of inputs and outputs, and can be resumed."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, Protocol

from sqe_fast.errors import UnusableError
from sqe_fast.jobs.inputs import Item, Listed, file_of
from sqe_fast.jobs.rows import Done, Given, RowFile, RowWriter
from sqe_fast.results import Evaluation

if TYPE_CHECKING:
    from sqe_fast.audio import Channels, RawFormat, Source
    from sqe_fast.audio.timeline import Timeline
    from sqe_fast.engine.pipeline import Batch
    from sqe_fast.evaluator import Evaluator


@dataclass
class Progress:
    """Where a job stands, in recordings; `failed` counts those that have an error, of resumed outputs too."""

    written: int = 0
    skipped: int = 0
    failed: int = 0
    audio_seconds: float = 0.0


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
    *,
    describe: bool = True,
    timeline: Timeline | None = None,
    channels: Channels = "auto",
    raw: RawFormat | None = None,
    interruption: Interruption | None = None,
    display: Display | None = None,
) -> Progress:
    """Score all items and write a row for each, in their order, or for each of its channels that is heard by itself;
    what a resumed RowFile holds is not done again. With `raw`, every file is PCM without a header.

    Raises UnusableError where a row cannot be written, or where the output holds rows of another kind.
    """
    interruption = interruption or Interruption()
    progress = Progress()
    display = display or _NoDisplay()
    if isinstance(writer, RowFile):
        _check_alike(writer, evaluator.model, describe, timeline)
        progress.failed = writer.done.failed
        items = _not_done(items, writer.done, writer.format.key, progress)
    try:
        scored = _evaluations(items, evaluator.batch(describe, timeline, channels), evaluator.model, raw)
        for given, evaluations in scored:
            display.clear()
            with interruption.shielded():
                writer.write(evaluations, given)
                progress.written += 1
                progress.audio_seconds += sum(evaluation.duration or 0.0 for evaluation in evaluations)
                progress.failed += any(evaluation.error is not None for evaluation in evaluations)
            display.update(progress)
    finally:
        display.clear()
    return progress


def _check_alike(writer: RowFile, model: str, describe: bool, timeline: Timeline | None) -> None:
    """Raises UnusableError where a resumed output would hold rows of two kinds."""
    if others := writer.done.models - {model}:
        raise UnusableError(
            f"{writer.path}: holds rows of {', '.join(sorted(others))}, this is {model}: choose another output file"
        )
    if writer.done.described - {describe}:
        held, option = ("without", "--no-describe") if describe else ("with", "--describe")
        raise UnusableError(
            f"{writer.path}: holds rows {held} descriptions: go on with {option}, or choose another output file"
        )
    if writer.done.timelines - {timeline is not None}:
        held = "without" if timeline else "with"
        raise UnusableError(
            f"{writer.path}: holds rows {held} a timeline: go on {held} --timeline, or choose another output file"
        )


def _not_done(items: Iterable[Item], done: Done, key: Callable[[str], str], progress: Progress) -> Iterator[Item]:
    for item in items:
        if done.take(key(file_of(item))):
            progress.skipped += 1
        else:
            yield item


def _evaluations(
    items: Iterable[Item], batch: Batch, model: str, raw: RawFormat | None
) -> Iterator[tuple[Given, list[Evaluation]]]:
    """Of each item, in their order, with what its list says of it; a bounded number of them is under way. Rows that are
    there already wait for their turn."""
    pending: deque[tuple[Item, Evaluation | Future[list[Evaluation]]]] = deque()
    with batch:
        for item in items:
            if isinstance(item, Evaluation):
                pending.append((item, replace(item, model=model)))
            else:
                pending.append((item, batch.submit(source_of(item, raw))))
            while pending and (len(pending) == batch.ahead or _ready(pending[0][1])):
                yield _rows(*pending.popleft())
        while pending:
            yield _rows(*pending.popleft())


def source_of(item: str | Listed, raw: RawFormat | None) -> Source:
    """What the evaluator is given of an item; with `raw` it is PCM without a header, and a manifest may name a part."""
    source: str | BinaryIO = item if isinstance(item, str) else item.stream or item.file
    part = None if isinstance(item, str) else item.part
    if raw is None and part is None:
        return source
    from sqe_fast.audio import Excerpt, Raw

    whole = source if raw is None else Raw(source, raw.rate, raw.encoding, raw.channels)
    return whole if part is None else Excerpt(whole, *part)


def _ready(found: Evaluation | Future[list[Evaluation]]) -> bool:
    return isinstance(found, Evaluation) or found.done()


def _rows(item: Item, found: Evaluation | Future[list[Evaluation]]) -> tuple[Given, list[Evaluation]]:
    rows = [found] if isinstance(found, Evaluation) else found.result()
    if isinstance(item, Listed):
        return item.given or {}, [replace(row, file=item.file) for row in rows]
    return {}, rows
