"""Measure everything on a GPU, and write a JSON row for each measurement.

python -m benchmarks.gpu                                all levels; the answers by the bundled tiny
python -m benchmarks.gpu --checkpoint FOLDER            the answers by a 7B checkpoint
python -m benchmarks.gpu --only kernels --out rows.jsonl
TRITON_INTERPRET=1 python -m benchmarks.gpu --dry       no GPU: that it all runs, small, and no time of anything
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.gpu import answers, ceilings, kernels, kl, stages, whole
from benchmarks.gpu.rows import Writer, open_machine
from tests.support.workloads import BATCH, DRY, GROUPED

LEVELS = ("ceilings", "kernels", "kl", "stages", "whole", "answers")


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 where a row is not right, or a level has ended early."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="in Triton's interpreter, without times")
    parser.add_argument("--only", choices=LEVELS, action="append", help="may be given more than once")
    parser.add_argument("--checkpoint", default="tiny", help="whose answers are timed (%(default)s)")
    parser.add_argument("--out", type=Path, help="file to append rows to; else they are printed")
    asked = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        try:
            machine = open_machine(asked.dry)
        except RuntimeError as error:
            parser.error(str(error))
        out = stack.enter_context(asked.out.open("a", encoding="utf-8")) if asked.out else sys.stdout
        writer = Writer(machine, out)
        for level in asked.only or LEVELS:
            for measure in _measures(level, asked.dry, asked.checkpoint):
                try:
                    measure(writer)
                except Exception:  # noqa: BLE001 (whatever it is, the others are measured: a card may be here only once)
                    traceback.print_exc()
                    writer.wrong.append(f"{level}: ended early")
    for case in dict.fromkeys(writer.wrong):  # once, whatever its peers
        print(f"not right: {case}", file=sys.stderr)
    return 1 if writer.wrong else 0


def _measures(level: str, dry: bool, checkpoint: str) -> list[Callable[[Writer], None]]:
    if level in ("kernels", "stages"):
        module = kernels if level == "kernels" else stages
        loads = [DRY] if dry else [BATCH, GROUPED]
        if level == "kernels":
            loads.append(replace(loads[0], int8=True))
        return [partial(module.measure, load=load) for load in loads]
    if level == "answers":
        return [partial(answers.measure, name=checkpoint)]
    return [{"ceilings": ceilings, "kl": kl, "whole": whole}[level].measure]


if __name__ == "__main__":
    sys.exit(main())
