"""Which slots of KV memory are taken. The memory itself is the runner's."""

from __future__ import annotations


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
