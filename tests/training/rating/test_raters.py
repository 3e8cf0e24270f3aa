import numpy as np
import pytest

from sqe_fast.results import DIMENSIONS
from tests.support.speech import talk
from training.rating import raters
from training.rating.raters import Defects, Label, Opinion, rate, rate_degradation
from training.simulation.simulate import STAGES, apply
from training.simulation.stage import Degradation, Materials

CLEAN = Defects(gap_db=70, bandwidth_hz=8000)
UNMOVED = Opinion(visqol=4.6, before=4.3, after=4.3)
"""Judges who heard no difference."""


def rated(
    *degradations: Degradation, defects: Defects = CLEAN, distill_mos: float = 4.3, opinion: Opinion = UNMOVED
) -> dict[str, float]:
    opinions = tuple(opinion for degradation in degradations if raters.judged(degradation))
    return rate(defects, degradations, Label(distill_mos, opinions))[0]


def cause_of(stage: str, params: dict[str, object]) -> Degradation:
    return apply(talk(), ({"stage": stage, **params},), Materials({}, {}), seed=3)[1][0]


MILD_TO_SEVERE: dict[str, tuple[str, list[dict[str, object]]]] = {
    "noise": ("noisiness", [{"kind": "white", "snr_db": s} for s in (40, 25, 10, 0)]),
    "mnru": ("coloration", [{"q_db": q} for q in (35, 24, 16, 6)]),
    "clip": ("coloration", [{"headroom_db": h} for h in (10, 4, -2, -8)]),
    "band": ("coloration", [{"low_hz": 0, "high_hz": f} for f in (7000, 4000, 2500, 1200)]),
    "reverb": ("coloration", [{"kind": "simulated", "rt60_s": t, "distance_m": 5 * t} for t in (0.15, 0.3, 0.6, 1.4)]),
    "suppress": (
        "coloration",
        [{"over": o, "depth_db": 30, "floor_db": f} for o, f in ((2, -60), (8, -25), (12, -12))],
    ),
    "loss": ("discontinuity", [{"kind": "silence", "rate": r, "burst": 2.0} for r in (0.02, 0.08, 0.2, 0.4)]),
    "stutter": ("discontinuity", [{"piece_s": 0.08, "per_second": p} for p in (0.5, 1.5, 3, 6)]),
    "level": ("loudness", [{"level_dbov": v} for v in (-22, -35, -47, -60)]),
    "pumping": ("loudness", [{"depth_db": d} for d in (2, 6, 10, 16)]),
}


@pytest.mark.parametrize("stage", sorted(MILD_TO_SEVERE))
def test_a_stronger_degradation_rates_lower_in_its_own_dimension(stage: str) -> None:
    dimension, steps = MILD_TO_SEVERE[stage]
    ratings = [rated(cause_of(stage, params)) for params in steps]
    assert [r[dimension] for r in ratings] == sorted((r[dimension] for r in ratings), reverse=True)
    assert ratings[0][dimension] - ratings[-1][dimension] > 0.5
    assert ratings[0]["mos"] > ratings[-1]["mos"]
    untouched = set(DIMENSIONS) - {dimension, "coloration", *(["noisiness"] if stage == "mnru" else [])}
    assert all(ratings[0][name] == ratings[-1][name] for name in untouched)


def test_every_stage_is_rated() -> None:
    assert set(MILD_TO_SEVERE) | {"codec"} == set(STAGES)


def test_the_judges_can_lower_a_rating_and_are_not_asked_about_noise() -> None:
    coded = Degradation("codec", "opus", "coding", measure=1.5)
    heard = Opinion(visqol=1.5, before=4.3, after=2.2)
    assert rate_degradation(coded, heard) < rate_degradation(coded, UNMOVED) - 1
    assert not raters.judged(Degradation("noise", "white", "steady noise", 10.0))
    assert not raters.judged(Degradation("level", "gain", "low level", -40.0))


def test_a_drop_counts_less_where_little_was_left_to_lose() -> None:
    lost = Degradation("loss", "silence", "packet loss", measure=0.05)
    alone = rate_degradation(lost, None)
    ruined = rate_degradation(lost, Opinion(None, before=1.4, after=1.4))
    clean = rate_degradation(lost, Opinion(None, before=4.4, after=4.4))
    assert abs(ruined - alone) < abs(clean - alone)


def test_a_defect_of_the_source_is_rated_too() -> None:
    assert rated(defects=Defects(25, 8000))["noisiness"] < rated()["noisiness"] - 1
    assert rated(defects=Defects(70, 3400))["coloration"] < 4


def test_two_causes_of_one_dimension_cost_more_than_the_worse_of_them() -> None:
    first, second = Degradation("clip", "hard", "clipping", 12.0), Degradation("mnru", "modulated", "grain", 16.0)
    both = rated(first, second)["coloration"]
    assert both < min(rated(first)["coloration"], rated(second)["coloration"])


def test_the_mos_follows_the_prediction_and_the_level_the_prediction_is_deaf_to() -> None:
    assert rated(distill_mos=2.5)["mos"] < rated(distill_mos=4.3)["mos"] - 0.5
    quiet = Degradation("level", "gain", "low level", -55.0)
    assert rated(quiet)["mos"] < rated()["mos"] - 1.0


def test_suppressed_noise_is_noise_that_is_gone() -> None:
    noise = Degradation("noise", "white", "steady noise", 15.0)
    cleaned = Degradation("suppress", "subtraction", "noise suppression", 0.2, reduction_db=12.0)
    assert rated(noise, cleaned)["noisiness"] > rated(noise)["noisiness"] + 0.5


def test_the_worst_dimension_counts_twice() -> None:
    even = dict.fromkeys(("noisiness", "coloration", "discontinuity", "loudness"), 3.5)
    uneven = {**even, "noisiness": 1.5, "coloration": 5.0, "discontinuity": 4.0, "loudness": 3.5}
    assert raters.overall(uneven) < raters.overall(even) - 0.3


def test_what_acts_on_two_dimensions_costs_in_both() -> None:
    """Noise colors, grain is heard as noise too, and a band may lack its bass."""
    assert rated(Degradation("noise", "white", "steady noise", 5.0))["coloration"] < rated()["coloration"] - 0.3
    assert rated(Degradation("mnru", "modulated", "grain", 8.0))["noisiness"] < rated()["noisiness"] - 0.2
    bass = Degradation("band", "missing bass", "missing bass", 8000, low=1000)
    both = Degradation("band", "telephone band", "telephone band", 3400, low=1000, high=3400)
    assert rate_degradation(both, None) + 0.3 < rate_degradation(bass, None) < 2.5


def test_noises_add_up_by_their_powers() -> None:
    """Two equal noises are one that is 3 dB stronger, not one of them, nor one of twice the decibels."""
    once, twice, stronger = (
        rated(*[Degradation("noise", "white", "steady noise", snr)] * times)["noisiness"]
        for snr, times in ((20.0, 1), (20.0, 2), (16.99, 1))
    )
    assert twice == pytest.approx(stronger, abs=0.02)
    assert twice < once - 0.1


def test_what_is_concealed_costs_less_than_silence() -> None:
    lost = {kind: Degradation("loss", kind, "packet loss", 0.1) for kind in ("silence", "repeat", "pitch")}
    silent, repeated, guessed = (rate_degradation(degradation, None) for degradation in lost.values())
    assert silent + 0.2 < repeated < guessed


def test_curves_are_monotone_over_their_own_direction() -> None:
    for knots in (raters.NOISE, raters.DISTORTION, raters.LOW_PASS, raters.CLARITY, raters.VISQOL, raters.DISTILL):
        assert np.all(np.diff([rating for _, rating in knots]) >= 0)
    for knots in (raters.SPECTRAL, raters.HIGH_PASS, raters.LOST_SHARE, raters.PUMPING):
        assert np.all(np.diff([rating for _, rating in knots]) <= 0)
