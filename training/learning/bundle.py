"""A trained checkpoint → the folder that ships: fp16 weights, tokenizer, stock, front end, ONNX graphs, hashes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sqe_fast.answer.template import CAUSES_TEMPLATE
from sqe_fast.audio.features import HOP, N_FFT, SAMPLE_RATE
from sqe_fast.checkpoint.config import Qwen2AudioConfig
from sqe_fast.checkpoint.files import (
    CARD_FILE,
    CONFIG_FILE,
    PREPROCESSOR_FILE,
    STOCK_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
)
from sqe_fast.export import ExportReport, export

COPIED = (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, STOCK_FILE)


def write(checkpoint: Path, folder: Path, name: str) -> ExportReport:
    """Copy `checkpoint` to `folder`, add what serving needs, export. Raises ParityError as `export` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in COPIED:
        shutil.copyfile(checkpoint / file, folder / file)
    config = Qwen2AudioConfig.from_folder(folder)
    front_end = {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": config.audio.n_mels,
        "sampling_rate": SAMPLE_RATE,
        "hop_length": HOP,
        "n_fft": N_FFT,
        "chunk_length": 30,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }
    (folder / PREPROCESSOR_FILE).write_text(json.dumps(front_end, indent=2) + "\n")
    (folder / CARD_FILE).write_text(json.dumps({"name": name, "template": CAUSES_TEMPLATE}, indent=2) + "\n")
    return export(folder)
