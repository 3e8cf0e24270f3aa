"""`python -m training COMMAND`: every stage that makes the bundled model, in the order of `--help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tokenizers import Tokenizer

from sqe_fast.checkpoint import TOKENIZER_FILE
from sqe_fast.prompt import PromptBuilder

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Data = Annotated[Path, typer.Option(help="Folder with clean/, noise/ and rir/, each with its sources.csv.")]
Run = Annotated[Path, typer.Option(help="Folder for everything this run writes.")]


@app.callback()
def main() -> None:
    """Make the bundled model: corpus → tokenizer → expert → sft → evaluate → bundle."""


@app.command()
def corpus(
    data: Data,
    run: Run = Path("runs/tiny"),
    train: Annotated[int, typer.Option(help="Clips to train on.")] = 16_000,
    validation: int = 400,
    test: int = 600,
) -> None:
    """Degrade clean speech, record the causes, rate every clip."""
    from training import corpus as stage

    for split, count in zip(stage.SPLITS, (train, validation, test), strict=True):
        stage.build(data, run / "corpus", split, count)


Steps = Annotated[int, typer.Option(help="Optimiser steps.")]
BatchSize = Annotated[int, typer.Option(help="Clips in a batch.")]
Precision = Annotated[str, typer.Option(help="fp32, or bf16 where the CPU multiplies it natively.")]


@app.command()
def tokenizer(run: Run = Path("runs/tiny")) -> None:
    """Learn the small tokenizer from captions of the corpus."""
    from training import tokenizer as stage
    from training.corpus import Clips

    stage.save(stage.train(Clips.open(run / "corpus" / "train")), run / "tokenizer")


@app.command()
def expert(
    run: Run = Path("runs/tiny"),
    steps: Steps = 1_500,
    batch_size: BatchSize = 32,
    precision: Precision = "fp32",
    seed: int = 1,
) -> None:
    """Train the text expert, which reads ratings and causes instead of hearing the clip."""
    from training import expert as stage
    from training.corpus import Clips
    from training.loop import Schedule

    schedule = Schedule(steps, precision=precision)  # type: ignore[arg-type]
    stage.run(Clips.open(run / "corpus" / "train"), _prompts(run), run / "expert", schedule, batch_size, seed)


@app.command()
def sft(
    run: Run = Path("runs/tiny"),
    steps: Steps = 3_000,
    batch_size: BatchSize = 16,
    precision: Precision = "fp32",
    seed: int = 1,
    name: Annotated[str, typer.Option(help="Folder of this run inside --run.")] = "sft",
    encoder_layers: int = 2,
    start_from: Annotated[str | None, typer.Option(help="Run inside --run whose weights to go on from.")] = None,
    rate: Annotated[float, typer.Option(help="Scale of the learning rates.")] = 1.0,
) -> None:
    """Warm up the audio model on ratings, descriptions and A/B tests."""
    from training import sft as stage
    from training.corpus import Clips
    from training.loop import Schedule

    corpus_folder = run / "corpus"
    stage.run(
        Clips.open(corpus_folder / "train"),
        Clips.open(corpus_folder / "validation"),
        _prompts(run),
        run / "expert",
        run / name,
        Schedule(steps, precision=precision),  # type: ignore[arg-type]
        batch_size,
        seed,
        encoder_layers,
        run / start_from if start_from else None,
        rate,
    )


@app.command()
def bundle(
    folder: Annotated[Path, typer.Argument(help="Where the finished model goes, e.g. sqe_fast/models/tiny.")],
    run: Run = Path("runs/tiny"),
    name: Annotated[str, typer.Option(help="Folder of the run inside --run.")] = "sft",
) -> None:
    """Write the checkpoint that ships, with ONNX graphs, hashes and a parity report."""
    from training import bundle as stage

    typer.echo(str(stage.write(run / name / "checkpoint", folder, folder.name)))


@app.command()
def evaluate(
    data: Data,
    model: Annotated[str, typer.Option(help="Bundled name or checkpoint folder.")] = "tiny",
    run: Run = Path("runs/tiny"),
    output: Annotated[Path | None, typer.Option(help="Write the figures here as JSON.")] = None,
) -> None:
    """Accuracy on held-out speakers, noises and recipes: ratings, A/B, ladders."""
    from sqe_fast.evaluator import Evaluator
    from training import evaluate as stage
    from training.corpus import Clips

    found = stage.report(Evaluator.from_pretrained(model), Clips.open(run / "corpus" / "test"), data)
    typer.echo(stage.markdown(found))
    if output:
        stage.write(found, output)


def _prompts(run: Path) -> PromptBuilder:
    return PromptBuilder(Tokenizer.from_file(str(run / "tokenizer" / TOKENIZER_FILE)))


if __name__ == "__main__":
    app()
