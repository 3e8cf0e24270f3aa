"""What decoding in a child process costs beside decoding here: CPU time a clip of both processes, and of a start.

pytest benchmarks/sandbox -s
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from sqe_fast.audio import Opens, load
from sqe_fast.audio.sandbox import Pool
from sqe_fast.options import Sandbox
from tests.support.audio_samples import RATE, encoded, long_speech

ROUNDS, CLIPS = 5, 30


def child_seconds(pool: Pool) -> float:
    return sum(time.clock_gettime(worker._clock) for worker in pool._workers)


@pytest.mark.parametrize(
    ("file_format", "subtype", "seconds"),
    [("WAV", "PCM_16", 5), ("FLAC", "PCM_16", 5), ("OGG", "VORBIS", 5), ("FLAC", "PCM_16", 120)],
)
def test_cost_of_a_clip(file_format: str, subtype: str, seconds: int, tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(encoded(long_speech(seconds), RATE, file_format, subtype))
    pool = Pool(Sandbox(children=1))
    digests = {clip.digest for opens in (None, pool.open) for clip in load(path, opens=opens).windows()}
    assert len(digests) == len({clip.digest for clip in load(path).windows()})
    start = child_seconds(pool)
    here, there = [], []
    for _ in range(ROUNDS):  # interleaved: the machine may be busy
        here.append(cost(path, None, pool))
        there.append(cost(path, pool.open, pool))
    memory = int(Path(f"/proc/{pool._workers[0]._process.pid}/status").read_text().split("VmHWM:")[1].split()[0])
    pool.close()
    alone, (caller, child) = median(sum(each) for each in here), np.median(there, axis=0)
    print(
        f"\n{file_format} {subtype}, {seconds} s: {alone * 1e3:.2f} ms of CPU a clip here; in a sandbox "
        f"{caller * 1e3:.2f} in the caller and {child * 1e3:.2f} in the child: {(caller + child) / alone:.2f} ×; "
        f"a start {start:.2f} s, {memory / 1e3:.0f} MB at the peak"
    )


def cost(path: Path, opens: Opens | None, pool: Pool) -> tuple[float, float]:
    """CPU seconds a clip, of this process and of the child."""
    own, child = time.process_time(), child_seconds(pool)
    for _ in range(CLIPS if path.stat().st_size < 1 << 20 else 2):
        for _ in load(path, opens=opens).windows():
            pass
    count = CLIPS if path.stat().st_size < 1 << 20 else 2
    return (time.process_time() - own) / count, (child_seconds(pool) - child) / count
