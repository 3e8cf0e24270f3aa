"""Whom an A/B text speaks of: sentences cut into pieces, each about clip A, clip B, both or neither."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from training.language.marks import scan
from training.language.segments import TURNS, sentences

Clip = Literal["A", "B"]
OTHER: dict[str, Clip] = {"A": "B", "B": "A"}

AB_TURNS = re.compile(rf"{TURNS.pattern}|\b(?:because of|owing to|due to|thanks to)\b", re.IGNORECASE)
NOUN = r"(?:speech|clip|sample|recording|audio|version|option|call|file|signal|utterance|candidate|take)"
CLIP = re.compile(
    rf"\[?\b(?i:{NOUN})\s*\[?(?P<named>[AB])\b\]?"
    r"|\b(?P<b>B)\b|(?:(?<=[\w,;:(] )|(?<=\A ))(?P<a>A)\b(?!\s+(?:MOS|rating))|"
    r"\b(?P<start>A)(?='s| (?:is|has|sounds|wins|suffers|comes|was|"
    r"keeps|carries|shows|gets|beats|holds|offers|loses|and B|or B|over B|against B|it is|flows|"
    r"scores|edges|takes|leads|does|"
    r"remains|stays|can|will|would|also|clearly|over|\()|[.,:)])"
    rf"|\b(?i:the (?P<first>first)(?: {NOUN}| one| of the two|(?= (?:is|has|sounds|flows|"
    rf"suffers)))|the (?P<second>second)(?: {NOUN}"
    r"| one| of the two|(?= (?:is|has|sounds|flows|suffers))))|"
    r"(?P<other>\b(?i:the other)(?: (?i:one|clip|speech|recording|sample))?\b)"
)
AFTER_THAN = re.compile(
    r"(?:\bthan|\bover|\bagainst|\bversus|\bvs\.?|\bcompared (?:to|with)|\bunlike|\bto|\bbeats?|"
    r"\babove|\bbehind|\bahead of|\bsurpass(?:es)?|\bof|\bnext to|"
    r"\boutperforms|\bnot|\bbeside|\bthat of|\bfrom|\bloses to)\s*(?:(?:that|those|the \w+) (?:of|in|"
    r"from|for) )?(?:the )?$",
    re.IGNORECASE,
)
BOTH = re.compile(
    (
        rf"^\W*(?:in |of |with |as for \w+, |overall, )?(?:both|neither|the two|either|they|the clips|"
        rf"each)\b|\bboth (?:are|have|clips|sound|{NOUN}s)|(?<!of )\bthe two\b"
    ),
    re.IGNORECASE,
)
BOUNDARY = re.compile(r"[,;]|\b(?:than|against|versus|by|as|where|and the|and a|and an|when|to|from)\b", re.IGNORECASE)
NEAR_BOUNDARY = re.compile(
    r",\s*(?:and\s+)?|\b(?:and|than|against|versus|where|when|to|over|that|puts?|makes?|so|as|as for)\b", re.IGNORECASE
)

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
    """A clip's name before a colon, which only says whom the rest is about."""


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
            if clip is None:
                continue
        if found and re.fullmatch(r"\s*(?:and|or|nor|,)\s*(?:(?:in|of|for)\s+)?", text[found[-1].end : match.start()]):
            found[-1] = Mention(found[-1].start, match.end(), None)
        else:
            found.append(Mention(match.start(), match.end(), clip))
        last = clip
    return found


def split(text: str) -> Iterator[tuple[str, list[Piece]]]:
    """Each sentence with its pieces. A piece that names no clip goes on about the one before it where a pronoun or a
    bare verb says so; what follows "than" without a name is the other clip's."""
    last: Clip | None = None
    for sentence in sentences(text):
        found: list[Piece] = []
        named = bool(re.match(r"\W*(?:it|its|this one|that one)\b", sentence, re.IGNORECASE))
        nearest: Clip | None = None
        for turn, delimiter, following in _turns(sentence):
            relative = re.fullmatch(r"which|whose|who", delimiter, re.IGNORECASE)
            if not turn.strip():
                continue
            if re.fullmatch(r"apart from|except|besides", delimiter, re.IGNORECASE):
                turn = re.sub(r"^\s*(?:for )?(?:the |its |their )?\w+", "", turn)
            if relative and nearest:
                last, named = nearest, True
            nearest = next((m.clip for m in reversed(mentions(turn, last)) if m.clip), nearest)
            for piece in _regions(turn, last):
                subject = piece.subject
                if subject is None and not piece.both and last and _goes_on(piece.text, named):
                    subject = last
                    parts = list(_than(piece.text, subject))
                else:
                    parts = [Piece(piece.text, subject, piece.both, heads=following == ":")]
                last, named = subject or last, named or subject is not None
                found += parts
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


def _regions(turn: str, last: Clip | None) -> Iterator[Piece]:
    """A turn cut so that each part names one clip, with what is said of it on either side of the name."""
    found = [
        m
        for m in mentions(turn, last)
        if owns(turn, m)
        or (turn[m.end :].startswith("'s") and not turn[: m.start].endswith("than "))
        or not AFTER_THAN.search(turn[: m.start])
    ]
    if not found:
        yield from _than(turn, None)
        return
    first = list(NEAR_BOUNDARY.finditer(turn[: found[0].start]))
    so = bool(first) and first[-1][0].lower() in ("so", "that", "puts", "makes")
    alone = bool(first) and (so or not OPENED.match(turn)) and not owns(turn, found[0])
    starts = [first[-1].end() if alone else 0]
    if alone:
        yield from _than(turn[: starts[0]], None)
    for one, other in pairwise(found):
        between = turn[one.end : other.start]
        cuts = [m.end() for m in (BOUNDARY if owns(turn, other) else NEAR_BOUNDARY).finditer(between)]
        starts.append(one.end + (cuts[-1] if cuts else 0) if owns(turn, other) or cuts else other.start)
    for mention, start, end in zip(found, starts, [*starts[1:], len(turn)], strict=True):
        yield from _than(turn[start:end], mention.clip, both=mention.clip is None)


def owns(turn: str, mention: Mention) -> bool:
    """Whether the name stands behind what it owns: "the gaps of A", but not "than those of A"."""
    if re.search(
        r"\b(?:than|to|from|over|beyond) (?:that|those|the \w+|what \w+ \w+) (?:of|in|from|"
        r"for)\s*(?:the\s+)?$|\b(?:short|ahead|front|instead|because) of\s*(?:the\s+)?$",
        turn[: mention.start],
        re.I,
    ):
        return False
    return bool(re.search(r"\b(?:in|of|from|for|within|with)\s*(?:the\s+)?$", turn[: mention.start], re.IGNORECASE))


def _than(text: str, clip: Clip | None, both: bool = False) -> Iterator[Piece]:
    both = both or (clip is None and bool(BOTH.search(text)))
    left, than, right = text.partition(" than ")
    if than and clip and any(m.kind in ("fault", "flaw") for m in scan(right)) and not mentions(right):
        yield Piece(left, clip)
        yield Piece(right, OTHER[clip])
    else:
        yield Piece(text, clip, both)
