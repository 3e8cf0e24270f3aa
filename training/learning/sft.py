"""Warm-up of the audio model (the paper's SFT): encoder, projector and decoder together, on ratings, prose and A/B.

Tasks are those of `examples.py`; of clips that people rated, ratings alone are learnt. It starts from an encoder that
hears already (`encoder.py`) and from the text expert, whose task goes on between the others, so that learning to listen
does not cost the prose: how words follow from the line is the same in both, and a text step is cheap. An answer that
goes on from a line goes on from the one that the model reads itself, as when it is served (`policy.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.model.qwen2_audio import Qwen2Audio
from training import configs
from training.corpora.corpus import Both, Clips
from training.learning import encoder, expert
from training.learning.batches import HUMAN_SHARE
from training.learning.examples import Batch, Sampler, Task, audio_example, text_example
from training.learning.loop import join, train
from training.learning.policy import Policy
from training.learning.pooled_head import PooledHead
from training.learning.stage import parameter_groups, start_model, write_checkpoint
from training.streams import Stream, seed_of, stream

TASKS: dict[Task, float] = {"line": 0.2, "describe": 0.45, "compare": 0.15, "aspect": 0.15, "which": 0.05}
TEXT_TASKS: dict[Task, float] = {"describe": 0.4, "compare": 0.6}
HUMAN_TASKS: dict[Task, float] = {"line": 1.0}
"""Of clips that people rated on some scales; what they suffer from was not recorded."""
TEXT_SHARE = 0.25
"""Share of the batches that go on with the expert's text task."""
TEXT_BATCH = 2.5
"""Examples of a text batch for each clip of an audio batch: about the same time."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Audio batches, and between them text batches, and batches of clips that people rated."""

    audio: Sampler
    text: Sampler
    human: Sampler | None
    seed: int

    @classmethod
    def of(
        cls, clips: Clips, human: Clips | None, prompts: PromptBuilder, schedule: configs.Schedule, *, diverse: bool
    ) -> Mixture:
        batch_size, seed, together = schedule.batch_size, schedule.seed, join(schedule).size
        audio, text = (partial(make, diverse=diverse) for make in (audio_example, text_example))
        audio_streams = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH
        text_streams = Stream.SFT_TEXT_ORDER, Stream.SFT_TEXT_BATCH
        human_streams = Stream.SFT_HUMAN_ORDER, Stream.SFT_HUMAN_BATCH
        text_batch = round(TEXT_BATCH * batch_size)
        return cls(
            Sampler(clips.annotations, prompts, audio, TASKS, batch_size, seed, *audio_streams, together),
            Sampler(clips.annotations, prompts, text, TEXT_TASKS, text_batch, seed, *text_streams, together),
            Sampler(human.annotations, prompts, audio, HUMAN_TASKS, batch_size, seed, *human_streams, together)
            if human
            else None,
            seed,
        )

    def __call__(self, index: int) -> Batch:
        return self.sampler(index)(index)

    def sampler(self, index: int) -> Sampler:
        """The one that makes batch `index`."""
        lot = stream(Stream.SFT_MODALITY, self.seed, index // self.audio.together).random()
        if lot < TEXT_SHARE:
            return self.text
        return self.human if self.human and lot < TEXT_SHARE + (1 - TEXT_SHARE) * HUMAN_SHARE else self.audio


@dataclass(frozen=True)
class Parts:
    """Folders of the runs that an audio model is put together from; without one for the encoder, it is Whisper's."""

    encoder: Path | None
    expert: Path

    def assemble(self, prompts: PromptBuilder) -> tuple[Qwen2Audio, PooledHead | None]:
        model, head = encoder.load(self.encoder, prompts) if self.encoder else (encoder.untrained(prompts), None)
        expert.load(self.expert, model.decoder)
        return model, head

    def __str__(self) -> str:
        return f"{self.encoder.name if self.encoder else 'whisper'} and {self.expert.name}"


def run(
    config: configs.Sft,
    start: Path | Parts,
    clips: Clips,
    held_out: Clips,
    prompts: PromptBuilder,
    human: Clips | None = None,
) -> str:
    """Train into RUN/NAME/state.pt, and write the finished checkpoint (weights and tokenizer) to RUN/NAME/checkpoint.

    Starts from warmed-up parts, or from the checkpoint of another run's folder or of a Hugging Face folder.
    Returns the name of RUN/NAME.
    """
    schedule, folder, diverse = config.schedule, config.run / config.name, not config.one_caption
    torch.manual_seed(seed_of(Stream.SFT_WEIGHTS, schedule.seed))
    model, head = start.assemble(prompts) if isinstance(start, Parts) else (start_model(start), None)
    groups = parameter_groups(model, config.tuning)
    policy = Policy(model, Both(clips, human) if human else clips, prompts, head)
    batches = Mixture.of(clips, human, prompts, schedule, diverse=diverse)
    train(policy, groups, batches, folder, schedule, Policy(model, held_out, prompts).validate)
    if join(schedule).leads:
        facts = {
            "clips": len(clips),
            "human_clips": len(human) if human else 0,
            "start": str(start),
            "one_caption": config.one_caption,
            "schedule": asdict(schedule),
            "tuning": asdict(config.tuning),
        }
        write_checkpoint(model, prompts, folder, facts)
    return str(folder)
