"""What a resumed job finds in its output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqe_fast.jobs.rows import HASHED, Stored
from sqe_fast.jobs.summary import Summary


@dataclass
class Done:
    """The recordings that an output holds. Keeps a name and a fingerprint of each, and nothing else of the rows.

    A recording is known by its file's name, the part of it, and its fingerprint. A file whose fingerprint has changed
    is scored again, and its earlier rows are `replaced`. Bytes have no history: others of the same name, as archives
    may hold them, are another recording.
    """

    models: set[str] = field(default_factory=set)
    options: set[str] = field(default_factory=set)
    summary: Summary = field(default_factory=Summary)
    replaced: dict[str, str] = field(default_factory=dict)
    """Recordings of which rows of an earlier state of the file are there → the fingerprint of those that hold."""
    _fingerprints: dict[str, str | None] = field(default_factory=dict)
    _more: Counter[str] = field(default_factory=Counter)
    """Of recordings that are there more than once, as a list may name them: how many more."""

    def add(self, record: Sequence[Stored]) -> None:
        """The rows of one recording, in the order in which they were written."""
        first = record[0]
        self.models |= {row.model for row in record} - {""}
        self.options.add(first.options)
        self.summary.add(record)
        key = _key(first.file, first.excerpt, first.fingerprint)
        if key not in self._fingerprints:
            self._fingerprints[key] = first.fingerprint
            return
        known = self._fingerprints[key]
        self._fingerprints[key] = first.fingerprint or known
        if None in (known, first.fingerprint) or known == first.fingerprint:
            self._more[key] += 1
        else:
            self._replace(key, first.fingerprint)

    def take(self, file: str, excerpt: str | None, fingerprint: str | None) -> bool:
        """Is there this recording, and no earlier `take` has used it up? What cannot be looked at any more, and has no
        fingerprint, is as it was."""
        key = _key(file, excerpt, fingerprint)
        if key not in self._fingerprints:
            return False
        if fingerprint is not None and self._fingerprints[key] != fingerprint:
            self._replace(key, fingerprint)
            del self._fingerprints[key]
            return False
        if self._more[key]:
            self._more[key] -= 1
        else:
            del self._fingerprints[key], self._more[key]
        return True

    def has(self, file: str, excerpt: str | None, fingerprint: str | None) -> bool:
        """As `take`, and uses nothing up: workers ask who do not know of one another."""
        key = _key(file, excerpt, fingerprint)
        if key not in self._fingerprints:
            return False
        return fingerprint is None or self._fingerprints[key] == fingerprint

    def holds(self, record: Sequence[Stored]) -> bool:
        """No rows of a later state of its file have replaced the recording's."""
        first = record[0]
        key = _key(first.file, first.excerpt, first.fingerprint)
        return key not in self.replaced or self.replaced[key] == first.fingerprint

    def _replace(self, key: str, fingerprint: str | None) -> None:
        assert fingerprint is not None
        del self._more[key]
        self.replaced[key] = fingerprint


def _key(file: str, excerpt: str | None, fingerprint: str | None) -> str:
    hashed = fingerprint if fingerprint is not None and fingerprint.startswith(HASHED) else None
    return "\0".join(part for part in (file, excerpt, hashed) if part is not None)
