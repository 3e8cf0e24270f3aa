"""The fit to panels: it finds what made the ratings, each panel by its line, and knows nothing of what is left out."""

import numpy as np
import pytest

from training.rating import curves, listener, people
from training.rating.panels import HOLUB, P835, Point
from training.rating.people import Attention, People, fit, left_out, on_line, predict

TRUTH = People(curves.NOISE, curves.MODULATED, 0.6, (1.0, 1.0), listener.TRUST, Attention(0.8, 4.0, 0.3, 0.9))
LINES = {HOLUB: (1.1, -0.4), P835: (0.8, 0.6)}
"""Slope and offset of each panel's scale."""


def point(panel: str, family: str, gap_db: float, **known: float | None) -> Point:
    said = {"distill_mos": 1.5 + gap_db / 25, "sig": 3.3}
    blank = Point(panel, "", family, "", gap_db, known.get("sent_db"), known.get("q_db"), said, np.zeros(3))
    slope, offset = LINES[panel]
    return Point(panel, "", family, "", gap_db, blank.sent_db, blank.q_db, said, slope * predict(blank, TRUTH) + offset)


def panel_points() -> list[Point]:
    return [
        *(point(P835, "white noise", gap) for gap in (2, 8, 15, 25, 33, 42, 60)),
        *(point(P835, "modulated noise", 60.0, q_db=q) for q in (4, 12, 20, 28, 36, 44)),
        *(point(HOLUB, "coded", gap, sent_db=sent) for gap, sent in ((50, 8), (55, 15), (57, 22), (40, 3), (45, 12))),
        *(point(HOLUB, "noise references", gap) for gap in (3, 10, 24, 36, 60)),
    ]


def test_what_made_the_ratings_is_found_again() -> None:
    """A panel whose scale is another must not bend the curve, and noise that was suppressed is somewhere between."""
    found = fit(panel_points())
    for snr_db in (4, 10, 20, 30, 40):
        assert curves.curve(found.noise, snr_db) == pytest.approx(curves.curve(TRUTH.noise, snr_db), abs=0.35)
    assert found.suppressed == pytest.approx(TRUTH.suppressed, abs=0.1)
    for predicted, given in people.pairs(panel_points(), found):
        assert np.sqrt(np.mean((on_line(predicted, given) - given) ** 2)) < 0.15


def test_a_family_that_is_left_out_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []

    def spy(points: list[Point]) -> People:
        seen.append({one.family for one in points})
        return TRUTH

    monkeypatch.setattr(people, "fit", spy)
    points = panel_points()
    predicted = left_out(points, lambda one: one.family)
    everything = {one.family for one in points}
    assert [everything - families for families in seen] == [{name} for name in dict.fromkeys(p.family for p in points)]
    modulated = [index for index, one in enumerate(points) if one.family == "modulated noise"]
    assert np.ptp(predicted[modulated, 0]) == 0, "by the witnesses alone, who said the same of all of them"
    assert np.ptp(predicted[0:7, 1]) > 2


def test_a_straight_line_takes_away_offset_and_slope() -> None:
    read = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(on_line(read, 0.5 * read + 2), 0.5 * read + 2)
    assert np.abs(on_line(read, np.array([1.0, 3.0, 1.0, 3.0])) - [1.0, 3.0, 1.0, 3.0]).max() > 0.5


def test_in_loud_noise_sig_falls_and_bak_falls_with_the_voice() -> None:
    """As in holub's r06 and r01."""
    quiet, loud = (predict(point(HOLUB, "", gap), TRUTH) for gap in (60, 2))
    assert loud[0] < quiet[0] - 0.5
    clear, ruined = (predict(point(P835, "", 60.0, q_db=q), TRUTH) for q in (50, 2))
    assert ruined[1] < clear[1] - 0.5
