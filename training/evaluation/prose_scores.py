"""Judging prose: BLEU beside what a second draw of the writer scores, words against numbers, what was forced.

BLEU alone does not show that a description is right, so whether words, numbers and causes agree is counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU

from sqe_fast.answer.phrases import ArgumentReading, Reading
from sqe_fast.answer.program import Program, chosen
from training.evaluation.scores import Figure, Share, bootstrap
from training.language.problems import Problem
from training.streams import Stream, stream

Counts = npt.NDArray[np.int64]
"""[sentences, 10]: matched n-grams of order 1–4, all n-grams of order 1–4, length of the text, of its reference."""

ORDERS = 4
BLEU_DRAWS = 500


def bleu_counts(texts: Sequence[str], references: Sequence[str]) -> Counts:
    """What corpus BLEU sums over sentences, sentence by sentence: so that resampling need not tokenise again."""
    metric = BLEU(effective_order=True)  # silences a warning about single sentences; the counts are the same
    rows = []
    for text, reference in zip(texts, references, strict=True):
        score = metric.sentence_score(text, [reference])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(rows, np.int64).reshape(-1, 2 * ORDERS + 2)


def bleu(counts: Counts) -> float:
    """Corpus BLEU, 0–100, from its sentences' counts."""
    total = [int(count) for count in counts.sum(axis=0)]
    matched, possible, (length, reference_length) = total[:ORDERS], total[ORDERS:-2], total[-2:]
    return float(BLEU.compute_bleu(matched, possible, length, reference_length, smooth_method="exp").score)


def bleu_signature() -> str:
    """How sacrebleu would have others cite the settings: one reference, 13a tokens, case kept, its version."""
    metric = BLEU()
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


@dataclass(frozen=True)
class Likeness:
    """BLEU of a model's texts, of the writer's own second draw for the same rows, and their ratio."""

    model: Figure
    ceiling: Figure
    share: Figure
    signature: str

    def to_row(self) -> dict[str, Any]:
        figures = {name: getattr(self, name).to_row() for name in ("model", "ceiling", "share")}
        return {**figures, "signature": self.signature}


def likeness(texts: Sequence[str], write: Callable[[int, np.random.Generator], str], draws: int = 4) -> Likeness:
    """BLEU of `texts` [n] against `write(index, rng)`, the writer's text for row `index`, beside the writer's own.

    Each of `draws` references has its own second text as a ceiling; figures are means over the draws, intervals over
    rows. Raises ValueError where there are no texts.
    """
    if not texts:
        raise ValueError("no texts to score")
    ours, theirs = [], []
    for draw in range(draws):
        references, seconds = (
            [write(index, stream(Stream.REFERENCE_TEXT, 0, draw, lot, index)) for index in range(len(texts))]
            for lot in (0, 1)
        )
        ours.append(bleu_counts(texts, references))
        theirs.append(bleu_counts(seconds, references))

    def mean(of: list[Counts], indices: npt.NDArray[np.intp]) -> float:
        return float(np.mean([bleu(counts[indices]) for counts in of]))

    def figure(of: Callable[[npt.NDArray[np.intp]], float]) -> Figure:
        return Figure(of(np.arange(len(texts))), *bootstrap(of, len(texts), BLEU_DRAWS))

    return Likeness(
        figure(lambda i: mean(ours, i)),
        figure(lambda i: mean(theirs, i)),
        figure(lambda i: mean(ours, i) / mean(theirs, i)),
        bleu_signature(),
    )


# --- words against numbers --------------------------------------------------------------------------


OF_CAUSES = frozenset({"causes"})
"""Kinds of problem that do not concern the ratings: a description may name what its list holds, an argument what was
recorded of either clip."""


@dataclass(frozen=True)
class Agreement:
    """Texts in which nothing is wrong; and how many texts have each kind of problem."""

    share: Share
    """Nothing at all is wrong."""
    with_ratings: Share
    """Nothing is wrong but causes."""
    outside: Share
    """Of all words, those that belong to no phrase of the stock."""
    kinds: dict[str, int]
    examples: tuple[tuple[str, str], ...]
    """(problem, text), the first of each kind."""

    def to_row(self) -> dict[str, Any]:
        examples = [{"problem": problem, "text": text} for problem, text in self.examples]
        shares = {name: getattr(self, name).to_row() for name in ("share", "with_ratings", "outside")}
        return {**shares, "kinds": self.kinds, "examples": examples}


def agreement(
    texts: Sequence[str],
    problems: Sequence[Sequence[Problem]],
    readings: Sequence[Reading] | Sequence[ArgumentReading],
) -> Agreement:
    """`problems` [n] holds what is wrong with each text (`language.problems`), `readings` [n] what it says."""
    kinds: Counter[str] = Counter()
    examples: dict[str, tuple[str, str]] = {}
    right = true_to_ratings = 0
    for text, found in zip(texts, problems, strict=True):
        for problem in found:
            examples.setdefault(problem.kind, (str(problem), text))
        of_text = {problem.kind for problem in found}
        kinds.update(of_text)
        right, true_to_ratings = right + (not of_text), true_to_ratings + (of_text <= OF_CAUSES)
    outside = Share(sum(len(read.outside) for read in readings), sum(read.words for read in readings))
    shares = Share(right, len(texts)), Share(true_to_ratings, len(texts))
    return Agreement(*shares, outside, dict(kinds.most_common()), tuple(examples.values()))


# --- what the model had no say in -------------------------------------------------------------------------------------


def forced(answers: Iterable[tuple[Program, Sequence[int]]]) -> Share:
    """Of the tokens of all answers to their programs, those that the template forced: numbers, and how an argument's
    sentences begin. Answers that don't follow their template have no such tokens, and don't count."""
    fixed = total = 0
    for program, answer in answers:
        try:
            free = sum(chosen(program, answer))
        except ValueError:
            continue
        fixed, total = fixed + len(answer) - free, total + len(answer)
    return Share(fixed, total)
