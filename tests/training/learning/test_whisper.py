"""Whisper's encoder out of a CTranslate2 file. CTranslate2's own encoder is the judge, where it is installed."""

from __future__ import annotations

import importlib.resources
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from sqe_fast.model.encoder import Encoder
from tests.support.small_model import waveform
from training.learning.whisper import PACKAGE, encoder_weights, initialise, read_variables


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def variable(name: str, array: np.ndarray, code: int) -> bytes:
    shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    return text(name) + shape + struct.pack("<BI", code, array.nbytes) + array.tobytes()


def test_variables_are_read_with_name_shape_and_type() -> None:
    half = np.arange(6, dtype="<f2").reshape(2, 3)
    data = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, 2)
    data += variable("a/half", half, 4) + variable("b", np.array(7, "<i2"), 2)
    read = dict(read_variables(data))
    np.testing.assert_array_equal(read["a/half"], half)
    assert read["a/half"].dtype == np.float16
    assert int(read["b"]) == 7


@pytest.mark.parametrize("head", [struct.pack("<I", 5) + text("WhisperSpec"), struct.pack("<I", 6) + text("Other")])
def test_another_file_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match="not a CTranslate2 Whisper"):
        list(read_variables(head + bytes(8)))


@pytest.fixture(scope="module")
def package() -> Path:
    pytest.importorskip(PACKAGE)
    return Path(str(importlib.resources.files(PACKAGE)))


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_first_layers_fit_our_encoder(package: Path, layers: int) -> None:
    config, tensors = encoder_weights(layers)
    assert (config.n_mels, config.width, config.heads, config.layers) == (80, 384, 6, layers)
    encoder = Encoder(config)
    initialise(encoder)
    assert torch.equal(encoder.conv1.weight, tensors["audio_tower.conv1.weight"])
    assert not encoder.positions.requires_grad


def test_more_layers_than_there_are_is_refused(package: Path) -> None:
    with pytest.raises(ValueError, match="4 layers; 5"):
        encoder_weights(5)


def test_the_whole_encoder_is_ctranslate2s(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 s, before the pool: catches a swapped q and k, an unscaled query, a transposed convolution."""
    reason = "CTranslate2 is installed beside [test]: README.md, Work on it"
    ctranslate2 = pytest.importorskip("ctranslate2", reason=reason)
    from transformers import WhisperFeatureExtractor

    mel = WhisperFeatureExtractor(feature_size=80)(
        waveform(8), sampling_rate=16_000, return_tensors="np"
    ).input_features
    theirs = ctranslate2.models.Whisper(str(package / "model"), device="cpu", compute_type="float32")
    expected = np.array(theirs.encode(ctranslate2.StorageView.from_array(mel)))[0]
    encoder = Encoder(encoder_weights(4)[0])
    initialise(encoder)
    monkeypatch.setattr("sqe_fast.model.encoder._pool", lambda x, lengths: (x, lengths))
    with torch.no_grad():
        got, _ = encoder([(torch.from_numpy(mel[0]), 3000)])
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
