"""A checkpoint's phrases, and the exact reader of what was put together from them.

A description is made of clauses, each with one meaning: what a dimension is like, in one of the five categories of the
scale, with its causes or without. An argument says which of two clips is ahead in a dimension, and how. `Phrases` puts
clauses together (training writes with it), `Phrases.read` and `Phrases.read_argument` take them apart: what a text
claims, and which of its words belong to no phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

from sqe_fast.answer.argument import ASPECTS, CONCLUSIONS, GAINS, WEIGHINGS, listed
from sqe_fast.answer.scale import LABELS
from sqe_fast.results import DIMENSIONS, Winner

TOPICS = dict(zip(DIMENSIONS, ("the background", "the tone", "the flow", "the level"), strict=True))
"""What fills {dimensions}."""
CLIPS = ("A", "B")

_TOKEN = re.compile(r"\d\.\d|\w+(?:['-]\w+)*|[^\w\s]")
_VERB = re.compile(r"\b([\w-]+)/([\w-]+)\b")
_DEGREE = re.compile(r"\{(very|badly|far|often)\}")
_ELLIPSIS = re.compile(r"(the \w+) is ((?!.* and ).+)")
_BETWEEN = ("and", "but", "while", ",", ";", ".")


class Noun(NamedTuple):
    """A cause as a noun phrase."""

    text: str
    many: bool
    """It takes a plural verb."""


class Named(NamedTuple):
    """A cause that a text names, and where: text[start:end]."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Reading:
    """What a description says."""

    claims: tuple[tuple[str, int], ...]
    """(dimension, category 0 … 4), clause by clause."""
    least: int | None
    """No dimension is worse than this, by the words that open the text."""
    causes: tuple[Named, ...]
    mos: tuple[tuple[str, float], ...]
    """(label, number) of each sentence that states the MOS."""
    outside: tuple[str, ...]
    """Words that belong to no phrase."""
    words: int


@dataclass(frozen=True)
class ArgumentReading:
    """What an argument says."""

    concluded: tuple[tuple[Winner, float, float], ...]
    """(verdict, MOS of A, MOS of B) of each conclusion."""
    ahead: tuple[tuple[str, str], ...]
    """(dimension, the clip that is ahead), reason by reason; one whose parts disagree stands there once for each."""
    weighed: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...]
    """(key of WEIGHINGS, "A" or "B" in the place of the winner, dimensions for it, and against) of each weighing."""
    causes: tuple[tuple[str, Named], ...]
    """(clip, cause)."""
    outside: tuple[str, ...]
    words: int


@dataclass(frozen=True)
class Phrases:
    """The phrases by kind, as `training/language/stock.toml` has them. Reading raises KeyError where a dimension, a
    category or a cause has none, ValueError where one phrase has two meanings."""

    fields: Mapping[str, Any]
    """Of JSON."""
    dimension: Mapping[str, str]
    """Which each cause lowers."""

    # --- writing ------------------------------------------------------------------------------------------------------

    def plain(self, dimension: str, category: int) -> tuple[str, ...]:
        """Clauses that speak of a dimension alone."""
        return tuple(self.fields[dimension]["plain"][LABELS[category]])

    def caused(self, dimension: str, category: int) -> tuple[str, ...]:
        """Clauses with {cause}, for `filled`."""
        return tuple(self.fields[dimension]["cause"][LABELS[category]])

    def says(self, cause: str, category: int) -> tuple[str, ...]:
        """Whole clauses about one cause, of `category`; of some causes there are none."""
        if LABELS[category] not in self.fields["degrees"]["very"]:
            return ()
        own = self.fields["causes"][cause].get("says", {})
        graded = (each for phrase in own.get("any", ()) for each in self._graded(phrase, category))
        return (*own.get(LABELS[category], ()), *graded)

    def _graded(self, phrase: str, category: int) -> Iterator[str]:
        degree = _DEGREE.search(phrase)
        assert degree, f"{phrase!r} has no degree"
        for word in self.fields["degrees"][degree[1]][LABELS[category]]:
            yield phrase.replace(degree[0], word)

    def nouns(self, cause: str) -> tuple[Noun, ...]:
        own = self.fields["causes"][cause]
        return tuple(Noun(text, many) for key, many in (("one", False), ("many", True)) for text in own.get(key, ()))

    def filled(self, clause: str, causes: Sequence[Noun]) -> str:
        """A clause with its causes, its verbs in their number."""
        return inflected(clause, many=len(causes) > 1 or causes[0].many).replace("{cause}", _listed(causes))

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, text: str) -> Reading:
        """What a description says, wherever its words are phrases."""
        scan = _Scan(self._description, text)
        claims: list[tuple[str, int]] = []
        causes: list[Named] = []
        openings, stated = [], []
        for found in scan.found:
            match found.meaning:
                case ("clause", dimension, category):
                    claims.append((dimension, category))
                case ("says", dimension, category, name):
                    claims.append((dimension, category))
                    causes.append(Named(name, *scan.span(found)))
                case ("joint", category):
                    claims += [(name, category) for name in found.values["dimensions"]]
                case ("opening", category):
                    openings.append(category)
                case ("mos",):
                    stated.append((found.values["label"], found.values["mos"]))
            causes += scan.named(found)
        return Reading(
            tuple(claims), max(openings, default=None), tuple(causes), tuple(stated), scan.outside, scan.words
        )

    def read_argument(self, text: str) -> ArgumentReading:
        """What an argument says, with its conclusion or without."""
        scan = _Scan(self._argument, text)
        ahead: list[tuple[str, str]] = []
        causes: list[tuple[str, Named]] = []
        concluded, weighed, subject = [], [], ""
        for found in scan.found:
            match found.meaning:
                case ("aspect", dimension, clip):
                    ahead.append((dimension, clip))
                    subject = clip
                case ("subject", clip):
                    subject = clip
                case ("better", dimension) if (dimension, subject) not in ahead[-1:]:
                    ahead.append((dimension, subject))
                case ("worse", dimension):
                    better = {"A": "B", "B": "A"}.get(subject, "")
                    ahead += [(dimension, better)] if (dimension, better) not in ahead[-1:] else []
                    causes += [(subject, named) for named in scan.named(found)]
                case ("conclusion", winner):
                    concluded.append((winner, found.values["number"], found.values["other"]))
                case ("weighing", key, clip):
                    gains = (tuple(found.values.get(name, ())) for name in ("for", "against"))
                    weighed.append((key, clip, *gains))
        return ArgumentReading(tuple(concluded), tuple(ahead), tuple(weighed), tuple(causes), scan.outside, scan.words)

    @cached_property
    def _description(self) -> _Trie:
        trie = _Trie(self)
        for dimension, (category, label) in product(DIMENSIONS, enumerate(LABELS)):
            meaning = ("clause", dimension, category)
            for clause in self.plain(dimension, category):
                trie.add(clause, meaning)
                if short := elliptic(clause):
                    trie.add(short, meaning)
            for clause in self.caused(dimension, category):
                trie.add_caused(clause, dimension, meaning)
            for phrase in self.fields["joint"].get(label, ()):
                trie.add(phrase, ("joint", category), dimensions="topics")
            for phrase in self.fields["openings"].get(label, ()):
                trie.add(phrase, ("opening", category))
        for name, category in product(self.dimension, range(len(LABELS))):
            for clause in self.says(name, category):
                trie.add(clause, ("says", self.dimension[name], category, name))
        for phrase in self.fields["mos"]:
            trie.add(phrase, ("mos",), label="label", mos="number")
        for phrase in (*(link for links in self.fields["links"].values() for link in links), *_BETWEEN):
            trie.add(phrase, ("link",))
        return trie

    @cached_property
    def _argument(self) -> _Trie:
        trie = _Trie(self)
        for dimension in DIMENSIONS:
            for clip in CLIPS:
                trie.add(f"{ASPECTS[dimension]} Speech {clip}", ("aspect", dimension, clip))
            for phrase in self.fields["better"][dimension]:
                trie.add(phrase, ("better", dimension))
            for phrase in self.fields["worse"]["plain"][dimension]:
                trie.add(phrase, ("worse", dimension))
            for phrase in self.fields["worse"]["cause"][dimension]:
                trie.add_caused(phrase, dimension, ("worse", dimension))
        for decided, opening in CONCLUSIONS.items():
            sentence = f"{opening}: a MOS of {{number}} for Speech A against {{other}} for Speech B."
            trie.add(sentence, ("conclusion", decided), number="number", other="number")
        for (key, sentence), (winner, loser) in product(WEIGHINGS.items(), (CLIPS, CLIPS[::-1])):
            named = sentence.replace("{winner}", f"Speech {winner}").replace("{loser}", f"Speech {loser}")
            trie.add(
                named, ("weighing", key, winner if named != sentence else ""), **{"for": "gains", "against": "gains"}
            )
        for clip in CLIPS:
            trie.add(f"while Speech {clip}", ("subject", clip))
        for mark in _BETWEEN:
            trie.add(mark, ("link",))
        return trie


def inflected(clause: str, *, many: bool) -> str:
    """Each "covers/cover" as the one or the other."""
    return _VERB.sub(r"\2" if many else r"\1", clause)


def elliptic(clause: str) -> str | None:
    """ "the tone is natural" without its verb, as it may follow another such clause; None where it has no such form."""
    parts = _ELLIPSIS.fullmatch(clause)
    return f"{parts[1]} {parts[2]}" if parts else None


def finished(text: str) -> str:
    """Single spaces, and a capital at the start of each sentence."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda match: match[0].upper(), text)


def _listed(causes: Sequence[Noun]) -> str:
    return listed([noun.text for noun in causes])


# --- the reader -------------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A phrase in a text: tokens[start:end]."""

    start: int
    end: int
    meaning: tuple[Any, ...]
    values: Mapping[str, Any]
    """What fills its slots; "causes" holds (name, start, end) each."""


@dataclass(eq=False)
class _Node:
    words: dict[str, _Node] = field(default_factory=dict)
    slots: dict[tuple[str, str], _Node] = field(default_factory=dict)
    """By (what may stand there, under which key it is kept)."""
    meaning: tuple[Any, ...] | None = None


class _Trie:
    """Phrases word by word. Raises ValueError for a phrase that stands there with another meaning."""

    def __init__(self, phrases: Phrases) -> None:
        self.root = _Node()
        self._topics = _by_first_word((topic, name) for name, topic in TOPICS.items())
        self._gains = _by_first_word((gain, name) for name, gain in GAINS.items())
        self._nouns = {
            dimension: _by_first_word(
                (noun.text, (name, noun.many))
                for name, lowered in phrases.dimension.items()
                for noun in phrases.nouns(name)
                if lowered == dimension
            )
            for dimension in DIMENSIONS
        }

    def add(self, phrase: str, meaning: tuple[Any, ...], **slots: str) -> None:
        """`slots` says what may stand in each {slot}."""
        node = self.root
        for part in re.split(r"(\{\w+\})", phrase):
            if part.startswith("{"):
                node = node.slots.setdefault((slots[part[1:-1]], part[1:-1]), _Node())
                continue
            for word in _words(part):
                node = node.words.setdefault(word, _Node())
        if node.meaning not in (None, meaning):
            raise ValueError(f"{phrase!r} means {node.meaning} and {meaning}")
        node.meaning = meaning

    def add_caused(self, clause: str, dimension: str, meaning: tuple[Any, ...]) -> None:
        one, many = (inflected(clause, many=many) for many in (False, True))
        if one == many:
            self.add(clause, meaning, cause=f"causes:{dimension}")
            return
        self.add(one, meaning, cause=f"cause:{dimension}")
        self.add(many, meaning, cause=f"several:{dimension}")

    def longest(self, tokens: Sequence[str], start: int) -> Found | None:
        """The longest phrase that begins there."""
        ends = self._follow(self.root, tokens, start, {})
        best = max(ends, key=lambda found: found[0], default=None)
        return Found(start, *best) if best else None

    def _follow(
        self, node: _Node, tokens: Sequence[str], at: int, values: dict[str, Any]
    ) -> Iterator[tuple[int, tuple[Any, ...], dict[str, Any]]]:
        if node.meaning is not None:
            yield at, node.meaning, values
        if at < len(tokens) and tokens[at] in node.words:
            yield from self._follow(node.words[tokens[at]], tokens, at + 1, values)
        for (kind, key), following in node.slots.items():
            for end, value in self._fill(kind, tokens, at):
                yield from self._follow(following, tokens, end, {**values, key: value})

    def _fill(self, kind: str, tokens: Sequence[str], at: int) -> Iterator[tuple[int, Any]]:
        """Every way to fill a slot from there on: where it ends, and what stands in it."""
        kind, _, dimension = kind.partition(":")
        word = tokens[at] if at < len(tokens) else ""
        if kind == "number":
            if re.fullmatch(r"\d\.\d", word):
                yield at + 1, float(word)
        elif kind == "label":
            if word in LABELS:
                yield at + 1, word
        elif kind in ("topics", "gains"):
            for end, items in _lists_of(self._topics if kind == "topics" else self._gains, tokens, at):
                yield end, [name for name, _, _ in items]
        else:
            for end, items in _lists_of(self._nouns[dimension], tokens, at):
                several = len(items) > 1 or items[0][0][1]
                if kind == "causes" or several == (kind == "several"):
                    yield end, [(name, first, last) for (name, _), first, last in items]


Items = Mapping[str, Sequence[tuple[tuple[str, ...], Any]]]
"""Noun phrases and what they stand for, by their first words."""


def _by_first_word(meanings: Iterable[tuple[str, Any]]) -> Items:
    """Raises ValueError for a noun phrase of two meanings."""
    items: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
    for text, value in meanings:
        words = _words(text)
        of_word = items.setdefault(words[0], [])
        if other := [known for spelt, known in of_word if spelt == words]:
            raise ValueError(f"{text!r} means {other[0]} and {value}")
        of_word.append((words, value))
    return items


def _lists_of(
    items: Items, tokens: Sequence[str], at: int, *, begun: bool = False
) -> Iterator[tuple[int, list[tuple[Any, int, int]]]]:
    """ "a", "a and b", "a, b and c" from there on; each item with the tokens that it takes."""
    for value, end in _items(items, tokens, at):
        item = (value, at, end)
        if not begun:
            yield end, [item]
        if tokens[end : end + 1] == ["and"]:
            for last, last_end in _items(items, tokens, end + 1):
                yield last_end, [item, (last, end + 1, last_end)]
        if tokens[end : end + 1] == [","]:
            for rest_end, rest in _lists_of(items, tokens, end + 1, begun=True):
                yield rest_end, [item, *rest]


def _items(items: Items, tokens: Sequence[str], at: int) -> Iterator[tuple[Any, int]]:
    """Each that begins there, and where it ends."""
    for words, value in items.get(tokens[at], ()) if at < len(tokens) else ():
        if tuple(tokens[at : at + len(words)]) == words:
            yield value, at + len(words)


class _Scan:
    """The phrases of a text, from left to right, each the longest that fits."""

    def __init__(self, trie: _Trie, text: str) -> None:
        self._places = [match.span() for match in _TOKEN.finditer(text)]
        tokens = [text[start:end].lower() for start, end in self._places]
        self.found: list[Found] = []
        outside = []
        at = 0
        while at < len(tokens):
            found = trie.longest(tokens, at)
            if found is None:
                outside += [tokens[at]] if tokens[at][0].isalnum() else []
                at += 1
                continue
            self.found.append(found)
            at = found.end
        self.outside = tuple(outside)
        self.words = sum(token[0].isalnum() for token in tokens)

    def span(self, found: Found) -> tuple[int, int]:
        return self._places[found.start][0], self._places[found.end - 1][1]

    def named(self, found: Found) -> list[Named]:
        """The causes in a phrase's slot."""
        return [
            Named(name, self._places[first][0], self._places[last - 1][1])
            for name, first, last in found.values.get("cause", ())
        ]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _TOKEN.findall(text))
