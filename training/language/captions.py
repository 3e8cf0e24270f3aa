"""The offline writer: ratings and a list of causes → a description; two clips → an argued preference.

Its phrases come from stock.toml. What hurts most comes first, then the rest in one sentence, then the MOS, which is the
only number, so that the engine can force it to the rating. A description names the causes of its list and no others.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from sqe_fast.answer import argument
from sqe_fast.answer.phrases import TOPICS, Phrases, elliptic, finished
from sqe_fast.answer.scale import LABELS, verdict
from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language import causes
from training.language.causes import KINDS
from training.language.scale import fitting, label, shown

__all__ = ["argue", "describe", "stock"]

T = TypeVar("T")

STOCK = Path(__file__).parent / "stock.toml"
WORDS = range(20, 46)
"""How long a description may be."""
NAMED = 3
"""So many causes are named at most: those that the list has first."""
SAYS = 0.4
"""How often a single cause is told in a clause of its own, where it has some."""
JOINED = 0.6
"""How often dimensions of one category without causes share a clause."""
ELLIPTIC = 0.5
"""How often "the tone is natural" follows another such clause as "the tone natural"."""
LINKED = 0.6
"""How often the sentence on the rest is tied to the one before it ("Otherwise,")."""
DOUBLE = 0.3
"""How often two faults share the first sentence."""
OPENED = 0.7
"""How often a recording without a fault is introduced as such."""
ARGUED = 0.75
"""How often an argument names the cause of a gap."""

_fitting = cache(fitting)


@cache
def stock() -> Phrases:
    """The phrases of stock.toml."""
    fields = tomllib.loads(STOCK.read_text(encoding="utf-8"))
    return Phrases(fields, {name: kind.dimension for name, kind in KINDS.items()})


def describe(row: Annotation, listed: Sequence[str], rng: np.random.Generator) -> str:
    """A description of one clip. `row` holds the five ratings by name; `listed` what is wrong with it, the worst first:
    names of `causes.KINDS` and of what is unclear, of which the words speak without a cause."""
    row, text = shown(row), ""
    while len(text.split()) not in WORDS:  # about one in ten is too short
        text = _described(row, listed, rng)
    return text


def argue(a: Annotation, b: Annotation, rng: np.random.Generator) -> str:
    """The reasons that follow the conclusion: one to three dimensions with an obvious gap, the better clip first, then
    how they weigh against each other, in the words that the engine forces. Rows hold `causes` as a corpus has them."""
    a, b = shown(a), shown(b)
    reasons, weighing = argument.outline(a, b, verdict(a["mos"], b["mos"]))
    sentences = []
    for name, reason in zip(argument.gaps(a, b), reasons, strict=True):
        better = argument.ahead(name, a, b)
        worse, row = ("B", b) if better == "A" else ("A", a)
        sentences.append(f"{reason} {_better(name, rng)}, while Speech {worse} {_worse(name, row, rng)}.")
    return finished(" ".join([*sentences, weighing]))


# --- descriptions -----------------------------------------------------------------------------------------------------


def _described(row: Annotation, listed: Sequence[str], rng: np.random.Generator) -> str:
    named = [name for name in listed if name in KINDS][:NAMED]
    order = sorted(DIMENSIONS, key=lambda dimension: (row[dimension], _place(dimension, named)))
    categories = _categories(row, order, rng)
    clauses = _clauses(order, categories, named, rng)
    worst = clauses[0].category
    if worst < 4:
        lead = 1 + (len(clauses) > 2 and clauses[1].category <= 2 and rng.random() < DOUBLE)
        first = _opening(worst, rng) + _sentence(clauses[:lead], rng)
        sentences = (
            [first, _link(worst, clauses[lead], rng) + _sentence(clauses[lead:], rng)] if clauses[lead:] else [first]
        )
    else:
        sentences = [_opening(worst, rng) + _sentence(clauses, rng)]
    text = f"{'. '.join(sentences)}. {_pick(rng, stock().fields['mos'])}"
    return finished(text.format(label=LABELS[label(row["mos"])], mos=f"{row['mos']:.1f}"))


def _place(dimension: str, named: Sequence[str]) -> int:
    """Where a list first names a cause of this dimension."""
    return next((place for place, name in enumerate(named) if KINDS[name].dimension == dimension), len(named))


def _categories(row: Annotation, order: Sequence[str], rng: np.random.Generator) -> dict[str, int]:
    """What the clauses will claim: any category whose words fit, but never a better one for a worse rating."""
    categories: dict[str, int] = {}
    least = 0
    for name in order:
        categories[name] = least = max(least, _pick(rng, _fitting(row[name])))
    return categories


class Clause(NamedTuple):
    text: str
    category: int
    plain: bool
    """It speaks of one dimension and names no cause."""


def _clauses(
    order: Sequence[str], categories: Mapping[str, int], named: Sequence[str], rng: np.random.Generator
) -> list[Clause]:
    """What is said of the four dimensions, in `order`; the last ones may share a clause."""
    of = {dimension: [name for name in named if KINDS[name].dimension == dimension] for dimension in order}
    joined = _joined(order, categories, of, rng)
    clauses = [_clause(name, categories[name], of[name], rng) for name in order if name not in joined]
    if joined:
        category = categories[joined[0]]
        topics = argument.listed([TOPICS[name] for name in joined])
        phrase = _pick(rng, stock().fields["joint"][LABELS[category]])
        clauses.append(Clause(phrase.replace("{dimensions}", topics), category, plain=False))
    return clauses


def _joined(
    order: Sequence[str], categories: Mapping[str, int], of: Mapping[str, Sequence[str]], rng: np.random.Generator
) -> list[str]:
    """The last dimensions, where several are alike, fair at least and without a cause; often none."""
    alike = [name for name in order[1:] if categories[name] == categories[order[-1]] >= 2 and not of[name]]
    if order[-1] not in alike or len(alike) < 2 or rng.random() >= JOINED:
        return []
    return alike[-int(rng.integers(2, len(alike) + 1)) :]


def _clause(dimension: str, category: int, names: Sequence[str], rng: np.random.Generator) -> Clause:
    if not names:
        return Clause(_pick(rng, stock().plain(dimension, category)), category, plain=True)
    says = stock().says(names[0], category) if len(names) == 1 and rng.random() < SAYS else ()
    text = _pick(rng, says) if says else _filled(_pick(rng, stock().caused(dimension, category)), names, rng)
    return Clause(text, category, plain=False)


def _filled(clause: str, names: Sequence[str], rng: np.random.Generator) -> str:
    return stock().filled(clause, [_pick(rng, stock().nouns(name)) for name in names])


def _sentence(clauses: Sequence[Clause], rng: np.random.Generator) -> str:
    """Clauses in one sentence, joined by "and"; what is excellent follows what is fair or worse with "but"."""
    turns = [after.category == 4 and before.category <= 2 for before, after in pairwise(clauses)]
    text, short = clauses[0].text, rng.random() < ELLIPTIC
    for index, (before, clause) in enumerate(pairwise(clauses)):
        shortened = _elliptic(clause) if short and not turns[index] and _elliptic(before) else None
        last = turns[index + 1 : index + 2] in ([], [True])
        if turns[index]:
            text += _pick(rng, (", but ", ", while "))
        else:
            text += " and " if last and shortened else ", and " if last else ", "
        text += shortened or clause.text
    return text


def _elliptic(clause: Clause) -> str | None:
    """ "the tone natural", where a clause of one dimension has such a form."""
    return elliptic(clause.text) if clause.plain else None


def _opening(worst: int, rng: np.random.Generator) -> str:
    """How a text about a recording without a fault begins."""
    phrases = stock().fields["openings"].get(LABELS[worst], ())
    return f"{_pick(rng, phrases)} " if phrases and rng.random() < OPENED else ""


def _link(before: int, clause: Clause, rng: np.random.Generator) -> str:
    """How the sentence on the rest follows one whose faults are of category `before`."""
    if before > 2 or rng.random() >= LINKED:
        return ""
    links = stock().fields["links"]
    phrases = links["add"] if clause.category <= 2 else links["rest"] + (links["good"] if clause.category == 4 else [])
    return f"{_pick(rng, phrases)} "


# --- arguments --------------------------------------------------------------------------------------------------------


def _better(dimension: str, rng: np.random.Generator) -> str:
    return _pick(rng, stock().fields["better"][dimension])


def _worse(dimension: str, row: Annotation, rng: np.random.Generator) -> str:
    """How the worse clip sounds; its worst audible cause may be named."""
    heard = causes.audible(row, dimension)
    if heard and rng.random() < ARGUED:
        phrase = _pick(rng, stock().fields["worse"]["cause"][dimension])
        return _filled(phrase, [heard[0]["name"]], rng)
    return _pick(rng, stock().fields["worse"]["plain"][dimension])


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
