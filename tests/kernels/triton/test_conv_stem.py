"""The encoder's convolutions as Triton kernels, against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import reference
from sqe_fast.kernels.operators import Linear
from sqe_fast.kernels.triton.conv_stem import conv_stem
from tests.kernels.triton.cases import DTYPES, assert_close, normal
from tests.support.operator_calls import in_precision

N_MELS, WIDTH = 20, 40
POSITIONS = 40


def tap_major(weight: Tensor) -> Tensor:
    """[out, in, 3] that lies in memory as [out, 3, in]."""
    return weight.permute(0, 2, 1).contiguous().permute(0, 2, 1)


def weights(dtype: torch.dtype, n_mels: int = N_MELS, width: int = WIDTH) -> tuple[Linear, Linear, Tensor]:
    """Both convolutions, and the position table."""
    weight1 = tap_major(normal(width, n_mels, 3, scale=(3 * n_mels) ** -0.5, dtype=dtype))
    weight2 = tap_major(normal(width, width, 3, scale=(3 * width) ** -0.5, seed=2, dtype=dtype))
    return (
        Linear(weight1, normal(width, seed=1, dtype=dtype)),
        Linear(weight2, normal(width, seed=3, dtype=dtype)),
        normal(POSITIONS, width, seed=4, dtype=dtype),
    )


def packed(frames: list[int], dtype: torch.dtype, n_mels: int = N_MELS) -> list[Tensor]:
    """Clips end to end: mel that lies as [columns, n_mels], valid, columns and steps."""
    spans = [(count + 2) // 2 * 2 for count in frames]
    mel, valid = torch.zeros(sum(spans), n_mels, dtype=dtype).T, torch.zeros(sum(spans), dtype=torch.bool)
    columns, steps, start = [], [], 0
    for i, (count, span) in enumerate(zip(frames, spans, strict=True)):
        mel[:, start : start + count] = normal(n_mels, count, seed=i, dtype=dtype)
        valid[start : start + count] = True
        steps.append(torch.arange((count + 1) // 2))
        columns.append(start + 2 * steps[-1])
        start += span
    return [mel, valid, torch.cat(columns).to(torch.int32), torch.cat(steps).to(torch.int32)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("frames", "n_mels", "width"),
    [([3], 20, 40), ([31, 8, 45], 20, 40), ([20, 17], 70, 72)],  # 70, 72: more than one step of channels
)
def test_as_the_reference(frames: list[int], n_mels: int, width: int, dtype: torch.dtype) -> None:
    arguments = [*packed(frames, dtype, n_mels), *weights(dtype, n_mels, width)]
    assert_close(
        conv_stem(*arguments),
        reference.conv_stem(*arguments),
        reference.conv_stem(*in_precision(arguments, torch.float64)),
    )


def test_weights_and_mel_may_lie_otherwise() -> None:
    """As torch lays a convolution's weights out, and a mel [n_mels, columns] cut from a longer one."""
    mel, valid, columns, steps, *rest = [*packed([12], torch.float32), *weights(torch.float32)]
    longer = torch.cat([mel, mel.new_full((N_MELS, 5), float("nan"))], 1)
    expected = conv_stem(mel, valid, columns, steps, *rest)
    usual = [*(Linear(conv.weight.contiguous(), conv.bias) for conv in rest[:2]), rest[2]]
    assert torch.equal(conv_stem(longer[:, : mel.shape[1]], valid, columns, steps, *usual), expected)


@pytest.mark.usefixtures("no_launch")
def test_no_rows_and_no_launch() -> None:
    mel, valid, columns, steps, *rest = [*packed([12], torch.float32), *weights(torch.float32)]
    assert conv_stem(mel, valid, columns[:0], steps[:0], *rest).shape == (0, WIDTH)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_clip_is_the_same_alone(dtype: torch.dtype) -> None:
    """Bit for bit, first, last or between others, whatever the bias leaves in the columns between them."""
    frames = [31, 9, 30]
    whole = conv_stem(*packed(frames, dtype), *weights(dtype))
    mel, valid, columns, steps = packed(frames, dtype)
    start = 0
    for count in frames:
        rows = slice(start, start + (count + 1) // 2)
        first = int(columns[rows.start])
        own = slice(first, first + count)
        alone = conv_stem(mel[:, own].contiguous(), valid[own], columns[rows] - first, steps[rows], *weights(dtype))
        assert torch.equal(alone, whole[rows])
        start = rows.stop


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_the_columns_asked_for(dtype: torch.dtype) -> None:
    mel, valid, columns, steps = packed([31, 9], dtype)
    whole = conv_stem(mel, valid, columns, steps, *weights(dtype))
    chosen = torch.tensor([17, 3, 3])
    assert torch.equal(conv_stem(mel, valid, columns[chosen], steps[chosen], *weights(dtype)), whole[chosen])


def test_of_silence_and_no_bias_the_table_remains() -> None:
    mel, valid, columns, steps = packed([31, 9], torch.float16)
    *convs, table = weights(torch.float16)
    deaf = (Linear(conv.weight, torch.zeros(WIDTH).half()) for conv in convs)
    found = conv_stem(0 * mel, valid, columns, steps, *deaf, table)
    assert torch.equal(found, table[steps.long()])
