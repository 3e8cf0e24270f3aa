"""Does the method work? Arms that differ in one thing each, on the same clips, each with the same number of steps.

From a finished warm-up every arm goes on for as many steps, at the alignment's learning rate: with more of the warm-up
itself, or with the terms of the alignment, one by one and together; beside them stands the warm-up as it was.

Without one, "sft" is a small warm-up, from an encoder that was warmed up by itself; arms with as many layers share it.
Arms of the alignment start from "sft" and take as many steps again; "sft-twice" is what the warm-up makes of the same.
The other arms are the warm-up with one thing changed.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.errors import UnusableError
from training.configs import ENCODER_LAYERS, Ablate, Alld, Budget, Calibrate, Encoder, Plan, Schedule, Sft, Weights
from training.corpora.corpus import Clips
from training.evaluation import evaluate
from training.evaluation.rated_sets import RatedSet, built
from training.learning import alld, bundle, calibration, encoder, sft
from training.learning.listing import recorded


@dataclass(frozen=True)
class Arm:
    """One row of the table."""

    title: str
    length: int = 1
    """Of the warm-up, in units of the budget's steps."""
    encoder_layers: int = ENCODER_LAYERS
    hears: bool = True
    """The warm-up starts from an encoder that was warmed up by itself."""
    diverse: bool = True
    preference: float = 0.0
    kl: float = 0.0
    anchor: float = 0.0

    @property
    def aligns(self) -> bool:
        return self.preference > 0 or self.kl > 0


ARMS: dict[str, Arm] = {
    "sft": Arm("SFT only"),
    "sft-twice": Arm("SFT, as many steps again", length=2),
    "preference": Arm("ALLD, sequence preference only", preference=1.0),
    "kl": Arm("ALLD, token-level KL only", kl=1.0),
    "both": Arm("ALLD, preference and KL", preference=1.0, kl=1.0),
    "anchored": Arm("ALLD, preference, KL and the SFT loss", preference=1.0, kl=1.0, anchor=1.0),
    "deaf": Arm("SFT only, from Whisper's own encoder", hears=False),
    "one-caption": Arm("SFT only, one caption a clip", diverse=False),
    "layers-1": Arm("SFT only, 1 encoder layer", encoder_layers=1),
    "layers-4": Arm("SFT only, 4 encoder layers", encoder_layers=4),
}
WARM_UP, LONGER = "sft", "sft-twice"
"""The arm that those of the alignment start from, and what they are held against."""
FROM_START = (WARM_UP, LONGER, *(name for name, arm in ARMS.items() if arm.aligns))
"""Arms that there are from a finished warm-up."""


@dataclass(frozen=True)
class Material:
    """What arms are trained on."""

    clips: Clips
    held_out: Clips
    prompts: PromptBuilder
    human: Clips | None


def run(
    config: Ablate, clips: Clips, held_out: Clips, test: Clips, prompts: PromptBuilder, human: Clips | None = None
) -> str:
    """Train and evaluate every arm with every seed under RUN/ablation/<arm>-<seed>, or RUN/ablation-<start>/…; the
    table, as Markdown.

    A finished arm is not run again. Raises UnusableError for an arm that is not there.
    """
    there = FROM_START if config.start else tuple(ARMS)
    folder, arms = config.run / (f"ablation-{config.start}" if config.start else "ablation"), config.arms or there
    if unknown := [name for name in arms if name not in there]:
        raise UnusableError(f"no arm is called {', '.join(unknown)}: name some of {', '.join(there)}")
    few = replace(clips, annotations=clips.annotations[: config.budget.clips])
    material = Material(few, held_out, prompts, human)
    order = sorted(arms, key=lambda name: ARMS[name].aligns)  # the warm-up first
    for seed in config.seeds:
        for name in order:
            target = folder / f"{name}-{seed}"
            if not (target / "found.json").exists():
                _train(ARMS[name], config, target, seed, material)
                found = _evaluate(target, held_out, built(test, "test"), config.budget.plan)
                evaluate.save(found, target / "found.json")
    text = table(folder, arms, config.seeds, config.budget)
    (folder / "table.md").write_text(text, encoding="utf-8")
    return text


def _train(arm: Arm, config: Ablate, target: Path, seed: int, material: Material) -> None:
    budget = config.budget
    schedule = Schedule(steps=budget.steps, batch_size=budget.batch_size, precision=budget.precision, seed=seed)
    if arm.aligns:
        _align(arm, config, target, schedule, material)
    elif config.start is None:
        _warm_up(arm, config, target, schedule, material)
    elif arm.length > 1:
        longer = Sft(run=target.parent, name=target.name, schedule=schedule, tuning=Alld.tuning)
        sft.run(longer, config.run / config.start, material.clips, material.held_out, material.prompts, material.human)
    else:
        shutil.copytree(config.run / config.start / "checkpoint", target / "checkpoint", dirs_exist_ok=True)


def _align(arm: Arm, config: Ablate, target: Path, schedule: Schedule, material: Material) -> None:
    """From RUN/<start>, or from the same seed's small warm-up."""
    run, seed = target.parent, schedule.seed
    start = run / f"{WARM_UP}-{seed}" if config.start is None else config.run / config.start
    aligning = Alld(
        run=run,
        name=target.name,
        warm_up=str(start.resolve()),
        answers=run / f"answers-{seed}",
        expert_folder=config.run / "expert",
        # Two responses a clip: half the clips a step are as many response tokens.
        schedule=replace(schedule, batch_size=schedule.batch_size // 2),
        weights=Weights(preference=arm.preference, kl=arm.kl, anchor=arm.anchor),
    )
    alld.run(aligning, material.clips, material.held_out, material.prompts)


def _warm_up(arm: Arm, config: Ablate, target: Path, schedule: Schedule, material: Material) -> None:
    """From Whisper's encoder or one warmed up by itself, and from RUN/expert."""
    run, budget, given = target.parent, config.budget, (material.clips, material.held_out, material.prompts)
    start = sft.Parts(
        run / f"encoder-{arm.encoder_layers}-{schedule.seed}" if arm.hears else None, config.run / "expert"
    )
    if start.encoder:
        hearing = replace(schedule, steps=budget.encoder_steps, batch_size=2 * budget.batch_size)
        warming = Encoder(run=run, name=start.encoder.name, encoder_layers=arm.encoder_layers, schedule=hearing)
        encoder.run(warming, *given, material.human)
    longer = replace(schedule, steps=arm.length * budget.steps)
    tuning = Sft(run=run, name=target.name, one_caption=not arm.diverse, schedule=longer)
    sft.run(tuning, start, *given, material.human)


def _evaluate(target: Path, held_out: Clips, test: RatedSet, plan: Plan) -> dict[str, Any]:
    """Each arm is calibrated by itself where causes were recorded: thresholds are no part of what it learnt."""
    if any(recorded(clip) for clip in held_out.annotations):
        calibration.run(Calibrate(run=target.parent, name=target.name), held_out)
    bundle.write(target / "checkpoint", target / "bundle", target.name)
    return evaluate.report(evaluate.Subject.open(str(target / "bundle")), [test], plan)


# --- the table --------------------------------------------------------------------------------------------------------

COLUMNS = (
    "MOS LCC",
    "MOS MSE",
    "dimensions LCC",
    "dimensions MSE",
    "BLEU",
    "words agree",
    "causes: precision",
    "causes: recall",
    "A/B, ΔMOS ≥ 0.5",
)


def table(folder: Path, arms: Sequence[str], seeds: Sequence[int], budget: Budget) -> str:
    """One line an arm: the mean over seeds, and in brackets the seeds' own figures. "Words agree" by the exact reader,
    with ratings and causes; recall is the mean over kinds."""
    lines = [
        f"{json.dumps(asdict(budget))}, seeds {', '.join(map(str, seeds))}. Mean over seeds (each seed's figure).",
        "",
        f"| arm | {' | '.join(COLUMNS)} |",
        f"| --- |{' --- |' * len(COLUMNS)}",
    ]
    for name in arms:
        found = [json.loads((folder / f"{name}-{seed}" / "found.json").read_text()) for seed in seeds]
        figures = [_figures(one) for one in found]
        cells = [_cell([figure[column] for figure in figures]) for column in COLUMNS]
        lines.append(f"| {ARMS[name].title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    """NaN for what was not asked, or is undefined."""
    (entry,) = found["sets"].values()
    dimensions = [name for name in entry["files"] if name != "mos"]
    return {
        "MOS LCC": _at(entry, "files", "mos", "lcc", "value"),
        "MOS MSE": _at(entry, "files", "mos", "mse", "value"),
        "dimensions LCC": float(np.mean([_at(entry, "files", name, "lcc", "value") for name in dimensions])),
        "dimensions MSE": float(np.mean([_at(entry, "files", name, "mse", "value") for name in dimensions])),
        "BLEU": _at(entry, "descriptions", "bleu", "model", "value"),
        "words agree": _at(entry, "descriptions", "agreement", "share", "value"),
        "causes: precision": _at(entry, "causes", "precision", "value"),
        "causes: recall": _at(entry, "causes", "macro_recall"),
        "A/B, ΔMOS ≥ 0.5": _at(entry, "comparisons", "all_clear_pairs", "value"),
    }


def _at(entry: Mapping[str, Any], *path: str) -> float:
    value: Any = entry
    for name in path:
        value = (value or {}).get(name)
    return math.nan if value is None else float(value)


def _cell(figures: Sequence[float]) -> str:
    return f"{np.mean(figures):.3f} ({', '.join(f'{figure:.3f}' for figure in figures)})"
