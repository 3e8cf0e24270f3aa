"""Free English about one clip → claims: which dimension, which categories, which cause, which number.

An anchor of `segments` with its modifiers is a claim, if all words between them are known: where it is not
certain what a phrase speaks of or how strong it is, it claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from training.language import degree_words as dw
from training.language import lexicon as lex
from training.language.causes import KINDS
from training.language.degree_words import Interval
from training.language.marks import Mark, scan
from training.language.segments import Anchor, Segment, distance, pieces, read_segment, sentences


@dataclass(frozen=True)
class Claim:
    """`words` say that the rating of `dimension` lies in the categories of `interval`; `cause` where they name one."""

    dimension: str
    interval: Interval
    words: str
    cause: str | None = None


# --- anchor and modifiers → an interval --------------------------------------------------------------------------


def complement(interval: Interval) -> Interval:
    """What is left when words are negated: "not noisy" is above noisy, "not natural" below natural."""
    low, high = interval
    return (
        (0, low - 0.2 if low > 3.1 else max(low - 0.8, 0.5)) if high >= 3 and low > 0.5 else (min(high + 0.2, 3.5), 4)
    )


def combined(parts: Sequence[tuple[Mark, Interval]], text: str) -> Interval | None:
    """What all words allow together; where they exclude one another, or "to" joins them, what any of them allows."""
    if not parts:
        return None
    low, high = max(i[0] for _, i in parts), min(i[1] for _, i in parts)
    ordered = sorted(parts, key=lambda part: part[0].start)
    joined = any(
        re.fullmatch(r"\s*(?:to|or|-|bordering on|at best|verging on)\s*", text[one.end : other.start])
        for (one, _), (other, _) in pairwise(ordered)
    )
    if low > high or joined:
        return min(i[0] for _, i in parts), max(i[1] for _, i in parts)
    return low, high


def interval_of(anchor: Anchor, text: str) -> Interval | None:
    """The categories that an anchor and its modifiers claim; None where they claim nothing."""
    mark = anchor.mark
    parts = [(m, complement(_own(m, mark)) if no else _own(m, mark)) for m, no in anchor.modifiers if m.kind in JUDGING]
    if mark.kind == "topic":  # "plenty of volume" is no fault
        parts = [part for part in parts if not re.fullmatch(dw.PLENTY, part[0].words, re.IGNORECASE)]
    kinds = {m.kind for m, _ in anchor.modifiers}
    if mark.kind == "merit":
        return _merit(mark, anchor, kinds)
    if mark.kind == "flaw":
        if anchor.negated:
            return complement(mark.interval) if mark.interval[1] <= 1.5 else (2.2, 4)
        if "intense" in kinds:
            return (0, min(1.4, mark.interval[1]))
        return combined([part for part in parts if part[0].kind == "degree"], text) or mark.interval
    if mark.kind == "fault" and anchor.negated and not parts:
        return (3.3, 4)
    if mark.kind == "fault" and anchor.negated:  # "neither noise nor gaps bother me"
        return complement(combined(parts, text) or (0, 4))
    if mark.kind == "topic" and anchor.negated and "trouble" in kinds:
        return (2.4, 4)
    found = combined(parts, text)
    if found is None and mark.kind == "fault" and "present" in kinds:
        return (0, 3.4)
    return found


JUDGING = ("degree", "grade", "trouble")


def _own(modifier: Mark, anchor: Mark) -> Interval:
    if modifier.kind == "trouble":
        return (0, 2.5)
    return modifier.overall if anchor.kind == "overall" else modifier.interval


def _merit(mark: Mark, anchor: Anchor, kinds: set[str]) -> Interval:
    scant = any(re.fullmatch(dw.SCANT, m.words, re.IGNORECASE) for m, _ in anchor.modifiers)
    if anchor.negated or scant:
        return (0, 3.4) if "fully" in kinds else (0, 2)
    if "partly" in kinds:
        return (2.2, 4)
    return (3, 4) if "fully" in kinds else mark.interval


# --- a text → its claims ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    claims: tuple[Claim, ...]
    worst: tuple[tuple[str, bool, str], ...]
    """(dimension, whether it is said to be the worst or a lesser one, words)."""
    causes: tuple[tuple[str, bool, str], ...]
    """(name of a kind of cause, whether it is claimed or denied, words)."""


def read(text: str) -> Reading:
    """Everything a text says in words about one clip. Raises nothing: what it does not understand claims nothing."""
    claims: list[Claim] = []
    worst: list[tuple[str, bool, str]] = []
    causes: list[tuple[str, bool, str]] = []
    for sentence in sentences(text):
        topic: Mark | None = None
        for piece in pieces(sentence):
            segment = read_segment(piece)
            found = claims_of(segment, topic)
            claims += found.claims
            worst += found.worst
            causes += found.causes
            dimensional = [a.mark for a in segment.anchors if a.mark.dimension]
            topic = dimensional[-1] if dimensional else topic
    return Reading(tuple(claims), tuple(worst), tuple(causes))


def claims_of(segment: Segment, topic: Mark | None) -> Reading:
    """What one segment says; `topic` is the anchor that the sentence spoke of last."""
    return Reading(tuple(_claims(segment, topic)), tuple(_worst(segment, topic)), tuple(_causes(segment)))


def _claims(segment: Segment, topic: Mark | None) -> Iterator[Claim]:
    if re.search(rf"\b(?:{lex.UNREAL}|{lex.SOUGHT})", segment.text, re.IGNORECASE):
        return
    for anchor in segment.anchors:
        interval = interval_of(anchor, segment.text)
        others = anchor.mark.kind in ("overall", "others") and any(a.mark.kind == "others" for a in segment.anchors)
        if interval is not None and not others and understood(segment.text, anchor):
            dimension = "mos" if anchor.mark.kind == "overall" else anchor.mark.dimension
            yield Claim(dimension, interval, segment.text.strip(), anchor.mark.cause)
    labels = [(m, no) for m, no in segment.stray if re.fullmatch(lex.LABEL, m.words, re.IGNORECASE)]
    if labels and not re.search(rf"\b(?:{lex.VOICE_ONLY})\b", segment.text, re.IGNORECASE):
        whole = Mark(0, 0, "overall", "")
        parts = [(m, complement(m.overall) if no else m.overall) for m, no in labels]
        yield Claim("mos", combined(parts, segment.text) or whole.interval, segment.text.strip())
    elif topic is None and segment.stray and not segment.anchors and known(segment.text):
        parts = [(m, complement(m.overall) if no else m.overall) for m, no in segment.stray if m.kind == "grade"]
        interval = combined(parts, segment.text)
        if interval is not None:
            yield Claim("mos", interval, segment.text.strip())
    elif topic is not None and not any(a.mark.dimension for a in segment.anchors):
        amounts = [(m, no) for m, no in segment.stray if m.kind == "degree"]
        amounts = [(m, no) for m, no in amounts if known(segment.text[: m.end])]
        if topic.dimension == "noisiness":
            amounts += [
                (replace(m, kind="degree", interval=dw.AMOUNT_OF_NOISE[m.kind]), False)
                for m in scan(segment.text)
                if m.kind in dw.AMOUNT_OF_NOISE and known(segment.text[: m.end])
            ]
        carried = Anchor(replace(topic, kind="topic"), tuple(amounts))
        interval = interval_of(carried, segment.text)
        if interval is not None:
            yield Claim(topic.dimension, interval, segment.text.strip(), topic.cause)


def known(text: str) -> bool:
    """Whether all words of a text are marked or mean nothing by themselves."""
    marks = scan(text)
    rest = "".join(" " if any(m.start <= place < m.end for m in marks) else c for place, c in enumerate(text))
    return not re.sub(rf"\b(?:{lex.FUNCTION_WORDS})\b|[^a-z]", "", rest, flags=re.IGNORECASE)


def understood(text: str, anchor: Anchor) -> bool:
    """Whether every word from an anchor to its farthest modifier or negation is known. Else they may not belong
    together: "the suppressor leaves little of the voice" is no "little suppression"."""
    held = [anchor.mark, *(mark for mark, _ in anchor.modifiers)]
    start, end = min(mark.start for mark in held), max(mark.end for mark in held)
    marks = scan(text)
    if anchor.negated or any(negated for _, negated in anchor.modifiers):
        start = max((m.start for m in marks if m.kind == "negation" and m.end <= anchor.mark.start), default=start)
    return known(text[start:end])


def _worst(segment: Segment, topic: Mark | None) -> Iterator[tuple[str, bool, str]]:
    anchors = [a.mark for a in segment.anchors if a.mark.dimension and a.mark.kind != "merit"]
    for mark, no in segment.special:
        near = min(anchors, key=lambda a: distance(segment.text, mark, a), default=topic)
        start, end = (mark.end, near.start) if near and near.start >= mark.end else (0, 0)
        if near is not None and ("," not in segment.text[start:end] or known(segment.text[start:end])):
            yield near.dimension, (mark.kind == "worst") is not no, segment.text.strip()


def _causes(segment: Segment) -> Iterator[tuple[str, bool, str]]:
    if re.search(rf"\b(?:{lex.SOUGHT})", segment.text, re.IGNORECASE):
        return
    for name, kind in KINDS.items():
        pattern = rf"\b(?:{kind.pattern}|{lex.CAUSE_WORDS.get(name, '(?!)')})"
        for match in re.finditer(pattern, segment.text, re.IGNORECASE):
            if _exempt(name, segment.text, match) or segment.text[match.end() :].startswith(" nothing"):
                continue
            over = [a for a in segment.anchors if a.mark.start < match.end() and match.start() < a.mark.end]
            denied = any(a.negated for a in over)
            if not denied and re.match(lex.DENIED_LATER, segment.text[match.end() :], re.IGNORECASE):
                continue
            if not (denied and re.search(rf"\b(?:{lex.UNREAL})", segment.text, re.IGNORECASE)):
                yield name, not denied, match[0]
    for anchor in segment.anchors:
        if anchor.mark.kind == "flaw" and anchor.mark.dimension == "loudness" and not anchor.negated:
            for name, pattern in lex.DIRECTION.items():
                if re.search(pattern, anchor.mark.words, re.IGNORECASE):
                    yield name, True, anchor.mark.words


def _exempt(name: str, text: str, match: re.Match[str]) -> bool:
    """Words that look like a cause and are none here: "a low level of noise", "on this telephone call"."""
    pattern = lex.EXEMPT.get(name)
    if pattern is None:
        return False
    return any(m.start() <= match.start() and match.end() <= m.end() for m in re.finditer(pattern, text, re.IGNORECASE))
