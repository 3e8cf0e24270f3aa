"""The validator on sentences of each kind, and judged on whole texts: planted lies, and true ones.

Sentences that only their numbers tell apart stand in files beside this one: `sentences.jsonl` (a dimension, a rating
that fits and one that does not), `comparisons.jsonl` (both clips' ratings), `causes.jsonl` (the cause that is claimed,
or none). `varied_texts.jsonl` holds true texts by the hand that made the rules, written to try them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sqe_fast.results import DIMENSIONS, RATINGS
from training.language.causes import KINDS, dimension_of
from training.language.marks import _table, literal
from training.language.validator import argument_problems, problems

HERE = Path(__file__).parent
CAUGHT, FALSE_ALARMS = 0.98, 0.02
NOTICED = 0.85
BLIND_CAUGHT, BLIND_FALSE_ALARMS = 0.86, 0.11
"""Short of the aim above: texts by another hand, unseen while the rules were made, come to .870 and .100."""


def lines(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / file).read_text(encoding="utf-8").splitlines()]


def row(*causes: tuple[str, float], **ratings: float) -> dict[str, Any]:
    """All well but for `ratings`; the overall rating 4.0 unless given."""
    values = {**dict.fromkeys(RATINGS, 4.6), "mos": 4.0, **ratings}
    return {**values, "causes": [{"name": name, "rating": rating} for name, rating in causes]}


# --- judged -------------------------------------------------------------------------------------------------------


@cache
def judged(file: str) -> tuple[tuple[str, bool], ...]:
    """Each text of a file with whether the validator objects to it."""
    found = []
    for case in lines(file):
        pair = (case["a"], case["b"]) if "a" in case else None
        objections = argument_problems(case["text"], *pair) if pair else problems(case["text"], case["row"])
        found.append((case["text"], bool(objections)))
    return tuple(found)


def share(cases: tuple[tuple[str, bool], ...]) -> float:
    return sum(objected for _, objected in cases) / len(cases)


def test_lies_of_the_development_texts_are_caught() -> None:
    """The words and rules were made with all of these texts in sight."""
    cases = judged("planted_lies.jsonl")
    assert len(cases) >= 200
    assert share(cases) >= CAUGHT, [text for text, objected in cases if not objected]


def test_true_development_texts_pass() -> None:
    """The words and rules were made with all of these texts in sight."""
    cases = judged("true_texts.jsonl")
    assert len(cases) >= 200
    assert share(cases) <= FALSE_ALARMS, [text for text, objected in cases if objected]


def test_true_texts_in_varied_words_pass() -> None:
    cases = judged("varied_texts.jsonl")
    assert share(cases) <= FALSE_ALARMS, [text for text, objected in cases if objected]


def moved(rating: float) -> float:
    return rating + (-2.2 if rating >= 3.3 else 2.2)


def test_most_ratings_of_a_true_text_cannot_be_moved_unnoticed() -> None:
    """A validator that hears little passes true texts too. Not all of a text's dimensions are spoken of plainly."""
    noticed = []
    for case in lines("varied_texts.jsonl")[::2]:
        for name in RATINGS if "row" in case else ():
            rated = {**case["row"], name: round(moved(case["row"][name]), 1)}
            rated["causes"] = [
                {**cause, "rating": moved(cause["rating"])} if dimension_of(cause) == name else cause
                for cause in case["row"]["causes"]
            ]
            noticed.append(bool(problems(case["text"], rated)))
    assert sum(noticed) / len(noticed) >= NOTICED


def blind(file: str) -> tuple[tuple[str, bool], ...]:
    """Texts that were written after the rules and are never read while they are worked on; skipped where absent."""
    if not (HERE / file).exists():
        pytest.skip(f"{file} is not there")
    return judged(file)


def test_lies_of_the_blind_texts_are_caught() -> None:
    assert share(blind("blind_lies.jsonl")) >= BLIND_CAUGHT  # no text in the message: they stay unread


def test_true_blind_texts_pass() -> None:
    assert share(blind("blind_true.jsonl")) <= BLIND_FALSE_ALARMS


# --- descriptions -------------------------------------------------------------------------------------------------

SAID = [  # words, dimension, a rating that they fit, one that they do not
    ("There is no noise.", "noisiness", 4.7, 2.6),
    ("There is hardly any noise.", "noisiness", 4.1, 2.0),
    ("The noise is not slight.", "noisiness", 1.8, 4.6),
    ("Strong noise covers the words.", "noisiness", 1.7, 4.0),
    ("The background is far from clean.", "noisiness", 2.2, 4.8),
    ("The background is nearly silent.", "noisiness", 4.4, 2.0),
    ("The recording is free of gaps, and the noise is loud.", "noisiness", 1.6, 4.5),
    ("The voice sounds natural.", "coloration", 4.2, 2.5),
    ("The voice does not sound natural.", "coloration", 2.4, 4.6),
    ("The timbre is anything but natural.", "coloration", 1.9, 4.6),
    ("The timbre is slightly colored.", "coloration", 3.7, 1.6),
    ("The voice is badly distorted.", "coloration", 1.4, 4.2),
    ("There are frequent gaps.", "discontinuity", 1.9, 4.4),
    ("No gaps or drop-outs can be heard.", "discontinuity", 4.6, 2.4),
    ("Neither noise nor gaps bother me.", "discontinuity", 4.6, 2.4),
    ("The flow is good.", "discontinuity", 4.0, 2.0),
    ("The level is comfortable.", "loudness", 4.4, 2.4),
    ("The volume is poor.", "loudness", 2.1, 4.0),
    ("The quality is fair.", "mos", 3.2, 4.1),
    ("Overall this is not good.", "mos", 2.2, 4.2),
    ("All in all: poor to fair.", "mos", 2.5, 4.0),
]


@pytest.mark.parametrize(("text", "dimension", "fitting", "unfit"), SAID, ids=[said[0] for said in SAID])
def test_words_must_fit_their_rating(text: str, dimension: str, fitting: float, unfit: float) -> None:
    assert problems(text, row(**{dimension: fitting})) == []
    found = problems(text, row(**{dimension: unfit}))
    assert [problem.kind for problem in found] == ["words"]
    assert f"of {dimension}, which is {unfit}" in found[0]


def test_more_words_must_fit_their_rating() -> None:
    wrong = []
    for case in lines("sentences.jsonl"):
        for rating, fits in ((case["fitting"], True), (case["unfit"], False)):
            found = [p for p in problems(case["text"], row(**{case["dimension"]: rating})) if p.kind != "causes"]
            wrong += [(case["text"], rating, found)] if (not found) is not fits else []
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        "The suppressor is of little help to the voice.",  # not: little noise suppression
        "It would be excellent if the noise were slight.",
        "Don't look for a bad codec here.",
        "A voice as if it came with a bad gap.",
        "Is there any strong noise?",
        "One cannot find anything good about the noise.",
        "There is plenty of volume.",
        "Not noise but the level is at fault.",
    ],
)
def test_what_is_not_understood_claims_nothing(text: str) -> None:
    worst = row(("noise suppression", 1.5), **dict.fromkeys(RATINGS, 1.5))
    best = row(("noise suppression", 4.7), **dict.fromkeys(RATINGS, 4.7))
    assert not [p for p in (*problems(text, worst), *problems(text, best)) if p.kind == "words"]


@pytest.mark.parametrize("text", ["The noise is moderate.", "Several gaps.", "The distortion is moderate."])
def test_a_middling_fault_is_neither_bad_nor_absent(text: str) -> None:
    for rating, fitting in ((1.2, False), (2.0, True), (4.0, True), (4.7, False)):
        assert (problems(text, row(**dict.fromkeys(RATINGS, rating))) == []) is fitting


@pytest.mark.parametrize("name", sorted(KINDS))
def test_only_recorded_causes_may_be_named(name: str) -> None:
    kind = KINDS[name]
    text = f"One hears {kind.phrases[0]}."
    recorded = row((name, 2.5), **{kind.dimension: 2.5})
    assert "causes" not in {problem.kind for problem in problems(text, recorded)}
    unrecorded = row(("high level" if name == "low level" else "low level", 2.5), **{kind.dimension: 2.5})
    assert "causes" in {problem.kind for problem in problems(text, unrecorded)}


def test_causes_in_more_words() -> None:
    """What is claimed must be recorded; what is denied, doubted or looked for in vain need not be."""
    wrong = []
    for case in lines("causes.jsonl"):
        names = [case["cause"]] if case["cause"] else []
        ratings = dict.fromkeys(RATINGS, 2.2 if names else 4.6)
        found = problems(case["text"], row(*((name, 2.2) for name in names), **ratings))
        wrong += [(case["text"], problem) for problem in found if problem.kind == "causes" or not names]
        elsewhere = "high level" if names == ["low level"] else "low level"
        missed = names and not problems(case["text"], row((elsewhere, 2.2), **ratings))
        wrong += [(case["text"], "not noticed")] if missed else []
    assert wrong == []


def test_a_denied_cause_is_no_claim_but_must_not_be_recorded() -> None:
    assert problems("There is no hum and no echo.", row()) == []
    assert [p.kind for p in problems("There is no hum.", row(("hum", 2.0), ("babble", 3.9), noisiness=2.0))][
        -1
    ] == "causes"


def test_words_of_a_cause_may_fit_the_cause_instead_of_its_dimension() -> None:
    """Slight hum beneath loud babble: the dimension is bad, the hum is not."""
    both = row(("babble", 1.5), ("hum", 3.9), noisiness=1.5)
    assert problems("A slight hum lies beneath the strong babble.", both) == []
    assert problems("A slight babble lies beneath.", both)


def test_words_follow_the_rating_as_it_is_shown() -> None:
    """2.66 stands as 2.7, which is too far from poor; 2.64 stands as 2.6, which is not."""
    assert problems("The quality is poor.", row(mos=2.66))
    assert problems("The quality is poor.", row(mos=2.64)) == []


def test_numbers_are_the_rows() -> None:
    rated = row(noisiness=2.14, mos=2.9)
    assert problems("The MOS is 2.9.", rated) == []
    assert problems("Noisiness is at 2.1, the MOS at 2.9; recorded at 16 kHz, on a scale of 1 to 5.", rated) == []
    assert [p.kind for p in problems("The MOS is 2.8.", rated)] == ["numbers"]
    assert [p.kind for p in problems("Noisiness is at 2.9, the MOS at 2.9.", rated)] == ["numbers"]
    assert [p.kind for p in problems("The MOS is three point one.", rated)] == ["numbers"]
    assert problems("The MOS is about 3.", rated) == []
    assert problems("The MOS is about 4.", rated)


@pytest.mark.parametrize(
    "text",
    [
        "One listener gave it 2.4.",
        "Each listener rated it 2.4.",
        "A single rater voted two point four.",
        "My colleague gave it a 2.4.",
        "It got 2.4 from a rater.",
    ],
)
def test_no_single_listener_gives_a_fraction(text: str) -> None:
    assert "listener" in {problem.kind for problem in problems(text, row(mos=2.4))}


def test_means_are_fractions_and_votes_whole() -> None:
    assert problems("The listeners gave it 2.4 on average.", row(mos=2.4)) == []
    assert not [p for p in problems("One listener gave it 2.", row(mos=2.0)) if p.kind == "listener"]


def test_the_worst_dimension_is_the_worst() -> None:
    rated = row(noisiness=2.0, coloration=2.15, discontinuity=3.0, mos=2.5)
    assert problems("The main problem is the noise.", rated) == []
    assert problems("The main problem is the timbre.", rated) == []
    assert [problem.kind for problem in problems("The main problem is continuity.", rated)] == ["order"]


def test_sweeping_words_speak_of_all_dimensions() -> None:
    assert problems("A flawless recording.", row(mos=4.6)) == []
    assert "sweeping" in {p.kind for p in problems("A flawless recording.", row(discontinuity=2.5, mos=4.6))}
    only = "Moderate noise is the only flaw."
    assert problems(only, row(noisiness=3.0)) == []
    assert [problem.kind for problem in problems(only, row(noisiness=3.0, loudness=2.0))] == ["sweeping"]


# --- comparisons --------------------------------------------------------------------------------------------------

CLEAN, NOISY = row(mos=4.2), row(("hum", 2.0), noisiness=2.0, mos=2.8)


def swapped(text: str) -> str:
    return re.sub(r"(Speech ?|Clip |\b)([AB])\b", lambda m: m[1] + {"A": "B", "B": "A"}[m[2]], text)


@pytest.mark.parametrize(
    "text",
    [
        "Speech A is preferred.",
        "[SpeechA]",
        "I prefer A to B.",
        "A is better overall.",
        "The preference goes to Speech A.",
        "Speech B is worse.",
        "As for noise, Speech A has the cleaner background, while Speech B carries more noise. Speech A is preferred.",
        "Speech A is preferred. There is less noise in Speech A than in Speech B.",
        "Speech A is preferred, with a MOS of 4.2 against 2.8 for Speech B.",
        "Speech A is preferred: the hum in Speech B is strong.",
        "Speech A is clearly less noisy. Speech A wins.",
        "Speech A beats Speech B, which has a strong hum.",
        "Speech A is preferred, although its timbre is no better than that of Speech B: it has less noise.",
        "The background of Speech B is noisy, that of Speech A is clean. Speech A wins.",
    ],
)
def test_arguments_hold_one_way_round_only(text: str) -> None:
    assert argument_problems(text, CLEAN, NOISY) == []
    assert argument_problems(text, NOISY, CLEAN)
    assert argument_problems(swapped(text), NOISY, CLEAN) == []


def compared(case: dict[str, Any], a: float, b: float) -> list[str]:
    """Objections to a comparison of clips that differ in one dimension; Speech A is the better one as a whole."""
    same = dict.fromkeys(DIMENSIONS, 4.2)
    whole = case["dimension"] == "mos"
    clips = [row(**{**same, "mos": mos, case["dimension"]: value}) for mos, value in ((3.9, a), (3.3, b))]
    return argument_problems(case["text"] if whole else f"{case['text']} Overall, Speech A is preferred.", *clips)


def test_more_comparisons_hold_one_way_round_only() -> None:
    wrong = []
    for case in lines("comparisons.jsonl"):
        a, b = case["a"], case["b"]
        lies = [(b, a)] if a - b > 0.3 else [(4.6, 2.1), (2.1, 4.6)]
        wrong += [(case["text"], problem) for problem in compared(case, a, b)]
        wrong += [(case["text"], lie) for lie in lies if not compared(case, *lie)]
    assert wrong == []


def test_a_tie_must_be_said_and_only_then() -> None:
    near = {**NOISY, "mos": 4.1}
    assert argument_problems("Neither is preferred.", CLEAN, near) == []
    assert argument_problems("As for noise, Speech A is less noisy.", CLEAN, near)
    assert argument_problems("Speech A is preferred.", CLEAN, near)
    assert argument_problems("Neither is preferred.", CLEAN, NOISY)


def test_a_clear_difference_needs_a_clear_gap() -> None:
    near = row(noisiness=4.2, mos=3.8)
    assert argument_problems("Speech A wins. Speech A is less noisy.", CLEAN, near) == []
    assert argument_problems("Speech A wins. Speech A is clearly less noisy.", CLEAN, near)
    assert argument_problems("Speech A wins. In noise the two are alike.", CLEAN, near) == []
    assert argument_problems("Speech A wins. In noise the two are alike.", CLEAN, NOISY)


def test_a_needed_letter_run_never_hides_a_match() -> None:
    """The quick look before a regular expression may only skip what could not match."""
    assert literal(r"drop-?outs?") == "drop" or literal(r"drop-?outs?") == "out"
    assert literal(r"(?:very )?little") == "little"
    assert literal(r"colou?red") == "colo"
    text = (HERE / "true_texts.jsonl").read_text(encoding="utf-8")[:8_000]
    for needed, pattern, _ in _table():
        for match in pattern.finditer(text):
            assert needed in match[0].lower(), pattern.pattern
