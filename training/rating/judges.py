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

from training.simulation.measures import SAMPLE_RATE, Signal
from training.streams import Stream, stream

SEGMENT_S = 7.68
"""What Distill-MOS reads at once. Of a longer clip it hears the loudest stretch of this length, DNSMOS the same of its
own 9.01 s: more takes time and tells little else."""
_DNSMOS_SAMPLES = 144_160  # 9.01 s
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
    and where it is `discontinuous`, `plcmos`."""
    said = {"distill_mos": distill_mos(samples), **dnsmos(samples)}
    if discontinuous:
        said["plcmos"] = plcmos(samples)
    return {name: round(value, 3) for name, value in said.items()}


def distill_mos(samples: Signal) -> float:
    """Overall quality, by Distill-MOS."""
    heard = torch.from_numpy(_loudest(samples, int(SEGMENT_S * SAMPLE_RATE)))[None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        return float(_distill_mos()(heard))


def dnsmos(samples: Signal) -> dict[str, float]:
    """Signal, background and overall quality by DNSMOS P.835. A short clip is repeated, as the package does."""
    heard = _loudest(samples, _DNSMOS_SAMPLES)
    while heard.size < _DNSMOS_SAMPLES:
        heard = np.concatenate([heard, heard])
    (raw,) = _graph("dnsmos_models/sig_bak_ovr.onnx").run(None, {"input_1": heard[None, :_DNSMOS_SAMPLES]})
    return {
        name: float(np.polyval(curve, value))
        for (name, curve), value in zip(_DNSMOS_CURVES.items(), raw[0], strict=True)
    }


def plcmos(samples: Signal) -> float:
    """Overall quality of a clip that packets were lost of, by PLCMOS v2."""
    heard = _loudest(samples, int(SEGMENT_S * SAMPLE_RATE))
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


def _loudest(samples: Signal, size: int) -> Signal:
    """The `size` samples that hold the most power, or all."""
    if samples.size <= size:
        return samples
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = int(np.argmax(power[size:] - power[:-size]))
    return samples[start : start + size]
