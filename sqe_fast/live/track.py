"""One channel of a call, or its mix, between the ring and the events; all of it on the hub's thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from sqe_fast.answer.program import Program
from sqe_fast.answer.sentences import clock, label, likely
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio import digest
from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.audio.timeline import Cut, Cutter, Timeline
from sqe_fast.engine.engine import Priority
from sqe_fast.engine.pipeline import ratings
from sqe_fast.engine.sequence import AudioInput, Request, Result
from sqe_fast.errors import BusyError, ErrorCode, UnusableError
from sqe_fast.live.alarms import Alerting, Fault, QualityWatch
from sqe_fast.live.events import (
    ChannelSummary,
    Event,
    Moment,
    QualityAlert,
    QualityRecovered,
    QualityUpdate,
)
from sqe_fast.live.ring import Block
from sqe_fast.live.signal import DIMENSION_OF, EXPLAINS, SAYS, SignalWatch, Turn
from sqe_fast.live.summary import Tally
from sqe_fast.results import Cause, Ratings

BACKLOG = 16
"""Windows of one channel that are under way; one push of 100,000 samples at 8 kHz brings 12."""


@dataclass(frozen=True)
class Plan:
    """How a session is cut, judged and described."""

    timeline: Timeline
    alerting: Alerting
    deadline: float
    """Seconds after the push of its last sample within which a window must have begun in the engine, and after an
    alert its prose."""
    describe: bool
    """Prose for alerts and the summary."""


Submit = Callable[[Request, Priority, float], Future[Result]]
"""A request, its priority and deadline on their way; the hub steps this session again when its future is done. Raises
BusyError, UnusableError."""


@dataclass(frozen=True, eq=False)
class _Pending:
    """A window that was cut and has no update yet."""

    start: float
    end: float
    flags: tuple[str, ...]
    pushed_at: float
    clip: AudioInput | None = None
    future: Future[Result] | None = None

    @property
    def done(self) -> bool:
        return self.future is None or self.future.done()


@dataclass(frozen=True, eq=False)
class _Prose:
    """Something that is told once its description is written, or that waits behind such."""

    future: Future[Result] | None
    tell: Callable[[str | None], None]
    """Takes the description, or None where there is none."""

    @property
    def done(self) -> bool:
        return self.future is None or self.future.done()


class Track:
    """`column`: the channel that is heard, None for the mean of all. `publish` takes each event as it happens."""

    def __init__(
        self,
        column: int | None,
        rate: int,
        plan: Plan,
        prompts: PromptBuilder,
        n_mels: int,
        submit: Submit,
        publish: Callable[[Event], None],
        now: Callable[[], float],
    ) -> None:
        self._column, self._rate, self._plan = column, rate, plan
        self._prompts, self._n_mels, self._submit, self._publish, self._now = prompts, n_mels, submit, publish, now
        self._signal = SignalWatch(plan.alerting.signal, rate)
        self._quality = QualityWatch(plan.alerting)
        self._tally = Tally()
        self._begun: dict[str, float] = {}
        """When each fault of the signal began that is not over."""
        self._seen: dict[str, float] = {}
        """Until when each fault of the signal was there."""
        self._cutter = Cutter(plan.timeline, n_mels)
        self._resampler = _Resampler(rate)
        self._frame = 0
        """The next one expected, at the call's rate."""
        self._pushed: deque[tuple[int, float]] = deque()
        """Position at 16 kHz up to which samples had come, and when, of those not yet cut."""
        self._under_way: deque[_Pending] = deque()
        self._writing: deque[_Prose] = deque()
        self._told = False
        """The quality's fault that is not over was worth an alert."""
        self._dropped = 0
        """Since the last update."""
        self._latest: tuple[Moment, AudioInput] | None = None
        self._reached = 0.0
        """End of the last window that has its update."""

    @property
    def settled(self) -> bool:
        """Nothing is under way."""
        return not self._under_way and not self._writing

    # --- audio -------------------------------------------------------------------------------------------------------

    def hear(self, block: Block) -> None:
        """The next block; where it does not follow the last one, what lies between was lost."""
        if block.frame != self._frame:
            self._skip(block.frame)
        self._frame = block.frame + len(block.samples)
        self._pushed.append((_position(self._frame, self._rate), block.pushed_at))
        heard = block.samples if self._column is None else block.samples[:, self._column : self._column + 1]
        for turn in self._signal.add(heard, block.frame / self._rate):
            self._turn(turn, self._frame / self._rate)
        self._seen.update(dict.fromkeys(self._signal.active, self._frame / self._rate))
        mono = heard[:, 0] if heard.shape[1] == 1 else heard.astype(np.float64).mean(axis=1).astype(np.float32)
        self._windows(self._cutter.push(self._resampler.push(mono)))

    def finish(self) -> None:
        """The call is over: the windows that were not whole yet."""
        self._windows(self._cutter.push(self._resampler.finish()))
        self._windows(self._cutter.finish())

    def _skip(self, frame: int) -> None:
        expected = self._cutter.end
        self._cutter = Cutter(self._plan.timeline, self._n_mels, _position(frame, self._rate))
        self._resampler = _Resampler(self._rate)
        self._pushed.clear()
        self._drop((self._cutter.end - expected) // self._plan.timeline.hop_samples)

    def _windows(self, cuts: Iterable[Cut]) -> None:
        for cut in cuts:
            self._under_way.append(self._pending(cut))
            if len(self._under_way) > BACKLOG:
                # The oldest may be in the engine already: were it given up, none would ever be finished.
                self._give_up(self._under_way[1])
                del self._under_way[1]

    def _pending(self, cut: Cut) -> _Pending:
        while len(self._pushed) > 1 and self._pushed[0][0] < cut.end:
            self._pushed.popleft()
        pushed_at = self._pushed[0][1]
        start, end, flags = cut.start / SAMPLE_RATE, cut.end / SAMPLE_RATE, cut.flags
        if flags:
            return _Pending(start, end, flags, pushed_at)
        clip = AudioInput(digest(cut.samples), cut.log_mel)
        future = self._asked(self._prompts.rate(clip.tokens, describe=False), clip, Priority.STREAM, pushed_at)
        return _Pending(start, end, flags, pushed_at, clip, future)

    def _asked(self, program: Program, clip: AudioInput, priority: Priority, since: float) -> Future[Result]:
        try:
            return self._submit(Request(program, (clip,)), priority, since + self._plan.deadline)
        except BusyError:
            future: Future[Result] = Future()
            future.cancel()
            return future

    def _give_up(self, pending: _Pending) -> None:
        if pending.future is not None:
            pending.future.cancel()
        self._drop(1)

    def _drop(self, windows: int) -> None:
        self._dropped += windows
        self._tally.dropped += windows

    # --- results -----------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Turn what is done into events, in the order of the call."""
        while self._under_way and self._under_way[0].done:
            self._emit(self._under_way.popleft())
        while self._writing and self._writing[0].done:
            prose = self._writing.popleft()
            prose.tell(self._text(prose.future))

    def abandon(self) -> None:
        """Drop what is under way."""
        for pending in self._under_way:
            self._give_up(pending)
        self._under_way.clear()
        for prose in self._writing:
            if prose.future is not None:
                prose.future.cancel()
            prose.tell(None)
        self._writing.clear()

    def _emit(self, pending: _Pending) -> None:
        if pending.future is None or pending.clip is None:
            self._tally.without_speech += 1
            self._update(pending)
            return
        if pending.future.cancelled():
            self._drop(1)
            return
        failure = pending.future.exception()
        if isinstance(failure, UnusableError):
            raise failure
        result = None if failure else pending.future.result()
        if result is not None and result.error is not None and result.error.code is ErrorCode.TOO_LATE:
            self._drop(1)
        elif result is None or result.error is not None:
            self._tally.failed += 1
            self._update(pending, error=str(failure or (result and result.error)))
        else:
            self._rated(pending, pending.clip, ratings(result.reads), result.causes)

    def _rated(self, pending: _Pending, clip: AudioInput, found: Ratings, causes: tuple[Cause, ...]) -> None:
        moment = Moment(pending.start, pending.end, found, causes)
        self._latest = moment, clip
        self._tally.add(moment, clip)
        new = max(moment.start, self._reached)
        fault = self._quality.add(new, moment.end, found, causes)
        before = self._quality.fault
        good_since = self._quality.recovered(new, moment.end)
        if fault is not None:
            # What the signal shows was told already.
            self._told = not any(
                fault.dimension in EXPLAINS[each] for each, until in self._seen.items() if until > moment.start
            )
            if self._told:
                self._alert(fault, moment, clip)
        if good_since is not None and before is not None and self._told:
            self._recovered("quality", before.dimension, before.since, good_since)
        self._update(pending, found, causes)

    def _update(
        self,
        pending: _Pending,
        found: Ratings | None = None,
        causes: tuple[Cause, ...] = (),
        error: str | None = None,
    ) -> None:
        age, dropped, self._dropped = self._now() - pending.pushed_at, self._dropped, 0
        score, self._reached = self._quality.score, pending.end
        self._publish(
            QualityUpdate(
                pending.start, pending.end, found, causes, score, pending.flags, age, dropped, self._column, error
            )
        )

    # --- alerts ------------------------------------------------------------------------------------------------------

    def _alert(self, fault: Fault, moment: Moment, clip: AudioInput) -> None:
        self._tally.alerts += 1

        def tell(prose: str | None) -> None:
            severity = label(fault.rating)
            said = (
                f"Since {clock(fault.since)} {fault.dimension} is {severity} ({fault.rating:.1f}){likely(fault.cause)}."
            )
            self._publish(
                QualityAlert(
                    "quality",
                    fault.dimension,
                    fault.rating,
                    severity,
                    fault.cause,
                    fault.since,
                    fault.at,
                    said if prose is None else f"{said} {prose}",
                    self._column,
                )
            )

        self._write(moment, clip, Priority.ALERT, tell)

    def _turn(self, turn: Turn, at: float) -> None:
        dimension = DIMENSION_OF[turn.fault]
        if not turn.begins:
            self._recovered(turn.fault, dimension, self._begun.pop(turn.fault), turn.since)
            return
        self._tally.alerts += 1
        self._begun[turn.fault] = turn.since
        said = f"Since {clock(turn.since)} {SAYS[turn.fault]}."
        self._publish(
            QualityAlert(turn.fault, dimension, None, "bad", None, turn.since, at, said, self._column),
        )

    def _recovered(self, fault: str, dimension: str, since: float, at: float) -> None:
        what = dimension if fault == "quality" else fault
        said = f"The {what} that was at fault from {clock(since)} is over since {clock(at)}."
        recovered = QualityRecovered(fault, dimension, since, at, said, self._column)
        # Behind the alert, whose prose may not be there yet.
        self._writing.append(_Prose(None, lambda _: self._publish(recovered)))

    # --- prose -------------------------------------------------------------------------------------------------------

    def describe(self, tell: Callable[[str | None], None]) -> None:
        """The newest rated window in the model's words; None where there is none."""
        if self._latest is None:
            self._writing.append(_Prose(None, tell))
        else:
            self._write(*self._latest, Priority.INTERACTIVE, tell)

    def summarise(self, tell: Callable[[ChannelSummary], None], *, prose: bool) -> None:
        """Once all windows are done."""

        def told(text: str | None) -> None:
            tell(self._tally.summary(self._column, text))

        if prose and self._plan.describe and self._tally.typical is not None:
            self._write(*self._tally.typical, Priority.STREAM, told)
        else:
            self._writing.append(_Prose(None, told))

    def _write(self, moment: Moment, clip: AudioInput, priority: Priority, tell: Callable[[str | None], None]) -> None:
        if priority is Priority.ALERT and not self._plan.describe:
            self._writing.append(_Prose(None, tell))
            return
        names = [cause.name for cause in moment.causes]
        program = self._prompts.describe(clip.tokens, moment.ratings, names)
        self._writing.append(_Prose(self._asked(program, clip, priority, self._now()), tell))

    def _text(self, future: Future[Result] | None) -> str | None:
        """None where it came too late or could not be written: the sentence by code stands alone then."""
        if future is None or future.cancelled() or future.exception() is not None:
            return None
        result = future.result()
        return None if result.error is not None else self._prompts.text(result.text_tokens)


class _Resampler:
    """One stream of mono samples to 16 kHz, as a file is resampled: soxr's HQ, the same whatever the pieces."""

    def __init__(self, rate: int) -> None:
        self._stream = None
        if rate != SAMPLE_RATE:
            import soxr

            self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def push(self, samples: FloatArray) -> FloatArray:
        if self._stream is None:
            return samples
        resampled: FloatArray = self._stream.resample_chunk(np.ascontiguousarray(samples))
        return resampled

    def finish(self) -> FloatArray:
        """What it still holds."""
        empty = np.empty(0, np.float32)
        if self._stream is None:
            return empty
        rest: FloatArray = self._stream.resample_chunk(empty, last=True)
        return rest


def _position(frame: int, rate: int) -> int:
    """Of a frame at `rate`, at 16 kHz."""
    return (2 * frame * SAMPLE_RATE + rate) // (2 * rate)
