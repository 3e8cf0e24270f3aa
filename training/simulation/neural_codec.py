"""A neural speech codec of our own, young and old, at one to eight codebooks: what such codecs do to a voice.

A convolutional autoencoder over the frames of a cosine transform (as MDCTCodec: Jiang et al., 2024) with
residual vector quantisation (as SoundStream: Zeghidour et al., 2021, arXiv:2107.03312), without an adversarial loss.
training/learning/neural_codec.py trains it, on clean speech of the training split. Its weights are part of the
simulation, so that a corpus comes again to the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import signal as dsp
from torch import nn
from torch.nn import functional as F

from training.configs import NeuralCodec
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.speech_codecs import coding_measures
from training.simulation.stage import Degradation, Family, Materials, Params, Place, Rng, to_level

HOP = 320
"""Samples of a frame: 20 ms."""
WIDTH = 96
LATENT = 24
CODEBOOKS = 8
CODES = 256
"""Codes in each codebook: 8 bits a frame, 400 bit/s a codebook."""
LEVEL_DBOV = -26.0
"""Active level at which the codec works."""
WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""Every age's, in half precision."""
AGES = NeuralCodec.ages
"""Training steps behind each; the fewer, the worse it sounds."""
FORGETTING = 0.99
"""Of the codebooks' moving averages, a batch."""
LEARNING_ONLY = ("sums", "counts", "num_batches_tracked")
"""Ends of the names of what a trained codec doesn't need."""
DEAD = 0.05
"""A code that is chosen less often than this share of the mean is thrown away while training."""


class Transform(nn.Module):
    """The modified discrete cosine transform with a sine window (Princen and Bradley, 1986), and its inverse."""

    basis: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        sample, bins = torch.arange(2.0 * HOP, dtype=torch.float64)[None] + 0.5, torch.arange(HOP)[:, None] + 0.5
        cosine = torch.cos(torch.pi / HOP * (sample + HOP / 2) * bins)
        window = torch.sin(torch.pi / (2 * HOP) * sample)
        self.register_buffer("basis", (cosine * window * (2 / HOP) ** 0.5).float(), persistent=False)

    def forward(self, speech: torch.Tensor) -> torch.Tensor:
        """[batch, n · HOP] to [batch, HOP, n + 1]."""
        frames = F.pad(speech, (HOP, HOP)).unfold(1, 2 * HOP, HOP)
        return self.basis @ frames.transpose(1, 2)

    def inverse(self, bins: torch.Tensor) -> torch.Tensor:
        """[batch, HOP, n + 1] to [batch, n · HOP]."""
        frames = bins.transpose(1, 2) @ self.basis
        return (frames[:, :-1, HOP:] + frames[:, 1:, :HOP]).flatten(1)


class Block(nn.Module):
    """A convolution over time within each channel, then two layers over the channels, beside the identity (Liu et al.,
    2022): [batch, WIDTH, n] to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.wide = nn.Conv1d(WIDTH, 2 * WIDTH, 1)
        self.narrow = nn.Conv1d(2 * WIDTH, WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.narrow(F.gelu(self.wide(self.over_time(x))))


@dataclass(frozen=True)
class Quantised:
    latent: torch.Tensor
    """[batch, LATENT, n], the sum of each clip's codes."""
    commitment: torch.Tensor
    """Mean squared distance of the residuals from their codes."""


class Quantiser(nn.Module):
    """Residual vector quantisation: each codebook says what the ones before left over."""

    codes: torch.Tensor
    sums: torch.Tensor
    counts: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(CODEBOOKS, CODES, LATENT))
        self.register_buffer("sums", torch.zeros(CODEBOOKS, CODES, LATENT))
        self.register_buffer("counts", torch.zeros(CODEBOOKS, CODES))

    def forward(self, latent: torch.Tensor, codebooks: torch.Tensor, seed: int | None = None) -> Quantised:
        """`latent` [batch, LATENT, n] by the first `codebooks` [batch] codebooks, see `Codec`. The gradient passes as
        if nothing had been quantised."""
        frames = latent.transpose(1, 2)  # [batch, n, LATENT]
        residual, total = frames.detach(), torch.zeros_like(frames)
        commitment = frames.new_zeros(())
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        for index in range(min(int(codebooks.max()), CODEBOOKS)):
            used = codebooks > index
            if generator is not None:
                self._learn(index, residual[used].flatten(0, 1), generator)
            codes = self.codes[index]
            code = F.embedding(_nearest(residual.flatten(0, 1), codes), codes).view_as(residual)
            total = total + code * used[:, None, None]
            commitment = commitment + F.mse_loss(frames[used], total[used])
            residual = frames.detach() - total
        total = torch.where((codebooks > CODEBOOKS)[:, None, None], frames.detach(), total)
        through = frames + (total - frames).detach()
        return Quantised(through.transpose(1, 2), commitment / CODEBOOKS)

    @torch.no_grad()
    def _learn(self, index: int, vectors: torch.Tensor, generator: torch.Generator) -> None:
        """Moving averages of the `vectors` [n, LATENT] that chose each code; dead codes become vectors at random."""
        sums, counts = self.sums[index], self.counts[index]
        chosen = F.one_hot(_nearest(vectors, self.codes[index]), CODES).to(vectors.dtype)
        counts.lerp_(chosen.sum(0), 1 - FORGETTING)
        sums.lerp_(chosen.T @ vectors, 1 - FORGETTING)
        dead = counts < DEAD * counts.mean()
        replacements = vectors[torch.randint(len(vectors), (CODES,), generator=generator)]
        counts[dead] = counts.mean()
        sums[dead] = replacements[dead] * counts.mean()
        self.codes[index] = sums / counts[:, None]


def _nearest(vectors: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Index [n] of the code nearest to each of `vectors` [n, LATENT]."""
    return (codes.square().sum(1) - 2 * vectors @ codes.T).argmin(1)


class Codec(nn.Module):
    """Speech at an active level of LEVEL_DBOV, [batch, n · HOP], to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.transform = Transform()
        # Without the norm the commitment loss makes the latent so small that the decoder hears nothing in it.
        norm = nn.BatchNorm1d(LATENT, affine=False)
        self.encoder = nn.Sequential(nn.Conv1d(HOP, WIDTH, 1), Block(), nn.Conv1d(WIDTH, LATENT, 1), norm)
        self.quantiser = Quantiser()
        self.decoder = nn.Sequential(nn.Conv1d(LATENT, WIDTH, 3, padding=1), Block(), Block(), nn.Conv1d(WIDTH, HOP, 1))

    def forward(self, speech: torch.Tensor, codebooks: torch.Tensor, seed: int | None = None) -> Coded:
        """Through the first `codebooks` [batch]; more than there are: nothing is quantised. With a `seed`, which draws
        the codes that replace dead ones, the codebooks learn."""
        roots = signed_root(self.transform(speech))
        quantised = self.quantiser(self.encoder(roots), codebooks, seed)
        decoded = self.decoder(quantised.latent)
        return Coded(self.transform.inverse(decoded * decoded.abs()), decoded, roots, quantised.commitment)


@dataclass(frozen=True)
class Coded:
    speech: torch.Tensor
    """[batch, n · HOP]"""
    roots: torch.Tensor
    """[batch, HOP, n + 1]: its transform's signed roots."""
    true_roots: torch.Tensor
    """Those of the original."""
    commitment: torch.Tensor


def signed_root(x: torch.Tensor) -> torch.Tensor:
    """Bins as the network sees them: the faint ones are not lost beside the strong."""
    return x.sign() * x.abs().sqrt()


# --- the family -------------------------------------------------------------------------------------------------------


@cache
def _codec(age: int) -> Codec:
    """The codec of an age, in double precision: the order of a sum, which threads and processors choose, then changes
    no sample of 24 bits. KeyError where there is none."""
    weights = load_file(WEIGHTS)
    codec = Codec()
    untrained = codec.state_dict()
    prefix = f"{age}."
    trained = {name: weights[prefix + name].float() for name in untrained if not name.endswith(LEARNING_ONLY)}
    codec.load_state_dict({**untrained, **trained})
    return codec.double().eval()


def code(speech: Signal, age: int, codebooks: int) -> Signal:
    """Through the codec of `age` with the first `codebooks`, level kept: float32 [n] to the same, aligned."""
    padded = np.pad(to_level(speech, LEVEL_DBOV), (0, -speech.size % HOP))
    with torch.inference_mode():
        coded = _codec(age)(torch.from_numpy(padded)[None].double(), torch.tensor([codebooks])).speech
    return to_level(coded[0, : speech.size].float().numpy(), active_level(speech))


_YOUNG, _GROWN, _OLD = AGES
RUNGS = (
    *((_OLD, 8), (_OLD, 6), (_GROWN, 8), (_OLD, 4), (_GROWN, 4), (_OLD, 2)),
    *((_GROWN, 2), (_YOUNG, 8), (_YOUNG, 3), (_OLD, 1), (_YOUNG, 1)),
)
"""Age and codebooks, from near to the voice to far from it: signal to distortion falls from −0.3 to −9.7 dB (mean of
twelve validation talkers). Alone, all of them are a bad voice: three talkers' Distill-MOS falls from 4.4 to 1.2 and
1.1, their SIG of DNSMOS from 3.6 to 2.6 and 1.4. So milder severities leave the lower part of the voice alone."""
ABOVE_HZ = (5500.0, 3000.0, 1500.0, 500.0, 0.0)
"""Where the codec begins, at evenly spaced severities."""
TREBLE_HZ = 2000.0
"""Where nothing below is touched, the voice keeps its tone: coding is what a listener then speaks of."""


def draw(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    rung = round(float(np.clip(severity * (len(RUNGS) - 1) + rng.uniform(-2, 2), 0, len(RUNGS) - 1)))
    age, codebooks = RUNGS[rung]
    above_hz = float(np.interp(severity, np.linspace(0, 1, len(ABOVE_HZ)), ABOVE_HZ))
    return {"age": age, "codebooks": codebooks, "above_hz": above_hz}


def neural_codec(
    speech: Signal, params: Params, materials: Materials, rng: Rng
) -> tuple[Signal, tuple[Degradation, ...]]:
    """Through the codec of `age` with `codebooks`, from `above_hz` (Hz; 0: everywhere) up; below, the speech stays as
    it was. The call was going on before the clip, mirrored, so that frames begin anywhere. Level kept.

    Measured as coding is: see `coding_measures`. Harmonics suffer more than envelopes do: a robotic voice, unless
    nothing but the treble is coded.
    """
    if not speech.any():
        return speech, ()
    lead = int(rng.integers(HOP, 3 * HOP))
    call = np.pad(speech, (lead, HOP), mode="reflect")
    coded = code(call, params["age"], params["codebooks"])
    if params["above_hz"] > 0:
        low = dsp.butter(4, params["above_hz"], fs=SAMPLE_RATE, output="sos")
        coded = coded + dsp.sosfiltfilt(low, call.astype(np.float64) - coded)
    coded = to_level(coded[lead : lead + speech.size].astype(np.float32), active_level(speech))
    measures = coding_measures(speech, coded)
    name = "coding" if params["above_hz"] > TREBLE_HZ else "robotic voice"
    return coded, (Degradation("neural codec", f"{params['age']} steps", name, measures),)


FAMILIES = (Family("neural codec", Place.CODING, 1.0, draw, neural_codec),)
