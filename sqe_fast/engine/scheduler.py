"""Who runs next, and where: first come, first served, into slots that stay contiguous.

A sequence joins as soon as a slot is free and leaves as soon as it is finished; the last one moves into its slot.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sqe_fast.engine.sequence import Sequence


class KVSlots:
    """Slots 0 … `used`−1 are taken and the rest free, always: a runner decodes the first rows of its memory."""

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"a runner needs at least one slot, not {count}")
        self.count = count
        self.used = 0

    @property
    def full(self) -> bool:
        return self.used == self.count

    @property
    def next_free(self) -> int:
        """The slot that the next `take` will take; it may be written to before."""
        if self.full:
            raise RuntimeError("no slot is free")
        return self.used

    def take(self) -> int:
        slot = self.next_free
        self.used += 1
        return slot

    def release(self, slot: int) -> int | None:
        """Free `slot`. Returns the last taken slot if its content must now move into the hole, else None."""
        if not 0 <= slot < self.used:
            raise RuntimeError(f"slot {slot} is not taken")
        self.used -= 1
        return self.used if slot != self.used else None


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
