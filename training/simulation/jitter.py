"""A jitter buffer that runs empty or full: it repeats what it has, jumps over what it missed, or changes the pace."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from training.simulation.interruptions import Span, active_samples, toll
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng

_OVERLAP = 160  # 10 ms: half a window of WSOLA
_TOLERANCE = 120  # 7.5 ms: half the longest pitch period looked for


def _draw_jitter(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    kind = str(rng.choice(list(_OFTEN), p=list(_OFTEN.values())))
    return {"kind": kind, **_DRAWS[kind](severity, rng)}


def jitter(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """What `kind` of KINDS does: see there for parameters and measures. The length changes where time does."""
    return KINDS[params["kind"]](speech, params, rng)


def _draw_stutter(severity: float, rng: Rng) -> dict[str, Any]:
    return {
        "per_s": float(np.interp(severity, *STUTTERS)),
        "piece_ms": float(np.exp(rng.uniform(np.log(15), np.log(120)))),
        "times": int(rng.integers(1, 4)),
        "in_place": bool(rng.random() < 0.5),
    }


def _stutter(speech: Signal, params: Params, rng: Rng) -> Done:
    """At `per_s` moments a second, the last `piece_ms` are heard `times` more: in place of what follows where
    `in_place`, else before it. Measures: `repeated_share`, what is heard twice over active speech; `repeats_per_s`;
    `repeat_ms`, the mean length."""
    piece = round(params["piece_ms"] * SAMPLE_RATE / 1000)
    extra = piece * params["times"]
    spans = _apart(_moments(speech, params["per_s"], rng), extra, piece, speech.size - extra)
    parts, end = [], 0
    for first, last in spans:
        parts += [speech[end:first], np.tile(speech[first - piece : first], params["times"])]
        end = last if params["in_place"] else first
    heard = toll(active_samples(speech), spans)
    if heard is None:
        return speech, ()
    measures = {"repeated_share": heard.share, "repeats_per_s": heard.per_s, "repeat_ms": heard.mean_ms}
    return np.concatenate([*parts, speech[end:]]), (Degradation("jitter", "stutter", "stutter", measures),)


def _draw_skip(severity: float, rng: Rng) -> dict[str, Any]:
    return {
        "per_s": float(np.interp(severity, *SKIPS)),
        "skip_ms": float(np.exp(rng.uniform(np.log(30), np.log(300)))),
    }


def _skip(speech: Signal, params: Params, rng: Rng) -> Done:
    """At `per_s` moments a second, `skip_ms` are left out. Measures: `_measures`."""
    skip = round(params["skip_ms"] * SAMPLE_RATE / 1000)
    spans = _apart(_moments(speech, params["per_s"], rng), skip, skip, speech.size - skip)
    parts, end = [], 0
    for first, last in spans:
        parts.append(speech[end:first])
        end = last
    return np.concatenate([*parts, speech[end:]]), _skipped("skip", speech, spans, [], 1.0)


def _draw_stretch(severity: float, rng: Rng) -> dict[str, Any]:
    return {
        "per_s": float(rng.uniform(0.3, 0.5) + 0.6 * severity),
        "factor": float(np.interp(severity, *STRETCHES)),
        "stretch_ms": float(np.exp(rng.uniform(np.log(200), np.log(800)))),
    }


def _stretch(speech: Signal, params: Params, rng: Rng) -> Done:
    """At `per_s` moments a second, `stretch_ms` of speech take `factor` of their time, and the next speech is hurried
    until the delay is made up: WSOLA. Measures: `_measures`."""
    slow = round(params["stretch_ms"] * SAMPLE_RATE / 1000)
    hurry = round(slow * params["factor"])  # at 1 / factor of its time it makes up what was lost
    spans = _apart(_moments(speech, params["per_s"], rng), slow + hurry, 0, speech.size - slow - hurry)
    knots = [(0, 0)]
    for first, last in spans:
        knots += [(first, first), (first + round(slow * params["factor"]), first + slow), (last, last)]
    warped = wsola(speech, [*knots, (speech.size, speech.size)])
    return warped, _skipped("stretch", speech, [], spans, params["factor"])


def _skipped(
    kind: str, speech: Signal, skips: list[Span], stretches: list[Span], factor: float
) -> tuple[Degradation, ...]:
    """`skipped_share` of active speech, `skips_per_s` and `skip_ms`; `stretched_share` of active speech, and
    `stretch_factor`, the slowest pace over the natural one; 0 and 1 where there is none."""
    active = active_samples(speech)
    skipped, stretched = toll(active, skips), toll(active, stretches)
    if skipped is None and stretched is None:
        return ()
    measures = {
        "skipped_share": skipped.share if skipped else 0.0,
        "skips_per_s": skipped.per_s if skipped else 0.0,
        "skip_ms": skipped.mean_ms if skipped else 0.0,
        "stretched_share": stretched.share if stretched else 0.0,
        "stretch_factor": factor if stretched else 1.0,
    }
    return (Degradation("jitter", kind, "skips", measures),)


def _moments(speech: Signal, per_s: float, rng: Rng) -> list[int]:
    """`per_s` moments a second on average, in order, at any sample."""
    count = int(rng.poisson(per_s * speech.size / SAMPLE_RATE))
    return sorted(int(moment) for moment in rng.integers(speech.size, size=count))


def _apart(moments: list[int], length: int, earliest: int, latest: int) -> list[Span]:
    """A span of `length` from each moment that leaves room for it within [earliest, latest] and after the last one."""
    spans: list[Span] = []
    for moment in moments:
        if max(earliest, spans[-1][1] if spans else 0) <= moment <= latest:
            spans.append((moment, moment + length))
    return spans


def wsola(speech: Signal, knots: list[tuple[int, int]]) -> Signal:
    """Time-scale modification by waveform similarity overlap-add (Verhelst and Roelands 1993): `knots` say which
    sample of `speech` is due at which sample of the output, linear in between, in rising order.

    Where what is due lies within 7.5 ms of where the output naturally goes on, it goes on, and nothing changes. So
    the pace changes by leaving out or repeating about a pitch period at a time, as jitter buffers do it. (The library
    audiotsm knows one pace for the whole signal, and was last released in 2017.)
    """
    (start, origin), (length, end) = knots[0], knots[-1]
    margin = 2 * _OVERLAP  # beyond both ends time goes on as it does
    due, place = np.array([(start - margin, origin - margin), *knots, (length + margin, end + margin)], float).T
    window = np.hanning(2 * _OVERLAP + 1)[:-1]
    padding = 2 * margin + _TOLERANCE
    padded = np.pad(speech.astype(np.float64), padding)
    frames = -(-length // _OVERLAP) + 1
    targets = np.round(np.interp((np.arange(frames) - 1) * _OVERLAP, due, place)).astype(int) + padding
    output = np.zeros((frames + 1) * _OVERLAP)
    natural = int(targets[0])
    for index, target in enumerate(targets):
        if abs(target - natural) > _TOLERANCE:
            natural = target + _alike(padded, natural, target)
        output[index * _OVERLAP : (index + 2) * _OVERLAP] += padded[natural : natural + 2 * _OVERLAP] * window
        natural += _OVERLAP
    return output[_OVERLAP : _OVERLAP + length].astype(np.float32)


def _alike(padded: npt.NDArray[np.float64], natural: int, target: int) -> int:
    """The step from `target` to where the signal looks most like what would naturally come."""
    wanted = padded[natural : natural + 2 * _OVERLAP]
    around = padded[target - _TOLERANCE : target + _TOLERANCE + 2 * _OVERLAP]
    candidates = np.lib.stride_tricks.sliding_window_view(around, 2 * _OVERLAP)
    # einsum and not @: a sum whose order depends on no library's threads.
    likeness = np.einsum("ln,n->l", candidates, wanted)
    return int(np.argmax(likeness / np.sqrt(np.einsum("ln,ln->l", candidates, candidates) + 1e-9))) - _TOLERANCE


KINDS = {"stutter": _stutter, "skip": _skip, "stretch": _stretch}
_OFTEN = {"stutter": 0.4, "skip": 0.3, "stretch": 0.3}
_DRAWS = {"stutter": _draw_stutter, "skip": _draw_skip, "stretch": _draw_stretch}

# Mean Distill-MOS / PLCMOS of ten talkers (unharmed 4.1 / 4.1) at severities 0.1, 0.5, 0.9: stutter 3.8, 3.3, 2.6 /
# 3.7, 3.0, 2.4; skips 4.0, 3.5, 3.4 / 4.0, 3.7, 3.4; stretched speech 4.1, 3.9, 3.5 / 4.0, 3.9, 3.7. Neither knows what
# was said: words that are gone, or that drag, harm more than they tell.
STUTTERS = ([0.0, 0.3, 0.6, 1.0], [0.15, 0.6, 1.6, 5.0])
"""Severity → repeats a second."""
SKIPS = ([0.0, 0.3, 0.6, 1.0], [0.2, 0.6, 1.6, 4.0])
"""Severity → skips a second."""
STRETCHES = ([0.0, 1.0], [1.2, 2.5])
"""Severity → time that slow speech takes over its own."""

FAMILIES = (Family("jitter", Place.NETWORK, 1.0, _draw_jitter, jitter),)
