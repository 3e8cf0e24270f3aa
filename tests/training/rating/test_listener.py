"""The listener: every cause lowers its own dimension, the more of it the more; the others by halo, as people's do."""

from typing import Any

import numpy as np
import pytest

from sqe_fast.results import DIMENSIONS
from training.language.causes import KINDS
from training.rating import listener
from training.rating.curves import BEST, CURVES, HARM, HARM_OFFSET
from training.rating.listener import alone, rate


def coded(harm: float) -> dict[str, float]:
    """Measures of coding from which Distill-MOS would take off `harm`."""
    each = (harm - HARM_OFFSET) / len(HARM)
    return {name: each / weight for name, weight in HARM.items()}


MILD_TO_SEVERE: dict[str, list[dict[str, float]]] = {
    **{
        name: [{"snr_db": snr, "share": 1.0} for snr in (55, 35, 20, 8, -2)]
        for name, kind in KINDS.items()
        if kind.dimension == "noisiness"
    },
    "telephone band": [{"low_hz": low, "high_hz": high} for low, high in ((120, 3800), (300, 3400), (500, 2500))],
    "muffled sound": [{"low_hz": 0, "high_hz": high} for high in (6500, 4500, 3000, 1800, 1000)],
    "thin sound": [{"low_hz": low, "high_hz": 8000} for low in (150, 300, 600, 1000, 1800)],
    "reverberation": [{"c50_db": clarity} for clarity in (25, 15, 8, 2, -4)],
    "clipping": [{"distortion_db": distortion} for distortion in (40, 27, 17, 9, 1)],
    "coding": [coded(harm) for harm in (0.2, 0.5, 1, 1.8, 2.6)],
    "grain": [{"q_db": q} for q in (45, 35, 27, 18, 7)],
    "noise suppression": [{"damage_db": damage, "reduction_db": 0.0} for damage in (0.6, 1.5, 3, 6, 10)],
    "robotic voice": [coded(harm) for harm in (0.2, 0.5, 1, 1.8, 2.6)],
    "altered pitch": [{"semitones": semitones} for semitones in (0.5, -1.5, 3, -5, 8)],
    "packet loss": [{"lost_share": share, "concealment_db": 12.0} for share in (0.003, 0.01, 0.04, 0.15, 0.3)],
    "stutter": [{"repeated_share": share} for share in (0.005, 0.03, 0.1, 0.2, 0.4)],
    "cut-off words": [{"cut_share": share, "depth_db": 40.0} for share in (0.005, 0.03, 0.1, 0.2, 0.4)],
    "drop-outs": [{"lost_share": share} for share in (0.005, 0.03, 0.1, 0.2, 0.4)],
    "skips": [
        {"skipped_share": share, "stretched_share": share, "stretch_factor": 1.5} for share in (0.005, 0.03, 0.1, 0.3)
    ],
    "low level": [{"level_dbov": level} for level in (-31, -38, -47, -55, -63)],
    "high level": [{"level_dbov": level} for level in (-16, -13, -9, -6, -3)],
    "uneven level": [{"gain_range_db": depth} for depth in (3, 7, 12, 18, 28)],
}


def row(*causes: tuple[str, dict[str, float]], distill_mos: float = 3.0, **defects: float) -> dict[str, Any]:
    return {
        "speaker": None,
        "causes": [{"family": "", "name": name, "measures": measures} for name, measures in causes],
        "defects": {"floor_db": 65.0, "high_hz": 8000.0, **defects},
        "witness": {"distill_mos": distill_mos, "sig": 3.4},
    }


@pytest.mark.parametrize("name", KINDS)
def test_more_of_a_cause_is_rated_lower_in_everything(name: str) -> None:
    """A curve that turns round, or a cause whose rating Distill-MOS undoes."""
    ratings = [rate(row((name, measures))) for measures in MILD_TO_SEVERE[name]]
    for scale in (KINDS[name].dimension, "mos"):
        values = [found[scale] for found in ratings]
        assert all(np.diff(values) < 0), (scale, values)
    others = np.array([[found[dimension] for dimension in DIMENSIONS] for found in ratings])
    assert np.all(np.diff(others, axis=0) <= 0)


@pytest.mark.parametrize("name", KINDS)
def test_a_cause_lowers_its_own_dimension_most(name: str) -> None:
    """A halo that is stronger than what casts it."""
    for measures in MILD_TO_SEVERE[name]:
        found = rate(row((name, measures)))
        lost = listener.PRISTINE - np.array([found[dimension] for dimension in DIMENSIONS])
        assert DIMENSIONS[int(lost.argmax())] == KINDS[name].dimension


@pytest.mark.parametrize("name", sorted(set(KINDS) - set(listener.UNSURE)))
def test_alone_is_the_own_dimension_without_halo(name: str) -> None:
    for measures in MILD_TO_SEVERE[name]:
        [left] = alone(row((name, measures)))
        own = DIMENSIONS.index(KINDS[name].dimension)
        found = rate(row((name, measures), floor_db=75.0))[DIMENSIONS[own]]
        assert found == pytest.approx(listener.rated(np.full(4, (left - 1) / (BEST - 1)))[own], abs=0.02)


def test_a_clip_with_nothing_wrong_is_rated_as_people_rate_the_best() -> None:
    """The best tenth of the 712 files has 4.1 to 4.3 in each dimension and a MOS of 4.3, its clean conditions more."""
    found = rate(row(distill_mos=4.3))
    assert all(4.25 <= rating <= 4.6 for rating in found.values()), found


HALOS = {
    # The dimension that is worst by far, and what people give the others and the MOS then: means of the 712 files.
    "noisiness": (1.43, {"coloration": 3.40, "discontinuity": 3.74, "loudness": 3.57, "mos": 1.93}),
    "coloration": (1.56, {"noisiness": 3.53, "discontinuity": 3.53, "loudness": 2.82, "mos": 2.14}),
    "discontinuity": (1.45, {"noisiness": 3.57, "coloration": 3.04, "loudness": 3.53, "mos": 1.61}),
    "loudness": (1.42, {"noisiness": 3.31, "coloration": 2.80, "discontinuity": 3.65, "mos": 1.96}),
}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_halo_is_that_of_people(dimension: str) -> None:
    """The 712 files have other causes beside the worst, so one cause alone may leave up to 0.4 more."""
    own, people = HALOS[dimension]
    left = np.ones(4)
    left[DIMENSIONS.index(dimension)] = (own - 1) / (BEST - 1)
    found = listener.rated(listener.haloed(left))
    given = {**dict(zip(DIMENSIONS, found, strict=True)), "mos": listener.weighed(found)}
    for name, rating in people.items():
        assert rating - 0.15 <= given[name] <= rating + 0.4, (name, given[name])


def test_weights_are_those_of_people() -> None:
    """Means of the 712 files of a kind: dimensions and MOS."""
    assert listener.weighed(np.array([2.03, 3.41, 3.80, 3.66])) == pytest.approx(2.71, abs=0.2)
    assert listener.weighed(np.array([4.42, 4.27, 4.44, 4.39])) == pytest.approx(4.54, abs=0.1)


def test_two_noises_add_by_their_powers() -> None:
    once, twice, stronger = (
        rate(row(*[("voices", {"snr_db": snr, "share": 1.0})] * times))["noisiness"]
        for snr, times in ((20.0, 1), (20.0, 2), (16.99, 1))
    )
    assert twice == pytest.approx(stronger, abs=0.01)
    assert twice < once


def test_suppression_takes_noise_away_and_only_what_was_there_before_it() -> None:
    noise, cleaned = (
        ("hum", {"snr_db": 15.0, "share": 1.0}),
        ("noise suppression", {"damage_db": 0.5, "reduction_db": 20.0}),
    )
    before, after, dirty = (
        rate(row(*causes))["noisiness"] for causes in ((noise, cleaned), (cleaned, noise), (noise,))
    )
    assert before > dirty + 0.5
    assert after == pytest.approx(dirty, abs=0.1)


def test_what_the_recording_brings_along_counts() -> None:
    assert rate(row(floor_db=20.0))["noisiness"] < rate(row())["noisiness"] - 1
    assert rate(row(high_hz=4000.0))["coloration"] < rate(row())["coloration"] - 0.7


def test_a_narrower_band_hides_a_wider_one() -> None:
    """A telephone call of a recording that had no more than 4 kHz is a telephone call."""
    telephone = ("telephone band", {"low_hz": 300.0, "high_hz": 3400.0})
    assert rate(row(telephone, high_hz=4000.0)) == rate(row(telephone))


def test_two_causes_of_a_dimension_cost_more_than_the_worse() -> None:
    first, second = ("grain", {"q_db": 20.0}), ("muffled sound", {"low_hz": 0.0, "high_hz": 3000.0})
    both, single = rate(row(first, second)), [rate(row(one)) for one in (first, second)]
    assert both["coloration"] < min(found["coloration"] for found in single) - 0.3


def test_the_witness_draws_the_mos_where_it_hears_well() -> None:
    """Distill-MOS is deaf to level."""
    coding, quiet = ("coding", coded(1.5)), ("low level", {"level_dbov": -52.0})
    assert rate(row(coding, distill_mos=1.8))["mos"] < rate(row(coding, distill_mos=3.8))["mos"] - 0.8
    assert rate(row(quiet, distill_mos=1.8))["mos"] > rate(row(quiet, distill_mos=3.8))["mos"] - 0.1
    assert rate(row(quiet, coding))["mos"] < rate(row(coding))["mos"] - 0.2


def test_a_neural_codec_does_more_harm_than_its_measures_hear() -> None:
    plain = row(("robotic voice", coded(0.8)))
    neural = {**plain, "causes": [{**plain["causes"][0], "family": "neural codec"}]}
    assert alone(neural)[0] < alone(plain)[0] - 0.2


def test_distill_mos_is_not_believed_where_it_is_deaf() -> None:
    """It says 4 of speech of which half is silence."""
    gone, lost = ("drop-outs", {"lost_share": 0.2}), ("packet loss", {"lost_share": 0.1, "concealment_db": 10.0})
    between = [
        rate(row(cause, distill_mos=4.2))["mos"] - rate(row(cause, distill_mos=2.0))["mos"] for cause in (gone, lost)
    ]
    assert between[0] < 0.5 < 1.0 < between[1]


def test_what_distill_mos_has_against_a_voice_is_no_fault_of_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says 3 of some clean recordings, 4.6 of others."""
    monkeypatch.setattr(listener, "_voices", lambda: {"disliked": 3.2, "liked": 4.6})
    coding = ("coding", coded(1.0))
    disliked, usual, liked = (
        rate({**row(coding, distill_mos=2.6), "speaker": speaker})["mos"] for speaker in ("disliked", "new", "liked")
    )
    assert liked < usual - 0.05 < usual + 0.2 < disliked


def test_the_table_of_voices_holds_opinions() -> None:
    opinions = list(listener._voices().values())
    assert len(opinions) > 500
    assert min(opinions) > 1.5
    assert max(opinions) < 5
    assert np.mean(opinions) == pytest.approx(listener.USUAL, abs=0.1)


SAID = {
    # What panels of all kinds of degradation said of one cause, with what Distill-MOS says of it.
    "babble, 5 dB": (("voices", {"snr_db": 5.0, "share": 1.0}), 2.2, "mos", 2.0, 0.35),
    "Q of 25 dB: 2.5 in the full band, 3.7 by P.835": (("grain", {"q_db": 25.0}), 3.25, "mos", 3.1, 0.4),
    "20 dB too faint": (("low level", {"level_dbov": -46.0}), 4.2, "mos", 3.9, 0.35),
    "20 dB too faint: loudness": (("low level", {"level_dbov": -46.0}), 4.2, "loudness", 3.5, 0.1),
    "holub's r07, on its line": (("steady noise", {"snr_db": 9.75, "share": 1.0}), 2.7, "mos", 2.5, 0.35),
    "telephone band, ITU-T G.107.2": (("telephone band", {"low_hz": 300.0, "high_hz": 3400.0}), 3.4, "mos", 3.3, 0.3),
}


@pytest.mark.parametrize("said", SAID)
def test_what_panels_said(said: str) -> None:
    cause, distill_mos, scale, rated, tolerance = SAID[said]
    assert rate(row(cause, distill_mos=distill_mos))[scale] == pytest.approx(rated, abs=tolerance)


def test_every_cause_has_a_curve_and_its_steps_here() -> None:
    assert set(CURVES) == set(KINDS) == set(MILD_TO_SEVERE)
