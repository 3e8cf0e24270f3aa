import numpy as np
import pytest

from tests.training.speech import SAMPLE_RATE, talk
from training import raters
from training.measures import a_weighted_snr, active_level, signal_to_distortion, spectral_distance
from training.simulate import CODECS, FRAME, STAGES, Materials, apply, transcode

NONE = Materials({}, {})
CLEAN = raters.Source(level_db=-20, gap_db=70, bandwidth_hz=8000)


def degrade(stage: str, **params: object) -> tuple[np.ndarray, raters.Cause]:
    samples, (cause,) = apply(talk(), ({"stage": stage, **params},), NONE, seed=3)
    return samples, cause


def test_a_recipe_and_a_seed_give_the_same_samples() -> None:
    recipe = (
        {"stage": "noise", "kind": "pink", "snr_db": 15.0},
        {"stage": "loss", "kind": "repeat", "rate": 0.1, "burst": 2.0},
    )
    first, second = apply(talk(), recipe, NONE, 5)[0], apply(talk(), recipe, NONE, 5)[0]
    other = apply(talk(), recipe, NONE, 6)[0]
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_active_level_leaves_pauses_out() -> None:
    speech = talk()
    padded = np.concatenate([speech, np.zeros(4 * SAMPLE_RATE, np.float32)])
    assert active_level(padded) == pytest.approx(active_level(speech), abs=0.5)
    assert active_level(speech * 0.1) == pytest.approx(active_level(speech) - 20, abs=0.1)


def test_active_level_of_a_steady_tone_is_its_power() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    assert active_level(tone) == pytest.approx(10 * np.log10(0.125), abs=0.3)


@pytest.mark.parametrize("snr", [0.0, 20.0, 40.0])
def test_noise_arrives_at_the_snr_that_was_asked(snr: float) -> None:
    speech = talk()
    noisy, _ = degrade("noise", kind="white", snr_db=snr)
    noise = noisy - speech
    assert active_level(speech) - 10 * np.log10(np.mean(noise**2)) == pytest.approx(snr, abs=0.3)


def test_rumble_is_heard_less_than_hiss_of_the_same_power() -> None:
    hum, hiss = degrade("noise", kind="hum", snr_db=20.0)[1], degrade("noise", kind="hiss", snr_db=20.0)[1]
    assert hum.measure > hiss.measure + 6


def test_level_stage_sets_the_active_level() -> None:
    samples, cause = degrade("level", level_dbov=-41.0)
    assert active_level(samples) == pytest.approx(-41, abs=0.2)
    assert cause.measure == -41


def test_loss_hits_the_share_it_reports_and_only_whole_packets() -> None:
    speech = talk(20.0)
    lossy, (cause,) = apply(speech, ({"stage": "loss", "kind": "silence", "rate": 0.2, "burst": 2.0},), NONE, 1)
    frames = np.flatnonzero((speech != lossy)[: speech.size // FRAME * FRAME].reshape(-1, FRAME).any(1))
    assert not lossy[: speech.size // FRAME * FRAME].reshape(-1, FRAME)[frames].any()
    assert 0.1 < cause.measure < 0.3


@pytest.mark.parametrize("kind", sorted(CODECS))
def test_codecs_really_code(kind: str) -> None:
    speech = talk()
    coded = transcode(speech, kind, 8_000 if kind in ("opus", "mp3") else None)
    assert abs(coded.size - speech.size) < 0.3 * SAMPLE_RATE
    _, cause = degrade("codec", kind=kind)
    assert 0 < cause.measure < 12


def test_a_lower_bit_rate_distorts_more() -> None:
    high, low = degrade("codec", kind="opus", bit_rate=24_000)[1], degrade("codec", kind="opus", bit_rate=6_000)[1]
    assert low.measure > high.measure


def test_codec_output_is_aligned_with_its_input() -> None:
    speech = talk()
    coded, _ = degrade("codec", kind="g722")
    assert signal_to_distortion(speech, coded) > 10


def test_measures_know_identity() -> None:
    speech = talk()
    assert spectral_distance(speech, speech) == 0
    assert spectral_distance(speech, speech * 0.2) == pytest.approx(0, abs=1e-3)
    assert signal_to_distortion(speech, 0.3 * speech) > 100
    assert a_weighted_snr(speech, speech * 0.01) > 35


MILD_TO_SEVERE = {
    "noise": ("noisiness", [{"kind": "white", "snr_db": s} for s in (40, 25, 10, 0)]),
    "mnru": ("coloration", [{"q_db": q} for q in (35, 24, 16, 6)]),
    "clip": ("coloration", [{"headroom_db": h} for h in (10, 4, -2, -8)]),
    "band": ("coloration", [{"low_hz": 0, "high_hz": f} for f in (7000, 4000, 2500, 1200)]),
    "reverb": ("coloration", [{"kind": "simulated", "rt60_s": 0.9, "direct_db": d} for d in (15, 8, 2, -6)]),
    "loss": ("discontinuity", [{"kind": "silence", "rate": r, "burst": 2.0} for r in (0.02, 0.08, 0.2, 0.4)]),
    "stutter": ("discontinuity", [{"piece_s": 0.08, "per_second": p} for p in (0.5, 1.5, 3, 6)]),
    "level": ("loudness", [{"level_dbov": v} for v in (-22, -35, -47, -60)]),
}


@pytest.mark.parametrize("stage", sorted(MILD_TO_SEVERE))
def test_a_stronger_degradation_rates_lower_in_its_dimension_alone(stage: str) -> None:
    dimension, steps = MILD_TO_SEVERE[stage]
    rated = [raters.rate(CLEAN, [degrade(stage, **params)[1]]) for params in steps]
    assert [r[dimension] for r in rated] == sorted((r[dimension] for r in rated), reverse=True)
    assert rated[0][dimension] - rated[-1][dimension] > 1
    assert rated[0]["mos"] > rated[-1]["mos"] + 0.7
    untouched = {"noisiness", "discontinuity", "loudness"} - {dimension}
    assert all(rated[0][name] == rated[-1][name] for name in untouched)


def test_every_stage_is_rated() -> None:
    assert set(MILD_TO_SEVERE) | {"codec"} == set(STAGES)


def test_a_defect_of_the_source_is_rated_too() -> None:
    assert raters.rate(raters.Source(-20, 25, 8000), [])["noisiness"] < raters.rate(CLEAN, [])["noisiness"]
    assert raters.rate(raters.Source(-20, 70, 3400), [])["coloration"] < 4
    assert raters.rate(raters.Source(-45, 70, 8000), [])["loudness"] < 3


def test_the_worst_dimension_counts_twice() -> None:
    even = dict.fromkeys(("noisiness", "coloration", "discontinuity", "loudness"), 3.5)
    uneven = {**even, "noisiness": 1.5, "coloration": 5.0, "discontinuity": 4.0, "loudness": 3.5}
    assert raters.overall(uneven) < raters.overall(even) - 0.3
