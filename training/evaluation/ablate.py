"""Does the method work? Arms that differ in one thing each, on the same clips, each with the same number of steps.

"sft" is the warm-up alone, from an encoder that was warmed up by itself; arms with as many layers share it. Arms of the
alignment start from "sft" and take as many steps again; "sft twice as long" is what the warm-up makes of the same. The
other arms are the warm-up with one thing changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.errors import UnusableError
from sqe_fast.evaluator import Evaluator
from training.configs import ENCODER_LAYERS, Ablate, Alld, Budget, Encoder, Plan, Schedule, Sft, Weights
from training.corpora.corpus import Clips
from training.evaluation import evaluate
from training.evaluation.rated_sets import RatedSet, built
from training.learning import alld, bundle, encoder, sft


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
    "sft-twice": Arm("SFT twice as long", length=2),
    "preference": Arm("ALLD, sequence preference only", preference=1.0),
    "kl": Arm("ALLD, token-level KL only", kl=1.0),
    "both": Arm("ALLD, preference and KL", preference=1.0, kl=1.0),
    "anchored": Arm("ALLD, preference, KL and the SFT loss", preference=1.0, kl=1.0, anchor=1.0),
    "deaf": Arm("SFT only, from Whisper's own encoder", hears=False),
    "one-caption": Arm("SFT only, one caption a clip", diverse=False),
    "layers-1": Arm("SFT only, 1 encoder layer", encoder_layers=1),
    "layers-4": Arm("SFT only, 4 encoder layers", encoder_layers=4),
}
WARM_UP = "sft"
"""The arm that those of the alignment start from."""


def run(config: Ablate, clips: Clips, held_out: Clips, test: Clips, prompts: PromptBuilder) -> str:
    """Train and evaluate every arm with every seed under RUN/ablation/<arm>-<seed>; the table, as Markdown.

    A finished arm is not run again. Raises UnusableError for an arm that is not in `ARMS`.
    """
    folder, arms = config.run / "ablation", config.arms or tuple(ARMS)
    if unknown := [name for name in arms if name not in ARMS]:
        raise UnusableError(f"no arm is called {', '.join(unknown)}: name some of {', '.join(ARMS)}")
    few = replace(clips, annotations=clips.annotations[: config.budget.clips])
    order = sorted(arms, key=lambda name: ARMS[name].aligns)  # the warm-up first
    for seed in config.seeds:
        for name in order:
            target = folder / f"{name}-{seed}"
            if not (target / "found.json").exists():
                _train(ARMS[name], config, target, seed, few, held_out, prompts)
                evaluate.save(_evaluate(target, built(test, "test"), config.budget.plan), target / "found.json")
    text = table(folder, arms, config.seeds, config.budget)
    (folder / "table.md").write_text(text, encoding="utf-8")
    return text


def _train(
    arm: Arm, config: Ablate, target: Path, seed: int, clips: Clips, held_out: Clips, prompts: PromptBuilder
) -> None:
    budget, run, expert = config.budget, target.parent, config.run / "expert"
    schedule = Schedule(
        steps=arm.length * budget.steps, batch_size=budget.batch_size, precision=budget.precision, seed=seed
    )
    if arm.aligns:
        aligning = Alld(
            run=run,
            name=target.name,
            warm_up=f"{WARM_UP}-{seed}",
            expert_folder=expert,
            # Two responses a clip: half the clips a step are as many response tokens.
            schedule=replace(schedule, batch_size=budget.batch_size // 2),
            weights=Weights(preference=arm.preference, kl=arm.kl, anchor=arm.anchor),
        )
        alld.run(aligning, clips, held_out, prompts)
        return
    start = sft.Parts(run / f"encoder-{arm.encoder_layers}-{seed}" if arm.hears else None, expert)
    if start.encoder:
        hearing = replace(schedule, steps=budget.encoder_steps, batch_size=2 * budget.batch_size)
        warming = Encoder(run=run, name=start.encoder.name, encoder_layers=arm.encoder_layers, schedule=hearing)
        encoder.run(warming, clips, held_out, prompts)
    tuning = Sft(run=run, name=target.name, one_caption=not arm.diverse, schedule=schedule)
    sft.run(tuning, start, clips, held_out, prompts)


def _evaluate(target: Path, test: RatedSet, plan: Plan) -> dict[str, Any]:
    bundle.write(target / "checkpoint", target / "bundle", target.name)
    return evaluate.report(Evaluator.from_pretrained(str(target / "bundle")), [test], plan)


# --- the table --------------------------------------------------------------------------------------------------------

COLUMNS = ("MOS LCC", "MOS SRCC", "MOS MSE", "dimensions LCC", "BLEU", "words agree", "causes right", "A/B, ΔMOS ≥ 0.5")


def table(folder: Path, arms: Sequence[str], seeds: Sequence[int], budget: Budget) -> str:
    """One line an arm: the mean over seeds, and in brackets the seeds' own figures."""
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
    (entry,) = found["sets"].values()
    files, described, compared = entry["files"], entry["descriptions"], entry["comparisons"]
    dimensions = [files[name]["lcc"]["value"] for name in files if name != "mos"]
    return {
        "MOS LCC": files["mos"]["lcc"]["value"],
        "MOS SRCC": files["mos"]["srcc"]["value"],
        "MOS MSE": files["mos"]["mse"]["value"],
        "dimensions LCC": float(np.mean(dimensions)),
        "BLEU": described["bleu"]["model"]["value"],
        "words agree": described["agreement"]["with_ratings"]["value"],
        "causes right": described["causes"]["precision"]["value"],
        "A/B, ΔMOS ≥ 0.5": compared["all_clear_pairs"]["value"],
    }


def _cell(figures: Sequence[float]) -> str:
    return f"{np.mean(figures):.3f} ({', '.join(f'{figure:.3f}' for figure in figures)})"
