"""What a person sees: a table that grows row by row, and a line of progress."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from sqe_fast.jobs.rows import Origin
from sqe_fast.jobs.run import Progress
from sqe_fast.jobs.summary import PERCENTILES
from sqe_fast.results import DIMENSIONS, Comparison, Evaluation, Ranked, Ratings, Stretch, WindowRating

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_WIDTHS = {"mos": 9, **{name: max(7, len(name) + 2) for name in DIMENSIONS}, "length": 9}
NARROW = {"noisiness": "noise", "coloration": "color", "discontinuity": "breaks", "loudness": "loud"}
"""Headings on a terminal that is too narrow for the dimensions' names."""
_MIN_FILE, _INDENT, _MAX_PROSE = 24, 4, 100
_MOST_STRETCHES = 6


class TableRows:
    """Evaluations as a table, each row printed as it comes: the ratings in columns, the words wrapped under them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._widths = dict(_WIDTHS)
        self._names = {name: name for name in _WIDTHS}
        if console.width < _MIN_FILE + sum(_WIDTHS.values()):
            self._names |= NARROW
            self._widths |= dict.fromkeys(DIMENSIONS, 7)
        room = console.width - sum(self._widths.values())
        self._file = max(12, min(48, room))
        self._in_columns = room >= 12
        self._print_heading = self._in_columns

    def write(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
        """What a list says of a recording has no place in a table."""
        for evaluation in evaluations:
            self._write(evaluation)

    def _write(self, evaluation: Evaluation) -> None:
        from rich.text import Text

        if self._print_heading:
            cells = "".join(f"{self._names[name]:>{width}}" for name, width in self._widths.items())
            self._print(Text(f"{'file':{self._file}}{cells}", style="bold"))
            self._print_heading = False
        if self._in_columns:
            self._print(self._ratings(evaluation))
        else:
            self._print(Text(labelled(evaluation, self._console.width), style="bold"))
            self.note(_listed(evaluation.ratings))
        if evaluation.causes:
            told = ", ".join(f"{cause.name} ({cause.probability:.0%})" for cause in evaluation.causes)
            self.note(Text(f"causes: {told}"))
        if evaluation.flags:
            self.note(Text("flags: " + ", ".join(evaluation.flags), style="yellow"))
        if evaluation.no_speech and evaluation.ratings:
            self.note(Text(f"nobody speaks: {_stretches(evaluation.no_speech)}", style="dim"))
        if evaluation.description:
            self.note(Text(evaluation.description))
        if evaluation.error:
            self.note(Text(str(evaluation.error), style="red"))
        for window in evaluation.timeline:
            self._window(window)

    def _window(self, window: WindowRating) -> None:
        """One of a timeline, under its recording: its times, its ratings or why there are none, and its causes."""
        from rich.text import Text

        span = _span(window.start, window.end)
        told = ", ".join(f"{cause.name} ({cause.probability:.0%})" for cause in window.causes)
        if not self._in_columns:
            rated = Text(", ".join(window.flags)) if window.flags else _listed(window.ratings)
            self.note(Text(f"{span}: ").append_text(rated).append(f"; {told}" if told else ""))
            return
        line = Text(f"  {shortened(span, self._file - 3)}".ljust(self._file), style="dim")
        if window.flags:
            self._print(line.append(f"  {', '.join(window.flags)}", "yellow"))
        else:
            self._print(line.append_text(self._cells(window.ratings)))
        if told:
            self.note(Text(told, style="dim"))

    def _ratings(self, evaluation: Evaluation) -> Text:
        from rich.text import Text

        line = Text(labelled(evaluation, self._file - 1).ljust(self._file))
        line.append_text(self._cells(evaluation.ratings))
        length = "–" if evaluation.duration is None else _clock(evaluation.duration)
        return line.append(f"{length:>{self._widths['length']}}", "dim")

    def _cells(self, ratings: Ratings | None) -> Text:
        from rich.text import Text

        spread = f"±{ratings.mos_std:.1f}" if ratings else ""
        line = Text.assemble(_rating(ratings, "mos", self._widths["mos"] - 5), (f"{spread:>5}", "dim"))
        for name in DIMENSIONS:
            line.append_text(_rating(ratings, name, self._widths[name]))
        return line

    def note(self, text: Text) -> None:
        """Wrapped under the last row."""
        from rich.padding import Padding

        width = min(self._console.width, _MAX_PROSE)
        self._console.print(Padding(text, (0, 0, 0, _INDENT), expand=False), width=width, soft_wrap=False)

    def _print(self, text: Text) -> None:
        self._console.print(text, no_wrap=True, overflow="crop", crop=True)


def _stretches(stretches: Sequence[Stretch]) -> str:
    """ "0:30–2:30 (sound), 4:10–4:19 (pause), 17 more" """
    told = [f"{_span(each.start, each.end)} ({each.kind})" for each in stretches[:_MOST_STRETCHES]]
    more = len(stretches) - len(told)
    return ", ".join([*told, *([f"{more} more"] if more else [])])


def _listed(ratings: Ratings | None) -> Text:
    """For a terminal that is too narrow for columns."""
    from rich.text import Text

    if ratings is None:
        return Text("not rated", style="dim")
    rated = [f"mos {ratings.mos:.1f} ±{ratings.mos_std:.1f}"]
    return Text(", ".join([*rated, *(f"{name} {ratings[name]:.1f}" for name in DIMENSIONS)]))


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Both clips' ratings, then the verdict and its reason."""
    from rich.text import Text

    table = TableRows(console)
    table.write([comparison.a, comparison.b], Origin())
    console.print()
    if comparison.winner is None or comparison.probability is None:
        console.print(Text("no verdict: a clip could not be rated", style="red"))
    else:
        verdict = "tie" if comparison.winner == "tie" else f"{comparison.winner} is better"
        console.print(
            Text.assemble((verdict, "bold"), f"  (probability that A is better: {comparison.probability:.2f})")
        )
    if comparison.description:
        console.print(Text(comparison.description), width=min(console.width, _MAX_PROSE))
    if comparison.error:
        console.print(Text(str(comparison.error), style="red"))


def print_ranking(console: Console, ranking: Sequence[Ranked]) -> None:
    """Each recording's ratings, and under them how it stands beside the next."""
    from rich.text import Text

    table = TableRows(console)
    for ranked in ranking:
        table.write([ranked.evaluation], Origin())
        if ranked.place is None:
            table.note(Text("not ranked", style="yellow"))
        elif ranked.probability is not None:
            verdict = "tie with the next" if ranked.tied else "better than the next"
            table.note(
                Text.assemble((f"{ranked.place}. {verdict}", "bold"), f" (probability: {ranked.probability:.2f})")
            )
        else:
            table.note(Text(f"{ranked.place}. last", style="bold"))
        if ranked.description:
            table.note(Text(ranked.description))
        if ranked.error:
            table.note(Text(str(ranked.error), style="red"))


def labelled(evaluation: Evaluation, width: int) -> str:
    """ "call.wav", "call.wav ch 1": at most `width` characters."""
    channel = "" if evaluation.channel is None else f" ch {evaluation.channel}"
    return shortened(evaluation.file, width - len(channel)) + channel


def shortened(name: str, width: int) -> str:
    """At most `width` characters, printable; what is cut off is cut off on the left, where paths are alike."""
    safe = "".join(c if c.isprintable() else "?" for c in name)
    return safe if len(safe) <= width else "…" + safe[len(safe) - width + 1 :]


def _rating(ratings: Ratings | None, name: str, width: int) -> Text:
    from rich.text import Text

    if ratings is None:
        return Text(f"{'–':>{width}}", style="dim")
    value = ratings[name]
    return Text(f"{value:>{width}.1f}", style=rating_style(value))


def rating_style(value: float) -> str:
    return "red" if value < 2.5 else "yellow" if value < 3.5 else "green"


def _clock(seconds: float) -> str:
    """5.4 s, 2:05, 10:00:00"""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _span(start: float, end: float) -> str:
    """7.0–12.0 s, 58.0 s–1:03, 2:05–2:10"""
    return f"{start:.1f}–{end:.1f} s" if end < 60 else f"{_clock(start)}–{_clock(end)}"


class ProgressLine:
    """One line on a terminal, rewritten in place; `clear` it before anything else is printed there."""

    INTERVAL = 0.1
    """Seconds between two updates."""

    def __init__(self, stream: TextIO, total: int | None) -> None:
        self._stream = stream
        self._total = total
        self._started = time.monotonic()
        self._updated = 0.0
        self._visible = False

    def update(self, progress: Progress) -> None:
        now = time.monotonic()
        # A cleared line comes back at once, or it would flicker away between two rows of a table.
        if not self._visible or now - self._updated >= self.INTERVAL:
            self._updated, self._visible = now, True
            self._stream.write("\r\x1b[K" + progress_text(progress, self._total, now - self._started))
            self._stream.flush()

    def clear(self) -> None:
        if self._visible:
            self._visible = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def progress_text(progress: Progress, total: int | None, elapsed: float) -> str:
    """ "12/200, 3.1 a second, 35 × real time, 0:52 left, 1 failed" """
    rate = progress.written / max(elapsed, 1e-9)
    done = progress.written + progress.skipped
    parts = [f"{done}/{total}" if total is not None else f"{done}", f"{rate:.1f} a second"]
    parts.append(f"{progress.audio_seconds / max(elapsed, 1e-9):.0f} × real time")
    if total is not None and rate > 0:
        parts.append(f"{_clock(max(0, total - done) / rate)} left")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return ", ".join(parts)


def print_summary(stream: TextIO, progress: Progress) -> None:
    """What a job came to, some lines; of rows that were there before it, too."""
    for line in summary_lines(progress):
        print(line, file=stream)


def summary_lines(progress: Progress) -> list[str]:
    """
    120 recordings, 12:30 of audio: 90 scored now, 30 already there, 2 failed
      mos            5 % 1.8   25 % 2.9   50 % 3.6   75 % 4.2   95 % 4.6
      …
      flags          windowed 3, clipped 2
      nobody speaks  12 pauses (1:10), 3 sounds (2:05)
      errors         too_short 1, not_found 1
    """
    summary = progress.summary
    told = f"{progress.written} scored now, {progress.skipped} already there, {summary.failed} failed"
    lines = [f"{summary.recordings} recordings, {_clock(summary.seconds)} of audio: {told}"]
    if summary.rows != summary.recordings:
        lines.append(_fact("rows", f"{summary.rows}: channels that are heard by themselves have one each"))
    if summary.rated:
        for name, ratings in summary.ratings.items():
            shares = (f"{percent:2} % {ratings.percentile(percent):.1f}" for percent in PERCENTILES)
            lines.append(_fact(name, "   ".join(shares)))
    if summary.flags:
        lines.append(_fact("flags", _counts(summary.flags)))
    if summary.stretches:
        times = (f"{kind} {count} ({_clock(summary.passed_over[kind])})" for kind, count in summary.stretches.items())
        lines.append(_fact("nobody speaks", ", ".join(times)))
    if summary.errors:
        lines.append(_fact("errors", _counts(summary.errors)))
    return lines


def _fact(name: str, text: str) -> str:
    return f"  {name:13}  {text}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
