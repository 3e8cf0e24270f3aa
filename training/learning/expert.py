"""The text expert: a language model that reads ratings and causes as text and answers as the captions do.

For `tiny` it is trained here: a decoder of the same size, also the initialisation of SFT. For a large model it is any
causal LM with the same tokenizer. Either way it is the reference policy of the alignment, so its line is spread over
neighbouring ratings as the audio model's is.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from sqe_fast.answer.scale import NUMBER_TOKENS
from sqe_fast.answer.template import IM_END, IM_START, VERDICTS, PromptBuilder
from sqe_fast.checkpoint.files import CONFIG_FILE, TOKENIZER_FILE
from sqe_fast.model.decoder import Qwen2Decoder
from training import configs
from training.corpora.corpus import Clips
from training.learning import tokenizer
from training.learning.answer_loss import AnswerLoss, Losses
from training.learning.examples import Batch, Sampler, Task, text_example
from training.learning.loop import join, train
from training.learning.stage import checkpoint_folder, decoder_groups, start_model, tiny_config
from training.streams import Stream, seed_of

LEARNING_RATE = 1e-3
CLIPS = 6_000
"""It reads the ratings of the first clips; their captions are new every time, so more would change little."""
TASKS: dict[Task, float] = {"describe": 0.6, "compare": 0.4}
REQUIRED = frozenset((IM_START, IM_END, *VERDICTS.values(), *NUMBER_TOKENS))
"""Tokens that an expert cannot do without."""


class ExpertObjective(nn.Module):
    """The decoder in training. Called with a batch it gives the batch's losses."""

    def __init__(self, decoder: Qwen2Decoder, prompts: PromptBuilder) -> None:
        super().__init__()
        self.model = decoder
        self.answer_loss = AnswerLoss(prompts)

    def forward(self, batch: Batch) -> Losses:
        batch = batch.to(self.model.head.weight.device)
        hidden = self.model(self.model.embed(batch.tokens))
        losses: Losses = self.answer_loss(self.model.logits, hidden, batch)
        return losses


def run(config: configs.Expert, clips: Clips, prompts: PromptBuilder) -> str:
    """Train into RUN/expert, whose name is returned: the decoder's weights end up in state.pt, beside the tokenizer
    they belong to."""
    schedule, folder = config.schedule, config.run / "expert"
    torch.manual_seed(seed_of(Stream.EXPERT_WEIGHTS, schedule.seed))
    if config.start:
        decoder = start_decoder(config.start, prompts)
    else:
        decoder = Qwen2Decoder(tiny_config(prompts.tokenizer).text)
    streams = Stream.EXPERT_ORDER, Stream.EXPERT_BATCH
    annotations, size = clips.annotations[:CLIPS], schedule.batch_size
    world = join(schedule)
    sampler = Sampler(annotations, prompts, text_example, TASKS, size, schedule.seed, *streams, world.size)
    groups = decoder_groups(decoder, LEARNING_RATE)
    if world.leads:
        tokenizer.save(prompts.tokenizer, folder)
    train(ExpertObjective(decoder, prompts), groups, sampler, folder, schedule)
    return str(folder)


def start_decoder(folder: Path, prompts: PromptBuilder) -> Qwen2Decoder:
    """The decoder of a checkpoint. Raises ValueError where its tokenizer is another than that of `prompts`."""
    checkpoint = checkpoint_folder(folder)
    theirs = Tokenizer.from_file(str(checkpoint / TOKENIZER_FILE))
    if theirs.get_vocab() != prompts.tokenizer.get_vocab():
        raise ValueError(f"{folder}: its tokenizer is not the one of this run")
    return start_model(checkpoint).decoder


def load(folder: Path, decoder: Qwen2Decoder) -> None:
    """Copy an expert that was trained here into `decoder`."""
    decoder.load_state_dict(torch.load(folder / "state.pt", weights_only=True)["model"])


class Expert(nn.Module):
    """A frozen reference policy: tokens [B, T], padded on the right → hidden states [B, T, H]; `head` [V, H] gives the
    logits."""

    @property
    def head(self) -> Tensor:
        raise NotImplementedError

    def forward(self, tokens: Tensor) -> Tensor:
        raise NotImplementedError


class OwnExpert(Expert):
    """One that `run` trained."""

    def __init__(self, decoder: Qwen2Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    @property
    def head(self) -> Tensor:
        return self.decoder.head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden: Tensor = self.decoder(self.decoder.embed(tokens))
        return hidden


class ExternalExpert(Expert):
    """A causal LM of transformers. Padding on the right needs no mask: no valid position sees it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        output = model.get_output_embeddings()
        if getattr(output, "bias", None) is not None:
            raise ValueError("the expert's head has a bias, which the alignment cannot use")
        self.model = model

    @property
    def head(self) -> Tensor:
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden: Tensor = self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return hidden


def open_expert(folder: Path, prompts: PromptBuilder) -> Expert:
    """The expert of a run's folder (state.pt), or a Hugging Face folder's causal LM (config.json).

    Raises FileNotFoundError where there is neither or no tokenizer.json, ValueError where its tokenizer differs.
    """
    if not (folder / TOKENIZER_FILE).exists():
        raise FileNotFoundError(f"{folder} holds no {TOKENIZER_FILE}: whether the expert speaks our tokens is unknown")
    check_tokenizer(prompts.tokenizer, Tokenizer.from_file(str(folder / TOKENIZER_FILE)), folder)
    opened: Expert
    if (folder / "state.pt").exists():
        decoder = Qwen2Decoder(tiny_config(prompts.tokenizer).text)
        load(folder, decoder)
        opened = OwnExpert(decoder)
    elif (folder / CONFIG_FILE).exists():
        from transformers import AutoModelForCausalLM

        opened = ExternalExpert(AutoModelForCausalLM.from_pretrained(folder, local_files_only=True))
    else:
        raise FileNotFoundError(f"{folder} holds neither a trained expert's state.pt nor a {CONFIG_FILE}")
    return opened.eval().requires_grad_(False)


def check_tokenizer(ours: Tokenizer, theirs: Tokenizer, folder: Path) -> None:
    """Raises ValueError unless the ids that both know mean the same to both, and the expert knows every token of the
    answer template. Other tokens, such as audio markers, may be known to one of them only."""
    their_tokens = {id: token for token, id in theirs.get_vocab(with_added_tokens=True).items()}
    for token, id in sorted(ours.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1]):
        other = their_tokens.get(id)
        if other != token and (other is not None or token in REQUIRED):
            raise ValueError(f"{folder}: token {id} is {other!r} to the expert, but {token!r} to the audio model")
