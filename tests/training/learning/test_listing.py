"""What stands in a list of causes, and what is to be read before each of its entries."""

import numpy as np
import pytest

from sqe_fast.answer.causes import END
from tests.support.training_rows import cause, rows
from training.learning.listing import as_served, entries, wanted
from training.learning.tokenizer import STOCK

ROW = {**rows(1)[0], "causes": [cause("typing", 2.0), cause("reverberation", 3.0), cause("clipping", 4.5)]}


def test_entries_are_what_can_be_heard_the_worst_first() -> None:
    assert entries(ROW) == ["typing", "reverberation"]


def test_of_a_clip_that_people_rated_only_what_is_lowered_is_known() -> None:
    """It has causes, and nobody recorded them: an empty list would teach that it has none."""
    row = {
        "rated_by": "human",
        "causes": [],
        "noisiness": 4.5,
        "coloration": 3.0,
        "discontinuity": 2.0,
        "loudness": 4.6,
    }
    assert entries(row) == ["unclear flow", "unclear colour"]
    assert wanted(row, ["unclear flow"], STOCK.causes) == {"unclear colour": 1.0}


def test_of_two_causes_the_worse_comes_first_and_of_equals_either() -> None:
    """A model that must rank what nobody can rank is sure of nothing."""
    apart = wanted(ROW, [], STOCK.causes)
    assert apart["typing"] == pytest.approx(1 / (1 + np.exp(-1 / 0.3)))
    level = wanted({**ROW, "causes": [cause("typing", 2.0), cause("clipping", 2.0)]}, [], STOCK.causes)
    assert level == pytest.approx({"typing": 0.5, "clipping": 0.5})


@pytest.mark.parametrize("told", ["typing", "sudden sounds", "unclear noise"])
def test_what_a_coarser_name_stands_for_is_not_asked_for_again(told: str) -> None:
    """After "unclear noise" the truth is the next dimension's, as it is after the cause itself."""
    assert wanted(ROW, [told], STOCK.causes) == {"reverberation": 1.0}
    assert wanted(ROW, [told, "reverberation"], STOCK.causes) == {END: 1.0}


def test_some_lists_know_less() -> None:
    """A model that only saw what is certain would write prose about causes that its list does not hold."""
    lists = [as_served(ROW, np.random.default_rng(seed)) for seed in range(200)]
    seen = [name for names in lists for name in names]
    counts = {name: seen.count(name) for name in set(seen)}
    assert set(counts) == {"typing", "sudden sounds", "unclear noise", "reverberation", "unclear colour"}
    assert counts["typing"] > counts["sudden sounds"] > 10 < counts["unclear noise"]
    assert 5 < lists.count([]) < 25  # a quarter of a quarter
    assert {tuple(sorted(map(STOCK.causes.dimension.get, names))) for names in lists if len(names) == 1} == {
        ("noisiness",),
        ("coloration",),
    }
