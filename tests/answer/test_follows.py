"""What is drafted: counts of what was written, and of a stock's phrases."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqe_fast.answer.follows import BEGIN, Follows, load_texts, pieces, save_texts
from sqe_fast.errors import UnusableError
from tests.support.stocks import PHRASES


def test_the_longest_context_that_was_seen_decides() -> None:
    """A guess from the last word alone, where the words before it tell more."""
    follows = Follows([((1, 2, 3, 4), 1), ((9, 2, 3, 5), 3)])
    assert follows.next((1, 2, 3)) == (4, 1.0)
    assert follows.next((9, 2, 3)) == (5, 1.0)
    assert follows.next((7, 2, 3)) == (5, 0.75)
    assert follows.next((7, 7, 3)) == (5, 0.75)
    assert follows.next((4,)) is None
    assert follows.next((1, 2, 3, 8)) is None


def test_the_beginning_of_a_text_is_a_context() -> None:
    follows = Follows([((BEGIN, 1, 2), 1), ((BEGIN, 1, 2), 1), ((5, 1, 3), 9)])
    assert follows.next(()) == (1, 1.0)
    assert follows.next((1,)) == (2, 1.0)
    assert follows.next((5, 1)) == (3, 1.0)


def test_equally_likely_tokens_have_one_order() -> None:
    """Drafts, and with them passes, that differ from run to run."""
    for sequences in ([((1, 4), 1), ((1, 2), 1)], [((1, 2), 1), ((1, 4), 1)]):
        assert Follows(sequences).next((1,)) == (2, 0.5)


def test_all_numbers_are_one() -> None:
    """A phrase that is known with one rating and new with the next."""
    follows = Follows([((7, 50, 8), 1), ((7, 51, 9), 1)], number_ids=(50, 51, 52))
    assert follows.next((7,)) == (50, 1.0)
    assert follows.next((7, 52)) == (8, 0.5)


def test_pieces_are_phrases_between_slots() -> None:
    found = set(pieces(PHRASES))
    assert {" the noisiness is bad", " The noisiness is bad", " overall ", ", MOS ", " little to fix:"} <= found
    assert not [piece for piece in found if "{" in piece]
    assert {" covers it", " cover it"} <= set(pieces({"x": {"y": ["covers/cover it"]}}))


def test_texts_come_back(tmp_path: Path) -> None:
    path = tmp_path / "drafts.json"
    save_texts(path, ["The hum is ‘faint’.", ""])
    assert load_texts(path) == ("The hum is ‘faint’.", "")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"texts": 3}', '{"texts": [3]}'])
def test_what_is_no_file_of_texts_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "drafts.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UnusableError, match=r"drafts\.json: no texts"):
        load_texts(path)
