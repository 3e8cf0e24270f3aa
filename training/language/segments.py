"""Free English about one clip, cut into segments: which words judge what.

A sentence is cut where the thought turns ("but", "while", a semicolon). In a segment, words that stand for a dimension
are anchors ("hiss", "timbre", "choppy"); words that judge are modifiers ("slight", "no", "excellent"), and each goes to
its nearest anchor. What an anchor and its modifiers claim is for `reading` to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from training.language import degree_words as dw
from training.language import lexicon as lex
from training.language.degree_words import any_of
from training.language.marks import Mark, scan

_WORDS_THAT_TURN = any_of(r"""
    (?<!anything )(?<!nothing )(?<!all )but|while|whereas|although|(?:even )?(?<!as )though|yet|because(?! of)|so that
    (?<=[,;] )(?:however|nevertheless)|(?:however|nevertheless)(?=,)|still,|since|(?<! of )which|who|whose|despite
    (?=(?:neither|none|both|all|some|most|many) of which)|even if|even so|in spite of|except|if only|beyond that
    apart from|besides|(?=as (?:if|though)\b)|(?=otherwise\b(?!\s*(?:[.,;]|$)))|were it not for|if not for
    but for(?= the)
    (?<=, )as(?! (?:is|are|was|were|well|if|though|soon|long|far|an?)\b)
""")
TURNS = re.compile(
    rf"[;:()]|—|–|\s-\s|\.\.\.|…|,(?=[^,;]*\bwould (?:have|be|sound|pass|deserve)\b)|\b(?:{_WORDS_THAT_TURN})\b",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
CONTRAST = re.compile(
    r"\bnot (?!only|just|merely|least)(?:so much )?(?:\w+ ){1,3}?but (?=an?\b|the\b|\w+)", re.IGNORECASE
)
"""What is named only to be replaced: "not hiss but hum"."""
ASIDE = re.compile(r",(?P<aside>[^,;:.()]{2,35}),")
"""What stands between commas; it may be left out where no word of it is in the lexicon: ", taken alone,"."""
_ABOUT = r"as for|as regards|as far as|regarding|in terms of|when it comes to|with re(?:gard|spect) to|concerning"
HEADING = re.compile(
    rf"^\W*(?:(?:{_ABOUT}) (?:the )?([^,:]{{3,40}}?)(?: goes| (?:is|are) concerned)?,|((?:\w+ )?\w+):|(\w+)-wise,?)"
    r"(?: it| that|'s| (?:the|this) (?:clip|recording|call|sample))*\s*(?=\w)",
    re.IGNORECASE,
)
"""What a sentence says first that it is about: "As for the hum, it's slight", "Level: good"."""
ECHO = re.compile(
    r"\b(is|are|was|were|sounds?|remains?|stays?) ([^,;]*?)(,? (?:and so|as|so|nor|and neither) (?:is|are|was|were) )"
    r"((?:(?:the|its|his|her|their) )?\w+(?: \w+)?)(?=[,.;]|$| (?:and|but|with)\b)",
    re.IGNORECASE,
)
"""The same said of another: "the noise is strong, and so is the hum", "the flow is good, as is the level"."""
UNREAL_END = re.compile(r"(?<=\A)(\s*as (?:if|though)\b[^,]*),", re.IGNORECASE)
NUMBER_ASIDE = re.compile(r"\s*\((?=[^()]*\d)[^()]{0,24}\)")
WEAK = re.compile(r",|\band\b|\bor\b|\bnor\b|\bplus\b", re.IGNORECASE)
WEAK_COST, BESIDE_COST, FARTHEST = 35, 60, 60
"""In characters: what crossing a comma or an "and" adds to a distance, what passing another anchor adds, and how far a
modifier reaches."""
_ARTICLE = r"(?:\s|\b(?:the|an?|any|of|in|its|his|her|both)\b)*"
LIST = re.compile(
    rf"(?: of (?:the|his|her) (?:voice|talker|speaker|speech))?{_ARTICLE}"
    rf"(?:,|and|or|nor|,\s*(?:and|or|nor)|as well as|/|&){_ARTICLE}",
    re.IGNORECASE,
)
"""Between the items of a list."""
ANY = re.compile(r"^any\b|\bany\s+$", re.IGNORECASE)
NEGATION_REACH = 30
NEED = re.compile(
    r"\s*(?:once )?(?:ha[sd]|have|needs?|needed|any need|a need|forced|obliged|reason)? ?to\b", re.IGNORECASE
)
"""What a negation of a verb reaches over: "I never had to reach for the volume"."""
PARTIAL = re.compile(r"(?:moderately|somewhat|rather)\s+", re.IGNORECASE)
"""Before a merit, these leave less of it."""
HAVING = re.compile(
    r"\s*(?:(?:suffer(?:ing)? from|have|contain|show|exhibit|hear|notice|find|detect|perceive|see)\b)?"
    r"\s*(?:an?|any|the|one)?\s*",
    re.IGNORECASE,
)
"""Between a negated verb and the noun that is denied."""
PRESUPPOSED = re.compile(r"(?:neither|nor|no amount of)\s+(?:the|its|an?|his|her)\b", re.IGNORECASE)
"""Before an adjective and its noun: whether the noun is denied or what is said of it ("neither the good timbre helps")
is not certain, and neither of them is heard."""
AMOUNTING = re.compile(
    r"\b((?:at|to|of|in|with) (?:an? )?(?:(?:very|rather|fairly) )?(\w+)) "
    r"(?:levels?|degree|extent|rate|strength|intensity|measure|volume|numbers|amounts?|nature|kind)\b(?! of)",
    re.IGNORECASE,
)
"""An adverb in several words: "at a severe level", "to a moderate degree"."""
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
    plain = CONTRAST.sub("", straightened(NUMBER_ASIDE.sub("", headed(sentence))))
    parts = [piece for part in TURNS.split(plain) for piece in UNREAL_END.split(part)]
    return [part for part in parts if part.strip()]


def headed(sentence: str) -> str:
    """The sentence with its heading as first words: "As for the hum, it's slight" → "hum slight"."""
    heading = HEADING.match(sentence)
    if heading and any(mark.kind in ("topic", "fault") for mark in scan(heading[0])):
        return f"{heading[1] or heading[2] or heading[3]} {sentence[heading.end() :]}"
    return sentence


def straightened(sentence: str) -> str:
    """The sentence without what stands between commas and judges nothing, and with echoes as lists."""

    def left_out(match: re.Match[str]) -> str:
        judges = any(mark.kind not in ("not-negation", "others", "overall") for mark in scan(match["aside"]))
        return match[0] if judges or re.search(r"\d|\b[AB]\b", match["aside"]) else ""

    return ECHO.sub(r"and \4 are \2", ASIDE.sub(left_out, sentence))


def distance(text: str, one: Mark, other: Mark) -> int:
    """Characters between two marks, and more for each comma or "and" between them."""
    between = text[min(one.end, other.end) : max(one.start, other.start)]
    return len(between) + WEAK_COST * len(WEAK.findall(between))


def _amounts(text: str) -> str:
    """The text without the nouns that only carry an amount: a hiss at a high level says nothing of the level."""

    def bare(match: re.Match[str]) -> str:
        amount = any(m.kind in ("degree", "loud", "soft") for m in scan(match[2]))
        fault = any(m.kind in ("fault", "flaw") for m in scan(text[: match.start()]))
        return match[1] if amount and fault else match[0]

    return AMOUNTING.sub(bare, text)


def read_segment(text: str) -> Segment:
    text = _amounts(text)
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
    """Marks whose meaning hangs on what they stand beside: "quiet" and "loud" on a noise, a background, a voice or a
    level; "natural" on whether it is lost."""
    resolved = []
    threes = zip(marks, marks[1:], marks[2:], strict=False)  # neither, good, timbre
    unheard = {mark for three in threes if _presupposed(text, *three[:2]) for mark in three}
    marks = [mark for mark in marks if mark not in unheard]
    for place, mark in enumerate(marks):
        loudness = mark.kind == "flaw" and mark.dimension == "loudness" and re.search(LEVELS, mark.words, re.IGNORECASE)
        following = marks[place + 1] if place + 1 < len(marks) else mark
        if (
            mark.kind == "degree"
            and following.kind == "merit"
            and PARTIAL.fullmatch(text[mark.start : following.start])
        ):
            resolved.append(replace(mark, kind="partly"))
        elif mark.kind in ("soft", "loud", "unheard") or loudness:
            resolved += _levelled(text, marks, mark)
        elif mark.kind == "merit" and mark.dimension == "coloration" and _lost(text, mark):
            resolved.append(replace(mark, kind="flaw", interval=(0, 2.6)))
        elif mark.kind == "topic" and place and _names(text, marks[place - 1], mark):
            continue
        elif mark.kind == "voice" and re.fullmatch("voice", mark.words, re.I) and _among_topics(text, marks, place):
            resolved.append(replace(mark, kind="topic", dimension="coloration"))
        elif mark.kind == "flaw" and (behind := _by_cause(marks[:place], mark)):
            resolved.append(replace(mark, cause=behind.cause))
        else:
            resolved.append(mark)
    return resolved


def _presupposed(text: str, before: Mark, mark: Mark) -> bool:
    adjective = before.kind == "negation" and mark.kind not in ANCHORS
    return adjective and bool(PRESUPPOSED.match(text[before.start : mark.start]))


def _by_cause(before: Sequence[Mark], flaw: Mark) -> Mark | None:
    """ "The codec distorts the voice": what the verb says is said of the codec."""
    causes = [m for m in before if m.cause and m.dimension == flaw.dimension]
    return (
        causes[-1] if causes and re.fullmatch(r"(?:distort|colou?r|interrupt)s?", flaw.words, re.IGNORECASE) else None
    )


LEVELS = r"\b(?:quiet|loud|soft|faint|low|high|weak)$"


def _levelled(text: str, marks: Sequence[Mark], mark: Mark) -> list[Mark]:
    others = [m for m in marks if m.kind in ("topic", "fault") and distance(text, mark, m) < WEAK_COST]
    near = min(others, key=lambda m: distance(text, mark, m), default=None)
    voiced = any(m.kind == "voice" and distance(text, mark, m) <= FARTHEST for m in marks)
    kind = mark.kind if mark.kind != "flaw" else "loud" if re.search(r"(?:loud|high)$", mark.words, re.I) else "soft"
    faint = re.match(r"faint|weak|feeble|gentle", mark.words, re.IGNORECASE)
    if near and near.kind == "fault" and (near.dimension == "noisiness" or (near.dimension != "loudness" and faint)):
        return [replace(mark, kind="degree", dimension="", interval=dw.AMOUNT_OF_NOISE[kind])]
    if near and near.kind == "fault" and near.dimension != "loudness":
        return []  # "too low a bit rate"
    if near and near.dimension == "noisiness":
        judged = "grade" if kind == "loud" else "merit"  # "a quiet background"
        return [replace(mark, kind=judged, dimension="noisiness", interval=dw.AMOUNT_OF_NOISE[kind])]
    before = text[: mark.start]
    if re.search(r"\b(?:they|these|those)\b(?! (?:clips|recordings))", before, re.IGNORECASE) and not voiced:
        return []  # the noises, rather than the voice
    if mark.kind == "flaw":
        return [mark]
    if (near and near.dimension == "loudness") or (kind != "loud" and voiced):
        return [replace(mark, kind="flaw", dimension="loudness", interval=dw.LEVEL_OF_VOICE[kind])]
    return []


def _names(text: str, merit: Mark, topic: Mark) -> bool:
    """ "The natural timbre": the topic only says what is natural."""
    return merit.kind == "merit" and merit.dimension == topic.dimension and not text[merit.end : topic.start].strip()


def _among_topics(text: str, marks: Sequence[Mark], place: int) -> bool:
    """ "Voice, flow and level": the voice is one dimension among others."""
    beside = [marks[other] for other in (place - 1, place + 1) if 0 <= other < len(marks)]
    gaps = [text[min(m.end, marks[place].end) : max(m.start, marks[place].start)] for m in beside if m.kind == "topic"]
    return any(LIST.fullmatch(gap) for gap in gaps)


def _lost(text: str, merit: Mark) -> bool:
    """Whether a word takes a merit away: "robbed of its natural timbre", "its natural timbre is lost"."""
    words = r"(?:(?!and|but|or)[\w']+ ){0,6}?"
    before = rf"\b(?:{lex.LOSS}) {words}$"
    after = rf"\s*{words}(?:{lex.LOSS})\b"
    return bool(re.search(before, text[: merit.start], re.I) or re.match(after, text[merit.end :], re.I))


def _negated(text: str, marks: Sequence[Mark]) -> set[Mark]:
    """What each negation takes back: the next mark to its right, or for "absent" and "none" the anchor to its left."""
    negated: set[Mark] = set()
    for place, mark in enumerate(marks):
        if mark.kind != "negation" or _twice(text, marks, place):
            continue
        after = [m for m in marks[place + 1 :] if m.kind not in ("present", "voice", "overall", "intense", "fully")]
        target = after[0] if after and after[0].start - mark.end <= NEGATION_REACH else None
        before = [m for m in marks[:place] if m.kind in ANCHORS]
        if re.fullmatch(lex.LEFT_NEGATIONS, mark.words, re.IGNORECASE) and before:
            target = before[-1]
        if target and target.kind in ("fault", "topic") and re.fullmatch(lex.VERB_NEGATIONS, mark.words, re.IGNORECASE):
            target = target if HAVING.fullmatch(text[mark.end : target.start]) else None
        elif target and re.search(r"\b(?:to|the)\b", text[mark.end : target.start]):
            between = text[mark.end : target.start]
            reaches = re.fullmatch(lex.NOUN_NEGATIONS, mark.words, re.IGNORECASE) or NEED.match(text[mark.end :])
            reaches = reaches or (HAVING.fullmatch(between) and re.match(r"\s*\w+ the\b", between))
            target = target if reaches else None
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


def _twice(text: str, marks: Sequence[Mark], place: int) -> bool:
    """Whether a negation and the one beside it take each other back: "by no means free of noise"."""
    pairs = [(one, other) for one, other in pairwise(marks[max(place - 1, 0) : place + 2])]
    return any(
        one.kind == other.kind == "negation"
        and re.fullmatch(r"\s*(?:entirely |quite |completely )?", text[one.end : other.start])
        for one, other in pairs
    )


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
        unfit |= mark.kind == "grade" and bool(re.match(r"\s+(?:the|its|his|her)\b", text[mark.end : anchor.start]))
        return distance(text, mark, anchor) + BESIDE_COST * beside + FARTHEST * unfit

    best = min(anchors, key=cost, default=None)
    return best if best is not None and cost(best) <= FARTHEST else None


def _shared(text: str, anchors: Sequence[Anchor]) -> Iterator[Anchor]:
    """In a list ("no gaps or stutters", "hiss and hum are strong") the items share what is said once."""

    def listed(one: Mark, other: Mark) -> bool:
        return bool(LIST.fullmatch(text[one.end : other.start]))

    said: Anchor | None = None
    filled = list(anchors)
    for place, anchor in enumerate(filled):
        plain = [entry for entry in anchor.modifiers if entry[0].kind != "present"]
        bare = anchor.mark.kind in ("fault", "topic") and not plain and not anchor.negated
        graded = said and said.modifiers and all(entry[0].kind in ("grade", "trouble") for entry in said.modifiers)
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
        absent = re.match(rf"[^,;]{{0,30}}?\b(?:{lex.LEFT_NEGATIONS})\b", text[following.mark.end :], re.IGNORECASE)
        if bare and following.negated and absent and listed(here.mark, following.mark):
            filled[place] = Anchor(here.mark, negated=True)
            continue
        after = tuple(entry for entry in following.modifiers if entry[0].start > following.mark.start)
        owned = re.search(r"\b(?:with|from|by|to|of)\s+(?:the |an? )?$", text[: here.mark.start])
        single = re.match(r"\s*(?:is|was|has|sounds|stays|remains)\b", text[following.mark.end :])
        adverb = after and after[0][0].words.endswith("ly") and after[0][0].start - following.mark.end <= 1
        if bare and after and not adverb and not owned and not single and listed(here.mark, following.mark):
            filled[place] = Anchor(here.mark, after)
    yield from filled
