"""One set of defaults, and choices that are refused where they are made."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from sqe_fast.errors import UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.options import Serving


def test_from_pretrained_offers_every_choice_with_its_default() -> None:
    """A field that the Python API does not have, or a default that differs from the command line's."""
    parameters = inspect.signature(Evaluator.from_pretrained).parameters
    offered = {name: parameters[name].default for name in list(parameters)[1:]}
    assert offered == {field.name: field.default for field in fields(Serving)}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"device": "tpu"}, "'tpu' is unknown"),
        ({"device": "cuda:"}, "is unknown"),
        ({"device": "cuda", "precision": "int3"}, "'int3' is unknown"),
        ({"device": "cuda", "encoder": "tflite"}, "'tflite' is unknown"),
        ({"device": "torch-cpu", "encoder": "onnx"}, "on device cuda only"),
        ({"device": "cpu", "precision": "bf16"}, "computes in fp32"),
        ({"device": "auto", "adapter": Path("lora")}, "take no adapter"),
    ],
)
def test_what_cannot_be_is_refused_by_name(choice: dict[str, object], message: str) -> None:
    """A choice left out in silence: the caller believes that it was made."""
    with pytest.raises(UnusableError, match=message):
        Serving(**choice)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["slots", "threads", "max_length"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Serving(**{name: 0})  # type: ignore[arg-type]


def test_what_can_be_is_not_refused() -> None:
    for choice in (Serving(), Serving("cuda:3", precision="fp16", encoder="onnx"), Serving("cpu", precision="fp32")):
        assert choice.max_length == 2048
