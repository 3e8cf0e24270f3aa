"""Checkpoint folder → encoder.onnx, decoder.onnx and verifier.onnx in it, each in 8 bits as well, with a parity report
against the torch model.

The graphs hold no weights: they point into model.safetensors. They belong to that very file, so sqe_fast.json records
the SHA-256 of all. The same checkpoint gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqe_fast.checkpoint.files import (
    CONFIG_FILE,
    DECODER_FILE,
    DRAFTS_FILE,
    ENCODER_FILE,
    GENERATION_FILE,
    PREPROCESSOR_FILE,
    STOCK_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VERIFIER_FILE,
    WEIGHTS_FILE,
    int8_file,
)
from sqe_fast.checkpoint.hashes import write_hashes
from sqe_fast.export.decoder import decoder_graph, verifier_graph
from sqe_fast.export.encoder import encoder_graph
from sqe_fast.export.graph import stored_tensors
from sqe_fast.export.parity import Parity, measure_parity
from sqe_fast.model.qwen2_audio import load_checkpoint

COMPANIONS = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, PREPROCESSOR_FILE, GENERATION_FILE, STOCK_FILE, DRAFTS_FILE)
"""Hashed where they are there."""


class ParityError(Exception):
    """The graphs were written but do not compute what the torch model computes; they have been removed again."""


@dataclass(frozen=True)
class ExportReport:
    folder: Path
    graph_bytes: dict[str, int]
    parity: Parity

    def __str__(self) -> str:
        sizes = [f"{name}: {size:,} bytes" for name, size in self.graph_bytes.items()]
        return "\n".join([str(self.folder), *sizes, str(self.parity)])


def export(folder: Path) -> ExportReport:
    """Write the graphs and sqe_fast.json's hashes into `folder`, then compare ONNX Runtime with torch.

    Raises UnusableError where the folder is not a checkpoint that can be exported, and ParityError where any
    difference is above its tolerance.
    """
    _, config = load_checkpoint(folder)  # for its strictness: nothing is written beside weights that do not fit
    tensors = stored_tensors(folder)
    builders = {ENCODER_FILE: encoder_graph, DECODER_FILE: decoder_graph, VERIFIER_FILE: verifier_graph}
    graphs = {name: build(config, tensors) for name, build in builders.items()}
    graphs |= {int8_file(name): build(config, tensors, int8=True) for name, build in builders.items()}
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString(deterministic=True))
    files = [CONFIG_FILE, WEIGHTS_FILE, *(name for name in COMPANIONS if (folder / name).is_file())]
    write_hashes(folder, [*files, *graphs])
    parity = measure_parity(folder)
    if not parity.passed:
        for name in graphs:
            (folder / name).unlink()
        write_hashes(folder, files)
        raise ParityError(f"{folder}: the graphs differ from the torch model and were removed\n{parity}")
    return ExportReport(folder, {name: (folder / name).stat().st_size for name in graphs}, parity)
