"""Live calls stepped by hand, on a clock that stands until it is moved: no thread, no waiting, the same every time."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from sqe_fast.audio.timeline import Timeline
from sqe_fast.engine.engine import Engine, Priority
from sqe_fast.engine.sequence import Request, Result
from sqe_fast.live.alarms import Alerting
from sqe_fast.live.events import Event
from sqe_fast.live.hub import Hub
from sqe_fast.live.session import Session
from sqe_fast.live.track import Plan
from sqe_fast.results import RATINGS
from tests.support.fake_evaluator import MODEL, PROMPTS, fake_runner, prose
from tests.support.fake_runner import FakeRunner, History, Script

RATE = 16_000
SECOND = Timeline(window=1.0, hop=1.0)
"""Windows that don't overlap, and too short for anything loud to be denied speech."""
CALM = Alerting(below=1.0, above=1.0, drop=5.0)
"""No rating gives an alert."""
LOUD, FAINT = 0.1, 0.001
"""RMS of noise that `rating_by_level` rates 4.5 and 1.5."""


class Clock:
    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


class HandDriver:
    """A driver whose engine steps only when told."""

    closed = False

    def __init__(self, runner: FakeRunner) -> None:
        self.engine = Engine(runner)
        self.submitted: list[tuple[Request, Priority, float]] = []
        self.failing: Exception | None = None

    def refuse_fork(self) -> None:
        """It has no thread that a fork could lack."""

    def submit(self, request: Request, priority: Priority, deadline: float) -> Future[Result]:
        if self.failing is not None:
            raise self.failing
        self.submitted.append((request, priority, deadline))
        return self.engine.submit(request, priority, deadline)


@dataclass
class Room:
    """A hub, its engine and its clock."""

    driver: HandDriver
    hub: Hub
    clock: Clock

    def open(
        self,
        rate: int = RATE,
        timeline: Timeline = SECOND,
        alerting: Alerting | None = None,
        deadline: float = 1e6,
        each: bool = False,
        describe: bool = True,
    ) -> Session:
        return self.hub.open(rate, Plan(timeline, alerting or CALM, deadline, describe), each=each)

    def push(self, session: Session, samples: np.ndarray) -> None:
        """As a stream pushes."""
        if session.ring.push(samples, self.clock()):
            self.hub.wake(session)

    def hear(self) -> None:
        """All audio, no model."""
        while self.hub.step():
            pass

    def settle(self) -> None:
        """Until nothing is left to do."""
        while self.hub.step() or self.driver.engine.busy:
            if self.driver.engine.busy:
                self.driver.engine.step()

    def say(self, session: Session, samples: np.ndarray, piece: int = RATE) -> list[Event]:
        """Push piece by piece, each heard and rated before the next; the events."""
        events: list[Event] = []
        for start in range(0, len(samples), piece):
            self.push(session, samples[start : start + piece])
            self.settle()
            events += session.outbox.drain()
        return events

    def close(self, session: Session) -> list[Event]:
        session.close()
        self.hub.wake(session)
        self.settle()
        return list(session.outbox.drain())


def room(runner: FakeRunner | None = None) -> Room:
    driver, clock = HandDriver(runner or fake_runner()), Clock()
    return Room(driver, Hub(driver, PROMPTS, MODEL, clock), clock)  # type: ignore[arg-type]


def rating_by_level(loud: float = 4.5, faint: float = 1.5, spared: str | None = None) -> Script:
    """A model that rates each window by its level, on all scales alike but the one that is `spared` (always 4.5), and
    describes it as ever."""
    said = prose()
    newline = PROMPTS.encode("\n")[0]

    def script(history: History) -> tuple[int, ...]:
        if words := said(history):
            return words
        read = RATINGS[len(history) - 1 - max(i for i, token in enumerate(history) if token == newline)]
        heard = -min(history)
        return (PROMPTS.number_id(4.5 if read == spared else loud if heard > 0.9 else faint),)

    return script


def noise(seconds: float, level: float = LOUD, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * level).astype(np.float32)


def of(kind: type, events: list[Event]) -> list:
    return [event for event in events if isinstance(event, kind)]
