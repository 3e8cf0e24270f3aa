"""Does an A/B text agree with its two rows? The counterpart of `validator` for arguments.

Each piece of a sentence has a subject, clip A or B. Comparatives ("cleaner", "fewer gaps", "more natural") claim that
the subject is ahead in a dimension; plain words are read as those of a description of that clip; the verdict may stand
anywhere and has to be that of `scale.verdict`.

What a comparison must keep to, on the ratings as shown: the clip said to be better is at least 0.1 ahead; "clearly"
needs a gap above `scale.CLEAR_GAP`; "similar" none above it, and "slightly" none above `SLIGHT_GAP`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqe_fast.prompt import verdict
from sqe_fast.results import RATINGS
from training.language import comparative_words as cw
from training.language.agreement import cause_problems, linked, ratings_in, same, word_problems
from training.language.marks import Mark, scan
from training.language.mentions import AFTER_THAN, CLIP, OPENED, OTHER, Clip, Mention, Piece, mentions, owns, split
from training.language.reading import Reading, claims_of
from training.language.scale import CLEAR_GAP, Row
from training.language.segments import Segment, distance, read_segment

AHEAD = 0.05
"""A clip said to be better is ahead by more than this: by 0.1 as shown."""
FARTHEST = 45
"""In characters: how far "better" may stand from the dimension that it is said of."""
SLIGHT_GAP = 1.2
"""A gap above this is no slight one."""

# --- comparisons --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """The subject of a piece is ahead (+1), behind (−1) or level (0) in a dimension or, under "mos", as a whole.
    Where that is denied the sign is half: "no better" is behind or level."""

    dimension: str
    sign: float
    clear: bool
    slight: bool
    words: str


def comparisons(piece: Piece, topic: str | None) -> list[Comparison]:
    text = piece.text
    marks = [m for m in scan(text) if m.kind in ("topic", "fault", "flaw", "merit")]
    text = re.sub(cw.NO_COMPARISON, lambda match: " " * len(match[0]), text)
    rest = re.sub(cw.OWN, lambda match: " " * len(match[0]), text)
    signs = [*_own_comparatives(text), *_composed(rest, scan(rest))]
    if not signs:
        signs = _general(text, marks, topic)
    clear = _shaded(cw.CLEARLY, text) or bool(re.search(cw.WIDELY, text, re.IGNORECASE))
    clear &= not re.search(r"\b(?:not|no)\b|n't\b", text, re.IGNORECASE)
    slight = _shaded(cw.SLIGHTLY, text)
    return [Comparison(name, sign, clear and not slight, slight, text.strip()) for name, sign in dict.fromkeys(signs)]


def _shaded(words: str, text: str) -> bool:
    """Whether such a word stands before a comparative, rather than before a fault: "a little better"."""
    compared = rf"{cw.BETTER}|{cw.WORSE}|{cw.MORE}|{cw.LESS}|{cw.OWN.pattern}"
    return bool(re.search(rf"\b(?:{words})\s+(?:\w+\s+){{0,1}}?(?:{compared})\b", text, re.IGNORECASE))


def _own_comparatives(text: str) -> Iterator[tuple[str, float]]:
    for table, sign in ((cw.UP, 1), (cw.DOWN, -1)):
        for dimension, pattern in table.items():
            for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
                yield dimension, _turned(sign, text, match)


def _composed(text: str, every: Sequence[Mark]) -> Iterator[tuple[str, float]]:
    """ "Fewer gaps", "more natural", "the noise is stronger": a word of amount beside an anchor."""
    for pattern, sign in ((cw.MORE, 1), (cw.LESS, -1)):
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
            here = Mark(match.start(), match.end(), "", match[0])
            usable = [
                m
                for m in every
                if m.kind in ("fault", "flaw", "merit") and (m.end <= here.start or m.start >= here.end)
            ]
            near = [m for m in usable if distance(text, here, m) <= (25 if m.start > here.start else 14)]
            if not near:
                continue
            home = min(near, key=lambda m: distance(text, here, m) + (8 if m.start < here.start else 0))
            if home.kind == "merit" and not re.fullmatch(r"more|less|most|least", match[0], re.IGNORECASE):
                continue
            flipped = _turned(1, text, match)
            yield home.dimension, flipped * (sign if home.kind == "merit" else -sign)
            for other in usable:  # "more noise and distortion"
                between = text[home.end : other.start] if other.start >= home.end else "x"
                if re.fullmatch(r"\s*(?:,|and|or|,\s*and)\s*(?:the )?", between):
                    yield other.dimension, flipped * (sign if other.kind == "merit" else -sign)


def _general(text: str, marks: list[Mark], topic: str | None) -> list[tuple[str, float]]:
    """ "Better in timbre", "wins on noise", "equal in volume"; without a dimension the whole is meant."""
    for pattern, sign in ((cw.WORSE, -1), (cw.BETTER, 1), (cw.EQUAL, 0)):
        match = re.search(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
        if match is None:
            continue
        named = list(dict.fromkeys(m.dimension for m in marks if _compares(text, match, m)))
        named = named or ([topic] if topic and not marks else [])
        if named:
            return [(name, _turned(sign, text, match)) for name in named]
    return []


def _compares(text: str, match: re.Match[str], mark: Mark) -> bool:
    """Whether a word like "better" is said of a dimension ("better in timbre", "the flow is better"), not beside it."""
    if OPENED.match(text) and mark.end <= match.start():
        return True
    verb = re.fullmatch(cw.VERBS, match[0], re.IGNORECASE)
    between = text[min(match.end(), mark.end) : max(match.start(), mark.start)]
    if len(between) > FARTHEST:
        return False
    verb = re.fullmatch(cw.VERBS, match[0], re.IGNORECASE)
    if mark.end <= match.start():
        return not verb and not re.search(r"[,;:]|\b(?:and|that|with)\b", between)
    towards = r"\b(?:in|on|regarding|to)\b" if verb else r"\b(?:in|on|for|regarding|to|of)\b(?! its)|^\W*(?:\w+ )?$"
    return bool(re.search(towards, between)) and not re.search(r"[;:]|\b(?:with|despite|against|because)\b", between)


def _turned(sign: float, text: str, match: re.Match[str]) -> float:
    return -sign / 2 if _denied(text, match) else sign


def _denied(text: str, match: re.Match[str]) -> bool:
    return bool(re.search(r"\b(?:not|n't|never|no|hardly)\s+(?:\w+\s+)?$", text[: match.start()], re.IGNORECASE))


def _compared(found: Comparison, subject: Clip | None, rows: Mapping[str, Row]) -> Iterator[str]:
    gap = rows["A"][found.dimension] - rows["B"][found.dimension]
    ahead = gap if subject != "B" else -gap
    if found.sign == 0:
        if abs(gap) > CLEAR_GAP + 1e-6:
            yield f'"{found.words}" calls {found.dimension} equal, with a gap of {abs(gap):.1f}'
    elif subject is not None:
        ahead *= 1 if found.sign > 0 else -1
        if ahead < (AHEAD if abs(found.sign) == 1 else -AHEAD):
            both = f"{rows['A'][found.dimension]:.1f} in A, {rows['B'][found.dimension]:.1f} in B"
            yield f'"{found.words}" has {found.dimension} the wrong way round: {both}'
        elif found.clear and ahead <= CLEAR_GAP + 1e-6:
            yield f'"{found.words}" calls a gap of {ahead:.1f} in {found.dimension} clear'
        elif found.slight and ahead > SLIGHT_GAP + 1e-6:
            yield f'"{found.words}" calls a gap of {ahead:.1f} in {found.dimension} slight'


WEIGHING = re.compile(
    (
        r"\b(?:weighs?|outweighs?|weight|cancels?|offsets?|makes? up for|counts? (?:for )?(?:more|"
        r"less))\b"
    ),
    re.IGNORECASE,
)
"""What counts for more is no claim about a rating."""
# --- the verdict --------------------------------------------------------------------------------------------------


def verdicts(text: str) -> Iterator[tuple[str, bool, str]]:
    """(A, B or tie; whether it is claimed or denied; words) of each statement of preference."""
    for match in re.finditer(r"\[Speech\s?([AB])\]", text):
        yield match[1], True, match[0]
    for match in re.finditer(r"\[Tie\]", text, re.IGNORECASE):
        yield "tie", True, match[0]
    for _, found in split(text):
        topic = None
        for piece in found:
            if WEIGHING.search(piece.text) and not re.search(cw.TIE, piece.text, re.IGNORECASE):
                continue
            dimensional = [m for m in scan(piece.text) if m.kind in ("topic", "fault", "flaw", "merit")]
            topic = dimensional[-1].dimension if dimensional else topic
            yield from _verdict(piece, bool(dimensional) or any(_own_comparatives(piece.text)))


def _verdict(piece: Piece, dimensional: bool) -> Iterator[tuple[str, bool, str]]:
    text = piece.text
    tie = re.search(cw.TIE, text, re.IGNORECASE)
    overall = re.search(OVERALL, text)
    if tie and (not dimensional or overall or re.search(r"\b(?:tied?|preference|winner)\b", tie[0], re.I)):
        denied = re.search(
            r"\b(?:not|more than|hardly|no|isn't|far from)(?: \w+)?(?: an?)?\s*$", text[: tie.start()], re.IGNORECASE
        )
        yield "tie", not denied, text.strip()
        if not denied:
            return
    if re.search(rf"\b(?:{cw.EVEN})\b", text, re.IGNORECASE) and not dimensional:
        yield "tie", True, text.strip()
        return
    named = [mention for mention in mentions(text) if not owns(text, mention)]
    if piece.subject and named and not piece.heads and not cw.FILLER.sub("", CLIP.sub("", text)):
        yield piece.subject, True, text.strip()
        return
    prefer = re.search(rf"\b(?:{cw.PREFER})\b", text, re.IGNORECASE)
    if (
        dimensional
        and not overall
        and not (prefer and re.search(r"prefer|choose|go with|opt for|vote|winner|verdict", prefer[0], re.I))
    ):
        return
    worse = re.search(rf"\b(?:{cw.WORSE})\b", text, re.IGNORECASE)
    match = prefer or worse or re.search(rf"\b(?:{cw.BETTER})\b", text, re.IGNORECASE)
    clip = (_object(text) if prefer else None) or piece.subject
    if match is None or clip is None:
        return
    yield OTHER[clip] if worse and not prefer else clip, not _denied(text, match), text.strip()


OVERALL = re.compile(
    r"\b(?:overall|on balance|all in all|in sum|altogether|as a whole|on the whole|in total|MOS)\b", re.IGNORECASE
)


def _object(text: str) -> Clip | None:
    """The clip that a preference is for: "I prefer B to A", "A is preferred over B", "preference goes to B"."""
    towards = (
        r"(?:goes? to|preference (?:is )?(?:to|for)|decid\w+ for|vote (?:is |goes )?(?:to|for)|"
        r"opt for|listen(?:ing)? to)\s*(?:the )?$"
    )
    for mention in mentions(text):
        before = text[: mention.start]
        if re.search(towards, before, re.IGNORECASE) or not AFTER_THAN.search(before):
            return mention.clip
    return None


def verdict_problems(text: str, rows: Mapping[str, Row]) -> Iterator[str]:
    right = verdict(rows["A"]["mos"], rows["B"]["mos"])
    found = list(verdicts(text))
    for said, claimed, words in found:
        if (said == right) is not claimed:
            yield f'"{words}" says {"" if claimed else "not "}{said}, but the MOS say {right}'
    if right == "tie" and not re.search(rf"\b(?:{cw.TIED})\b", text, re.IGNORECASE):
        yield "the MOS tie, and the text does not say so"


# --- plain words and numbers of either clip ------------------------------------------------------------


def comparison_problems(text: str, rows: Mapping[str, Row]) -> Iterator[str]:
    for sentence, parts in split(text):
        topic: Mark | None = None
        opened = OPENED.match(sentence)
        for piece in parts:
            if WEIGHING.search(piece.text):
                topic = None
                continue
            segment = read_segment(CLIP.sub("the speech", piece.text))
            compared = comparisons(piece, topic.dimension if topic and opened else None)
            for comparison in compared:
                yield from _compared(comparison, piece.subject, rows)
            yield from _plain(piece, segment, topic, bool(compared), rows)
            dimensional = [x.mark for x in segment.anchors if x.mark.dimension]
            topic = dimensional[-1] if dimensional else topic


def _plain(
    piece: Piece, segment: Segment, topic: Mark | None, compared: bool, rows: Mapping[str, Row]
) -> Iterator[str]:
    """Words that describe one clip, or both, as in a description; beside a comparative only causes are read."""
    reading = claims_of(segment, topic)
    neither = re.match(r"\W*neither\b", piece.text, re.IGNORECASE)
    general = re.search(
        (
            rf"\b(?:{cw.BETTER}|{cw.WORSE}|{cw.EQUAL}|{cw.MORE}|{cw.LESS}|nearer|closer|"
            rf"further|farther|differ\w*)\b"
        ),
        piece.text,
        re.IGNORECASE,
    )
    if not compared and not general and not neither:
        for clip in "AB" if piece.both else piece.subject or "":
            yield from (f"{clip}: {problem}" for problem in word_problems(reading, rows[clip]))
    less = re.search(rf"\b(?:{cw.LESS}|not|no|without)\b", piece.text, re.IGNORECASE)
    either = {
        "causes": [*rows["A"]["causes"], *rows["B"]["causes"]],
        "loudness": min(rows[c]["loudness"] for c in "AB"),
    }
    for cause in reading.causes:
        if piece.subject is None or (compared and less):
            if cause[1]:
                yield from cause_problems(Reading((), (), (cause,)), either)
        else:
            found = cause_problems(Reading((), (), (cause,)), rows[piece.subject])
            yield from (f"{piece.subject}: {problem}" for problem in found)


def _numbers(sentence: str, parts: list[Piece], rows: Mapping[str, Row]) -> Iterator[str]:
    """Each number is the named clip's; of two that are set against each other without names, one is each clip's."""
    numbers = list(ratings_in(sentence))
    named = mentions(sentence)
    subjects = {piece.subject for piece in parts} - {None}
    for place, number in enumerate(numbers):
        name, _ = linked(sentence, number)
        facing = any(_paired(sentence, number, n) for n in numbers[place + 1 : place + 2])
        if (DIFFERENCE.search(sentence[: number.start()]) and not facing) or re.match(
            r"\s*points?\b", sentence[number.end() :]
        ):
            if not any(same(sentence, number, abs(rows["A"][n] - rows["B"][n])) for n in RATINGS):
                yield f"no ratings differ by {number[0]}"
            continue
        beside = [
            n
            for n in (*numbers[max(place - 1, 0) : place], *numbers[place + 1 : place + 2])
            if _paired(sentence, n, number)
        ]
        clip = _owner(sentence, number, named)
        if beside and _pair_of(name, number, beside[0], rows) and not _led(sentence, number, beside[0], named):
            continue
        if clip is None and beside:
            partner = _owner(sentence, beside[0], named)
            clip = OTHER[partner] if partner else None
            order = [float(n[0].replace(",", ".")) for n in sorted((number, beside[0]), key=lambda n: n.start())]
            pair = [round(rows[c][name], 1) for c in "AB"]
            if clip is None and sorted(order) != sorted(pair):
                yield f"{number[0]} and {beside[0][0]} are not the two ratings of {name}"
        elif clip is None and len(subjects) == 1:
            clip = next(iter(subjects))
        elif clip is None:
            before = [m.clip for m in named if m.end <= number.start()]
            clip = before[-1] if before else None
        if not any(same(sentence, number, rows[c][name]) for c in ([clip] if clip else "AB")):
            yield f"{number[0]} is stated of {name} in {clip or 'either clip'}, which is not so"


def _pair_of(name: str, one: re.Match[str], other: re.Match[str], rows: Mapping[str, Row]) -> bool:
    stated = sorted(float(number[0].replace(",", ".")) for number in (one, other))
    return stated == sorted(round(rows[clip][name], 1) for clip in "AB")


def _led(sentence: str, one: re.Match[str], other: re.Match[str], named: list[Mention]) -> bool:
    """Whether a clip's name leads to the first of two numbers: "A scores 2.1 against 3.4", not "3.4 to 2.1 for A"."""
    first, second = sorted((one, other), key=lambda number: number.start())
    if sentence[first.end() : second.start()].strip() != "to":
        return _owner(sentence, one, named) is not None or _owner(sentence, other, named) is not None
    return _owner(sentence, first, [mention for mention in named if mention.end <= first.start()]) is not None


DIFFERENCE = re.compile(
    r"\b(?:by|gap of|difference of|ahead|margin of|lead of)\s*(?:about |around |roughly |only |just )?(?:a )?$",
    re.IGNORECASE,
)


def _paired(sentence: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """Whether two numbers are set against each other: "2.9 versus 2.7", "3.6 and 3.5"."""
    first, second = sorted((one, other), key=lambda n: n.start())
    between = sentence[first.end() : second.start()]
    return bool(
        re.fullmatch(
            (
                r"\W*(?:and|to|versus|vs\.?|against|over|as opposed to|rather than|compared (?:to|"
                r"with))?\W*(?:an? |only |just |"
                r"about )*(?:mos of )?"
            ),
            between,
            re.IGNORECASE,
        )
    )


def _owner(sentence: str, number: re.Match[str], named: list[Mention]) -> Clip | None:
    """The clip that a number is tied to by the words between: "3.4 for Speech A", "A scores 3.4", "B (2.1)"."""
    for mention in named:
        after, before = sentence[number.end() : mention.start], sentence[mention.end : number.start()]
        if mention.start >= number.end() and re.fullmatch(
            r"\s*(?:out of 5)?\s*(?:for|in|of)\s+(?:the\s+)?(?:\w+\s+)?", after
        ):
            return mention.clip
        if mention.end <= number.start() and re.fullmatch(
            (
                r"(?:'s)?\W*(?:(?:overall|mos|score[sd]?|rating|rated|is|has|gets|at|a|an|of|with|only|just|"
                r"comes|reaches|in|earns|receives|stands)\W*){0,6}"
            ),
            before,
            re.IGNORECASE,
        ):
            return mention.clip
    return None


def number_problems(text: str, rows: Mapping[str, Row]) -> Iterator[str]:
    """Numbers that are not the ratings, or the gap of ratings, that they are stated to be."""
    for sentence, parts in split(text):
        yield from _numbers(sentence, parts, rows)
