"""Who runs next, and where: first come, first served, into slots that stay contiguous.

A sequence joins as soon as a slot is free and leaves as soon as it is finished; the last one moves into its slot.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sqe_fast.engine.kv_cache import KVSlots
from sqe_fast.engine.request import Sequence


class Entry(NamedTuple):
    """A sequence under the ticket it was submitted with."""

    ticket: int
    sequence: Sequence


class Move(NamedTuple):
    """Copy the first `length` positions of slot `source` to slot `destination`."""

    source: int
    destination: int
    length: int


class Scheduler:
    """`active[slot]` is the entry in that slot."""

    def __init__(self, slots: int) -> None:
        self.waiting: deque[Entry] = deque()
        self.active: list[Entry] = []
        self._slots = KVSlots(slots)

    def add(self, entry: Entry) -> None:
        self.waiting.append(entry)

    def candidate(self) -> tuple[int, Entry] | None:
        """The slot and the entry that join next, if any. Nothing changes until `join` or `skip`: a runner that fails
        while it prefills the slot costs no entry."""
        if not self.waiting or self._slots.full:
            return None
        return self._slots.next_free, self.waiting[0]

    def join(self) -> None:
        """The candidate was prefilled and has more to do."""
        self._slots.take()
        self.active.append(self.waiting.popleft())

    def skip(self) -> None:
        """The candidate was finished by its prefill: its slot stays free."""
        self.waiting.popleft()

    def leave(self, slot: int) -> Move | None:
        """The entry in `slot` is done. Where a hole opens, the move that closes it."""
        source = self._slots.release(slot)
        last = self.active.pop()
        if source is None:
            return None
        self.active[slot] = last
        return Move(source, slot, last.sequence.fed)
