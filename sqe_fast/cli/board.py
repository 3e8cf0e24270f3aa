"""Calls on a terminal: ratings with sparklines, alerts in words, how old the scores are and what was dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from sqe_fast.answer.sentences import clock
from sqe_fast.cli.monitor import Call
from sqe_fast.cli.terminal import NARROW, rating_style, shortened
from sqe_fast.live.events import Event
from sqe_fast.results import DIMENSIONS, RATING_MAX, RATING_MIN, Ratings

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.padding import Padding
    from rich.text import Text

COLUMNS = ("mos", *DIMENSIONS)
BARS = "▁▂▃▄▅▆▇█"
"""A rating from 1 to 5."""
PAUSE = "·"
"""A window without speech."""
_INDENT, _NUMBER, _GAP, _MOST_BARS, _LEAST_NAME = 2, 3, 2, 30, 16


def sparkline(scores: Iterable[Ratings | None], name: str) -> str:
    """A bar for each of the scores."""

    def bar(score: Ratings | None) -> str:
        if score is None:
            return PAUSE
        share = (score[name] - RATING_MIN) / (RATING_MAX - RATING_MIN)
        return BARS[min(int(share * len(BARS)), len(BARS) - 1)]

    return "".join(map(bar, scores))


class Board:
    """What is drawn: a heading, and of each call its name and state, its ratings, and its alerts in words; once all are
    over, also what is said of them as a whole."""

    def __init__(self, calls: Sequence[Call] = ()) -> None:
        self.calls = calls

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        cell = min((width - _INDENT) // len(COLUMNS), _NUMBER + 1 + _MOST_BARS + _GAP)
        heads = (head if len(head) + _GAP <= cell else NARROW.get(head, head)[: cell - 1] for head in COLUMNS)
        yield _line("".join(f"{head:{cell}}" for head in heads), "bold")
        final = all(call.over for call in self.calls)
        for call in self.calls:
            yield _title(call, width)
            yield _ratings(call, cell)
            for alert in call.alerts.values():
                yield _words(alert.description, "! ")
            if call.error is not None:
                yield _words(str(call.error), "! ")
            if call.summary is not None and final:
                yield _words(call.summary.description)


def state(call: Call) -> str:
    """ "12.0 s of 16.1 s, age 0.2 s, dropped 3" """
    told = [clock(call.played)]
    if call.over:
        told.append("over")
    else:
        told[0] += f" of {clock(call.seconds)}" if call.seconds is not None else ""
        told.append(f"age {call.age:.1f} s" if call.age is not None else "no score yet")
    return ", ".join([*told, f"dropped {call.dropped}"])


def _title(call: Call, width: int) -> Text:
    """Name and state, on two lines where one is too short for both."""
    from rich.text import Text

    told = state(call)
    room = width - len(told) - _GAP
    if room < _LEAST_NAME:
        name = shortened(call.title, width)
        return Text.assemble((name, "bold"), "\n" + " " * _INDENT, (shortened(told, width - _INDENT), "dim"))
    name = shortened(call.title, room)
    return Text.assemble((name, "bold"), " " * (width - len(name) - len(told)), (told, "dim"))


def _ratings(call: Call, cell: int) -> Text:
    from rich.text import Text

    line = Text(" " * _INDENT, no_wrap=True, overflow="crop")
    known = next((score for score in reversed(call.scores) if score is not None), None)
    bars = max(0, cell - _NUMBER - 1 - _GAP)
    newest = list(islice(call.scores, max(0, len(call.scores) - bars), None)) if bars else []
    for column in COLUMNS:
        if known is None:
            line.append("–".rjust(_NUMBER).ljust(cell), "dim")
        else:
            line.append(f"{known[column]:.1f} {sparkline(newest, column)}".ljust(cell), rating_style(known[column]))
    return line


def _words(text: str, mark: str = "") -> Padding:
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text.assemble((mark, "bold red"), text), (0, 0, 0, _INDENT), expand=False)


def _line(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(" " * _INDENT + text.rstrip(), style=style, no_wrap=True, overflow="crop")


class Screen:
    """The board on a terminal, drawn again in its place. A context manager; the whole board is what it leaves."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console, self._board = console, Board()
        self._calls: Sequence[Call] = ()
        self._live = Live(self._board, console=console, auto_refresh=False, transient=True)

    def tell(self, call: Call, event: Event) -> None:
        pass

    def fail(self, call: Call) -> None:
        pass

    def refresh(self, calls: Sequence[Call]) -> None:
        """Calls with alerts stand first where not all fit: what falls off the screen is what is well."""
        self._calls = self._board.calls = calls
        if len(self._console.render_lines(self._board)) > self._console.height:
            self._board.calls = sorted(calls, key=lambda call: not call.alerts)
        self._live.refresh()

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()
        self._board.calls = self._calls
        self._console.print(self._board)
