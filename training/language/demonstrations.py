"""Descriptions and arguments written by hand, in an annotated format: few-shot examples, and the grammar's phrases.

A block of `demonstrations/<voice>.txt` is one description: ratings and causes, then sentences made of marked phrases.

    noi 1.6 col 4.7 dis 4.8 loud 4.4 mos 2.6; street noise 1.6
    [open fault | Above all,] [noi 1 | the voice has to fight against {street noise}]. [rest | Otherwise,]
    [joint 4 col dis loud | {dimensions} are without fault]. [combine single | This is mostly due to {worst}.] …

A phrase of a dimension carries its category (0 bad … 4 excellent). Braces hold a cause in words of `causes.KINDS`, or a
slot: {label} and {mos}; {topic}, {worst}, {second} and {faults}; {dimensions}. In `arguments.txt` a block starts with
the lines "A noi …" and "B noi …". There "[noi A | better | worse]" stands for "As for noise, Speech A better, while
Speech B worse.", and [sum weigh | …] knows {winner}, {loser}, {for} and {against}.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqe_fast.answer import argument
from sqe_fast.answer.scale import verdict
from sqe_fast.results import DIMENSIONS, RATINGS
from training.corpora.annotation import Annotation
from training.language import composition
from training.language.causes import KINDS, audible
from training.language.composition import mentioned_causes
from training.language.scale import fits

FOLDER = Path(__file__).parent / "demonstrations"
VOICES = ("engineer", "listener", "support")
SHORT = dict(zip(("noi", "col", "dis", "loud"), DIMENSIONS, strict=True))
"""The paper's column names, as the files spell the dimensions."""
FEWEST = 8
"""Distinct clauses that every category of every dimension needs, with a cause and without."""
VOICED = ("open", "hedge", "combine", "mos")
"""Kinds of phrases that each voice has its own of."""
LINKS = ("add", "also", "rest")
"""Words that tie a clause to the one before it: another fault, another good side, the good sides after the faults."""
WORDS = range(40, 96)
"""How long a description may be."""

_DIMENSION = f"(?:{'|'.join(DIMENSIONS)})"
_MARK = re.compile(r"\[([^|\]]+?) *\| *([^\]]+?) *\]")
_KEY = re.compile("(DIM [0-4]|joint [34]( DIM)+|open .+|combine .+|hedge|mos|add|also|rest)".replace("DIM", _DIMENSION))
"""The marks of a description, dimensions by their full names."""
_BETWEEN = re.compile(r"(?:[.,;\s]|\b(?:and|but|while)\b)*")
_RATING = re.compile(r"(noi|col|dis|loud|mos) ([1-5]\.\d)\b")
_BRACES = re.compile(r"\{([^}]*)\}")
_INFLECTED = re.compile(r"(?:^|[,;] |\band |\bthat )\{cause\} (?:is|has|was|does|\w+[^su]s)\b")
"""A cause may be plural, or two: it cannot be the subject of such a verb."""


class DemonstrationError(ValueError):
    """A demonstration breaks a rule; the message starts with file and line."""


@dataclass(frozen=True)
class Demonstration:
    """One description: the ratings and causes of a clip, and the finished text."""

    voice: str
    row: Annotation
    text: str


@dataclass(frozen=True)
class Argument:
    """Why one clip is preferred: the reasons that follow `prompt.conclusion`."""

    a: Annotation
    b: Annotation
    text: str


@dataclass(frozen=True)
class Stock:
    """Phrases by key: "noisiness 2", "noisiness 2 cause", "joint 4", "open engineer fault", "mos engineer" …"""

    phrases: Mapping[str, tuple[str, ...]]

    def clauses(self, dimension: str, category: int, *, cause: bool) -> tuple[str, ...]:
        return self.phrases.get(f"{dimension} {category}{' cause' if cause else ''}", ())


# --- views ------------------------------------------------------------------------------------------------------------


def plain(folder: Path = FOLDER) -> tuple[Demonstration, ...]:
    """All descriptions as plain text, voice by voice. Raises DemonstrationError."""
    return _read(folder)[0]


def arguments(folder: Path = FOLDER) -> tuple[Argument, ...]:
    """All arguments. Raises DemonstrationError."""
    return _read(folder)[1]


def stock(folder: Path = FOLDER) -> Stock:
    """The phrases of all demonstrations, each once, with {cause} where one was named. Raises DemonstrationError."""
    return _read(folder)[2]


@cache
def _read(folder: Path) -> tuple[tuple[Demonstration, ...], tuple[Argument, ...], Stock]:
    found: Found = defaultdict(dict)
    described = tuple(_description(voice, block, found) for voice in VOICES for block in _blocks(folder, voice))
    argued = tuple(_argument(block, found) for block in _blocks(folder, "arguments"))
    _check_apart(found)
    phrases = Stock({key: tuple(of_key) for key, of_key in found.items()})
    _check_enough(phrases)
    return described, argued, phrases


# --- reading ----------------------------------------------------------------------------------------------------------

Found = dict[str, dict[str, str]]
"""Phrases by key, each with the file and line where it first stands."""


@dataclass(frozen=True)
class Block:
    where: str
    """File and line, for messages."""
    headers: tuple[str, ...]
    body: str

    def error(self, message: str) -> DemonstrationError:
        return DemonstrationError(f"{self.where}: {message}")

    def marks(self) -> list[tuple[str, str]]:
        """(key, phrase) of each mark, dimensions by their full names."""
        if not _BETWEEN.fullmatch(between := _MARK.sub("", self.body)):
            raise self.error(f"unmarked words: {between.strip()!r}")
        marks = _MARK.findall(self.body)
        return [(" ".join(SHORT.get(word, word) for word in key.split()), phrase) for key, phrase in marks]

    def written(self, phrases: Sequence[str]) -> str:
        """The body with each mark replaced by its finished phrase."""
        rest = iter(phrases)
        return composition.finished(_MARK.sub(lambda _: next(rest), self.body))


def _blocks(folder: Path, name: str) -> Iterator[Block]:
    """Blocks are parted by blank lines; a line that starts with # is a comment."""
    lines = (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            block += [(number, line)] if not line.startswith("#") else []
        elif block:
            headers = tuple(text for _, text in block if not text.startswith("["))
            body = " ".join(text for _, text in block if text.startswith("["))
            yield Block(f"{name}.txt:{block[0][0]}", headers, body)
            block = []


def _row(header: str, block: Block) -> Annotation:
    rated, _, recorded = header.partition(";")
    ratings = {SHORT.get(name, name): float(value) for name, value in _RATING.findall(rated)}
    if set(ratings) != set(RATINGS) or max(ratings.values()) > 5 or _RATING.sub("", rated).strip():
        raise block.error(f"five ratings from 1.0 to 5.0 are needed, not {rated!r}")
    causes = [text.strip().rpartition(" ") for text in recorded.split(",") if text.strip()]
    for name, _, rating in causes:
        if name not in KINDS or not re.fullmatch(r"[1-4]\.\d", rating):
            raise block.error(f"a cause is a name of causes.KINDS and a rating, not {name!r} {rating!r}")
    return {**ratings, "causes": [{"name": name, "rating": float(rating)} for name, _, rating in causes]}


def _description(voice: str, block: Block, found: Found) -> Demonstration:
    if len(block.headers) != 1:
        raise block.error("a description has one line of ratings")
    row, marks = _row(block.headers[0], block), block.marks()
    if unknown := [key for key, _ in marks if not _KEY.fullmatch(key)]:
        raise block.error(f"unknown marks {unknown}")
    categories = _categories(marks, row, block)
    wanted = {"open": composition.openings(categories), "combine": (composition.situation(row, categories),)}
    stated = [int(key.split()[1]) if key.split()[0] in (*DIMENSIONS, "joint") else None for key, _ in marks]
    written = []
    for i, (key, phrase) in enumerate(marks):
        kind, *rest = key.split()
        if kind in DIMENSIONS:
            written.append(_clause(key, phrase, row, block, found))
            continue
        if kind in LINKS:
            _check_link(kind, stated[:i][-1:] + stated[i + 1 :][:1], block)
        if kind in wanted and key.removeprefix(f"{kind} ") not in wanted[kind]:
            raise block.error(f"the ratings ask for [{kind} {' or '.join(wanted[kind])}], not [{key}]")
        if kind == "hedge" and not composition.disagree(categories):
            raise block.error("a hedge is for one poor dimension among good ones")
        stored = [kind, voice, *rest] if kind in VOICED else [kind, *rest[:1]]
        _keep(found, " ".join(stored), phrase, block)
        written.append(_filled(phrase, composition.slots(row, categories, rest[1:]), block))
    text = block.written(written)
    if len(text.split()) not in WORDS:
        raise block.error(f"{len(text.split())} words, not {WORDS.start} to {WORDS.stop - 1}")
    if not re.fullmatch(rf"\D* {row['mos']:.1f}\b\D*", text):
        raise block.error("the MOS has to be the only number, with a space before it")
    return Demonstration(voice, row, text)


def _check_link(kind: str, around: Sequence[int | None], block: Block) -> None:
    match around:
        case [int(before), int(after)]:
            if kind != composition.link(before, after):
                raise block.error(f"the clauses around ask for [{composition.link(before, after)}], not [{kind}]")
        case _:
            raise block.error(f"[{kind}] has to stand between two clauses")


def _categories(marks: Sequence[tuple[str, str]], row: Annotation, block: Block) -> dict[str, int]:
    """The category that each dimension is said to have. Words have to fit the ratings, and the worst comes first."""
    stated: list[tuple[str, int]] = []
    for key, _ in marks:
        kind, *rest = key.split()
        if kind in DIMENSIONS:
            stated.append((kind, int(rest[0])))
        elif kind == "joint":
            stated += [(name, int(rest[0])) for name in rest[1:]]
    if sorted(name for name, _ in stated) != sorted(DIMENSIONS):
        raise block.error("every dimension has to be described once")
    for name, category in stated:
        if not fits(category, row[name]):
            raise block.error(f"{name} {row[name]} is not of category {category}")
    if row[stated[0][0]] > min(row[name] for name in DIMENSIONS):
        raise block.error("the worst dimension has to come first")
    return dict(stated)


def _clause(key: str, phrase: str, row: Annotation, block: Block, found: Found) -> str:
    """A clause without its braces; what they hold has to name recorded, audible causes of the clause's dimension."""
    dimension = key.split()[0].removeprefix("worse:")
    inside = _BRACES.findall(phrase)
    claimed = mentioned_causes(" ".join(inside))
    recorded = [cause["name"] for cause in audible(row, dimension)]
    if len(inside) > 1 or (inside and not claimed) or set(claimed) - set(recorded):
        raise block.error(f"{phrase!r} names {claimed}, recorded as audible is {recorded}")
    _keep(found, f"{key} cause" if inside else key, _BRACES.sub("{cause}", phrase), block)
    return _BRACES.sub(r"\1", phrase)


def _argument(block: Block, found: Found) -> Argument:
    if [header[:2] for header in block.headers] != ["A ", "B "]:
        raise block.error("an argument has the ratings of A, then those of B")
    a, b = (_row(header[2:], block) for header in block.headers)
    key, filled = argument.balance(a, b, verdict(a["mos"], b["mos"]))
    written, compared = [], []
    for mark, phrase in block.marks():
        if mark == f"sum {key}":
            _keep(found, mark, phrase, block)
            written.append(_filled(phrase, filled, block))
            continue
        name, _, better = mark.partition(" ")
        first, _, second = phrase.partition(" | ")
        if name not in DIMENSIONS or better != argument.ahead(name, a, b) or not second:
            raise block.error(f"[{mark} | {phrase}] does not follow from the ratings; the sum is [sum {key}]")
        _keep(found, f"better:{name}", first, block)
        worse = _clause(f"worse:{name}", second, b if better == "A" else a, block, found)
        compared.append(name)
        written.append(composition.compared(name, better, first, worse))
    if compared != argument.gaps(a, b):
        raise block.error(f"the obvious gaps, the widest first, are {argument.gaps(a, b)}")
    return Argument(a, b, composition.finished(" ".join(written)))


def _filled(phrase: str, slots: Mapping[str, str], block: Block) -> str:
    if unknown := set(_BRACES.findall(phrase)) - set(slots):
        raise block.error(f"{phrase!r} has unknown slots {sorted(unknown)}")
    return phrase.format(**slots)


# --- rules of the stock -----------------------------------------------------------------------------------------------


def _keep(found: Found, key: str, phrase: str, block: Block) -> None:
    if key.split()[0] in (*DIMENSIONS, "joint"):
        phrase = phrase[0].lower() + phrase[1:]  # it may open a sentence here and follow a word elsewhere
    if claimed := mentioned_causes(_BRACES.sub("", phrase)):
        raise block.error(f"{phrase!r} claims {claimed} outside of braces")
    if _INFLECTED.search(phrase) or "a {label}" in phrase:
        raise block.error(f"{phrase!r} does not fit every cause or label")
    found[key].setdefault(phrase, block.where)


def _check_apart(found: Found) -> None:
    """No clause may stand in one of another dimension or category: each has one meaning."""
    clauses = [
        (key.removesuffix(" cause"), phrase, where)
        for key, of_key in found.items()
        if key.split()[0] in DIMENSIONS or key.startswith("joint")
        for phrase, where in of_key.items()
    ]
    for key, phrase, where in clauses:
        for other, longer, there in clauses:
            if key != other and phrase in longer:
                raise DemonstrationError(f"{where}: {phrase!r} means {key} here and {other} in {there}")


def _check_enough(phrases: Stock) -> None:
    for dimension in DIMENSIONS:
        for category in range(5):
            for cause in (False, True)[: 1 if category == 4 else 2]:
                count = len(phrases.clauses(dimension, category, cause=cause))
                if count < FEWEST:
                    kind = "with" if cause else "without"
                    raise DemonstrationError(f"{dimension} {category}: {count} clauses {kind} a cause, not {FEWEST}")
