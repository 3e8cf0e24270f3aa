"""What each kernel may take of a multiprocessor: the one table of it."""

from __future__ import annotations

from typing import NamedTuple

ARCHITECTURES = ("80", "90")
"""A100 and H100."""


class Budget(NamedTuple):
    instances: int  # of the template: one for each direction
    registers: int  # a thread
    shared: int  # bytes a block


REGISTERS = 32
"""As many as let a multiprocessor hold all of its 2,048 threads: it has 65,536."""

BUDGETS = {
    "accumulate_pair_row": Budget(2, REGISTERS, 8 * 5 * 4),  # five sums of each of eight warps, float32
    "accumulate_one_row": Budget(1, REGISTERS, 8 * 2 * 4),
    "differentiate_pair_row": Budget(2, REGISTERS, 0),
    "differentiate_one_row": Budget(1, REGISTERS, 0),
}
