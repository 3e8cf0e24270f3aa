"""What an argument says of two rated clips: which dimensions, in which order, which clip is ahead, how they weigh.

All of it follows from the ratings, as shown to 0.1; the engine forces it, and the training corpus is written by it.
What is left to the model is how a dimension sounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqe_fast.answer.scale import NUMBER_TOKENS, number_index
from sqe_fast.results import DIMENSIONS, Winner

CLEAR_GAP = 0.5
"""Two ratings further apart than this differ obviously (the paper's rule for what an A/B text discusses)."""
MOST = 3

ASPECTS = {
    "noisiness": "On noise,",
    "coloration": "On tone,",
    "discontinuity": "On flow,",
    "loudness": "On level,",
}
"""How a reason opens: "On tone, Speech A …". The dimension comes first, so that the better clip follows from the
ratings."""

GAINS = dict(zip(DIMENSIONS, ("noise", "tone", "flow", "level"), strict=True))

WEIGHINGS = {
    "agree": "Nothing clear speaks for {loser}.",
    "weigh": "{loser} is better in {against}, but that counts for less than {for}.",
    "small": "{loser} is better in {against}, but smaller differences decide for {winner}.",
    "none": "Nothing differs clearly; small differences decide for {winner}.",
    "cancel": "{winner} is better in {for} and {loser} in {against}, which cancel out.",
    "slight": "{winner} is better in {for}, but not by enough to decide.",
    "even": "Nothing differs clearly.",
}
"""The sentence that ends an argument, by the key of `balance`."""


CONCLUSIONS: dict[Winner, str] = {
    "A": "Speech A is preferred",
    "B": "Speech B is preferred",
    "tie": "Neither is preferred",
}


def conclusion(winner: Winner, mos_a: float, mos_b: float) -> str:
    """The sentence that opens every argument. It is forced, so that verdict, numbers and words cannot disagree."""
    a, b = (NUMBER_TOKENS[number_index(mos)] for mos in (mos_a, mos_b))
    return f"{CONCLUSIONS[winner]}: a MOS of{a} for Speech A against{b} for Speech B."


def gaps(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """At most three dimensions that differ obviously, the widest gap first. The ratings are as shown, to 0.1."""
    apart = {name: round(abs(float(a[name]) - float(b[name])), 1) for name in DIMENSIONS}
    return sorted((name for name in DIMENSIONS if apart[name] > CLEAR_GAP), key=lambda name: -apart[name])[:MOST]


def ahead(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    return "A" if a[name] > b[name] else "B"


def balance(a: Mapping[str, Any], b: Mapping[str, Any], decided: Winner) -> tuple[str, dict[str, str]]:
    """The key of the sentence that weighs the obvious gaps of a pair against its verdict, and what fills its slots."""
    won = {clip: [GAINS[name] for name in gaps(a, b) if ahead(name, a, b) == clip] for clip in "AB"}
    if decided == "tie":
        winner = next((ahead(name, a, b) for name in gaps(a, b)), "A")  # in the widest gap, whichever is called A
        key = "cancel" if won["A"] and won["B"] else "slight" if won[winner] else "even"
    else:
        winner = decided
    loser = "B" if winner == "A" else "A"
    if decided != "tie":
        key = ("weigh" if won[loser] else "agree") if won[winner] else "small" if won[loser] else "none"
    filled = {"winner": f"Speech {winner}", "loser": f"Speech {loser}"}
    return key, filled | {"for": listed(won[winner]), "against": listed(won[loser])}


def outline(a: Mapping[str, Any], b: Mapping[str, Any], decided: Winner) -> tuple[list[str], str]:
    """How each reason begins, up to the clip that is ahead, and the sentence after them."""
    key, slots = balance(a, b, decided)
    return [f"{ASPECTS[name]} Speech {ahead(name, a, b)}" for name in gaps(a, b)], WEIGHINGS[key].format(**slots)


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
