"""What is said where: which sentence a clip's ratings call for, what fills its slots, and how a text is put together.

The demonstrations are checked against these rules, and the grammar follows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqe_fast.prompt import ASPECTS, verdict
from sqe_fast.results import DIMENSIONS
from training.language.causes import KINDS
from training.language.scale import CLEAR_GAP, LABELS, Row, label

BELOW = 0.25
"""A MOS this far below the worst dimension does not follow from it; several faults explain it."""

TOPICS = dict(zip(DIMENSIONS, ("the background", "the timbre", "the flow", "the volume"), strict=True))
FAULTS = dict(zip(DIMENSIONS, ("the noise", "the distortion", "the broken flow", "the level"), strict=True))
GAINS = dict(zip(DIMENSIONS, ("noise", "timbre", "flow", "volume"), strict=True))

_PATTERNS = {name: re.compile(kind.pattern, re.IGNORECASE) for name, kind in KINDS.items()}


def mentioned_causes(text: str) -> list[str]:
    """The causes that a text claims, as keys of `causes.KINDS`, in their order there."""
    return [name for name, pattern in _PATTERNS.items() if pattern.search(text)]


# --- descriptions -----------------------------------------------------------------------------------------------------
# `categories` are those that a description claims, by dimension: near a border, words of either category fit.


def ranked(row: Row) -> list[str]:
    """The dimensions, the worst first."""
    return sorted(DIMENSIONS, key=lambda name: float(row[name]))


def faulty(row: Row, categories: Mapping[str, int]) -> list[str]:
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


def situation(row: Row, categories: Mapping[str, int]) -> str:
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


def slots(row: Row, categories: Mapping[str, int], joined: Sequence[str] = ()) -> dict[str, str]:
    """What fills the slots of a description's phrases. `joined` are the dimensions that one clause tells together."""
    nouns = [FAULTS[name] for name in faulty(row, categories) or ranked(row)]
    return {
        "topic": TOPICS[ranked(row)[0]],
        "worst": nouns[0],
        "second": nouns[min(1, len(nouns) - 1)],
        "faults": listed(nouns),
        "dimensions": listed([TOPICS[name] for name in joined]),
        "label": LABELS[label(row["mos"])],
        "mos": f"{row['mos']:.1f}",
    }


# --- arguments --------------------------------------------------------------------------------------------------------


def gaps(a: Row, b: Row) -> list[str]:
    """At most three dimensions that differ obviously, the widest gap first. The rows are as shown, to 0.1."""
    apart = {name: round(abs(float(a[name]) - float(b[name])), 1) for name in DIMENSIONS}
    return sorted((name for name in DIMENSIONS if apart[name] > CLEAR_GAP), key=lambda name: -apart[name])[:3]


def ahead(name: str, a: Row, b: Row) -> str:
    return "A" if a[name] > b[name] else "B"


def summary(a: Row, b: Row) -> tuple[str, dict[str, str]]:
    """The key of the sentence that weighs the obvious gaps of a pair against its verdict, and what fills its slots."""
    won = {clip: [GAINS[name] for name in gaps(a, b) if ahead(name, a, b) == clip] for clip in "AB"}
    decided = verdict(a["mos"], b["mos"])
    if decided == "tie":
        winner = "A" if won["A"] else "B"
        key = "cancel" if won["A"] and won["B"] else "slight" if won[winner] else "even"
    else:
        winner = decided
    loser = "B" if winner == "A" else "A"
    if decided != "tie":
        key = ("weigh" if won[loser] else "agree") if won[winner] else "small" if won[loser] else "none"
    filled = {"winner": f"Speech {winner}", "loser": f"Speech {loser}"}
    return key, filled | {"for": listed(won[winner]), "against": listed(won[loser])}


def compared(name: str, better: str, first: str, second: str) -> str:
    """ "As for noise, Speech A has …, while Speech B carries …." The engine looks for this opening of `ASPECTS`."""
    return f"{ASPECTS[name]} Speech {better} {first}, while Speech {'B' if better == 'A' else 'A'} {second}."


# --- text -------------------------------------------------------------------------------------------------------------


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def finished(text: str) -> str:
    """Single spaces, and a capital at the start of each sentence."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda match: match[0].upper(), text)
