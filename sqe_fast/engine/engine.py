"""The loop: admit and prefill while a slot is free, decode one token for every sequence, let the finished ones go."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable
from itertools import chain

from sqe_fast.engine.encoding import ClipEncoder
from sqe_fast.engine.scheduler import Entry, Scheduler
from sqe_fast.engine.sequence import Distribution, Request, Result, Sequence
from sqe_fast.engine.trace import Trace
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.runners.base import Embedding, Row, Runner, StepOutput

ENCODER_CACHE_BYTES = 64 << 20
"""At 4,096 wide (7B) and in float32 what a GPU encodes ahead in one call: 120 s, and up to 30 s more of the last clip.
So no clip is gone before its turn, and a comparison finds both of its clips."""

MAX_RIDING = 8
"""Forced tokens ride along in decode passes, which cost little beside other rows. A longer run of them is prefilled.
The choice looks at the sequence alone, never at its neighbours, so that they cannot change its arithmetic."""


class Engine:
    """Serves requests on one runner. Not thread-safe.

    An exception from the runner's encode, prefill or decode propagates and leaves every request where it was.

    `run` is for a list. `submit`, `step` and `take` are for a stream of requests: submit a few, step until the one you
    wait for can be taken, submit more.
    """

    def __init__(self, runner: Runner, *, cache_bytes: int = ENCODER_CACHE_BYTES) -> None:
        self.runner = runner
        self.stats = Trace()
        self._info = runner.info
        self._encoder = ClipEncoder(runner, cache_bytes)
        self._scheduler = Scheduler(self._info.slots)
        self._results: dict[int, Result] = {}
        self._cancelled: list[int] = []
        self._tickets = 0

    def run(self, requests: Iterable[Request]) -> list[Result]:
        """Serve all and return their results in order."""
        tickets = [self.submit(request) for request in requests]
        try:
            while self.busy:
                self.step()
            return [self._results[ticket] for ticket in tickets]
        finally:
            self.cancel(tickets)

    @property
    def busy(self) -> bool:
        return bool(self._scheduler.waiting or self._scheduler.active)

    def submit(self, request: Request) -> int:
        """Queue a request; returns the ticket under which its result can be taken."""
        if not request.program.tokens:
            raise ValueError("a program needs at least one token to prefill")
        ticket, self._tickets = self._tickets, self._tickets + 1
        sequence = Sequence(request)
        if sequence.longest > self._info.max_length:
            sequence.error = ClipError(
                ErrorCode.TOO_LONG,
                f"prompt and answer may need {sequence.longest} positions and the model has {self._info.max_length}; "
                "use shorter clips, or open the model with a larger max_length",
            )
        if sequence.finished:
            self._results[ticket] = sequence.result()
        else:
            self._scheduler.add(Entry(ticket, sequence))
        return ticket

    def take(self, ticket: int) -> Result | None:
        """The result of a ticket, once; None while it is not finished."""
        return self._results.pop(ticket, None)

    def cancel(self, tickets: Iterable[int]) -> None:
        """Forget requests, wherever they are; takes effect at the next step, so it may be called at any time, even by
        a finalizer while a step runs."""
        self._cancelled.extend(tickets)

    def step(self) -> None:
        """One round: fill free slots, then one token for every active sequence."""
        self._drop_cancelled()
        while (candidate := self._scheduler.candidate()) is not None:
            self._admit(*candidate)
        if self._scheduler.active:
            self._decode()
            self._release([slot for slot, entry in enumerate(self._scheduler.active) if entry.sequence.finished])

    # --- one round -------------------------------------------------------------------------------------------------

    def _admit(self, slot: int, entry: Entry) -> None:
        sequence = entry.sequence
        audio = self._embeddings(entry.sequence.request)
        output = self._prefill(Row(slot, 0, tuple(sequence.tokens), sequence.candidates), audio)
        sequence.fed = len(sequence.tokens)
        sequence.absorb(_distribution(output, 0))
        if sequence.finished:
            self._scheduler.skip()
            self._results[entry.ticket] = sequence.result()
        else:
            self._scheduler.join()

    def _decode(self) -> None:
        sequences = [entry.sequence for entry in self._scheduler.active]
        for slot, sequence in enumerate(sequences):
            self._catch_up(slot, sequence)
        rows = [_next_row(slot, sequence) for slot, sequence in enumerate(sequences)]
        with self.stats.timed("decode_ms"):
            output = self.runner.decode(rows)
        self.stats.decode_steps += 1
        self.stats.decode_tokens += len(rows)
        for index, sequence in enumerate(sequences):
            sequence.fed += 1
            if not sequence.pending:
                sequence.absorb(_distribution(output, index))
        held = sum(sequence.fed for sequence in sequences) * self._info.kv_bytes_per_token
        self.stats.kv_bytes = max(self.stats.kv_bytes, held)

    def _catch_up(self, slot: int, sequence: Sequence) -> None:
        """Prefill all but the last of many forced tokens; the last one rides in the decode pass."""
        if len(sequence.pending) <= MAX_RIDING:
            return
        self._prefill(Row(slot, sequence.fed, sequence.pending[:-1]), ())
        sequence.fed = len(sequence.tokens) - 1

    def _prefill(self, row: Row, audio: collections.abc.Sequence[Embedding]) -> StepOutput:
        with self.stats.timed("prefill_ms"):
            output = self.runner.prefill(row, audio)
        self.stats.prefill_tokens += len(row.tokens)
        return output

    def _release(self, slots: list[int]) -> None:
        """Free slots and close the holes: from the last to the first, so that no finished sequence is moved."""
        for slot in reversed(slots):
            ticket, sequence = self._scheduler.active[slot]
            move = self._scheduler.leave(slot)
            if move is not None:
                self.runner.move(*move)
            self._results[ticket] = sequence.result()

    def _drop_cancelled(self) -> None:
        gone: set[int] = set()
        while self._cancelled:
            gone.add(self._cancelled.pop())
        if not gone:
            return
        waiting = self._scheduler.waiting
        for entry in [entry for entry in waiting if entry.ticket in gone]:
            waiting.remove(entry)
        self._release([slot for slot, entry in enumerate(self._scheduler.active) if entry.ticket in gone])
        for ticket in gone:
            self._results.pop(ticket, None)

    def _embeddings(self, request: Request) -> list[Embedding]:
        """Of each clip of a request. Where one is computed, those of the next in line may be too."""
        soon = chain.from_iterable(entry.sequence.request.audio for entry in self._scheduler.waiting)
        audio = self._encoder.embed(request.audio, soon, self.stats)
        expected, given = request.program.tokens.count(self._info.audio_token_id), sum(clip.shape[0] for clip in audio)
        if given != expected:
            raise ValueError(f"the program has {expected} audio tokens and its clips {given} embeddings")
        return audio


def _next_row(slot: int, sequence: Sequence) -> Row:
    """The next token of a sequence; it asks for candidates only where nothing else waits to be fed."""
    pending = sequence.pending
    return Row(slot, sequence.fed, pending[:1], sequence.candidates if len(pending) == 1 else ())


def _distribution(output: StepOutput, row: int) -> Distribution:
    return Distribution(output.top_tokens[row], output.top_logprobs[row], output.probabilities[row])
