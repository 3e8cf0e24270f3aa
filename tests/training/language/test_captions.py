"""What the offline writer says follows from ratings and listed causes, and is read back exactly, whatever the draw."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import chain, permutations, product

import numpy as np
import pytest

from sqe_fast.answer import argument
from sqe_fast.answer.argument import conclusion
from sqe_fast.answer.phrases import TOPICS, elliptic
from sqe_fast.answer.scale import LABELS, verdict
from sqe_fast.results import DIMENSIONS, RATINGS
from training.corpora.annotation import Annotation
from training.language import captions, problems
from training.language.causes import KINDS, listed
from training.language.demonstrations import draw_row
from training.language.scale import fits, label, shown

STOCK = captions.stock()
FEWEST = 9
"""Distinct clauses that every category of every dimension has, with a cause and without."""


def cause(name: str, rating: float) -> dict[str, object]:
    return {"name": name, "rating": rating}


def row(*causes: dict[str, object], **ratings: float) -> dict[str, object]:
    values = {**dict.fromkeys(DIMENSIONS, 4.7), **ratings}
    mos = 0.23 * sum(values[name] for name in DIMENSIONS) + 0.47 * min(values[name] for name in DIMENSIONS) - 1.34
    return {"mos": round(float(np.clip(mos, 1, 5)), 2), **values, "causes": list(causes)}


@cache
def drawn(count: int = 3_000) -> list[tuple[Annotation, list[str], str]]:
    """Rows of all kinds, lists of what is wrong with them (what is unclear among it), and texts."""
    rng, found = np.random.default_rng(7), []
    for _ in range(count):
        sampled = draw_row(rng)
        names = [*listed(sampled), *(["unclear noise"] if rng.random() < 0.2 else [])]
        found.append((sampled, names, captions.describe(sampled, names, rng)))
    return found


def test_every_description_is_read_back_exactly() -> None:
    """Categories, causes and MOS, over thousands of draws; and no word is left over."""
    for described, names, text in drawn():
        assert problems.of_description(text, described, names) == [], text
        read = STOCK.read(text)
        assert Counter(each.name for each in read.causes) == Counter(name for name in names[:4] if name in KINDS) - (
            Counter(names[3:4])
        ), text
        assert read.mos == ((LABELS[label(shown(described)["mos"])], shown(described)["mos"]),)


def test_every_argument_is_read_back_exactly() -> None:
    rng, ways = np.random.default_rng(3), set()
    for index in range(3_000):
        a, b = shown(draw_row(rng)), shown(draw_row(rng))
        if index % 2:  # close to each other, so that ties and small differences come up
            b = shown({**b, **{name: float(np.clip(a[name] + rng.normal(0, 0.4), 1, 5)) for name in RATINGS}})
        decided = verdict(a["mos"], b["mos"])
        text = f"{conclusion(decided, a['mos'], b['mos'])} {captions.argue(a, b, rng)}"
        assert problems.of_argument(text, a, b, (listed(a), listed(b))) == [], text
        ways.add(argument.balance(a, b, decided)[0])
    assert ways == set(argument.WEIGHINGS)


def test_descriptions_are_short_and_all_different() -> None:
    words = [len(text.split()) for _, _, text in drawn()]
    assert (min(words) >= 20, max(words) <= 45, 28 <= np.mean(words) <= 36) == (True, True, True)
    assert len({text for _, _, text in drawn()}) == len(drawn())


def shared(texts: list[str], n: int) -> float:
    """Mean over ordered pairs of the share of one text's n-grams that the other one has too (BLEU's precision)."""
    words = [re.findall(r"[a-z'-]+", text.lower()) for text in texts]
    grams = [Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in words]
    return float(np.mean([(a & b).total() / a.total() for a, b in permutations(grams, 2)]))


def test_descriptions_of_one_row_share_little() -> None:
    alike = [captions.describe(row(), [], np.random.default_rng(seed)) for seed in range(50)]
    assert len(set(alike)) == 50
    assert shared(alike, 4) < 0.12
    assert shared([text for _, _, text in drawn()[:80]], 4) < 0.04


def test_what_hurts_most_comes_first_and_nothing_better_is_said_of_something_worse() -> None:
    for described, _, text in drawn()[:500]:
        rated, claims = shown(described), STOCK.read(text).claims
        assert rated[claims[0][0]] == min(rated[name] for name in DIMENSIONS), text
        read = sorted(claims, key=lambda claim: (rated[claim[0]], claim[1]))
        assert [category for _, category in read] == sorted(category for _, category in read), text


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rating", [1.2, 2.1, 2.9, 3.8, 4.8])
def test_the_first_sentence_names_the_cause_of_the_worst_dimension(name: str, rating: float) -> None:
    described = row(**{**dict.fromkeys(DIMENSIONS, 4.9), KINDS[name].dimension: rating})
    for seed in range(5):
        text = captions.describe(described, [name], np.random.default_rng(seed))
        assert [each.name for each in STOCK.read(text.split(". ")[0]).causes] == [name], text


def test_three_causes_are_named_and_no_more() -> None:
    described = row(noisiness=2.0, coloration=1.5, discontinuity=2.2)
    names = ["clipping", "hum", "voices", "packet loss"]
    for seed in range(40):
        text = captions.describe(described, names, np.random.default_rng(seed))
        assert {each.name for each in STOCK.read(text).causes} == set(names[:3]), text


def test_what_is_unclear_is_told_without_a_cause() -> None:
    described = row(noisiness=2.0)
    for seed in range(40):
        read = STOCK.read(captions.describe(described, ["unclear noise"], np.random.default_rng(seed)))
        assert (read.causes, dict(read.claims)["noisiness"]) == ((), 1)


@pytest.mark.parametrize("name", ["high level", "low level"])
def test_a_loud_clip_is_never_called_quiet_nor_a_quiet_one_loud(name: str) -> None:
    wrong = re.compile(
        r"\b(weak|quiet|low|faint|little)\b" if name == "high level" else r"\b(loud|high|hot|excessive)\b"
    )
    for rating, seed in product((1.2, 2.0, 3.0), range(15)):
        text = captions.describe(row(loudness=rating), [name], np.random.default_rng(seed))
        assert not re.search(wrong, text.split(".")[0]), text


@pytest.mark.parametrize(("mos", "word"), [(2.46, "fair"), (2.44, "poor"), (3.45, "fair")])
def test_words_follow_from_the_number_as_it_is_shown(mos: float, word: str) -> None:
    """2.46 stands in the line as 2.5, which is fair, though 2.46 itself would be poor."""
    text = captions.describe({**row(), "mos": mos}, [], np.random.default_rng(0))
    assert STOCK.read(text).mos[0][0] == word


def test_near_a_border_words_of_either_category_are_used() -> None:
    texts = [captions.describe(row(noisiness=2.5), [], np.random.default_rng(seed)) for seed in range(40)]
    assert {dict(STOCK.read(text).claims)["noisiness"] for text in texts} == {1, 2}


# --- the stock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "category"), list(product(DIMENSIONS, range(5))))
def test_every_category_has_enough_to_say(dimension: str, category: int) -> None:
    plain, caused = STOCK.plain(dimension, category), STOCK.caused(dimension, category)
    assert len(set(plain)) == len(plain) >= FEWEST
    assert len(set(caused)) == len(caused) >= (FEWEST if category < 4 else 3)
    assert any(elliptic(clause) for clause in plain) or category < 3


@pytest.mark.parametrize("name", KINDS)
def test_every_cause_has_three_names_of_its_own(name: str) -> None:
    texts = [noun.text for noun in STOCK.nouns(name)]
    others = {noun.text for other in KINDS if other != name for noun in STOCK.nouns(other)}
    assert len(set(texts)) == len(texts) >= 3
    assert not set(texts) & others
    if KINDS[name].dimension == "noisiness":
        assert not any(re.match(r"(a|an|the)\b", text) for text in texts), '"loud a keyboard"'


def clauses() -> dict[str, tuple[str, int, frozenset[str]]]:
    """Every clause with every cause, and with two of them, by its text: dimension, category, causes. Raises where one
    text has two meanings."""
    found: dict[str, tuple[str, int, frozenset[str]]] = {}

    def keep(text: str, *meaning: object) -> None:
        assert found.setdefault(text, meaning) == meaning, f"{text!r} means {found[text]} and {meaning}"

    for dimension, category in product(DIMENSIONS, range(5)):
        for clause in STOCK.plain(dimension, category):
            keep(clause, dimension, category, frozenset())
        names = [name for name, kind in KINDS.items() if kind.dimension == dimension]
        for clause, name in product(STOCK.caused(dimension, category), names):
            other = names[names.index(name) - 1]
            for noun in STOCK.nouns(name):
                keep(STOCK.filled(clause, [noun]), dimension, category, frozenset([name]))
                pair = [noun, STOCK.nouns(other)[0]]
                keep(STOCK.filled(clause, pair), dimension, category, frozenset([name, other]))
        for name in names:
            for clause in STOCK.says(name, category):
                keep(clause, dimension, category, frozenset([name]))
    return found


def test_every_clause_with_every_cause_has_one_meaning_and_is_read_as_that() -> None:
    """Ambiguity between phrases of different meaning is what the reader could not resolve."""
    for text, (dimension, category, names) in clauses().items():
        read = STOCK.read(text)
        assert (read.claims, read.outside) == (((dimension, category),), ()), text
        assert {each.name for each in read.causes} == names, text


def test_no_phrase_begins_or_ends_within_one_of_another_meaning() -> None:
    """Two clauses in a row, in any order, are read as those two: the longest phrase never takes words of the next."""
    rng, texts = np.random.default_rng(0), clauses()
    keys = list(texts)
    for _ in range(4_000):
        one, two = (keys[int(index)] for index in rng.integers(len(keys), size=2))
        for mark in (", ", " and ", ", but "):
            read = STOCK.read(f"{one}{mark}{two}")
            if texts[one][0] != texts[two][0]:  # a sentence never speaks twice of one dimension
                assert read.claims == (texts[one][:2], texts[two][:2]), (one, two)
                assert {each.name for each in read.causes} == texts[one][2] | texts[two][2]


def sentences() -> list[str]:
    """Every phrase of the stock with every filling of its slots, in what it may stand in."""
    fields = STOCK.fields
    topics = [argument.listed(names) for size in (2, 3, 4) for names in permutations(TOPICS.values(), size)]
    joint = (phrase.replace("{dimensions}", each) for each in topics for phrase in chain(*fields["joint"].values()))
    stated = (phrase.format(label=each, mos="3.4") for phrase in fields["mos"] for each in LABELS)
    openings = chain(*fields["openings"].values(), *fields["links"].values())
    compared = chain(*fields["better"].values(), *fields["worse"]["plain"].values())
    worse = (
        STOCK.filled(phrase, [noun])
        for name, kind in KINDS.items()
        for phrase, noun in product(fields["worse"]["cause"][kind.dimension], STOCK.nouns(name))
    )
    said = (f"Speech A {each}" for each in chain(compared, worse))
    return [*clauses(), *joint, *stated, *(f"{each} no noise" for each in openings), *said]


ADJECTIVES = "(?:loud|strong|faint|slight|noticeable|moderate|overwhelming|audible|clearly|extremely|only)"


def test_every_combination_of_slots_reads_well() -> None:
    """An article that doubles or does not fit, an adjective before an article, a doubled word, a slot left open."""
    wrong = re.compile(
        r"\b(\w+) \1\b|\ba [aeio]\w|\ban [^aeiou]|\b(a|an|the) (a|an|the)\b|[{}/]|\s[,.;:]|\s\s|[,:;]{2}"
        rf"|\b{ADJECTIVES} (a|an|the)\b(?! little)"
    )
    for text in sentences():
        assert not wrong.search(text.replace("only a ", "")), text


def test_a_cause_and_its_verb_agree_in_number() -> None:
    """ "Packet loss break up many words": a verb after {cause} has both forms, and a noun is kept under its number."""
    for dimension, category in product(DIMENSIONS, range(5)):
        for clause in STOCK.caused(dimension, category):
            assert clause.count("{cause}") == 1
            verb = re.match(rf"(?:{ADJECTIVES} )*\{{cause\}} (?:\w+ly |often )?(\S+)", clause)
            assert not verb or "/" in verb[1] or verb[1] == "can", clause
            assert not re.search(r"\bthere (is|are)(?!/)(?! a )", clause), clause
    for noun in chain(*map(STOCK.nouns, KINDS)):
        head = re.split(r" (?:of|on|in|from|that|because)\b", noun.text)[0]
        assert noun.many == (head.endswith("s") and not head.endswith("ss")), noun


def test_a_finished_text_has_capitals_and_full_stops_where_they_belong() -> None:
    for _, _, text in drawn()[:500]:
        assert re.fullmatch(r"[A-Z][^.]*\. (?:[A-Z][^.]*\. )?[A-Z][^.]* \d\.\d\.", text), text
        assert len(re.findall(r"\d[\d.]*\d", text)) == 1, text


DEGREES = (
    r"\b(almost no\w*|severe|severely|extreme|extremely|overwhelming|barely|unbearably|louder|ruin\w*|torn|unusable)\b",
    r"\b(heavily|strong|badly|frequent|often|hard|tiring|strain|much effort|again and again|very)\b",
    r"\b(clearly|noticeable|noticeably|moderate|moderately|several|only fair)\b",
    r"\b(slight|slightly|faint|faintly|rare|once or twice|trace|hint|touch|nearly)\b",
)
"""Words of degree that speak for one category, whatever the dimension."""


def test_no_clause_speaks_in_degrees_of_another_category() -> None:
    """Excellent words return where they are taken back: "nearly natural", "far from comfortable"."""
    for dimension, category in product(DIMENSIONS, range(5)):
        for clause in (*STOCK.plain(dimension, category), *STOCK.caused(dimension, category)):
            for other, words in enumerate(DEGREES):
                assert other == category or not re.search(words, clause), f"{dimension} {category}: {clause}"


# --- arguments --------------------------------------------------------------------------------------------------------


def test_swapped_clips_swap_the_argument() -> None:
    rng = np.random.default_rng(5)
    for seed in range(300):
        a, b = draw_row(rng), draw_row(rng)
        if seed % 2:
            b = {**b, "mos": a["mos"]}
        forward = captions.argue(a, b, np.random.default_rng(seed))
        backward = captions.argue(b, a, np.random.default_rng(seed))
        swapped = forward.replace("Speech A", "?").replace("Speech B", "Speech A").replace("?", "Speech B")
        assert backward == swapped
        assert not re.search(r"\d", forward)


def test_only_the_worse_clips_worst_cause_is_named() -> None:
    good, bad = row(cause("hum", 3.9), noisiness=3.8), row(cause("street noise", 1.9), noisiness=1.8)
    texts = [captions.argue(good, bad, np.random.default_rng(seed)) for seed in range(20)]
    assert {tuple(each.name for _, each in STOCK.read_argument(text).causes) for text in texts} == {
        (),
        ("street noise",),
    }


def test_at_most_three_dimensions_are_argued_and_only_obvious_gaps() -> None:
    a, b = row(), row(noisiness=4.2, coloration=4.1, discontinuity=2.0, loudness=4.1)
    read = STOCK.read_argument(captions.argue(a, b, np.random.default_rng(0)))
    assert read.ahead == (("discontinuity", "A"), ("coloration", "A"), ("loudness", "A"))
    far = row(**dict.fromkeys(DIMENSIONS, 1.5))
    assert len(STOCK.read_argument(captions.argue(a, far, np.random.default_rng(0))).ahead) == 3


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
    assert argument.balance(a, b, verdict(a["mos"], b["mos"]))[0] == key
    assert argument.balance(b, a, verdict(b["mos"], a["mos"]))[0] == key


# --- what is wrong with a text ----------------------------------------------------------------------------------------

TRUE = (
    "Hum makes listening hard work. Otherwise, the level is slightly off, and the tone and the flow are fine. "
    "Overall fair, MOS 3.1."
)
RATED = {**row(noisiness=2.0, loudness=4.0), "mos": 3.1}


def test_a_true_text_is_right() -> None:
    assert problems.of_description(TRUE, RATED, ["hum"]) == []


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("makes listening hard work", "is faint and easy to ignore", "words"),
        ("Hum makes", "Babble makes", "causes"),
        ("MOS 3.1", "MOS 3.6", "numbers"),
        ("fair", "bad", "numbers"),
        ("the level is slightly off, and ", "", "form"),
        ("the level is slightly off", "the level is slightly off, and the tone is natural", "form"),
        ("Otherwise,", "Honestly,", "outside"),
        ("Hum makes listening hard work. Otherwise, the", "Nothing to fix: the", "words"),
    ],
)
def test_a_lie_is_found(before: str, after: str, kind: str) -> None:
    assert before in TRUE
    found = problems.of_description(TRUE.replace(before, after), RATED, ["hum"])
    assert kind in {problem.kind for problem in found}


def test_an_argument_for_the_other_clip_is_wrong() -> None:
    good, bad = row(), row(noisiness=2.0)
    right = f"{conclusion('A', good['mos'], bad['mos'])} {captions.argue(good, bad, np.random.default_rng(0))}"
    assert problems.of_argument(right, good, bad, ([], [])) == []
    kinds = {problem.kind for problem in problems.of_argument(right, bad, good, ([], []))}
    assert kinds == {"verdict", "words"}
    assert fits(4, good["noisiness"])
