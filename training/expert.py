"""The text expert: `tiny`'s decoder, reading ratings and causes as text, trained to answer as the captions do.

It is the decoder's initialisation for SFT and the reference policy for alignment.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F

from sqe_fast.model.decoder import Qwen2Decoder
from sqe_fast.prompt import PromptBuilder
from training import architecture
from training.corpus import Clips
from training.examples import IGNORED, Batch, Sampler, text_example
from training.loop import Losses, Schedule, train

LEARNING_RATE = 1e-3


def run(clips: Clips, prompts: PromptBuilder, folder: Path, schedule: Schedule, batch_size: int, seed: int) -> None:
    """Train into FOLDER; the decoder's weights end up in FOLDER/state.pt."""
    torch.manual_seed(seed)
    decoder = Qwen2Decoder(architecture.tiny(prompts.tokenizer).text)
    sampler = Sampler(clips.rows, prompts, text_example, {"describe": 0.6, "compare": 0.4}, batch_size, seed)

    def loss_of(step: int) -> Losses:
        return {"loss": answer_loss(decoder, sampler(step))}

    train(decoder, [{"params": list(decoder.parameters()), "lr": LEARNING_RATE}], loss_of, folder, schedule)


def answer_loss(decoder: Qwen2Decoder, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy over the answers' tokens."""
    answered = batch.targets != IGNORED
    hidden = decoder(decoder.embed(batch.tokens))[answered]
    return F.cross_entropy(decoder.logits(hidden).float(), batch.targets[answered])


def load(folder: Path, decoder: Qwen2Decoder) -> None:
    """Copy a trained expert into `decoder`."""
    decoder.load_state_dict(torch.load(folder / "state.pt", weights_only=True)["model"])
