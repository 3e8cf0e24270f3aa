from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.small_library import write_library
from training.configs import NeuralCodec, Schedule
from training.learning.neural_codec import Batch, Objective, frame_error, run, spectral_losses
from training.simulation.library import open_library
from training.simulation.neural_codec import CODEBOOKS, CODES, HOP, Coded


def settings(root: Path, name: str, ages: tuple[int, ...] = (1, 3)) -> NeuralCodec:
    return NeuralCodec(
        data=root / "data",
        run=root / name,
        weights=root / f"{name}.safetensors",
        ages=ages,
        schedule=Schedule(steps=3, batch_size=2),
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("codec")
    write_library(root / "data", talkers=12, recordings=1)
    return root


def test_a_seed_gives_the_same_weights_and_a_stopped_run_goes_on(root: Path) -> None:
    """Ages that are one and the same model, or a run that cannot be repeated."""
    run(settings(root, "whole"))
    run(settings(root, "stopped", ages=(1,)))
    run(settings(root, "stopped"))
    whole, stopped = (load_file(root / f"{name}.safetensors") for name in ("whole", "stopped"))
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert not torch.equal(whole["1.encoder.0.weight"], whole["3.encoder.0.weight"])
    assert {value.dtype for value in whole.values()} == {torch.float16}
    assert not any("sums" in name for name in whole)


def test_only_talkers_of_the_training_split_are_heard(root: Path) -> None:
    """A codec that knows a test talker's voice by heart does it no harm."""
    held_out = [speech.file for split in ("validation", "test") for speech in open_library(root / "data", split).speech]
    assert held_out
    for file in held_out:
        (root / "data" / "clean" / file).unlink()
    assert run(settings(root, "without"))


def test_codes_learn_and_dead_ones_are_replaced() -> None:
    """Codebooks that stay at zero, where every code is the nearest."""
    torch.manual_seed(0)
    objective = Objective()
    quantiser = objective.model.quantiser
    objective(Batch(0.05 * torch.randn(4, 20 * HOP), torch.tensor([1, 3, CODEBOOKS, CODEBOOKS + 1]), 7))
    assert quantiser.codes.abs().sum(dim=(1, 2)).gt(0).all()
    assert len(quantiser.codes[0].unique(dim=0)) > CODES / 4


def test_losses_are_nothing_for_the_original_and_grow_with_the_error() -> None:
    torch.manual_seed(0)
    roots = torch.randn(1, HOP, 6)
    wrong = [float(frame_error(Coded(roots, share * roots, roots, roots.mean()))) for share in (1.0, 0.8, 0.0)]
    assert wrong[0] == 0
    assert 0 < wrong[1] < wrong[2] == pytest.approx(1, abs=0.01)
    speech = 0.05 * torch.randn(2, 10 * HOP)
    assert [float(loss) for loss in spectral_losses(speech, speech)] == [0, 0]
    assert all(float(loss) > 0.1 for loss in spectral_losses(speech, 0.5 * speech))
