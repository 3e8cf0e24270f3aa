"""Does a caption agree with its row? Every text of the corpus passes here, whoever wrote it.

A description is cut up by `segments`, read by `reading` and compared by `agreement`; an A/B
text is cut up by `mentions` and compared by `preferences`. The words lie in `lexicon`,
`degree_words` and `comparative_words`. Nothing is guessed: what is not understood claims nothing, and
is let pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from training.corpora.annotation import Annotation
from training.language import agreement, preferences
from training.language.agreement import listener_problems, spelt
from training.language.reading import read
from training.language.scale import shown


class Problem(str):
    """One disagreement, as a sentence; `kind` is for counting."""

    kind: str

    def __new__(cls, kind: str, sentence: str) -> Problem:
        problem = super().__new__(cls, sentence)
        problem.kind = kind
        return problem


def collected(found: Mapping[str, Iterator[str]]) -> list[Problem]:
    """Problems by kind as one list, each sentence once."""
    listed = {sentence: Problem(kind, sentence) for kind, sentences in found.items() for sentence in sentences}
    return list(listed.values())


def problems(text: str, row: Annotation) -> list[Problem]:
    """What in a description disagrees with its row; empty where nothing does.

    `row` holds the five ratings by name and `causes`, as in the corpus. Raises KeyError where one is missing.
    """
    row, plain = shown(row), spelt(text)
    found = read(plain)
    return collected(
        {
            "words": agreement.word_problems(found, row, mos_stated=agreement.states_mos(plain, row)),
            "order": agreement.order_problems(found, row),
            "causes": agreement.cause_problems(found, row),
            "sweeping": agreement.sweeping_problems(plain, found, row),
            "numbers": agreement.number_problems(plain, row),
            "listener": listener_problems(plain),
        }
    )


def argument_problems(text: str, a: Annotation, b: Annotation) -> list[Problem]:
    """What in an A/B text disagrees with its rows; empty where nothing does.

    The text must state the preference, or the tie: reasons alone are checked after their conclusion
    (`prompt.conclusion`). Raises KeyError where a row lacks a rating or `causes`.
    """
    rows, plain = {"A": shown(a), "B": shown(b)}, spelt(text)
    heard = preferences.hear(plain)
    return collected(
        {
            "verdict": preferences.verdict_problems(plain, rows),
            "comparison": preferences.comparison_problems(heard, rows),
            "causes": preferences.clip_cause_problems(heard, rows),
            "numbers": preferences.number_problems(plain, rows),
            "listener": listener_problems(plain),
        }
    )
