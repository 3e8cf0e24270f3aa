"""Recordings through the engine: each is loaded, cut into windows, rated and described on a thread of its own.

Those threads wait for the driver most of the time. What they do besides (decoding, resampling, flags and log-mels) is
done ahead of the model and beside it. A bounded number of recordings and windows is under way, so memory stays flat
over a million inputs or a ten-hour recording.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from sqe_fast import audio
from sqe_fast.answer.causes import MOST
from sqe_fast.answer.program import Program
from sqe_fast.answer.sentences import NOBODY_SPEAKS, not_heard, sampled, worst_stretch
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.channels import checked
from sqe_fast.audio.features import SAMPLE_RATE, log_mel
from sqe_fast.audio.timeline import Cutter, Timeline
from sqe_fast.engine.driver import Driver
from sqe_fast.engine.engine import Priority
from sqe_fast.engine.sequence import AudioInput, ReadOut, Request, Result
from sqe_fast.errors import BusyError, ClipError, ErrorCode, UnusableError
from sqe_fast.results import DIMENSIONS, RATING_MAX, RATINGS, Cause, Evaluation, Flag, Ratings, WindowRating
from sqe_fast.runners.base import FloatArray

Tag = TypeVar("Tag")
Asked = TypeVar("Asked")
Found = TypeVar("Found")


class Score(NamedTuple):
    """What one window got. `window` counts the recording's windows, those not scored included."""

    window: int
    weight: float
    """Among the windows of its recording: `audio.Clip.weight`."""
    ratings: Ratings
    causes: tuple[Cause, ...] = ()


Chances = npt.NDArray[np.float64]
"""Of each of `NUMBER_VALUES`, in their order, the probability that it is the MOS: [41]."""

LONG = 10.0
"""Seconds of a recording from which on a description names the worst stretch of its timeline."""


@dataclass
class Scored:
    """What became of one recording; `recording` is None where there is none."""

    file: str
    model: str
    recording: audio.Recording | None = None
    scores: Sequence[Score] = ()
    ratings: Ratings | None = None
    chances: Chances | None = None
    """Of its MOS; set with `ratings`."""
    causes: tuple[Cause, ...] = ()
    description: str | None = None
    error: ClipError | None = None
    timeline: list[WindowRating] = field(default_factory=list)

    @property
    def evaluation(self) -> Evaluation:
        recording = self.recording
        return Evaluation(
            self.file,
            self.ratings,
            self.causes,
            self._description,
            recording.flags if recording else (),
            recording.duration if recording else None,
            self.model,
            self.error,
            tuple(self.timeline),
            recording.no_speech if recording else (),
            recording.channel if recording else None,
        )

    def let_go(self) -> Scored:
        """The same without the recording's samples: it can no longer be heard."""
        recording = self.recording
        return self if recording is None else replace(self, recording=recording.let_go())

    @property
    def _description(self) -> str | None:
        """The model's words, and behind them what is known without listening, and what is said with times."""
        recording = self.recording
        if self.description is None or self.ratings is None or recording is None or Flag.NO_SPEECH in recording.flags:
            return self.description
        worst = self._worst if recording.duration > LONG else None
        low = sampled(recording.source_rate) if recording.source_rate < SAMPLE_RATE else None
        said = (self.description, low, worst, not_heard(recording.no_speech))
        return " ".join(each for each in said if each is not None)

    @property
    def _worst(self) -> str | None:
        """Where the timeline is worst, in words."""
        rated = [(each.ratings.mos, each) for each in self.timeline if each.ratings is not None]
        if not rated:
            return None
        mos, window = min(rated, key=lambda each: each[0])
        return worst_stretch(window.start, window.end, mos, window.causes)


class Call:
    """The requests of one caller: a bounded number under way, all of them dropped by `cancel`."""

    def __init__(self, driver: Driver, priority: Priority, most: int) -> None:
        self._driver = driver
        self._priority = priority
        self._room = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._under_way: set[Future[Result]] = set()
        self._cancelled = False

    def submit(self, program: Program, clips: Sequence[AudioInput]) -> Future[Result]:
        """Waits while too many are under way. Raises CancelledError after `cancel`, else as `Driver.submit`."""
        self._room.acquire()
        try:
            future = self._submit(Request(program, tuple(clips)))
        except (CancelledError, BusyError, UnusableError):
            self._room.release()
            raise
        future.add_done_callback(self._done)
        return future

    def _submit(self, request: Request) -> Future[Result]:
        with self._lock:
            if self._cancelled:
                raise CancelledError
            future = self._driver.submit(request, self._priority)
            self._under_way.add(future)
        return future

    def _done(self, future: Future[Result]) -> None:
        with self._lock:
            self._under_way.discard(future)
        self._room.release()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            under_way = tuple(self._under_way)
        for future in under_way:
            future.cancel()


class Pipeline:
    """The way of a recording to its ratings and its description, on the thread that asks. `model` names the weights;
    `opens` what has to be decoded."""

    def __init__(
        self,
        driver: Driver,
        prompts: PromptBuilder,
        limits: audio.Limits,
        model: str,
        opens: audio.Opens | None = None,
    ) -> None:
        self.prompts = prompts
        self._driver = driver
        self._limits = limits
        self._opens = opens
        self._model = model
        self._meter = driver.engine.meter
        info = driver.engine.runner.info
        self._n_mels = info.n_mels
        self.ahead = 2 * info.slots
        """Recordings, and windows, of one call that are under way: those in slots, and as many that are ready."""

    def call(self, priority: Priority) -> Call:
        return Call(self._driver, priority, self.ahead)

    def score(
        self,
        source: audio.Source,
        call: Call,
        *,
        describe: bool,
        channels: audio.Channels = "auto",
        timeline: Timeline | None = None,
        one: bool = False,
    ) -> list[Scored]:
        """Rate and describe one source; what is wrong with it is an `error`. It may be several recordings; where it has
        to be `one`, that is an error."""
        name = audio.name_of(source)
        try:
            with self._meter.timed("load_ms"):
                if one:
                    recordings = [audio.load(source, channels, limits=self._limits, opens=self._opens)]
                else:
                    recordings = audio.recordings(source, channels, limits=self._limits, opens=self._opens)
        except ClipError as error:
            self._meter.add("clips", 1)
            return [Scored(name, self._model, error=error)]
        return [self._score(name, recording, call, describe, timeline) for recording in recordings]

    def _score(
        self, name: str, recording: audio.Recording, call: Call, describe: bool, timeline: Timeline | None
    ) -> Scored:
        scored = Scored(name, self._model, recording)
        self._meter.add("clips", 1)
        try:
            speaks = Flag.NO_SPEECH not in recording.flags
            if Flag.SILENT not in recording.flags:
                self._rate(scored, recording, call, describe and speaks)
            if describe and not speaks:
                scored.description = NOBODY_SPEAKS
            if timeline is not None:
                self._timeline(scored, recording, call, timeline)
        except ClipError as error:
            scored.error = error
        return scored

    def typical(self, scored: Scored) -> AudioInput:
        """The window that stands for a rated recording. It is read again: to keep every window would not be flat."""
        assert scored.recording is not None
        with self._meter.timed("load_ms"):
            clip = next(islice(scored.recording.windows(), typical(scored.scores), None))
        return self._log_mel(clip)

    def _rate(self, scored: Scored, recording: audio.Recording, call: Call, describe: bool) -> None:
        windowed = Flag.WINDOWED in recording.flags
        scores, chances = [], []
        for window, weight, future in self._windows(recording, call, describe=describe and not windowed):
            result = future.result()
            if set(RATINGS) <= set(result.reads):
                scores.append(Score(window, weight, ratings(result.reads), result.causes))
                chances.append(result.reads["mos"].probabilities)
            self._say(scored, result)
        scored.scores = scores
        # Ratings do not depend on the prose: they stand where only that failed.
        if scores and (scored.error is None or scored.error.code is ErrorCode.GENERATION_FAILED):
            scored.ratings, scored.causes = combine(scores), combine_causes(scores)
            scored.chances = mixed(chances, [score.weight for score in scores])
            if describe and windowed:
                clip_input = self.typical(scored)
                named = [cause.name for cause in scored.causes]
                program = self.prompts.describe(clip_input.tokens, scored.ratings, named)
                self._say(scored, call.submit(program, [clip_input]).result())

    def _windows(
        self, recording: audio.Recording, call: Call, *, describe: bool
    ) -> list[tuple[int, float, Future[Result]]]:
        """Number, weight and result to come of each window."""
        submitted: list[tuple[int, float, Future[Result]]] = []
        windows = enumerate(recording.windows())
        while True:
            with self._meter.timed("load_ms"):
                index, clip = next(windows, (0, None))
            if clip is None:
                return submitted
            self._meter.add("audio_seconds", clip.duration)
            clip_input = self._log_mel(clip)
            future = call.submit(self.prompts.rate(clip_input.tokens, describe=describe), [clip_input])
            submitted.append((index, clip.weight, future))

    def _timeline(self, scored: Scored, recording: audio.Recording, call: Call, timeline: Timeline) -> None:
        """As a live call of the same audio is rated, window by window."""
        cutter = Cutter(timeline, self._n_mels)
        pieces = chain.from_iterable(map(cutter.push, recording.blocks()))
        submitted: list[tuple[WindowRating, Future[Result] | None]] = []
        for cut in chain(pieces, cutter.finish()):
            window = WindowRating(cut.start / SAMPLE_RATE, cut.end / SAMPLE_RATE, None, flags=cut.flags)
            future = None
            if not window.flags:
                clip_input = AudioInput(audio.digest(cut.samples), cut.log_mel)
                future = call.submit(self.prompts.rate(clip_input.tokens, describe=False), [clip_input])
            submitted.append((window, future))
        for window, future in submitted:
            scored.timeline.append(window if future is None else _window_rating(window, future.result()))
            scored.error = scored.error or (future.result().error if future is not None else None)

    def _log_mel(self, clip: audio.Clip) -> AudioInput:
        with self._meter.timed("mel_ms"):
            return AudioInput(clip.digest, log_mel(clip.samples, self._n_mels))

    def _say(self, scored: Scored, result: Result) -> None:
        if result.text_tokens:
            scored.description = self.prompts.text(result.text_tokens)
        scored.error = scored.error or result.error


class Batch:
    """Recordings of one caller, several of them under way at once. A context manager: leaving it drops what is not
    finished, and frees its threads."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        describe: bool,
        channels: audio.Channels = "auto",
        timeline: Timeline | None = None,
        priority: Priority = Priority.BATCH,
    ) -> None:
        self.ahead = pipeline.ahead
        """How many recordings are under way at once; more than these wait in line."""
        self._pipeline = pipeline
        self._describe = describe
        self._channels = checked(channels)
        self._timeline = timeline
        self._call = pipeline.call(priority)
        self._threads = ThreadPoolExecutor(self.ahead, thread_name_prefix="sqe-fast recording")

    def submit(self, source: audio.Source) -> Future[list[Evaluation]]:
        """Returns at once. One evaluation, or one for each channel that is heard by itself; what is wrong with the
        source is the `error` of one."""
        return self._threads.submit(self._evaluate, source)

    def in_order(
        self, sources: Iterable[tuple[Tag, audio.Source | Evaluation]]
    ) -> Iterator[tuple[Tag, list[Evaluation]]]:
        """What became of each source, in their order, with what came beside it. `sources` may be endless: a bounded
        number is under way. What is an evaluation already waits for its turn."""

        def begun(source: audio.Source | Evaluation) -> Future[list[Evaluation]]:
            return _had(source) if isinstance(source, Evaluation) else self.submit(source)

        return results_in_order(sources, begun, self.ahead)

    def _evaluate(self, source: audio.Source) -> list[Evaluation]:
        scored = self._pipeline.score(
            source, self._call, describe=self._describe, channels=self._channels, timeline=self._timeline
        )
        return [each.evaluation for each in scored]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._call.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)


def results_in_order(
    sources: Iterable[tuple[Tag, Asked]], submit: Callable[[Asked], Future[Found]], ahead: int
) -> Iterator[tuple[Tag, Found]]:
    """What became of each source, in their order, with what came beside it; at most `ahead` of them are under way."""
    pending: deque[tuple[Tag, Future[Found]]] = deque()
    for tag, source in sources:
        pending.append((tag, submit(source)))
        while pending and (len(pending) == ahead or pending[0][1].done()):
            tag, future = pending.popleft()
            yield tag, future.result()
    while pending:
        tag, future = pending.popleft()
        yield tag, future.result()


def _had(evaluation: Evaluation) -> Future[list[Evaluation]]:
    future: Future[list[Evaluation]] = Future()
    future.set_result([evaluation])
    return future


def _window_rating(window: WindowRating, result: Result) -> WindowRating:
    if result.error is not None:
        return window
    return replace(window, ratings=ratings(result.reads), causes=result.causes)


def ratings(reads: Mapping[str, ReadOut]) -> Ratings:
    """The five reads of a rating program."""
    return Ratings(**{name: reads[name].mean for name in RATINGS}, mos_std=reads["mos"].std)


def combine(scores: Sequence[Score]) -> Ratings:
    """Means weighted by active speech; a single score is returned as it is.

    `mos_std` is that of the mixture of the windows' MOS distributions: the spread within windows, and that between
    them. Raises ValueError without scores.
    """
    if not scores:
        raise ValueError("nothing was scored")
    if len(scores) == 1:
        return scores[0].ratings
    total = math.fsum(score.weight for score in scores)

    def mean(values: Sequence[float]) -> float:
        return math.fsum(score.weight * value for score, value in zip(scores, values, strict=True)) / total

    mos = mean([score.ratings.mos for score in scores])
    variance = mean([score.ratings.mos_std**2 + (score.ratings.mos - mos) ** 2 for score in scores])
    dimensions = {name: mean([score.ratings[name] for score in scores]) for name in DIMENSIONS}
    return Ratings(**dimensions, mos=mos, mos_std=math.sqrt(variance))


def mixed(chances: Sequence[FloatArray], weights: Sequence[float]) -> Chances:
    """The mixture of the windows' MOS distributions [41], which `mos_std` of `combine` is the spread of."""
    if len(chances) == 1:
        weights = [1.0]  # as `combine` does: it may weigh nothing
    whole = np.average(np.asarray(chances, np.float64), axis=0, weights=weights)
    return np.asarray(whole / whole.sum())


def combine_causes(scores: Sequence[Score]) -> tuple[Cause, ...]:
    """A single score's are returned as they are. Of several, each name once, at most `MOST` of them.

    A probability is the mean over all windows weighted by active speech, 0 where one does not list the name: that of
    hearing the cause at a moment of speech drawn at random. The worst comes first: what costs its dimension most, by
    the mean of that probability times what the window's rating of the dimension lacks to the best.
    """
    if len(scores) == 1:
        return scores[0].causes
    total = math.fsum(score.weight for score in scores)
    shares = defaultdict[tuple[str, str], list[tuple[float, float]]](list)
    for score in scores:
        for cause in score.causes:
            lost = RATING_MAX - score.ratings[cause.dimension]
            shares[cause.name, cause.dimension].append((cause.probability * score.weight / total, lost))

    def cost(name: tuple[str, str]) -> float:
        return math.fsum(share * lost for share, lost in shares[name])

    worst = sorted(shares, key=lambda name: (-cost(name), name))[:MOST]
    return tuple(Cause(*name, math.fsum(share for share, _ in shares[name])) for name in worst)


def typical(scores: Sequence[Score]) -> int:
    """The index of the window that stands for the recording: the first whose MOS is nearest to the whole's."""
    mos = combine(scores).mos
    return min(scores, key=lambda score: abs(score.ratings.mos - mos)).window
