"""`python -m training STAGE`: every stage that makes a model, in the order of `--help`.

What a stage writes lies under `--run`; one that was cut off goes on where it stopped. Under `torchrun` the training
stages share their batches among the processes. The options of a stage derive from its dataclass in configs.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Union

import tyro
from tokenizers import Tokenizer

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.files import TOKENIZER_FILE
from sqe_fast.errors import UnusableError
from training import configs

if TYPE_CHECKING:
    from training.corpora.corpus import Clips


def corpus(config: configs.Corpus) -> str:
    from training.corpora import corpus as simulated
    from training.corpora import nisqa as human
    from training.simulation.sources import SPLITS

    folder = config.run / "corpus"
    if config.nisqa:
        return "\n".join(str(human.build(config.nisqa, folder, split)) for split in SPLITS)
    assert config.simulate
    for split, count in zip(SPLITS, (config.train, config.validation, config.test), strict=True):
        simulated.build(config.simulate, folder, split, count, config.workers)
    return f"{folder} holds {', '.join(SPLITS)}"


def labels(config: configs.Labels) -> str:
    from training.corpora import corpus as stage

    return (
        f"{stage.collect_labels([folder for folder in sorted(config.run.glob('corpus/*/')) if folder.is_dir()])} labels"
    )


def captions(config: configs.Captions) -> str:
    from training.corpora.corpus import Clips
    from training.language import captioning
    from training.language.writers import open_writer
    from training.simulation.sources import SPLITS

    writer = open_writer(config)
    tallies = []
    for split in SPLITS:
        folder = config.split(split)
        tally = captioning.write_captions(Clips.open(folder).annotations, writer, folder, config.asking)
        tallies.append(f"{split}: {tally}")
    return "\n".join(tallies)


def tokenizer(config: configs.Tokenizer) -> str:
    from training.learning import tokenizer as stage

    stage.save(stage.train(_clips(config, "train")), config.run / "tokenizer")
    return str(config.run / "tokenizer")


def adopt(config: configs.Adopt) -> str:
    from training.learning import adopt as stage
    from training.learning import tokenizer

    done = stage.adopt(config.source, config.folder)
    tokenizer.save(Tokenizer.from_file(str(config.folder / TOKENIZER_FILE)), config.run / "tokenizer")
    return done


def expert(config: configs.Expert) -> str:
    from training.learning import expert as stage

    schedule, folder = config.schedule, config.run / "expert"
    stage.run(
        _clips(config, "train"), _prompts(config), folder, _schedule(schedule), schedule.batch_size, schedule.seed
    )
    return str(folder)


def encoder(config: configs.Encoder) -> str:
    from training.learning import encoder as stage

    schedule, folder = config.schedule, config.run / "encoder"
    stage.run(
        _clips(config, "train"),
        _clips(config, "validation"),
        _prompts(config),
        folder,
        _schedule(schedule),
        schedule.batch_size,
        schedule.seed,
        config.encoder_layers,
    )
    return str(folder)


def sft(config: configs.Sft) -> str:
    from training.learning import sft as stage

    schedule, folder = config.schedule, config.run / config.name
    stage.run(
        _clips(config, "train"),
        _clips(config, "validation"),
        _prompts(config),
        config.start or stage.Parts(config.run / "encoder", config.run / "expert"),
        folder,
        _schedule(schedule),
        schedule.batch_size,
        schedule.seed,
        config.tuning.rate,
        diverse=not config.one_caption,
        lora_rank=config.tuning.lora_rank,
        train_encoder=not config.tuning.freeze_encoder,
    )
    return str(folder)


def alld(config: configs.Alld) -> str:
    from training.learning import alld as stage

    schedule, folder, weights = config.schedule, config.run / config.name, config.weights
    stage.run(
        _clips(config, "train"),
        _clips(config, "validation"),
        _prompts(config),
        config.expert_folder or config.run / "expert",
        config.run / config.warm_up,
        folder,
        _schedule(schedule),
        schedule.batch_size,
        schedule.seed,
        beta=weights.beta,
        preference_weight=weights.preference,
        kl_weight=weights.kl,
        anchor_weight=weights.anchor,
        direction=weights.direction,
        rate=config.tuning.rate,
        temperature=config.sampling.temperature,
        top_p=config.sampling.top_p,
        limit=config.limit,
        lora_rank=config.tuning.lora_rank,
        train_encoder=not config.tuning.freeze_encoder,
    )
    return str(folder)


def bundle(config: configs.Bundle) -> str:
    from training.learning import bundle as stage

    return str(stage.write(config.run / config.name / "checkpoint", config.folder, config.folder.name))


def evaluate(config: configs.Evaluate) -> str:
    from training.evaluation import evaluate as stage

    return stage.run(config)


def baselines(config: configs.Baselines) -> str:
    from training.evaluation import baselines as stage

    return stage.run(config, _clips(config, "train"), _clips(config, "validation"))


def ablate(config: configs.Ablate) -> str:
    from training.evaluation import ablate as stage

    return stage.run(config, *(_clips(config, split) for split in ("train", "validation", "test")), _prompts(config))


STAGES: dict[type[configs.Stage], Callable[[Any], str]] = {
    configs.Corpus: corpus,
    configs.Labels: labels,
    configs.Captions: captions,
    configs.Tokenizer: tokenizer,
    configs.Adopt: adopt,
    configs.Expert: expert,
    configs.Encoder: encoder,
    configs.Sft: sft,
    configs.Alld: alld,
    configs.Bundle: bundle,
    configs.Evaluate: evaluate,
    configs.Baselines: baselines,
    configs.Ablate: ablate,
}


def _clips(config: configs.Stage, split: str) -> Clips:
    from training.language import captioning

    return captioning.open_clips(config.split(split))


def _prompts(config: configs.Stage) -> PromptBuilder:
    return PromptBuilder(Tokenizer.from_file(str(config.run / "tokenizer" / TOKENIZER_FILE)))


def _schedule(schedule: configs.Schedule) -> Any:
    from training.learning import loop

    return loop.Schedule(
        schedule.steps, precision=schedule.precision, device=schedule.device, accumulate=schedule.accumulate
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stage that `arguments` (those of the process, by default) name; what it says goes to standard output."""
    config = tyro.cli(
        Union[tuple(STAGES)],  # noqa: UP007 (made of a dictionary; each is called as its class, in small letters)
        prog="python -m training",
        description="Make a model: corpus → captions → tokenizer → expert → encoder → sft → alld → bundle → evaluate.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    try:
        said = STAGES[type(config)](config)
    except UnusableError as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main()
