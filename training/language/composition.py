"""What is said where: which sentence a clip's ratings call for, what fills its slots, and how a text is put together.

The demonstrations are checked against these rules, and the grammar follows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqe_fast.answer.argument import ASPECTS, listed
from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language.causes import KINDS
from training.language.scale import LABELS, label

BELOW = 0.25
"""A MOS this far below the worst dimension does not follow from it; several faults explain it."""

TOPIC_NOUNS = dict(zip(DIMENSIONS, ("the background", "the timbre", "the flow", "the volume"), strict=True))
FAULT_NOUNS = dict(zip(DIMENSIONS, ("the noise", "the distortion", "the broken flow", "the level"), strict=True))

_PATTERNS = {name: re.compile(kind.pattern, re.IGNORECASE) for name, kind in KINDS.items()}


def mentioned_causes(text: str) -> list[str]:
    """The causes that a text claims, as keys of `causes.KINDS`, in their order there."""
    return [name for name, pattern in _PATTERNS.items() if pattern.search(text)]


# --- descriptions -----------------------------------------------------------------------------------------------------
# `categories` are those that a description claims, by dimension: near a border, words of either category fit.


def ranked(row: Annotation) -> list[str]:
    """The dimensions, the worst first."""
    return sorted(DIMENSIONS, key=lambda name: float(row[name]))


def faulty(row: Annotation, categories: Mapping[str, int]) -> list[str]:
    """The dimensions that are fair at best, the worst first."""
    return [name for name in ranked(row) if categories[name] <= 2]


def openings(categories: Mapping[str, int]) -> tuple[str, ...]:
    """The keys of the phrases that may open a description."""
    worst = min(categories.values())
    if worst > 2:
        return ("pristine",) if worst == 4 else ("mild",)
    return ("fault",) if sum(category <= 2 for category in categories.values()) > 1 else ("fault", "lone")


def link(before: int, category: int) -> str:
    """The key of the words that tie a clause of `category` to one of category `before`."""
    if category <= 2:
        return "add"
    return "rest" if before <= 2 else "also"


def situation(row: Annotation, categories: Mapping[str, int]) -> str:
    """How the dimensions combine into the MOS: the key of the sentence that says so."""
    faults = len(faulty(row, categories))
    if faults > 1:
        return "several" if faults < len(DIMENSIONS) else "all" if max(categories.values()) == 2 else "ruin"
    if row["mos"] < min(row[name] for name in DIMENSIONS) - BELOW:
        return "below"
    if faults:
        return "split" if disagree(categories) else "single"
    return openings(categories)[0]


def disagree(categories: Mapping[str, int]) -> bool:
    """Whether one dimension is poor or bad and the others are good, so that opinions may differ."""
    return min(categories.values()) <= 1 and sum(category <= 2 for category in categories.values()) == 1


def slots(row: Annotation, categories: Mapping[str, int], joined: Sequence[str] = ()) -> dict[str, str]:
    """What fills the slots of a description's phrases. `joined` are the dimensions that one clause tells together."""
    nouns = [FAULT_NOUNS[name] for name in faulty(row, categories) or ranked(row)]
    return {
        "topic": TOPIC_NOUNS[ranked(row)[0]],
        "worst": nouns[0],
        "second": nouns[min(1, len(nouns) - 1)],
        "faults": listed(nouns),
        "dimensions": listed([TOPIC_NOUNS[name] for name in joined]),
        "label": LABELS[label(row["mos"])],
        "mos": f"{row['mos']:.1f}",
    }


# --- arguments --------------------------------------------------------------------------------------------------------


def compared(name: str, better: str, first: str, second: str) -> str:
    """ "As for noise, Speech A has …, while Speech B carries …." So do the engine's (`argument.outline`)."""
    return f"{ASPECTS[name]} Speech {better} {first}, while Speech {'B' if better == 'A' else 'A'} {second}."


# --- text -------------------------------------------------------------------------------------------------------------


def finished(text: str) -> str:
    """Single spaces, and a capital at the start of each sentence."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda match: match[0].upper(), text)
