"""What each kernel and tile may take of a multiprocessor, and what it must make use of: the one table of it."""

from __future__ import annotations

from typing import NamedTuple


class Budget(NamedTuple):
    """The most of any specimen, registers rounded up as they are handed out, by eights."""

    registers: int  # a thread
    shared: int  # bytes a block


HGMMA, HMMA = "hgmma", "hmma"
TENSOR_CORES = {
    "conv_stem._conv1": {80: HMMA, 90: HGMMA},
    "conv_stem._conv2": {80: HMMA, 90: HGMMA},
    "linear._linear": {80: HMMA, 90: HGMMA},
    "linear._swiglu": {80: HMMA, 90: HGMMA},
    "packed_attention._packed": {80: HMMA, 90: HGMMA},
    "prefill_attention._prefill": {80: HMMA, 90: HGMMA},
    # 16 rows of queries: Hopper's own instruction has no fewer than 64, and this kernel waits for memory.
    "decode_attention._attend_chunks": {80: HMMA, 90: HMMA},
}
"""Kernel → the instructions that it must have, by architecture."""

COPY_ENGINE = {"linear._linear", "linear._swiglu", "packed_attention._packed", "prefill_attention._prefill"}
"""Kernels whose tiles Hopper's copy engine fetches (TMA). Of the others, and on Ampere, 16 bytes at a time."""

BUDGETS = {
    "conv_stem._conv1 128×128": {80: Budget(184, 65_536), 90: Budget(120, 98_304)},
    "conv_stem._conv2 128×128": {80: Budget(200, 65_536), 90: Budget(176, 98_304)},
    "row_norm._normalise 2048": {80: Budget(40, 16), 90: Budget(40, 16)},
    "row_norm._normalise 4096": {80: Budget(56, 16), 90: Budget(48, 16)},
    "linear._linear 128×256": {90: Budget(176, 196_640)},
    "linear._linear 128×128": {80: Budget(184, 65_536), 90: Budget(128, 98_328)},
    "linear._linear 64×64": {80: Budget(64, 65_536), 90: Budget(64, 98_352)},
    "linear._linear 64×32": {90: Budget(48, 98_368)},
    "linear._linear 16×64": {80: Budget(56, 51_200)},
    "linear._linear 16×32": {80: Budget(40, 43_008)},
    "linear._swiglu 128×128": {80: Budget(184, 98_304), 90: Budget(176, 196_640)},
    "linear._swiglu 64×32": {90: Budget(64, 98_352)},
    "linear._swiglu 16×32": {80: Budget(56, 51_200)},
    "packed_attention._packed 64×64": {80: Budget(168, 24_576)},
    "packed_attention._packed 128×64": {90: Budget(112, 65_560)},
    "prefill_attention._append 16": {80: Budget(40, 0), 90: Budget(40, 0)},
    "prefill_attention._prefill 64×64": {80: Budget(168, 57_344), 90: Budget(160, 81_968)},
    "decode_attention._attend_chunks 64": {80: Budget(128, 71_680), 90: Budget(104, 71_680)},
    "decode_attention._combine_chunks": {80: Budget(32, 2_048), 90: Budget(32, 2_048)},
    "read_out._read_out 64": {80: Budget(168, 66_560), 90: Budget(176, 66_560)},
}
"""Kernel and tile → its budget, by architecture."""
