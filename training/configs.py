"""The settings of each stage of `python -m training`: one dataclass a stage, from which its options derive.

A default stands here and nowhere else; the docstring under a field is its option's help. Nothing heavy is imported, so
that `--help` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What all stages share."""

    run: Path = Path("runs/tiny")
    """Folder for everything this run writes."""

    def split(self, name: str) -> Path:
        """Folder of a built split."""
        return self.run / "corpus" / name


# --- data -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Corpus(Stage):
    """Build rated clips: degraded ones with their causes recorded, those of people's panels, or the NISQA corpus."""

    simulate: Path | None = None
    """Degrade the clean speech of this folder, which holds clean/, noise/ and rir/, each with its sources.csv."""
    nisqa: Path | None = None
    """Read the NISQA corpus in this folder instead."""
    human: Path | None = None
    """Read what people's panels said, in this folder's rated/, to train on beside simulated clips."""
    train: int = 20_000
    """Simulated clips to train on."""
    validation: int = 600
    """Simulated clips to watch the training on."""
    test: int = 1_200
    """Simulated clips to evaluate on."""
    judge: bool = True
    """Ask the judges about simulated clips that labels.csv.gz does not hold. Without, clips are made now and judged by
    a later run."""
    workers: int = 2
    """Processes."""

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.simulate, self.nisqa, self.human)) != 1:
            raise ValueError("give one of --simulate FOLDER, --nisqa FOLDER and --human FOLDER")


@dataclass(frozen=True, kw_only=True)
class Labels(Stage):
    """Keep what the judges said of a simulated corpus in training/rating/labels.csv.gz, so that none is asked twice."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How much a writer is asked."""

    per_clip: int = 3
    """Descriptions of each clip."""
    pairs: int = 10_000
    """Comparisons in each split."""
    tries: int = 4
    """How often one text is asked for until one passes the checks."""
    workers: int = 8
    """Requests at once; only an endpoint can use more than one."""
    seed: int = 1
    """Of pairs, demonstrations and sampling."""


@dataclass(frozen=True, kw_only=True)
class Listener(Stage):
    """Hold the listener, who rates simulated clips, against people; reports RUN/corpus/train too, if it is there."""

    data: Path
    """Folder that holds the panels (rated/) beside clean/, noise/ and rir/."""
    final: bool = False
    """Also the panels' untouched talkers. Once, at the very end."""


@dataclass(frozen=True, kw_only=True)
class Captions(Stage):
    """Have a language model write the captions, and check each. Optional: else the offline writer does, as needed."""

    endpoint: str | None = None
    """Address of an OpenAI-compatible endpoint."""
    model: str = ""
    """The model's name at the endpoint."""
    api_key_env: str | None = None
    """Environment variable that holds the endpoint's key."""
    local: Path | None = None
    """Folder of a causal LM with a chat template, instead of an endpoint."""
    device: Device = "cpu"
    """Where the local model runs."""
    asking: Asking = Asking()

    def __post_init__(self) -> None:
        if (self.endpoint is None) == (self.local is None):
            raise ValueError("give either --endpoint ADDRESS or --local FOLDER")


@dataclass(frozen=True, kw_only=True)
class Wordings(Stage):
    """Ask a language model for clauses that language/stock.toml lacks. They are printed for a person to choose from."""

    endpoint: str
    """Address of an OpenAI-compatible endpoint."""
    model: str
    """The model's name at the endpoint."""
    dimension: Literal["noisiness", "coloration", "discontinuity", "loudness"]
    """What the clauses speak of."""
    category: Literal["bad", "poor", "fair", "good", "excellent"]
    """What they say of it."""
    cause: bool = False
    """Clauses that name a cause."""
    count: int = 10
    """How many."""
    seed: int = 1
    """Of the sampling."""
    api_key_env: str | None = None
    """Environment variable that holds the endpoint's key."""


@dataclass(frozen=True, kw_only=True)
class Tokenizer(Stage):
    """Train the small tokenizer of `tiny` on captions of the corpus."""


@dataclass(frozen=True, kw_only=True)
class Adopt(Stage):
    """Give a published Qwen2-Audio the tokens of our answer template. Replaces `tokenizer`; then `sft --start`. Or give
    a checkpoint of an earlier recipe this run's vocabulary, after `tokenizer`."""

    source: Annotated[Positional[Path], arg(metavar="PUBLISHED")]
    """Folder of the checkpoint as published."""
    folder: Annotated[Positional[Path], arg(metavar="START")]
    """Where the checkpoint with our tokens goes."""
    own_vocabulary: bool = False
    """Put RUN/tokenizer in place of the checkpoint's own tokenizer; then `expert --start` and `encoder --start`."""


# --- models -----------------------------------------------------------------------------------------------------------


ENCODER_LAYERS = 2
"""Whisper's quality cue sits in layers 1 and 2; later layers listen to words."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and where a model is trained."""

    steps: int
    """Optimiser steps."""
    batch_size: int
    """Clips in a batch."""
    precision: Precision = "fp32"
    """bf16 pays only where the processor multiplies it natively."""
    device: Device = "cpu"
    """Where to train."""
    accumulate: int = 1
    """Batches of each process in a step."""
    seed: int = 1
    """Of initialisation, batches and texts."""
    warmup: float = 0.05
    """Share of the steps in which the learning rates rise to their peak; then they fall by a cosine."""
    weight_decay: float = 0.01
    """AdamW's."""
    clip_norm: float = 1.0
    """Longest gradient that is not shortened."""
    log_every: int = 20
    """Steps between two rows of the log."""
    validate_every: int = 400
    """Steps between two validations; there is one at the end as well."""
    save_every_s: float = 150.0
    """Seconds between two states that a stopped run goes on from."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What of the audio model is trained, and how fast."""

    rate: float = 1.0
    """Multiplier on the learning rates."""
    lora_rank: int = 0
    """Train adapters of this rank in the decoder instead of its weights; 0 trains the weights."""
    freeze_encoder: bool = False
    """Leave encoder and projector as they are."""


@dataclass(frozen=True, kw_only=True)
class Expert(Stage):
    """Train the text expert, which reads ratings and causes instead of hearing the clip."""

    start: Path | None = None
    """Checkpoint, with this tokenizer, whose decoder to go on from; by default a random one."""
    schedule: Schedule = Schedule(steps=3_500, batch_size=32)


@dataclass(frozen=True, kw_only=True)
class Encoder(Stage):
    """Warm up encoder and projector: ratings and causes, read from means of a clip's audio embeddings."""

    name: str = "encoder"
    """Folder of this model inside --run."""
    start: Path | None = None
    """Checkpoint whose encoder and projector to go on from; by default Whisper's encoder."""
    encoder_layers: int = ENCODER_LAYERS
    """How many of Whisper's encoder layers, from the first."""
    schedule: Schedule = Schedule(steps=1_600, batch_size=24)


@dataclass(frozen=True, kw_only=True)
class Sft(Stage):
    """Warm up the audio model on ratings, descriptions, A/B tests and short tasks."""

    name: str = "sft"
    """Folder of this model inside --run."""
    start: Path | None = None
    """Audio LM to start from; by default RUN/encoder and RUN/expert."""
    one_caption: bool = False
    """Use one fixed caption per clip."""
    schedule: Schedule = Schedule(steps=6_000, batch_size=12)
    tuning: Tuning = Tuning()


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What is minimised: the weighted sum of three terms."""

    beta: float = 0.1
    """Scale of the preference's log-ratios."""
    preference: float = 1.0
    """Weight of the sequence preference."""
    kl: float = 1.0
    """Weight of the token-level divergence from the expert."""
    anchor: float = 1.0
    """Weight of the warm-up's own loss."""
    direction: Literal["forward", "reverse"] = "reverse"
    """reverse: KL(student ‖ expert)."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the model's own answers are drawn."""

    temperature: float = 0.9
    """1 leaves the model's distribution as it is."""
    top_p: float = 0.95
    """Draw from the likeliest tokens that hold this much of the probability."""


@dataclass(frozen=True, kw_only=True)
class Alld(Stage):
    """Align the audio model with the text expert (ALLD)."""

    name: str = "alld"
    """Folder of this model inside --run."""
    warm_up: str = "sft"
    """Folder, inside --run, of the model to align."""
    expert_folder: Path | None = None
    """Any causal LM with our tokenizer; by default RUN/expert."""
    answers: Path | None = None
    """Folder for the answers that the model to align gives; by default its own."""
    limit: int = 2_000
    """Clips to align on, the first of the corpus."""
    schedule: Schedule = Schedule(steps=1_000, batch_size=6)
    tuning: Tuning = Tuning(rate=0.25)
    weights: Weights = Weights()
    sampling: Sampling = Sampling()


@dataclass(frozen=True, kw_only=True)
class Calibrate(Stage):
    """Calibrate on validation what a finished model reads before each cause, from where on a cause is named, and how
    far the MOS lies off."""

    name: str = "alld"
    """Folder of the model inside --run."""
    precision: float = 0.9
    """Of the causes named, so many are to be right."""
    device: Device = "cpu"
    """Where to run."""


@dataclass(frozen=True, kw_only=True)
class Bundle(Stage):
    """Write the checkpoint that ships, with ONNX graphs, hashes and a parity report."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Where the finished model goes, e.g. sqe_fast/models/tiny."""
    name: str = "alld"
    """Folder of the model inside --run."""


@dataclass(frozen=True, kw_only=True)
class Drafts(Stage):
    """Write down what the finished checkpoint says of recordings, so that the engine can guess ahead."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """The finished checkpoint; the texts go there."""
    clips: Annotated[Positional[tuple[Path, ...]], arg(metavar="CLIPS")]
    """Sound files, or folders of them; none that its speed will be judged by."""
    count: int = 100
    """Of so many of them, drawn at random: the table is counted when the first description is asked for."""
    seed: int = 0
    """Of that draw."""


@dataclass(frozen=True, kw_only=True)
class NeuralCodec(Stage):
    """Train the neural codec that the simulation degrades speech with. Its weights are part of this repository."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """The folder that `corpus --simulate` reads: clean speech of its training split is learnt from."""
    weights: Path = Path("training/simulation/neural_codec.safetensors")
    """Where they go."""
    ages: tuple[int, ...] = (200, 800, 2_600)
    """Steps after which the codec is kept: the fewer, the worse it sounds."""
    schedule: Schedule = Schedule(steps=2_600, batch_size=12)


# --- evaluation -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sets:
    """What is evaluated on."""

    corpus: bool = True
    """RUN/corpus/test is among them, unless this is given."""
    holub: Path | None = None
    """Folder of holub's P.835 panel."""
    p835: Path | None = None
    """Folder of the P.835 reference conditions (16 kHz)."""
    nisqa: Path | None = None
    """Folder of the NISQA corpus: its three test sets."""
    final: bool = False
    """Also the panels' untouched talkers. Once, at the very end."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is asked of each set."""

    described: int = 600
    """Clips that are described; the others are only rated."""
    pairs: int = 50
    """Comparisons for each range of |ΔMOS|."""
    same_sound: int = 100
    """Clips of a simulated set that are changed inaudibly, and audibly, and rated again."""
    singles: int = 20
    """Clips of each family of degradation, with nothing but that."""
    followed: int = 200
    """Clips of a simulated set that are heard under the ratings of others."""
    seed: int = 0
    """Of the pairs."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(Stage):
    """Rate, describe and compare what a checkpoint never heard; in-domain and out-of-domain apart."""

    model: str = "tiny"
    """Bundled name or checkpoint folder."""
    data: Path | None = None
    """The folder that `corpus --simulate` reads: of its held-out speakers rate ladders and single degradations, too."""
    output: Path | None = None
    """Folder for results.json, results.md and a plot a set."""
    sets: Sets = Sets()
    plan: Plan = Plan()


@dataclass(frozen=True, kw_only=True)
class Baselines(Stage):
    """Fit ridge regressions to signal statistics and to frozen layer-1 statistics, on the same splits."""

    sets: Sets = Sets()


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every arm of the ablation is given."""

    clips: int = 1_500
    """Training clips."""
    encoder_steps: int = 300
    """Steps of the encoder by itself, of twice the batch: no decoder runs."""
    steps: int = 300
    """Steps of the warm-up, and again of the alignment."""
    batch_size: int = 12
    """Clips in a batch."""
    precision: Precision = "fp32"
    """bf16 pays only where the processor multiplies it natively."""
    plan: Plan = Plan(described=200, pairs=20, same_sound=0, followed=0)


@dataclass(frozen=True, kw_only=True)
class Ablate(Stage):
    """Train and evaluate arms that differ in one thing each, on the same clips with the same budget."""

    start: str | None = None
    """Folder, inside --run, of a finished warm-up that every arm goes on from; by default each seed warms up a small
    one."""
    seeds: tuple[int, ...] = (1, 2)
    """Each arm is trained once with each."""
    arms: tuple[str, ...] = ()
    """Names of arms; by default all of them."""
    budget: Budget = Budget()
