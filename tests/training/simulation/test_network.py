"""Packets at any phase, lost as often as asked, concealed as well as claimed; jitter and voice detectors likewise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.speech import talk
from training.simulation import coded_loss, jitter, network, speech_gate
from training.simulation.interruptions import active_samples, runs, toll
from training.simulation.jitter import wsola
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.network import CONCEALMENTS
from training.simulation.packets import channel_of, lost_packets
from training.simulation.speech_codecs import TELEPHONE
from training.simulation.stage import Degradation, Materials

NONE = Materials(Path("nowhere"))
LIBRARY = Library(Path("nowhere"), (), (), ())
FAMILIES = {family.name: family for module in (network, coded_loss, jitter, speech_gate) for family in module.FAMILIES}
TWENTY = {"packet_ms": 20, "burst": 1 / 0.9, "density": 1.0, "background": 0.0, "rate": 0.1}
LOSS = {"kind": "silence", "fade_ms": 60.0, "overlap_ms": 0.0, **TWENTY}
OPUS = {"kind": "opus", "bit_rate": 24_000, "band": None, **TWENTY}
GATE = {"kind": "late", "threshold_db": -25.0, "late_ms": 80.0, "hold_ms": 60.0, "depth_db": 120.0, "comfort": False}


def recording(seconds: float = 6.0) -> Signal:
    """Speech with the floor of a recording."""
    floor = 1e-4 * np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE))
    return (talk(seconds) + floor).astype(np.float32)


def run(name: str, params: dict[str, Any], speech: Signal, seed: int = 1) -> tuple[Signal, tuple[Degradation, ...]]:
    return FAMILIES[name].apply(speech, params, NONE, np.random.default_rng(seed))


def loss_of(degradations: tuple[Degradation, ...]) -> Degradation:
    (degradation,) = [d for d in degradations if d.name == "packet loss"]
    return degradation


def starts(seed: int, packet_ms: int = 20) -> list[int]:
    steady = np.full(3 * SAMPLE_RATE, 0.1, np.float32)
    lossy, _ = run("loss", {**LOSS, "packet_ms": packet_ms}, steady, seed)
    return [first for first, _ in runs(lossy == 0) if first]


def test_packets_begin_anywhere() -> None:
    """On the clip's own grid of 20 ms, a model hears the grid of its encoder and not the loss."""
    grids = [{first % 320 for first in starts(seed)} for seed in range(60)]
    assert all(len(grid) <= 1 for grid in grids), "within a clip packets follow each other"
    phases = np.array([phase for grid in grids for phase in grid])
    assert np.mean(phases % 160 == 0) < 0.1
    assert np.histogram(phases, bins=4, range=(0, 320))[0].min() >= 6


@pytest.mark.parametrize("packet_ms", [10, 20, 30, 40, 60])
def test_whole_packets_are_lost(packet_ms: int) -> None:
    steady = np.full(10 * SAMPLE_RATE, 0.1, np.float32)
    lossy, _ = run("loss", {**LOSS, "packet_ms": packet_ms}, steady)
    lengths = [last - first for first, last in runs(lossy == 0) if first and last < steady.size]
    assert lengths
    assert all(length % (packet_ms * 16) == 0 for length in lengths)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_the_share_asked_is_the_share_lost(rate: float, seed: int) -> None:
    """A chance to enter a burst that forgets the time spent in bursts, or a first packet that is never lost, loses
    fewer than asked."""
    params = channel_of(rate, 20, np.random.default_rng(seed))
    lost = [lost_packets(150, params, np.random.default_rng((seed, clip))) for clip in range(2000)]
    error = np.std([clip.mean() for clip in lost]) / np.sqrt(len(lost))
    assert np.mean(lost) == pytest.approx(rate, abs=4 * error + 1e-4)


def test_bursts_are_as_long_as_asked() -> None:
    lost = lost_packets(200_000, {**TWENTY, "rate": 0.2, "burst": 3.0}, np.random.default_rng(0))
    assert np.mean([last - first for first, last in runs(lost)]) == pytest.approx(3.0, rel=0.03)
    spells = {**TWENTY, "rate": 0.2, "burst": 20.0, "density": 0.5}
    lost = lost_packets(200_000, spells, np.random.default_rng(0))
    assert np.mean([last - first for first, last in runs(lost)]) == pytest.approx(2.0, rel=0.1)


def test_measures_count_the_speech_and_not_the_pauses() -> None:
    """Loss in a pause is not heard."""
    active = np.zeros(SAMPLE_RATE, bool)
    active[:8000] = True
    assert toll(active, [(9000, 12000)]) is None
    share, per_s, mean_ms = toll(active, [(0, 800), (7600, 9000), (12000, 13000)]) or (0.0, 0.0, 0.0)
    assert share == pytest.approx(1200 / 8000)
    assert per_s == pytest.approx(2 / 0.5)
    assert mean_ms == pytest.approx(1000 * 600 / SAMPLE_RATE)


def test_a_noisy_pause_is_no_speech() -> None:
    """A gate that closes in the pauses of a noisy call would be said to cut every second word."""
    noise = (0.02 * np.random.default_rng(1).standard_normal(6 * SAMPLE_RATE)).astype(np.float32)
    clean, noisy = active_samples(recording()), active_samples(recording() + noise)
    assert not active_samples(noise).any()
    assert np.mean(noisy & ~clean) < 0.02
    assert np.mean(noisy) > 0.6 * np.mean(clean)


@pytest.mark.parametrize("kind", sorted(CONCEALMENTS))
def test_concealment_touches_lost_packets_only_and_never_looks_ahead(kind: str) -> None:
    speech = recording()
    cut = speech.copy()
    cut[3 * SAMPLE_RATE :] = 0
    whole, early = (run("loss", {**LOSS, "kind": kind}, signal)[0] for signal in (speech, cut))
    assert np.array_equal(whole[: 3 * SAMPLE_RATE], early[: 3 * SAMPLE_RATE])
    lost = run("loss", LOSS, np.ones_like(speech))[0] == 0
    assert 0.02 < lost.mean() < 0.2
    assert np.array_equal(whole[~lost], speech[~lost])


def test_a_packet_that_arrives_is_faded_into() -> None:
    speech = recording()
    hard, soft = (run("loss", {**LOSS, "overlap_ms": overlap}, speech)[0] for overlap in (0.0, 4.0))
    ends = [last for _, last in runs(run("loss", LOSS, np.ones_like(speech))[0] == 0) if last < speech.size]
    jumps = [np.mean([abs(signal[end] - signal[end - 1]) for end in ends]) for signal in (hard, soft)]
    assert jumps[1] < 0.5 * jumps[0]


def test_the_pitch_is_repeated() -> None:
    """A period found wrongly is no better than silence."""
    time = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 125 * k * time) for k in range(1, 6)).astype(np.float32) * np.float32(0.05)
    filled = run("loss", {**LOSS, "kind": "pitch", "fade_ms": 1e6}, tone)[0]
    assert np.abs(filled - tone)[SAMPLE_RATE // 4 :].max() < 1e-2


def test_noise_has_the_power_of_what_it_follows() -> None:
    steady = (0.1 * np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE)).astype(np.float32)
    filled = run("loss", {**LOSS, "kind": "noise", "fade_ms": 1e6}, steady)[0]
    lost = filled != steady
    assert np.std(filled[lost]) == pytest.approx(0.1, rel=0.2)


def test_better_concealment_is_nearer() -> None:
    speech = recording()

    def distance(name: str, params: dict[str, Any]) -> float:
        found = [loss_of(run(name, params, speech, seed)[1]).measures["concealment_db"] for seed in range(4)]
        return float(np.mean(found))

    silent = distance("loss", LOSS)
    assert distance("loss", {**LOSS, "kind": "pitch"}) < 0.8 * silent
    plc = distance("coded_loss", OPUS)
    assert plc < 0.9 * silent
    assert distance("coded_loss", {**OPUS, "kind": "opus-fec"}) < 0.6 * plc


def coded(kind: str, speech: Signal, rate: float, seed: int = 1) -> tuple[Signal, tuple[Degradation, ...]]:
    codec = coded_loss.CODECS[kind]
    band = {"low_hz": 0, "high_hz": 3700} if codec.rate == TELEPHONE else None
    channel = {"rate": rate, "burst": 1 / (1 - rate), "density": 1.0, "background": 0.0}
    params = {"kind": kind, "bit_rate": codec.bit_rates[-1], "band": band, "packet_ms": 20, **channel}
    return run("coded_loss", params, speech, seed)


@pytest.mark.parametrize("kind", sorted(coded_loss.CODECS))
def test_coded_speech_stays_in_time(kind: str) -> None:
    """The decoder's delay and the phase are undone, or every measure compares with the wrong moment."""
    speech = recording()
    for seed in range(3):
        heard, _ = coded(kind, speech, 1e-6, seed)
        assert heard.size == speech.size
        sent, got = np.diff(speech), np.diff(heard)  # codecs turn the phase of the lowest frequencies
        middle = slice(SAMPLE_RATE, 3 * SAMPLE_RATE)
        likeness = [float(sent[middle] @ np.roll(got, lag)[middle]) for lag in range(-100, 101)]
        assert abs(int(np.argmax(likeness)) - 100) <= 4


@pytest.mark.parametrize("kind", sorted(coded_loss.CODECS))
def test_a_lost_packet_is_heard_where_it_is_lost(kind: str) -> None:
    """A decoder that is not told of a loss plays on; one that is told of it a packet late harms the wrong moment."""
    codec = coded_loss.CODECS[kind]
    pcm = (20_000 * recording(2.0)).astype(np.int16)
    packet = codec.rate // 50
    lost = np.zeros(-(-pcm.size // packet), bool)
    whole = codec.transcode(pcm, codec.bit_rates[-1], packet, lost)
    lost[14] = True
    lossy = codec.transcode(pcm, codec.bit_rates[-1], packet, lost)
    assert lossy.size == whole.size
    assert np.array_equal(lossy[: 14 * packet], whole[: 14 * packet])
    assert not np.array_equal(lossy[14 * packet : 15 * packet], whole[14 * packet : 15 * packet])
    aftermath = lossy[-10 * packet :].astype(float) - whole[-10 * packet :]
    assert np.std(aftermath) < 0.5 * np.std(whole[-10 * packet :].astype(float)), "the decoder recovers"


@pytest.mark.parametrize("kind", sorted(coded_loss.CODECS))
def test_the_loss_of_coded_speech_is_measured(kind: str) -> None:
    speech = recording()
    measures = loss_of(coded(kind, speech, 0.1)[1]).measures
    plain = loss_of(run("loss", LOSS, speech)[1]).measures
    assert measures["lost_share"] == pytest.approx(plain["lost_share"], abs=0.05)
    assert measures["concealment_db"] > 1


def test_the_loss_of_coded_speech_is_measured_where_it_is_heard() -> None:
    """A share counted a delay or a phase away from the gaps is that of other words."""
    rng = np.random.default_rng(3)
    burst = slice(8000, 9280)  # four frames
    speech = (1e-4 * rng.standard_normal(SAMPLE_RATE)).astype(np.float32)
    speech[burst] = 0.1 * rng.standard_normal(1280)
    measured, heard = [], []
    for seed in range(40):
        whole, (lossy, degradations) = coded("lc3", speech, 1e-6, seed)[0], coded("lc3", speech, 0.3, seed)
        measured.append(sum(d.measures["lost_share"] for d in degradations if d.name == "packet loss"))
        heard.append(np.mean(np.abs(whole - lossy)[burst] > 0.02))
    assert np.corrcoef(measured, heard)[0, 1] > 0.98


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_same_draw_gives_the_same_samples(name: str) -> None:
    speech = recording(3.0)
    for seed in range(6):
        params = [FAMILIES[name].draw(0.6, LIBRARY, np.random.default_rng(seed)) for _ in range(2)]
        assert params[0] == params[1]
        first, second = (run(name, params[0], speech, seed) for _ in range(2))
        assert np.array_equal(first[0], second[0])
        assert first[0].dtype == np.float32
        assert first[1] == second[1]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_silence_is_spared(name: str) -> None:
    """What cannot be heard is no cause; and nothing divides by a level of nothing."""
    for seed in range(6):
        params = FAMILIES[name].draw(1.0, LIBRARY, np.random.default_rng(seed))
        for size in (SAMPLE_RATE // 4, 2 * SAMPLE_RATE):
            signal, degradations = run(name, params, np.zeros(size, np.float32), seed)
            assert np.abs(signal).max(initial=0) < 1e-3
            assert not [d for d in degradations if d.dimension == "discontinuity"]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_length_changes_where_time_does(name: str) -> None:
    speech = recording()
    for seed in range(8):
        params = FAMILIES[name].draw(0.8, LIBRARY, np.random.default_rng(seed))
        signal, degradations = run(name, params, speech, seed)
        if params["kind"] == "skip":
            assert not degradations or signal.size < speech.size
        elif params["kind"] == "stutter" and not params["in_place"]:
            assert not degradations or signal.size > speech.size
        else:
            assert signal.size == speech.size


@pytest.mark.parametrize("name", ["loss", "jitter", "gate"])
def test_more_severe_hits_more(name: str) -> None:
    speech = recording(10.0)
    share = {}
    for severity in (0.1, 0.5, 0.9):
        found = []
        for seed in range(40):
            params = FAMILIES[name].draw(severity, LIBRARY, np.random.default_rng(seed))
            degradations = [d for d in run(name, params, speech, seed)[1] if d.dimension == "discontinuity"]
            measures = degradations[0].measures if degradations else {}
            weight = measures.get("stretch_factor", 1.0) - 1 if params["kind"] == "stretch" else 1.0
            found.append(weight * sum(value for key, value in measures.items() if key.endswith("share")))
        share[severity] = np.mean(found)
    assert share[0.1] < share[0.5] < share[0.9]


@pytest.mark.parametrize("kind", sorted(coded_loss.CODECS))
def test_codecs_lose_more_where_more_severe(kind: str) -> None:
    seed = next(
        seed
        for seed in range(1000)
        if FAMILIES["coded_loss"].draw(0.5, LIBRARY, np.random.default_rng(seed))["kind"] == kind
    )
    rates = [
        FAMILIES["coded_loss"].draw(severity, LIBRARY, np.random.default_rng(seed))["rate"]
        for severity in np.linspace(0, 1, 11)
    ]
    assert np.all(np.diff(rates) > 0)


def test_a_stutter_is_what_was_just_heard() -> None:
    """A piece that is played again in its own place changes nothing, whatever share the stage reports."""
    rising = np.arange(4 * SAMPLE_RATE, dtype=np.float32) / (4 * SAMPLE_RATE)
    params = {"kind": "stutter", "per_s": 2.0, "piece_ms": 50.0, "times": 2, "in_place": True}
    heard, _ = run("jitter", params, rising)
    moved = np.round((heard - rising) * 4 * SAMPLE_RATE)
    assert set(moved) == {0, -800, -1600}
    longer, _ = run("jitter", {**params, "in_place": False}, rising)
    assert longer.size - rising.size == 2 * np.count_nonzero(moved == -800)
    assert np.array_equal(np.unique(longer), rising), "nothing is lost"


def test_a_skip_leaves_speech_out() -> None:
    rising = np.arange(4 * SAMPLE_RATE, dtype=np.float32)
    heard, _ = run("jitter", {"kind": "skip", "per_s": 2.0, "skip_ms": 100.0}, rising)
    jumps = np.diff(heard)
    assert set(jumps) == {1, 1601}
    assert (rising.size - heard.size) == 1600 * np.count_nonzero(jumps > 1)


def test_events_of_a_jitter_buffer_begin_anywhere() -> None:
    rising = np.arange(4 * SAMPLE_RATE, dtype=np.float32)
    params = {"kind": "skip", "per_s": 3.0, "skip_ms": 50.0}
    moments = [
        first for seed in range(40) for first in np.flatnonzero(np.diff(run("jitter", params, rising, seed)[0]) > 1)
    ]
    assert len(moments) > 100
    assert np.mean(np.mod(moments, 160) == 159) < 0.05


def test_speech_at_its_own_pace_is_left_alone() -> None:
    speech = recording(2.0)
    assert wsola(speech, [(0, 0), (speech.size, speech.size)]) == pytest.approx(speech, abs=1e-6)


@pytest.mark.parametrize("factor", [0.6, 1.8])
def test_stretched_speech_keeps_its_pitch(factor: float) -> None:
    """Resampling would take as long, and change the pitch."""
    tone = np.sin(2 * np.pi * 200 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    length = round(factor * tone.size)
    warped = wsola(tone, [(0, 0), (length, tone.size)])
    assert warped.size == length
    assert np.argmax(np.abs(np.fft.rfft(warped))) * SAMPLE_RATE / length == pytest.approx(200, abs=4)
    assert np.std(warped) == pytest.approx(np.std(tone), rel=0.05)


def test_stretched_speech_is_on_time_again() -> None:
    speech = recording(8.0)
    params = {"kind": "stretch", "per_s": 0.4, "factor": 1.8, "stretch_ms": 500.0}
    heard, (degradation,) = run("jitter", params, speech)
    assert degradation.measures["stretch_factor"] == 1.8
    moved = np.abs(heard - speech) > 1e-3
    assert 0.05 < moved.mean() < 0.9


def test_a_late_detector_takes_word_beginnings() -> None:
    speech = recording()
    gated, (degradation,) = run("gate", GATE, speech)
    closed = (np.abs(gated) < 1e-6) & active_samples(speech)
    assert degradation.measures["cut_share"] == pytest.approx(closed.sum() / active_samples(speech).sum(), rel=0.25)
    onsets = [first for first, _ in runs(active_samples(speech))]
    assert np.mean([closed[onset + 320 : onset + 640].mean() for onset in onsets]) > 0.8
    assert np.mean([closed[onset + 1920 : onset + 2240].mean() for onset in onsets]) < 0.1


def test_a_deaf_detector_takes_the_soft_and_leaves_the_loud() -> None:
    speech = recording()
    gated, _ = run("gate", {**GATE, "kind": "deaf", "threshold_db": -6.0, "late_ms": 0.0, "hold_ms": 0.0}, speech)
    lost = np.abs(gated) < 1e-6
    loud = np.abs(speech) > np.quantile(np.abs(speech), 0.98)
    assert lost.mean() > 0.3
    assert lost[loud].mean() < 0.02


def test_attenuation_is_as_deep_as_asked_and_comfort_noise_as_loud_as_the_floor() -> None:
    speech = recording()
    partial, (degradation,) = run("gate", {**GATE, "depth_db": 20.0}, speech)
    assert degradation.measures["depth_db"] == 20
    closed = run("gate", GATE, speech)[0] == 0
    assert np.std(partial[closed]) == pytest.approx(0.1 * np.std(speech[closed]), rel=0.05)
    noisy, _ = run("gate", {**GATE, "comfort": True}, speech)
    assert np.std(noisy[closed]) == pytest.approx(1e-4, rel=0.3)
