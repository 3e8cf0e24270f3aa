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
    vague: bool = False
    """A grade of no noun, or of one like "clip", taken for one of the clip as a whole."""


# --- anchor and modifiers → an interval --------------------------------------------------------------------------


def complement(interval: Interval) -> Interval:
    """What is left when words are negated: "not noisy" is above noisy, "not natural" below natural."""
    low, high = interval
    if high < 3 or low <= 0.5:
        return (min(high + 0.2, 3.5), 4)
    return (0, low - 0.2 if low > 3.1 else low - 0.8 if low > 2.4 else low)


def denied(interval: Interval, mark: Mark, text: str) -> Interval:
    """What is left when a mark of a text is negated; "far from ideal" leaves less than "not ideal"."""
    far = re.search(r"\b(?:far from|anything but|by no means)\s+(?:being )?$", text[: mark.start], re.IGNORECASE)
    return (0, 2.2) if far and interval[0] >= 2 else complement(interval)


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
    judging = [(m, no, _own(m, mark, text)) for m, no in anchor.modifiers if m.kind in JUDGING]
    parts = [(m, denied(own, m, text) if no else own) for m, no, own in judging]
    if mark.kind == "topic":  # "plenty of volume" is no fault
        parts = [part for part in parts if not re.fullmatch(dw.PLENTY, part[0].words, re.IGNORECASE)]
    kinds = {m.kind for m, _ in anchor.modifiers}
    if "degree" in kinds:  # "a minor problem"
        parts = [part for part in parts if part[0].kind != "trouble"]
    if mark.kind == "merit":
        return _merit(mark, anchor, kinds)
    if mark.kind == "flaw":
        if anchor.negated:
            return complement(mark.interval) if mark.interval[1] <= 1.5 else (2.2, 4)
        if "intense" in kinds:
            return (0, min(1.4, mark.interval[1]))
        degree = combined([part for part in parts if part[0].kind == "degree"], text) or mark.interval
        return degree if degree[0] else (0, min(degree[1], mark.interval[1]))
    if mark.kind == "fault" and anchor.negated and not parts:
        return (3.3, 4)
    if mark.kind == "fault" and anchor.negated:  # "neither noise nor gaps bother me"
        return complement(combined(parts, text) or (0, 4))
    if mark.kind == "topic" and anchor.negated and "trouble" in kinds:
        return (2.4, 4)
    return combined(parts, text)


JUDGING = ("degree", "grade", "trouble")


def _own(modifier: Mark, anchor: Mark, text: str) -> Interval:
    if modifier.kind == "trouble":
        return (0, 2.5)
    interval = modifier.overall if anchor.kind == "overall" else modifier.interval
    return loosened(interval, modifier, text)


def loosened(interval: Interval, grade: Mark, text: str) -> Interval:
    """A grade with a word like "rather" before it says less: "moderately bad" may be poor or fair."""
    rather = r"\b(moderately|slightly|somewhat|rather|fairly|reasonably|pretty|almost|nearly|mostly|largely)\s+$"
    before = re.search(rather, text[: grade.start], re.IGNORECASE)
    if grade.kind != "grade" or not before:
        return interval
    less = 1.9 if before[1].lower() == "moderately" else 0.8
    return max(interval[0] - less, 0), min(interval[1] + 1.6, 4)


def _merit(mark: Mark, anchor: Anchor, kinds: set[str]) -> Interval:
    scant = any(re.fullmatch(dw.SCANT, m.words, re.IGNORECASE) for m, _ in anchor.modifiers)
    if anchor.negated or scant:
        return (0, 3.4) if "fully" in kinds else (0, 2)
    if "partly" in kinds:
        return (1, 2.8) if any(m.words.lower() == "moderately" for m, _ in anchor.modifiers) else (2.2, 4)
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
    unsaid = _unsaid(segment.text, rf"{lex.UNREAL}|{lex.SOUGHT}")
    for anchor in segment.anchors:
        if unsaid[0] <= anchor.mark.start < unsaid[1] and not SIMILE.match(anchor.mark.words):
            continue
        interval = interval_of(anchor, segment.text)
        others = anchor.mark.kind in ("overall", "others") and any(a.mark.kind == "others" for a in segment.anchors)
        if interval is not None and not others and understood(segment.text, anchor):
            dimension = "mos" if anchor.mark.kind == "overall" else anchor.mark.dimension
            same = topic is not None and topic.dimension == anchor.mark.dimension and anchor.mark.kind == "flaw"
            cause = anchor.mark.cause or (topic.cause if topic and same else None)  # "it colors the voice"
            vague = not re.search(rf"\b(?:{FIRM})\b", segment.text, re.IGNORECASE)
            yield Claim(dimension, interval, segment.text.strip(), cause, vague)
    if unsaid[1]:
        return
    if topic is not None and not any(a.mark.dimension for a in segment.anchors):
        yield from _carried(segment, topic)
    interval = combined(list(_alone(segment, topic)), segment.text)
    if interval is not None:
        yield Claim("mos", interval, segment.text.strip(), vague=True)


SIMILE = re.compile(r"(?:through|in|inside|from|under) ?", re.IGNORECASE)
"""An anchor that begins so likens the voice to something: "as if through a wall"."""


def _unsaid(text: str, pattern: str) -> tuple[int, int]:
    """Start and end of the clause with words that take away what it says; what is looked for may be a list."""
    found = re.search(rf"\b(?:{pattern})", text, re.IGNORECASE)
    if not found:
        return (0, 0)
    if re.search(r" for$", found[0]):
        return (0, len(text))
    end = text.find(",", found.end())
    return text.rfind(",", 0, found.start()) + 1, len(text) if end < 0 else end


FIRM = r"overall|mos|quality|rat(?:ed?|ing)|scor(?:e[sd]?|ing)|verdict|result|all in all|altogether|in sum|in total"
GOES_ON = re.compile(r"\W*(?:is|are|was|were|sounds?|stays?|remains?|keeps?)\b", re.IGNORECASE)
"""How a segment begins that goes on about what the one before it named: "the level, which is excellent"."""


def _carried(segment: Segment, topic: Mark) -> Iterator[Claim]:
    """Amounts that stand alone, for what the sentence spoke of last: "a hum, though a slight one"."""
    goes_on = topic.kind == "topic" and GOES_ON.match(segment.text)
    amounts = [(m, no) for m, no in segment.stray if m.kind == "degree" or (goes_on and m.kind == "grade")]
    if topic.dimension == "noisiness":
        amounts += [
            (replace(m, kind="degree", interval=dw.AMOUNT_OF_NOISE[m.kind]), False)
            for m in scan(segment.text)
            if m.kind in dw.AMOUNT_OF_NOISE
        ]
    amounts = [(m, no) for m, no in amounts if known(segment.text[: m.end])]
    interval = interval_of(Anchor(replace(topic, kind="topic"), tuple(amounts)), segment.text)
    if interval is not None:
        yield Claim(topic.dimension, interval, segment.text.strip(), topic.cause)


def _alone(segment: Segment, topic: Mark | None) -> Iterator[tuple[Mark, Interval]]:
    """Grades that stand alone, for the clip as a whole: "No gaps, hardly any noise, good"."""
    if re.search(rf"\b(?:{lex.VOICE_ONLY})\b", segment.text, re.IGNORECASE):
        return
    for mark, no in segment.stray:
        if mark.kind != "grade" or mark.words.endswith("ly"):
            continue
        start = segment.text.rfind(",", 0, mark.start) + 1
        part = segment.text[start:].partition(",")[0]
        label = re.fullmatch(lex.LABEL, mark.words, re.IGNORECASE)
        about = topic or any(a.mark.dimension for a in segment.anchors)
        if about and (not label or GOES_ON.match(segment.text) or OF_A_CLIP.match(segment.text[mark.end :])):
            continue
        if OF_PARTS.match(segment.text[mark.end :]):
            continue
        if known(part) or (label and not about):
            overall = loosened(mark.overall, mark, segment.text)
            yield mark, complement(overall) if no else overall


OF_PARTS = re.compile(r" ones?\b| in (?:one|two|three|its|the|most|some|this|that)\b(?! (?:whole|end))", re.IGNORECASE)
OF_A_CLIP = re.compile(r"\W*(?:in|for|with)\b", re.IGNORECASE)


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
    start, end = _unsaid(segment.text, lex.SOUGHT)
    for name, kind in KINDS.items():
        pattern = rf"\b(?:{kind.pattern}|{lex.CAUSE_WORDS.get(name, '(?!)')})"
        for match in re.finditer(pattern, segment.text, re.IGNORECASE):
            sought = start <= match.start() < end
            claimed = None if sought or _exempt(name, segment.text, match) else _claimed(segment, kind.dimension, match)
            if claimed is not None:
                yield name, claimed, match[0]
    for anchor in segment.anchors:
        if anchor.mark.kind == "flaw" and anchor.mark.dimension == "loudness" and not anchor.negated:
            for name, pattern in lex.DIRECTION.items():
                if re.search(pattern, anchor.mark.words, re.IGNORECASE):
                    yield name, True, anchor.mark.words


def _claimed(segment: Segment, dimension: str, cause: re.Match[str]) -> bool | None:
    """Whether the words of a cause claim it or deny it; None where that is not certain."""
    before, after = segment.text[: cause.start()], segment.text[cause.end() :]
    over = [a for a in segment.anchors if a.mark.start < cause.end() and cause.start() < a.mark.end]
    if any(anchor.negated for anchor in over):
        if re.fullmatch(r"bass|treble", cause[0], re.IGNORECASE):  # "no bass" is what is wrong
            return True if re.search(r"\b(?:no|without|lack\w*)\s+(?:\w+\s+)?$", before, re.IGNORECASE) else None
        return None if re.search(rf"\b(?:{lex.UNREAL})", segment.text, re.IGNORECASE) else False
    scant = any(m.kind == "degree" and m.interval[0] >= SCANT for anchor in over for m, _ in anchor.modifiers)
    gone = dimension == "noisiness" and re.match(r"\s*(?:is|are) (?:\w+ )?missing\b", after, re.IGNORECASE)
    if scant or gone or re.match(lex.DENIED_LATER, after, re.IGNORECASE) or _doubted(segment.text, cause.start()):
        return None
    return True


SCANT = 2.6
"""A cause of this little ("hardly any hum") is as good as none."""


def _doubted(text: str, place: int) -> bool:
    """Whether a negation before a place of a text may reach there: "not distorted by", "no need to worry about"."""
    clause = re.split(r",|\b(?:and|with|because|due|owing|thanks|but)\b", text[:place])[-1]
    marks = [m for m in scan(clause) if m.kind not in ("voice", "present", "overall", "intense", "fully")]
    last = max((number for number, mark in enumerate(marks) if mark.kind == "negation"), default=None)
    under = marks[last + 1 :] if last is not None else []
    listed = [mark for mark in under if mark.kind == "fault" and re.match(r" (?:or|nor)\b", clause[mark.end :])]
    return last is not None and all(mark.kind in ("flaw", "degree", "trouble") or mark in listed for mark in under)


def _exempt(name: str, text: str, match: re.Match[str]) -> bool:
    """Words that look like a cause and are none here: "a low level of noise", "on this telephone call"."""
    pattern = lex.EXEMPT.get(name)
    if pattern is None:
        return False
    return any(m.start() <= match.start() and match.end() <= m.end() for m in re.finditer(pattern, text, re.IGNORECASE))
