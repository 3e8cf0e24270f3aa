"""A recorded campaign of fuzzing: mutations of small whole files, and some guided by the coverage of the container
inspection (atheris, libFuzzer), whose corpus is mutated as well.

    python -m tests.fuzz.campaign run --inputs 100000 --minutes 60 [FAMILY …]
    python -m tests.fuzz.campaign report

Each family has a corpus, findings and counters in runs/fuzz, and goes on from there when it is run again. A process
tries some thousand inputs; one that dies, or is slow, is a finding, and another goes on. What raises is kept once for
each place.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from tests.fuzz.families import FAMILIES, seeds

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "runs" / "fuzz"
PLAIN, GUIDED = 5_000, 500
"""Inputs that a process tries, by itself and guided, which costs more."""
LONGEST = 16_384
"""Bytes of an input."""
SLOW = 20
"""Seconds of CPU after which an input is a finding."""
MEMORY = 4 << 30
GUIDED_EACH = 4
"""Of so many processes of a family one is guided."""
COUNTERS = ("inputs", "decoder", "samples")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="go on with families in turn until each has enough")
    run.add_argument("families", nargs="*", help="all of them where none is named")
    run.add_argument("--inputs", type=int, default=100_000, help="that shall have reached a decoder, of each family")
    run.add_argument("--minutes", type=float, default=60.0)
    run.set_defaults(act=lambda given: _run(given.families or list(FAMILIES), given.inputs, given.minutes))
    chunk = commands.add_parser("chunk", help="one process: what `run` starts")
    chunk.add_argument("family", choices=FAMILIES)
    chunk.add_argument("seed", type=int)
    chunk.add_argument("--guided", action="store_true")
    chunk.set_defaults(act=lambda given: (_guided if given.guided else _plain)(given.family, given.seed))
    commands.add_parser("report", help="counts, findings, coverage").set_defaults(act=lambda _: report())
    given = parser.parse_args()
    given.act(given)


def _counters(family: str) -> npt.NDArray[np.int64]:
    """Kept in a file that every process maps, so that a crash loses no count."""
    path = RUNS / family / "counters"
    for name in ("corpus", "findings"):
        (path.parent / name).mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(bytes(8 * len(COUNTERS)))
    return np.memmap(path, np.int64, "r+", shape=len(COUNTERS))


def _run(families: list[str], wanted: int, minutes: float) -> None:
    deadline, turn = time.monotonic() + 60 * minutes, 0
    while waiting := [family for family in families if _counters(family)[1] < wanted]:
        for family in waiting:
            if time.monotonic() > deadline:
                return
            _process(family, guided=turn % GUIDED_EACH == 0)
            print(family, dict(zip(COUNTERS, map(int, _counters(family)), strict=True)), flush=True)
        turn += 1


def _process(family: str, *, guided: bool) -> None:
    before, folder = int(_counters(family)[0]), RUNS / family
    command = [sys.executable, "-m", "tests.fuzz.campaign", "chunk", family, str(before + 1)]
    with (folder / "log").open("ab") as out:
        end = subprocess.run([*command, *["--guided"] * guided], cwd=ROOT, stdout=out, stderr=out, check=False)
    if end.returncode:
        print(f"{family}: a process ended with {end.returncode} after {int(_counters(family)[0]) - before:,} inputs")
        if not guided and (folder / "current").exists():
            data = (folder / "current").read_bytes()
            (folder / "findings" / f"died{end.returncode}-{hashlib.sha1(data).hexdigest()[:12]}").write_bytes(data)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from sqe_fast.audio import decoders  # here, so that it may have been instrumented

    # Many small blocks cost less than one large that is mostly empty.
    decoders.BLOCK = 4_096


def _plain(family: str, seed: int) -> None:
    """Mutations of seeds and of the guided corpus."""
    from tests.fuzz.mutation import mutated

    _limit()
    folder, files, random = RUNS / family, seeds(family), Random(seed)
    counters, corpus = _counters(family), [path.read_bytes() for path in sorted((folder / "corpus").glob("*"))]
    for _ in range(PLAIN):
        begin = random.choice(corpus if corpus and random.random() < 0.2 else files)
        data = mutated(begin, files, random)[:LONGEST]
        (folder / "current").write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, SLOW)  # ends the process
        _try(data, counters, folder)
    (folder / "current").unlink()


def _try(data: bytes, counters: npt.NDArray[np.int64], folder: Path) -> None:
    from tests.fuzz.target import hear

    counters[0] += 1
    try:
        reached = hear(data)
    except Exception:  # noqa: BLE001 (each is a finding)
        _keep(folder / "findings", data)
        return
    counters[1] += reached >= 1
    counters[2] += reached >= 2


def _guided(family: str, seed: int) -> None:
    """By libFuzzer, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["sqe_fast"], enable_loader_override=False):
        from tests.fuzz.mutation import mutated
    _limit()
    folder, files, random = RUNS / family, seeds(family), Random(seed)
    counters = _counters(family)
    for data in files:
        (folder / "corpus" / hashlib.sha1(data).hexdigest()).write_bytes(data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if random.random() < 0.2:
            return bytes(atheris.Mutate(data, most))
        return mutated(data, files, random)[:most]

    options = {
        "runs": GUIDED, "seed": seed, "max_len": LONGEST, "timeout": SLOW, "rss_limit_mb": 3_000,
        "print_final_stats": 1, "len_control": 0, "mutate_depth": 1, "artifact_prefix": f"{folder}/findings/",
    }  # fmt: skip
    flags = [f"-{name}={value}" for name, value in options.items()]
    corpus = str(folder / "corpus")
    atheris.Setup([sys.argv[0], *flags, corpus], lambda data: _try(data, counters, folder), custom_mutator=mutate)
    atheris.Fuzz()


def _keep(folder: Path, data: bytes) -> None:
    """The first input for each place at which something is raised."""
    text = traceback.format_exc()
    places = "".join(line for line in text.splitlines() if line.startswith('  File "'))
    name = hashlib.sha1(places.encode()).hexdigest()[:12]
    if not (folder / name).exists():
        (folder / name).write_bytes(data)
        (folder / f"{name}.txt").write_text(text)


def report() -> None:
    """Counts of each family, and how much of what is fuzzed its corpus runs through."""
    import coverage

    total = np.zeros(len(COUNTERS), np.int64)
    watch = coverage.Coverage(source=["sqe_fast.audio"], branch=True, data_file=None)
    watch.start()
    from tests.fuzz.target import hear

    for family in FAMILIES:
        counters, findings = _counters(family), [*(RUNS / family / "findings").glob("*")]
        total += counters
        named = sorted(path.name for path in findings if path.suffix != ".txt")
        corpus = [path.read_bytes() for path in (RUNS / family / "corpus").glob("*")]
        for data in (*seeds(family), *corpus):
            hear(data)
        counts = ", ".join(f"{int(count):,} {name}" for name, count in zip(COUNTERS, counters, strict=True))
        print(f"{family}: {counts}; corpus {len(corpus)}; findings: {', '.join(named) or 'none'}")
    watch.stop()
    print("all:", ", ".join(f"{int(count):,} {name}" for name, count in zip(COUNTERS, total, strict=True)))
    fuzzed = [f"*/sqe_fast/audio/{name}" for name in ("containers.py", "decoders.py", "sources.py", "formats/*.py")]
    watch.report(include=fuzzed)


if __name__ == "__main__":
    main()
