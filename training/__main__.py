"""`python -m training STAGE`: every stage that makes a model, in the order of `--help`.

What a stage writes lies under `--run`; one that was cut off goes on where it stopped. Under `torchrun` the training
stages share their batches among the processes. The options of a stage derive from its dataclass in configs.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Union

import tyro
from tokenizers import Tokenizer

from sqe_fast.answer.stock import Stock
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.files import STOCK_FILE, TOKENIZER_FILE
from sqe_fast.errors import UnusableError
from training import configs


def corpus(config: configs.Corpus) -> str:
    from training.corpora import corpus as simulated
    from training.corpora import human, nisqa

    if config.human:
        return human.run(config)
    return nisqa.run(config) if config.nisqa else simulated.run(config)


def labels(config: configs.Labels) -> str:
    from training.corpora import corpus as stage

    return f"{stage.collect_labels(config.run / 'corpus')} labels"


def listener(config: configs.Listener) -> str:
    from training.rating import report as stage

    return stage.run(config)


def captions(config: configs.Captions) -> str:
    from training.language import captioning as stage

    return stage.run(config)


def wordings(config: configs.Wordings) -> str:
    from training.language import wordings as stage

    return stage.run(config)


def tokenizer(config: configs.Tokenizer) -> str:
    from training.learning import tokenizer as stage

    return stage.run(config, *_clips(config, "train"))


def adopt(config: configs.Adopt) -> str:
    from training.learning import adopt as stage

    return stage.run(config)


def expert(config: configs.Expert) -> str:
    from training.learning import expert as stage

    return stage.run(config, *_clips(config, "train"), _prompts(config))


def encoder(config: configs.Encoder) -> str:
    from training.learning import encoder as stage

    return stage.run(config, *_clips(config, "train", "validation"), _prompts(config), _human(config))


def sft(config: configs.Sft) -> str:
    from training.learning import sft as stage

    start = config.start or stage.Parts(config.run / "encoder", config.run / "expert")
    return stage.run(config, start, *_clips(config, "train", "validation"), _prompts(config), _human(config))


def alld(config: configs.Alld) -> str:
    from training.learning import alld as stage

    return stage.run(config, *_clips(config, "train", "validation"), _prompts(config))


def calibrate(config: configs.Calibrate) -> str:
    from training.learning import calibration as stage

    return stage.run(config, *_clips(config, "validation"))


def bundle(config: configs.Bundle) -> str:
    from training.learning import bundle as stage

    return str(stage.write(config.run / config.name / "checkpoint", config.folder, config.folder.name))


def drafts(config: configs.Drafts) -> str:
    from training.language import drafts as stage

    return stage.run(config)


def neural_codec(config: configs.NeuralCodec) -> str:
    from training.learning import neural_codec as stage

    return stage.run(config)


def evaluate(config: configs.Evaluate) -> str:
    from training.evaluation import evaluate as stage

    return stage.run(config)


def baselines(config: configs.Baselines) -> str:
    from training.evaluation import baselines as stage

    return stage.run(config, *_clips(config, "train", "validation"))


def ablate(config: configs.Ablate) -> str:
    from training.evaluation import ablate as stage

    return stage.run(config, *_clips(config, "train", "validation", "test"), _prompts(config), _human(config))


STAGES: dict[type[configs.Stage], Callable[[Any], str]] = {
    configs.Corpus: corpus,
    configs.Labels: labels,
    configs.Listener: listener,
    configs.Captions: captions,
    configs.Wordings: wordings,
    configs.Tokenizer: tokenizer,
    configs.Adopt: adopt,
    configs.Expert: expert,
    configs.Encoder: encoder,
    configs.Sft: sft,
    configs.Alld: alld,
    configs.Calibrate: calibrate,
    configs.Bundle: bundle,
    configs.Drafts: drafts,
    configs.NeuralCodec: neural_codec,
    configs.Evaluate: evaluate,
    configs.Baselines: baselines,
    configs.Ablate: ablate,
}


def _clips(config: configs.Stage, *splits: str) -> list[Any]:
    """The clips of each split (corpus.Clips)."""
    from training.language import captioning

    return [captioning.open_clips(config.split(split)) for split in splits]


def _human(config: configs.Stage) -> Any:
    """Clips that people rated (corpus.Clips), where `corpus --human` was run."""
    from training.corpora import corpus

    folder = config.split(corpus.HUMAN)
    return corpus.Clips.open(folder) if folder.is_dir() else None


def _prompts(config: configs.Stage) -> PromptBuilder:
    folder = config.run / "tokenizer"
    return PromptBuilder(Tokenizer.from_file(str(folder / TOKENIZER_FILE)), Stock.load(folder / STOCK_FILE))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stage that `arguments` (those of the process, by default) name; what it says goes to standard output."""
    config = tyro.cli(
        Union[tuple(STAGES)],  # noqa: UP007 (made of a dictionary; each is called as its class, in small letters)
        prog="python -m training",
        description="Make a model: corpus → captions → tokenizer → expert → encoder → sft → alld → calibrate → bundle "
        "→ evaluate.",
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
