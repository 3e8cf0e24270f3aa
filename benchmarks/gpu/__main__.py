"""Measure everything on a GPU, and write a JSON row for each measurement.

python -m benchmarks.gpu                                kernels, stages and answers; the answers by the bundled tiny
python -m benchmarks.gpu --checkpoint FOLDER            the answers by a 7B checkpoint
python -m benchmarks.gpu --only kernels --out rows.jsonl
TRITON_INTERPRET=1 python -m benchmarks.gpu --dry       no GPU: that it all runs, small, and no time of anything
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from benchmarks.gpu import answers, kernels, stages
from benchmarks.gpu.rows import Writer, open_machine
from tests.support.workloads import BATCH, DRY, GROUPED

LEVELS = ("kernels", "stages", "answers")


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 where a row is not right."""
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
        loads = (DRY,) if asked.dry else (BATCH, GROUPED)
        for level in asked.only or LEVELS:
            if level == "answers":
                answers.measure(writer, asked.checkpoint)
                continue
            for load in loads:
                (kernels if level == "kernels" else stages).measure(writer, load)
    for case in dict.fromkeys(writer.wrong):  # once, whatever its peers
        print(f"not right: {case}", file=sys.stderr)
    return 1 if writer.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
