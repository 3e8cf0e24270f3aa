"""Ridge regression by hand; features that hear what they should; a penalty that validation chooses."""

import importlib.util

import numpy as np
import pytest
import torch
from sklearn.pipeline import Pipeline

from sqe_fast.checkpoint.config import AudioConfig
from sqe_fast.model.encoder import Encoder
from tests.support.speech import SAMPLE_RATE, talk
from training.evaluation import baselines
from training.evaluation.baselines import LayerStatistics, alpha, fit, report, signal_statistics, table
from training.evaluation.rated_sets import RatedSet
from training.evaluation.report import baselines as tables
from training.evaluation.report import cell
from training.learning import whisper

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 8)) * np.arange(1, 9) + 3
Y = 3 + X @ np.linspace(-0.05, 0.05, 8) + RNG.normal(0, 0.05, 60)


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> Pipeline:
    return fit((x, y), (x, y), (penalty,))


@pytest.mark.parametrize("penalty", [0.1, 10.0, 1000.0])
def test_features_are_standardised_and_the_mean_is_not_penalised(penalty: float) -> None:
    """Against the normal equations: a penalty on raw features would favour the loud bands, one on the mean would pull
    every rating down."""
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    weights = np.linalg.solve(scaled.T @ scaled + penalty * np.eye(8), scaled.T @ (Y - Y.mean()))
    found = ridge(X, Y, penalty)
    np.testing.assert_allclose(found[-1].coef_, weights, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.predict(X), scaled @ weights + Y.mean(), rtol=0, atol=1e-10)


def test_more_features_than_clips_and_a_constant_feature_are_no_trouble() -> None:
    wide = np.hstack([X[:5], X[:5] ** 2, np.ones((5, 1))])
    found = ridge(wide, Y[:5], 1e-6)
    assert np.isfinite(found[-1].coef_).all()
    np.testing.assert_allclose(found.predict(wide), Y[:5], atol=1e-3)


def test_predictions_stay_on_the_scale() -> None:
    x = np.linspace(-1, 1, 5)[:, None]
    found = ridge(x, 3 + x[:, 0], 1e-9)  # y = 3 + x
    assert found.predict(np.array([[-9.0], [-2.5], [0.5], [9.0]])) == pytest.approx([1.0, 1.0, 3.5, 5.0])


def test_validation_chooses_the_penalty() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(20, 15))  # nothing to learn: the largest penalty errs least
    target = np.clip(rng.normal(3, 0.5, 20), 1, 5)
    unlearnable = (noise, target), (rng.normal(size=(50, 15)), np.full(50, target.mean()))
    assert alpha(fit(*unlearnable, (0.01, 1.0, 1e5))) == 1e5
    assert alpha(fit((X[:40], Y[:40]), (X[40:], Y[40:]), (0.01, 1e5))) == 0.01


def test_validation_is_not_trained_on() -> None:
    """The chosen penalty is fitted once more: to the training rows alone, as `evaluate`'s models are."""
    found = fit((X[:40], Y[:40]), (X[40:], Y[40:] + 1), (10.0,))
    np.testing.assert_allclose(found.predict(X), ridge(X[:40], Y[:40], 10.0).predict(X), rtol=0, atol=1e-12)


def test_signal_statistics_hear_level_noise_gaps_and_clipping() -> None:
    clean = talk(2.0)
    gaps = clean * (np.arange(clean.size) // 1600 % 3 > 0)
    loud = np.clip(clean * 4, -0.3, 0.3)
    found = {
        name: signal_statistics(samples.astype(np.float32))
        for name, samples in {"clean": clean, "quiet": clean / 10, "gaps": gaps, "clipped": loud}.items()
    }
    peak, near_peak, silent = -7, -6, -5
    assert {features.shape for features in found.values()} == {(80 * 9 + 21,)}
    assert all(np.isfinite(features).all() for features in found.values())
    assert found["clean"][peak] - found["quiet"][peak] == pytest.approx(20, abs=0.1)
    assert found["clipped"][near_peak] > 10 * found["clean"][near_peak]
    assert found["gaps"][silent] > found["clean"][silent] + 0.1


def test_digital_silence_has_features() -> None:
    assert np.isfinite(signal_statistics(np.zeros(8000, np.float32))).all()


@pytest.fixture(scope="module")
def layer() -> LayerStatistics:
    torch.manual_seed(0)
    return LayerStatistics(Encoder(AudioConfig(80, width=32, layers=1, heads=2, feed_forward=64)))


def test_layer_statistics_are_those_of_the_layer_before_pool_and_norm(layer: LayerStatistics) -> None:
    clip = talk(1.0)
    kept = []
    encoder = layer._encoder
    handle = encoder.layers[0].register_forward_hook(lambda _m, _i, output: kept.append(output))
    found = layer(clip)
    handle.remove()
    [output] = kept
    assert output.shape == (50, 32)
    np.testing.assert_allclose(found[:32], output.numpy().mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found[32:], output.numpy().std(axis=0, ddof=1), atol=1e-6)
    assert not encoder.layers[0]._forward_hooks


@pytest.mark.skipif(importlib.util.find_spec(whisper.PACKAGE) is None, reason="Whisper's weights are not installed")
def test_the_packaged_layer_hears_noise() -> None:
    features = LayerStatistics()
    clean = talk(1.0)
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, clean.size).astype(np.float32)
    assert features(clean).shape == (768,)
    assert np.abs(features(clean) - features(noisy)).max() > 0.1


def noisy_set(name: str, count: int, seed: int) -> RatedSet:
    """Noise from 0 to 40 dB below the voice; MOS follows it."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(0, 40, count)
    sources = [
        (talk(0.6, seed + i) + rng.normal(0, 0.1 * 10 ** (-db / 20), 9600), SAMPLE_RATE) for i, db in enumerate(levels)
    ]
    rows = [{"rated_by": "simulated", "condition": f"c{int(db // 10)}", "mos": 1 + db / 10} for db in levels]
    return RatedSet(name, "in-domain", rows, sources)


def test_a_baseline_learns_noise_and_reports_files_and_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        baselines, "BASELINES", {"ridge on signal statistics": baselines.BASELINES["ridge on signal statistics"]}
    )
    found = report(noisy_set("train", 40, 0), noisy_set("validation", 15, 100), [noisy_set("test", 25, 200)])
    [entry] = found.values()
    assert entry["alphas"]["mos"] in baselines.ALPHAS
    test = entry["sets"]["test"]
    assert test["clips"] == 25
    assert test["files"]["mos"]["lcc"]["value"] > 0.9
    assert test["conditions"]["count"] == 4
    text = tables(found)
    assert text.startswith("### test\n")
    assert "| ridge on signal statistics, 25 files | mos |" in text
    assert f"| LCC | {cell(test['conditions']['figures']['mos']['lcc'])} |" in text


def test_recordings_that_cannot_be_read_are_left_out() -> None:
    rated = noisy_set("test", 3, 0)
    rated.sources[1] = (np.zeros(10), SAMPLE_RATE)
    x, answered = table(rated, signal_statistics)
    assert answered == [0, 2]
    assert x.shape == (2, 80 * 9 + 21)
