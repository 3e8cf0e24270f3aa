"""Teach the neural codec of the simulation: clean speech of the training split in, the same out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import librosa
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from training.configs import NeuralCodec
from training.learning.loop import train
from training.simulation.library import open_library, read
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.neural_codec import CODEBOOKS, HOP, LEARNING_ONLY, LEVEL_DBOV, Codec, Coded
from training.simulation.stage import to_level
from training.streams import Stream, seed_of, stream

EXCERPT = 50 * HOP
"""Samples of a training example: 1 s."""
LEVELS_DB = (-8.0, 6.0)
"""Examples are that far from the codec's own level."""
WINDOWS = (256, 1024)
MEL_WINDOW = 512
MELS = 64
RATE = 2e-3
COMMITMENT, ROOTS, MEL, SPECTRAL = 0.25, 0.2, 0.2, 0.1
"""Weights of the losses beside the frames' error."""
FAINT = 4e-4
"""Energy of a frame of speech at about −60 dBov: what is fainter counts less."""


@dataclass(frozen=True)
class Batch:
    speech: torch.Tensor
    """[batch, EXCERPT]"""
    codebooks: torch.Tensor
    """[batch]: how many speak for each example."""
    seed: int
    """Of the codes that replace dead ones."""


class Objective(nn.Module):
    """The frames' error, faint bins, spectra at two resolutions, mel spectra, and the commitment to the codes."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Codec()

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        coded = self.model(batch.speech, batch.codebooks, batch.seed)
        error = frame_error(coded)
        roots = F.l1_loss(coded.roots, coded.true_roots) / coded.true_roots.abs().mean()
        spectral, mel = spectral_losses(coded.speech, batch.speech)
        loss = error + ROOTS * roots + SPECTRAL * spectral + MEL * mel + COMMITMENT * coded.commitment
        return {"loss": loss, "error": error, "roots": roots, "spectral": spectral, "mel": mel}


def frame_error(coded: Coded) -> torch.Tensor:
    """Energy of what is wrong in a frame over that of the frame, the mean: the loss that makes the waveform follow.
    Spectra alone leave the codes unused."""
    ours, theirs = (roots * roots.abs() for roots in (coded.roots, coded.true_roots))
    wrong, energy = (ours - theirs).square().sum(1), theirs.square().sum(1)
    return (wrong / (energy + FAINT)).mean()


def spectral_losses(decoded: torch.Tensor, speech: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of signals [batch, n]: spectral convergence and log-magnitude distance (Yamamoto et al., 2020), mean over the
    windows; log-mel distance."""
    distances = []
    for size in WINDOWS:
        ours, theirs = _magnitudes(decoded, size), _magnitudes(speech, size)
        convergence = (ours - theirs).norm(dim=(1, 2)) / theirs.norm(dim=(1, 2))
        distances.append(convergence.mean() + F.l1_loss(ours.log(), theirs.log()))
    mel = F.l1_loss(_mel(decoded).log(), _mel(speech).log())
    return torch.stack(distances).mean(), mel


def _mel(signals: torch.Tensor) -> torch.Tensor:
    return torch.einsum("mf,bft->bmt", _filters(), _magnitudes(signals, MEL_WINDOW))


def _magnitudes(signals: torch.Tensor, size: int) -> torch.Tensor:
    """[batch, size / 2 + 1, frames], not below a floor 60 dB under speech."""
    spectrum = torch.stft(signals, size, size // 4, window=torch.hann_window(size), return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power / size + 1e-8).sqrt()


@cache
def _filters() -> torch.Tensor:
    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=MEL_WINDOW, n_mels=MELS)).float()


def run(config: NeuralCodec) -> str:
    """Train, and write the weights of every age to one file. An age goes on from the one before; the learning rate
    falls to its end each time. What was done is not done again."""
    folder = config.run / "neural-codec"
    schedule = config.schedule
    torch.manual_seed(seed_of(Stream.CODEC_WEIGHTS, schedule.seed))
    objective = Objective()
    batches = _batches(_speech(config), schedule.batch_size, schedule.seed)
    weights: dict[str, torch.Tensor] = {}
    for steps in config.ages:
        snapshot = folder / f"{steps}.safetensors"
        if not snapshot.exists():
            groups = [{"params": list(objective.parameters()), "lr": RATE}]
            train(objective, groups, batches, folder, replace(schedule, steps=steps))
            save_file(_kept(objective.model), snapshot)
        weights |= {f"{steps}.{name}": value for name, value in load_file(snapshot).items()}
    save_file(weights, config.weights)
    return f"{len(config.ages)} ages in {config.weights}"


def _speech(config: NeuralCodec) -> list[Signal]:
    """All clean speech of the training split, at the codec's level; half precision saves memory."""
    library = open_library(config.data, "train")
    return [to_level(read(config.data / "clean" / s.file), LEVEL_DBOV).astype(np.float16) for s in library.speech]


def _batches(speech: list[Signal], size: int, seed: int) -> Callable[[int], Batch]:
    lengths = np.array([clip.size for clip in speech], float)

    def batch(index: int) -> Batch:
        rng = stream(Stream.CODEC_BATCH, seed, index)
        clips = rng.choice(len(speech), size, p=lengths / lengths.sum())
        excerpts = np.stack([_excerpt(speech[clip], rng) for clip in clips])
        codebooks = torch.from_numpy(rng.integers(1, CODEBOOKS + 2, size))
        return Batch(torch.from_numpy(excerpts), codebooks, int(rng.integers(1 << 62)))

    return batch


def _excerpt(clip: Signal, rng: np.random.Generator) -> Signal:
    start = int(rng.integers(max(1, clip.size - EXCERPT)))
    piece = clip[start : start + EXCERPT].astype(np.float32) * np.float32(10 ** (rng.uniform(*LEVELS_DB) / 20))
    return np.pad(piece, (0, EXCERPT - piece.size))


def _kept(model: Codec) -> dict[str, torch.Tensor]:
    """In half precision, and without what only learning needs."""
    return {name: value.half() for name, value in model.state_dict().items() if not name.endswith(LEARNING_ONLY)}
