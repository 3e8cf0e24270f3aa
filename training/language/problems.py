"""What is wrong with a text in the stock's words, by their exact reader: it has to say what the numbers beside it say.

A text is right where every dimension is spoken of once, in words that fit its rating (`scale.fits`), the worst first;
where the causes named are listed; where the MOS is the number shown and its label fits; and where no word stands
outside the stock, since nobody could tell what it claims.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqe_fast.answer import argument
from sqe_fast.answer.phrases import ArgumentReading, Reading
from sqe_fast.answer.scale import LABELS, verdict
from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language.captions import stock
from training.language.scale import SLACK, fits, shown


@dataclass(frozen=True)
class Problem:
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def of_description(text: str, row: Annotation, listed: Collection[str]) -> list[Problem]:
    """What is wrong with a description of `row`, which may name the causes that are `listed`."""
    row, read = shown(row), stock().read(text)
    return [
        *_of_claims(read, row),
        *(
            Problem("causes", f"{name} is not listed")
            for name in sorted({each.name for each in read.causes} - {*listed})
        ),
        *_of_mos(read, row["mos"]),
        *outside(read),
    ]


def _of_claims(read: Reading, row: Annotation) -> Iterator[Problem]:
    for name, category in read.claims:
        if not fits(category, row[name]):
            yield Problem("words", f"{name} is said to be {LABELS[category]}, and is {row[name]:.1f}")
    worst = min(row[name] for name in DIMENSIONS)
    if read.least is not None and not any(fits(category, worst) for category in range(read.least, len(LABELS))):
        yield Problem("words", f"no dimension is said to be worse than {LABELS[read.least]}, and one is {worst:.1f}")
    spoken = [name for name, _ in read.claims]
    for name in DIMENSIONS:
        if spoken.count(name) != 1:
            yield Problem("form", f"{name} is spoken of {spoken.count(name)} times")
    if spoken and row[spoken[0]] > worst + SLACK:
        yield Problem("form", f"{spoken[0]} comes first, and is not the worst")


def _of_mos(read: Reading, mos: float) -> Iterator[Problem]:
    if len(read.mos) != 1:
        yield Problem("form", f"the MOS is stated {len(read.mos)} times")
    for name, number in read.mos:
        if number != mos or not fits(LABELS.index(name), mos):
            yield Problem("numbers", f"the MOS is said to be {number}, {name}, and is {mos:.1f}")


def of_argument(
    text: str, a: Annotation, b: Annotation, listed: tuple[Collection[str], Collection[str]]
) -> list[Problem]:
    """What is wrong with an argument about `a` and `b`, with its conclusion or without; `listed` are the causes of
    either."""
    a, b = shown(a), shown(b)
    read = stock().read_argument(text)
    of = {"A": {*listed[0]}, "B": {*listed[1]}}
    return [
        *_of_reasons(read, a, b),
        *(
            Problem("causes", f"{each.name} is not listed of Speech {clip}")
            for clip, each in read.causes
            if each.name not in of[clip]
        ),
        *outside(read),
    ]


def _of_reasons(read: ArgumentReading, a: Annotation, b: Annotation) -> Iterator[Problem]:
    decided = verdict(a["mos"], b["mos"])
    if read.concluded not in ((), ((decided, a["mos"], b["mos"]),)):
        yield Problem("verdict", f"concluded is {read.concluded}, and the MOS are {a['mos']:.1f} and {b['mos']:.1f}")
    told = [(name, argument.ahead(name, a, b)) for name in argument.gaps(a, b)]
    if list(read.ahead) != told:
        yield Problem("words", f"ahead are said to be {list(read.ahead)}, and are {told}")
    key, slots = argument.balance(a, b, decided)
    weighed = stock().read_argument(argument.WEIGHINGS[key].format(**slots)).weighed
    if read.weighed != weighed:
        kind = "verdict" if read.weighed else "form"
        yield Problem(kind, f"weighed is {read.weighed}, and should be {weighed}")


def outside(read: Reading | ArgumentReading) -> Iterator[Problem]:
    """Words that the reader does not know."""
    if read.outside:
        yield Problem("outside", f"not in the stock: {' '.join(read.outside)}")
