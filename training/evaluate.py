"""Accuracy of a checkpoint on clips it never saw: per rating LCC, SRCC, MSE with bootstrap intervals; A/B; ladders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from sqe_fast.evaluator import Evaluator
from sqe_fast.results import DIMENSIONS, RATINGS
from training import captions, ladder
from training.corpus import Clips
from training.measures import SAMPLE_RATE

Values = npt.NDArray[np.float64]


def report(evaluator: Evaluator, clips: Clips, data: Path, pairs: int = 100, described: int = 150) -> dict[str, Any]:
    """Everything the model card states. `clips` is a built split; `data` holds the held-out speakers."""
    evaluations = evaluator.evaluate([(clips.samples(row), SAMPLE_RATE) for row in clips], describe=False)
    kept = [(row, e.ratings) for row, e in zip(clips, evaluations, strict=True) if e.ratings]
    accuracy = {}
    for name in RATINGS:
        read = np.array([ratings[name] for _, ratings in kept])
        true = np.array([row[name] for row, _ in kept])
        accuracy[name] = {metric: interval(of, read, true) for metric, of in METRICS.items()}
    return {
        "model": evaluator.model,
        "clips": len(kept),
        "refused": len(clips) - len(kept),
        "accuracy": accuracy,
        "ab": ab_accuracy(evaluator, clips, pairs),
        "words": word_agreement(evaluator, clips, described),
        "ladders": [step.to_row() for step in ladder.climb(evaluator, data)],
    }


METRICS: dict[str, Callable[[Values, Values], float]] = {
    "lcc": lambda read, true: float(stats.pearsonr(read, true).statistic),
    "srcc": lambda read, true: float(stats.spearmanr(read, true).statistic),
    "mse": lambda read, true: float(np.mean((read - true) ** 2)),
}


def interval(of: Callable[[Values, Values], float], read: Values, true: Values, draws: int = 500) -> list[float]:
    """[value, lower, upper]: the figure and its 95 % bootstrap interval over clips."""
    rng = np.random.default_rng(0)
    samples = [of(read[i], true[i]) for i in (rng.integers(len(read), size=len(read)) for _ in range(draws))]
    lower, upper = np.quantile(samples, [0.025, 0.975])
    return [round(value, 3) for value in (of(read, true), float(lower), float(upper))]


def ab_accuracy(evaluator: Evaluator, clips: Clips, pairs: int) -> dict[str, Any]:
    """Over pairs with |ΔMOS| ≥ 0.5: how often the clip with the higher MOS wins; how often the compared dimension is
    indeed better by the model's own ratings; and whether the swapped question has the mirrored answer."""
    rng = np.random.default_rng(1)
    right = asked = reasons = true_reasons = mirrored = 0
    while asked < pairs:
        a, b = (clips.rows[int(i)] for i in rng.choice(len(clips), 2, replace=False))
        if abs(a["mos"] - b["mos"]) < captions.CLEAR_GAP:
            continue
        heard = [(clips.samples(row), SAMPLE_RATE) for row in (a, b)]
        comparison, swapped = evaluator.compare(*heard), evaluator.compare(*heard[::-1], describe=False)
        if comparison.winner is None or comparison.a.ratings is None or comparison.b.ratings is None:
            raise ValueError(f"a pair could not be compared: {comparison.to_row()}")
        asked += 1
        right += comparison.winner == captions.verdict(*(captions.shown(row)["mos"] for row in (a, b)))
        mirrored += swapped.probability is not None and comparison.probability == 1.0 - swapped.probability
        for dimension, better in captions.preferences(comparison.description or ""):
            gap = comparison.a.ratings[dimension] - comparison.b.ratings[dimension]
            reasons, true_reasons = reasons + 1, true_reasons + ((gap > 0) == (better == "A"))
    return {"pairs": asked, "right": right, "mirrored": mirrored, "reasons": reasons, "reasons_true": true_reasons}


def word_agreement(evaluator: Evaluator, clips: Clips, described: int) -> dict[str, Any]:
    """Do the words follow the model's own numbers? Over clauses: the category they claim against that of the rating;
    over descriptions: whether the first clause is about the worst dimension (within 0.2), and the label of the MOS."""
    heard = [(clips.samples(row), SAMPLE_RATE) for row in clips.rows[:described]]
    right = near = clauses = first = label = texts = 0
    for evaluation in evaluator.evaluate(heard):
        if evaluation.ratings is None or evaluation.description is None:
            continue
        rated = captions.shown({name: evaluation.ratings[name] for name in RATINGS})
        claims = captions.claims(evaluation.description)
        apart = [abs(captions.label(rated[dimension]) - category) for dimension, category in claims]
        texts, clauses = texts + 1, clauses + len(apart)
        right, near = right + apart.count(0), near + apart.count(0) + apart.count(1)
        worst = min(rated[name] for name in DIMENSIONS)
        first += bool(claims) and rated[claims[0][0]] <= worst + 0.2
        label += captions.LABELS[captions.label(rated["mos"])] in evaluation.description
    shares = {"clauses_right": right / clauses, "clauses_within_one": near / clauses}
    shares |= {"worst_first": first / texts, "mos_label_right": label / texts}
    return {"descriptions": texts, "clauses": clauses} | {name: round(share, 3) for name, share in shares.items()}


def markdown(found: dict[str, Any]) -> str:
    """The tables of a model card."""
    ab, words = found["ab"], found["words"]
    lines = [f"| {found['clips']} clips | {' | '.join(RATINGS)} |", f"| --- |{' --- |' * len(RATINGS)}"]
    for metric in METRICS:
        figures = (found["accuracy"][name][metric] for name in RATINGS)
        cells = (f"{value:.3f} ({lower:.3f}–{upper:.3f})" for value, lower, upper in figures)
        lines.append(f"| {metric.upper()} | {' | '.join(cells)} |")
    lines += ["", "| words and comparisons | |", "| --- | --- |"]
    lines += [
        f"| A/B, pairs with ΔMOS ≥ 0.5: the higher MOS wins | {ab['right']} of {ab['pairs']} |",
        f"| A/B swapped: exactly the mirrored answer | {ab['mirrored']} of {ab['pairs']} |",
        f"| A/B reasons that agree with the model's own ratings | {ab['reasons_true']} of {ab['reasons']} |",
        f"| clauses of the category of their rating | {words['clauses_right']:.1%} of {words['clauses']} |",
        f"| clauses at most one category off | {words['clauses_within_one']:.1%} |",
        f"| descriptions that open with the worst dimension | {words['worst_first']:.1%} of {words['descriptions']} |",
        f"| descriptions whose label fits the MOS | {words['mos_label_right']:.1%} |",
        "",
        "| ladder, mild → severe | matching dimension | MOS |",
        "| --- | --- | --- |",
    ]
    for row in found["ladders"]:
        dimension = ladder.LADDERS[row["ladder"]][0]
        steps = (" → ".join(f"{value:.2f}" for value in row[name]) for name in (dimension, "mos"))
        lines.append(f"| {row['ladder']} | {dimension} {' | '.join(steps)} |")
    return "\n".join(lines)


def write(found: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
