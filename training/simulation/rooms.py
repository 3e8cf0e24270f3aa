"""Reverberation: rooms that were measured, and rectangular rooms made for each clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyroomacoustics as pra
from scipy import signal as dsp

from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng, to_level

Response = npt.NDArray[np.float64]
_ROOM_ORDER = 40
"""Image sources beyond this order add little but time; the decay is long past audible in the rooms drawn here."""
_RECORDED_SHARE = 0.3
_DIRECT = int(0.0025 * SAMPLE_RATE)
_EARLY = int(0.05 * SAMPLE_RATE)
_NEARER_DB = (-10.0, 30.0)
"""What moving or turning towards the microphone, or away, may do to the direct sound."""
INAUDIBLE_DB = 25.0
"""A C50 above which no room is heard."""
C50_DB = ((0.0, 25.0), (0.12, 20.0), (0.47, 11.0), (0.68, 6.0), (0.79, 3.0), (0.93, 0.0), (1.0, -3.0))
"""Severity → clarity, so that equal steps are equal steps of what is rated (listener.CLARITY)."""


def _draw_reverb(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    c50 = float(np.interp(severity, *zip(*C50_DB, strict=True)))
    # In a diffuse field C50 is 10 log(exp(0.69 s / T) − 1): a room must ring at least so long, and the nearness of
    # the talker makes up for the rest.
    shortest = 0.69 / np.log1p(10 ** (c50 / 10))
    recorded = lib.draw_room(rng, shortest) if rng.random() < _RECORDED_SHARE else None
    if recorded:
        return {"kind": "recorded", "source": recorded.file, "c50_db": c50}
    rt60 = float(np.clip(shortest * 3 ** rng.random(), 0.12, 1.6))
    size = min(rt60, 1.0)  # small rooms do not ring long, nor large ones short
    sides = [rng.uniform(3, 4 + 6 * size), rng.uniform(2.5, 3.5 + 5 * size), rng.uniform(2.3, 2.8 + 0.8 * size)]
    talker = [float(rng.uniform(0.6, side - 0.6)) for side in sides]
    direction = rng.standard_normal(3) * [1, 1, 0.2]
    distance = float(np.exp(rng.uniform(np.log(0.3), np.log(0.6 * max(sides)))))
    place = np.clip(talker + distance * direction / np.linalg.norm(direction), 0.3, np.array(sides) - 0.3)
    geometry = {"sides_m": [float(side) for side in sides], "talker_m": talker, "microphone_m": place.tolist()}
    return {"kind": "simulated", "rt60_s": rt60, **geometry, "c50_db": c50}


def reverb(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """A room, recorded or made by image sources, the talker so near that its clarity comes as close as it can to
    `c50_db`; level kept. Measured on the response, from the direct sound on: `c50_db`, clarity (ISO 3382-1), the
    first 50 ms over the rest; `rt60_s`, three times the decay from −5 to −25 dB; `drr_db`, the first 2.5 ms over the
    rest. A room that nobody hears (C50 above 25 dB) is not recorded."""
    recorded = params["kind"] == "recorded"
    response = materials.room(params["source"]).astype(np.float64) if recorded else shoebox(params)
    response = _nearer(_from_direct(response), params["c50_db"])
    wet = dsp.fftconvolve(speech, response)[: speech.size].astype(np.float32)
    measures = {"c50_db": _over(response, _EARLY), "rt60_s": _decay(response), "drr_db": _over(response, _DIRECT)}
    heard = measures["c50_db"] <= INAUDIBLE_DB + 0.5
    done = (Degradation("reverb", params["kind"], "reverberation", measures),) if heard else ()
    return to_level(wet, active_level(speech)), done


def shoebox(params: Params) -> Response:
    """Impulse response of a rectangular room by image sources, its walls absorbing as Sabine's formula asks.

    Of one thread: with as many as the machine has, the order of summation, and so the last bits, would be its own.
    """
    pra.constants.set("num_threads", 1)
    absorption, order = pra.inverse_sabine(params["rt60_s"], params["sides_m"])
    room = pra.ShoeBox(
        params["sides_m"], SAMPLE_RATE, materials=pra.Material(absorption), max_order=min(order, _ROOM_ORDER)
    )
    room.add_source(params["talker_m"])
    room.add_microphone(params["microphone_m"])
    room.compute_rir()
    return np.asarray(room.rir[0][0], np.float64)


def _from_direct(response: Response) -> Response:
    """From the first arrival on: the strongest of 2.5 ms, from where the response first comes within 20 dB of its
    peak (ISO 3382-1)."""
    onset = int(np.argmax(np.abs(response) > 0.1 * np.max(np.abs(response))))
    return response[onset + int(np.argmax(np.abs(response[onset : onset + _DIRECT]))) :]


def _nearer(response: Response, c50_db: float) -> Response:
    direct, early, late = (
        float(np.sum(part**2)) for part in (response[:_DIRECT], response[_DIRECT:_EARLY], response[_EARLY:])
    )
    wanted = (10 ** (c50_db / 10) * late - early) / direct
    gain_db = np.clip(10 * np.log10(max(wanted, 1e-9)), *_NEARER_DB)
    moved = response.copy()
    moved[:_DIRECT] *= 10 ** (gain_db / 20)
    return moved


def _over(response: Response, samples: int) -> float:
    """The first samples over the rest, dB; 40 at most."""
    first, rest = float(np.sum(response[:samples] ** 2)), float(np.sum(response[samples:] ** 2))
    return min(float(10 * np.log10(first / max(rest, 1e-12))), 40.0)


def _decay(response: Response) -> float:
    """Schroeder's backward integral, s."""
    left = np.cumsum(response[::-1] ** 2)[::-1]
    decay_db = 10 * np.log10(left / left[0] + 1e-12)
    return 3 * float(np.argmax(decay_db < -25) - np.argmax(decay_db < -5)) / SAMPLE_RATE


FAMILIES = (Family("reverb", Place.ROOM, 1.4, _draw_reverb, reverb),)
