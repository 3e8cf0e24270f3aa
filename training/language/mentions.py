"""Whom an A/B text speaks of: sentences cut into pieces, each about clip A, clip B, both or neither."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from training.language.degree_words import any_of
from training.language.marks import scan
from training.language.segments import TURNS, sentences, straightened

Clip = Literal["A", "B"]
OTHER: dict[str, Clip] = {"A": "B", "B": "A"}

AB_TURNS = re.compile(rf"{TURNS.pattern}|\b(?:because of|owing to|due to|thanks to)\b", re.IGNORECASE)
NOUN = r"(?:speech|clip|sample|recording|audio|version|option|call|file|signal|utterance|candidate|take)"
NOT_CLIPS = r"(?! (?i:hand|half|side|two|three|way|end|part|thing|time|word|sentence|place|problem|dim|asp|resp))"
_AFTER_A = any_of(r"""
    's|[.,:)]|\s(?:(?:and|or|over|against) B\b|it is\b|\(|(?:(?:also|therefore|thus|still|never|\w+ly) )?(?:can|cannot
    will|would|is|was|has|does|(?!mains|series)[a-z]+[^su]s)\b)
""")
"""What follows "A" at the start of a sentence where it is a name: mostly a verb, as in "A hums", not "A hum"."""
CLIP = re.compile(
    rf"\[?\b(?i:{NOUN})\s*\[?(?P<named>[AB])\b\]?"
    rf"|\b(?P<b>B)\b|(?:(?<=[\w,;:(] )|(?<=\A ))(?P<a>A)\b(?!\s+(?:MOS|rating))|\b(?P<start>A)(?={_AFTER_A})"
    rf"|\b(?i:the (?P<first>first)(?: {NOUN}| one| of the two)?)\b{NOT_CLIPS}"
    rf"|\b(?i:the (?P<second>second)(?: {NOUN}| one| of the two)?)\b{NOT_CLIPS}"
    rf"|(?P<other>\b(?i:the other)(?: (?i:one|clip|speech|recording|sample))?\b{NOT_CLIPS})"
)
_REFERRING = any_of(r"""
    than|over|against|versus|vs\.?|(?:compared|comparison|contrast) (?:to|with)|(?:up|even|compete|compare|level) with
    as \w+ as|unlike|to|beats?|above|behind|ahead of|surpass(?:es)?|of|next to|outperforms|match(?:es)? for|not|beside
    that of|from|    (?:match|reach|equal|approach|rival)(?:es|s)?|loses to
""")
REFERENCE = re.compile(
    rf"\b(?:{_REFERRING})\s*(?:(?:that|those|the \w+) (?:of|in|from|for) )?(?:the )?$", re.IGNORECASE
)
"""Before a name: it is what the other clip is held against."""
_COMPARED = any_of(r"""
    (?:than|to|from|over|beyond|against|(?:match|reach|equal|beat|surpasse|exceed|outperform)s?) (?:that|those
    the (?:\w+ ){1,2}|what \w+ \w+) ?(?:of|in|from|for)(?: the)?|(?:short|ahead|front|instead|because) of(?: the)?
    (?:compared|comparison|contrast|contrasted|together) with|match for
""")
BOTH = re.compile(
    rf"^\W*(?:in |of |with |as for \w+, |overall, )?(?:both|neither|the two|either|they|the clips|each)\b"
    rf"|\bboth (?:are|have|clips|sound|{NOUN}s)|\bthe two(?: \w+)? (?:are|have|sound|share|suffer|hardly|both)\b"
    rf"|\b(?:in|of|for|with) both\b",
    re.IGNORECASE,
)
BOUNDARY = re.compile(
    r"[,;]|\b(?:than|against|versus|by|as|(?<!is )where|and the|and a|and an|when|to|from)\b", re.IGNORECASE
)
NEAR_BOUNDARY = re.compile(
    r",\s*(?:and\s+)?|\b(?:and|than|against|versus|(?<!is )where|when|to|over|that(?! of)|puts?|(?<!what )makes?|so|as"
    r"|as for)\b",
    re.IGNORECASE,
)
OWNED = re.compile(
    r"(?:\b(?:in|of|from|for|within)|(?:^\W*|\b(?:problem|trouble|fault|issue|matter)s? )with)\s*(?:the\s+)?$",
    re.IGNORECASE,
)
"""Before a name that what stands in front belongs to."""
GOVERNED = re.compile(r"\b(?:with|against|by|over|from|than|to|of|beside|like|behind)\s+$", re.IGNORECASE)
"""Before "B's": what stands in front of the preposition is not B's."""
CONDITION = re.compile(
    r"(?<!even )\b(?:if|whether|unless|(?:would|do|does|can|could)(?:n't| not) (?:say|claim|think|mean|call))\b"
    r"[^,;:.]*",
    re.IGNORECASE,
)
"""What is only supposed says nothing of either clip."""
OPENED = re.compile(
    r"\W*(?:as for|in(?: terms of)?|on|regarding|with (?:regard|respect) to|for|when it comes to|concerning)\b|\w+:",
    re.IGNORECASE,
)
"""A sentence that first says what it is about."""


@dataclass(frozen=True)
class Piece:
    """Part of a sentence about one clip; `subject` is None where it speaks of both or of neither."""

    text: str
    subject: Clip | None
    both: bool = False
    heads: bool = False
    """Before a colon, or cut from what it is part of: a clip's name alone only says whom the rest is about."""
    weighed: bool = False
    """Held against something else: "B's hum annoys more than A's gaps" compares no ratings of a dimension."""
    reference: bool = False
    """What stands after "than"."""


@dataclass(frozen=True)
class Mention:
    start: int
    end: int
    clip: Clip | None
    """None for both at once."""


def mentions(text: str, last: Clip | None = None) -> list[Mention]:
    """Where clips are named, from left to right; "A and B" is one mention of both."""
    found: list[Mention] = []
    for match in CLIP.finditer(text):
        groups = match.groupdict()
        clip: Clip | None = "A" if groups["first"] or groups["a"] or groups["start"] else "B"
        if groups["named"]:
            clip = "A" if groups["named"] == "A" else "B"
        elif groups["other"]:
            clip = OTHER.get(found[-1].clip or "" if found else last or "")
            if clip is None or re.search(r"\bone\b", text[: match.start()], re.IGNORECASE):
                continue
        if found and re.fullmatch(r"\s*(?:and|or|nor)\s*(?:(?:in|of|for)\s+)?", text[found[-1].end : match.start()]):
            found[-1] = Mention(found[-1].start, match.end(), None)
        else:
            found.append(Mention(match.start(), match.end(), clip))
        last = clip
    return found


def split(text: str) -> Iterator[tuple[str, list[Piece]]]:
    """Each sentence with its pieces. A piece that names no clip goes on about the one before it where a pronoun or a
    bare verb says so; what follows "than" without a name is the other clip's."""
    last: Clip | None = None
    for sentence in (CONDITION.sub("", straightened(sentence)) for sentence in sentences(text)):
        found: list[Piece] = []
        named = bool(re.match(r"\W*(?:it|its|this one|that one)\b", sentence, re.IGNORECASE))
        nearest: Clip | None = None
        for turn, delimiter, following in [] if "respectively" in sentence else _turns(sentence):
            relative = re.fullmatch(r"which|whose|who", delimiter, re.IGNORECASE)
            if not turn.strip():
                continue
            if re.fullmatch(r"apart from|except|besides", delimiter, re.IGNORECASE):
                turn = re.sub(r"^\s*(?:for )?(?:the |its |their )?\w+", "", turn)
            if relative and nearest:
                last, named = nearest, True
            ending = [m.clip for m in mentions(turn, last) if re.fullmatch(r"[\s,]*(?:in|of|from)?\s*", turn[m.end :])]
            nearest = ending[-1] if ending else None  # what "which" goes back to
            regions = list(_regions(turn, last))
            for piece in regions:
                subject = piece.subject
                if subject is None and piece.reference:
                    subject = OTHER.get(found[-1].subject or "")
                elif subject is None and not piece.both and last and _goes_on(piece.text, named):
                    subject = last
                cut = following == ":" or (len(regions) > 1 and piece.subject is not None)
                found.append(replace(piece, subject=subject, heads=cut))
                if not piece.reference:
                    last, named = subject or last, named or subject is not None
        yield sentence, found


def _turns(sentence: str) -> Iterator[tuple[str, str, str]]:
    """Parts of a sentence, each with the words it is parted by from the one before it and the one after."""
    cuts = [(0, 0), *(match.span() for match in AB_TURNS.finditer(sentence)), (len(sentence), len(sentence))]
    for one, other in pairwise(cuts):
        yield sentence[one[1] : other[0]], sentence[slice(*one)], sentence[slice(*other)]


def _goes_on(text: str, named: bool) -> bool:
    if re.search(
        r"\b(?:(?:disturbs?|spoils?|hurts|harms|in|of|behind|covers?|makes|with|to|on) it|its)\b", text, re.IGNORECASE
    ):
        return True
    pronoun = re.search(r"\b(?:it|it's|which|itself)\b", text, re.IGNORECASE)
    return named and bool(
        pronoun
        or not re.match(
            r"\W*(?:and |so )*(?:the|some|a|an|no|neither|all|everything|these|those)\b", text, re.IGNORECASE
        )
    )


APPOSED = re.compile(r"(?:\b[AB]),(?= (?:the|an?) )")
"""After a name that is no subject: "preferred over A, the noisy one"."""
THAN = re.compile(r" than ([^,;]*?)(?=[,;.]|\s(?:and|but|so)\b|$)", re.IGNORECASE)


def _regions(turn: str, last: Clip | None) -> Iterator[Piece]:
    """A turn cut so that each part names one clip; what is said of another after "than" stands apart."""
    than = THAN.search(turn)
    about = _dimensions(than[1]) if than else set()
    if than is None or not about:
        yield from _named(turn, last)
        return
    left = list(_named(turn[: than.start()], last))
    apart = about.isdisjoint(_dimensions(turn[: than.start()]))
    yield from (replace(piece, weighed=apart) for piece in left)
    named = mentions(than[1], last)
    yield Piece(than[1], named[0].clip if named else None, weighed=apart, reference=True)
    if turn[than.end() :].strip(" ,;."):
        yield from _regions(turn[than.end() :], left[-1].subject or last)


def _dimensions(text: str) -> set[str]:
    return {mark.dimension for mark in scan(text) if mark.kind in ("topic", "fault", "flaw", "merit")}


def _named(turn: str, last: Clip | None) -> Iterator[Piece]:
    """Parts of a turn with what is said of a clip on either side of its name."""
    found = [
        m
        for m in mentions(turn, last)
        if owns(turn, m)
        or (turn[m.end :].startswith("'s") and not turn[: m.start].endswith("than "))
        or not REFERENCE.search(turn[: m.start])
    ]
    found = [m for place, m in enumerate(found) if not place or not _object_of(turn, found[place - 1], m)]
    if not found:
        yield Piece(turn, None, both=bool(BOTH.search(turn)))
        return
    first = list(NEAR_BOUNDARY.finditer(turn[: found[0].start]))
    so = bool(first) and first[-1][0].lower() in ("so", "that", "puts", "makes")
    alone = bool(first) and (so or not OPENED.match(turn)) and not owns(turn, found[0])
    alone |= _governed(turn, found[0])
    starts = [found[0].start if _governed(turn, found[0]) else first[-1].end() if alone else 0]
    if alone:
        before = turn[: starts[0]]
        yield Piece(before, None, both=bool(BOTH.search(before)))
    for one, other in pairwise(found):
        between = turn[one.end : other.start]
        cuts = [m.end() for m in (BOUNDARY if owns(turn, other) else NEAR_BOUNDARY).finditer(between)]
        if _governed(turn, other):
            starts.append(other.start)
            continue
        starts.append(one.end + (cuts[-1] if cuts else 0) if owns(turn, other) or cuts else other.start)
    for mention, start, end in zip(found, starts, [*starts[1:], len(turn)], strict=True):
        apposed = next((m for m in APPOSED.finditer(turn, start, end) if m.start() > mention.end), None)
        yield Piece(turn[start : apposed.end() if apposed else end], mention.clip, both=mention.clip is None)
        if apposed:
            yield Piece(turn[apposed.end() : end], None)


def _object_of(turn: str, subject: Mention, mention: Mention) -> bool:
    """Whether a name only says whose the object is: "A has none of the faults of B"."""
    owned = owns(turn, mention) and not owns(turn, subject) and not turn.startswith("'s", subject.end)
    return owned and not BOUNDARY.search(turn[subject.end : mention.start])


def _governed(turn: str, mention: Mention) -> bool:
    return turn.startswith("'s", mention.end) and bool(GOVERNED.search(turn[: mention.start]))


def owns(turn: str, mention: Mention) -> bool:
    """Whether the name stands behind what it owns: "the gaps of A", but not "than those of A"."""
    before = turn[: mention.start]
    return bool(OWNED.search(before)) and not re.search(rf"\b(?:{_COMPARED})\s*$", before, re.IGNORECASE)
