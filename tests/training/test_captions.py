import re

import numpy as np
import pytest

from sqe_fast.results import DIMENSIONS
from training import captions, raters

WORST_FIRST = {
    "noisiness": ({"stage": "noise", "kind": "kitchen", "rating": 1.7}, "kitchen"),
    "coloration": ({"stage": "reverb", "kind": "real", "rating": 1.7}, "reverb|echo"),
    "discontinuity": ({"stage": "loss", "kind": "silence", "rating": 1.7}, "packet"),
}


def row(causes: list[dict[str, object]] | None = None, **ratings: float) -> dict[str, object]:
    values = {**dict.fromkeys(DIMENSIONS, 4.7), **ratings}
    return {**values, "mos": round(raters.overall(values), 2), "causes": causes or []}


@pytest.mark.parametrize("dimension", sorted(WORST_FIRST))
def test_the_first_sentence_names_the_recorded_cause_of_the_worst_dimension(dimension: str) -> None:
    cause, words = WORST_FIRST[dimension]
    for seed in range(40):
        text = captions.describe(row([cause], **{dimension: 1.7}), np.random.default_rng(seed))
        assert re.search(words, text.split(".")[0]), text


def test_no_cause_is_named_that_was_not_recorded() -> None:
    named = [p for phrases in (*captions.NOISE_CAUSES.values(), *captions.OTHER_CAUSES.values()) for p in phrases]
    named = [phrase for phrase in named if phrase not in ("a muffled, band-limited sound",)]
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = {name: float(rng.uniform(1, 4.8)) for name in DIMENSIONS}
        text = captions.describe(row([], **values), rng)
        assert not [phrase for phrase in named if phrase in text], text


def test_the_only_number_is_the_mos_and_the_label_fits_it() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rated = row([], **{name: float(rng.uniform(1, 4.8)) for name in DIMENSIONS})
        text = captions.describe(rated, rng)
        mos = captions.shown(rated)["mos"]
        assert re.findall(r"\d+\.\d+", text) == [str(mos)]
        assert re.search(rf"\b{captions.LABELS[captions.label(mos)]}\b", text)


@pytest.mark.parametrize(("rating", "label"), [(1.0, 0), (1.49, 0), (1.5, 1), (2.5, 2), (3.49, 2), (4.5, 4), (5.0, 4)])
def test_labels_are_the_nearest_category(rating: float, label: int) -> None:
    assert captions.label(rating) == label


def test_descriptions_of_one_clip_differ() -> None:
    texts = {captions.describe(row(noisiness=2.0), np.random.default_rng(seed)) for seed in range(50)}
    assert len(texts) == 50


def test_the_argued_winner_has_the_higher_mos_and_near_ties_are_ties() -> None:
    assert captions.verdict(3.0, 2.0) == "A"
    assert captions.verdict(2.0, 3.0) == "B"
    assert captions.verdict(3.0, 3.1) == captions.verdict(3.1, 3.0) == "tie"
    assert captions.verdict(3.0, 3.2) == "B"


@pytest.mark.parametrize(("mos", "words"), [(2.46, "fair"), (2.44, "poor"), (3.45, "fair")])
def test_words_follow_from_the_number_as_it_is_shown(mos: float, words: str) -> None:
    """2.46 stands in the line as 2.5, which is fair, though 2.46 itself would be poor."""
    text = captions.describe({**row(), "mos": mos}, np.random.default_rng(0))
    assert re.search(rf"\b{words}\b", text), text


def test_reasons_name_the_better_clip_of_each_obvious_gap_and_swap_with_the_clips() -> None:
    good, bad = row(), row([], noisiness=1.5, coloration=3.0)
    for seed in range(30):
        forward = captions.argue(good, bad, np.random.default_rng(seed))
        backward = captions.argue(bad, good, np.random.default_rng(seed))
        assert forward.count("Speech A ") == forward.count("Speech B ") == 2
        assert captions.preferences(forward) == [("noisiness", "A"), ("coloration", "A")]
        swapped = forward.replace("Speech A", "?").replace("Speech B", "Speech A").replace("?", "Speech B")
        assert backward == swapped
        assert not re.search(r"\d", forward)


def test_what_speaks_against_the_verdict_is_said() -> None:
    better, worse = row(noisiness=3.0), row([], discontinuity=1.5)
    assert captions.verdict(better["mos"], worse["mos"]) == "A"
    text = captions.argue(better, worse, np.random.default_rng(0))
    assert "What speaks for Speech B weighs less than what speaks for Speech A." in text


def test_claims_are_read_back_from_every_description() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rated = row([], **{name: float(rng.uniform(1, 4.8)) for name in DIMENSIONS})
        labels = {name: captions.label(captions.shown(rated)[name]) for name in DIMENSIONS}
        claims = captions.claims(captions.describe(rated, rng))
        assert sorted(claims) == sorted(labels.items())
        assert captions.shown(rated)[claims[0][0]] == min(captions.shown(rated)[name] for name in DIMENSIONS)
