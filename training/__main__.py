"""`python -m training COMMAND`: every stage that makes a model, in the order of `--help`.

What a command writes lies under `--run`; one that was cut off goes on where it stopped. Under `torchrun` the training
commands share their batches among the processes.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from tokenizers import Tokenizer

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.files import TOKENIZER_FILE

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

DEFAULT_RUN = Path("runs/tiny")


class Precision(StrEnum):
    fp32 = "fp32"
    bf16 = "bf16"


class Device(StrEnum):
    cpu = "cpu"
    cuda = "cuda"


class Direction(StrEnum):
    forward = "forward"
    reverse = "reverse"


Data = Annotated[Path, typer.Option(help="Folder with clean/, noise/ and rir/, each with its sources.csv.")]
Run = Annotated[Path, typer.Option(help="Folder for everything this run writes.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps.")]
BatchSize = Annotated[int, typer.Option(help="Clips in a batch.")]
PrecisionOption = Annotated[Precision, typer.Option(help="bf16 pays only where the processor multiplies it natively.")]
DeviceOption = Annotated[Device, typer.Option(help="Where to train.")]
Accumulate = Annotated[int, typer.Option(help="Batches of each process in a step.")]
Seed = Annotated[int, typer.Option()]
LoraRank = Annotated[
    int, typer.Option(help="Train adapters of this rank in the decoder instead of its weights; 0: all.")
]
FreezeEncoder = Annotated[bool, typer.Option("--freeze-encoder", help="Leave encoder and projector as they are.")]
EncoderLayers = Annotated[int, typer.Option(help="Of Whisper's; the first ones.")]
Rate = Annotated[float, typer.Option(help="Scale of the learning rates.")]
OneCaption = Annotated[bool, typer.Option("--one-caption", help="The same caption of a clip every time.")]


@app.callback()
def main() -> None:
    """Make a model: corpus → captions → tokenizer → expert → encoder → sft → alld → bundle → evaluate."""


@app.command()
def corpus(
    data: Annotated[Path | None, typer.Option("--simulate", help="Degrade the clean speech in this folder.")] = None,
    nisqa: Annotated[Path | None, typer.Option(help="Read the NISQA corpus in this folder instead.")] = None,
    run: Run = DEFAULT_RUN,
    train: Annotated[int, typer.Option(help="Simulated clips to train on.")] = 12_000,
    validation: int = 400,
    test: int = 600,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Rated clips: degraded ones with their causes recorded, or the NISQA corpus with human ratings."""
    from training.corpora import corpus as simulated
    from training.corpora import nisqa as human
    from training.simulation.sources import SPLITS

    if (data is None) == (nisqa is None):
        raise typer.BadParameter("give either --simulate FOLDER or --nisqa FOLDER")
    for split, count in zip(SPLITS, (train, validation, test), strict=True):
        if data:
            simulated.build(data, run / "corpus", split, count, workers)
        elif nisqa:
            typer.echo(str(human.build(nisqa, run / "corpus", split)))


@app.command()
def labels(run: Run = DEFAULT_RUN) -> None:
    """Keep what the judges said of a simulated corpus in training/labels.csv.gz, so that nobody asks them again."""
    from training.corpora import corpus as stage

    folders = [folder for folder in sorted((run / "corpus").iterdir()) if folder.is_dir()]
    typer.echo(f"{stage.collect_labels(folders)} labels")


@app.command()
def captions(
    run: Run = DEFAULT_RUN,
    endpoint: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible endpoint.")] = None,
    model: Annotated[str, typer.Option(help="The model's name at the endpoint.")] = "",
    api_key_env: Annotated[str | None, typer.Option(help="Environment variable that holds the endpoint's key.")] = None,
    local: Annotated[Path | None, typer.Option(help="Folder of a causal LM with a chat template.")] = None,
    device: DeviceOption = Device.cpu,
    per_clip: Annotated[int, typer.Option(help="Descriptions of each clip.")] = 3,
    pairs: Annotated[int, typer.Option(help="Comparisons in each split.")] = 10_000,
    workers: Annotated[int, typer.Option(help="Requests at once.")] = 8,
    seed: Seed = 1,
) -> None:
    """Have a language model write the captions, and check each. Else the offline writer does, as they are needed."""
    from training.corpora.corpus import Clips
    from training.language import captioning
    from training.language.demonstrations import arguments, plain
    from training.language.writers import Demonstrations, EndpointWriter, LocalWriter, Writer
    from training.simulation.sources import SPLITS

    writer: Writer
    demonstrations = Demonstrations(plain(), arguments())
    if endpoint and not local:
        writer = EndpointWriter(endpoint, model, demonstrations, api_key_env=api_key_env)
    elif local and not endpoint:
        writer = LocalWriter(local, demonstrations, device=device.value)
    else:
        raise typer.BadParameter("give either --endpoint ADDRESS or --local FOLDER")
    for split in SPLITS:
        folder = run / "corpus" / split
        tally = captioning.write_captions(
            Clips.open(folder).rows, writer, folder, per_clip=per_clip, pairs=pairs, seed=seed, workers=workers
        )
        typer.echo(f"{split}: {tally}")


@app.command()
def tokenizer(run: Run = DEFAULT_RUN) -> None:
    """Learn the small tokenizer of `tiny` from captions of the corpus."""
    from training.learning import tokenizer as stage

    stage.save(stage.train(_clips(run, "train")), run / "tokenizer")


@app.command()
def adopt(
    source: Annotated[Path, typer.Argument(help="Folder of a Qwen2-Audio checkpoint as published.")],
    folder: Annotated[Path, typer.Argument(help="Where the checkpoint with our tokens goes.")],
    run: Run = DEFAULT_RUN,
) -> None:
    """Give a larger audio LM the tokens of our answer template. Takes the place of `tokenizer`; then `sft --start`."""
    from training.learning import adopt as stage
    from training.learning import tokenizer

    typer.echo(stage.adopt(source, folder))
    tokenizer.save(Tokenizer.from_file(str(folder / TOKENIZER_FILE)), run / "tokenizer")


@app.command()
def expert(
    run: Run = DEFAULT_RUN,
    steps: Steps = 3_500,
    batch_size: BatchSize = 32,
    precision: PrecisionOption = Precision.fp32,
    device: DeviceOption = Device.cpu,
    seed: Seed = 1,
) -> None:
    """Train the text expert, which reads ratings and causes instead of hearing the clip."""
    from training.learning import expert as stage

    schedule = _schedule(steps, precision, device)
    stage.run(_clips(run, "train"), _prompts(run), run / "expert", schedule, batch_size, seed)


@app.command()
def encoder(
    run: Run = DEFAULT_RUN,
    steps: Steps = 1_600,
    batch_size: BatchSize = 24,
    precision: PrecisionOption = Precision.fp32,
    device: DeviceOption = Device.cpu,
    seed: Seed = 1,
    encoder_layers: EncoderLayers = 2,
) -> None:
    """Warm up encoder and projector: ratings and causes from the mean of a clip's audio embeddings."""
    from training.learning import hearing as stage

    stage.run(
        _clips(run, "train"),
        _clips(run, "validation"),
        _prompts(run),
        run / "encoder",
        _schedule(steps, precision, device),
        batch_size,
        seed,
        encoder_layers,
    )


@app.command()
def sft(
    run: Run = DEFAULT_RUN,
    steps: Steps = 6_000,
    batch_size: BatchSize = 12,
    precision: PrecisionOption = Precision.fp32,
    device: DeviceOption = Device.cpu,
    accumulate: Accumulate = 1,
    seed: Seed = 1,
    name: Annotated[str, typer.Option(help="Folder of this run inside --run.")] = "sft",
    start: Annotated[Path | None, typer.Option(help="Audio LM to start from; else RUN/encoder and RUN/expert.")] = None,
    rate: Rate = 1.0,
    lora_rank: LoraRank = 0,
    freeze_encoder: FreezeEncoder = False,
    one_caption: OneCaption = False,
) -> None:
    """Warm up the audio model on ratings, descriptions, A/B tests and short tasks."""
    from training.learning import sft as stage

    stage.run(
        _clips(run, "train"),
        _clips(run, "validation"),
        _prompts(run),
        start or stage.Parts(run / "encoder", run / "expert"),
        run / name,
        _schedule(steps, precision, device, accumulate),
        batch_size,
        seed,
        rate,
        diverse=not one_caption,
        lora_rank=lora_rank,
        train_encoder=not freeze_encoder,
    )


@app.command()
def alld(
    run: Run = DEFAULT_RUN,
    steps: Steps = 1_000,
    batch_size: BatchSize = 6,
    precision: PrecisionOption = Precision.fp32,
    device: DeviceOption = Device.cpu,
    accumulate: Accumulate = 1,
    seed: Seed = 1,
    name: Annotated[str, typer.Option(help="Folder of this run inside --run.")] = "alld",
    warm_up: Annotated[str, typer.Option(help="Folder, inside --run, of the model to align.")] = "sft",
    expert_folder: Annotated[
        Path | None, typer.Option(help="Any causal LM with our tokenizer; else RUN/expert.")
    ] = None,
    beta: Annotated[float, typer.Option(help="Scale of the preference's log-ratios.")] = 0.1,
    preference: Annotated[float, typer.Option(help="Weight of the sequence preference.")] = 1.0,
    kl: Annotated[float, typer.Option(help="Weight of the token-level divergence from the expert.")] = 1.0,
    anchor: Annotated[float, typer.Option(help="Weight of the warm-up's own loss.")] = 1.0,
    direction: Annotated[Direction, typer.Option(help="reverse: KL(student ‖ expert).")] = Direction.reverse,
    rate: Rate = 0.25,
    temperature: Annotated[float, typer.Option(help="At which the model's own answers are drawn.")] = 0.9,
    top_p: Annotated[float, typer.Option(help="At which the model's own answers are drawn.")] = 0.95,
    limit: Annotated[int, typer.Option(help="Clips to align on, the first of the corpus.")] = 2_000,
    lora_rank: LoraRank = 0,
    freeze_encoder: FreezeEncoder = False,
) -> None:
    """Align the audio model with the text expert (ALLD)."""
    from training.learning import alld as stage

    stage.run(
        _clips(run, "train"),
        _clips(run, "validation"),
        _prompts(run),
        expert_folder or run / "expert",
        run / warm_up,
        run / name,
        _schedule(steps, precision, device, accumulate),
        batch_size,
        seed,
        beta=beta,
        preference_weight=preference,
        kl_weight=kl,
        anchor_weight=anchor,
        direction=direction.value,
        rate=rate,
        temperature=temperature,
        top_p=top_p,
        limit=limit,
        lora_rank=lora_rank,
        train_encoder=not freeze_encoder,
    )


@app.command()
def bundle(
    folder: Annotated[Path, typer.Argument(help="Where the finished model goes, e.g. sqe_fast/models/tiny.")],
    run: Run = DEFAULT_RUN,
    name: Annotated[str, typer.Option(help="Folder of the run inside --run.")] = "alld",
) -> None:
    """Write the checkpoint that ships, with ONNX graphs, hashes and a parity report."""
    from training.learning import bundle as stage

    typer.echo(str(stage.write(run / name / "checkpoint", folder, folder.name)))


TestSplit = Annotated[bool, typer.Option("--corpus/--no-corpus", help="Evaluate on RUN/corpus/test.")]
P835 = Annotated[Path | None, typer.Option(help="Folder of the P.835 reference conditions (16 kHz).")]
Nisqa = Annotated[Path | None, typer.Option(help="Folder of the NISQA corpus: its three test sets.")]
Final = Annotated[bool, typer.Option("--final", help="Also P.835's untouched talkers. Once, at the very end.")]


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Bundled name or checkpoint folder.")] = "tiny",
    run: Run = DEFAULT_RUN,
    corpus: TestSplit = True,
    p835: P835 = None,
    nisqa: Nisqa = None,
    final: Final = False,
    ladders: Annotated[Path | None, typer.Option(help="DATA folder, for the ladders on held-out speakers.")] = None,
    described: Annotated[int, typer.Option(help="Clips of each set that are described.")] = 600,
    pairs: Annotated[int, typer.Option(help="Comparisons for each range of |ΔMOS|.")] = 50,
    output: Annotated[Path | None, typer.Option(help="Folder for results.json, results.md and a plot a set.")] = None,
) -> None:
    """How good is a checkpoint on what it never heard? Ratings, words, A/B; in-domain and out-of-domain apart."""
    from sqe_fast.evaluator import Evaluator
    from training.evaluation import evaluate as stage
    from training.evaluation import report
    from training.evaluation.rated_sets import gather

    sets = gather(run / "corpus" / "test" if corpus else None, p835, nisqa, final)
    plan = stage.Plan(described=described, pairs_per_bucket=pairs)
    evaluator = Evaluator.from_pretrained(model)
    found = stage.report(evaluator, sets, plan=plan, ladder_data=ladders, plot_folder=output)
    typer.echo(report.markdown(found))
    if output:
        stage.save(found, output / "results.json")
        (output / "results.md").write_text(report.markdown(found), encoding="utf-8")


@app.command()
def baselines(run: Run = DEFAULT_RUN, p835: P835 = None, nisqa: Nisqa = None, final: Final = False) -> None:
    """Ridge regressions on signal statistics and on frozen layer-1 statistics, on the same splits."""
    from training.evaluation import baselines as stage
    from training.evaluation import report
    from training.evaluation.rated_sets import built, gather

    train, validation = (built(_clips(run, split), split) for split in ("train", "validation"))
    sets = gather(run / "corpus" / "test", p835, nisqa, final)
    typer.echo(report.baselines(stage.report(train, validation, sets)))


@app.command()
def ablate(
    run: Run = DEFAULT_RUN,
    clips: Annotated[int, typer.Option(help="Training clips of every arm.")] = 1_500,
    encoder_steps: Annotated[int, typer.Option(help="Steps of the encoder by itself.")] = 300,
    steps: Annotated[int, typer.Option(help="Steps of the warm-up, and again of the alignment.")] = 300,
    batch_size: BatchSize = 12,
    precision: PrecisionOption = Precision.fp32,
    described: Annotated[int, typer.Option(help="Test clips that are described.")] = 200,
    pairs: Annotated[int, typer.Option(help="Comparisons for each range of |ΔMOS|.")] = 20,
    seeds: Annotated[list[int], typer.Option("--seed", help="Repeat for several.")] = [1, 2],  # noqa: B006
    arms: Annotated[list[str] | None, typer.Option("--arm", help="Repeat for several; all of them by default.")] = None,
) -> None:
    """Does the method work? Arms that differ in one thing each, on the same clips with the same budget."""
    from training.evaluation import ablate as stage
    from training.evaluation.rated_sets import built

    budget = stage.Budget(clips, encoder_steps, steps, batch_size, precision.value, described, pairs)
    test = built(_clips(run, "test"), "test")
    train, held_out = _clips(run, "train"), _clips(run, "validation")
    folder = run / "ablation"
    table = stage.run(
        train, held_out, test, _prompts(run), run / "expert", folder, budget, seeds, arms or [*stage.ARMS]
    )
    (folder / "table.md").write_text(table, encoding="utf-8")
    typer.echo(table)


def _clips(run: Path, split: str) -> Any:
    from training.corpora.corpus import Clips
    from training.language import captioning

    folder = run / "corpus" / split
    clips = Clips.open(folder)
    return replace(clips, rows=captioning.attach(clips.rows, folder))


def _prompts(run: Path) -> PromptBuilder:
    return PromptBuilder(Tokenizer.from_file(str(run / "tokenizer" / TOKENIZER_FILE)))


def _schedule(steps: int, precision: Precision, device: Device, accumulate: int = 1) -> Any:
    from training.learning.loop import Schedule

    chosen: Literal["fp32", "bf16"] = precision.value
    return Schedule(steps, precision=chosen, device=device.value, accumulate=accumulate)


if __name__ == "__main__":
    app()
