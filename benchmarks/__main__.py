"""Front end, encoder, prefill, decode, end to end, start-up, growth, limits and the fused KL, in one run:

    python -m benchmarks OUT [--quick] [-k EXPRESSION]

writes OUT/benchmarks.json (for `pytest-benchmark compare`), OUT/table.md and OUT/growth.png. `--quick` shows only that
all of it works. OUT/benchmarks.json that is there already is drawn again with `--draw`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from benchmarks.report import draw, table

FOLDERS = ("benchmarks/features", "benchmarks/engine", "benchmarks/kernels/test_fused_kl.py")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--quick", action="store_true", help="small sizes: that all of it works; without the fused KL")
    parser.add_argument("--draw", action="store_true", help="run nothing: write table and picture of what is there")
    parser.add_argument("-k", metavar="EXPRESSION", default="", help="only these, as pytest takes it")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file, code = given.out / "benchmarks.json", 0
    if not given.draw:
        folders = FOLDERS[:2] if given.quick else FOLDERS
        options = ["--quick"] if given.quick else []
        code = int(pytest.main([*folders, "-q", "-k", given.k, f"--benchmark-json={file}", *options]))
    found = json.loads(file.read_text("utf-8"))
    (given.out / "table.md").write_text(table(found), "utf-8")
    draw(found, given.out / "growth.png")
    return code


if __name__ == "__main__":
    sys.exit(main())
