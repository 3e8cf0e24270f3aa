"""Many recordings through one engine: opened lazily, windows rated together, evaluations in the order of the inputs.

A bounded number of windows is in flight, so memory stays flat over a million inputs or a ten-hour recording.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import BinaryIO, NamedTuple

import numpy.typing as npt

from sqe_fast import audio
from sqe_fast.answer.program import Program
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import SAMPLE_RATE, frame_count, log_mel
from sqe_fast.audio.level import SILENCE_DBFS
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.engine import AudioInput, Engine, ReadOut, Request, Result
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import DIMENSIONS, RATINGS, Flag, Ratings

Source = str | os.PathLike[str] | bytes | BinaryIO | tuple[npt.ArrayLike, int]
"""What `audio.load` takes; an array comes with its sample rate."""


@dataclass(frozen=True)
class Heard:
    """A clip ready for the engine, and the audio tokens that it takes."""

    audio: AudioInput
    tokens: int

    def request(self, program: Program) -> Request:
        return Request(program, (self.audio,))


@dataclass
class Job:
    """One input on its way."""

    file: str
    recording: audio.Recording | None = None
    windows: Iterator[audio.Clip] | None = None
    """Those not yet pulled; None once all are."""
    pulled: int = 0
    in_flight: int = 0
    scores: list[Score] = field(default_factory=list)
    ratings: Ratings | None = None
    description: str | None = None
    error: ClipError | None = None
    done: bool = False

    @property
    def windowed(self) -> bool:
        return self.recording is not None and Flag.WINDOWED in self.recording.flags

    @property
    def heard(self) -> bool:
        """Nothing went wrong, but maybe in the prose: ratings do not depend on it."""
        return self.error is None or self.error.code is ErrorCode.GENERATION_FAILED

    @property
    def flags(self) -> tuple[str, ...]:
        """The recording's flags; `silent` also where no single window was worth hearing."""
        flags = self.recording.flags if self.recording else ()
        silent = self.recording and not self.error and not self.scores and Flag.SILENT not in flags
        return (*flags, Flag.SILENT.value) if silent else flags


@dataclass(frozen=True)
class _Unit:
    """One request in flight: it rates the window `index`, or describes the whole job where that is None."""

    ticket: int
    job: Job
    index: int | None
    seconds: float = 0.0


class Flow:
    """Owns the engine's lock: several threads may each take from their own `rate`, and share its passes."""

    def __init__(self, engine: Engine, prompts: PromptBuilder, limits: audio.Limits) -> None:
        self.engine = engine
        self.prompts = prompts
        self.limits = limits
        self._lock = threading.Lock()
        self._look_ahead = 2 * engine.runner.info.slots

    def rate(self, sources: Iterator[Source], *, describe: bool) -> Iterator[Job]:
        """Finished jobs in the order of `sources`, which is read at most `_look_ahead` inputs ahead."""
        jobs: deque[Job] = deque()
        flight: deque[_Unit] = deque()
        try:
            while True:
                while jobs and jobs[0].done:
                    yield jobs.popleft()
                self._fill(sources, jobs, flight, describe)
                if not jobs:
                    return
                if not jobs[0].done:
                    self._land(flight, describe)
        finally:
            self.engine.cancel([unit.ticket for unit in flight])

    def ask(self, requests: Iterable[Request]) -> list[Result]:
        """Serve a few requests now."""
        tickets = [self._submit(request) for request in requests]
        try:
            return [self._wait(ticket) for ticket in tickets]
        finally:
            self.engine.cancel(tickets)

    def hear(self, clip: audio.Clip) -> Heard:
        frames = frame_count(len(clip.samples))
        mel = partial(log_mel, clip.samples, self.engine.runner.info.n_mels)
        return Heard(AudioInput(clip.digest, mel), audio_tokens(frames))

    def typical(self, job: Job) -> Heard:
        """The window that stands for a rated job. It is read again: keeping every window would not be flat."""
        assert job.recording is not None
        with self.engine.stats.timed("load_ms"):
            clip = next(islice(job.recording.windows(), typical(job.scores), None))
        return self.hear(clip)

    # --- in ----------------------------------------------------------------------------------------------------------

    def _fill(self, sources: Iterator[Source], jobs: deque[Job], flight: deque[_Unit], describe: bool) -> None:
        """Pull windows until enough are in flight; open the next source only once the last one is pulled."""
        while len(flight) < self._look_ahead:
            if not jobs or jobs[-1].windows is None:
                if len(jobs) == self._look_ahead:
                    return
                try:
                    source = next(sources)
                except StopIteration:
                    return
                jobs.append(self._open(source))
            self._pull(jobs[-1], flight, describe)

    def _open(self, source: Source) -> Job:
        job = Job(name_of(source))
        self.engine.stats.clips += 1
        with self.engine.stats.timed("load_ms"):
            try:
                job.recording = audio.load(source, limits=self.limits)
                silent = Flag.SILENT in job.recording.flags
                job.windows = None if silent else job.recording.windows()
            except ClipError as error:
                job.error = error
        return job

    def _pull(self, job: Job, flight: deque[_Unit], describe: bool) -> None:
        """Submit the job's next window. A silent one is passed over: the model never hears silence, alone or within
        a recording, and a pause weighs nothing in the recording's ratings."""
        clip = None
        if job.windows is not None:
            with self.engine.stats.timed("load_ms"):
                try:
                    clip = next(job.windows, None)
                except ClipError as error:
                    job.error = error
        if clip is None:
            job.windows = None
            self._close(job, flight, describe)
            return
        index, job.pulled = job.pulled, job.pulled + 1
        if _silent(clip):
            return
        self.engine.stats.audio_seconds += clip.duration
        heard = self.hear(clip)
        program = self.prompts.rate(heard.tokens, describe=describe and not job.windowed)
        job.in_flight += 1
        flight.append(_Unit(self._submit(heard.request(program)), job, index, clip.duration))

    # --- out ---------------------------------------------------------------------------------------------------------

    def _land(self, flight: deque[_Unit], describe: bool) -> None:
        """Wait for the oldest request and book its result."""
        result = self._wait(flight[0].ticket)
        unit = flight.popleft()
        job = unit.job
        job.in_flight -= 1
        if unit.index is not None and set(RATINGS) <= set(result.reads):
            job.scores.append(Score(unit.index, unit.seconds, ratings(result.reads)))
        if result.text_tokens:
            job.description = self.prompts.text(result.text_tokens)
        job.error = job.error or result.error
        self._close(job, flight, describe)

    def _close(self, job: Job, flight: deque[_Unit], describe: bool) -> None:
        """If all windows are rated, combine them, and describe a windowed recording by its final ratings."""
        if job.windows is not None or job.in_flight:
            return
        if job.ratings is None and job.scores and job.heard:
            job.ratings = combine(job.scores)
            if describe and job.windowed:
                self._describe(job, job.ratings, flight)
        job.done = not job.in_flight

    def _describe(self, job: Job, known: Ratings, flight: deque[_Unit]) -> None:
        try:
            heard = self.typical(job)
        except ClipError as error:
            job.error = error
            return
        program = self.prompts.describe(heard.tokens, known)
        job.in_flight += 1
        flight.append(_Unit(self._submit(heard.request(program)), job, None))

    # --- the engine, one thread at a time ----------------------------------------------------------------------------

    def _submit(self, request: Request) -> int:
        with self._lock:
            return self.engine.submit(request)

    def _wait(self, ticket: int) -> Result:
        """Step until the ticket's result is there. Other threads' requests move along, and theirs move ours."""
        while True:
            with self._lock:
                result = self.engine.take(ticket)
                if result is not None:
                    return result
                self.engine.step()


def name_of(source: Source) -> str:
    """How a row names its input, whether it can be opened or not."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, tuple):
        return "<array>"
    return "<bytes>" if isinstance(source, bytes) else str(getattr(source, "name", f"<{type(source).__name__}>"))


def _silent(clip: audio.Clip) -> bool:
    """No second of the window, its DC taken away, reaches the level that makes a whole recording silent."""
    seconds = (clip.samples[start : start + SAMPLE_RATE] for start in range(0, len(clip.samples), SAMPLE_RATE))
    return all(float(second.var(dtype="float64")) < 10 ** (SILENCE_DBFS / 10) for second in seconds)


def ratings(reads: Mapping[str, ReadOut]) -> Ratings:
    """The five reads of a rating program."""
    return Ratings(**{name: reads[name].mean for name in RATINGS}, mos_std=reads["mos"].std)


class Score(NamedTuple):
    """What one window got. `window` counts the recording's windows, those not scored included."""

    window: int
    seconds: float
    ratings: Ratings


def combine(scores: Sequence[Score]) -> Ratings:
    """Duration-weighted means; a single score is returned as it is.

    `mos_std` is that of the mixture of the windows' MOS distributions: the spread within windows, and that between
    them. Raises ValueError without scores.
    """
    if not scores:
        raise ValueError("nothing was scored")
    if len(scores) == 1:
        return scores[0].ratings
    total = math.fsum(score.seconds for score in scores)

    def mean(values: Sequence[float]) -> float:
        return math.fsum(score.seconds * value for score, value in zip(scores, values, strict=True)) / total

    mos = mean([score.ratings.mos for score in scores])
    variance = mean([score.ratings.mos_std**2 + (score.ratings.mos - mos) ** 2 for score in scores])
    dimensions = {name: mean([score.ratings[name] for score in scores]) for name in DIMENSIONS}
    return Ratings(**dimensions, mos=mos, mos_std=math.sqrt(variance))


def typical(scores: Sequence[Score]) -> int:
    """The index of the window that stands for the recording: the first whose MOS is nearest to the whole's."""
    mos = combine(scores).mos
    return min(scores, key=lambda score: abs(score.ratings.mos - mos)).window
