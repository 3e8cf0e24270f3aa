from itertools import pairwise

import numpy as np
import pytest

from tests.support.speech import SAMPLE_RATE, talk
from training.simulation.measures import (
    a_weighted_gap,
    a_weighted_snr,
    active_frames,
    active_level,
    frame_power,
    signal_to_distortion,
    spectral_distance,
)
from training.simulation.network import CONCEALMENTS, FRAME
from training.simulation.simulate import apply, run_stages
from training.simulation.speech_codecs import CODECS, transcode
from training.simulation.stage import Degradation, Materials

NONE = Materials({}, {})


def degrade(stage: str, **params: object) -> tuple[np.ndarray, Degradation]:
    samples, (degradation,) = apply(talk(), ({"stage": stage, **params},), NONE, seed=3)
    return samples, degradation


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


def test_modulated_noise_lies_q_below_the_speech() -> None:
    """Q taken for a ratio of powers: the stage reports the Q that it was given, and noise of half of it."""
    speech = talk()
    for q in (10.0, 25.0):
        assert signal_to_distortion(speech, degrade("mnru", q_db=q)[0]) == pytest.approx(q, abs=0.5)


def test_each_stage_draws_from_a_stream_of_its_own() -> None:
    """Two noises in a row that are one noise, twice as loud."""
    first, second = run_stages(talk(), [{"stage": "noise", "kind": "white", "snr_db": 10.0}] * 2, NONE, 5)
    added = [step.after - step.before for step in (first, second)]
    assert abs(np.corrcoef(*added)[0, 1]) < 0.05


@pytest.mark.parametrize(("low", "high", "kept"), [(0, 2000, "lower"), (2000, 8000, "upper"), (300, 3400, "middle")])
def test_a_band_keeps_what_lies_within_it(low: int, high: int, kept: str) -> None:
    """Bass cut for treble; each is named by what is missing."""
    noise = np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE).astype(np.float32) * 0.05
    filtered, (degradation,) = apply(noise, ({"stage": "band", "low_hz": low, "high_hz": high},), NONE, 0)
    power = np.abs(np.fft.rfft(filtered)) ** 2
    hertz = np.fft.rfftfreq(noise.size, 1 / SAMPLE_RATE)
    inside = (hertz > 1.3 * low) & (hertz < 0.9 * high)
    outside = (hertz < low / 2) | (hertz > 1.5 * high)
    assert power[inside].mean() > 1000 * power[outside].mean()
    assert degradation.name == {"lower": "missing treble", "upper": "missing bass", "middle": "telephone band"}[kept]


def test_rumble_is_heard_less_than_hiss_of_the_same_power() -> None:
    hum, hiss = degrade("noise", kind="hum", snr_db=20.0)[1], degrade("noise", kind="hiss", snr_db=20.0)[1]
    assert hum.measure > hiss.measure + 6


def test_level_stage_sets_the_active_level() -> None:
    samples, degradation = degrade("level", level_dbov=-41.0)
    assert active_level(samples) == pytest.approx(-41, abs=0.2)
    assert degradation.measure == -41


def test_loss_hits_the_share_it_reports_and_only_whole_packets() -> None:
    speech = talk(20.0)
    lossy, (degradation,) = apply(speech, ({"stage": "loss", "kind": "silence", "rate": 0.2, "burst": 2.0},), NONE, 1)
    frames = np.flatnonzero((speech != lossy)[: speech.size // FRAME * FRAME].reshape(-1, FRAME).any(1))
    assert not lossy[: speech.size // FRAME * FRAME].reshape(-1, FRAME)[frames].any()
    assert 0.1 < degradation.measure < 0.3
    hit, active = np.isin(np.arange(speech.size // FRAME), frames), active_frames(speech)
    assert degradation.measure == pytest.approx(hit[active].mean()), "of the speech, not of the pauses"
    assert hit.mean() != pytest.approx(degradation.measure)


def test_packets_are_lost_as_often_and_as_long_as_asked() -> None:
    """A chance to enter a burst that forgets the time spent in bursts loses fewer than asked."""
    steady = np.full(10_000 * FRAME, 0.1, np.float32)
    lossy, _ = apply(steady, ({"stage": "loss", "kind": "silence", "rate": 0.3, "burst": 3.0},), NONE, 2)
    lost = lossy[::FRAME] == 0
    assert lost.mean() == pytest.approx(0.3, abs=0.03)
    assert lost.sum() / (np.diff(lost.astype(np.int8)) == 1).sum() == pytest.approx(3.0, abs=0.2)


def test_a_stutter_is_what_was_just_heard() -> None:
    """A piece that is played again in its own place changes nothing, whatever share the stage reports."""
    rising = np.arange(4 * SAMPLE_RATE, dtype=np.float32) / (4 * SAMPLE_RATE)
    recipe = ({"stage": "stutter", "piece_s": 0.1, "per_second": 2.0},)
    steps = run_stages(rising, recipe, NONE, 1)
    moved = np.round((steps[0].after - rising) * 4 * SAMPLE_RATE)
    assert set(moved) == {0, -0.1 * SAMPLE_RATE}
    assert 0.05 < (moved != 0).mean() < 0.25


@pytest.mark.parametrize("kind", sorted(CODECS))
def test_codecs_really_code(kind: str) -> None:
    speech = talk()
    coded = transcode(speech, kind, 8_000 if kind in ("opus", "mp3") else None)
    assert abs(coded.size - speech.size) < 0.3 * SAMPLE_RATE
    _, degradation = degrade("codec", kind=kind)
    assert 0 < degradation.measure < 12


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


def test_the_floor_of_a_recording_reads_as_the_snr_of_the_noise_it_is() -> None:
    speech = talk(8.0)
    noise = (1e-3 * np.random.default_rng(0).standard_normal(speech.size)).astype(np.float32)
    assert a_weighted_gap(speech + noise) == pytest.approx(a_weighted_snr(speech, noise), abs=2.5)
    assert a_weighted_gap(speech + 10 * noise) < a_weighted_gap(speech + noise) - 15


@pytest.mark.parametrize("kind", sorted(CONCEALMENTS))
def test_concealment_touches_lost_packets_only_and_never_looks_ahead(kind: str) -> None:
    speech = talk(6.0)
    recipe = ({"stage": "loss", "kind": kind, "rate": 0.2, "burst": 2.0},)
    whole, early = apply(speech, recipe, NONE, 1)[0], apply(speech[: 3 * SAMPLE_RATE], recipe, NONE, 1)[0]
    lost = (whole != speech)[: speech.size // FRAME * FRAME].reshape(-1, FRAME).any(1)
    assert 0.05 < lost.mean() < 0.4
    assert np.array_equal(whole[: early.size], early)


def test_concealed_packets_hold_more_than_silent_ones() -> None:
    def energy(kind: str) -> float:
        lossy, _ = degrade("loss", kind=kind, rate=0.3, burst=1.5)
        return float(np.sum(lossy**2))

    assert energy("pitch") > energy("silence")
    assert energy("repeat") > energy("silence")


def test_crackle_is_short_bursts_and_hum_is_steady() -> None:
    speech = talk(level=0.01)
    added = [
        apply(speech, ({"stage": "noise", "kind": k, "snr_db": 10.0},), NONE, 3)[0] - speech for k in ("crackle", "hum")
    ]
    spread = [np.std(10 * np.log10(frame_power(noise) + 1e-12)) for noise in added]
    assert spread[0] > 3 * spread[1]


def test_pumping_moves_the_level_and_keeps_its_mean() -> None:
    speech = talk(8.0, level=0.01)
    pumped, (degradation,) = apply(speech, ({"stage": "pumping", "depth_db": 10.0},), NONE, 3)
    active = active_frames(speech)
    gain = 10 * np.log10(frame_power(pumped)[active] / frame_power(speech)[active])
    assert np.std(gain) == pytest.approx(degradation.measure, rel=0.35)
    assert active_level(pumped) == pytest.approx(active_level(speech), abs=0.2)


def test_automatic_gain_rises_in_pauses() -> None:
    rng = np.random.default_rng(0)
    speech = talk(8.0, level=0.03) + (1e-4 * rng.standard_normal(8 * SAMPLE_RATE)).astype(np.float32)
    pumped, _ = apply(speech, ({"stage": "pumping", "depth_db": 10.0},), NONE, 3)
    active = active_frames(speech)
    gain = 10 * np.log10(frame_power(pumped) / frame_power(speech))
    assert np.median(gain[~active]) > np.median(gain[active]) + 3


def test_suppression_clears_pauses_and_says_by_how_much() -> None:
    speech = talk(8.0)
    noisy = speech + (0.004 * np.random.default_rng(0).standard_normal(speech.size)).astype(np.float32)
    recipe = ({"stage": "suppress", "over": 4.0, "depth_db": 25.0, "floor_db": -40.0},)
    cleaned, (degradation,) = apply(noisy, recipe, NONE, 0)
    assert a_weighted_gap(cleaned) > a_weighted_gap(noisy) + 0.5 * degradation.reduction_db
    assert degradation.reduction_db > 5


def test_a_level_beyond_full_scale_is_recorded_as_clipping() -> None:
    samples, degradations = apply(talk(), ({"stage": "level", "level_dbov": -3.0},), NONE, 0)
    assert [degradation.name for degradation in degradations] == ["high level", "clipping"]
    assert np.abs(samples).max() <= 1
    _, (degradation,) = apply(talk(), ({"stage": "level", "level_dbov": -26.0},), NONE, 0)
    assert degradation.name == "low level"


def test_spectral_distance_is_that_of_the_speech() -> None:
    """What happens to pauses is no matter of timbre."""
    speech = np.concatenate([talk(4.0), 1e-3 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)])
    speech = speech.astype(np.float32)
    hushed, muffled = speech.copy(), speech.copy()
    hushed[4 * SAMPLE_RATE :] *= np.linspace(1, 0.01, 3 * SAMPLE_RATE, dtype=np.float32)
    muffled[: 4 * SAMPLE_RATE] = degrade("band", low_hz=0, high_hz=1500)[0]
    assert spectral_distance(speech, hushed) < 0.5
    assert spectral_distance(speech, muffled) > 3


def test_a_room_does_not_delay_the_speech() -> None:
    """What is compared with the clean clip must lie where it lies."""
    speech = talk()
    wet, _ = degrade("reverb", kind="simulated", rt60_s=0.2, distance_m=3.0)
    likeness = [float(speech[800:-800] @ wet[800 + lag : wet.size - 800 + lag]) for lag in range(-400, 401)]
    assert abs(int(np.argmax(likeness)) - 400) <= 2


def test_a_longer_room_is_less_clear() -> None:
    near, far = (degrade("reverb", kind="simulated", rt60_s=t, distance_m=d)[1] for t, d in ((0.2, 0.4), (1.2, 3.0)))
    assert near.measure > far.measure + 8


def test_the_trace_is_what_apply_does_step_by_step() -> None:
    recipe = (
        {"stage": "noise", "kind": "pink", "snr_db": 15.0},
        {"stage": "codec", "kind": "opus", "bit_rate": 8_000},
        {"stage": "level", "level_dbov": -30.0},
    )
    steps = run_stages(talk(), recipe, NONE, 5)
    assert [step.degradation.stage for step in steps] == ["noise", "codec", "level"]
    assert all(later.before is earlier.after for earlier, later in pairwise(steps))
    assert np.array_equal(steps[-1].after, apply(talk(), recipe, NONE, 5)[0])


def test_a_cause_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="no cause"):
        Degradation("noise", "white", "sunspots", 10.0)
