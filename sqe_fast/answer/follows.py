"""What probably follows in a checkpoint's prose: guesses, which the model's own choice confirms or not.

Prose comes from a stock of phrases, and a model has its favourites among them. So the table is counted from texts that
the checkpoint wrote (drafts.json) and from its stock of phrases. It belongs to the checkpoint and learns nothing while
it serves: what is drafted for one recording depends on no other.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqe_fast.answer.phrases import finished, inflected
from sqe_fast.errors import UnusableError

CONTEXT = 4
"""So many tokens say what follows; fewer where these were never seen. More change nothing."""
BEGIN = -1
"""Stands before the first token of a text."""
WRITTEN = 4
"""How much a text that the model wrote counts beside a phrase that it may write."""

_SLOT = re.compile(r"\{\w+\}")


class Follows:
    """Of the last tokens of a text, the likeliest next one, and its share among all that were seen there."""

    def __init__(self, sequences: Iterable[tuple[Sequence[int], int]], number_ids: Collection[int] = ()) -> None:
        """Of token ids, and how much each sequence counts. All of `number_ids` are taken for one: which number stands
        there is the program's."""
        self._numbers = dict.fromkeys(number_ids, min(number_ids, default=0))
        counts = defaultdict[tuple[int, ...], dict[int, int]](dict)
        for tokens, weight in sequences:
            plain = [self._numbers.get(token, token) for token in tokens]
            for end in range(1, len(plain)):
                following = plain[end]
                for start in range(max(0, end - CONTEXT), end):
                    seen = counts[tuple(plain[start:end])]
                    seen[following] = seen.get(following, 0) + weight
        self._best = {context: _best(seen) for context, seen in counts.items()}

    def next(self, written: Sequence[int]) -> tuple[int, float] | None:
        """After a text as far as it is written; None where nothing like its end was seen."""
        begun = [BEGIN] if len(written) < CONTEXT else []
        recent = tuple(begun + [self._numbers.get(token, token) for token in written[-CONTEXT:]])
        for start in range(len(recent)):
            if (found := self._best.get(recent[start:])) is not None:
                return found
        return None


def _best(seen: Mapping[int, int]) -> tuple[int, float]:
    token, count = min(seen.items(), key=lambda each: (-each[1], each[0]))
    return token, count / sum(seen.values())


def load_texts(path: Path) -> tuple[str, ...]:
    """Of drafts.json: {"texts": […]}. Raises UnusableError where it is none."""
    try:
        texts = json.loads(path.read_text(encoding="utf-8"))["texts"]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("texts must be strings")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UnusableError(f"{path}: no texts to draft from ({error!r})") from error
    return tuple(texts)


def save_texts(path: Path, texts: Iterable[str]) -> None:
    path.write_text(json.dumps({"texts": list(texts)}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def pieces(fields: Mapping[str, Any]) -> Iterator[str]:
    """Every stretch of a stock's phrases that stands as it is, between its slots: within a sentence, with a space
    before it, and at the beginning of one."""
    for phrase in _strings(fields):
        for many in (False, True):
            parts = _SLOT.split(inflected(phrase, many=many))
            yield f" {parts[0]}"
            yield f" {finished(parts[0])}"
            yield from parts[1:]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _strings(each)
