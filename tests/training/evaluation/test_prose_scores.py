"""BLEU is sacrebleu's, with a ceiling; causes named and recorded, counted by hand."""

import numpy as np
import pytest
import sacrebleu

from training.evaluation.prose_scores import (
    agreement,
    bleu,
    bleu_counts,
    bleu_signature,
    cause_scores,
    expected_names,
    likeness,
)
from training.evaluation.scores import Share
from training.language.captions import stock
from training.language.problems import Problem, of_description

WORDS = ("the", "voice", "is", "clear", "noise", "covers", "it", "a", "hum", "3.4", "MOS", "of", "overall,")


def sentence(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, size=12)) + "."


def test_bleu_from_counts_is_sacrebleus() -> None:
    rng = np.random.default_rng(0)
    texts, references = ([sentence(rng) for _ in range(30)] for _ in range(2))
    texts[:15] = [f"{reference[:-1]} indeed." for reference in references[:15]]
    expected = sacrebleu.corpus_bleu(texts, [references])
    assert bleu(bleu_counts(texts, references)) == pytest.approx(expected.score, abs=1e-9)
    assert bleu(bleu_counts(texts, texts)) == pytest.approx(100)


def test_the_signature_names_the_settings_of_corpus_bleu() -> None:
    metric = sacrebleu.BLEU()
    metric.corpus_score(["a b"], [["a b"]])
    assert bleu_signature() == str(metric.get_signature())


def test_the_writer_itself_reaches_its_own_ceiling_and_others_less() -> None:
    def write(index: int, rng: np.random.Generator) -> str:
        return f"clip {index} has " + " ".join(rng.permutation(WORDS)[:5]) + " and no other fault to speak of."

    same = likeness([write(i, np.random.default_rng((9, i))) for i in range(40)], write, draws=2)
    assert same.share.value == pytest.approx(1, abs=0.1)
    assert same.share.low < 1 < same.share.high
    other = likeness([sentence(np.random.default_rng(i)) for i in range(40)], write, draws=2)
    assert other.ceiling.value == pytest.approx(same.ceiling.value)
    assert other.share.value == pytest.approx(other.model.value / other.ceiling.value)
    assert other.share.high < 0.5


def test_agreement_counts_a_text_once_for_each_kind_of_problem() -> None:
    hum, babble = Problem("causes", "hum is not recorded"), Problem("causes", "babble is not recorded")
    high, low = Problem("numbers", "3.4 is too high"), Problem("numbers", "2.0 is too low")
    texts = ["The noise is loud.", "Worse.", "Bad.", "Poor."]
    readings = [stock().read(text) for text in texts]
    found = agreement(texts, [[], [hum, babble, high], [babble], [low]], readings)
    assert found.outside == Share(3, 7)
    assert found.share == Share(1, 4)
    assert found.with_ratings == Share(2, 4)
    assert found.kinds == {"causes": 2, "numbers": 2}
    assert found.examples == (("causes: hum is not recorded", "Worse."), ("numbers: 3.4 is too high", "Worse."))


def test_a_cause_that_is_not_listed_does_not_concern_the_ratings() -> None:
    row = {"noisiness": 1.4, "coloration": 4.6, "discontinuity": 4.6, "loudness": 4.5, "mos": 2.2, "causes": []}
    text = "Babble drowns out the talker. Otherwise, the tone, the flow and the level are fine. Overall poor, MOS 2.2."
    found = agreement([text], [of_description(text, row, [])], [stock().read(text)])
    assert (found.share, found.with_ratings, found.kinds) == (Share(0, 1), Share(1, 1), {"causes": 1})


def cause(name: str, rating: float) -> dict[str, object]:
    return {"name": name, "rating": rating}


def test_only_the_worst_audible_cause_of_a_dimension_must_be_named() -> None:
    row = {"causes": [cause("hum", 3.4), cause("voices", 2.0), cause("clipping", 3.6), cause("packet loss", 3.5)]}
    assert sorted(expected_names(row)) == ["packet loss", "voices"]


def test_causes_named_and_recorded_by_hand() -> None:
    rows = [
        {"causes": [cause("hum", 2.0), cause("clipping", 4.6)]},
        {"causes": [cause("hum", 2.0)]},
        {"causes": [cause("stutter", 1.5)]},
        {"causes": []},
    ]
    named = [{"hum", "clipping"}, {"voices", "packet loss"}, [], {"voices"}]
    found = cause_scores(rows, named)
    assert found.precision == Share(2, 5)  # hum and clipping, of hum, clipping, voices, packet loss, voices
    assert found.recall == Share(1, 3)
    assert found.confusion == {"hum": {"hum": 1, "voices": 1}, "stutter": {"nothing": 1}}
