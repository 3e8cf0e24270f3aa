"""Full-reference measures between the signal before and after one stage. All signals: float32 [n], 16 kHz mono."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from sqe_fast.audio.features import SAMPLE_RATE

Signal = npt.NDArray[np.float32]
FRAME = 320  # 20 ms: a packet, and the unit of activity
_ENVELOPE_STEP = 16  # the envelope is smooth over 30 ms: a value a millisecond is enough
_MARGIN_DB = 15.9  # ITU-T P.56: the active level lies this far above the activity threshold


def decibel(power: float) -> float:
    return float(10 * np.log10(max(power, 1e-12)))


def active_level(signal: Signal) -> float:
    """Active speech level in dBov (0 dBov: a full-scale square wave), ITU-T P.56 method B; an offset counts nothing."""
    signal = signal.astype(np.float64) - np.mean(signal, dtype=np.float64)
    envelope = np.abs(signal)
    smoothing = np.exp(-1 / (0.03 * SAMPLE_RATE))
    envelope = lfilter([1 - smoothing], [1, -smoothing], envelope)
    envelope = lfilter([1 - smoothing], [1, -smoothing], envelope)[::_ENVELOPE_STEP]
    energy = float(np.sum(signal**2))
    if energy == 0:
        return -120.0
    hangover = int(0.2 * SAMPLE_RATE) // _ENVELOPE_STEP
    previous_gap, level = None, decibel(energy / signal.size)
    for exponent in range(15, 0, -1):  # upwards: a peak in the last moment alone lies above a high threshold only
        threshold = 2.0**-exponent
        above = np.cumsum(np.concatenate([np.zeros(hangover, int), envelope >= threshold]))
        active = int(np.count_nonzero(above[hangover:] - above[:-hangover])) * _ENVELOPE_STEP
        if not active:
            break
        previous_level, level = level, decibel(energy / active)
        gap = level - 20 * float(np.log10(threshold)) - _MARGIN_DB
        if gap < 0:
            if previous_gap is None:
                break
            share = previous_gap / (previous_gap - gap)  # interpolate to the threshold 15.9 dB below the level
            return previous_level + share * (level - previous_level)
        previous_gap = gap
    return level


def frame_power(signal: Signal | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean power of each whole 20 ms frame."""
    whole = signal[: signal.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    power: npt.NDArray[np.float64] = np.mean(whole**2, axis=1)
    return power


def active_frames(signal: Signal) -> npt.NDArray[np.bool_]:
    """20 ms frames within 25 dB of the loudest 5 % of them: where there is speech to lose."""
    power = frame_power(signal)
    if not power.size:
        return np.zeros(0, bool)
    active: npt.NDArray[np.bool_] = power > np.quantile(power, 0.95) * 10**-2.5
    return active


def active_samples(signal: Signal) -> npt.NDArray[np.bool_]:
    """[n]: the samples of `active_frames`."""
    active = np.zeros(signal.size, bool)
    frames = active_frames(signal)
    active[: frames.size * FRAME] = np.repeat(frames, FRAME)
    return active


def gain_measures(speech: Signal, gain_db: npt.NDArray[np.float64]) -> dict[str, float]:
    """Of a gain in dB at each sample, over the active frames of `speech`: standard deviation and range (from the 2 %
    to the 98 % quantile)."""
    heard = gain_db[active_samples(speech)]
    if not heard.size:
        return {"gain_std_db": 0.0, "gain_range_db": 0.0}
    low, high = np.quantile(heard, [0.02, 0.98])
    return {"gain_std_db": float(np.std(heard)), "gain_range_db": float(high - low)}


def _a_weighting(size: int) -> npt.NDArray[np.float64]:
    """Power gain of IEC 61672's A curve at the bins of a real FFT of `size`."""
    squared = np.fft.rfftfreq(size, 1 / SAMPLE_RATE) ** 2
    gain = (12194.0**2 * squared**2) / (
        (squared + 20.6**2) * np.sqrt((squared + 107.7**2) * (squared + 737.9**2)) * (squared + 12194.0**2)
    )
    weighting: npt.NDArray[np.float64] = (gain * 1.2589) ** 2
    return weighting


def a_weighted(signal: Signal | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The signal after A-weighting, float64 [n]."""
    spectrum = np.fft.rfft(signal.astype(np.float64)) * np.sqrt(_a_weighting(signal.size))
    weighted: npt.NDArray[np.float64] = np.fft.irfft(spectrum, signal.size)
    return weighted


def a_weighted_power(signal: Signal) -> float:
    """Mean power after A-weighting, so that rumble counts as little as it is heard."""
    spectrum = np.abs(np.fft.rfft(signal.astype(np.float64))) ** 2
    return float(2 * np.sum(spectrum * _a_weighting(signal.size)) / signal.size**2)


def a_weighted_frames(signal: Signal) -> npt.NDArray[np.float64]:
    """Mean A-weighted power of each whole 20 ms frame, Hann window."""
    frames = signal[: signal.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64) * np.hanning(FRAME)
    power: npt.NDArray[np.float64] = np.abs(np.fft.rfft(frames, axis=1)) ** 2 @ _a_weighting(FRAME)
    return power


def a_weighted_gap(signal: Signal) -> float:
    """dB between active speech and the recording's own floor, both A-weighted; at most 75.

    The floor is the 5 % quantile of 20 ms frames. White noise gives within 1 dB the figure that `a_weighted_snr` does.
    """
    power = a_weighted_frames(signal)
    speech = np.mean(power[power > np.quantile(power, 0.95) * 10**-2.5])
    return min(decibel(speech / power.size) - decibel(np.quantile(power, 0.05) / power.size), 75.0)


def a_weighted_snr(speech: Signal, noise: Signal) -> float:
    """dB between speech while it is active and noise throughout, both A-weighted."""
    activity = max(float(np.mean(active_frames(speech))), 0.05)
    return decibel(a_weighted_power(speech) / activity) - decibel(a_weighted_power(noise))


def signal_to_distortion(before: Signal, after: Signal) -> float:
    """dB of the part of `after` that is a scaled `before` over the rest; needs aligned signals."""
    reference, test = before.astype(np.float64), after.astype(np.float64)
    projection = (reference @ test) / max(float(reference @ reference), 1e-12) * reference
    return decibel(float(projection @ projection)) - decibel(float(np.sum((test - projection) ** 2)))


def spectral_distance(before: Signal, after: Signal) -> float:
    """Mean absolute log-spectral difference in dB over third-octave-like bands of active frames.

    Blind to delay below a frame and to level: both are normalised. Used for codecs, which move the waveform.
    """
    bands_before, bands_after = _band_levels(before), _band_levels(after)
    frames = min(bands_before.shape[0], bands_after.shape[0])
    bands_before, bands_after = bands_before[:frames], bands_after[:frames]
    loud = bands_before.mean(axis=1)
    active = loud > np.quantile(loud, 0.5)
    difference = bands_after[active] - bands_before[active]
    return float(np.mean(np.abs(difference - np.median(difference))))


def _band_levels(signal: Signal) -> npt.NDArray[np.float64]:
    window, hop = 512, 256
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), window)[::hop] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.unique(np.round(np.geomspace(3, window // 2, 21)).astype(int))
    bands = np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges)
    floor = max(bands.max() * 1e-6, 1e-20)
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(bands, floor))
    return levels


_FINE = 512  # 32 ms: harmonics of most voices stand apart
_PERIODS = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 60)  # of a voice
_PULSE = 64  # 4 ms: pulses of most voices stand apart
_PULSES = 16  # as many windows of 4 ms, half over one another, as make 34 ms


def fine_distance(before: Signal, after: Signal) -> float:
    """Mean absolute log-spectral difference in dB, line by line of 31 Hz, of active frames down to 30 dB below each
    frame's strongest line. It hears what becomes of harmonics and of the gaps between them, which third-octave bands do
    not; blind to level and phase."""
    power = [_spectra(signal, _FINE) for signal in (before, after)]
    active = _loud(power[0].sum(axis=1))
    share, shared = (lines[active] / np.maximum(lines[active].sum(axis=1, keepdims=True), 1e-20) for lines in power)
    floor = share.max(axis=1, keepdims=True) * 1e-3 + 1e-12
    return float(np.mean(np.abs(10 * np.log10((shared + floor) / (share + floor)))))


def voicing_change(before: Signal, after: Signal) -> float:
    """Mean absolute change of how periodic active frames of 40 ms are, 0 to 1: the highest normalised autocorrelation
    at a voice's periods. Breath that became tone, tone that became breath, and tones out of tune."""
    power = [_spectra(signal, 2 * FRAME, padded=2) for signal in (before, after)]
    active = _loud(power[0].sum(axis=1))
    likeness = [np.fft.irfft(lines[active], axis=1)[:, : 2 * FRAME] for lines in power]
    voiced = [lags[:, _PERIODS] / (1 - _PERIODS / (2 * FRAME)) / np.maximum(lags[:, :1], 1e-9) for lags in likeness]
    return float(np.mean(np.abs(voiced[1].max(axis=1) - voiced[0].max(axis=1))))


def pulse_change(before: Signal, after: Signal) -> float:
    """dB by which the ups and downs of half-octave bands within 34 ms grow or shrink, mean over active frames. It hears
    phase: a voice's pulses that were smeared, or are sharper than a voice has them."""
    power = [_pulses(signal) for signal in (before, after)]
    active = _loud(power[0].sum(axis=(1, 2)))
    bands = [windows[active] for windows in power]
    depth = [
        np.std(10 * np.log10(windows + 1e-3 * windows.mean(axis=1, keepdims=True) + 1e-12), axis=1) for windows in bands
    ]
    return float(np.mean(np.abs(depth[1] - depth[0])))


def _pulses(signal: Signal) -> npt.NDArray[np.float64]:
    """Power [frame, window of 4 ms within it, band]."""
    lines = _spectra(signal, _PULSE)
    edges = np.unique(np.round(np.geomspace(1, _PULSE // 2, 9)).astype(int))[:-1]
    bands = np.add.reduceat(lines, edges, axis=1)
    return bands[: len(bands) // _PULSES * _PULSES].reshape(-1, _PULSES, edges.size)


def _spectra(signal: Signal, window: int, padded: int = 1) -> npt.NDArray[np.float64]:
    """Power [frame, line] of frames of `window` samples, half over one another, padded to so many times as long."""
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), window)[:: window // 2]
    spectra: npt.NDArray[np.float64] = np.abs(np.fft.rfft(frames * np.hanning(window), padded * window, axis=1)) ** 2
    return spectra


def _loud(power: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Frames within 35 dB of the loudest."""
    return power > power.max() * 10**-3.5


_BAND_DB = 50.0
"""A band holds speech where it is within this of the strongest."""


def band_edges(signal: Signal) -> tuple[float, float]:
    """(low, high) in Hz between which the signal has something: the bins (31 Hz) whose 95 % quantile of power over the
    frames lies within 50 dB of the strongest. Noise beyond a band limit widens it."""
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), 512)[::256] * np.hanning(512)
    power = np.quantile(np.abs(np.fft.rfft(frames, axis=1)) ** 2, 0.95, axis=0)[1:]
    within = np.flatnonzero(power > power.max() * 10 ** (-_BAND_DB / 10))
    if not within.size:
        return 0.0, 0.0
    return float(within[0] * SAMPLE_RATE / 512), float((within[-1] + 1) * SAMPLE_RATE / 512)


def silent_share(signal: Signal) -> float:
    """Share of 20 ms frames in which nothing moves: digital silence, with or without an offset."""
    whole = signal[: signal.size // FRAME * FRAME].reshape(-1, FRAME)
    return float(np.mean(np.ptp(whole, axis=1) == 0))


def clip_measures(signal: Signal) -> dict[str, float]:
    """Of a whole clip: `level_dbov`, active level (ITU-T P.56); `floor_db`, dB from the speech to the level in pauses,
    A-weighted, at most 75; `low_hz`, `high_hz`, the band it fills; `silent_share`, share of digital silence."""
    centred = signal - np.mean(signal, dtype=np.float64).astype(np.float32)
    low, high = band_edges(centred)
    return {
        "level_dbov": active_level(signal),
        "floor_db": a_weighted_gap(centred),
        "low_hz": low,
        "high_hz": high,
        "silent_share": silent_share(signal),
    }
