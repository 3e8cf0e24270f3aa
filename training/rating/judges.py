"""Predictors trained on human ratings, as witnesses of a clip: nobody listened to it, but they have an opinion.

* Distill-MOS (MIT): overall quality. `pip install --no-deps distillmos xls-r-sqa`: what they depend on asks for a
  torchaudio that is not needed for arrays.
* DNSMOS P.835 and PLCMOS (package speechmos, MIT): signal, background and overall quality; lost packets. Their ONNX
  graphs are run here as the package runs them; its own modules import more than that needs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from training.simulation.measures import SAMPLE_RATE, Signal, active_samples
from training.streams import Stream, stream

_DISTILL_SAMPLES = 122_880  # 7.68 s
_DNSMOS_SAMPLES = 144_160  # 9.01 s
_AROUND_S = 0.25
"""What is left of the silence around the speech."""
_DNSMOS_CURVES = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
"""Polynomials that bring the graph's output to P.835's scales, as the package has them."""
_PLCMOS_RATERS = 8
"""PLCMOS is asked as so many raters (random embeddings, the same for each clip), and the mean is taken."""


@contextmanager
def _stand_in(name: str) -> Iterator[None]:
    """An empty module of that name, for the block alone: others ask whether the package is installed."""
    there = name in sys.modules
    sys.modules.setdefault(name, ModuleType(name))
    try:
        yield
    finally:
        if not there:
            del sys.modules[name]


@cache
def _distill_mos() -> Any:
    try:
        with _stand_in("torchaudio"):  # imported there to load files only
            from distillmos import ConvTransformerSQAModel
    except ImportError as error:
        raise ModuleNotFoundError(f"{error}: pip install --no-deps distillmos xls-r-sqa") from error

    return ConvTransformerSQAModel().eval()


@cache
def _graph(name: str) -> ort.InferenceSession:
    """An ONNX graph of the package speechmos, on one thread: judging has a process for each core."""
    try:
        path = files("speechmos") / name
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: pip install --no-deps speechmos") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def witness(samples: Signal, *, discontinuous: bool) -> dict[str, float]:
    """What the predictors say of a clip, float32 [n] at 16 kHz, on scales of 1–5: `distill_mos`, `sig`, `bak`, `ovrl`,
    and where it is `discontinuous`, `plcmos`. They hear it without the silence around and without an offset, which move
    them and nobody else; of a clip under 2 s they say too little."""
    heard = _spoken(samples)
    said = {"distill_mos": distill_mos(heard), **dnsmos(heard)}
    if discontinuous:
        said["plcmos"] = plcmos(heard)
    return {name: round(value, 3) for name, value in said.items()}


def distill_mos(samples: Signal) -> float:
    """Overall quality, by Distill-MOS. A short clip is repeated. Filled up with silence, as the package does it, pieces
    of 2 to 4 s of 24 clean clips were rated 0.6 to 0.8 below the whole; repeated, 0.0 to 0.2 (of one second 0.7)."""
    heard = torch.from_numpy(_segment(samples, _DISTILL_SAMPLES))[None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        return float(_distill_mos()(heard))


def dnsmos(samples: Signal) -> dict[str, float]:
    """Signal, background and overall quality by DNSMOS P.835. A short clip is repeated, as the package does."""
    heard = _segment(samples, _DNSMOS_SAMPLES)
    (raw,) = _graph("dnsmos_models/sig_bak_ovr.onnx").run(None, {"input_1": heard[None]})
    return {
        name: float(np.polyval(curve, value))
        for (name, curve), value in zip(_DNSMOS_CURVES.items(), raw[0], strict=True)
    }


def plcmos(samples: Signal) -> float:
    """Overall quality of a clip that packets were lost of, by PLCMOS v2."""
    heard = samples if samples.size <= _DISTILL_SAMPLES else _segment(samples, _DISTILL_SAMPLES)
    raters = stream(Stream.WITNESS, 0).standard_normal((_PLCMOS_RATERS, 64)).astype(np.float32)
    spectra = _log_spectra(heard)[None, None]
    graph = _graph("plcmos_models/plcmos_v2.onnx")
    opinions = [graph.run(None, {"degraded_audio": spectra, "rater_embed": rater[None]})[0] for rater in raters]
    return float(np.mean(opinions))


def _log_spectra(samples: Signal) -> Signal:
    """[frames, 257]: log power of 512-sample Hamming windows, hop 256, the first of them ending with the first hop, as
    PLCMOS was given it; what is zero lies 120 dB below the faintest that is not."""
    window, hop = 512, 256
    count = -(-(samples.size + hop) // hop)
    padded = np.zeros((count - 1) * hop + window)
    padded[hop : hop + samples.size] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * np.hamming(window + 1)[:-1]
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    least = power[power > 0].min(initial=1.0) * 10**-12
    return (np.log(np.maximum(power, least)) / 20).astype(np.float32)


def _spoken(samples: Signal) -> Signal:
    """From the first to the last active frame, without an offset."""
    centred = (samples - np.mean(samples, dtype=np.float64)).astype(np.float32)
    active = np.flatnonzero(active_samples(centred))
    if not active.size:
        return centred
    around = int(_AROUND_S * SAMPLE_RATE)
    return centred[max(0, active[0] - around) : active[-1] + 1 + around]


def _segment(samples: Signal, size: int) -> Signal:
    """The `size` samples that hold the most power, as more takes time and tells little else; a short clip repeated."""
    if samples.size <= size:
        return np.resize(samples, size)
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = int(np.argmax(power[size:] - power[:-size]))
    return samples[start : start + size]
