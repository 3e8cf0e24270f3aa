"""What happens to a clip: stages in the order of a call, drawn so that the *ratings* they cause spread evenly."""

from __future__ import annotations

import numpy as np

from training.rating import raters
from training.rating.raters import Knots
from training.simulation.acoustics import SYNTHETIC
from training.simulation.library import Library
from training.simulation.simulate import STAGES
from training.simulation.speech_codecs import CODECS
from training.simulation.stage import Params

CODEC_RATES: dict[str, tuple[int | None, ...]] = {
    "opus": (6_000, 6_500, 8_000, 10_000, 12_000, 16_000),
    "mp3": (8_000, 12_000, 16_000, 24_000),
    "aac": (8_000, 10_000, 12_000, 16_000),
    "amr-nb": (4_750, 5_900, 7_950, 12_200),
    "g722": (64_000,),
    "g711-mu": (None,),
    "g711-a": (None,),
}
assert CODEC_RATES.keys() == CODECS.keys()

NOISINESS, COLORATION, DISCONTINUITY, LOUDNESS = 0.4, 0.45, 0.33, 0.33
"""How often each dimension is degraded; independently, so that every mixture occurs, and clips without any fault."""
TWICE_COLORED, SUPPRESSED, TANDEM = 0.25, 0.2, 0.3
"""How often a colored clip is colored twice, a noisy one is cleaned by a suppressor, and a coded one is coded again."""

Rng = np.random.Generator


def draw_recipe(lib: Library, rng: Rng) -> tuple[Params, ...]:
    stages: list[Params] = []
    if rng.random() < COLORATION:
        for _ in range(2 if rng.random() < TWICE_COLORED else 1):
            stages += _draw_coloration(lib, rng)
    if rng.random() < NOISINESS:
        stages.append(_draw_noise(lib, rng))
        if rng.random() < SUPPRESSED:
            stages.append(_draw_suppression(rng))
    if rng.random() < DISCONTINUITY:
        stages.append(_draw_discontinuity(rng))
    stages += _draw_loudness(rng)
    order = list(STAGES)
    return tuple(sorted(stages, key=lambda stage: order.index(stage["stage"])))


def _severity(knots: Knots, rng: Rng, best: float = 4.7) -> float:
    """The measure at which a curve takes a rating drawn evenly from 1 to `best`."""
    ascending = sorted((rating, measure) for measure, rating in knots)
    return float(np.interp(rng.uniform(1.0, best), [r for r, _ in ascending], [m for _, m in ascending]))


def _draw_noise(lib: Library, rng: Rng) -> Params:
    snr = _severity(raters.NOISE, rng)
    lot = rng.random()
    if lot < 0.42:
        return {"stage": "noise", "kind": str(rng.choice(SYNTHETIC)), "snr_db": snr}
    if lot < 0.55:
        talkers = [int(i) for i in rng.integers(len(lib.speech), size=int(rng.integers(4, 9)))]
        return {"stage": "noise", "kind": "babble", "source": "babble", "talkers": talkers, "snr_db": snr}
    category = str(rng.choice(sorted({category for _, category in lib.noises})))
    file = str(rng.choice([file for file, kind in lib.noises if kind == category]))
    return {"stage": "noise", "kind": category, "source": file, "snr_db": snr}


def _draw_suppression(rng: Rng) -> Params:
    over, depth = float(rng.uniform(2, 12)), float(rng.uniform(15, 35))
    return {"stage": "suppress", "over": over, "depth_db": depth, "floor_db": float(rng.uniform(-45, -18))}


def _draw_coloration(lib: Library, rng: Rng) -> list[Params]:
    stage = str(
        rng.choice(["reverb", "mnru", "clip", "band", "codec", "suppress"], p=[0.2, 0.13, 0.2, 0.22, 0.2, 0.05])
    )
    match stage:
        case "reverb" if rng.random() < 0.35:
            return [{"stage": stage, "kind": "real", "source": str(rng.choice(lib.rooms))}]
        case "reverb":
            rt60, distance = float(rng.uniform(0.2, 1.4)), float(rng.uniform(0.3, 3.5))
            return [{"stage": stage, "kind": "simulated", "rt60_s": rt60, "distance_m": distance}]
        case "mnru":
            return [{"stage": stage, "q_db": _severity(raters.DISTORTION, rng)}]
        case "clip":
            return [{"stage": stage, "headroom_db": float(rng.uniform(-12, 11))}]
        case "band":
            return [_draw_band(rng)]
        case "suppress":
            return [_draw_suppression(rng)]
    return [_draw_codec(rng) for _ in range(2 if rng.random() < TANDEM else 1)]


def _draw_band(rng: Rng) -> Params:
    lot = rng.random()
    low = 300.0 if lot < 0.25 else _severity(raters.HIGH_PASS, rng) if lot > 0.8 else 0.0
    high = 3400.0 if lot < 0.25 else 8000.0 if lot > 0.8 else _severity(raters.LOW_PASS, rng)
    return {"stage": "band", "low_hz": low, "high_hz": high}


def _draw_codec(rng: Rng) -> Params:
    kind = str(rng.choice(list(CODEC_RATES)))
    return {"stage": "codec", "kind": kind, "bit_rate": CODEC_RATES[kind][int(rng.integers(len(CODEC_RATES[kind])))]}


def _draw_discontinuity(rng: Rng) -> Params:
    share = _severity(raters.LOST_SHARE, rng, best=4.5)
    if rng.random() < 0.22:
        piece = float(rng.uniform(0.04, 0.12))
        return {"stage": "stutter", "piece_s": piece, "per_second": min(share / piece, 5.0)}
    kind = str(rng.choice(["silence", "repeat", "pitch"], p=[0.6, 0.2, 0.2]))
    share /= raters.CONCEALED.get(kind, 1.0)
    return {"stage": "loss", "kind": kind, "rate": min(share, 0.5), "burst": float(rng.uniform(1.2, 5))}


def _draw_loudness(rng: Rng) -> list[Params]:
    """The level the call ends at, which every clip has, and now and then automatic gain that pumps."""
    level = float(rng.uniform(-29, -17))
    if rng.random() < LOUDNESS:
        lot = rng.random()
        if lot < 0.15:
            return [
                {"stage": "pumping", "depth_db": float(rng.uniform(3, 14))},
                {"stage": "level", "level_dbov": level},
            ]
        if lot < 0.27:
            level = _severity([knot for knot in raters.LEVEL if knot[0] >= -15], rng)
        else:
            level = _severity([knot for knot in raters.LEVEL if knot[0] <= -20], rng)
    return [{"stage": "level", "level_dbov": level}]
