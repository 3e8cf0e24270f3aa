"""The benchmark of speech detectors, which teaches the one that is shipped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.speech.fit import Detector
from sqe_fast.audio import speech


def test_the_network_that_is_taught_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taps of a convolution in another order, or a dilation that differs, and what was learnt is lost."""
    torch.manual_seed(0)
    taught = Detector()
    for parameter in taught.parameters():
        parameter.data = parameter.half().float()
    run = speech._Network(**{name: weight.astype(np.float32) for name, weight in taught.weights().items()})
    monkeypatch.setattr(speech, "_network", lambda: run)
    heard = np.random.default_rng(0).normal(size=(200, speech.FRAMES * speech.BANDS)).astype(np.float32)
    with torch.inference_mode():
        expected = taught(torch.from_numpy(heard)[None])[0].numpy()
    np.testing.assert_allclose(speech._logits(heard), expected, atol=1e-4)
    assert expected.std() > 0.01
