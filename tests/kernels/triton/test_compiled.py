"""The kernels as compiled for A100 and H100 keep to their budgets, spill nothing and use what these GPUs have.

Compiled at the sizes of a 7B model, never run.
"""

from __future__ import annotations

import re

import pytest

from tests.kernels.triton.budgets import BUDGETS, COPY_ENGINE, TENSOR_CORES
from tests.kernels.triton.compiling import INSTRUCTIONS
from tests.kernels.triton.survey import ARCHITECTURES, Survey

Surveyed = dict[int, Survey]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_keep_to_their_budgets(surveyed: Surveyed, architecture: int) -> None:
    for code in surveyed[architecture].codes:
        budget = BUDGETS[code.budget][architecture]
        assert code.registers <= budget.registers, code
        assert code.shared <= budget.shared, code


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_budget_is_for_a_kernel(surveyed: Surveyed, architecture: int) -> None:
    budgets = {name for name, by_architecture in BUDGETS.items() if architecture in by_architecture}
    assert budgets == {code.budget for code in surveyed[architecture].codes}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_spills(surveyed: Surveyed, architecture: int) -> None:
    assert not [code for code in surveyed[architecture].codes if code.stack or code.spilled]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_products_are_made_by_tensor_cores(surveyed: Surveyed, architecture: int) -> None:
    assert set(TENSOR_CORES) <= {code.kernel for code in surveyed[architecture].codes}
    for code in surveyed[architecture].codes:
        wanted = TENSOR_CORES.get(code.kernel, {}).get(architecture)
        found = {name for name in ("hgmma", "hmma") if getattr(code, name)}
        assert found == ({wanted} if wanted else set()), code


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_memory_is_read_in_wide_pieces(surveyed: Surveyed, architecture: int) -> None:
    """Sixteen bytes at a time; the factors of tensor cores straight to shared memory. A stride or an address of which
    the compiler does not know that it is a multiple of 16 bytes takes away both."""
    for code in surveyed[architecture].codes:
        assert code.bulk + code.copies + (0 if code.kernel in TENSOR_CORES else code.loads), code
        assert not code.narrow_copies, code
        assert bool(code.bulk) == (architecture >= 90 and code.kernel in COPY_ENGINE), code


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_length_makes_another_kernel(surveyed: Surveyed, architecture: int) -> None:
    """Or a clip, prompt or batch of a new length would wait for the compiler, while serving."""
    assert not surveyed[architecture].made_by_lengths


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
        /*00c0*/ UTMALDG.2D [UR8], [UR4] ;
    """
    found = {name: len(re.findall(pattern, listing)) for name, pattern in INSTRUCTIONS.items()}
    assert found == {
        "spilled": 2, "hgmma": 1, "hmma": 1, "bulk": 1, "copies": 1, "narrow_copies": 2, "loads": 2, "stores": 1,
    }  # fmt: skip
