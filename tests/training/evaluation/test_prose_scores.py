"""BLEU is sacrebleu's, with a ceiling; agreement and what was forced, counted by hand."""

import numpy as np
import pytest
import sacrebleu

from sqe_fast.answer.template import IM_END
from sqe_fast.results import Ratings
from tests.support.fake_evaluator import PROMPTS
from training.evaluation.prose_scores import (
    agreement,
    bleu,
    bleu_counts,
    bleu_signature,
    forced,
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


def test_numbers_and_beginnings_are_forced() -> None:
    """Half a description that counts as the model's own; an argument's outline that does not count at all."""
    ratings = Ratings(2.0, 4.0, 4.0, 4.0, 3.1, 0.1)
    described = PROMPTS.encode(f"Much noise. Overall fair, MOS 3.1.{IM_END}")
    assert forced([(PROMPTS.describe(0, ratings), described)]) == Share(1, len(described))
    other = PROMPTS.encode(f"Much noise. Overall fair, MOS 3.2.{IM_END}")
    assert forced([(PROMPTS.describe(0, ratings), other)]) == Share(0, 0), "not an answer to this program"
    program = PROMPTS.argue(0, 0, ratings, Ratings(4.0, 4.0, 4.0, 4.0, 4.1, 0.1), "B")
    [write] = program.steps
    *reasons, weighed = write.outline
    said = PROMPTS.encode(" with a hum.")
    argued = [token for begun in reasons for token in (*begun, *said)]
    told = forced([(program, (*argued, *weighed))])
    assert told == Share(sum(map(len, write.outline)), len(argued) + len(weighed))
    assert len(reasons) * len(said) == told.of - told.right > 0
