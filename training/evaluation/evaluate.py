"""How good is a checkpoint? Ratings, descriptions and comparisons on sets it never saw, each set by itself.

Everything is asked of the public `Evaluator`, as a user would. A set whose rows hold all five ratings is also described
and compared; one with fewer (P.835) is only rated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sqe_fast.answer.argument import conclusion
from sqe_fast.answer.program import Program
from sqe_fast.answer.scale import verdict
from sqe_fast.answer.template import IM_END, PromptBuilder
from sqe_fast.checkpoint.folder import open_checkpoint
from sqe_fast.engine.engine import Engine
from sqe_fast.evaluator import Evaluator
from sqe_fast.options import Serving
from sqe_fast.results import RATINGS, Comparison, Evaluation, Flag, Ratings
from sqe_fast.runners import open_runner
from training.configs import Evaluate, Plan
from training.corpora.annotation import Annotation
from training.evaluation import ladder, plots, prose_scores, scores
from training.evaluation.cause_scores import cause_scores
from training.evaluation.followed import followed
from training.evaluation.rated_sets import RatedSet, accuracy, gather
from training.evaluation.report import markdown
from training.evaluation.same_sound import same_sound
from training.evaluation.singles import singles
from training.language import captions, causes, problems
from training.language.captions import stock
from training.language.scale import shown
from training.language.writers import Writer
from training.streams import Stream, stream

NO_FAMILY = "nothing"
"""What acted on a pristine clip."""


def run(config: Evaluate) -> str:
    """Evaluate a checkpoint on every set that was asked for; the report, as Markdown."""
    sets = gather(config.split("test"), config.sets)
    found = report(Subject.open(config.model), sets, config.plan, data=config.data, plot_folder=config.output)
    if config.output:
        save(found, config.output / "results.json")
    text = markdown(found)
    if config.output:
        (config.output / "results.md").write_text(text, encoding="utf-8")
    return text


@dataclass(frozen=True)
class Subject:
    """What is evaluated: as its users have it, and its parts, of which more can be asked."""

    evaluator: Evaluator
    prompts: PromptBuilder
    engine: Engine

    @classmethod
    def open(cls, model: str) -> Subject:
        """A bundled name or a checkpoint folder."""
        checkpoint = open_checkpoint(model)
        engine = Engine(open_runner(checkpoint.folder, Serving()))
        return cls(Evaluator.from_pretrained(model), checkpoint.prompts(), engine)


def report(
    subject: Subject,
    sets: Sequence[RatedSet],
    plan: Plan,
    *,
    writer: Writer = captions,
    data: Path | None = None,
    plot_folder: Path | None = None,
) -> dict[str, Any]:
    """Everything a model card states, as JSON holds it.

    `data` is the folder with the held-out speakers, for ladders and single degradations; `plot_folder` takes one PNG a
    set.
    """
    evaluator = subject.evaluator
    found: dict[str, Any] = {"model": evaluator.model, "plan": asdict(plan), "sets": {}}
    for rated in sets:
        evaluations = evaluate_set(evaluator, rated, plan.described if rated.complete else 0)
        entry = {"domain": rated.domain, "rated_by": rated.rated_by, **rating_scores(rated, evaluations)}
        if rated.complete and plan.described:
            entry["descriptions"] = description_scores(subject.prompts, rated, evaluations, writer)
        if rated.complete and plan.pairs:
            entry["comparisons"] = {
                "all_clear_pairs": clear_pairs(rated, evaluations).to_row(),
                **comparison_scores(subject, rated, writer, plan),
            }
        if rated.rated_by == "simulated":
            entry["causes"] = named_scores(rated, evaluations)
        if rated.rated_by == "simulated" and plan.followed and subject.prompts.stock is not None:
            entry["followed"] = followed(subject.engine, subject.prompts, rated, plan.followed)
        if rated.rated_by == "simulated" and plan.same_sound:
            answered = [index for index, evaluation in enumerate(evaluations) if evaluation.ratings]
            entry["same_sound"] = same_sound(evaluator, rated, answered[: plan.same_sound])
        if plot_folder:
            entry["plot"] = plot(rated, evaluations, entry["files"], plot_folder).name
        found["sets"][rated.name] = entry
    if data:
        found["ladders"] = [step.to_row() for step in ladder.climb(evaluator, data)]
    if data and plan.singles:
        found["singles"] = singles(evaluator, data, plan.singles)
    return found


def evaluate_set(evaluator: Evaluator, rated: RatedSet, described: int) -> list[Evaluation]:
    """The evaluation of every recording; the first `described` with descriptions."""
    first, rest = rated.sources[:described], rated.sources[described:]
    return evaluator.evaluate(first) + evaluator.evaluate(rest, describe=False)


# --- ratings ------------------------------------------------------------------------------------------


def rating_scores(rated: RatedSet, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Accuracy per rating, over files and, where the rows name conditions that hold several, over conditions."""
    answered = [index for index, evaluation in enumerate(evaluations) if evaluation.ratings]
    read = {name: _read(evaluations, name)[answered] for name in rated.ratings}
    true, spread = rated.true("mos")[answered], _read(evaluations, "mos_std")[answered]
    return {
        "clips": len(answered),
        "refused": dict(Counter(_reason(e) for e in evaluations if e.ratings is None)),
        **accuracy(rated, read, answered),
        "within_std": scores.rows(scores.within(read["mos"], spread, true)),
        **family_scores([rated.rows[index] for index in answered], read["mos"], true),
    }


def family_scores(rows: Sequence[Annotation], read: scores.Values, true: scores.Values) -> dict[str, Any]:
    """How the MOS [n] is followed where a family of degradation acted, alone or among others; and where none did."""
    families = [{cause["family"] for cause in row["causes"]} or {NO_FAMILY} for row in rows]
    found = {}
    for name in sorted(set().union(*families)) if any(row["causes"] for row in rows) else ():
        chosen = [index for index, of_clip in enumerate(families) if name in of_clip]
        if len(chosen) >= scores.FEWEST:
            figures = scores.accuracy(read[chosen], true[chosen])
            found[name] = {"clips": len(chosen), **scores.rows(figures)}
    return {"families": found} if found else {}


def named_scores(rated: RatedSet, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Causes named against causes recorded, of every recording that was rated."""
    answered = [(row, e) for row, e in zip(rated.rows, evaluations, strict=True) if e.ratings]
    named = [[cause.name for cause in evaluation.causes] for _, evaluation in answered]
    return cause_scores([row for row, _ in answered], named).to_row()


def _read(evaluations: Sequence[Evaluation], name: str) -> scores.Values:
    return np.array([getattr(e.ratings, name) if e.ratings else np.nan for e in evaluations])


def _reason(evaluation: Evaluation) -> str:
    return evaluation.error.code.value if evaluation.error else "silent"


def plot(rated: RatedSet, evaluations: Sequence[Evaluation], files: dict[str, Any], folder: Path) -> Path:
    answered = [index for index, evaluation in enumerate(evaluations) if evaluation.ratings]
    panels = {
        name: plots.Panel(
            _read(evaluations, name)[answered], rated.true(name)[answered], scores.Figure.from_row(files[name]["lcc"])
        )
        for name in rated.ratings
    }
    path = folder / f"{plots.file_name(rated.name)}.png"
    plots.scatter(f"{rated.name} ({rated.domain}, rated by: {rated.rated_by})", panels, path)
    return path


# --- descriptions -------------------------------------------------------------------------------------


def description_scores(
    prompts: PromptBuilder, rated: RatedSet, evaluations: Sequence[Evaluation], writer: Writer
) -> dict[str, Any]:
    """BLEU beside its ceiling; whether words follow the model's own numbers and causes, and how much of them was
    forced."""
    pairs = zip(rated.rows, evaluations, strict=True)
    spoken = [(row, e) for row, e in pairs if Flag.NO_SPEECH not in e.flags]  # else no voice is described
    written = [(row, e.ratings, e.causes, e.description) for row, e in spoken if e.ratings and e.description]
    rows, texts = [row for row, *_ in written], [text for *_, text in written]
    failed = sum(e.ratings is not None and e.error is not None for e in evaluations)
    if not texts:
        return {"texts": 0, "failed": failed}
    likeness = prose_scores.likeness(
        texts, lambda index, rng: writer.describe(rows[index], causes.listed(rows[index]), rng)
    )
    wrong = [
        problems.of_description(text, as_rated(row, ratings), [cause.name for cause in listed])
        for row, ratings, listed, text in written
    ]
    readings = [stock().read(text) for text in texts]
    answers = ((prompts.describe(0, ratings), prompts.encode(f"{text}{IM_END}")) for _, ratings, _, text in written)
    return {
        "texts": len(texts),
        "failed": failed,
        "distinct": len(set(texts)),
        "bleu": likeness.to_row(),
        "agreement": prose_scores.agreement(texts, wrong, readings).to_row(),
        "forced": prose_scores.forced(answers).to_row(),
    }


def as_rated(row: Annotation, ratings: Ratings) -> Annotation:
    """The row as the model rated it: what its words must agree with. The causes are still those recorded."""
    return {**row, **{name: ratings[name] for name in RATINGS}}


# --- comparisons --------------------------------------------------------------------------------------


def comparison_scores(subject: Subject, rated: RatedSet, writer: Writer, plan: Plan) -> dict[str, Any]:
    """A/B accuracy by |ΔMOS|; the mirrored answer to the swapped question; arguments, judged as descriptions are."""
    true = [shown(row) for row in rated.rows]
    rng = stream(Stream.EVALUATED_PAIRS, plan.seed)
    pairs = scores.draw_pairs(np.array([row["mos"] for row in true]), plan.pairs, rng)
    asked, outcomes, refused = [], [], 0
    for a, b in pairs:
        comparison = subject.evaluator.compare(rated.sources[a], rated.sources[b])
        swapped = subject.evaluator.compare(rated.sources[b], rated.sources[a], describe=False)
        if comparison.winner is None or comparison.probability is None:
            refused += 1
            continue
        mos = true[a]["mos"], true[b]["mos"]
        asked.append((a, b, comparison))
        outcomes.append(
            scores.Outcome(
                mos[0] - mos[1], verdict(*mos), comparison.winner, comparison.probability, swapped.probability
            )
        )
    return {
        "pairs": len(asked),
        "refused": refused,
        "accuracy": scores.rows(scores.ab_shares(outcomes)),
        "mirrored": scores.mirrored(outcomes).to_row(),
        **argument_scores(subject.prompts, rated, asked, writer),
    }


def clear_pairs(rated: RatedSet, evaluations: Sequence[Evaluation]) -> scores.Figure:
    """A/B accuracy over every pair with |ΔMOS| ≥ 0.5: the verdict follows from the two MOS, so none need be asked."""
    answered = [(row, as_rated(row, e.ratings)) for row, e in zip(rated.rows, evaluations, strict=True) if e.ratings]
    true, read = (np.array([shown(pair[side])["mos"] for pair in answered]) for side in (0, 1))
    return scores.ab_accuracy(true, read)


def argument_scores(
    prompts: PromptBuilder, rated: RatedSet, asked: Sequence[tuple[int, int, Comparison]], writer: Writer
) -> dict[str, Any]:
    """BLEU of the arguments against the writer's for the rows as they were rated, whether words follow numbers, and how
    much of them was forced, the conclusion not counted."""
    argued = [(a, b, c.a.ratings, c.b.ratings, c.description) for a, b, c in asked]
    kept = [
        (rated.rows[a], rated.rows[b], ra, rb, text) for a, b, ra, rb, text in argued if ra and rb and text is not None
    ]

    def write(index: int, rng: np.random.Generator) -> str:
        return argument(kept[index][0], kept[index][1], writer, rng)

    texts = [text for *_, text in kept]
    if not texts:
        return {}
    answers = (_argued(prompts, ra, rb, text) for _, _, ra, rb, text in kept)
    wrong = [
        problems.of_argument(text, as_rated(a, ra), as_rated(b, rb), (causes.listed(a), causes.listed(b)))
        for a, b, ra, rb, text in kept
    ]
    readings = [stock().read_argument(text) for text in texts]
    return {
        "bleu": prose_scores.likeness(texts, write).to_row(),
        "agreement": prose_scores.agreement(texts, wrong, readings).to_row(),
        "forced": prose_scores.forced(answers).to_row(),
    }


def _argued(prompts: PromptBuilder, a: Ratings, b: Ratings, text: str) -> tuple[Program, tuple[int, ...]]:
    """What the engine ran for an argument, and its reasons as tokens."""
    winner = verdict(a.mos, b.mos)
    reasons = text.removeprefix(conclusion(winner, a.mos, b.mos))
    return prompts.argue(0, 0, a, b, winner), prompts.encode(f"{reasons}{IM_END}")


def argument(a: Annotation, b: Annotation, writer: Writer, rng: np.random.Generator) -> str:
    """What the corpus holds for a pair: the conclusion, which the engine forces, and the writer's reasons."""
    mos = shown(a)["mos"], shown(b)["mos"]
    return f"{conclusion(verdict(*mos), *mos)} {writer.argue(a, b, rng)}"


def save(found: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
