"""What a finished checkpoint says of recordings → drafts.json in its folder, from which the engine guesses ahead.

The texts change nothing of what it says: they are its favourite phrases, and save passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sqe_fast.answer.follows import save_texts
from sqe_fast.checkpoint.files import DRAFTS_FILE
from sqe_fast.checkpoint.hashes import read_card, write_hashes
from sqe_fast.evaluator import Evaluator
from sqe_fast.results import Flag
from training.configs import Drafts
from training.streams import Stream, stream

ARGUED = 4
"""One argument for so many descriptions."""


def run(config: Drafts) -> str:
    clips = sorted(clip for folder in config.clips for clip in _files(folder))
    drawn = [clips[place] for place in stream(Stream.DRAFTS, config.seed).permutation(len(clips))[: config.count]]
    texts = list(_texts(config.folder, drawn))
    save_texts(config.folder / DRAFTS_FILE, texts)
    hashed = read_card(config.folder).get("sha256", {})
    write_hashes(config.folder, {*hashed, DRAFTS_FILE})
    return f"{len(texts)} texts of {len(drawn)} recordings"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else iter([folder])


def _texts(folder: Path, clips: Sequence[Path]) -> Iterator[str]:
    with Evaluator.from_pretrained(folder) as evaluator:
        for evaluation in evaluator.iter_evaluate(clips, channels="mix"):
            spoken = evaluation.description is not None and Flag.NO_SPEECH not in evaluation.flags
            if spoken and evaluation.error is None:  # what is said where nobody speaks is no model's
                yield str(evaluation.description)
        for first, second in zip(clips[::ARGUED], clips[1::ARGUED], strict=False):
            said = evaluator.compare(first, second, channels="mix").description
            if said is not None and "Speech B. " in said:
                yield said.split("Speech B. ", 1)[1]  # the conclusion before it is forced
