"""Where words of the lexicon stand in a text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise

from training.language import degree_words as dw
from training.language import lexicon as lex
from training.language.causes import KINDS
from training.language.degree_words import Interval


@dataclass(frozen=True)
class Mark:
    """Words of the lexicon, found in a segment."""

    start: int
    end: int
    kind: str
    words: str
    dimension: str = ""
    interval: Interval = (0, 4)
    overall: Interval = (0, 4)
    cause: str | None = None


SINGLE: dict[str, str] = {
    "negation": lex.NEGATIONS,
    "not-negation": lex.NOT_NEGATIONS,
    "soft": dw.SOFT,
    "loud": dw.LOUD,
    "unheard": dw.UNHEARD,
    "present": dw.PRESENT,
    "intense": dw.INTENSE,
    "fully": dw.FULLY,
    "partly": dw.PARTLY,
    "trouble": dw.TROUBLE,
    "overall": lex.OVERALL,
    "voice": lex.VOICE,
    "others": lex.OTHERS,
    "worst": lex.WORST,
    "lesser": lex.NOT_WORST,
}
"""Marks that only their kind says something about."""


@cache
def _table() -> tuple[tuple[str, re.Pattern[str], Mark], ...]:
    """Every entry of the lexicon: letters that it needs, its pattern, and the mark it makes."""
    entries: list[tuple[str, Mark]] = []

    def add(pattern: str, kind: str, dimension: str = "", interval: Interval = (0, 4), **more: object) -> None:
        mark = Mark(0, 0, kind, "", dimension, interval, **more)  # type: ignore[arg-type]
        entries.extend((alternative, mark) for alternative in alternatives(pattern))

    for dimension, pattern in lex.TOPICS.items():
        add(pattern, "topic", dimension)
    for dimension, pattern in lex.FAULTS.items():
        add(pattern, "fault", dimension)
    for kind, judged in (("flaw", lex.FLAWS), ("merit", lex.MERITS)):
        for dimension, interval, pattern in judged:
            add(pattern, kind, dimension, interval)
    for name, cause in KINDS.items():
        for pattern in alternatives(f"{cause.pattern}|{lex.CAUSE_WORDS.get(name, '(?!)')}"):
            after = {"noisiness": "(?: noises?)?", "loudness": lex.LEVEL_OF}.get(cause.dimension, "")  # "street noise"
            add(f"(?:{pattern}){after}", "fault", cause.dimension, cause=name)
    for pattern, interval in dw.DEGREES:
        add(pattern, "degree", interval=interval)
    for pattern, interval, overall in dw.GRADES:
        add(pattern, "grade", interval=interval, overall=overall)
    for kind, pattern in SINGLE.items():
        add(pattern, kind)
    return tuple(
        (literal(pattern), re.compile(rf"(?<![\w'])(?:{pattern})(?!\w)", re.IGNORECASE), mark)
        for pattern, mark in entries
    )


def alternatives(pattern: str) -> list[str]:
    """A pattern cut at its outer "|", since a regular expression takes the first alternative, not the longest."""
    parts, depth = [""], 0
    for token in re.findall(r"\\.|.", pattern):
        depth += (token == "(") - (token == ")")
        if token == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def literal(pattern: str) -> str:
    """The longest run of letters that every match of a pattern without outer "|" holds; it may be empty."""
    runs, depth = [""], 0
    tokens = re.findall(r"\\.|\[[^\]]*\]|\{[^}]*\}|.", pattern)
    for token, following in pairwise([*tokens, ""]):
        plain = depth == 0 and re.fullmatch(r"[a-z ]", token) and following not in ("?", "*") and following[:1] != "{"
        runs[-1:] = [runs[-1] + token] if plain else [runs[-1], ""]
        depth += (token == "(") - (token == ")")
    return max(runs, key=len)


PREFERRED = ("not-negation", "flaw", "merit", "fault", "topic", "degree")


@lru_cache(maxsize=1 << 14)
def scan(text: str) -> tuple[Mark, ...]:
    """Marks from left to right; where two overlap, the longer one stays."""
    found, lowered = [], text.lower()
    for needed, pattern, mark in _table():
        if needed in lowered:  # a regular expression costs a hundred times as much
            for match in pattern.finditer(text):
                if match[0]:
                    found.append(replace(mark, start=match.start(), end=match.end(), words=match[0]))
    rank = {kind: place for place, kind in enumerate(PREFERRED)}
    found.sort(key=lambda m: (m.start - m.end, rank.get(m.kind, len(rank)), not m.cause, m.start))
    kept: list[Mark] = []
    for mark in found:
        if all(mark.end <= other.start or mark.start >= other.end for other in kept):
            kept.append(mark)
    return tuple(sorted(kept, key=lambda m: m.start))
