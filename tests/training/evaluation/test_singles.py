"""One degradation each: made by the simulation, of audible severity, and counted by family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqe_fast.results import Cause, Evaluation, Ratings
from tests.support.small_library import write_library
from training.evaluation import singles
from training.evaluation.report import markdown
from training.simulation.library import Library, open_library
from training.simulation.simulate import FAMILIES

CHOSEN = ("steady", "loss", "level")
RATED = Ratings(3.0, 3.0, 3.0, 3.0, 3.0, 0.1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def lib(root: Path) -> Library:
    return open_library(root, "test")


class Names:
    """Stands for an evaluator: names the same of every clip."""

    def __init__(self, *names: str) -> None:
        self.causes = tuple(Cause(name, "noisiness", 0.95) for name in names)

    def evaluate(self, sources, describe):  # type: ignore[no-untyped-def]
        assert not describe
        return [Evaluation("clip", RATED, self.causes) for _ in sources]


@pytest.mark.parametrize("family", CHOSEN)
def test_a_clip_suffers_from_its_family_and_nothing_else(family: str, lib: Library) -> None:
    """Another family's noise behind it, a severity that nobody hears, one clip made twenty times."""
    made = [singles.make(family, number, lib) for number in range(3)]
    for samples, row in made:
        assert {cause["family"] for cause in row["causes"]} == {family}
        assert all(1 <= cause["rating"] < 4.7 for cause in row["causes"])
        assert np.abs(samples).max() <= 1
    assert len({samples.size for samples, _ in made}) > 1
    again, _ = singles.make(family, 1, lib)
    assert np.array_equal(again, made[1][0])


def test_families_are_counted_apart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(singles, "DEGRADING", tuple(FAMILIES[name] for name in CHOSEN))
    found = singles.singles(Names("packet loss", "unclear noise"), root, 4)  # type: ignore[arg-type]
    assert list(found) == list(CHOSEN)
    counted = {name: (of["right"]["right"], of["wrong"]["right"], of["right"]["of"]) for name, of in found.items()}
    assert counted == {"steady": (0, 4, 4), "loss": (4, 0, 4), "level": (0, 4, 4)}
    text = markdown({"model": "m", "sets": {}, "singles": found})
    assert "| loss | 4 of 4: 100.0%" in text
    assert "| all | 4 of 12: 33.3%" in text
    assert "| 8 of 12: 66.7%" in text


def test_a_family_that_does_nothing_is_named(lib: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(singles, "apply", lambda clean, recipe, materials, seed: (clean, []))
    with pytest.raises(ValueError, match="loss: nothing that can be heard"):
        singles.make("loss", 0, lib)
