"""The public Python API: recordings in; ratings, descriptions and comparisons out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqe_fast import audio
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio import Channels, Source
from sqe_fast.audio.channels import checked
from sqe_fast.audio.sandbox import Pool
from sqe_fast.audio.timeline import Timeline
from sqe_fast.checkpoint.folder import adapter_name, open_checkpoint
from sqe_fast.engine.comparison import Contest, compared, in_order, neighbours, ranking
from sqe_fast.engine.driver import Driver
from sqe_fast.engine.engine import Engine, Priority
from sqe_fast.engine.niceness import made_behind
from sqe_fast.engine.pipeline import Batch, Pipeline, results_in_order
from sqe_fast.engine.trace import Activity, Meter, Trace
from sqe_fast.options import INT8, SHORT_NAMES, WINDOW_DEADLINE, Sandbox, Serving
from sqe_fast.results import Comparison, Evaluation, Ranked
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import Runner

if TYPE_CHECKING:  # live calls are imported with the first of them: most callers have none
    from sqe_fast.live.alarms import Alerting
    from sqe_fast.live.hub import Live
    from sqe_fast.live.stream import AsyncStream, Stream
    from sqe_fast.live.stream import Channels as LiveChannels

T = TypeVar("T")


class Evaluator:
    """Rates, describes, compares and ranks recordings with one model.

    May be shared between threads and event loops: their calls share the model's passes, each gets its own results, and
    `trace` counts them together. A context manager; `close` ends its thread, as garbage collection does. After a fork
    each process opens its own.
    """

    def __init__(
        self,
        runner: Runner,
        prompts: PromptBuilder,
        *,
        model: str,
        limits: audio.Limits | None = None,
        nice: int = Serving.nice,
        sandbox: Pool | None = None,
    ) -> None:
        """For a runner of your own; else use `from_pretrained`. `model` names the weights in every row; `sandbox`
        decodes files, and is closed with this evaluator."""
        self.model = model
        self._prompts = prompts
        self._driver = Driver(Engine(runner), nice=nice)
        self._sandbox = sandbox
        opens = None if sandbox is None else sandbox.open
        self._pipeline = Pipeline(self._driver, prompts, limits or audio.Limits(), model, opens)
        self._live: Live | None = None
        self._opening = threading.Lock()

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | PathLike[str] = "tiny",
        *,
        device: str = Serving.device,
        slots: int | None = Serving.slots,
        threads: int | None = Serving.threads,
        adapter: str | PathLike[str] | None = Serving.adapter,
        encoder: str = Serving.encoder,
        precision: str = Serving.precision,
        max_length: int = Serving.max_length,
        nice: int = Serving.nice,
        sandbox: Sandbox | None = Serving.sandbox,
    ) -> Evaluator:
        """Open the bundled "tiny", or a checkpoint folder. `sqe_fast.options.Serving` says what each choice means.

        Raises UnusableError where checkpoint, adapter or device cannot be used: none is silently replaced by another or
        left out.
        """
        folder = None if adapter is None else Path(adapter)
        return cls.open(
            name_or_folder, Serving(device, slots, threads, folder, encoder, precision, max_length, nice, sandbox)
        )

    @classmethod
    def open(
        cls, name_or_folder: str | PathLike[str], serving: Serving, limits: audio.Limits | None = None
    ) -> Evaluator:
        """As `from_pretrained`, with all choices in one object, and limits of your own to what is accepted."""
        checkpoint = open_checkpoint(name_or_folder)
        sandbox = None if serving.sandbox is None else Pool(serving.sandbox)
        if sandbox is not None:
            sandbox.start()  # while the model is loaded
        runner = made_behind(serving.nice, lambda: open_runner(checkpoint.folder, serving))
        name = checkpoint.model
        if serving.adapter is not None:
            name += f"+{adapter_name(serving.adapter)}"
        if runner.info.dtype != "float32":
            name += f"+{SHORT_NAMES[runner.info.dtype]}"
        if runner.info.int8:
            name += f"+{INT8}"
        return cls(runner, checkpoint.prompts(), model=name, limits=limits, nice=serving.nice, sandbox=sandbox)

    def evaluate(
        self,
        sources: Iterable[Source],
        describe: bool = True,
        timeline: Timeline | None = None,
        channels: Channels = "auto",
    ) -> list[Evaluation]:
        """One evaluation for each source, in order, or one for each of its channels where they are heard by themselves;
        what is wrong with a source is its evaluation's `error`.

        A source is a path, the bytes of a file, an open binary file, (samples, sample_rate), a row or decoder of a
        dataset, `Raw`, or an `Excerpt` of one. `describe=False` skips the prose. `timeline` also rates overlapping
        windows, as `stream` does a live call; the description of a recording over 10 s then says where it is worst.

        `channels` of a source with several: "auto" hears one sound where all carry the same, and otherwise each that
        carries something of its own; "mix" is their mean, "each" every one by itself, and a number one of them, the
        first is 0. An evaluation's `source` is its source's place, `channel` its channel, None for the whole.

        Raises TypeError for a single source instead of several: it belongs in a list; ValueError for other `channels`.
        """
        return list(self.iter_evaluate(sources, describe, timeline, channels))

    def iter_evaluate(
        self,
        sources: Iterable[Source],
        describe: bool = True,
        timeline: Timeline | None = None,
        channels: Channels = "auto",
    ) -> Iterator[Evaluation]:
        """As `evaluate`, lazily: `sources` may be endless, and is read only a little ahead of what you take."""
        _refuse_single(sources)
        checked(channels)
        self._meter.restart()
        return self._iterate(sources, describe, timeline, channels)

    async def aevaluate(
        self,
        sources: Iterable[Source],
        describe: bool = True,
        timeline: Timeline | None = None,
        channels: Channels = "auto",
    ) -> list[Evaluation]:
        """As `evaluate`, on an event loop, which goes on meanwhile; cancelling it drops the work."""
        _refuse_single(sources)
        self._meter.restart()
        with self.batch(describe, timeline, channels) as batch:
            found = await _all(map(batch.submit, sources))
            return [row for place, evaluations in enumerate(found) for row in _rows(place, evaluations)]

    def batch(self, describe: bool = True, timeline: Timeline | None = None, channels: Channels = "auto") -> Batch:
        """For sources that come one by one: `with evaluator.batch() as batch`, `batch.submit(source)` gives a Future of
        its evaluations, mostly one."""
        return Batch(self._pipeline, describe=describe, channels=channels, timeline=timeline)

    def stream(
        self,
        sample_rate: int = 16_000,
        *,
        window: float = Timeline.window,
        hop: float = Timeline.hop,
        channels: LiveChannels = "mix",
        alerting: Alerting | None = None,
        deadline: float = WINDOW_DEADLINE,
        describe: bool = True,
    ) -> Stream:
        """A live call at 8,000 to 48,000 Hz: push its audio as it comes, read `QualityUpdate`, `QualityAlert`,
        `QualityRecovered` and at the end a `CallSummary`.

        Each `hop` seconds the last `window` seconds are rated, together with those of all other calls. `channels` of a
        stereo call: "mix" rates their mean, "each" every one by itself. `alerting` says when quality is at fault. A
        window that waits longer than `deadline` seconds is dropped, and counted. `describe=False` leaves the model's
        words out. Raises ValueError for what cannot be, UnusableError after `close` and in a fork.
        """
        from sqe_fast.live.stream import Stream, plan_of

        return Stream(self._calls(), sample_rate, plan_of(window, hop, alerting, deadline, describe=describe), channels)

    def astream(
        self,
        sample_rate: int = 16_000,
        *,
        window: float = Timeline.window,
        hop: float = Timeline.hop,
        channels: LiveChannels = "mix",
        alerting: Alerting | None = None,
        deadline: float = WINDOW_DEADLINE,
        describe: bool = True,
    ) -> AsyncStream:
        """As `stream`, for an event loop: `async with evaluator.astream() as s`."""
        from sqe_fast.live.stream import AsyncStream

        return AsyncStream(
            self.stream(
                sample_rate,
                window=window,
                hop=hop,
                channels=channels,
                alerting=alerting,
                deadline=deadline,
                describe=describe,
            )
        )

    def compare(self, a: Source, b: Source, describe: bool = True, channels: Channels = "auto") -> Comparison:
        """Which of two recordings sounds better. `compare(b, a)` is the exact mirror of `compare(a, b)`.

        Both are rated alone; the better one has the higher MOS, and two whose MOS, shown to 0.1, lie within 0.1 are a
        tie. `describe` asks the model, which hears both, to argue for that; a recording over 30 s is then heard through
        the window whose MOS is nearest to the whole's. The two evaluations carry no descriptions of their own.

        `channels` as in `evaluate`; a recording whose channels carry different sounds has an error (`channels_differ`)
        until they are chosen by "mix" or a number. Raises ValueError for "each".
        """
        _refuse_each(channels, "comparison")
        self._meter.restart()
        call = self._pipeline.call(Priority.INTERACTIVE)
        # One after the other, so that neither the order nor the company can show in the ratings.
        scored = [
            each
            for source in (a, b)
            for each in self._pipeline.score(source, call, describe=False, channels=channels, one=True)
        ]
        return compared(self._pipeline, call, *scored, describe=describe)

    async def acompare(self, a: Source, b: Source, describe: bool = True, channels: Channels = "auto") -> Comparison:
        """As `compare`, on an event loop, which goes on meanwhile; cancelling it drops the work."""
        _refuse_each(channels, "comparison")
        self._meter.restart()
        contest = Contest(self._pipeline, describe=describe, channels=channels, priority=Priority.INTERACTIVE)
        with contest:
            scored = [await asyncio.wrap_future(contest.score(source)) for source in (a, b)]
            return await asyncio.wrap_future(contest.compare(*scored))

    def rank(self, sources: Iterable[Source], describe: bool = False, channels: Channels = "auto") -> list[Ranked]:
        """All recordings, the one with the highest MOS first. What is wrong with one is its evaluation's `error`; it
        stands at the end, as silence does.

        Each is rated alone, as `evaluate` does it. Beside the next it is a tie where the two MOS, shown to 0.1, lie
        within 0.1; "tie" says nothing of those further down. `probability` is that it is better than the next: see
        `Comparison`. `describe` asks the model, which hears both, to argue for each against the next, as `compare`
        does; the clips' encodings are kept for that, up to 64 MB (some 300 clips of 5 s; beyond that, clips are encoded
        a second time), and their samples. `channels` as in `compare`.
        """
        _refuse_single(sources)
        _refuse_each(channels, "ranking")
        self._meter.restart()
        with Contest(self._pipeline, describe=describe, channels=channels) as contest:
            standings = in_order(
                [each for _, each in results_in_order(enumerate(sources), contest.score, contest.ahead)]
            )
            futures = [contest.compare(*pair) for pair in neighbours(standings)]
            return ranking(standings, [future.result() for future in futures])

    async def arank(
        self, sources: Iterable[Source], describe: bool = False, channels: Channels = "auto"
    ) -> list[Ranked]:
        """As `rank`, on an event loop, which goes on meanwhile; cancelling it drops the work."""
        _refuse_single(sources)
        _refuse_each(channels, "ranking")
        self._meter.restart()
        with Contest(self._pipeline, describe=describe, channels=channels) as contest:
            standings = in_order(await _all(map(contest.score, sources)))
            pairs = [contest.compare(*pair) for pair in neighbours(standings)]
            return ranking(standings, await _all(pairs))

    def trace(self) -> Trace:
        """What the last call has cost so far, stage by stage."""
        return self._meter.read()

    def activity(self) -> Activity:
        """How busy it is, all callers together."""
        engine, live = self._driver.engine, self._live
        waiting = {priority.name.lower(): engine.depth(priority) for priority in Priority}
        return Activity(waiting, live.hub.sessions if live else 0, engine.meter.passes, self._driver.closed)

    def info(self) -> dict[str, Any]:
        """The model, who runs it, and its sizes."""
        info = self._driver.engine.runner.info
        return {
            "model": self.model,
            "runner": info.name,
            "dtype": info.dtype,
            "int8": info.int8,
            "n_mels": info.n_mels,
            "hidden_size": info.hidden_size,
            "vocab_size": info.vocab_size,
            "slots": info.slots,
            "max_length": info.max_length,
            "kv_bytes": info.slots * info.max_length * info.kv_bytes_per_token,
        }

    def close(self) -> None:
        """End the engine's thread. Calls that are not finished raise UnusableError, as later ones do."""
        if self._live is not None:
            self._live.close()
        self._driver.close()
        if self._sandbox is not None:
            self._sandbox.close()

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- inside ------------------------------------------------------------------------------------------------------

    @property
    def _meter(self) -> Meter:
        return self._driver.engine.meter

    def _calls(self) -> Live:
        """Live calls share one thread, which the first of them starts."""
        from sqe_fast.live.hub import Hub, Live

        with self._opening:
            if self._live is None:
                self._live = Live(Hub(self._driver, self._prompts, self.model))
            return self._live

    def _iterate(
        self, sources: Iterable[Source], describe: bool, timeline: Timeline | None, channels: Channels
    ) -> Iterator[Evaluation]:
        with self.batch(describe, timeline, channels) as batch:
            for place, evaluations in batch.in_order(enumerate(sources)):
                yield from _rows(place, evaluations)


async def _all(futures: Iterable[Future[T]]) -> list[T]:
    """Their results, in order, once all are there."""
    return await asyncio.gather(*map(asyncio.wrap_future, futures))


def _rows(place: int, evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Of the source at this place of its call."""
    return [replace(each, source=place) for each in evaluations]


def _refuse_each(channels: Channels, what: str) -> None:
    if checked(channels) == "each":
        raise ValueError(f'channels "each": a {what} is of one sound with one: pass "auto", "mix" or a number')


def _refuse_single(sources: object) -> None:
    """A path, bytes, a file or an array can be iterated, and would be taken for as many sources as it has pieces."""
    pair = isinstance(sources, tuple) and len(sources) == 2 and hasattr(sources[0], "shape")
    if hasattr(sources, "shape") and hasattr(sources, "dtype"):
        raise TypeError("evaluate takes several sources: pass this array with its rate, [(samples, sample_rate)]")
    single = isinstance(sources, str | bytes | bytearray | memoryview | PathLike | Mapping | audio.Raw | audio.Excerpt)
    if pair or single or hasattr(sources, "read") or hasattr(sources, "get_all_samples"):
        raise TypeError(f"evaluate takes several sources: put this {type(sources).__name__} in a list")
