"""Lost packets of uncoded speech, filled in by the receiver. Codecs that conceal by themselves are in coded_loss.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.packets import (
    CONCEALED,
    PACKETS_MS,
    REPEATED,
    UNCONCEALED,
    draw_losses,
    loss_measures,
    lost_packets,
    samples_of,
    spans_of,
)
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng

_SHORTEST, _LONGEST = SAMPLE_RATE // 400, SAMPLE_RATE // 66  # pitch periods that are looked for
_MEMORY = 3 * _LONGEST  # samples that a receiver keeps


def _draw_loss(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    kind = str(rng.choice(list(_OFTEN), p=list(_OFTEN.values())))
    return {
        "kind": kind,
        "fade_ms": float(rng.uniform(40, 150)),
        "overlap_ms": float(rng.choice([0.0, 4.0])),
        **draw_losses(severity, RATES[kind], PACKETS_MS, rng),
    }


def loss(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Packets of `packet_ms` at a random phase, lost as packets.lost_packets says, each gap filled by `kind` with
    silence, or by a fill that fades out within `fade_ms` and into the next packet within `overlap_ms`. Measures:
    packets.loss_measures."""
    packet = samples_of(params["packet_ms"])
    offset = int(rng.integers(packet))
    lost = lost_packets(-(-(speech.size + offset) // packet), params, rng)
    spans = spans_of(lost, packet, offset, speech.size)
    overlap = round(params["overlap_ms"] * SAMPLE_RATE / 1000)
    concealed = speech.copy()
    for first, last in spans:
        missing = last - first
        after = min(overlap, speech.size - last)
        past = concealed[max(0, first - _MEMORY) : first]
        fill = CONCEALMENTS[params["kind"]](past, missing + after, packet, rng) * _fade(missing + after, params)
        rise = np.arange(1, after + 1) / (after + 1)
        concealed[first:last] = fill[:missing]
        concealed[last : last + after] = fill[missing:] * (1 - rise) + speech[last : last + after] * rise
    measures = loss_measures(speech, speech, concealed, spans)
    return concealed, (Degradation("loss", params["kind"], "packet loss", measures),) if measures else ()


def _fade(missing: int, params: Params) -> Signal:
    """Full for 10 ms, then down to nothing: ITU-T G.711 Appendix I has 20 % every 10 ms."""
    seconds = np.arange(missing) / SAMPLE_RATE
    return np.clip(1 - (1000 * seconds - 10) / params["fade_ms"], 0, 1).astype(np.float32)


def _silence(past: Signal, missing: int, packet: int, rng: Rng) -> Signal:
    return np.zeros(missing, np.float32)


def _repeat(past: Signal, missing: int, packet: int, rng: Rng) -> Signal:
    """The last packet again and again (20 ms of it at most)."""
    piece = min(packet, SAMPLE_RATE // 50)
    return np.resize(past[-piece:], missing) if past.size >= piece else _silence(past, missing, packet, rng)


def _pitch(past: Signal, missing: int, packet: int, rng: Rng) -> Signal:
    """The last pitch period again and again: the idea of ITU-T G.711 Appendix I."""
    if past.size < _MEMORY:
        return _silence(past, missing, packet, rng)
    return np.resize(past[-_period(past) :], missing)


def _period(past: Signal) -> int:
    """The lag, in samples, at which the newest 15 ms look most like what was before them."""
    recent = past[-2 * _LONGEST :].astype(np.float64)
    newest = recent[-_LONGEST:]
    earlier = np.lib.stride_tricks.sliding_window_view(recent, _LONGEST)[_LONGEST - _SHORTEST : 0 : -1]
    # einsum and not @: a sum whose order depends on no library's threads.
    likeness = np.einsum("ln,n->l", earlier, newest) / np.sqrt(np.einsum("ln,ln->l", earlier, earlier) + 1e-9)
    return _SHORTEST + int(np.argmax(likeness))


def _noise(past: Signal, missing: int, packet: int, rng: Rng) -> Signal:
    """Noise with the spectrum of the last 20 ms (linear prediction of order 16) and their power."""
    recent = past[-SAMPLE_RATE // 50 :].astype(np.float64)
    power = float(np.mean(recent**2)) if recent.size else 0.0
    if recent.size < SAMPLE_RATE // 50 or power == 0:
        return _silence(past, missing, packet, rng)
    windowed = recent * np.hanning(recent.size)
    likeness = np.correlate(windowed, windowed, "full")[recent.size - 1 :][:17]
    likeness[0] *= 1.001  # white noise correction, 30 dB down: the equations stay solvable
    filtered = solve_toeplitz(likeness[:16], likeness[1:])
    noise = lfilter([1.0], np.concatenate([[1.0], -filtered]), rng.standard_normal(missing + 160))[160:]
    return (noise * np.sqrt(power / max(float(np.mean(noise**2)), 1e-12))).astype(np.float32)


CONCEALMENTS: dict[str, Callable[[Signal, int, int, Rng], Signal]] = {
    "silence": _silence,
    "repeat": _repeat,
    "pitch": _pitch,
    "noise": _noise,
}
"""How a receiver that has the `past`, and packets of so many samples, fills `missing` samples."""

_OFTEN = {"silence": 0.3, "repeat": 0.25, "pitch": 0.3, "noise": 0.15}
RATES = {"silence": UNCONCEALED, "repeat": REPEATED, "pitch": CONCEALED, "noise": REPEATED}

FAMILIES = (Family("loss", Place.NETWORK, 1.5, _draw_loss, loss),)
