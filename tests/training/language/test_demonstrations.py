"""The demonstrations obey the rules that their readers rely on, and a broken one is named by file and line."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from sqe_fast.results import DIMENSIONS
from training.language import composition, demonstrations
from training.language.causes import KINDS, audible
from training.language.composition import mentioned_causes
from training.language.scale import LABELS, label

SITUATIONS = ("pristine", "mild", "single", "split", "several", "all", "ruin", "below")


def test_there_are_a_few_hundred_and_each_text_is_its_own() -> None:
    described, argued = demonstrations.plain(), demonstrations.arguments()
    assert len(described) + len(argued) >= 240
    texts = [example.text for example in (*described, *argued)]
    assert len(set(texts)) == len(texts)
    assert min(Counter(example.voice for example in described).values()) >= 60


def test_every_region_of_the_rating_space_is_shown() -> None:
    rows = [example.row for example in demonstrations.plain()]
    for dimension, category in product(DIMENSIONS, range(5)):
        worst = [row for row in rows if composition.ranked(row)[0] == dimension and label(row[dimension]) == category]
        assert worst, f"no clip is {LABELS[category]} in {dimension} above all"
    assert {label(row["mos"]) for row in rows} == set(range(5))
    assert any(len(audible(row, dimension)) > 1 for row in rows for dimension in DIMENSIONS)


@pytest.mark.parametrize("voice", demonstrations.VOICES)
def test_each_voice_has_something_to_say_in_every_situation(voice: str) -> None:
    phrases = demonstrations.stock().phrases
    for situation in SITUATIONS:
        assert len(phrases[f"combine {voice} {situation}"]) >= 2, situation
    for opening in ("pristine", "mild", "fault", "lone"):
        assert len(phrases[f"open {voice} {opening}"]) >= 3, opening
    assert len(phrases[f"hedge {voice}"]) >= 3
    assert len(phrases[f"mos {voice}"]) >= 5


def test_a_finished_text_is_plain_prose_with_the_mos_as_its_only_number() -> None:
    for example in demonstrations.plain():
        assert not re.search(r"[\[\]{}|]|  ", example.text)
        assert re.findall(r"\d[\d.]*\d", example.text) == [f"{example.row['mos']:.1f}"]
        assert LABELS[label(example.row["mos"])] in example.text
    for argument in demonstrations.arguments():
        assert not re.search(r"[\[\]{}|\d]|  ", argument.text)


def test_a_text_names_only_causes_that_were_recorded_and_can_be_heard() -> None:
    named = 0
    for example in demonstrations.plain():
        recorded = {cause["name"] for dimension in DIMENSIONS for cause in audible(example.row, dimension)}
        assert set(mentioned_causes(example.text)) <= recorded, example.text
        named += len(mentioned_causes(example.text))
    assert named > 150


@pytest.mark.parametrize("kind", KINDS)
def test_a_phrase_of_a_cause_claims_that_cause_and_no_other(kind: str) -> None:
    for phrase in KINDS[kind].phrases:
        assert mentioned_causes(phrase) == [kind], phrase


def test_a_clause_claims_the_cause_that_fills_it_and_no_other() -> None:
    """The words around a cause may not complete another one's pattern."""
    stock = demonstrations.stock()
    for name, kind in KINDS.items():
        for category in range(4):
            for clause in stock.clauses(kind.dimension, category, cause=True):
                assert clause.count("{cause}") == 1
                for phrase in kind.phrases:
                    assert mentioned_causes(clause.replace("{cause}", phrase)) == [name], clause


def test_clauses_without_a_cause_and_all_other_phrases_claim_none() -> None:
    for key, phrases in demonstrations.stock().phrases.items():
        for phrase in phrases:
            assert mentioned_causes(re.sub(r"\{\w+\}", "", phrase)) == [], (key, phrase)


DEGREES = (
    r"\b(almost|severe|severely|extreme|extremely|overwhelming|overwhelmed|hardly|barely|unbearable|louder)\b",
    r"\b(heavy|heavily|strong|strongly|badly|frequent|frequently|hard|tiring|strain|much effort|again and again)\b",
    r"\b(clear|clearly|noticeable|noticeably|moderate|moderately|several)\b",
    r"\b(slight|slightly|faint|faintly|a little|rare|rarely|trace|hint|touch|nearly)\b",
    r"\b(no|nothing|natural|ideal|comfortable|completely|clean|continuous|silent|unbroken)\b",
)
"""Words of degree that speak for one category, whatever the dimension."""
OVERLAPS = {(0, 4), (1, 4), (2, 4), (3, 4)}
"""Excellent words return where they are taken back: "almost completely drowned", "nearly natural"."""


def test_no_clause_speaks_in_degrees_of_another_category() -> None:
    stock = demonstrations.stock()
    for dimension, category, cause in product(DIMENSIONS, range(5), (False, True)):
        for clause in stock.clauses(dimension, category, cause=cause):
            for other, words in enumerate(DEGREES):
                if other != category and (category, other) not in OVERLAPS:
                    assert not re.search(words, clause), f"{dimension} {category}: {clause}"


FAULTS = {
    "a word that does not fit the rating": ("[noi 0 |", "[noi 3 |", "not of category 3"),
    "a cause that was not recorded": ("{broadband noise}", "{mains hum}", "names ['hum']"),
    "a cause outside of braces": ("without fault]", "without fault or echo]", "outside of braces"),
    "words without a mark": ("[rest | Otherwise,]", "But otherwise", "unmarked words"),
    "a slot that is not known": ("{worst}.]", "{blame}.]", "unknown slots ['blame']"),
    "a cause that is not known": ("; steady noise 1.2", "; fog 1.2", "causes.KINDS"),
    "a rating that is missing": (" loud 4.6 mos", " mos", "five ratings"),
    "a rating off the scale": ("dis 4.8", "dis 5.8", "five ratings"),
    "a dimension untold": ("4 col dis loud |", "4 col dis |", "described once"),
    "another situation": ("[combine split |", "[combine mild |", "[combine split]"),
    "the wrong connection": ("[rest | Otherwise,]", "[add | Otherwise,]", "ask for [rest]"),
    "a mark that is not known": ("[hedge |", "[maybe |", "unknown marks ['maybe']"),
    "a category that is missing": ("[noi 0 |", "[noi |", "unknown marks ['noisiness']"),
    "a connection to nothing": ("[combine split |", "[rest | Then,] [combine split |", "between two clauses"),
    "a second number": ("is so much better", "is 2.0 better", "only number"),
    "an article before the label": ("this is {label}", "this is a {label}", "every cause or label"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_names_file_and_line(fault: str, tmp_path: Path) -> None:
    before, after, message = FAULTS[fault]
    shutil.copytree(demonstrations.FOLDER, tmp_path / "d")
    path = tmp_path / "d" / "engineer.txt"
    text = path.read_text(encoding="utf-8")
    first = text.index("noi 1.2")
    assert before in text[first : text.index("\n\n", first)]
    path.write_text(text[:first] + text[first:].replace(before, after, 1), encoding="utf-8")
    with pytest.raises(demonstrations.DemonstrationError) as raised:
        demonstrations.plain(tmp_path / "d")
    line = text[:first].count("\n") + 1
    assert str(raised.value).startswith(f"engineer.txt:{line}: ")
    assert message in str(raised.value)


def test_the_worst_dimension_has_to_come_first(tmp_path: Path) -> None:
    shutil.copytree(demonstrations.FOLDER, tmp_path / "d")
    with (tmp_path / "d" / "support.txt").open("a", encoding="utf-8") as file:
        file.write(
            "\nnoi 4.4 col 4.6 dis 4.6 loud 4.6 mos 4.5\n[open pristine | Fine:] [col 4 | the timbre is natural]. "
            "[joint 4 noi dis loud | {dimensions} are without fault]. [combine pristine | All is well.] "
            "[mos | It is {label}, a MOS of {mos}.]\n"
        )
    with pytest.raises(demonstrations.DemonstrationError, match="worst dimension has to come first"):
        demonstrations.plain(tmp_path / "d")


def test_a_clause_may_not_stand_for_two_categories(tmp_path: Path) -> None:
    shutil.copytree(demonstrations.FOLDER, tmp_path / "d")
    path = tmp_path / "d" / "listener.txt"
    text = path.read_text(encoding="utf-8").replace(
        "[loud 4 | the level is comfortable]", "[loud 4 | the level is off]"
    )
    path.write_text(text.replace("[loud 1 | the level makes listening hard]", "[loud 1 | the level is off]"), "utf-8")
    with pytest.raises(
        demonstrations.DemonstrationError, match=r"listener\.txt:\d+: 'the level is off' means loudness"
    ):
        demonstrations.stock(tmp_path / "d")


def test_a_category_with_too_few_clauses_is_named(tmp_path: Path) -> None:
    shutil.copytree(demonstrations.FOLDER, tmp_path / "d")
    for voice in ("listener", "support"):
        (tmp_path / "d" / f"{voice}.txt").write_text("", "utf-8")
    with pytest.raises(demonstrations.DemonstrationError, match="noisiness 0: 2 clauses without a cause, not 8"):
        demonstrations.stock(tmp_path / "d")


def test_an_argument_has_to_follow_from_its_ratings(tmp_path: Path) -> None:
    shutil.copytree(demonstrations.FOLDER, tmp_path / "d")
    path = tmp_path / "d" / "arguments.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("[noi A |", "[noi B |", 1), "utf-8")
    with pytest.raises(demonstrations.DemonstrationError, match=r"arguments\.txt:\d+: .*does not follow"):
        demonstrations.arguments(tmp_path / "d")
