"""What the offline writer says follows from ratings and recorded causes, whatever the draw."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import permutations

import numpy as np
import pytest

from sqe_fast.answer import argument
from sqe_fast.answer.argument import ASPECTS
from sqe_fast.answer.scale import verdict
from sqe_fast.answer.template import conclusion
from sqe_fast.results import DIMENSIONS, RATINGS
from training.corpora.annotation import Annotation
from training.language import captions, validator
from training.language.causes import KINDS, audible
from training.language.scale import LABELS, fits, label, shown


def cause(name: str, rating: float) -> dict[str, object]:
    return {"stage": "any", "kind": "any", "name": name, "measure": 0.0, "low": 0.0, "high": 8e3, "rating": rating}


def row(*causes: dict[str, object], **ratings: float) -> dict[str, object]:
    values = {**dict.fromkeys(DIMENSIONS, 4.7), **ratings}
    mos = 0.23 * sum(values[name] for name in DIMENSIONS) + 0.47 * min(values[name] for name in DIMENSIONS) - 1.34
    return {"mos": round(float(np.clip(mos, 1, 5)), 2), **values, "causes": list(causes)}


@cache
def drawn() -> list[tuple[Annotation, str]]:
    """Rows of all kinds, a third of their dimensions without fault, with up to two causes a fault; and their texts."""
    rng, found = np.random.default_rng(7), []
    for _ in range(200):
        ratings = {n: float(rng.uniform(4.3, 4.8) if rng.random() < 0.35 else rng.uniform(1, 4.8)) for n in DIMENSIONS}
        causes = []
        for dimension, rating in ratings.items():
            names = [name for name, kind in KINDS.items() if kind.dimension == dimension]
            for name in rng.permutation(names)[: rng.integers(0, 3)]:
                causes.append(cause(str(name), round(min(4.8, rating + float(rng.uniform(0, 1.5))), 2)))
        sampled = row(*causes, **ratings)
        found.append((sampled, captions.describe(sampled, rng)))
    return found


def test_two_thousand_descriptions_are_all_different_and_of_a_readable_length() -> None:
    texts = [text for _, text in drawn()]
    assert len(set(texts)) == 200
    words = [len(text.split()) for text in texts]
    assert min(words) >= 45
    assert max(words) <= 95
    assert len({word for text in texts for word in re.findall(r"[a-z'-]+", text.lower())}) < 1500


def shared(texts: list[str], n: int) -> float:
    """Mean over ordered pairs of the share of one text's n-grams that the other one has too (BLEU's precision)."""
    words = [re.findall(r"[a-z'-]+", text.lower()) for text in texts]
    grams = [Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in words]
    return float(np.mean([(a & b).total() / a.total() for a, b in permutations(grams, 2)]))


def test_descriptions_share_less_than_those_of_the_first_grammar() -> None:
    """The first grammar, some 120 clauses, shared 13.4 % of bigrams and 4.6 % of 4-grams on rows like these, and 16 %
    of 4-grams between descriptions of one row."""
    texts = [text for _, text in drawn()][:80]
    assert shared(texts, 2) < 0.12
    assert shared(texts, 4) < 0.025
    alike = [captions.describe(row(), np.random.default_rng(seed)) for seed in range(50)]
    assert len(set(alike)) == 50
    assert shared(alike, 4) < 0.1


def test_every_clause_fits_its_rating_and_the_worst_dimension_comes_first() -> None:
    for described, text in drawn()[:100]:
        rated, claims = shown(described), captions.claims(text)
        assert sorted(name for name, _ in claims) == sorted(DIMENSIONS), text
        assert all(fits(category, rated[name]) for name, category in claims), text
        assert rated[claims[0][0]] == min(rated[name] for name in DIMENSIONS), text
        read = sorted(claims, key=lambda claim: (rated[claim[0]], claim[1]))
        assert [category for _, category in read] == sorted(category for _, category in read), text


def test_only_recorded_causes_that_can_be_heard_are_named() -> None:
    named = 0
    for described, text in drawn():
        heard = {c["name"] for name in DIMENSIONS for c in audible(described, name)}
        assert set(captions.mentioned_causes(text)) <= heard, text
        named += len(captions.mentioned_causes(text))
    assert named > 125


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rating", [1.2, 2.1, 2.9, 3.8])
def test_the_first_sentence_names_the_cause_of_the_worst_dimension(name: str, rating: float) -> None:
    described = row(cause(name, rating + 0.1), **{KINDS[name].dimension: rating})
    for seed in range(5):
        text = captions.describe(described, np.random.default_rng(seed))
        assert captions.mentioned_causes(text.split(".")[0]) == [name], text


def test_a_cause_too_slight_to_explain_the_rating_is_not_named() -> None:
    described = row(cause("hum", 3.6), noisiness=1.5)
    assert not any(captions.mentioned_causes(captions.describe(described, np.random.default_rng(i))) for i in range(20))


def test_two_causes_of_one_dimension_may_be_named_the_worse_one_always() -> None:
    described = row(cause("hum", 2.6), cause("babble", 2.3), noisiness=2.0)
    named = [captions.mentioned_causes(captions.describe(described, np.random.default_rng(seed))) for seed in range(40)]
    assert {tuple(names) for names in named} == {("babble",), ("hum", "babble")}


def test_without_recorded_causes_none_is_named() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        text = captions.describe(row(**{name: float(rng.uniform(1, 4.8)) for name in DIMENSIONS}), rng)
        assert captions.mentioned_causes(text) == [], text


@pytest.mark.parametrize("name", ["high level", "pumping"])
def test_a_loud_clip_is_never_called_quiet(name: str) -> None:
    quiet = re.compile(r"\b(weak|soft|softly|quiet|quieter|inaudible|low|louder|faint)\b")
    for rating in (1.2, 2.0, 3.0, 4.0):
        for seed in range(15):
            text = captions.describe(row(cause(name, rating), loudness=rating), np.random.default_rng(seed))
            assert not quiet.search(text.split(".")[0]), text


def test_the_only_number_is_the_mos_and_its_label_is_that_of_the_shown_number() -> None:
    for described, text in drawn():
        mos = shown(described)["mos"]
        assert re.findall(r" \d\.\d\b|\d+", text) == [f" {mos:.1f}"]
        assert re.findall(rf"\b({'|'.join(LABELS)}) quality\b", text) in ([], [LABELS[label(mos)]])
        assert re.search(rf"\b{LABELS[label(mos)]}\b", text), text


@pytest.mark.parametrize(("mos", "word"), [(2.46, "fair"), (2.44, "poor"), (3.45, "fair")])
def test_words_follow_from_the_number_as_it_is_shown(mos: float, word: str) -> None:
    """2.46 stands in the line as 2.5, which is fair, though 2.46 itself would be poor."""
    text = captions.describe({**row(), "mos": mos}, np.random.default_rng(0))
    assert re.search(rf"\b{word}\b", text), text


def test_near_a_border_words_of_either_category_are_used() -> None:
    said = set()
    for seed in range(40):
        said.add(dict(captions.claims(captions.describe(row(noisiness=2.5), np.random.default_rng(seed))))["noisiness"])
    assert said == {1, 2}


def test_where_one_side_fails_among_good_ones_the_text_hedges() -> None:
    hedges = {h for voice in captions.VOICES for h in captions.stock().phrases[f"hedge {voice}"]}
    stems = [hedge.split("{")[0][:25] for hedge in hedges]
    for seed in range(20):
        split = captions.describe(row(discontinuity=1.3), np.random.default_rng(seed))
        assert any(stem in split for stem in stems), split
        united = captions.describe(row(**dict.fromkeys(DIMENSIONS, 1.3)), np.random.default_rng(seed))
        assert not any(stem in united for stem in stems), united


# --- arguments --------------------------------------------------------------------------------------------------------


def compared(text: str) -> list[tuple[str, str]]:
    """(dimension, better clip) of each comparison that an argument holds."""
    aspects = {aspect: dimension for dimension, aspect in ASPECTS.items()}
    pattern = re.compile(rf"({'|'.join(map(re.escape, aspects))}) Speech ([AB])")
    return [(aspects[match[1]], match[2]) for match in pattern.finditer(text)]


def test_reasons_name_the_better_clip_of_each_obvious_gap_and_swap_with_the_clips() -> None:
    good, bad = row(), row(noisiness=1.5, coloration=3.0)
    for seed in range(30):
        forward = captions.argue(good, bad, np.random.default_rng(seed))
        backward = captions.argue(bad, good, np.random.default_rng(seed))
        assert compared(forward) == [("noisiness", "A"), ("coloration", "A")]
        swapped = forward.replace("Speech A", "?").replace("Speech B", "Speech A").replace("?", "Speech B")
        assert backward == swapped
        assert not re.search(r"\d", forward)


def test_only_the_worse_clips_recorded_cause_is_named() -> None:
    good, bad = row(cause("hum", 3.9), noisiness=3.8), row(cause("street noise", 1.9), noisiness=1.8)
    named = {tuple(captions.mentioned_causes(captions.argue(good, bad, np.random.default_rng(i)))) for i in range(20)}
    assert named == {(), ("street noise",)}


def test_at_most_three_dimensions_are_argued_and_only_obvious_gaps() -> None:
    a, b = row(), row(noisiness=4.2, coloration=4.1, discontinuity=2.0, loudness=4.1)
    assert [name for name, _ in compared(captions.argue(a, b, np.random.default_rng(0)))] == [
        "discontinuity",
        "coloration",
        "loudness",
    ]
    far = row(**dict.fromkeys(DIMENSIONS, 1.5))
    assert len(compared(captions.argue(a, far, np.random.default_rng(0)))) == 3


def test_what_speaks_against_the_verdict_is_said_to_weigh_less() -> None:
    better, worse = row(noisiness=3.0), row(discontinuity=1.5)
    assert verdict(better["mos"], worse["mos"]) == "A"
    for seed in range(20):
        text = captions.argue(better, worse, np.random.default_rng(seed))
        assert "weighs less than" in text, text
        weighed = text.split(". ")[-1]
        assert weighed.index("noise") < weighed.index("flow"), text  # the lesser point comes first


def test_ties_are_said_to_be_level() -> None:
    one = {**row(noisiness=2.5), "mos": 3.3}
    for other in ({**row(coloration=2.4), "mos": 3.4}, {**row(), "mos": 3.3}, {**row(noisiness=2.4), "mos": 3.2}):
        for seed in range(10):
            assert "the MOS values are level" in captions.argue(one, other, np.random.default_rng(seed))
    clear = captions.argue(row(noisiness=2.5), row(), np.random.default_rng(0))
    assert "level" not in clear.split(". ")[-1]


def test_what_the_engine_forces_agrees_with_the_ratings() -> None:
    """An outline that the validator would reject: in any of the seven ways to weigh."""
    rng, ways = np.random.default_rng(0), set()
    for _ in range(400):
        scale = rng.choice([0.2, 3.0])
        a, b = ({**row(), **dict(zip(RATINGS, 1.5 + scale * rng.random(5), strict=True))} for _ in range(2))
        a, b = shown(a), shown(b)
        decided = verdict(a["mos"], b["mos"])
        ways.add(argument.balance(a, b, decided)[0])
        reasons, weighing = argument.outline(a, b, decided)
        told = [conclusion(decided, a["mos"], b["mos"]), *(f"{reason} is better." for reason in reasons), weighing]
        assert validator.argument_problems(" ".join(told), a, b) == []
    assert ways == set(argument.WEIGHINGS)


@pytest.mark.parametrize(
    ("a", "b", "key"),
    [
        (row(), row(noisiness=2.0), "agree"),
        (row(noisiness=3.0), row(discontinuity=1.5), "weigh"),
        ({**row(), "mos": 3.0}, {**row(noisiness=3.5), "mos": 4.0}, "small"),
        ({**row(), "mos": 4.0}, {**row(), "mos": 3.0}, "none"),
        ({**row(), "mos": 4.0}, {**row(), "mos": 4.1}, "even"),
        ({**row(noisiness=2.0), "mos": 3.0}, {**row(coloration=2.0), "mos": 3.0}, "cancel"),
        ({**row(noisiness=2.0), "mos": 3.0}, {**row(), "mos": 3.0}, "slight"),
    ],
)
def test_how_points_are_weighed_follows_from_gaps_and_verdict(a: Annotation, b: Annotation, key: str) -> None:
    decided = verdict(a["mos"], b["mos"])
    mirrored = verdict(b["mos"], a["mos"])
    assert argument.balance(a, b, decided)[0] == argument.balance(b, a, mirrored)[0] == key
