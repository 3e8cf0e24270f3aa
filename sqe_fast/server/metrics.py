"""What is counted, in Prometheus' form. One registry a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sqe_fast.engine.trace import Activity
from sqe_fast.live.events import CallSummary, Event, QualityUpdate
from sqe_fast.results import Evaluation

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    def __init__(self, activity: Callable[[], Activity]) -> None:
        self.registry = registry = CollectorRegistry()
        registry.register(_Engine(activity))
        self.requests = Counter(
            "sqe_requests", "Requests, by route and status.", ["route", "status"], registry=registry
        )
        self.latency = Histogram(
            "sqe_request_seconds", "From the first byte to the last.", ["route"], buckets=SECONDS, registry=registry
        )
        self.under_way = Gauge("sqe_requests_under_way", "Requests that are being served.", registry=registry)
        self.held = Gauge("sqe_held_bytes", "Bytes of requests that are being served.", registry=registry)
        self.recordings = Gauge("sqe_recordings_under_way", "Recordings with the evaluator.", registry=registry)
        self.waiting = Gauge("sqe_recordings_waiting", "Recordings that wait for their turn.", registry=registry)
        self.audio = Counter("sqe_audio_seconds", "Audio that was heard.", ["source"], registry=registry)
        self.errors = Counter(
            "sqe_errors", "Rows, requests and calls that failed, by code.", ["code"], registry=registry
        )
        self.sessions = Counter(
            "sqe_sessions", "Live calls, by the code they were closed with.", ["code"], registry=registry
        )
        self.windows = Counter(
            "sqe_windows", "Windows of live calls, by what became of them.", ["outcome"], registry=registry
        )
        self.age = Histogram(
            "sqe_window_age_seconds", "Age of a live call's scores.", buckets=SECONDS, registry=registry
        )

    def heard(self, evaluations: Iterable[Evaluation]) -> None:
        """Rows of recordings."""
        for each in evaluations:
            self.audio.labels("file").inc(each.duration or 0.0)
            if each.error is not None:
                self.errors.labels(each.error.code.value).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)


class CallMeter:
    """Counts one live call."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._windows = dict.fromkeys(("rated", "without_speech", "dropped", "failed"), 0)

    def told(self, event: Event) -> None:
        """An event on its way to the client."""
        if isinstance(event, QualityUpdate):
            self._metrics.age.observe(max(0.0, event.age))
            self._count(_outcome(event), 1)
            self._count("dropped", event.dropped)

    def ended(self, summary: CallSummary) -> None:
        """Once, whether the client saw it or not: with what no update told."""
        self._metrics.audio.labels("call").inc(summary.duration)
        for outcome, told in self._windows.items():
            self._count(outcome, sum(getattr(channel, outcome) for channel in summary.channels) - told)
        if summary.error is not None:
            self._metrics.errors.labels(summary.error.code.value).inc()

    def _count(self, outcome: str, windows: int) -> None:
        self._windows[outcome] += windows
        self._metrics.windows.labels(outcome).inc(max(0, windows))


def _outcome(update: QualityUpdate) -> str:
    if update.error is not None:
        return "failed"
    return "without_speech" if update.ratings is None else "rated"


class _Engine(Collector):
    """Read from the engine when it is asked for."""

    def __init__(self, activity: Callable[[], Activity]) -> None:
        self._activity = activity

    def collect(self) -> Iterator[Metric]:
        now = self._activity()
        waiting = GaugeMetricFamily("sqe_queue", "Requests that wait for a slot of the engine.", labels=["priority"])
        for priority, count in now.waiting.items():
            waiting.add_metric([priority], count)
        yield waiting
        yield GaugeMetricFamily("sqe_sessions_open", "Live calls in the air.", value=now.calls)
        total = sum(size * count for size, count in now.passes.items())
        buckets = [
            (str(float(most)), float(sum(count for size, count in now.passes.items() if size <= most)))
            for most in SIZES
        ]
        buckets.append(("+Inf", float(sum(now.passes.values()))))
        yield HistogramMetricFamily(
            "sqe_batch_size", "Sequences that shared a decode pass.", buckets=buckets, sum_value=float(total)
        )
