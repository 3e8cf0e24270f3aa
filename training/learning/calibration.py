"""How far the reading of each cause can be trusted, from where on it is named, and how far the MOS lies off: measured
on clips whose causes were recorded, and written into the checkpoint's stock.

What is seen before an entry depends on the entries before it, and so on the calibration itself. So it is measured on
lists that the model draws, which know of none: calibrated on lists that an earlier calibration decided on, a planted
world went to and fro between too strict and too lax. Of a name that was seen seldom, all names together say more than
it does alone (`PRIOR`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer

from sqe_fast.answer.causes import END, UNCLEAR, Calibration, Causes
from sqe_fast.answer.stock import Stock
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import log_mel
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.checkpoint.files import STOCK_FILE, TOKENIZER_FILE
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import AudioInput, ListRead, Request, Result, Sampling
from sqe_fast.errors import UnusableError
from sqe_fast.options import Serving
from sqe_fast.runners.torch_runner import TorchRunner
from training import configs
from training.corpora.annotation import Annotation
from training.corpora.corpus import Clips
from training.language.causes import audible
from training.learning import listing
from training.progress import track
from training.streams import Stream, seed_of

DRAWS = 3
"""Lists of each clip."""
PRIOR = 30.0
"""All names together weigh as much as so many readings of one."""
AT_ONCE = 64
"""Clips that the engine is given at once: their log-mels lie in memory."""


class Shown(NamedTuple):
    """A name that might have been written next."""

    share: float
    """What its calibration is given (`Causes.offers`): of the end its probability of coming next."""
    right: bool


Evidence = dict[str, list[Shown]]


def run(config: configs.Calibrate, validation: Clips) -> str:
    """Write the calibrated stock into the checkpoint, and say how many names may now be written. Raises UnusableError
    where no clip's causes were recorded."""
    folder = config.run / config.name / "checkpoint"
    stock = Stock.load(folder / STOCK_FILE)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    clips = [clip for clip in validation.annotations if listing.recorded(clip)]
    if not clips:
        raise UnusableError("no validation clip's causes were recorded: simulate a corpus to calibrate on")
    runner = TorchRunner(folder, Serving("torch-cpu" if config.device == "cpu" else config.device))
    answers = _answers(Engine(runner), PromptBuilder(tokenizer, replace(stock, mos_error=0.0)), validation, clips)
    lists = [result.list_reads for _, *drawn in answers for result in drawn]
    shown = evidence(stock.causes, [clip for clip in clips for _ in range(DRAWS)], lists)
    served = [served.reads["mos"] for served, *_ in answers]
    off = [clip["mos"] - read.mean for clip, read in zip(clips, served, strict=True)]
    error = mos_error(off, [read.std for read in served])
    stock = replace(stock, causes=calibrated(stock.causes, shown, config.precision), mos_error=error)
    stock.save(folder / STOCK_FILE)
    named = [name for name, reading in stock.causes.reading.items() if reading.threshold < 1 and name != END]
    return (
        f"{folder / STOCK_FILE}: calibrated on {len(clips)} clips; {len(named)} names may be written; "
        f"the MOS errs by {error:.2f} beyond its distribution"
    )


def _answers(
    engine: Engine, prompts: PromptBuilder, audio: Clips, clips: Sequence[Annotation]
) -> list[tuple[Result, ...]]:
    """Of each clip what is served, and then `DRAWS` answers with other lists."""
    n_mels = engine.runner.info.n_mels
    found: list[Result] = []
    for start in track(range(0, len(clips), AT_ONCE), "reading"):
        requests = []
        for clip in clips[start : start + AT_ONCE]:
            heard = AudioInput(str(clip["seed"]), log_mel(audio.audio(clip), n_mels))
            program = prompts.rate(audio_tokens(heard.log_mel.frames), describe=False)
            seeds = (seed_of(Stream.CALIBRATION, 0, clip["seed"], draw) for draw in range(DRAWS))
            requests += [Request(program, (heard,)), *(Request(program, (heard,), Sampling(seed)) for seed in seeds)]
        for result in engine.run(requests):
            if result.error is not None:
                raise result.error
            found.append(result)
    return [tuple(found[start : start + 1 + DRAWS]) for start in range(0, len(found), 1 + DRAWS)]


def mos_error(errors: Sequence[float], stds: Sequence[float]) -> float:
    """Standard deviation of a normal error that, added to a distribution of each of `stds` [n], makes `errors` [n]
    likeliest; 0 where they are not wider as it is."""
    squares, variances = np.square(errors), np.square(np.maximum(stds, 1e-3))

    def unlikely(error: float) -> float:
        wide = variances + error**2
        return float((np.log(wide) + squares / wide).sum())

    best = minimize_scalar(unlikely, bounds=(0.0, 2.0), method="bounded").x
    return round(float(best), 3) if unlikely(best) < unlikely(0.0) else 0.0


def evidence(causes: Causes, clips: Iterable[Annotation], reads: Iterable[Sequence[ListRead]]) -> Evidence:
    """For each name what was read of it wherever it was the first choice among equally fine ones of the likeliest
    dimension, and whether it was right: a cause that it may stand for was recorded and is not told yet. The end is
    right where no audible cause is left."""
    shown: Evidence = {name: [] for name in causes.entries}
    for clip, list_reads in zip(clips, reads, strict=True):
        recorded, heard = ({cause["name"] for cause in those} for those in (clip["causes"], audible(clip)))
        told: set[str] = set()
        for read in list_reads:
            shown[END].append(Shown(read.chances[END], heard <= told))
            for name, share in chain.from_iterable(each[:1] for each in islice(causes.offers(read.chances), 3)):
                shown[name].append(Shown(share, not (recorded - told).isdisjoint(causes.covers(name))))
            if read.named is not None:
                told.update(causes.covers(read.named.name))
    return shown


def calibrated(causes: Causes, shown: Evidence, precision: float) -> Causes:
    """Each name's calibration, and its threshold: the least at which what is written is right in `precision` of cases.
    The end's stays, which is no claim."""
    unclear = set(UNCLEAR.values())
    kinds = list(chain.from_iterable(shown[name] for name in causes.entries if name not in {*unclear, END}))
    vague = list(chain.from_iterable(shown[name] for name in unclear))
    reading = {END: replace(_platt(shown[END], ()), threshold=causes.reading[END].threshold)}
    for name in causes.entries[:-1]:
        fitted = _platt(shown[name], vague if name in unclear else kinds)
        reading[name] = replace(fitted, threshold=_threshold(fitted, shown[name], precision))
    return Causes(causes.kinds, reading)


def _platt(own: Sequence[Shown], pooled: Sequence[Shown]) -> Calibration:
    """Logistic regression on the logit. Readings that say nothing, or the reverse, of what is true calibrate nothing:
    they are left as they are."""
    weighted = [*((each, 1.0) for each in own), *((each, PRIOR / len(pooled)) for each in pooled)]
    right = [each.right for each, _ in weighted]
    if len(set(right)) < 2:
        return Calibration()
    p = np.clip([each.share for each, _ in weighted], 1e-6, 1 - 1e-6)
    logits, weights = np.log(p / (1 - p))[:, None], [weight for _, weight in weighted]
    model = LogisticRegression(C=np.inf).fit(logits, right, sample_weight=weights)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Calibration(slope, offset) if slope > 0 else Calibration()


def _threshold(calibration: Calibration, shown: Sequence[Shown], precision: float) -> float:
    """The least calibrated probability from which on their mean is `precision`; 1, which none reaches, where that of
    the likeliest reading is less."""
    best, total = 1.0, 0.0
    likeliest = sorted((calibration(each.share) for each in shown), reverse=True)
    for count, probability in enumerate(likeliest, 1):
        total += probability
        if total < precision * count:
            break
        best = probability
    return best
