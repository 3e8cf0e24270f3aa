"""The reader is the exact inverse of what puts phrases together; the bundled stock's own tests stand in training."""

from __future__ import annotations

import copy

import pytest

from sqe_fast.answer.phrases import Phrases, elliptic, finished, inflected
from sqe_fast.answer.scale import LABELS
from sqe_fast.answer.trie import Noun
from tests.support.stocks import PHRASES, STOCK


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    return STOCK.phrases


def test_a_description_is_read_clause_by_clause(phrases: Phrases) -> None:
    text = (
        "Hum and gusts of wind cover the voice and make it hard to follow. Also, the voice sounds very harsh, but the "
        "flow and the level are fine. Overall poor, MOS 2.1."
    )
    read = phrases.read(text)
    assert read.claims == (("noisiness", 1), ("coloration", 1), ("discontinuity", 4), ("loudness", 4))
    assert [(name, text[start:end]) for name, start, end in read.causes] == [
        ("hum", "Hum"),
        ("wind", "gusts of wind"),
        ("clipping", "the voice sounds very harsh"),
    ]
    assert read.mos == (("poor", 2.1),)
    assert (read.outside, read.words, read.least) == ((), 32, None)


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("The noisiness is bad, honestly. Overall poor, MOS 2.1.", ("honestly",)),
        ("The noisiness is bad from fog.", ("from", "fog")),
        ("Hum cover the voice and make it hard to follow.", ("hum", "cover", "the", "voice")),
        ("Wind and hum covers the voice and makes it hard to follow.", ("wind",)),
        ("Overall poor, MOS 2.15.", ("overall", "poor", "mos", "2.1", "5")),
    ],
)
def test_words_of_no_phrase_are_outside(phrases: Phrases, text: str, outside: tuple[str, ...]) -> None:
    """What a reader passes over, anything may hide in: another cause, a verb in the wrong number, a second figure."""
    assert phrases.read(text).outside[: len(outside)] == outside


def test_a_cause_of_another_dimension_does_not_fill_a_clause(phrases: Phrases) -> None:
    assert phrases.read("The loudness is bad from hum.").causes == ()


def test_a_contradiction_is_read_as_two_claims(phrases: Phrases) -> None:
    """A reader that keeps one claim a dimension lets "…is bad … is excellent" pass."""
    read = phrases.read("The noisiness is bad, but the noisiness is excellent.")
    assert read.claims == (("noisiness", 0), ("noisiness", 4))


def test_what_opens_a_text_is_a_claim_about_all_dimensions(phrases: Phrases) -> None:
    assert phrases.read("Little to fix: the noisiness is good.").least == LABELS.index("good")


def test_an_argument_is_read_reason_by_reason(phrases: Phrases) -> None:
    text = (
        "Speech A is preferred: a MOS of 4.0 for Speech A against 3.0 for Speech B. On tone, Speech A is better in "
        "coloration, while Speech B has clipping in its coloration. On noise, Speech B is better in noisiness, "
        "while Speech A is worse in noisiness. Speech B is better in noise, but that counts for less than tone."
    )
    read = phrases.read_argument(text)
    assert read.concluded == (("A", 4.0, 3.0),)
    assert read.ahead == (("coloration", "A"), ("noisiness", "B"))
    assert read.weighed == (("weigh", "A", ("coloration",), ("noisiness",)),)
    assert [(clip, named.name) for clip, named in read.causes] == [("B", "clipping")]
    assert read.outside == ()


@pytest.mark.parametrize(
    "reason",
    [
        "On tone, Speech A is better in noisiness, while Speech B is worse in coloration.",
        "On tone, Speech A is better in coloration, while Speech A is worse in coloration.",
        "On tone, Speech A is worse in coloration.",
    ],
)
def test_a_reason_whose_parts_disagree_claims_more_than_one_thing(phrases: Phrases, reason: str) -> None:
    """The outline is forced and the rest is the model's: "On tone, Speech A has more noise" was read as its outline."""
    assert set(phrases.read_argument(reason).ahead) > {("coloration", "A")}


def test_one_phrase_of_two_meanings_is_refused() -> None:
    fields = copy.deepcopy(PHRASES)
    fields["loudness"]["plain"]["good"].append("the noisiness is bad")
    with pytest.raises(ValueError, match="'the noisiness is bad' means"):
        Phrases(fields, STOCK.phrases.dimension).read("")


def test_a_cause_without_words_is_refused() -> None:
    with pytest.raises(KeyError, match="fog"):
        Phrases(PHRASES, {**STOCK.phrases.dimension, "fog": "noisiness"}).read("")


def test_verbs_take_the_number_of_their_causes(phrases: Phrases) -> None:
    [clause] = phrases.caused("noisiness", 1)
    one, many = Noun("hum", many=False), Noun("gusts of wind", many=True)
    assert phrases.filled(clause, [one]).startswith("hum covers the voice and makes")
    assert phrases.filled(clause, [many]).startswith("gusts of wind cover the voice and make")
    assert phrases.filled(clause, [one, one, many]).startswith("hum, hum and gusts of wind cover")
    assert inflected("there is/are", many=True) == "there are"


def test_a_clause_loses_its_verb_only_where_nothing_else_hangs_on_it() -> None:
    assert elliptic("the tone is natural") == "the tone natural"
    assert elliptic("the noise is faint and easy to ignore") is None
    assert elliptic("there is no noise") is None


def test_sentences_begin_with_a_capital() -> None:
    assert (
        finished("all  clear: the voice. overall fine, MOS 2.1. so")
        == "All clear: the voice. Overall fine, MOS 2.1. So"
    )


def test_one_noun_of_two_causes_is_refused() -> None:
    fields = copy.deepcopy(PHRASES)
    fields["causes"]["hum"]["one"].append("wind")
    with pytest.raises(ValueError, match="'wind' means"):
        Phrases(fields, STOCK.phrases.dimension).read("")
