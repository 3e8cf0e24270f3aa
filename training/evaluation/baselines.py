"""Two baselines on the same splits: ridge regression on signal statistics, and on a frozen Whisper layer's statistics.

They show what the audio model adds to what is plain in the signal, and to what its initialisation hears already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sqe_fast.audio.features import log_mel
from sqe_fast.checkpoint.config import positions
from sqe_fast.errors import ClipError
from sqe_fast.model.encoder import Encoder
from sqe_fast.results import RATING_MAX, RATING_MIN
from training.evaluation.rated_sets import RatedSet, accuracy
from training.learning import whisper
from training.progress import track
from training.simulation.measures import SAMPLE_RATE, Signal

Matrix = npt.NDArray[np.float64]
Features = Callable[[Signal], Matrix]
"""One window of 16 kHz samples → [d]."""

ALPHAS = tuple(10 ** (half / 2) for half in range(-2, 11))
"""0.1 to 100,000."""
PERCENTILES = (5, 25, 50, 75, 95)
FRAME = SAMPLE_RATE // 50
"""20 ms."""
FLOOR = 1e-5
"""−100 dB, beside which digital silence has a level."""


# --- features ---------------------------------------------------------------------------------------


def signal_statistics(samples: Signal) -> Matrix:
    """[80 · 9 + 21]: per mel band mean, deviation, five percentiles, and mean and deviation of its flux; the first
    seven of frame levels and zero crossings; peak, share of samples near it, of silent and of repeated frames; the
    whole flux."""
    mel = log_mel(samples).data.astype(np.float64)  # [80, frames]
    flux = np.abs(np.diff(mel, axis=1))
    bands = [_statistics(mel), flux.mean(axis=1), flux.std(axis=1)]
    frames = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    levels = 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + FLOOR)
    crossings = np.mean(np.diff(np.signbit(frames), axis=1), axis=1)
    peak = float(np.abs(samples).max())
    whole = [
        20 * np.log10(peak + FLOOR),
        float(np.mean(np.abs(samples) > 0.98 * peak)),
        float(np.mean(levels < -90)),
        float(np.mean(np.abs(np.diff(frames, axis=0)).max(axis=1, initial=0) < 1e-9)),
    ]
    tracks = [_statistics(track[None]) for track in (levels, crossings)]
    sums = [float(flux.sum(axis=0).mean()), float(flux.sum(axis=0).std()), float(flux.sum(axis=0).max())]
    return np.concatenate([part.ravel() for part in (*bands, *tracks)] + [np.array(whole + sums)])


def _statistics(track: Matrix) -> Matrix:
    """[rows, n] → [rows, 7]: mean, deviation and percentiles over time."""
    return np.column_stack([track.mean(axis=1), track.std(axis=1), np.percentile(track, PERCENTILES, axis=1).T])


class LayerStatistics:
    """[2 · width]: mean and deviation over time of what a frozen Whisper encoder's first layer puts out, before the
    pool and the final norm. Layer 1 follows quality best (DESIGN, section 5)."""

    def __init__(self, encoder: Encoder | None = None) -> None:
        """`encoder` has one layer; without it, Whisper's, from the packaged weights."""
        if encoder is None:
            encoder = Encoder(whisper.encoder_weights(1)[0])
            whisper.initialise(encoder)
        self._encoder = encoder.eval()

    def __call__(self, samples: Signal) -> Matrix:
        mel = log_mel(samples, self._encoder.config.n_mels)
        kept: list[torch.Tensor] = []
        hook = self._encoder.layers[-1].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        try:
            with torch.inference_mode():
                self._encoder([(torch.from_numpy(mel.data), mel.frames)])
        finally:
            hook.remove()
        [output] = kept  # [positions, width]
        assert output.shape[0] == positions(mel.frames)
        return torch.cat([output.mean(dim=0), output.std(dim=0)]).double().numpy()


BASELINES: dict[str, Callable[[], Features]] = {
    "ridge on signal statistics": lambda: signal_statistics,
    "ridge on frozen layer-1 statistics": LayerStatistics,
}


def table(rated: RatedSet, features: Features, label: str = "") -> tuple[Matrix, list[int]]:
    """[m, d] and the indices of the m recordings that could be read. One over 30 s has the mean over its windows."""
    found, answered = [], []
    for index in track(range(len(rated.rows)), label or rated.name):
        try:
            found.append(np.mean([features(window) for window in rated.windows(index)], axis=0))
        except ClipError:
            continue  # counted by evaluate as `refused`, for the model and the baselines alike
        answered.append(index)
    return np.array(found), answered


# --- ridge regression -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ridge:
    """Standardised features, one penalty: w minimises |Xw − y|² + alpha |w|²; the mean is not penalised."""

    mean: Matrix
    scale: Matrix
    weights: Matrix
    intercept: float
    alpha: float

    def predict(self, x: Matrix) -> Matrix:
        """[n, d] → [n], clipped to the scale."""
        raw = ((x - self.mean) / self.scale) @ self.weights + self.intercept
        return np.clip(raw, RATING_MIN, RATING_MAX)


def ridges(x: Matrix, y: Matrix, alphas: Sequence[float]) -> Iterator[Ridge]:
    """One fit for each penalty, from one decomposition of x [n, d]."""
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    u, s, v = np.linalg.svd((x - mean) / scale, full_matrices=False)
    projected = u.T @ (y - y.mean())
    for alpha in alphas:
        yield Ridge(mean, scale, v.T @ (s / (s**2 + alpha) * projected), float(y.mean()), alpha)


def fit(train: tuple[Matrix, Matrix], validation: tuple[Matrix, Matrix], alphas: Sequence[float] = ALPHAS) -> Ridge:
    """The penalty with the least squared error on validation. Each pair is (x [n, d], y [n])."""
    x, y = validation
    return min(ridges(*train, alphas), key=lambda ridge: float(np.mean((ridge.predict(x) - y) ** 2)))


# --- the report -------------------------------------------------------------------------------------


def report(train: RatedSet, validation: RatedSet, sets: Sequence[RatedSet]) -> dict[str, Any]:
    """For each baseline and set the figures of `evaluate`: {baseline: {"alphas", "sets": {set: accuracy}}}."""
    return {name: _baseline(name, make(), train, validation, sets) for name, make in BASELINES.items()}


def _baseline(
    name: str, features: Features, train: RatedSet, validation: RatedSet, sets: Sequence[RatedSet]
) -> dict[str, Any]:
    fitted = _fit_all(features, name, train, validation)
    found: dict[str, Any] = {"alphas": {rating: ridge.alpha for rating, ridge in fitted.items()}, "sets": {}}
    for rated in sets:
        x, answered = table(rated, features, f"{name}: {rated.name}")
        read = {rating: fitted[rating].predict(x) for rating in rated.ratings}
        found["sets"][rated.name] = {"clips": len(answered), **accuracy(rated, read, answered)}
    return found


def _fit_all(features: Features, name: str, train: RatedSet, validation: RatedSet) -> Mapping[str, Ridge]:
    x, kept = table(train, features, f"{name}: {train.name}")
    x_validation, kept_validation = table(validation, features, f"{name}: {validation.name}")
    return {
        rating: fit((x, train.true(rating)[kept]), (x_validation, validation.true(rating)[kept_validation]))
        for rating in train.ratings
    }
