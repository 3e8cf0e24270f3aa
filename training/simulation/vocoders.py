"""Vocoders: a voice taken apart into pitch, envelope and breath, or into a spectrogram, and built again from less.

What they lose is fine structure: phase, the mix of tone and breath, the movement of the pitch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyworld
from scipy import signal as dsp
from scipy.linalg import solve_toeplitz

from training.simulation import codec_libraries, line
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.speech_codecs import TELEPHONE, Codec, coding_measures, draw_band, narrow, through
from training.simulation.stage import Degradation, Family, Materials, Params, Place, Rng, to_level

Wave = npt.NDArray[np.float64]
Vocode = Callable[[Wave, Params, Rng], Wave]
"""Speech [n] at 16 kHz → the same, [n], built again; not delayed."""
_LEAD = SAMPLE_RATE // 20


def world(speech: Wave, params: Params, rng: Rng) -> Wave:
    """WORLD (Morise and others 2016): pitch, envelope of `bands` coefficients and aperiodicity every `frame_ms` (ms).
    `breath`: aperiodicity between what it was (0), none at all (−1) and all there is (1). `wander`: how much of the
    movement of log pitch about its mean is kept; `ratio`: that mean, new over old; `jitter`: standard deviation (log)
    of each frame's error in pitch."""
    frame_ms = params["frame_ms"]
    pitch, times = pyworld.dio(speech, SAMPLE_RATE, frame_period=frame_ms)
    pitch = pyworld.stonemask(speech, pitch, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(speech, pitch, times, SAMPLE_RATE)
    size = (envelope.shape[1] - 1) * 2
    coded = pyworld.code_spectral_envelope(envelope, SAMPLE_RATE, params["bands"])
    envelope = pyworld.decode_spectral_envelope(coded, SAMPLE_RATE, size)
    breath = pyworld.d4c(speech, pitch, times, SAMPLE_RATE, fft_size=size)
    goal = 1.0 if params["breath"] > 0 else 0.0
    breath = np.clip(breath + abs(params["breath"]) * (goal - breath), 1e-3, 1 - 1e-3)
    voiced = pitch > 0
    if voiced.any():
        log_pitch = np.log(pitch[voiced])
        moved = log_pitch.mean() + np.log(params["ratio"]) + params["wander"] * (log_pitch - log_pitch.mean())
        pitch[voiced] = np.exp(moved + params["jitter"] * rng.standard_normal(log_pitch.size))
    built: Wave = pyworld.synthesize(pitch, envelope, breath, SAMPLE_RATE, frame_ms)
    return built


def griffin_lim(speech: Wave, params: Params, rng: Rng) -> Wave:
    """Phase found again by `rounds` of Griffin and Lim (1984) with momentum .99 (Perraudin and others 2013), from a
    spectrogram of 32 ms frames every `hop` samples with `bands` mel bands, from a random start."""
    transform = dsp.ShortTimeFFT(dsp.windows.hann(512, sym=False), params["hop"], SAMPLE_RATE)
    magnitude = _through_mel(np.abs(transform.stft(speech)), params["bands"])
    unknown = magnitude * np.exp(2j * np.pi * rng.random(magnitude.shape))
    before = np.zeros_like(unknown)
    for _ in range(params["rounds"]):
        again = transform.stft(transform.istft(unknown, k1=speech.size))
        ahead = again + 0.99 * (again - before)
        unknown, before = magnitude * ahead / np.maximum(np.abs(ahead), 1e-12), again
    built: Wave = transform.istft(unknown, k1=speech.size)
    return built


def _through_mel(magnitude: Wave, bands: int) -> Wave:
    """[bins, frames] of which only the power in triangular mel bands is known, spread evenly within each."""
    mel = 2595 * np.log10(1 + np.linspace(0, SAMPLE_RATE / 2, magnitude.shape[0]) / 700)
    place = mel / mel[-1] * (bands - 1)
    triangles = np.maximum(0, 1 - np.abs(place - np.arange(bands)[:, None]))
    # einsum sums in one order whatever the processor; a matrix product need not
    power = np.einsum("bf,ft->bt", triangles, magnitude**2) / np.maximum(triangles.sum(axis=1), 1e-9)[:, None]
    known: Wave = np.sqrt(np.einsum("bf,bt->ft", triangles, power))
    return known


def lpc(speech: Wave, params: Params, rng: Rng) -> Wave:
    """A linear predictive vocoder: all-pole filters of `order` every `frame_ms` (ms), driven by pulses at the pitch or
    by noise, as loud as the frame was. `source`: "pitch"; "monotone", the clip's median; "whisper", noise alone."""
    hop, order = int(params["frame_ms"] * SAMPLE_RATE / 1000), params["order"]
    pitch = _pitch(speech, hop, params["source"])
    window = np.hanning(2 * hop)
    emphasised = np.pad(dsp.lfilter([1, -0.9], [1], speech), (hop // 2, 2 * hop))
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, 2 * hop)[: speech.size : hop] * window
    lags = np.fft.irfft(np.abs(np.fft.rfft(frames, 4 * hop, axis=1)) ** 2, axis=1)[:, : order + 1]
    built, state, phase = np.zeros(speech.size + hop), np.zeros(order), 0.0
    for index, likeness in enumerate(lags):
        likeness[0] = likeness[0] * 1.0001 + 1e-9
        predictor = solve_toeplitz(likeness[:-1], likeness[1:])
        power = max(float(likeness[0] - np.sum(predictor * likeness[1:])), 0.0) / np.sum(window**2)
        drive, phase = _drive(float(pitch[min(index, pitch.size - 1)]), hop, phase, rng)
        poles = np.concatenate([[1.0], -predictor])
        built[index * hop : (index + 1) * hop], state = dsp.lfilter([np.sqrt(power)], poles, drive, zi=state)
    voice: Wave = dsp.lfilter([1], [1, -0.9], built[: speech.size])
    return voice


def _pitch(speech: Wave, hop: int, source: str) -> Wave:
    """Hz every `hop` samples, 0 where there is none."""
    pitch: Wave = pyworld.dio(speech, SAMPLE_RATE, frame_period=1000 * hop / SAMPLE_RATE)[0]
    if source == "monotone" and (pitch > 0).any():
        pitch[pitch > 0] = np.median(pitch[pitch > 0])
    return np.zeros_like(pitch) if source == "whisper" else pitch


def _drive(pitch: float, size: int, phase: float, rng: Rng) -> tuple[Wave, float]:
    """Pulses of power 1 at `pitch` (Hz), or noise where it is 0; and where in its period the next frame begins."""
    if pitch <= 0:
        return rng.standard_normal(size), 0.0
    turns = phase + np.arange(1, size + 1) * pitch / SAMPLE_RATE
    pulses = np.diff(np.floor(turns), prepend=np.floor(phase))
    return pulses * np.sqrt(SAMPLE_RATE / pitch), float(turns[-1] % 1)


VOCODERS: dict[str, Vocode] = {"world": world, "griffin-lim": griffin_lim, "lpc": lpc}


_CODEC2_MILD = Codec(
    TELEPHONE, 140, codec_libraries.codec2, {3200: 3.22, 2400: 3.04, 1600: 2.59, 1400: 2.59, 1300: 2.68, 1200: 2.61}
)
_CODEC2_HARSH = Codec(TELEPHONE, 208, codec_libraries.codec2, {700: 2.77, 450: 2.16})
CODEC2: dict[int, Codec] = {rate: codec for codec in (_CODEC2_MILD, _CODEC2_HARSH) for rate in codec.rated}
"""Codec 2 by bit rate."""


def draw(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    """A vocoder and its parameters. Distill-MOS of 8 talkers, 4.18 untouched, at severities 0, 0.25, 0.5, 0.75 and 1:
    4.17, 3.76, 2.93, 2.04, 1.30."""
    shares = np.array([share if severity >= least else 0.0 for share, least, _ in DRAWS.values()])
    kind = str(rng.choice(list(DRAWS), p=shares / shares.sum()))
    return {"kind": kind, **DRAWS[kind][2](severity, rng)}


def _knots(severity: float, **knots: tuple[float, ...]) -> dict[str, float]:
    """Each parameter at `severity` between its values at evenly spaced severities, 0 to 1."""
    return {name: float(np.interp(severity, np.linspace(0, 1, len(values)), values)) for name, values in knots.items()}


def _draw_world(severity: float, rng: Rng) -> dict[str, Any]:
    params = _knots(severity, above_hz=(5000, 1000, 0, 0, 0), frame_ms=(5, 5, 5, 12, 25), bands=(64, 64, 40, 16, 8))
    hurt = severity * rng.dirichlet(np.ones(3))
    breath = float(hurt[0] * rng.choice([-1, 1]))
    return {
        **params,
        "bands": round(params["bands"]),
        "breath": breath,
        "ratio": 1.0,
        "wander": float(1 - hurt[1]),
        "jitter": float(0.1 * hurt[2]),
    }


def _draw_griffin_lim(severity: float, rng: Rng) -> dict[str, Any]:
    params = _knots(severity, above_hz=(5000, 1500, 0, 0, 0), bands=(160, 160, 160, 60, 16), rounds=(12, 12, 10, 6, 1))
    return {**params, "bands": round(params["bands"]), "rounds": round(params["rounds"]), "hop": 128}


def _draw_lpc(severity: float, rng: Rng) -> dict[str, Any]:
    params = _knots(severity, above_hz=(5000, 1500, 0, 0, 0), frame_ms=(10, 10, 10, 16, 30), order=(24, 24, 24, 16, 7))
    unlike = 0.2 if severity > 0.4 else 0.0  # nobody takes a monotone or whispered voice for a slight fault
    source = str(rng.choice(["pitch", "monotone", "whisper"], p=[1 - 2 * unlike, unlike, unlike]))
    return {**params, "order": round(params["order"]), "source": source}


def _draw_codec2(severity: float, rng: Rng) -> dict[str, Any]:
    bit_rate = min(CODEC2, key=lambda rate: abs(CODEC2[rate].harm[rate] - severity))
    return {"bit_rate": bit_rate, "band": draw_band(rng)}


DRAWS: dict[str, tuple[float, float, Callable[[float, Rng], dict[str, Any]]]] = {
    "world": (0.3, 0.0, _draw_world),
    "griffin-lim": (0.25, 0.0, _draw_griffin_lim),
    "lpc": (0.25, 0.0, _draw_lpc),
    "codec2": (0.2, 0.3, _draw_codec2),
}
"""Kind → how often it is met, the least severity at which it can be had, and its draw."""


def vocoder(speech: Signal, params: Params, materials: Materials, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    """Speech through the vocoder `kind` with its parameters, the level kept: "codec2" at `bit_rate` (bit/s), which
    works in a telephone's `band`; any other `above_hz` (Hz; 0: everywhere), below which the speech stays as it was.

    Measured as coding is: see `coding_measures`."""
    if not speech.any():
        return speech, ()
    if params["kind"] == "codec2":
        return _codec2(speech, params, materials, rng)
    built = to_level(at_any_phase(speech, VOCODERS[params["kind"]], params, rng), active_level(speech))
    return built, (Degradation("vocoder", params["kind"], "robotic voice", coding_measures(speech, built)),)


def _codec2(speech: Signal, params: Params, materials: Materials, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    sent, band = line.band(speech, params["band"], materials, rng)
    coded = through(sent, CODEC2[params["bit_rate"]], params["bit_rate"], rng)
    if not coded.any():
        return speech, ()
    coded = to_level(coded, active_level(speech))
    return coded, (Degradation("vocoder", "codec2", "robotic voice", coding_measures(narrow(sent), coded)), *band)


def at_any_phase(speech: Signal, vocode: Vocode, params: Params, rng: Rng) -> Signal:
    """In the middle of a call: frames begin anywhere before the clip, which goes on, mirrored, on both sides."""
    lead = int(rng.integers(_LEAD, 3 * _LEAD))
    call = np.pad(speech.astype(np.float64), (lead, _LEAD), mode="reflect")
    built = np.zeros(call.size)
    voice = vocode(call, params, rng)[: call.size]
    built[: voice.size] = voice
    if params["above_hz"] > 0:
        low = dsp.butter(4, params["above_hz"], fs=SAMPLE_RATE, output="sos")
        built += dsp.sosfiltfilt(low, call - built)
    return built[lead : lead + speech.size].astype(np.float32)


FAMILIES = (Family("vocoder", Place.CODING, 1.2, draw, vocoder),)
