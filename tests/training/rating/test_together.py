"""How ratings hang together: what made them is found again."""

import csv
from pathlib import Path

import numpy as np

from sqe_fast.results import DIMENSIONS, RATINGS
from training.rating import listener, report, together
from training.rating.curves import rating
from training.rating.together import NISQA_RATINGS, fit_halo, fit_weights, nisqa_ratings


def made(halo: np.ndarray, count: int = 60) -> np.ndarray:
    """[n, 5]: files with one bad dimension each, under this halo and the listener's weights."""
    rows = []
    for index in range(4):
        for own in np.linspace(0.02, 0.35, count):
            left = np.ones(4)
            left[index] = own
            left *= np.prod(1 - halo * (1 - left[:, None]) ** listener.HALO_POWER, axis=0)
            dimensions = dict(zip(DIMENSIONS, rating(left), strict=True))
            mos = np.array(list(dimensions.values())) @ listener.WEIGHTS + listener.OFFSET
            dimensions["mos"] = mos + listener.WORST * min(dimensions.values())
            rows.append([dimensions[name] for name in RATINGS])
    return np.array(rows)


def test_halo_and_weights_are_found_again() -> None:
    """A matrix that is read the wrong way round: who takes, who loses."""
    halo = np.array([[0, 0.1, 0.2, 0.3], [0.4, 0, 0.5, 0.1], [0.2, 0.6, 0, 0.3], [0.3, 0.4, 0.1, 0]])
    ratings = made(halo)
    np.testing.assert_allclose(fit_halo(ratings), halo, atol=1e-6)
    weights = fit_weights(ratings)
    np.testing.assert_allclose(weights.dimensions, listener.WEIGHTS, atol=1e-6)
    np.testing.assert_allclose([weights.worst, weights.offset], [listener.WORST, listener.OFFSET], atol=1e-6)


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / NISQA_RATINGS
    path.parent.mkdir()
    with path.open("w", newline="") as lines:
        csv.writer(lines).writerows([["mos", "loud", "dis", "col", "noi"], [1, 2, 3, 4, 5]])
    by_name = dict(zip(RATINGS, nisqa_ratings(tmp_path)[0], strict=True))
    assert by_name == {"mos": 1, "loudness": 2, "discontinuity": 3, "coloration": 4, "noisiness": 5}


def test_the_report_says_what_is_worst_by_far() -> None:
    rows = list(report._conditional({"people, all": made(np.zeros((4, 4)))}))
    assert len([row for row in rows if "people" in row]) == 8
    assert not together.worst_by_far(np.array([[2.0, 2.5, 4.0, 4.0]]), 0).any()
    assert together.worst_by_far(np.array([[2.0, 2.7, 4.0, 4.0]]), 0).all()
