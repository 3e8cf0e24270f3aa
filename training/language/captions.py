"""The offline writer: ratings and recorded causes → a description; two clips → an argued preference.

Its phrases come from the demonstrations. The worst dimension comes first and carries its cause, the others follow, and
how they combine leads to the MOS. A cause is named only where it was recorded and can be heard; else words of the
dimension stand alone. The only number in the prose is the MOS, so that the engine can force it to the rating.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from typing import TypeVar

import numpy as np

from sqe_fast.answer import argument
from sqe_fast.answer.scale import verdict
from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language import composition
from training.language.causes import KINDS, audible
from training.language.composition import mentioned_causes
from training.language.demonstrations import VOICES, stock
from training.language.scale import fitting, shown

__all__ = ["argue", "claims", "describe", "mentioned_causes"]

T = TypeVar("T")

EXPLAINS = 1.0
"""A cause that alone would leave its dimension this much better than it is does not explain it, and is not named."""
NAMED_LATER, NAMED_BOTH = 0.75, 0.4
"""How often a cause is named that is not of the worst dimension, and a second cause beside the first."""
JOINED = 0.4
"""How often the best dimensions share one clause, where they share a category."""
CONNECTED = 0.6
"""How often a sentence is tied to the one before it ("In addition," or "Otherwise,")."""

WORDS = range(45, 96)

_fitting = cache(fitting)

SHAPES = {2: ((1, 1),), 3: ((1, 2), (2, 1), (1, 1, 1)), 4: ((1, 1, 2), (1, 2, 1), (2, 2), (2, 1, 1))}
"""Clauses a sentence, by the number of clauses."""


def describe(row: Annotation, rng: np.random.Generator) -> str:
    """A description of one clip. `row` holds the five ratings by name and `causes`, a list of cause rows."""
    row, text = shown(row), ""
    while len(text.split()) not in WORDS:  # about one in ten is too short
        text = _described(row, rng)
    return text


def _described(row: Annotation, rng: np.random.Generator) -> str:
    categories = _categories(row, rng)
    voice = _pick(rng, VOICES)
    joined = _joined(row, categories, rng)
    slots = composition.slots(row, categories, joined)
    clauses = _clauses(row, categories, joined, rng)
    opening = f"open {voice} {_pick(rng, composition.openings(categories))}"
    sentences = [f"{_phrase(opening, rng)} {clauses[0]}", *clauses[1:]]
    if composition.disagree(categories):
        sentences.append(_phrase(f"hedge {voice}", rng))
    sentences.append(_phrase(f"combine {voice} {composition.situation(row, categories)}", rng))
    sentences.append(_phrase(f"mos {voice}", rng))
    return composition.finished(" ".join(sentences).format(**slots))


def argue(a: Annotation, b: Annotation, rng: np.random.Generator, closing: str | None = None) -> str:
    """The reasons that follow the conclusion: one to three dimensions with an obvious gap, the better clip first, then
    how they weigh against each other: in the stock's words, or in those of `closing`."""
    a, b = shown(a), shown(b)
    sentences = []
    for name in argument.gaps(a, b):
        better = argument.ahead(name, a, b)
        cause = _cause(b if better == "A" else a, name, rng) if rng.random() < NAMED_LATER else ""
        worse = _phrase(f"worse:{name}{' cause' if cause else ''}", rng).format(cause=cause)
        sentences.append(composition.compared(name, better, _phrase(f"better:{name}", rng), worse))
    key, slots = argument.balance(a, b, verdict(a["mos"], b["mos"]))
    sentences.append(closing or _phrase(f"sum {key}", rng).format(**slots))
    return composition.finished(" ".join(sentences))


# --- what a text says -------------------------------------------------------------------------------------------------


def claims(text: str) -> list[tuple[str, int]]:
    """What a description in the stock's words says: (dimension, category), clause by clause. The inverse of `describe`.
    Sentences in other words claim nothing."""
    readers = _readers()
    found: list[tuple[str, int]] = []
    for match in readers.clause.finditer(readers.cause.sub("{cause}", text.lower())):
        dimension, category = readers.meaning[readers.topics.sub("{dimensions}", match[0])]
        joined = [name for name in composition.TOPIC_NOUNS if composition.TOPIC_NOUNS[name] in match[0]]
        found += [(name, category) for name in ([dimension] if dimension else joined)]
    return found


@dataclass(frozen=True)
class Readers:
    """What finds the stock's clauses in a text again."""

    cause: re.Pattern[str]
    """One or two causes in their own phrases."""
    topics: re.Pattern[str]
    """What fills {dimensions}: two topics or more."""
    clause: re.Pattern[str]
    meaning: Mapping[str, tuple[str, int]]
    """Clause → dimension ("" where it tells several) and category."""


@cache
def _readers() -> Readers:
    meaning = {}
    for dimension, category in product(DIMENSIONS, range(5)):
        for clause in (c for cause in (False, True) for c in stock().clauses(dimension, category, cause=cause)):
            meaning[clause.lower()] = dimension, category
    for category in (3, 4):
        meaning |= {clause.lower(): ("", category) for clause in stock().phrases[f"joint {category}"]}
    cause = _either(phrase for kind in KINDS.values() for phrase in kind.phrases)
    topic = _either(composition.TOPIC_NOUNS.values())
    topics = f"{topic}(?:(?:, | and ){topic})+"
    clause = _either(meaning).replace(re.escape("{dimensions}"), topics)
    return Readers(re.compile(f"{cause}(?: and {cause})?"), re.compile(topics), re.compile(clause), meaning)


def _either(phrases: Iterable[str]) -> str:
    """A pattern of any of these, the longest that fits, as whole words."""
    alternatives = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    return rf"(?<![\w-])(?:{alternatives})(?![\w-])"


# --- parts ------------------------------------------------------------------------------------------------------------


def _categories(row: Annotation, rng: np.random.Generator) -> dict[str, int]:
    """What the clauses will claim: any category whose words fit, but never a better one for a worse rating."""
    categories: dict[str, int] = {}
    least = 0
    for name in composition.ranked(row):
        categories[name] = least = max(least, _pick(rng, _fitting(row[name])))
    return categories


def _joined(row: Annotation, categories: Mapping[str, int], rng: np.random.Generator) -> list[str]:
    """The best dimensions that one clause tells together: two or three, good or excellent; often none."""
    rest = composition.ranked(row)[1:]
    alike = [name for name in rest if categories[name] == categories[rest[-1]] >= 3]
    if len(alike) < 2 or rng.random() >= JOINED:
        return []
    return alike[-int(rng.integers(2, len(alike) + 1)) :]


def _clauses(
    row: Annotation, categories: Mapping[str, int], joined: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """Sentences on the four dimensions, the worst first; {dimensions} is left open."""
    alone = [name for name in composition.ranked(row) if name not in joined]
    clauses = [(categories[name], _clause(row, name, categories[name], rng)) for name in alone]
    if joined:
        clauses.append((categories[joined[0]], _phrase(f"joint {categories[joined[0]]}", rng)))
    sentences: list[str] = []
    before = None
    for size in _pick(rng, SHAPES[len(clauses)]):
        group, clauses = clauses[:size], clauses[size:]
        sentence = _link(before, group[0][0], rng) + group[0][1]
        for (category, _), (following, clause) in pairwise(group):
            sentence += _conjunction(category, following, rng) + clause
        sentences.append(f"{sentence}.")
        before = group[-1][0]
    return sentences


def _link(before: int | None, category: int, rng: np.random.Generator) -> str:
    """How a sentence on `category` follows one on `before`: "In addition, " or "Otherwise, ", or nothing."""
    if before is None or rng.random() >= CONNECTED:
        return ""
    return _phrase(composition.link(before, category), rng) + " "


def _conjunction(before: int, category: int, rng: np.random.Generator) -> str:
    alike = (before <= 2) == (category <= 2)
    return _pick(rng, (", and ", "; ", ", and ") if alike else (", while ", ", but "))


def _clause(row: Annotation, name: str, category: int, rng: np.random.Generator) -> str:
    """What is said of one dimension. The worst one always carries its cause, where one is known."""
    worst = name == composition.ranked(row)[0]
    named = category < 4 and (worst or rng.random() < NAMED_LATER)
    cause = _cause(row, name, rng) if named else ""
    clauses = stock().clauses(name, category, cause=bool(cause))
    return _pick(rng, clauses).replace("{cause}", cause)


def _cause(row: Annotation, name: str, rng: np.random.Generator) -> str:
    """One or two recorded causes that explain a dimension's rating, as a noun phrase; "" where none does."""
    explaining = [cause for cause in audible(row, name) if cause["rating"] <= row[name] + EXPLAINS]
    kinds = list(dict.fromkeys(cause["name"] for cause in explaining))
    count = 2 if rng.random() < NAMED_BOTH else 1
    return argument.listed([_pick(rng, KINDS[kind].phrases) for kind in kinds[:count]])


def _phrase(key: str, rng: np.random.Generator) -> str:
    return _pick(rng, stock().phrases[key])


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
