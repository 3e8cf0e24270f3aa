"""The loop: admit and prefill while a slot is free, decode for every sequence, let the finished ones go."""

from __future__ import annotations

import collections.abc
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from enum import IntEnum
from itertools import chain
from typing import NamedTuple, cast

from sqe_fast.engine.encoding import ClipEncoder
from sqe_fast.engine.sequence import Request, Result, Sequence
from sqe_fast.engine.trace import Meter
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.runners.base import VERIFIED, Answer, Embedding, Runner, SlotStep, Top, TopTokens, Verify

ENCODER_CACHE_BYTES = 64 << 20
"""At 4,096 wide (7B) and in float32 what a GPU encodes ahead in one call: 120 s, and up to 30 s more of the last clip.
So no clip is gone before its turn, and a comparison finds both of its clips."""

MAX_RIDING = VERIFIED
"""Forced tokens ride along in decode passes, which cost little beside other rows. A longer run of them is prefilled.
The choice looks at the sequence alone, never at its neighbours, so that they cannot change its arithmetic."""

PATIENCE = 8
"""How often in a row more urgent requests may go before one that waits: then it is its turn, so none is starved."""


class Priority(IntEnum):
    """Who goes first."""

    ALERT = 0
    """Something went wrong in a live call. A slot is kept for these, so that they never wait for one of the others."""
    STREAM = 1
    INTERACTIVE = 2
    BATCH = 3


class Entry(NamedTuple):
    """A sequence, and who waits for its result."""

    sequence: Sequence
    future: Future[Result]
    priority: Priority
    deadline: float
    """`time.monotonic()` after which nobody wants it begun any more."""

    @property
    def stale(self) -> bool:
        return self.future.cancelled() or time.monotonic() > self.deadline

    def finish(self, result: Result) -> None:
        # A future that is running cannot be cancelled any more, and one that is cancelled does not run.
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Move(NamedTuple):
    """Copy the first `length` positions of slot `source` to slot `destination`."""

    source: int
    destination: int
    length: int


class Scheduler:
    """Who runs next, and where: by priority, first come first served within one, into slots that stay contiguous.

    `active[slot]` is the entry in that slot: slots 0 … len(active) − 1 are taken and the others free, always. A
    sequence joins as soon as a slot is free and leaves as soon as it is finished; the last one moves into its slot.
    """

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"a runner needs at least one slot, not {slots}")
        self.active: list[Entry] = []
        self._slots = slots
        self._queues: dict[Priority, deque[Entry]] = {priority: deque() for priority in Priority}
        self._overtaken = dict.fromkeys(Priority, 0)

    def add(self, entry: Entry) -> None:
        """May be called by any thread, at any time."""
        self._queues[entry.priority].append(entry)

    def waiting(self) -> Iterator[Entry]:
        """Those not yet in a slot, the most urgent first."""
        return chain.from_iterable(tuple(queue) for queue in self._queues.values())

    def depth(self, priority: Priority) -> int:
        return len(self._queues[priority])

    def candidate(self) -> Entry | None:
        """The entry that joins next, in slot `len(active)`. It stays first in line until `join` or `skip`."""
        ready = [priority for priority in Priority if self._head(priority) and self._has_room(priority)]
        if not ready:
            return None
        overdue = [priority for priority in ready if self._overtaken[priority] >= PATIENCE]
        return self._queues[max(overdue) if overdue else ready[0]][0]

    def _head(self, priority: Priority) -> bool:
        """Is somebody waiting there? Passes over those who no longer do."""
        queue = self._queues[priority]
        while queue and queue[0].stale:
            queue.popleft().finish(_late())
        return bool(queue)

    def _has_room(self, priority: Priority) -> bool:
        kept = 1 if self._slots > 1 and priority is not Priority.ALERT else 0
        return len(self.active) < self._slots - kept

    def join(self, entry: Entry) -> None:
        """The candidate was prefilled and has more to do."""
        self.skip(entry)
        self.active.append(entry)

    def skip(self, entry: Entry) -> None:
        """The candidate is done with: its slot stays free."""
        self._queues[entry.priority].popleft()
        self._overtaken[entry.priority] = 0
        for priority in Priority:
            self._overtaken[priority] += priority > entry.priority and bool(self._queues[priority])

    def clear(self) -> list[Entry]:
        """Forget all entries, and return them."""
        gone = [*self.active, *self.waiting()]
        self.active.clear()
        for queue in self._queues.values():
            queue.clear()
        return gone

    def leave(self, slot: int) -> Move | None:
        """The entry in `slot` is done. Where a hole opens, the move that closes it."""
        last = self.active.pop()
        source = len(self.active)
        if slot == source:
            return None
        self.active[slot] = last
        return Move(source, slot, last.sequence.fed)


class Engine:
    """Serves requests on one runner. `submit` may be called by any thread; one alone may `step`.

    What the runner raises reaches the futures that it belongs to: from `encode` the one request, from `prefill` and
    `decode` all that were in the pass. The engine goes on with the others.
    """

    def __init__(self, runner: Runner, *, cache_bytes: int = ENCODER_CACHE_BYTES) -> None:
        self.runner = runner
        self.meter = Meter()
        self._info = runner.info
        self._written = 0
        """Tokens of prose so far, but for those that were drafted."""
        self._encoder = ClipEncoder(runner, cache_bytes, self.meter)
        self._scheduler = Scheduler(self._info.slots)

    def run(self, requests: Iterable[Request]) -> list[Result]:
        """Serve all on the calling thread and return their results in order."""
        futures = [self.submit(request) for request in requests]
        while self.busy:
            self.step()
        return [future.result() for future in futures]

    @property
    def busy(self) -> bool:
        return bool(self._scheduler.active) or any(self._scheduler.depth(priority) for priority in Priority)

    def depth(self, priority: Priority) -> int:
        """Requests of this priority that wait for a slot."""
        return self._scheduler.depth(priority)

    def submit(
        self, request: Request, priority: Priority = Priority.BATCH, deadline: float = float("inf")
    ) -> Future[Result]:
        """Queue a request. One that has not begun at `deadline` (`time.monotonic()`) gets an error instead; a cancelled
        one is dropped at the next step."""
        if not request.program.tokens:
            raise ValueError("a program needs at least one token to prefill")
        entry = Entry(Sequence(request), Future(), priority, deadline)
        if entry.sequence.longest > self._info.max_length:
            entry.sequence.error = ClipError(
                ErrorCode.TOO_LONG,
                f"prompt and answer may need {entry.sequence.longest} positions and the model has "
                f"{self._info.max_length}: use shorter clips, or open the model with a larger max_length",
            )
        if entry.sequence.finished:
            entry.finish(entry.sequence.result())
        else:
            self._scheduler.add(entry)
        return entry.future

    def step(self) -> None:
        """One round: fill free slots, then a decode pass over all active sequences. An alert does not wait for others
        to be prefilled: its round goes on at once."""
        self._release([slot for slot, entry in enumerate(self._scheduler.active) if entry.future.cancelled()])
        while self._admit():
            pass
        if self._scheduler.active:
            self._decode()
            self._release([slot for slot, entry in enumerate(self._scheduler.active) if entry.sequence.finished])

    def abandon(self, error: Exception) -> None:
        """Fail all requests and forget them."""
        for entry in self._scheduler.clear():
            entry.fail(error)

    # --- one round -------------------------------------------------------------------------------------------------

    def _admit(self) -> bool:
        """Prefill those who join now; whether others may still join in this round."""
        begin, audio, tokens = len(self._scheduler.active), list[list[Embedding]](), 0
        urgent = False
        while not urgent and (entry := self._scheduler.candidate()) is not None:
            if audio and tokens + len(entry.sequence.tokens) > self._info.prefill_tokens:
                break
            try:
                audio.append(self._embeddings(entry.sequence.request))
            except Exception as error:  # noqa: BLE001 (whatever it is, it is this request's, and reaches who asked)
                self._scheduler.skip(entry)
                entry.fail(error)
                continue
            self._scheduler.join(entry)
            tokens += len(entry.sequence.tokens)
            urgent = entry.priority is Priority.ALERT
        if not audio:
            return False
        self._begin(begin, audio)
        return not urgent

    def _begin(self, begin: int, audio: collections.abc.Sequence[collections.abc.Sequence[Embedding]]) -> None:
        """Prefill the sequences in the slots from `begin` on."""
        sequences = [entry.sequence for entry in self._scheduler.active[begin:]]
        try:
            answers = self._prefill(
                [
                    SlotStep(begin + place, 0, tuple(sequence.tokens), sequence.asks)
                    for place, sequence in enumerate(sequences)
                ],
                audio,
            )
        except Exception as error:  # noqa: BLE001 (it is that of all who were in the pass)
            while len(self._scheduler.active) > begin:
                self._scheduler.active.pop().fail(error)
            return
        for sequence, answer in zip(sequences, answers, strict=True):
            sequence.fed = len(sequence.tokens)
            sequence.absorb(answer)
        self._release([begin + place for place, sequence in enumerate(sequences) if sequence.finished])

    def _decode(self) -> None:
        sequences = [entry.sequence for entry in self._scheduler.active]
        try:
            self._catch_up(sequences)
            most = self._info.verified if self._written >= self._info.verified_after else 1
            steps = [_next_step(slot, sequence, most) for slot, sequence in enumerate(sequences)]
            with self.meter.timed("decode_ms"):
                answers = self.runner.decode(steps)
        except Exception as error:  # noqa: BLE001 (it is that of all who were in the pass)
            while self._scheduler.active:
                self._scheduler.active.pop().fail(error)
            return
        self.meter.passed(len(steps))
        self.meter.add("decode_steps", 1)
        self.meter.add("decode_rows", sum(len(step.fed) for step in steps))
        for sequence, step, answer in zip(sequences, steps, answers, strict=True):
            past = sequence.fed
            sequence.fed += len(step.tokens)
            if isinstance(step.asks, Verify):
                sequence.verify(step.asks.drafts, cast(list[TopTokens], answer))
            elif step.asks is not None:
                sequence.absorb(answer)
            self._written += isinstance(step.asks, Top)
            self.meter.add("decode_tokens", max(sequence.fed - past, 1))
        held = sum(sequence.fed for sequence in sequences) * self._info.kv_bytes_per_token
        self.meter.highest("kv_bytes", held)

    def _catch_up(self, sequences: list[Sequence]) -> None:
        """Prefill all but the last of many forced tokens; the last one rides in the decode pass."""
        behind = [(slot, each) for slot, each in enumerate(sequences) if len(each.pending) > MAX_RIDING]
        if not behind:
            return
        steps = [SlotStep(slot, sequence.fed, sequence.pending[:-1]) for slot, sequence in behind]
        self._prefill(steps, [()] * len(steps))
        for _, sequence in behind:
            sequence.fed = len(sequence.tokens) - 1

    def _prefill(
        self, steps: list[SlotStep], audio: collections.abc.Sequence[collections.abc.Sequence[Embedding]]
    ) -> list[Answer]:
        with self.meter.timed("prefill_ms"):
            answers = self.runner.prefill(steps, audio)
        self.meter.add("prefill_tokens", sum(len(step.tokens) for step in steps))
        return answers

    def _release(self, slots: list[int]) -> None:
        """Free slots and close the holes: from the last to the first, so that no finished sequence is moved."""
        for slot in reversed(slots):
            entry = self._scheduler.active[slot]
            move = self._scheduler.leave(slot)
            if move is not None:
                self.runner.move(*move)
            entry.finish(entry.sequence.result())

    def _embeddings(self, request: Request) -> list[Embedding]:
        """Of each clip of a request. Where one is computed, those of the next in line may be too."""
        soon = chain.from_iterable(entry.sequence.request.audio for entry in self._scheduler.waiting())
        return self._encoder.embed(request.audio, soon)


def _late() -> Result:
    return Result(
        error=ClipError(ErrorCode.TOO_LATE, "its turn came after its deadline: ask again, or allow more time")
    )


def _next_step(slot: int, sequence: Sequence, most: int) -> SlotStep:
    """The next tokens of a sequence, at most so many, and drafts behind them; it asks only where nothing else waits to
    be fed."""
    tokens, waiting = sequence.pending[:most], sequence.pending[most:]
    return SlotStep(slot, sequence.fed, tokens, None if waiting else sequence.asks_ahead(most - len(tokens)))
