"""Scatter plots: a PNG with a panel a rating, the same for the same figures."""

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from training.evaluation.plots import Panel, file_name, panel_title, scatter
from training.evaluation.scores import Figure

TRUE = np.linspace(1, 5, 30)
FIGURE = Figure(0.91234, 0.85, 0.9449)


def test_a_panel_a_rating_and_dots_where_they_belong(tmp_path: Path) -> None:
    low, high = Panel(TRUE * 0 + 1.2, TRUE, FIGURE), Panel(TRUE * 0 + 4.8, TRUE, FIGURE)
    scatter("a set", {"mos": low}, tmp_path / "sub" / "one.png")
    scatter("a set", {"mos": low, "noisiness": high}, tmp_path / "two.png")
    one, two = image.imread(tmp_path / "sub" / "one.png"), image.imread(tmp_path / "two.png")
    assert one.shape[0] == two.shape[0]
    assert two.shape[1] == pytest.approx(2 * one.shape[1], abs=2)
    blue = two[..., 2] - two[..., 0] > 0.15  # the dots; lines and text are grey
    rows = [np.flatnonzero(half.any(axis=1)).mean() for half in np.split(blue[:, : two.shape[1] // 2 * 2], 2, axis=1)]
    assert rows[0] > rows[1] + 50  # a low prediction lies low: further down the image


def test_the_same_figures_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        scatter("a set", {"mos": Panel(TRUE, TRUE[::-1], FIGURE)}, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_title_holds_count_correlation_and_interval() -> None:
    assert panel_title("mos", Panel(TRUE, TRUE, FIGURE)) == "mos, n = 30\nLCC 0.912 (0.850–0.945)"
    undefined = Panel(TRUE, TRUE, Figure(math.nan, math.nan, math.nan))
    assert panel_title("mos", undefined).endswith("LCC undefined")


def test_file_names_are_plain() -> None:
    assert file_name("P.835, calibration talkers") == "p835-calibration-talkers"
