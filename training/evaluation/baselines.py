"""Two baselines on the same splits: ridge regression on signal statistics, and on a frozen Whisper layer's statistics.

They show what the audio model adds to what is plain in the signal, and to what its initialisation hears already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sqe_fast.audio.features import log_mel
from sqe_fast.checkpoint.config import positions
from sqe_fast.errors import ClipError
from sqe_fast.model.encoder import Encoder
from sqe_fast.results import RATING_MAX, RATING_MIN
from training.configs import Baselines
from training.corpora.corpus import Clips
from training.evaluation.rated_sets import RatedSet, accuracy, built, gather
from training.evaluation.report import baselines
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
    pool and the final norm. The first layers carry the cue to quality; later ones listen to words."""

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


class RatingRidge(Ridge):
    """Ridge regression whose predictions stay on the scale."""

    def predict(self, x: Matrix) -> Matrix:
        """[n, d] → [n]."""
        return np.clip(super().predict(x), RATING_MIN, RATING_MAX)


def fit(train: tuple[Matrix, Matrix], validation: tuple[Matrix, Matrix], alphas: Sequence[float] = ALPHAS) -> Pipeline:
    """Ridge regression on standardised features, fitted to `train`, with the penalty of the least squared error on
    `validation`. Each pair is (x [n, d], y [n])."""
    x, y = (np.concatenate(both) for both in zip(train, validation, strict=True))
    split = PredefinedSplit(np.repeat([-1, 0], [len(train[1]), len(validation[1])]))  # -1: always trained on
    ridge = make_pipeline(StandardScaler(), RatingRidge())
    grid = {"ratingridge__alpha": list(alphas)}
    search = GridSearchCV(ridge, grid, scoring="neg_mean_squared_error", cv=split, refit=False).fit(x, y)
    return ridge.set_params(**search.best_params_).fit(*train)


def alpha(ridge: Pipeline) -> float:
    """The penalty that validation chose."""
    return float(ridge[-1].alpha)


# --- the report -------------------------------------------------------------------------------------


def run(config: Baselines, clips: Clips, held_out: Clips) -> str:
    """Fit to `clips`, choose penalties on `held_out`; the tables, as Markdown."""
    train, validation = built(clips, "train"), built(held_out, "validation")
    return baselines(report(train, validation, gather(config.split("test"), config.sets)))


def report(train: RatedSet, validation: RatedSet, sets: Sequence[RatedSet]) -> dict[str, Any]:
    """For each baseline and set the figures of `evaluate`: {baseline: {"alphas", "sets": {set: accuracy}}}."""
    return {name: _baseline(name, make(), train, validation, sets) for name, make in BASELINES.items()}


def _baseline(
    name: str, features: Features, train: RatedSet, validation: RatedSet, sets: Sequence[RatedSet]
) -> dict[str, Any]:
    fitted = _fit_all(features, name, train, validation)
    found: dict[str, Any] = {"alphas": {rating: alpha(ridge) for rating, ridge in fitted.items()}, "sets": {}}
    for rated in sets:
        x, answered = table(rated, features, f"{name}: {rated.name}")
        read = {rating: fitted[rating].predict(x) for rating in rated.ratings}
        found["sets"][rated.name] = {"clips": len(answered), **accuracy(rated, read, answered)}
    return found


def _fit_all(features: Features, name: str, train: RatedSet, validation: RatedSet) -> Mapping[str, Pipeline]:
    x, kept = table(train, features, f"{name}: {train.name}")
    x_validation, kept_validation = table(validation, features, f"{name}: {validation.name}")
    return {
        rating: fit((x, train.true(rating)[kept]), (x_validation, validation.true(rating)[kept_validation]))
        for rating in train.ratings
    }
