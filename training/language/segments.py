"""Free English about one clip, cut into segments: which words judge what.

A sentence is cut where the thought turns ("but", "while", a semicolon). In a segment, words that stand for a dimension
are anchors ("hiss", "timbre", "choppy"); words that judge are modifiers ("slight", "no", "excellent"), and each goes to
its nearest anchor. What an anchor and its modifiers claim is for `reading` to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from training.language import degree_words as dw
from training.language import lexicon as lex
from training.language.marks import Mark, scan

TURNS = re.compile(
    r"[;:()]|—|–|\s-\s|\.\.\.|…|\b(?:(?<!anything )(?<!nothing )(?<!all )but|while|whereas|"
    r"although|(?:even )?though|yet|however|because(?! of)|"
    r"so that|since|which|who|whose|even if|even so|"
    r"despite|in spite of|except|if only|otherwise|beyond that|apart from|besides|nevertheless|still,)\b",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
CONTRAST = re.compile(
    r"\bnot (?!only|just|merely|least)(?:so much )?(?:\w+ ){1,3}?but (?=an?\b|the\b|\w+)", re.IGNORECASE
)
"""What is named only to be replaced: "not hiss but hum"."""
ASIDE = re.compile(r",(?P<aside>[^,;:.()]{2,35})(?=,)")
"""What stands between commas; it may be left out where no word of it is in the lexicon: ", taken alone,"."""
HEADING = re.compile(
    r"^\W*(?:(?:as for|regarding|in terms of|when it comes to|"
    r"concerning) (?:the )?([^,:]{3,40}),(?: it| that|'s)*|((?:\w+ ){0,1}\w+):)\s*(?=\w)",
    re.IGNORECASE,
)
"""What a sentence says first that it is about: "As for the hum, it's slight", "Level: good"."""
NUMBER_ASIDE = re.compile(r"\s*\((?=[^()]*\d)[^()]{0,24}\)")
WEAK = re.compile(r",|\band\b|\bor\b|\bnor\b|\bplus\b", re.IGNORECASE)
WEAK_COST, BESIDE_COST, FARTHEST = 35, 60, 60
"""In characters: what crossing a comma or an "and" adds to a distance, what passing another anchor adds, and how far a
modifier reaches."""
ANY = re.compile(r"^any\b|\bany\s+$", re.IGNORECASE)
NEGATION_REACH = 30
ANCHORS = ("topic", "fault", "flaw", "merit", "overall", "others")


@dataclass(frozen=True)
class Anchor:
    """An anchor with what was said of it. `modifiers` pairs a mark with whether it is negated."""

    mark: Mark
    modifiers: tuple[tuple[Mark, bool], ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class Segment:
    text: str
    anchors: tuple[Anchor, ...]
    stray: tuple[tuple[Mark, bool], ...]
    """Modifiers that no anchor is near enough for."""
    special: tuple[tuple[Mark, bool], ...]
    """Claims about which dimension is worst."""


def sentences(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()]


def pieces(sentence: str) -> list[str]:
    """The segments of a sentence, as text; a question has none."""
    if sentence.endswith("?"):
        return []
    heading = HEADING.match(sentence)
    if heading and any(mark.kind in ("topic", "fault") for mark in scan(heading[0])):
        sentence = f"{heading[1] or heading[2]} {sentence[heading.end() :]}"
    plain = CONTRAST.sub("", without_asides(NUMBER_ASIDE.sub("", sentence)))
    return [part for part in TURNS.split(plain) if part.strip()]


def without_asides(sentence: str) -> str:
    """The sentence without what stands between commas and judges nothing."""

    def left_out(match: re.Match[str]) -> str:
        return match[0] if scan(match["aside"]) else ""

    return re.sub(ASIDE.pattern + ",", lambda m: " " if not scan(m["aside"]) else m[0], sentence)


def distance(text: str, one: Mark, other: Mark) -> int:
    """Characters between two marks, and more for each comma or "and" between them."""
    between = text[min(one.end, other.end) : max(one.start, other.start)]
    return len(between) + WEAK_COST * len(WEAK.findall(between))


def read_segment(text: str) -> Segment:
    marks = _resolved(text, scan(text))
    anchors = [m for m in marks if m.kind in ANCHORS]
    negated = _negated(text, marks)
    held: dict[Mark, list[tuple[Mark, bool]]] = {anchor: [] for anchor in anchors}
    stray: list[tuple[Mark, bool]] = []
    special: list[tuple[Mark, bool]] = []
    for mark in marks:
        entry = (mark, mark in negated)
        if mark.kind in ("worst", "lesser"):
            special.append(entry)
        elif mark.kind not in (*ANCHORS, "negation", "not-negation", "voice"):
            home = _home(text, mark, anchors)
            (held[home] if home else stray).append(entry)
    found = [Anchor(anchor, tuple(held[anchor]), anchor in negated) for anchor in anchors]
    return Segment(text, tuple(_shared(text, found)), tuple(stray), tuple(special))


def _resolved(text: str, marks: Sequence[Mark]) -> list[Mark]:
    """ "quiet" and "loud" get their meaning from what they stand beside: noise, a background, a voice or a level."""
    resolved = []
    for mark in marks:
        if mark.kind not in ("soft", "loud", "unheard"):
            resolved.append(mark)
            continue
        others = [m for m in marks if m.kind in ("topic", "fault") and distance(text, mark, m) < WEAK_COST]
        near = min(others, key=lambda m: distance(text, mark, m), default=None)
        voiced = any(m.kind == "voice" and distance(text, mark, m) <= FARTHEST for m in marks)
        if (
            near
            and near.kind == "fault"
            and near.dimension != "loudness"
            and (mark.kind != "loud" or near.dimension == "noisiness")
        ):
            resolved.append(replace(mark, kind="degree", interval=dw.AMOUNT_OF_NOISE[mark.kind]))
        elif near and near.dimension == "noisiness":
            kind = "grade" if mark.kind == "loud" else "merit"  # "a quiet background"
            resolved.append(replace(mark, kind=kind, dimension="noisiness", interval=dw.AMOUNT_OF_NOISE[mark.kind]))
        elif (near and near.dimension == "loudness") or (mark.kind != "loud" and voiced):
            resolved.append(replace(mark, kind="flaw", dimension="loudness", interval=dw.LEVEL_OF_VOICE[mark.kind]))
    return resolved


def _negated(text: str, marks: Sequence[Mark]) -> set[Mark]:
    """What each negation takes back: the next mark to its right, or for "absent" and "none" the anchor to its left."""
    negated: set[Mark] = set()
    for place, mark in enumerate(marks):
        if mark.kind != "negation":
            continue
        after = [m for m in marks[place + 1 :] if m.kind not in ("present", "voice", "overall", "intense", "fully")]
        target = after[0] if after and after[0].start - mark.end <= NEGATION_REACH else None
        before = [m for m in marks[:place] if m.kind in ANCHORS]
        if re.fullmatch(lex.LEFT_NEGATIONS, mark.words, re.IGNORECASE) and before:
            target = before[-1]
        if target and target.kind in ("fault", "topic") and re.fullmatch(lex.VERB_NEGATIONS, mark.words, re.IGNORECASE):
            target = target if re.fullmatch(r"\s*(?:an?|any|the|one)?\s*", text[mark.end : target.start]) else None
        elif target and re.search(r"\b(?:to|the)\b", text[mark.end : target.start]):
            target = target if re.fullmatch(lex.NOUN_NEGATIONS, mark.words, re.IGNORECASE) else None
        if target and target.kind != "negation" and not WEAK.search(text[mark.end : target.start]):
            negated ^= {target}
            if target in negated and target.kind == "fault":  # "not a single gap interrupts the talker"
                negated |= {m for m in marks if _says_again(text, target, m)}
    denied = [mark for mark in marks if mark.kind == "negation"]
    for mark in marks:  # "you won't hear any noise, any gaps or any problem"
        follows = bool(denied) and denied[0].end < mark.start and mark.kind in ("fault", "trouble", "degree")
        if follows and any(ANY.search(part) for part in (mark.words, text[: mark.start])):
            negated.add(mark)
    return negated


def _says_again(text: str, fault: Mark, mark: Mark) -> bool:
    beside = fault.end <= mark.start and not WEAK.search(text[fault.end : mark.start])
    return mark.kind == "flaw" and mark.dimension == fault.dimension and beside


def _home(text: str, mark: Mark, anchors: Sequence[Mark]) -> Mark | None:
    """The anchor that a modifier belongs to, if one is near."""

    def cost(anchor: Mark) -> int:
        low, high = sorted((anchor.start, mark.start))
        beside = sum(1 for other in anchors if low < other.start < high)
        unfit = mark.kind in ("grade", "trouble") and anchor.kind in ("merit", "flaw")
        scant = re.fullmatch(dw.SCANT, mark.words, re.IGNORECASE) and 0 <= anchor.start - mark.end <= 1
        unfit |= mark.kind == "degree" and anchor.kind in ("merit", "overall") and not scant
        unfit |= mark.kind in ("fully", "partly") and anchor.kind != "merit"
        unfit |= mark.kind == "intense" and not (anchor.kind in ("flaw", "merit") and 0 <= anchor.start - mark.end <= 1)
        return distance(text, mark, anchor) + BESIDE_COST * beside + FARTHEST * unfit

    best = min(anchors, key=cost, default=None)
    return best if best is not None and cost(best) <= FARTHEST else None


def _shared(text: str, anchors: Sequence[Anchor]) -> Iterator[Anchor]:
    """In a list ("no gaps or stutters", "hiss and hum are strong") the items share what is said once."""

    def listed(one: Mark, other: Mark) -> bool:
        between = re.sub(r"\b(?:the|a|an|any|of|in)\b", " ", text[one.end : other.start])
        return bool(re.fullmatch(r"\s*(?:,|and|or|nor|,\s*(?:and|or|nor)|as well as|/|&)\s*", between))

    said: Anchor | None = None
    filled = list(anchors)
    for place, anchor in enumerate(filled):
        bare = anchor.mark.kind in ("fault", "topic") and not anchor.modifiers and not anchor.negated
        graded = said and said.modifiers and all(entry[0].kind == "grade" for entry in said.modifiers)
        if said and bare and (graded or said.mark.kind == anchor.mark.kind) and listed(said.mark, anchor.mark):
            joined = anchor.mark.kind == "topic" or re.search(r"\w", text[said.mark.end : anchor.mark.start])
            before = tuple(entry for entry in said.modifiers if entry[0].start < said.mark.start and joined)
            other = anchor.mark.kind == "fault" and said.mark.dimension != anchor.mark.dimension
            if before and other:  # "a bad codec and hiss": there is some hiss
                before = ((Mark(0, 0, "present", ""), False),)
            filled[place] = anchor = Anchor(anchor.mark, before, said.negated)
        said = anchor
    for place in range(len(filled) - 2, -1, -1):
        here, following = filled[place], filled[place + 1]
        bare = not here.modifiers and not here.negated and here.mark.kind in ("topic", "fault")
        after = tuple(entry for entry in following.modifiers if entry[0].start > following.mark.start)
        owned = re.search(r"\b(?:with|from|by|to|of)\s+(?:the |an? )?$", text[: here.mark.start])
        single = re.match(r"\s*(?:is|was|has|sounds|stays|remains)\b", text[following.mark.end :])
        if bare and after and not owned and not single and listed(here.mark, following.mark):
            filled[place] = Anchor(here.mark, after)
    yield from filled
