"""A library of sources made by code, laid out as the real one: talkers, noises and rooms enough for every split."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile as sf

from tests.support.speech import SAMPLE_RATE, talk
from training.simulation.sources import CATEGORIES


def write_library(root: Path, talkers: int = 50, recordings: int = 8) -> Path:
    """`talkers`, the first four in a corpus kept for testing; `recordings` of each category of noise, in two pieces;
    as many rooms. Returns `root`."""
    rng = np.random.default_rng(0)
    speech = [_speech(root, index) for index in range(talkers)]
    write_table(root / "clean", speech)
    noises = []
    for category in CATEGORIES:
        for index in range(2 * recordings):
            file = f"made/{category.replace('/', ' ')} {index // 2}_{index % 2:02}.flac"
            write_audio(root / "noise" / file, 0.05 * rng.standard_normal(SAMPLE_RATE))
            noises.append({"file": file, "source": "made", "category": category, "licence": "CC0"})
    write_table(root / "noise", noises)
    rooms = [f"made/room{index}.flac" for index in range(recordings)]
    for file in rooms:
        decay = np.exp(-np.arange(4000) / 600) * rng.standard_normal(4000)
        write_audio(root / "rir" / file, decay / np.abs(decay).max())
    write_table(root / "rir", [{"file": file, "rt60_s": 0.26} for file in rooms])
    return root


def _speech(root: Path, index: int) -> dict[str, object]:
    source = "librispeech_test_other" if index < 4 else "librispeech_train_clean"
    file = f"{source}/{index}.flac"
    write_audio(root / "clean" / file, talk(1.5, seed=index))
    return {
        "file": file,
        "source": source,
        "speaker": f"LS{index}",
        "language": "en",
        "bw_hz": 8000,
        "note": "",
    }


def write_audio(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples.clip(-1, 1), SAMPLE_RATE)


def write_table(folder: Path, rows: list[dict[str, object]]) -> None:
    with (folder / "sources.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
