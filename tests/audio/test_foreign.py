"""What callers hand in: understood, or refused one by one. Nothing that one source does may end the batch."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from sqe_fast import Raw
from sqe_fast.audio.recording import Recording, load
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.evaluator import Evaluator
from tests.support.audio_samples import RATE, FloatArray, encoded, long_speech, speech
from tests.support.fake_evaluator import fake_evaluator, sound


def heard(recording: Recording) -> FloatArray:
    return np.concatenate(list(recording.blocks()))


class Raising(io.BytesIO):
    """A file whose read raises from its `after`th call on."""

    def __init__(self, data: bytes, error: Exception, after: int = 0) -> None:
        super().__init__(data)
        self._error, self._left = error, after

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise self._error
        return super().read(size)


class Path2:
    """A path object that gives what it is made with."""

    def __init__(self, path: Any) -> None:
        self._path = path

    def __fspath__(self) -> Any:
        if isinstance(self._path, Exception):
            raise self._path
        return self._path


class Odd:
    """An array that raises."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("on another device")


def closed() -> io.BytesIO:
    file = io.BytesIO(encoded(speech()))
    file.close()
    return file


class WriteOnly(io.BytesIO):
    def readable(self) -> bool:
        return False

    def read(self, size: int | None = -1) -> bytes:
        raise io.UnsupportedOperation("read")


def opened(tmp_path: Path) -> Any:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(speech()))
    return soundfile.SoundFile(path)


class Text(io.BytesIO):
    def read(self, size: int | None = -1) -> Any:
        return "text"


BAD: dict[str, Callable[[Path], Any]] = {
    "closed": lambda _: closed(),
    "read raises": lambda _: Raising(encoded(speech()), RuntimeError("boom")),
    "read raises later": lambda _: Raising(encoded(long_speech(100)), OSError(5, "Input/output error"), after=3),
    "read raises a KeyError": lambda _: Raising(encoded(speech()), KeyError("x")),
    "write only": lambda _: WriteOnly(),
    "SoundFile": opened,
    "fspath raises": lambda _: Path2(RuntimeError("boom")),
    "fspath gives a number": lambda _: Path2(7),
    "read gives text": lambda _: Text(encoded(speech())),
    "array raises": lambda _: (Odd(), RATE),
    "mapping of nothing": lambda _: {"text": "hello"},
    "mapping without a rate": lambda _: {"array": speech()},
    "bare array": lambda _: speech(),
    "complex tensor": lambda _: (torch.zeros(RATE, dtype=torch.complex64), RATE),
    "bare raw": lambda _: Raw(None, RATE),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", BAD)
def test_a_source_that_raises_costs_its_own_row(kind: str, tmp_path: Path) -> None:
    bad = BAD[kind](tmp_path)
    first, row, last = fake_evaluator().evaluate([sound(1), bad, sound(2)], describe=False)
    assert first.error is None
    assert last.error is None
    assert row.error is not None
    assert row.error.code in (ErrorCode.BAD_INPUT, ErrorCode.UNREADABLE)
    assert len(row.error.message) > 20


def test_paths_of_bytes_are_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(speech()))
    recording = load(Path2(str(path).encode()))
    assert (recording.name, recording.flags) == (str(path), ())


@pytest.mark.parametrize(
    "tensor",
    [
        torch.from_numpy(speech()).requires_grad_(),
        torch.from_numpy(speech()).requires_grad_() * 1.0,
        torch.from_numpy(speech())[None].expand(2, -1),
        torch.from_numpy(np.stack([speech(), speech()])).T,
        torch.from_numpy(speech()).double(),
        torch.from_numpy((speech() * 32_768).astype(np.int16)),
        torch.nn.Parameter(torch.from_numpy(speech())),
    ],
    ids=["leaf", "computed", "expanded", "transposed", "double", "int16", "parameter"],
)
def test_tensors(tensor: torch.Tensor) -> None:
    assert np.abs(heard(load((tensor, RATE))) - speech()).max() < 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats(dtype: torch.dtype) -> None:
    assert np.abs(heard(load((torch.from_numpy(speech()).to(dtype), RATE))) - speech()).max() < 4e-3


@pytest.mark.parametrize("dtype", [">i2", "<i2", ">i4", ">f4", ">f8", "<f4"])
def test_byte_orders(dtype: str) -> None:
    scale = {"i2": 32_768, "i4": 2**31}.get(dtype[1:], 1)
    samples = (speech().astype(np.float64) * scale).astype(dtype)
    assert np.abs(heard(load((samples, RATE))) - speech()).max() < 1e-4


class _Samples:
    data = torch.from_numpy(speech())[None]
    sample_rate = RATE


class _Decoder:
    """As torchcodec's, which `datasets` gives."""

    def get_all_samples(self) -> _Samples:
        return _Samples()


def test_rows_and_decoders_of_datasets(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(encoded(speech(), file_format="FLAC"))
    sources: list[Any] = [
        {"path": "a.wav", "array": speech(), "sampling_rate": RATE},
        {"path": None, "array": speech().tolist(), "sampling_rate": RATE},
        {"raw": speech(), "sampling_rate": RATE},
        {"bytes": path.read_bytes(), "path": "a.flac"},
        {"bytes": None, "path": str(path)},
        _Decoder(),
    ]
    for source in sources:
        assert np.abs(heard(load(source)) - speech()).max() < 1e-4
    rows = fake_evaluator().evaluate(sources, describe=False)
    assert [row.file for row in rows] == ["a.wav", "<array>", "<array>", "a.flac", str(path), "<array>"]


def test_16_bits_held_in_32_are_told_what_to_do() -> None:
    """A loud recording called silent."""
    samples = (speech() * 32_768).astype(np.int32)
    with pytest.raises(ClipError, match="int16") as caught:
        load((samples, RATE))
    assert caught.value.code is ErrorCode.OUT_OF_RANGE
    assert load((samples << 16, RATE)).flags == ()
    assert load((np.zeros(RATE, np.int32), RATE)).flags == ("silent",)


@pytest.mark.parametrize(
    "single",
    [speech(), torch.from_numpy(speech()), {"array": speech(), "sampling_rate": RATE}, _Decoder(), Raw("a.ul", 8_000)],
    ids=["array", "tensor", "row", "decoder", "raw"],
)
def test_a_bare_array_gets_one_clear_error(single: Any) -> None:
    """A row a sample, each with an error."""
    with pytest.raises(TypeError, match="several sources"):
        fake_evaluator().evaluate(single)


# --- processes -------------------------------------------------------------------------------------------------------


def test_errors_and_evaluations_pickle() -> None:
    error = pickle.loads(pickle.dumps(ClipError(ErrorCode.TOO_SHORT, "pass more")))
    assert (error.code, error.message, str(error)) == (ErrorCode.TOO_SHORT, "pass more", "too_short: pass more")
    evaluations = fake_evaluator().evaluate([sound(1), b"no sound"])
    again = pickle.loads(pickle.dumps(evaluations))
    assert [row.to_row() for row in again] == [row.to_row() for row in evaluations]


def rated(source: Any) -> Any:
    evaluator: Evaluator = fake_evaluator()
    return evaluator.evaluate([source], describe=False)[0]


def test_a_pool_of_processes_gets_its_errors() -> None:
    """A worker's error that could not be unpickled: the pool waited for it for ever."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        good, bad = pool.map_async(rated, [sound(1), b"no sound"]).get(timeout=120)
    assert good.error is None
    assert bad.error.code is ErrorCode.UNSUPPORTED_FORMAT
