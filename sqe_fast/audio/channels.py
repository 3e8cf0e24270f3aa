"""Which channels of a recording are heard: what each carries is compared with what the others do, second by second.

A telephone call has a talker on each channel; a song, a room or a mono recording that was copied has the same sound on
all of them. Only the samples tell. So, while a recording is measured, each second of each channel is searched for in
every other channel, at any delay up to 40 ms, in either polarity and at any level.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.features import FloatArray
from sqe_fast.audio.joined import Samples
from sqe_fast.audio.level import SILENCE_DBFS
from sqe_fast.errors import ClipError, ErrorCode

BoolArray = npt.NDArray[np.bool_]
_Named = Literal["auto", "mix", "each"]
Channels = _Named | int
"""What is heard of a recording of several channels. "mix": their mean. "each": every one by itself. A number: that one,
the first is 0. "auto": where they carry the same, one sound that stands for all, their mean if it loses nothing; else
each that carries something of its own."""

MAX_DELAY = 0.04
"""Seconds by which one channel may lag behind another with the same sound."""
SAME = 0.4
"""Correlation from which a second of one channel is found in another. That of two talkers is 0.06 in the median second
and under 0.25 in 99 of 100; that of one is 1 whatever the delay and polarity, and at least 0.5 where the channels went
through MP3, Vorbis or Opus at their worst."""
MAX_LOSS_DB = 4.0
"""By how much weaker a second may be in the channel, or the mean, that stands for all. A talker's microphone picks the
other talker up at -12 dB and less, and of such two channels the mean loses more."""
MEAN_DB = 1.0
"""By how much more the mean may lose than a channel that stands for all, and is taken before it: of all noises that the
channels have of their own it has the least."""
RANGE_DB, STANDS_OUT_DB = 30.0, 6.0
"""A second counts where its level is within the first of its channel's loudest, and either the second above those of
the channel's quietest tenth or within the second of its loudest. In pauses each channel has a noise of its own."""
LOUD_DB = 10.0
"""Seconds within this of a channel's loudest are in each channel that carries the same, however much weaker that is."""
BAND = 200.0, 4_000.0
"""Hertz that are compared: without the hum that strange channels may have in common."""
_RATE = 8_000
"""Hertz of the samples that are compared: twice the band."""


def checked(channels: Any) -> Channels:
    """Raises ValueError for what is no choice of channels."""
    if channels in get_args(_Named) or (type(channels) is int and channels >= 0):
        chosen: Channels = channels
        return chosen
    named = ", ".join(get_args(_Named))
    raise ValueError(f"channels {channels!r}: pass one of {named}, or a channel's number; the first is 0")


class Heard(NamedTuple):
    """What one row is about."""

    column: int | None
    """The channel that is taken; None for the mean of all."""
    channel: int | None
    """As its row names it; None where the row is about the recording as a whole."""


def chosen(channels: Channels, count: int) -> list[Heard]:
    """Of `count` channels, by a choice that needs no look at the samples. Raises ClipError (`no_such_channel`)."""
    if channels == "each":
        return [Heard(column, column) for column in range(count)]
    if isinstance(channels, int):
        if channels >= count:
            held = f"{count} channel{'s' if count > 1 else ''}, and the first is 0"
            raise ClipError(ErrorCode.NO_SUCH_CHANNEL, f"no channel {channels}: the recording has {held}")
        return [Heard(channels, channels)]
    return [Heard(0 if count == 1 else None, None)]


class ChannelScan:
    """Compares the channels of one recording over its blocks [frames, channels], at its own rate. Holds some seconds of
    sound, and of each second that it has heard 4 bytes a channel and 3 a pair of them."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._margin = round(MAX_DELAY * rate)
        self._window = rate + 2 * self._margin
        self._held: Samples = np.empty((0, channels), np.float32)
        self._levels, self._found = bytearray(), bytearray()

    def add(self, block: Samples) -> None:
        self._held = np.concatenate([self._held, block])
        while len(self._held) > self._window + self._rate:  # the last second begins among what is held
            self._compare(self._held[: self._window])
            self._held = self._held[self._rate :]

    def finish(self) -> None:
        """Compare what is left: the last second, too, of which a part may have been compared already."""
        self._compare(self._held[: self._window])
        if len(self._held) > self._window:
            self._compare(self._held[-self._window :])

    def heard(self) -> list[Heard]:
        """One for the recording as a whole where its channels carry the same; else one for each that carries something
        of its own. None where no channel has any sound."""
        all_levels, found = self._stored()
        levels = all_levels[:, :-1]
        counts = _standing_out(levels)
        sounding = np.any(counts, axis=0)
        if not sounding.any():
            return []
        loud = counts & (levels >= levels.max(axis=0) - LOUD_DB)
        # [of, in], whether all that the one carries is in the other: what is loud; everything, and nearly as loud.
        there = (found[..., _THERE] | ~loud[:, :, np.newaxis]).all(axis=0)
        nearly_as_loud = (found[..., _NEARLY_AS_LOUD] | ~counts[:, :, np.newaxis]).all(axis=0)
        stands_for = (nearly_as_loud & there.T) | ~sounding[:, np.newaxis]

        energy = np.where(counts, 10 ** (levels / 10), 0).sum(axis=0)
        by_energy = np.argsort(-np.round(10 * np.log10(energy + 1e-20)), kind="stable")  # of equal ones the first
        for_all = [int(column) for column in by_energy if stands_for[:, column].all()]
        second, loudest = np.arange(len(levels)), np.where(counts, levels, -np.inf).argmax(axis=1)
        in_phase = (found[second, :, loudest, _IN_PHASE] | ~counts).all() and there[np.ix_(sounding, sounding)].all()
        losses = (levels[second, loudest, np.newaxis] - all_levels)[counts.any(axis=1)].max(axis=0)
        least = min((losses[column] + MEAN_DB for column in for_all), default=np.inf)
        if in_phase and losses[-1] <= min(MAX_LOSS_DB, least):
            return [Heard(None, None)]
        if for_all:
            return [Heard(for_all[0], None)]
        kept: list[int] = []
        for column in by_energy:
            if not stands_for[column, kept].any() and sounding[column]:
                kept.append(int(column))
        return [Heard(column, column) for column in sorted(kept)]

    def silent(self) -> list[int]:
        """The channels without a second of sound."""
        levels, _ = self._stored()
        return [int(column) for column in np.flatnonzero((levels[:, :-1] < SILENCE_DBFS).all(axis=0))]

    def _compare(self, window: Samples) -> None:
        """A second [frames, channels] with the frames before and after it, where other channels may have it."""
        alike = bool((window == window[:, :1]).all())
        bands = _band(window[:, :1] if alike else window, self._rate)
        margin = round(min(self._margin, len(window) // 4) * bands.shape[1] / len(window))
        second = bands[:, margin : bands.shape[1] - margin]
        levels = 10 * np.log10(np.square(np.vstack([second, second.mean(axis=0)])).mean(axis=1) + 1e-20)
        # Of channels that are alike to the bit, one was looked at.
        self._levels += np.resize(levels, self._channels + 1).astype(np.float32).tobytes()
        found = _searched(second, bands, margin)
        self._found += np.broadcast_to(found, (self._channels, self._channels, found.shape[2])).tobytes()

    def _stored(self) -> tuple[FloatArray, BoolArray]:
        """Levels in dBFS [seconds, channels + 1], the mean's the last; how each was found [seconds, of, in, 3]."""
        return (
            np.frombuffer(self._levels, np.float32).reshape(-1, self._channels + 1),
            np.frombuffer(self._found, np.bool_).reshape(-1, self._channels, self._channels, 3),
        )


def _band(window: Samples, rate: int) -> FloatArray:
    """[frames, channels] at `rate` → [channels, frames] at 8 kHz, or at `rate` where that is less: nothing but BAND."""
    faded: Samples = (window - window.mean(axis=0)).T
    fade = np.hanning(2 * round(MAX_DELAY / 2 * rate))
    faded[:, : len(fade) // 2] *= fade[: len(fade) // 2]
    faded[:, -len(fade) // 2 :] *= fade[-len(fade) // 2 :]  # edges would spread a hum over the band
    spectra = np.fft.rfft(faded.astype(np.float32), axis=1)
    size = min(len(window), round(len(window) * _RATE / rate))
    hertz = np.arange(size // 2 + 1) * rate / len(window)
    inside = (hertz >= BAND[0]) & (hertz < BAND[1])
    bands: FloatArray = np.fft.irfft(spectra[:, : len(hertz)] * inside, size, axis=1).astype(np.float32, copy=False)
    return bands * np.float32(size / len(window))


_THERE, _NEARLY_AS_LOUD, _IN_PHASE = range(3)
"""How a second of one channel is found in another: at all; no weaker than by MAX_LOSS_DB; without any delay and in the
same polarity."""


def _searched(second: FloatArray, bands: FloatArray, margin: int) -> BoolArray:
    """[of, in, 3]: how the `second` [channels, n] of each channel is found in the `bands` of each, which are longer by
    `margin` at both ends."""
    size, n = bands.shape[1], second.shape[1]
    spectra = np.conj(np.fft.rfft(second, size, axis=1))[:, np.newaxis] * np.fft.rfft(bands, axis=1)
    products = np.fft.irfft(spectra, size, axis=2)[:, :, : 2 * margin + 1]
    sums = np.cumsum(np.square(np.pad(bands, ((0, 0), (1, 0))), dtype=np.float64), axis=1)
    energy = sums[:, n:] - sums[:, :-n]
    own = np.square(second, dtype=np.float64).sum(axis=1)[:, np.newaxis]
    correlation = products / np.sqrt(np.maximum(own[:, :, np.newaxis] * energy, 1e-20))
    best = np.abs(correlation).argmax(axis=2)
    of_each, in_each = np.indices(best.shape)
    highest = correlation[of_each, in_each, best]
    there = np.abs(highest) >= SAME
    nearly_as_loud = there & (energy[in_each, best] >= own * 10 ** (-MAX_LOSS_DB / 10))
    before, at, after = (correlation[:, :, margin + step] for step in (-1, 0, 1))
    # A parabola through the three has its top within a quarter of a sample.
    in_phase = (best == margin) & (highest >= SAME) & (2 * np.abs(after - before) <= 2 * at - before - after)
    return np.stack([there, nearly_as_loud, in_phase], axis=2)


def _standing_out(levels: FloatArray) -> BoolArray:
    """Which seconds [seconds, channels] are what their channel is about, and no pause."""
    sounding = levels >= SILENCE_DBFS
    loudest = levels.max(axis=0)
    quietest = np.empty_like(loudest)
    for channel, some in enumerate(sounding.T):
        quietest[channel] = np.percentile(levels[some, channel], 10) if some.any() else loudest[channel]
    either = np.minimum(quietest + STANDS_OUT_DB, loudest - STANDS_OUT_DB)
    standing: BoolArray = sounding & (levels >= np.maximum(loudest - RANGE_DB, either))
    return standing
