"""The offline writer: ratings and recorded causes → a description; two rating tuples → an argued preference.

The worst dimension comes first and carries its cause, the others follow, the combination ends in the MOS. A cause is
named only where it was recorded and is loud enough to be heard; else the dimension's own words stand. The only numbers
in the prose are MOS values, so that the engine can force them to the ratings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np

from sqe_fast.prompt import ASPECTS
from sqe_fast.results import DIMENSIONS, RATINGS

Row = Mapping[str, Any]
CLEAR_GAP = 0.5
"""Two ratings further apart than this differ obviously (paper.md)."""
TIE = 0.1
"""MOS values this near, as shown, are a tie."""

LABELS = ("bad", "poor", "fair", "good", "excellent")


def shown(row: Row) -> dict[str, Any]:
    """The row with its ratings as a line states them, to 0.1: words follow from the numbers that stand beside them."""
    return {**row, **{name: round(row[name] * 10) / 10 for name in RATINGS}}


def label(rating: float) -> int:
    """0 … 4: the category of the absolute category rating scale that `rating` rounds to."""
    return int(np.clip(np.floor(rating + 0.5) - 1, 0, 4))


# Clauses by dimension and category, usable at the start of a sentence or after "while". {cause} is a noun phrase.
CLAUSES: dict[str, tuple[tuple[str, ...], ...]] = {
    "noisiness": (
        (
            "{cause} drowns the voice almost completely",
            "{cause} is as loud as the talker or louder",
            "the words have to be dug out of {cause}",
            "{cause} buries most of the speech",
        ),
        (
            "{cause} competes with the voice throughout",
            "{cause} is strong and tiring to listen through",
            "{cause} sits heavily under every word",
            "{cause} never lets the voice stand alone",
        ),
        (
            "{cause} is clearly audible behind the voice",
            "{cause} is plain to hear but the words stay on top",
            "{cause} fills the pauses and is hard to ignore",
            "{cause} disturbs without hiding any words",
        ),
        (
            "only a little {cause} can be heard in the pauses",
            "the background holds just a trace of {cause}",
            "{cause} stays low, well under the voice",
            "a faint layer of {cause} remains",
        ),
        (
            "the background is silent",
            "no noise is heard behind the voice",
            "pauses are free of noise",
            "the voice stands on a clean background",
        ),
    ),
    "coloration": (
        (
            "{cause} leaves hardly anything natural in the voice",
            "the timbre is wrecked by {cause}",
            "{cause} distorts the voice beyond recognition",
            "{cause} makes the voice sound broken and artificial",
        ),
        (
            "{cause} spoils the natural sound of the voice",
            "the voice sounds badly altered by {cause}",
            "{cause} gives the voice an unnatural, unpleasant tone",
            "{cause} is heavy and takes the naturalness away",
        ),
        (
            "{cause} colors the voice noticeably",
            "the timbre is changed by {cause}, though the talker stays natural enough",
            "{cause} takes some life out of the voice",
            "{cause} makes the voice sound less natural",
        ),
        (
            "the voice is only slightly colored by {cause}",
            "{cause} can be heard on close listening",
            "the timbre is close to natural, with a touch of {cause}",
            "{cause} changes the tone just a little",
        ),
        (
            "the timbre is natural",
            "the voice sounds full and undistorted",
            "nothing colors the sound of the voice",
            "the voice keeps its natural tone",
        ),
    ),
    "discontinuity": (
        (
            "{cause} tears the speech to pieces",
            "so much is missing through {cause} that sentences fall apart",
            "{cause} breaks nearly every word",
            "{cause} makes the speech impossible to follow",
        ),
        (
            "{cause} interrupts the speech again and again",
            "frequent gaps from {cause} cost whole syllables",
            "{cause} keeps cutting into the words",
            "the flow is broken by {cause}",
        ),
        (
            "{cause} breaks the flow in several places",
            "a number of short gaps show {cause}",
            "{cause} clips some syllables",
            "the speech stumbles now and then through {cause}",
        ),
        (
            "there is a rare, brief sign of {cause}",
            "{cause} is heard once or twice at most",
            "the flow is nearly unbroken, with a hint of {cause}",
            "{cause} hardly disturbs the flow",
        ),
        (
            "the speech flows without a break",
            "there are no gaps or stutters",
            "the signal is continuous",
            "nothing is missing from the words",
        ),
    ),
    "loudness": (
        (
            "{cause} is so extreme that the words barely reach the ear",
            "the speech is almost inaudible with {cause}",
            "{cause} leaves next to nothing to hear",
            "one must turn the volume all the way up against {cause}",
        ),
        (
            "{cause} makes listening an effort",
            "the voice is much too soft with {cause}",
            "{cause} forces the listener to strain",
            "{cause} keeps the voice far away",
        ),
        (
            "{cause} asks for a turn of the volume knob",
            "the voice is a bit weak, with {cause}",
            "{cause} is noticeable though bearable",
            "the level is below comfort, with {cause}",
        ),
        (
            "the level is nearly right",
            "the volume is slightly off but comfortable",
            "the loudness is acceptable",
            "the volume could be a touch better",
        ),
        (
            "the volume is comfortable",
            "the level is just right",
            "the loudness is ideal",
            "the voice has a pleasant, full volume",
        ),
    ),
}

NOISE_CAUSES: dict[str, tuple[str, ...]] = {
    "white": ("white noise", "steady broadband noise"),
    "pink": ("pink noise", "a dull, steady rush of noise"),
    "hiss": ("high-pitched hiss", "hiss"),
    "hum": ("mains hum", "electrical hum"),
    "babble": ("babble of other voices", "the chatter of other people"),
    "street": ("street noise", "outdoor traffic noise"),
    "kitchen": ("kitchen noise", "the clatter of a kitchen"),
    "dishes": ("the clatter of dishes", "noise of dishes being washed"),
    "machine": ("machine noise", "the whirr of a machine"),
    "room": ("room noise", "background noise of a room"),
}
OTHER_CAUSES: dict[str, tuple[str, ...]] = {
    "reverb": ("reverberation", "room echo"),
    "clip": ("clipping", "overdriven clipping"),
    "mnru": ("noise that follows the speech", "grainy, signal-modulated noise"),
    "telephone": ("a narrow telephone band", "the thin telephone bandwidth"),
    "low-pass": ("missing treble", "a muffled, band-limited sound"),
    "high-pass": ("missing bass", "a thin sound without low frequencies"),
    "codec": ("coding distortion", "the sound of a low-rate codec"),
    "loss": ("packet loss", "the loss of packets"),
    "stutter": ("stuttering repetition", "jitter stutter"),
}
DIMENSION_WORDS: dict[str, tuple[str, ...]] = {
    "noisiness": ("background noise", "noise"),
    "coloration": ("distortion of the timbre", "coloration"),
    "discontinuity": ("signal drop-out", "a broken signal"),
    "loudness": ("the low level", "too little volume"),
}
OPENINGS: dict[str, tuple[str, ...]] = {
    "engineer": ("The main impairment is plain:", "In this recording", "Assessment:", "By ear,"),
    "listener": ("What strikes me first:", "Listening to this,", "To my ear", "The first thing one hears:"),
    "support": ("On this call", "For the caller's audio:", "On this line", "The other end would notice:"),
}
PRISTINE = (
    "This is a clean recording:",
    "Very little to criticise here:",
    "The speech comes across very well:",
    "A fine recording overall:",
)
COMBINATIONS: dict[str, tuple[str, ...]] = {
    "single": (
        "That alone sets the rating",
        "This one defect decides the impression",
        "The rest is fine, but this weighs most",
        "Everything else is in order, yet this dominates",
    ),
    "several": (
        "Together these faults pull the quality down",
        "The defects add up",
        "No single cause explains it all, the sum does",
        "These weaknesses reinforce each other",
    ),
    "none": (
        "Nothing stands in the way of listening",
        "All four dimensions hold up",
        "There is hardly a reason to take points off",
        "The dimensions agree",
    ),
}
CLOSINGS = (
    "The overall quality is {label}, with a MOS of {mos}.",
    "Overall this is {label} quality, a MOS of {mos}.",
    "So the overall MOS is {mos}, which is {label}.",
    "It makes for {label} quality and a MOS of {mos}.",
)


def describe(row: Row, rng: np.random.Generator) -> str:
    """A description of one clip. `row` holds the five ratings by name and `causes` (a list of cause rows)."""
    row = shown(row)
    order = sorted(DIMENSIONS, key=lambda name: float(row[name]))
    voice = str(rng.choice(list(OPENINGS)))
    faulty = [name for name in order if label(row[name]) < 3]
    opening = _pick(rng, OPENINGS[voice] if label(row[order[0]]) < 4 else PRISTINE)
    first = f"{opening} {_clause(row, order[0], rng)}."
    if rng.random() < 0.5 and len(faulty) > 1:
        second = f"In addition, {_clause(row, order[1], rng)}."
    else:
        second = f"{_sentence(_clause(row, order[1], rng))}."
    joint = _pick(rng, (", and ", "; ", ", while "))
    third = f"{_sentence(_clause(row, order[2], rng))}{joint}{_clause(row, order[3], rng)}."
    combination = _pick(rng, COMBINATIONS["none" if not faulty else "single" if len(faulty) == 1 else "several"])
    closing = _pick(rng, CLOSINGS).format(label=LABELS[label(row["mos"])], mos=f"{row['mos']:.1f}")
    return f"{first} {second} {third} {combination}. {closing}"


def claims(text: str) -> list[tuple[str, int]]:
    """What a description says: (dimension, category) of each clause it holds, in order. The inverse of `describe`."""
    found = []
    for dimension, categories in _claim_patterns().items():
        for category, pattern in enumerate(categories):
            found += [(match.start(), dimension, category) for match in pattern.finditer(text)]
    return [(dimension, category) for _, dimension, category in sorted(found)]


def preferences(text: str) -> list[tuple[str, str]]:
    """What an argument says: (dimension, better clip) of each comparison it holds."""
    aspects = {aspect: dimension for dimension, aspect in ASPECTS.items()}
    pattern = re.compile(rf"({'|'.join(map(re.escape, aspects))}) Speech ([AB])")
    return [(aspects[match[1]], match[2]) for match in pattern.finditer(text)]


@cache
def _claim_patterns() -> dict[str, list[re.Pattern[str]]]:
    named = (*NOISE_CAUSES.values(), *OTHER_CAUSES.values(), *DIMENSION_WORDS.values())
    causes = "|".join(re.escape(phrase) for phrases in named for phrase in phrases)

    def pattern(clauses: Sequence[str]) -> re.Pattern[str]:
        alternatives = (re.escape(clause).replace(re.escape("{cause}"), f"(?:{causes})") for clause in clauses)
        return re.compile("|".join(alternatives), re.IGNORECASE)

    return {dimension: [pattern(clauses) for clauses in categories] for dimension, categories in CLAUSES.items()}


def verdict(mos_a: float, mos_b: float) -> Literal["A", "B", "tie"]:
    """The clip with the higher MOS; both to 0.1."""
    if abs(mos_a - mos_b) < TIE + 0.05:  # tenths apart, whatever their binary fractions
        return "tie"
    return "A" if mos_a > mos_b else "B"


COMPARED: dict[str, tuple[tuple[str, str], ...]] = {
    # (better, worse)
    "noisiness": (("has the cleaner background", "carries more noise"), ("is less noisy", "is noisier")),
    "coloration": (("sounds more natural", "sounds more distorted"), ("keeps the better timbre", "is more colored")),
    "discontinuity": (("flows better", "is more broken up"), ("has fewer gaps", "suffers more drop-outs")),
    "loudness": (
        ("has the better volume", "is harder to hear"),
        ("is closer to a comfortable level", "is off in level"),
    ),
}


def argue(a: Row, b: Row, rng: np.random.Generator) -> str:
    """The reasons that follow the conclusion: one to three dimensions with an obvious gap, the better clip first, and
    what speaks against the verdict."""
    a, b = shown(a), shown(b)
    outcome = verdict(a["mos"], b["mos"])
    gaps = {name: float(a[name]) - float(b[name]) for name in DIMENSIONS}
    widest = sorted(DIMENSIONS, key=lambda name: -abs(gaps[name]))[:3]
    obvious = [name for name in DIMENSIONS if name in widest and abs(gaps[name]) > CLEAR_GAP]
    sentences = [_compared(name, gaps[name], rng) for name in obvious]
    if not obvious:
        sentences.append(_pick(rng, ("No dimension differs clearly.", "The two are close in every dimension.")))
    winner, loser = ("A", "B") if outcome == "A" else ("B", "A")
    points = {"A" if gaps[name] > 0 else "B" for name in obvious}
    if outcome == "tie" and points == {"A", "B"}:
        sentences.append("These points cancel out.")
    elif outcome != "tie" and loser in points:
        weighed = f"What speaks for Speech {loser} weighs less than what speaks for Speech {winner}."
        sentences.append(weighed if winner in points else f"Small differences elsewhere decide for Speech {winner}.")
    return " ".join(sentences)


def _compared(name: str, gap: float, rng: np.random.Generator) -> str:
    better, worse = _pick(rng, COMPARED[name])
    first, second = ("A", "B") if gap > 0 else ("B", "A")
    return f"{ASPECTS[name]} Speech {first} {better}, while Speech {second} {worse}."


def _clause(row: Row, name: str, rng: np.random.Generator) -> str:
    return _pick(rng, CLAUSES[name][label(row[name])]).format(cause=_cause(row, name, rng))


DIMENSION_OF_STAGE = {"noise": "noisiness", "loss": "discontinuity", "stutter": "discontinuity", "level": "loudness"}


def _cause(row: Row, name: str, rng: np.random.Generator) -> str:
    """The recorded cause of this dimension, by name; the dimension's own words where none was recorded."""
    causes: Sequence[Row] = [c for c in row["causes"] if DIMENSION_OF_STAGE.get(c["stage"], "coloration") == name]
    if name == "loudness" or not causes:
        return _pick(rng, DIMENSION_WORDS[name])
    worst = min(causes, key=lambda cause: float(cause["rating"]))
    if worst["stage"] == "noise":
        return _pick(rng, NOISE_CAUSES[worst["kind"]])
    return _pick(rng, OTHER_CAUSES[worst["kind"] if worst["stage"] == "band" else worst["stage"]])


def _sentence(clause: str) -> str:
    return clause[0].upper() + clause[1:]


def _pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]
