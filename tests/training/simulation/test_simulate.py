"""The frame of the simulation, and the families of microphone, line and call."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.support.small_library import write_library
from tests.support.speech import SAMPLE_RATE, talk
from training.rating import curves
from training.simulation import line
from training.simulation.calls import around
from training.simulation.library import Library, open_library
from training.simulation.measures import (
    FRAME,
    a_weighted_gap,
    a_weighted_snr,
    active_frames,
    active_level,
    active_samples,
    band_edges,
    clip_measures,
    frame_power,
    signal_to_distortion,
    silent_share,
    spectral_distance,
)
from training.simulation.recipes import DEGRADING, draw_recipe, draw_stage, single
from training.simulation.simulate import FAMILIES, apply, run_stages
from training.simulation.stage import Degradation, Materials
from training.streams import Stream, stream

NONE = Materials(Path("nowhere"))
BROUGHT = {"level": ("overload",), "codec": ("band",), "late noise suppression": ("noise suppression",)}
"""What a family brings with it: a level beyond full scale clips, a telephone's codec has its band."""


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return open_library(write_library(tmp_path_factory.mktemp("data")), "train")


def degrade(family: str, speech: np.ndarray | None = None, **params: object) -> tuple[np.ndarray, Degradation]:
    speech = talk() if speech is None else speech
    samples, (degradation,) = apply(speech, ({"family": family, **params},), NONE, seed=3)
    return samples, degradation


# --- the frame --------------------------------------------------------------------------------------------------------


def test_a_recipe_and_a_seed_give_the_same_samples() -> None:
    recipe = ({"family": "mnru", "q_db": 15.0}, {"family": "mutes", "share": 0.1, "longest_s": 0.5})
    first, second = apply(talk(), recipe, NONE, 5)[0], apply(talk(), recipe, NONE, 5)[0]
    other = apply(talk(), recipe, NONE, 6)[0]
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_each_stage_draws_from_a_stream_of_its_own() -> None:
    """Two noises in a row that are one noise, twice as loud."""
    first, second = run_stages(talk(level=0.01), [{"family": "mnru", "q_db": 10.0}] * 2, NONE, 5)
    added = [step.after - step.before for step in (first, second)]
    assert abs(np.corrcoef(*added)[0, 1]) < 0.05


def test_the_trace_is_what_apply_does_step_by_step() -> None:
    recipe = (
        {"family": "mnru", "q_db": 15.0},
        {"family": "band", "low_hz": 0.0, "high_hz": 3000.0},
        {"family": "level", "level_dbov": -40.0},
    )
    steps = run_stages(talk(), recipe, NONE, 5)
    assert [step.degradations[0].family for step in steps] == ["mnru", "band", "level"]
    assert all(later.before is earlier.after for earlier, later in pairwise(steps))
    assert np.array_equal(steps[-1].after, apply(talk(), recipe, NONE, 5)[0])


def test_a_cause_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="no cause"):
        Degradation("noise", "white", "sunspots", {"snr_db": 10.0})


def test_a_level_beyond_full_scale_is_recorded_as_clipping() -> None:
    samples, degradations = apply(talk(), ({"family": "level", "level_dbov": -3.0},), NONE, 0)
    assert [degradation.name for degradation in degradations] == ["high level", "clipping"]
    assert np.abs(samples).max() <= 1
    assert apply(talk(), ({"family": "level", "level_dbov": -26.0},), NONE, 0)[1] == []


# --- recipes ----------------------------------------------------------------------------------------------------------


def test_stages_run_in_the_order_of_a_call_and_one_of_them_sets_the_level(lib: Library) -> None:
    """A level that is set before a gain moves it; two levels, of which one is recorded and gone."""
    seen = set()
    for seed in range(400):
        names = [stage["family"] for stage in draw_recipe(lib, stream(Stream.CLIP_RECIPE, seed))]
        places = [FAMILIES[name].place for name in names]
        assert places == sorted(places)
        assert names.count("level") == 1
        assert [name for name in names if name != "handling"][-1] == "level"
        assert len(names) == len(set(names))
        seen |= set(names)
    assert seen == set(FAMILIES)


def test_every_family_is_met_in_three_of_a_hundred_test_clips(lib: Library) -> None:
    """A family of which the test has ten clips, so that nobody knows whether it is heard."""
    drawn = [draw_recipe(lib, stream(Stream.CLIP_RECIPE, 20_000_000 + index)) for index in range(1_200)]
    normal = (-29.0, -17.0)
    degraded = [
        {
            stage["family"]
            for stage in recipe
            if FAMILIES[stage["family"]].weight
            and not (stage["family"] == "level" and normal[0] <= stage["level_dbov"] <= normal[1])
        }
        for recipe in drawn
    ]
    shares = {family.name: np.mean([family.name in names for names in degraded]) for family in DEGRADING}
    assert {name: share for name, share in shares.items() if share < 0.03} == {}
    assert np.mean([not names for names in degraded]) == pytest.approx(0.2, abs=0.04)
    unheard = np.mean([any(not FAMILIES[stage["family"]].weight for stage in recipe) for recipe in drawn])
    assert unheard == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("family", [family.name for family in DEGRADING])
def test_a_single_family_names_nothing_else(family: str, lib: Library) -> None:
    """A level that is low by chance beside what was asked for."""
    recipe = single(family, 0.3, lib, stream(Stream.CLIP_RECIPE, 1))
    assert {stage["family"] for stage in recipe} == {family, "level"}
    _, degradations = apply(talk(25.0), recipe, Materials(lib.root), 1)
    found = {degradation.family for degradation in degradations}
    assert found
    assert found <= {family, *BROUGHT.get(family, ())}


# --- microphone and line ----------------------------------------------------------------------------------------------


def test_modulated_noise_lies_q_below_the_speech() -> None:
    """Q taken for a ratio of powers: the stage reports the Q that it was given, and noise of half of it."""
    speech = talk()
    for q in (10.0, 25.0):
        assert signal_to_distortion(speech, degrade("mnru", q_db=q)[0]) == pytest.approx(q, abs=0.5)


@pytest.mark.parametrize(("low", "high", "kept"), [(0, 2000, "lower"), (2000, 8000, "upper"), (300, 3400, "middle")])
def test_a_band_keeps_what_lies_within_it(low: int, high: int, kept: str) -> None:
    """Bass cut for treble; each is named by what is missing."""
    noise = np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE).astype(np.float32) * 0.05
    filtered, degradation = degrade("band", noise, low_hz=low, high_hz=high)
    power = np.abs(np.fft.rfft(filtered)) ** 2
    hertz = np.fft.rfftfreq(noise.size, 1 / SAMPLE_RATE)
    inside = (hertz > 1.3 * low) & (hertz < 0.9 * high)
    outside = (hertz < low / 2) | (hertz > 1.5 * high)
    assert power[inside].mean() > 1000 * power[outside].mean()
    assert degradation.name == {"lower": "muffled sound", "upper": "thin sound", "middle": "telephone band"}[kept]
    assert band_edges(filtered) == pytest.approx((low, high), abs=0.65 * high)


@pytest.mark.parametrize("kind", line.OVERLOADS)
def test_overload_distorts_more_the_less_headroom_there_is_and_keeps_the_level(kind: str) -> None:
    found = [degrade("overload", talk(level=0.01), kind=kind, headroom_db=h) for h in (6.0, 0.0, -10.0)]
    distortions = [degradation.measures["distortion_db"] for _, degradation in found]
    assert distortions[0] > distortions[1] + 3 > distortions[2] + 6
    kept = active_level(talk(level=0.01))
    assert all(active_level(samples) == pytest.approx(kept, abs=0.5) for samples, _ in found)


def test_an_overload_of_one_side_leaves_no_offset() -> None:
    samples, _ = degrade("overload", kind="asymmetric", headroom_db=-6.0)
    assert abs(samples.mean()) < 1e-3
    assert abs(samples.min()) < 0.8 * samples.max()


# --- what a call does to the level ------------------------------------------------------------------------------------


def test_level_stage_sets_the_active_level() -> None:
    samples, degradation = degrade("level", level_dbov=-41.0)
    assert active_level(samples) == pytest.approx(-41, abs=0.2)
    assert degradation.measures["level_dbov"] == pytest.approx(-41, abs=0.2)


@pytest.mark.parametrize(
    ("family", "params"),
    [
        ("pumping", {"depth_db": 10.0}),
        ("drift", {"depth_db": 20.0, "period_s": 4.0}),
        ("steps", {"depth_db": 15.0, "count": 2}),
    ],
)
def test_a_gain_that_moves_is_measured_and_keeps_the_level(family: str, params: dict[str, float]) -> None:
    speech = talk(8.0, level=0.01)
    ridden, degradation = degrade(family, speech, **params)
    active = active_frames(speech)
    gain = 10 * np.log10(frame_power(ridden)[active] / frame_power(speech)[active])
    assert np.std(gain) == pytest.approx(degradation.measures["gain_std_db"], rel=0.35)
    assert np.ptp(gain) == pytest.approx(degradation.measures["gain_range_db"], rel=0.5)
    assert active_level(ridden) == pytest.approx(active_level(speech), abs=0.3)


def test_automatic_gain_rises_in_pauses() -> None:
    rng = np.random.default_rng(0)
    speech = talk(8.0, level=0.03) + (1e-4 * rng.standard_normal(8 * SAMPLE_RATE)).astype(np.float32)
    pumped, _ = apply(speech, ({"family": "pumping", "depth_db": 10.0},), NONE, 3)
    active = active_frames(speech)
    gain = 10 * np.log10(frame_power(pumped) / frame_power(speech))
    assert np.median(gain[~active]) > np.median(gain[active]) + 3


# --- what goes missing ------------------------------------------------------------------------------------------------


def test_mutes_take_the_share_of_the_speech_that_they_report() -> None:
    speech = talk(20.0)
    muted, degradation = degrade("mutes", speech, share=0.2, longest_s=1.0)
    active = active_samples(speech) & (speech != 0)
    gone = np.mean(muted[active] == 0)
    assert degradation.measures["lost_share"] == pytest.approx(gone, abs=0.02)
    assert 0.2 <= degradation.measures["lost_share"] < 0.3


def test_mutes_start_anywhere() -> None:
    """Gaps at multiples of 20 ms from the clip's start teach a model the grid and not the gap."""
    speech = np.full(5 * SAMPLE_RATE, 0.1, np.float32)
    starts = []
    for seed in range(40):
        muted, _ = apply(speech, ({"family": "mutes", "share": 0.05, "longest_s": 0.5},), NONE, seed)
        starts.append(int(np.argmax(muted < 0.05)) % FRAME)
    assert len(set(starts)) > 25


# --- what nobody hears ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["digital", "comfort", "room"])
def test_gated_pauses_leave_the_speech_alone(kind: str) -> None:
    """A gate that eats the ends of words is a cause and not this family."""
    rng = np.random.default_rng(0)
    speech = talk(8.0) + (1e-4 * rng.standard_normal(8 * SAMPLE_RATE)).astype(np.float32)
    gated, degradations = apply(speech, ({"family": "pauses", "kind": kind, "hangover_s": 0.2},), NONE, 3)
    assert degradations == []
    active = active_samples(speech)
    assert np.array_equal(gated[active], speech[active])
    changed = gated != speech
    assert 0.02 < changed.mean() < 0.6
    quiet = 10 * np.log10(np.mean(gated[changed] ** 2) + 1e-20)
    assert quiet < -100 if kind == "digital" else quiet == pytest.approx(-80, abs=2)
    assert (silent_share(gated) > 0) == (kind == "digital")


def test_handling_moves_and_surrounds_the_speech_and_changes_nothing_else() -> None:
    speech = talk(4.0, level=0.05)
    params = {"polarity": -1, "offset": 0.05, "before_s": 1.5, "after_s": 0.25, "below_db": None}
    handled, degradations = apply(speech, ({"family": "handling", **params},), NONE, 3)
    before, after = around(params, speech.size)
    assert (before, after) == (24_000, 4_000)
    assert degradations == []
    assert handled[before:-after] == pytest.approx(0.05 - speech, abs=1e-6)
    assert np.ptp(handled[:before]) == np.ptp(handled[-after:]) == 0


def test_handling_never_clips() -> None:
    loud = (0.99 * talk() / np.abs(talk()).max()).astype(np.float32)
    params = {"polarity": 1, "offset": 0.1, "before_s": 0.0, "after_s": 0.0, "below_db": None}
    handled, degradations = apply(loud, ({"family": "handling", **params},), NONE, 3)
    assert degradations == []
    assert handled - loud == pytest.approx(np.full(loud.size, 0.01), abs=1e-6)


def test_around_a_short_piece_stays_less_silence() -> None:
    """A second of speech in sixteen of silence has no level by the measures, which take the loudest twentieth."""
    assert sum(around({"before_s": 8.0, "after_s": 8.0}, SAMPLE_RATE)) == pytest.approx(4 * SAMPLE_RATE, abs=2)


# --- measures ---------------------------------------------------------------------------------------------------------


def test_active_level_leaves_pauses_and_offsets_out() -> None:
    speech = talk()
    padded = np.concatenate([speech, np.zeros(4 * SAMPLE_RATE, np.float32)])
    assert active_level(padded) == pytest.approx(active_level(speech), abs=0.5)
    assert active_level(speech * 0.1) == pytest.approx(active_level(speech) - 20, abs=0.1)
    assert active_level(padded + np.float32(0.1)) == pytest.approx(active_level(padded), abs=0.05)


def test_a_peak_in_the_last_moment_is_no_level() -> None:
    """A threshold that only the last samples pass, for less than the hangover, gave speech at -21 dBov one of 12."""
    for size in (200, 400, 800):
        burst = talk(2.0, level=0.05)
        burst[-size:] = 1.0
        assert active_level(burst) < 10 * np.log10(np.mean(burst**2)) + 6


def test_active_level_of_a_steady_tone_is_its_power() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    assert active_level(tone) == pytest.approx(10 * np.log10(0.125), abs=0.3)


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


def test_rumble_is_heard_less_than_hiss_of_the_same_power() -> None:
    speech, time = talk(), np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    hum, tone = (np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (100, 3000))
    assert a_weighted_snr(speech, hum) > a_weighted_snr(speech, tone) + 6


def test_spectral_distance_is_that_of_the_speech() -> None:
    """What happens to pauses is no matter of timbre."""
    speech = np.concatenate([talk(4.0), 1e-3 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)])
    speech = speech.astype(np.float32)
    hushed, muffled = speech.copy(), speech.copy()
    hushed[4 * SAMPLE_RATE :] *= np.linspace(1, 0.01, 3 * SAMPLE_RATE, dtype=np.float32)
    muffled[: 4 * SAMPLE_RATE] = degrade("band", low_hz=0, high_hz=1500)[0]
    assert spectral_distance(speech, hushed) < 0.5
    assert spectral_distance(speech, muffled) > 3


def test_what_nobody_hears_moves_no_measure_of_the_clip() -> None:
    """An offset read as a level, as a low border of the band or as a floor of noise."""
    speech = talk() + (1e-3 * np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE)).astype(np.float32)
    plain, moved = clip_measures(speech), clip_measures(np.float32(0.1) - speech)
    assert moved == pytest.approx(plain, abs=0.1)


def test_digital_silence_is_found_under_an_offset() -> None:
    half = np.concatenate([talk(2.0), np.zeros(2 * SAMPLE_RATE, np.float32)])
    assert silent_share(half + np.float32(0.01)) >= 0.5


def test_severities_order_what_is_done(lib: Library) -> None:
    """A severity that is read the wrong way round."""
    for family, measure, sign in (
        ("overload", "distortion_db", -1),
        ("mnru", "q_db", -1),
        ("mutes", "lost_share", 1),
        ("steps", "gain_std_db", 1),
        ("drift", "gain_std_db", 1),
        ("pumping", "gain_std_db", 1),
    ):
        found = []
        for severity in (0.2, 0.9):
            stage = draw_stage(family, severity, lib, stream(Stream.CLIP_RECIPE, 4))
            found.append(degrade(speech=talk(6.0, level=0.02), **stage)[1].measures[measure])
        assert sign * (found[1] - found[0]) > 0, family


@pytest.mark.parametrize("family", ["mnru", "band", "steps", "pumping", "overload"])
def test_severities_drawn_evenly_give_ratings_drawn_evenly(family: str, lib: Library) -> None:
    """Nearly all of it mild, or nearly all terrible: whatever lies between is not learnt."""
    found = []
    for seed in range(24):
        stage = draw_stage(family, (seed + 0.5) / 24, lib, stream(Stream.CLIP_RECIPE, seed))
        _, degradations = apply(talk(4.0, seed=seed, level=0.02), (stage,), NONE, seed)
        found.append(min((curves.alone(degradation.to_row()) for degradation in degradations), default=curves.BEST))
    assert np.quantile(found, [0.25, 0.5, 0.75]) == pytest.approx([2.1, 2.9, 3.7], abs=0.6)
