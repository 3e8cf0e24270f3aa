"""The kernels as compiled for every card fit it, spill nothing and use what it has.

Compiled at the sizes of a 7B model, never run.
"""

from __future__ import annotations

import re

import pytest

from sqe_fast.kernels.triton import device
from tests.kernels.triton.cards import ARCHITECTURES, SHARED_OF_BLOCK, tiles_of
from tests.kernels.triton.compiling import INSTRUCTIONS
from tests.kernels.triton.survey import Survey

Surveyed = dict[int, Survey]

PRODUCTS = {
    "conv_stem._conv1",
    "conv_stem._conv2",
    "linear._linear",
    "linear._swiglu",
    "packed_attention._packed",
    "prefill_attention._prefill",
    "decode_attention._attend_chunks",
}
"""Kernels that multiply matrices."""
COPY_ENGINE = {"linear._linear", "linear._swiglu", "packed_attention._packed", "prefill_attention._prefill"}
"""Kernels whose tiles Hopper's copy engine fetches (TMA), but for weights of 8 bits. Of the others, and on Ampere, 16
bytes at a time."""


def tensor_cores(kernel: str, architecture: int) -> str:
    """The instructions by which a kernel multiplies. 16 rows of queries: Hopper's and Blackwell's own instructions have
    no fewer than 64, and decoding waits for memory."""
    own = {90: "hgmma", 100: "utcmma"}.get(architecture, "hmma")
    return "hmma" if kernel == "decode_attention._attend_chunks" else own


@pytest.mark.parametrize(
    ("capability", "kibibytes", "tiles"),
    [((8, 0), 163, 80), ((8, 6), 99, 80), ((8, 9), 99, 80), ((9, 0), 227, 90), ((10, 0), 227, 90), ((12, 0), 99, 120)],
)
def test_tiles_go_by_capability_and_shared_memory(capability: tuple[int, int], kibibytes: int, tiles: int) -> None:
    assert device.tiles_of(capability, kibibytes << 10) == tiles


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_card_has_the_shared_memory_that_a_block_takes(surveyed: Surveyed, architecture: int) -> None:
    """An RTX 50xx was given an H100's tiles, by its capability: 147 KB of the 99 KiB that it has, an error at the first
    clip."""
    assert surveyed[architecture].codes
    for code in surveyed[architecture].codes:
        assert code.shared <= SHARED_OF_BLOCK[architecture], code


def test_what_takes_an_h100s_tiles_has_room_for_them(surveyed: Surveyed) -> None:
    assert max(code.shared for code in surveyed[90].codes) <= device.HOPPER_SHARED


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_spills(surveyed: Surveyed, architecture: int) -> None:
    assert not [code for code in surveyed[architecture].codes if code.stack or code.spilled]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_products_are_made_by_tensor_cores(surveyed: Surveyed, architecture: int) -> None:
    assert {code.kernel for code in surveyed[architecture].codes} >= PRODUCTS
    for code in surveyed[architecture].codes:
        wanted = {tensor_cores(code.kernel, architecture)} if code.kernel in PRODUCTS else set()
        assert {name for name in ("hgmma", "hmma", "utcmma") if getattr(code, name)} == wanted, code


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_memory_is_read_in_wide_pieces(surveyed: Surveyed, architecture: int) -> None:
    """Sixteen bytes at a time; the factors of tensor cores straight to shared memory. A stride or an address of which
    the compiler does not know that it is a multiple of 16 bytes takes away both."""
    for code in surveyed[architecture].codes:
        assert code.bulk + code.copies + (0 if code.kernel in PRODUCTS else code.loads), code
        assert not code.narrow_copies, code
        engine = code.kernel in COPY_ENGINE and not code.specimen.startswith("int8")
        assert bool(code.bulk) == (tiles_of(architecture) == 90 and engine), code


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_length_makes_another_kernel(surveyed: Surveyed, architecture: int) -> None:
    """Or a clip, prompt or batch of a new length would wait for the compiler, while serving."""
    assert not surveyed[architecture].made_by_lengths


ENCODER_LAYER = ("norm_linear", "packed_attention", "linear_residual", "norm_linear", "linear_residual")
DECODER_LAYER = ("norm_linear", "{}_attention", "linear_residual", "norm_swiglu", "linear_residual")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_launches_of_a_layer(surveyed: Surveyed, architecture: int) -> None:
    """Each costs a GPU microseconds, and more where no graph replays it. Two of a layer are norms: see row_norm."""
    launches = surveyed[architecture].launches
    assert sum(launches[operator] for operator in ENCODER_LAYER) == 7
    for stage in ("prefill", "decode"):
        assert sum(launches[operator.format(stage)] for operator in DECODER_LAYER) == 8
    assert launches["pool_norm_linear"] == 2
    assert launches["read_out"] == 1


def test_how_instructions_are_told() -> None:
    listing = """
        /*0010*/ LDG.E.128 R4, desc[UR6][R2.64] ;
        /*0020*/ LDG.E.128.CONSTANT R4, [R2.64] ;
        /*0030*/ LDG.E.U16 R4, [R2.64] ;
        /*0040*/ LDGSTS.E.BYPASS.LTC128B.128 [R5], [R2.64], P0 ;
        /*0050*/ LDGSTS.E.LTC128B.64 [R5], [R2.64], P0 ;
        /*0060*/ @P0 LDGSTS.E [R5], [R2.64] ;
        /*0070*/ STG.E.128 desc[UR6][R2.64], R4 ;
        /*0080*/ STL [R1], R4 ;
        /*0090*/ LDL.LU R4, [R1] ;
        /*00a0*/ HGMMA.64x128x16.F32.BF16 R24, gdesc[UR8], R24 ;
        /*00b0*/ HMMA.16816.F32.BF16 R4, R8, R12, R4 ;
        /*00b8*/ UTCHMMA gdesc[UR8], gdesc[UR10], tmem[UR4], tmem[UR6], idesc[UR7], UP0 ;
        /*00c0*/ UTMALDG.2D [UR8], [UR4] ;
    """
    found = {name: len(re.findall(pattern, listing)) for name, pattern in INSTRUCTIONS.items()}
    assert found == {
        "spilled": 2, "hgmma": 1, "hmma": 1, "utcmma": 1, "bulk": 1,
        "copies": 1, "narrow_copies": 2, "loads": 2, "stores": 1,
    }  # fmt: skip
