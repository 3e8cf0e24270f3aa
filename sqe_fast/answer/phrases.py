"""A checkpoint's phrases, and the exact reader of what was put together from them.

A description is made of clauses, each with one meaning: what a dimension is like, in one of the five categories of the
scale, with its causes or without. An argument says which of two clips is ahead in a dimension, and how. `Phrases` puts
clauses together (training writes with it), `Phrases.read` and `Phrases.read_argument` take them apart: what a text
claims, and which of its words belong to no phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

from sqe_fast.answer.argument import ASPECTS, CONCLUSIONS, GAINS, WEIGHINGS, listed
from sqe_fast.answer.scale import LABELS
from sqe_fast.answer.trie import MANY, NUMBER, ONE, Found, Noun, Scan, Trie
from sqe_fast.results import DIMENSIONS, Winner

TOPICS = dict(zip(DIMENSIONS, ("the background", "the tone", "the flow", "the level"), strict=True))
"""What fills {dimensions}."""
CLIPS = ("A", "B")

_VERB = re.compile(r"\b([\w-]+)/([\w-]+)\b")
_DEGREE = re.compile(r"\{(very|badly|far|often)\}")
_ELLIPSIS = re.compile(r"(the \w+) is ((?!.* and ).+)")
_BETWEEN = ("and", "but", "while", ",", ";", ".")


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
        scan = Scan(self._description, text)
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
                    claims += [(each.value, category) for each in found.values["dimensions"]]
                case ("opening", category):
                    openings.append(category)
                case ("mos", label):
                    stated.append((label, found.values["mos"]))
            causes += _named(scan, found)
        return Reading(
            tuple(claims), max(openings, default=None), tuple(causes), tuple(stated), scan.outside, scan.words
        )

    def read_argument(self, text: str) -> ArgumentReading:
        """What an argument says, with its conclusion or without."""
        scan = Scan(self._argument, text)
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
                    causes += [(subject, named) for named in _named(scan, found)]
                case ("conclusion", winner):
                    concluded.append((winner, found.values["number"], found.values["other"]))
                case ("weighing", key, clip):
                    gains = (tuple(each.value for each in found.values.get(name, ())) for name in ("for", "against"))
                    weighed.append((key, clip, *gains))
        return ArgumentReading(tuple(concluded), tuple(ahead), tuple(weighed), tuple(causes), scan.outside, scan.words)

    def _trie(self, lists: Mapping[str, Iterable[tuple[Noun, str]]]) -> Trie:
        """Of no phrase yet; with these lists, and those of causes by dimension."""
        causes = {
            dimension: [
                (noun, name)
                for name, lowers in self.dimension.items()
                if lowers == dimension
                for noun in self.nouns(name)
            ]
            for dimension in DIMENSIONS
        }
        return Trie({**causes, **lists})

    @cached_property
    def _description(self) -> Trie:
        trie = self._trie({"topics": ((Noun(topic, False), name) for name, topic in TOPICS.items())})
        for dimension, (category, label) in product(DIMENSIONS, enumerate(LABELS)):
            meaning = ("clause", dimension, category)
            for clause in self.plain(dimension, category):
                trie.add(clause, meaning)
                if short := elliptic(clause):
                    trie.add(short, meaning)
            for clause in self.caused(dimension, category):
                _add_caused(trie, clause, dimension, meaning)
            for phrase in self.fields["joint"].get(label, ()):
                trie.add(phrase, ("joint", category), dimensions="topics")
            for phrase in self.fields["openings"].get(label, ()):
                trie.add(phrase, ("opening", category))
        for name, category in product(self.dimension, range(len(LABELS))):
            for clause in self.says(name, category):
                trie.add(clause, ("says", self.dimension[name], category, name))
        for phrase, label in product(self.fields["mos"], LABELS):
            trie.add(phrase.replace("{label}", label), ("mos", label), mos=NUMBER)
        for phrase in (*(link for links in self.fields["links"].values() for link in links), *_BETWEEN):
            trie.add(phrase, ("link",))
        return trie

    @cached_property
    def _argument(self) -> Trie:
        trie = self._trie({"gains": ((Noun(gain, False), name) for name, gain in GAINS.items())})
        for dimension in DIMENSIONS:
            for clip in CLIPS:
                trie.add(f"{ASPECTS[dimension]} Speech {clip}", ("aspect", dimension, clip))
            for phrase in self.fields["better"][dimension]:
                trie.add(phrase, ("better", dimension))
            for phrase in self.fields["worse"]["plain"][dimension]:
                trie.add(phrase, ("worse", dimension))
            for phrase in self.fields["worse"]["cause"][dimension]:
                _add_caused(trie, phrase, dimension, ("worse", dimension))
        for decided, opening in CONCLUSIONS.items():
            sentence = f"{opening}: a MOS of {{number}} for Speech A against {{other}} for Speech B."
            trie.add(sentence, ("conclusion", decided), number=NUMBER, other=NUMBER)
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


def _add_caused(trie: Trie, clause: str, dimension: str, meaning: tuple[Any, ...]) -> None:
    """A clause with its verbs in either number, each for causes in that number."""
    forms = {ONE: inflected(clause, many=False), MANY: inflected(clause, many=True)}
    if forms[ONE] == forms[MANY]:
        trie.add(clause, meaning, cause=dimension)
        return
    for number, form in forms.items():
        trie.add(form, meaning, cause=f"{dimension} {number}")


def _named(scan: Scan, found: Found) -> list[Named]:
    """The causes in a phrase's slot."""
    return [Named(each.value, *scan.span(each)) for each in found.values.get("cause", ())]


def _listed(causes: Sequence[Noun]) -> str:
    return listed([noun.text for noun in causes])
