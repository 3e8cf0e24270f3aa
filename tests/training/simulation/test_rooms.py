"""Rooms: in time with the speech, at its level, as clear as asked."""

import numpy as np
import pyroomacoustics as pra
import pytest

from tests.support.small_library import write_library
from tests.support.speech import SAMPLE_RATE, talk
from training.simulation.library import Library, open_library
from training.simulation.measures import active_level
from training.simulation.rooms import FAMILIES, INAUDIBLE_DB, reverb, shoebox
from training.simulation.stage import Degradation, Materials, Params

(FAMILY,) = FAMILIES


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return open_library(write_library(tmp_path_factory.mktemp("library")), "train")


def drawn(severity: float, lib: Library, seed: int) -> Params:
    return {"family": "reverb", **FAMILY.draw(severity, lib, np.random.default_rng(seed))}


def applied(speech: np.ndarray, params: Params, lib: Library) -> tuple[np.ndarray, tuple[Degradation, ...]]:
    return reverb(speech, params, Materials(lib.root), np.random.default_rng(0))


def test_a_room_neither_delays_nor_lowers_the_speech(lib: Library) -> None:
    """What is compared with the clean clip must lie where it lies."""
    speech = (0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE)).astype(np.float32)  # like itself once
    for seed in range(12):
        wet, _ = applied(speech, {**drawn(0.2, lib, seed), "c50_db": 24.0}, lib)
        likeness = [float(np.sum(speech[800:-800] * wet[800 + lag : wet.size - 800 + lag])) for lag in range(-60, 61)]
        assert abs(int(np.argmax(np.abs(likeness))) - 60) <= 2
        assert active_level(wet) == pytest.approx(active_level(speech), abs=0.1)


@pytest.mark.parametrize("severity", [0.2, 0.5, 0.9])
def test_a_room_is_as_clear_as_its_severity_asks(severity: float, lib: Library) -> None:
    """A room drawn by its size alone, which the nearness of the talker then undoes."""
    off = []
    for seed in range(15):
        params = drawn(severity, lib, seed)
        _, (degradation,) = applied(talk(1.0), params, lib)
        off.append(abs(degradation.measures["c50_db"] - params["c50_db"]))
        assert degradation.measures["rt60_s"] > 0.03
        assert degradation.measures["drr_db"] < degradation.measures["c50_db"]
    assert np.mean(np.array(off) < 1) > 0.75


def test_worse_rooms_are_less_clear_and_ring_longer(lib: Library) -> None:
    measures = [
        [applied(talk(1.0), drawn(severity, lib, seed), lib)[1][0].measures for seed in range(20)]
        for severity in (0.2, 0.8)
    ]
    clear, murky = (np.mean([m["c50_db"] for m in some]) for some in measures)
    short, long = (np.mean([m["rt60_s"] for m in some]) for some in measures)
    assert clear > murky + 8
    assert long > short + 0.1


def test_a_room_that_nobody_hears_is_not_recorded(lib: Library) -> None:
    params = {**drawn(0.2, lib, 3), "c50_db": INAUDIBLE_DB + 6}
    assert applied(talk(1.0), params, lib)[1] == ()


def test_recorded_rooms_are_drawn_and_made_ones_are_many(lib: Library) -> None:
    params = [drawn(0.3, lib, seed) for seed in range(100)]
    recorded = [p for p in params if p["kind"] == "recorded"]
    assert 15 < len(recorded) < 45
    assert {p["source"] for p in recorded} <= {room.file for room in lib.rooms}
    assert len({str(p) for p in params if p["kind"] == "simulated"}) == 100 - len(recorded)


def test_a_made_room_has_the_decay_that_was_asked() -> None:
    """And as many threads as the machine has are not used: their sums differ in the last bits."""
    pra.constants.set("num_threads", 2)
    params = {"rt60_s": 0.4, "sides_m": [5.0, 4.0, 2.8], "talker_m": [1.0, 1.2, 1.5], "microphone_m": [3.5, 2.6, 1.2]}
    response = shoebox(params)
    assert pra.constants.get("num_threads") == 1
    left = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2) + 1e-12)
    rings = 3 * (np.argmax(left < -25) - np.argmax(left < -5)) / SAMPLE_RATE
    assert rings == pytest.approx(0.4, rel=0.3)
