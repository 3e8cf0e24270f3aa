"""Teaches the detector of speech (`sqe_fast/audio/speech.py`) on pieces of calls, and writes its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.speech.pieces import Sounds, piece
from sqe_fast.audio.speech import BANDS, DILATIONS, FRAMES, patches
from training.simulation.library import open_library

WIDTH = 32
PIECES, EPOCHS, BATCH, RATE = 1_600, 30, 16, 4e-3
SEED = 14


class Detector(nn.Module):
    """As sqe_fast.audio.speech computes it: [batch, steps, 160] to logits [batch, steps]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FRAMES * BANDS, WIDTH)
        self.middle = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)
        self.last = nn.Linear(WIDTH, 1)

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(heard)).transpose(1, 2)
        for layer in self.middle:
            hidden = hidden + torch.relu(layer(hidden))
        logits: torch.Tensor = self.last(hidden.transpose(1, 2))[..., 0]
        return logits

    def weights(self) -> dict[str, npt.NDArray[np.float16]]:
        """Arrays by the names of the detector's own network."""
        middle = [layer.weight.permute(2, 1, 0).reshape(3 * WIDTH, WIDTH) for layer in self.middle]
        found = {
            "first": self.first.weight.T,
            "middle": torch.stack(middle),
            "last": self.last.weight.T,
            "first_bias": self.first.bias,
            "middle_bias": torch.stack([layer.bias for layer in self.middle]),
            "last_bias": self.last.bias,
        }
        return {name: value.detach().half().numpy() for name, value in found.items()}


def fit(data: Path, weights: Path, *, pieces: int = PIECES, epochs: int = EPOCHS) -> None:
    sounds = Sounds(open_library(data, "train"), np.random.default_rng(SEED))
    heard, spoken = _pieces(sounds, pieces)
    torch.manual_seed(SEED)
    detector, rng = Detector(), np.random.default_rng(SEED)
    steps = epochs * (pieces // BATCH)
    optimizer = torch.optim.AdamW(detector.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for epoch in range(epochs):
        total = 0.0
        for batch in rng.permutation(pieces)[: pieces // BATCH * BATCH].reshape(-1, BATCH):
            logits = detector(_varied(heard[batch].float(), rng))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, spoken[batch].float())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1} of {epochs}: loss {total / (pieces // BATCH):.4f}", flush=True)
    np.savez(weights, **detector.weights())


def _pieces(sounds: Sounds, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """[count, steps, 160] and [count, steps]"""
    heard, spoken = [], []
    while len(heard) < count:
        samples, active = piece(sounds)
        if np.abs(samples).max() < 3:
            continue  # too faint for 16 bits
        heard.append(patches(samples / np.float32(32_768)).astype(np.float16))
        spoken.append(active)
        if len(heard) % 200 == 0:
            print(f"{len(heard)} of {count} pieces", flush=True)
    return torch.from_numpy(np.stack(heard)), torch.from_numpy(np.stack(spoken))


def _varied(heard: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Tilted and raised, as by another microphone; now and then moved by a band or two, as another voice."""
    batch, steps, _ = heard.shape
    bands = heard.view(batch, steps, FRAMES, BANDS)
    tilt = torch.from_numpy(rng.normal(0, 0.12, (batch, 1, 1, 1))).float() * torch.linspace(-1, 1, BANDS)
    varied = bands + tilt + torch.from_numpy(rng.normal(0, 0.1, (batch, 1, 1, 1))).float()
    if rng.random() < 0.3:
        varied = varied.roll(int(rng.integers(-2, 3)), -1)
    return varied.reshape(heard.shape)
