"""The report: every table is there, untouched talkers only when asked for, and a corpus only where there is one."""

from pathlib import Path

import pytest

from tests.training.rating.test_people import TRUTH, panel_points
from tests.training.rating.test_together import made
from training.configs import Listener
from training.rating import listener, panels, people, report, together
from training.rating.panels import Point


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Which talkers' points were read."""
    read: list[object] = []

    def points(data: Path, talkers: object = panels.TALKERS) -> list[Point]:
        read.append(talkers)
        return panel_points()

    monkeypatch.setattr(panels, "read", points)
    monkeypatch.setattr(panels, "ask", lambda data, talkers: None)
    monkeypatch.setattr(people, "fit", lambda points: TRUTH)
    monkeypatch.setattr(together, "nisqa_ratings", lambda data: made(listener.HALO))
    return read


def test_every_table_is_there(asked: list[object], tmp_path: Path) -> None:
    said = report.run(Listener(data=tmp_path, run=tmp_path / "none"))
    assert panels.UNTOUCHED not in asked
    for line in (
        "family left out: correlation",
        "family left out: white noise (7), RMSE",
        "halo of loudness",
        "noisiness 1.0–1.7",
    ):
        assert f"| {line}" in said
    assert "nan" not in said
    assert "clips" not in said
    tables = [line for line in said.splitlines() if line.startswith("| --- |")]
    assert len(tables) == 6


def test_what_a_fit_that_is_right_leaves_is_nothing(asked: list[object], tmp_path: Path) -> None:
    """Predictions held against other points than their own."""
    said = report.run(Listener(data=tmp_path, run=tmp_path / "none")).splitlines()
    inside = said.index(next(line for line in said if line.startswith("| fitted to all")))
    assert said[inside] == "| fitted to all: correlation | 1.00 | 1.00 | 1.00 |"
    assert said[inside + 1] == "| … RMSE after a straight line | 0.00 | 0.00 | 0.00 |"


def test_untouched_talkers_are_heard_only_when_asked_for(asked: list[object], tmp_path: Path) -> None:
    said = report.run(Listener(data=tmp_path, run=tmp_path / "none", final=True))
    assert panels.UNTOUCHED in asked
    assert "untouched" in said
