"""Speech codecs, real ones, alone and in a row, at rates from good to unusable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from training.simulation import codec_libraries, line
from training.simulation.codec_libraries import Pcm, Transcode, ffmpeg
from training.simulation.library import Library, choose
from training.simulation.measures import (
    SAMPLE_RATE,
    Signal,
    active_level,
    fine_distance,
    pulse_change,
    spectral_distance,
    voicing_change,
)
from training.simulation.stage import Degradation, Family, Materials, Params, Place, Rng, to_level

TELEPHONE = 8_000


@dataclass(frozen=True)
class Codec:
    """One codec at its own sampling rate."""

    rate: int
    """Hz."""
    delay: int
    """Samples at that rate by which the decoded speech lags."""
    transcode: Transcode
    rated: Mapping[int, float]
    """Bit rate → Distill-MOS, mean of 8 talkers who have 4.18 uncoded; those at 8 kHz in a band of 200 to 3600 Hz."""

    @property
    def harm(self) -> dict[int, float]:
        """Bit rate → severity at which it is drawn, 0 to 1."""
        return {rate: float(np.clip((4.18 - mos) / 2.4, 0, 1)) for rate, mos in self.rated.items()}


_VOICE = {"application": "voip", "vbr": "off", "compression_level": "5"}
_LOW_DELAY = {"application": "lowdelay", "vbr": "off", "compression_level": "5"}
CODECS: dict[str, Codec] = {
    "aac": Codec(
        16_000,
        1024,
        ffmpeg("aac", 16_000),
        {8_000: 2.17, 12_000: 2.60, 16_000: 3.07, 24_000: 3.05, 32_000: 3.75, 48_000: 4.00},
    ),
    "amr-nb": Codec(
        8_000,
        40,
        ffmpeg("libopencore_amrnb", 8_000),
        {4_750: 3.30, 5_150: 3.41, 5_900: 3.47, 6_700: 3.55, 7_400: 3.64, 7_950: 3.60, 10_200: 3.73, 12_200: 3.79},
    ),
    "amr-wb": Codec(
        16_000, 95, codec_libraries.amr_wb, {6_600: 3.00, 8_850: 3.51, 12_650: 3.75, 15_850: 3.79, 23_850: 3.97}
    ),
    "g711-a": Codec(8_000, 0, ffmpeg("pcm_alaw", 8_000), {64_000: 3.79}),
    "g711-mu": Codec(8_000, 0, ffmpeg("pcm_mulaw", 8_000), {64_000: 3.79}),
    "g722": Codec(16_000, 22, ffmpeg("g722", 16_000), {64_000: 4.11}),
    "g723": Codec(8_000, 60, ffmpeg("g723_1", 8_000), {6_300: 3.45}),
    "g726": Codec(
        8_000, 0, ffmpeg("g726", 8_000, bits_a_sample=True), {16_000: 2.77, 24_000: 3.29, 32_000: 3.58, 40_000: 3.71}
    ),
    "g729": Codec(8_000, 40, codec_libraries.g729, {8_000: 3.61}),
    "gsm": Codec(8_000, 0, codec_libraries.gsm, {13_200: 3.35}),
    "lc3": Codec(
        16_000, 40, codec_libraries.lc3, {16_000: 3.42, 20_000: 3.81, 24_000: 3.99, 32_000: 4.08, 48_000: 4.17}
    ),
    "mp3": Codec(
        16_000,
        0,
        ffmpeg("libmp3lame", 16_000, "mp3float"),
        {8_000: 2.59, 16_000: 3.24, 24_000: 3.57, 32_000: 4.02, 48_000: 4.09},
    ),
    "opus": Codec(
        16_000,
        0,
        ffmpeg("libopus", 16_000, options=_VOICE),
        {6_000: 2.38, 8_000: 3.26, 10_000: 3.41, 12_000: 3.46, 16_000: 3.81, 24_000: 4.17, 32_000: 4.22},
    ),
    "opus-low-delay": Codec(
        16_000,
        0,
        ffmpeg("libopus", 16_000, options=_LOW_DELAY),
        {6_000: 2.22, 8_000: 2.57, 12_000: 3.29, 16_000: 3.62, 24_000: 3.91, 32_000: 3.98, 48_000: 4.10},
    ),
    "opus-nb": Codec(8_000, 0, ffmpeg("libopus", 8_000, options=_VOICE), {6_000: 2.86, 8_000: 3.38, 12_000: 3.66}),
    "sbc": Codec(
        16_000,
        73,
        ffmpeg("sbc", 16_000),
        {16_000: 1.75, 20_000: 2.56, 24_000: 2.84, 32_000: 3.22, 48_000: 3.81, 64_000: 4.08},
    ),
    "speex-nb": Codec(
        8_000,
        80,
        codec_libraries.speex(8_000),
        {2_150: 1.92, 3_950: 2.45, 5_950: 2.99, 8_000: 3.37, 11_000: 3.58, 15_000: 3.65, 18_200: 3.71},
    ),
    "speex-wb": Codec(
        16_000,
        223,
        codec_libraries.speex(16_000),
        {3_950: 1.82, 5_750: 2.29, 7_750: 2.83, 9_800: 3.40, 12_800: 3.80, 16_800: 3.94, 20_600: 3.88, 27_800: 4.04},
    ),
}


NEAR = 0.1
"""Codecs whose severity is this near to the one asked for are all as likely."""
TANDEMS = {1: 0.75, 2: 0.17, 3: 0.08}
"""How many codecs a call passes, and how often."""
_SHARES = {1: 1.0, 2: 0.6, 3: 0.45}
_LOW_HZ, _HIGH_HZ = (80, 320), (3300, 3800)


def draw(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    """One to three codecs, the more of them the milder each. Distill-MOS of 8 talkers, 4.18 uncoded, at severities 0,
    0.25, 0.5, 0.75 and 1: 4.13, 3.47, 2.79, 2.28, 1.68."""
    count = int(rng.choice(list(TANDEMS), p=list(TANDEMS.values())))
    codecs = [_near(severity * _SHARES[count], rng) for _ in range(count)]
    band = draw_band(rng)
    return {"codecs": codecs, "band": band if any(CODECS[kind].rate == TELEPHONE for kind, _ in codecs) else None}


def draw_band(rng: Rng) -> dict[str, float]:
    """What a telephone passes, from its old filter to nearly all that 8 kHz can carry."""
    low, high = (float(round(rng.uniform(*edges))) for edges in (_LOW_HZ, _HIGH_HZ))
    return {"low_hz": low, "high_hz": high}


def _near(severity: float, rng: Rng) -> list[Any]:
    """A codec that does about as much harm at one of its rates, and that rate; or what comes nearest."""
    off = {
        kind: min((abs(harm - severity), rate) for rate, harm in codec.harm.items()) for kind, codec in CODECS.items()
    }
    nearest = min(distance for distance, _ in off.values())
    kind = choose([kind for kind, (distance, _) in off.items() if distance <= max(NEAR, nearest)], rng)
    return [kind, off[kind][1]]


def codec(speech: Signal, params: Params, materials: Materials, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    """Speech through `codecs` ([kind, bit/s] each, one after another), their delays undone, level kept; before one that
    works at 8 kHz through the filter of a telephone, `band` (as the family of that name takes it).

    Measured without the telephone's band, which is a degradation of its own: see `coding_measures`. Silence is passed
    on, and so is what lies below a codec's last bit."""
    if not speech.any():
        return speech, ()
    degradations: tuple[Degradation, ...] = ()
    sent = speech
    if params["band"]:
        sent, degradations = line.band(speech, params["band"], materials, rng)
    coded = sent
    for kind, bit_rate in params["codecs"]:
        coded = through(coded, CODECS[kind], bit_rate, rng)
    if not coded.any():
        return speech, ()
    coded = to_level(coded, active_level(speech))
    heard_of = narrow(sent) if params["band"] else sent
    kinds = "+".join(kind for kind, _ in params["codecs"])
    return coded, (Degradation("codec", kinds, "coding", coding_measures(heard_of, coded)), *degradations)


def coding_measures(before: Signal, after: Signal) -> dict[str, float]:
    """What coding did to timbre, harmonics, voicing and the pulses of a voice, as measures.py explains. Over 77 codecs
    and rates and 15 severities of vocoders, each the mean of 8 talkers, 0.30 fine_db + 0.07 spectral_db + 4.7 voicing +
    0.30 pulse_db − 0.36 follows what Distill-MOS takes off at r = .94 (RMSE .27); spectral_db alone at .79 (.47)."""
    return {
        "spectral_db": spectral_distance(before, after),
        "fine_db": fine_distance(before, after),
        "voicing": voicing_change(before, after),
        "pulse_db": pulse_change(before, after),
    }


def through(speech: Signal, codec: Codec, bit_rate: int, rng: Rng) -> Signal:
    """Coded and decoded in the middle of a call, a random part of a frame away from where the clip begins: before and
    after it goes on, mirrored."""
    gain = min(1.0, 0.97 / max(float(np.abs(speech).max()), 1e-9))
    samples = soxr.resample(speech * gain, SAMPLE_RATE, codec.rate)
    lead = int(rng.integers(codec.rate // 10, codec.rate * 3 // 10))
    call = np.pad(samples, (lead, codec.delay + codec.rate // 20), mode="reflect")
    pcm: Pcm = np.round(np.clip(call, -1, 1) * 32767).astype(np.int16)
    first = lead + codec.delay
    decoded = codec.transcode(pcm, bit_rate)[first : first + samples.size].astype(np.float32) / (32767 * gain)
    return as_long(soxr.resample(decoded, codec.rate, SAMPLE_RATE), speech.size)


def narrow(speech: Signal) -> Signal:
    """What a sampling rate of 8 kHz leaves."""
    return as_long(soxr.resample(soxr.resample(speech, SAMPLE_RATE, TELEPHONE), TELEPHONE, SAMPLE_RATE), speech.size)


def as_long(samples: Signal, size: int) -> Signal:
    """Cut, or continued with silence, to `size`."""
    fitted = np.zeros(size, np.float32)
    fitted[: samples.size] = samples[:size]
    return fitted


FAMILIES = (Family("codec", Place.CODING, 3.0, draw, codec),)
