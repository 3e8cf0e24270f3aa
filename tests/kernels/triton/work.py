"""What the recorded launches do beside what they have to: multiply-adds in tiles, and bytes. By count, not measured.

Grids and tiles are those of the launches (`recording`), of 32 utterances of 2 to 12 s in the encoder, a prompt of 300
tokens behind a prefix of 37, and 8 and 32 sequences that hold 420 positions. Bytes, in two ways, for L2s of
opposite kinds; the truth lies between, and nothing here is a time:

- moved: each launch reads each of its inputs from memory once and writes each result once; from one launch to the next
  nothing stays in the L2. An operator of two launches pays for what lies between them.
- tiles: what programs read through the L2, each its own tiles: as if nothing were ever found there twice. Of the matrix
  products and of attention; smaller reads are left out.

Attention's keys are read in whole tiles up to the end of a clip or of what a tile's last row sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kernels.triton.recording import Launch
    from tests.support.operator_calls import Call

HALF = 2


@dataclass(frozen=True)
class Done:
    call: str
    operator: str
    products: int  # multiply-adds that are needed
    computed: int  # and that tiles compute
    least: int  # bytes: inputs once, results once
    moved: int  # bytes, launch by launch
    tiles: int  # bytes that programs read of their tiles
    programs: int

    @property
    def padding(self) -> float:
        """Share of what is computed over what is needed."""
        return self.computed / self.products - 1


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _linear(launch: Launch, call: Call, held: int) -> tuple[int, int]:
    a = launch.arguments
    width = _up(a["K"], a["BLOCK_K"])
    tile_m, tile_n = a["BLOCK_M"], a["BLOCK_N"] * (2 if "gate" in a else 1)
    return launch.programs * tile_m * tile_n * width, launch.programs * (tile_m + tile_n) * width * HALF


def _packed(launch: Launch, call: Call, held: int) -> tuple[int, int]:
    a = launch.arguments
    heads, tiles = launch.grid
    lengths = call.arguments[4]
    assert tiles == sum(-(-length // a["BLOCK_M"]) for length in lengths), "tiles beyond the ends of clips"
    keys = sum(-(-length // a["BLOCK_M"]) * _up(length, a["BLOCK_N"]) for length in lengths)
    return 2 * heads * keys * a["BLOCK_M"] * a["DIM"], heads * (2 * keys + tiles * a["BLOCK_M"]) * a["DIM"] * HALF


def _prefill(launch: Launch, call: Call, held: int) -> tuple[int, int]:
    a, group = launch.arguments, launch.arguments["GROUP"]
    tiles, heads = launch.grid
    last_rows = [
        (past, min(begin + a["BLOCK_M"], rows * group) - 1)
        for _, past, rows in call.arguments[7]
        for begin in range(0, rows * group, a["BLOCK_M"])
    ]
    assert tiles == len(last_rows), "tiles beyond the ends of prompts"
    keys = sum(_up(past + row // group + 1, a["BLOCK_N"]) for past, row in last_rows)
    return 2 * heads * keys * a["BLOCK_M"] * a["DIM"], heads * (2 * keys + tiles * a["BLOCK_M"]) * a["DIM"] * HALF


def _attend_chunks(launch: Launch, call: Call, held: int) -> tuple[int, int]:
    a = launch.arguments
    heads, rows, _ = launch.grid
    keys = heads * rows * _up(held, a["BLOCK_N"])
    return 2 * keys * a["ROWS"] * a["DIM"], 2 * heads * rows * held * a["HEAD_DIM"] * HALF


def _read_out(launch: Launch, call: Call, held: int) -> tuple[int, int]:
    a = launch.arguments
    rows, width = launch.programs, _up(a["K"], a["BLOCK_K"])
    return rows * a["BLOCK_C"] * width, rows * a["C"] * a["K"] * HALF


def _taps(launch: Launch, call: Call, held: int) -> tuple[int, int]:
    """A convolution's three taps are gathered one after the other."""
    a = launch.arguments
    tiles = launch.programs * 3 * _up(a["K"], a["BLOCK_K"])
    return tiles * a["BLOCK_M"] * a["BLOCK_N"], tiles * (a["BLOCK_M"] + a["BLOCK_N"]) * HALF


COUNTS = {
    "conv_stem._conv1": _taps,
    "conv_stem._conv2": _taps,
    "linear._linear": _linear,
    "linear._swiglu": _linear,
    "packed_attention._packed": _packed,
    "prefill_attention._prefill": _prefill,
    "decode_attention._attend_chunks": _attend_chunks,
    "read_out._read_out": _read_out,
}
"""Kernels with products → (multiply-adds, bytes of tiles)."""


def _used(launch: Launch, call: Call, held: int) -> dict[str, int]:
    """Bytes of those arguments that a launch reads or writes in part only."""
    a = launch.arguments
    if launch.name in ("prefill_attention._append", "prefill_attention._prefill"):
        spans = call.arguments[7]
        T = sum(span.rows for span in spans)
        turns = T * a["HEAD_DIM"] // 2 * 4
        heads = launch.grid[1]
        positions = T if launch.name.endswith("append") else sum(span.past for span in spans) + T
        memory = heads * positions * a["HEAD_DIM"] * HALF
        return {"cos": turns, "sin": turns, "keys": memory, "values": memory}
    if launch.name == "decode_attention._attend_chunks":
        heads, rows, _ = launch.grid
        turns = rows * a["HEAD_DIM"] // 2 * 4
        memory = heads * rows * (held + 1) * a["HEAD_DIM"] * HALF
        return {"cos": turns, "sin": turns, "keys": memory, "values": memory, **_partial(launch, held)}
    if launch.name == "decode_attention._combine_chunks":
        return _partial(launch, held)
    if launch.name == "conv_stem._conv2":
        return {"table": a["N"] * a["M"] * HALF}
    if launch.name == "read_out._read_out":
        return {"head": a["C"] * a["K"] * HALF}
    return {}


def _partial(launch: Launch, held: int) -> dict[str, int]:
    rows, heads, _, head_dim = launch.arguments["partial"].shape
    chunks = held // launch.arguments["CHUNK"] + 1
    return {"partial": rows * heads * chunks * head_dim * 4, "weight": rows * heads * chunks * 4}


def _moved(launch: Launch, call: Call, held: int) -> int:
    from tests.kernels.triton.recording import Shaped

    used = _used(launch, call, held)
    return sum(used.get(name, value.bytes) for name, value in launch.arguments.items() if isinstance(value, Shaped))


def done(architecture: int) -> list[Done]:
    """In a process where Triton is not an interpreter."""
    from tests.kernels.triton.specimens import recorded
    from tests.support.least_work import least_work
    from tests.support.workloads import BATCH

    rows = []
    for call, launches in recorded(BATCH, architecture):
        least = least_work(call, BATCH.held)
        counts = [COUNTS[launch.name](launch, call, BATCH.held) for launch in launches if launch.name in COUNTS]
        computed, tiles = (sum(column) for column in zip(*counts, strict=True))
        moved = sum(_moved(launch, call, BATCH.held) for launch in launches)
        programs = max(launch.programs for launch in launches if launch.name in COUNTS)
        rows.append(Done(call.name, call.operator, least.products, computed, least.bytes, moved, tiles, programs))
    return rows


def table(architecture: int, rows: list[Done]) -> str:
    """In Markdown."""
    heading = f"| sm_{architecture} | GFLOP | padding | least MB | moved | tiles | FLOP / least byte | programs |"
    lines = [heading, "| --- | " + "---: | " * 7]
    for row in rows:
        numbers = (
            f"{2e-9 * row.products:.2f} | {row.padding:.1%} | {row.least / 1e6:.1f} | {row.moved / row.least:.2f}× | "
            f"{row.tiles / row.least:.1f}× | {2 * row.products / row.least:.0f} | {row.programs}"
        )
        lines.append(f"| {row.call} | {numbers} |")
    return "\n".join(lines)
