"""Speech coded by real codecs, lost on its way in packets, and concealed by the codec's own decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import soxr

from training.simulation import codec_libraries, line, opus
from training.simulation.codec_libraries import AMR_WB_RATES, LossyTranscode, Lost, Pcm
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.packets import CONCEALED, RESTORED, draw_losses, loss_measures, lost_packets, spans_of
from training.simulation.speech_codecs import TELEPHONE, coding_measures, narrow
from training.simulation.stage import Degradation, Family, Materials, Params, Place, Rng

OverNetwork = Callable[[Pcm, int, int, Lost], Pcm]
"""Mono int16 [n] at the codec's own rate, bit rate (bit/s), samples a packet, lost packets → at least as much, late."""


@dataclass(frozen=True)
class Codec:
    """A codec whose decoder conceals."""

    rate: int
    """Hz."""
    delay: int
    """Samples at that rate by which the decoded speech lags."""
    bit_rates: tuple[int, ...]
    packets_ms: Mapping[int, float]
    """Lengths of packets, and how often they are met."""
    transcode: OverNetwork
    weight: float
    rates: list[float]
    """Shares of packets lost, one of those in packets.py."""


def _framed(transcode: LossyTranscode, frame: int) -> OverNetwork:
    """Packets that hold whole frames of `frame` samples."""

    def over_network(pcm: Pcm, bit_rate: int, packet: int, lost: Lost) -> Pcm:
        return transcode(pcm, bit_rate, np.repeat(lost, packet // frame))

    return over_network


def _draw(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    weights = np.array([codec.weight for codec in CODECS.values()])
    kind = str(rng.choice(list(CODECS), p=weights / weights.sum()))
    codec = CODECS[kind]
    losses = draw_losses(severity, codec.rates, codec.packets_ms, rng)
    band = {"low_hz": round(rng.uniform(80, 320)), "high_hz": round(rng.uniform(3300, 3800))}
    narrowed = band if codec.rate == TELEPHONE else None
    return {"kind": kind, "bit_rate": int(rng.choice(codec.bit_rates)), "band": narrowed, **losses}


def coded_loss(
    speech: Signal, params: Params, materials: Materials, rng: Rng
) -> tuple[Signal, tuple[Degradation, ...]]:
    """Speech by the codec `kind` of CODECS at `bit_rate` (bit/s), in packets of `packet_ms` at a random phase, lost as
    packets.lost_packets says; before a codec of 8 kHz, through the filter of a telephone, `band`.

    Measures of the loss: packets.loss_measures, against the same packets all decoded. Of the coding:
    speech_codecs.coding_measures. Of the band: line.band.
    """
    if not speech.any():
        return speech, ()
    codec = CODECS[params["kind"]]
    sent, done = line.band(speech, params["band"], materials, rng) if params["band"] else (speech, ())
    packet = params["packet_ms"] * codec.rate // 1000
    lead = int(rng.integers(packet))
    gain = min(1.0, 0.97 / float(np.abs(sent).max()))
    pcm = _to_pcm(soxr.resample(sent * gain, SAMPLE_RATE, codec.rate), lead, codec.delay + packet)
    lost = lost_packets(-(-pcm.size // packet), params, rng)
    first = lead + codec.delay
    coded, lossy = (
        _from_pcm(codec.transcode(pcm, params["bit_rate"], packet, missing)[first:], codec.rate, speech.size) / gain
        for missing in (np.zeros_like(lost), lost)
    )
    kind = str(params["kind"])
    coding = coding_measures(narrow(sent) if params["band"] else sent, coded)
    done = (*done, Degradation("coded_loss", kind, "coding", coding))
    scale = SAMPLE_RATE // codec.rate
    measures = loss_measures(speech, coded, lossy, spans_of(lost, packet * scale, first * scale, speech.size))
    return lossy, (*done, Degradation("coded_loss", kind, "packet loss", measures)) if measures else done


def _to_pcm(samples: Signal, before: int, after: int) -> Pcm:
    """Amid a call, which goes on mirrored before and after the clip."""
    pcm: Pcm = np.round(np.clip(np.pad(samples, (before, after), "reflect"), -1, 1) * 32767).astype(np.int16)
    return pcm


def _from_pcm(pcm: Pcm, rate: int, size: int) -> Signal:
    samples = soxr.resample(pcm.astype(np.float32) / 32767, rate, SAMPLE_RATE)[:size]
    return np.pad(samples, (0, size - samples.size))


_OPUS_MS = {10: 0.1, 20: 0.6, 40: 0.15, 60: 0.15}
_FRAMES_MS = {20: 0.7, 40: 0.2, 60: 0.1}
CODECS: dict[str, Codec] = {
    "opus": Codec(
        SAMPLE_RATE,
        opus.LOOKAHEAD["voip"],
        (8_000, 10_000, 12_000, 16_000, 20_000, 24_000, 32_000),
        _OPUS_MS,
        partial(opus.transcode, application="voip", redundant=False),
        0.3,
        CONCEALED,
    ),
    "opus-fec": Codec(
        SAMPLE_RATE,
        opus.LOOKAHEAD["voip"],
        (18_000, 20_000, 24_000, 32_000),
        _OPUS_MS,
        partial(opus.transcode, application="voip", redundant=True),
        0.2,
        RESTORED,
    ),
    "opus-low-delay": Codec(
        SAMPLE_RATE,
        opus.LOOKAHEAD["restricted_lowdelay"],
        (20_000, 24_000, 32_000),
        {10: 0.4, 20: 0.6},
        partial(opus.transcode, application="restricted_lowdelay", redundant=False),
        0.1,
        CONCEALED,
    ),
    "amr-wb": Codec(
        SAMPLE_RATE, 95, AMR_WB_RATES[1:], _FRAMES_MS, _framed(codec_libraries.amr_wb, 320), 0.15, CONCEALED
    ),
    "lc3": Codec(
        SAMPLE_RATE,
        40,
        (24_000, 32_000),
        {10: 0.5, 20: 0.5},
        _framed(codec_libraries.lc3, 160),
        0.05,
        CONCEALED,
    ),
    "speex-wb": Codec(
        SAMPLE_RATE,
        223,
        (12_800, 16_800, 20_600, 27_800),
        _FRAMES_MS,
        _framed(codec_libraries.speex(SAMPLE_RATE), 320),
        0.05,
        CONCEALED,
    ),
    "speex-nb": Codec(
        TELEPHONE,
        80,
        (8_000, 11_000, 15_000, 18_200),
        _FRAMES_MS,
        _framed(codec_libraries.speex(TELEPHONE), 160),
        0.05,
        CONCEALED,
    ),
    "g729": Codec(
        TELEPHONE,
        40,
        (8_000,),
        {10: 0.1, 20: 0.6, 30: 0.15, 40: 0.15},
        _framed(codec_libraries.g729, 80),
        0.1,
        CONCEALED,
    ),
}

FAMILIES = (Family("coded_loss", Place.CODING, 1.5, _draw, coded_loss),)
