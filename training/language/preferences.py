"""Does an A/B text agree with its two rows? The counterpart of `validator` for arguments.

Each piece of a sentence has a subject, clip A or B. Comparatives ("cleaner", "fewer gaps", "more natural") claim that
the subject is ahead in a dimension; plain words are read as those of a description of that clip; the verdict may stand
anywhere and has to be that of `scale.verdict`.

What a comparison must keep to, on the ratings as shown: the clip said to be better is at least 0.1 ahead; "clearly"
needs a gap above `argument.CLEAR_GAP`; "similar" none above `SIMILAR_GAP`, and "slightly" none above `SLIGHT_GAP`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqe_fast.answer.argument import CLEAR_GAP
from sqe_fast.answer.scale import verdict
from sqe_fast.results import RATINGS
from training.corpora.annotation import Annotation
from training.language import comparative_words as cw
from training.language import lexicon as lex
from training.language.agreement import cause_problems, linked, ratings_in, same, word_problems
from training.language.comparative_words import Comparison, comparisons, taken_back
from training.language.marks import Mark, scan
from training.language.mentions import CLIP, OPENED, OTHER, REFERENCE, Clip, Mention, Piece, mentions, owns, split
from training.language.reading import Claim, Reading, claims_of
from training.language.segments import Segment, headed, read_segment

AHEAD = 0.05
"""A clip said to be better is ahead by more than this: by 0.1 as shown."""
SIMILAR_GAP = 1.0
"""A gap above this is no similarity."""
SLIGHT_GAP = 1.2
"""A gap above this is no slight one."""

UNHEARD = re.compile(
    rf"\b(?:weighs?|outweighs?|weight|cancels?|offsets?|makes? up for|counts?|{lex.UNREAL})\b", re.IGNORECASE
)
"""What counts for more, or would be so otherwise, is no claim about a rating."""

# --- what is said of either clip ------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What an A/B text says of its clips, but for verdict and numbers."""

    comparisons: list[tuple[Comparison, Clip | None]] = field(default_factory=list)
    claims: dict[str, list[Claim]] = field(default_factory=lambda: {"A": [], "B": []})
    causes: list[tuple[tuple[str, bool, str], Clip | None]] = field(default_factory=list)
    """(name, whether it is claimed or denied, words), and of which clip; None where either may have it."""


def hear(text: str) -> Heard:
    heard = Heard()
    for sentence, parts in split(text):
        opened = OPENED.match(sentence)
        topic = next((m for m in scan(sentence.partition(",")[0]) if m.dimension), None) if opened else None
        head = topic
        for piece in parts:
            if UNHEARD.search(piece.text):
                topic = head = None
                continue
            segment = _segment(piece.text, head, bool(opened))
            about = topic if opened or cw.THERE.search(piece.text) else None
            compared = [] if piece.weighed else comparisons(piece.text, about.dimension if about else None)
            heard.comparisons += [(comparison, piece.subject) for comparison in compared]
            _listen(heard, piece, claims_of(segment, topic), compared)
            dimensional = [x.mark for x in segment.anchors if x.mark.dimension]
            head, topic = (dimensional[0], dimensional[-1]) if dimensional else (head, topic)
    return heard


def _segment(text: str, head: Mark | None, opened: bool) -> Segment:
    """A piece as a description would put it: no names, no amounts of a difference, "that of B" spelt out. `head` is
    what the piece before it spoke of first."""
    text = re.sub(rf"\b(?:{cw.CLEARLY}|{cw.SLIGHTLY}) (?=(?:\w+er|more|less|worse)\b)", "", headed(text), flags=re.I)
    text = CLIP.sub("the speech", text)
    if head:
        text = re.sub(r"\b(?:that|those) (?=(?:of|in|from) the speech\b)", f"the {head.words} ", text)
    segment = read_segment(text)
    of_noise = opened and head is not None and head.dimension == "noisiness"
    if of_noise and {anchor.mark.dimension for anchor in segment.anchors} == {"loudness"}:
        return read_segment(f"noise {text}")  # "as for noise, B is nearly quiet"
    return segment


def _listen(heard: Heard, piece: Piece, reading: Reading, compared: Sequence[Comparison]) -> None:
    """Plain words are those of a description of the clip, but for dimensions that are compared."""
    if not NEITHER.match(piece.text) and (compared or piece.weighed or not COMPARING.search(piece.text)):
        apart = {"mos", *(comparison.dimension for comparison in compared)} if compared else set()
        for clip in "AB" if piece.both else piece.subject or "":
            heard.claims[clip] += [claim for claim in reading.claims if claim.dimension not in apart]
    less = compared and re.search(rf"\b(?:{cw.LESS}|not|no|without)\b", piece.text, re.IGNORECASE)
    than = piece.text.lower().find(" than ")
    for cause in reading.causes:
        other = 0 <= than < piece.text.lower().find(cause[2].lower())
        whose = None if less or other else piece.subject
        if whose or cause[1]:
            heard.causes.append((cause, whose))


NEITHER = re.compile(r"\W*neither (?!(?:clip|recording|speech|of|has|is|shows|suffers|sounds)\b)", re.IGNORECASE)
"""What decides nothing is not denied: "neither noise nor level tips the balance"."""
COMPARING = re.compile(
    rf"\b(?:{cw.BETTER}|{cw.WORSE}|{cw.EQUAL}|{cw.MORE}|{cw.LESS}|nearer|closer|further|farther|differ\w*)\b", re.I
)


def comparison_problems(heard: Heard, rows: Mapping[str, Annotation]) -> Iterator[str]:
    for clip, claims in heard.claims.items():
        found = Reading(tuple(claims), (), ())
        yield from (f"{clip}: {problem}" for problem in word_problems(found, rows[clip]))
    wrong = [list(_compared(*each, rows)) for each in heard.comparisons]
    right = [each for each, found in zip(heard.comparisons, wrong, strict=True) if not found]
    for each, found in zip(heard.comparisons, wrong, strict=True):
        if not any(_opposed(each, other) for other in right):
            yield from found


def clip_cause_problems(heard: Heard, rows: Mapping[str, Annotation]) -> Iterator[str]:
    """Causes named of a clip that has others."""
    either = {
        "causes": [*rows["A"]["causes"], *rows["B"]["causes"]],
        "loudness": min(rows[clip]["loudness"] for clip in "AB"),
    }
    for cause, clip in heard.causes:
        found = cause_problems(Reading((), (), (cause,)), rows[clip] if clip else either)
        yield from (f"{clip}: {problem}" if clip else problem for problem in found)


def _compared(found: Comparison, subject: Clip | None, rows: Mapping[str, Annotation]) -> Iterator[str]:
    gap = rows["A"][found.dimension] - rows["B"][found.dimension]
    ahead = gap if subject != "B" else -gap
    if found.sign == 0:
        if abs(gap) > SIMILAR_GAP + 1e-6:
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


def _opposed(one: tuple[Comparison, Clip | None], other: tuple[Comparison, Clip | None]) -> bool:
    """Whether two comparisons cannot both hold. One of them is misread then, and a fitting one counts."""
    (this, subject), (that, whose) = one, other
    ahead = this.sign * that.sign * (1 if subject == whose else -1)
    return this.dimension == that.dimension and (ahead < 0 or (this.sign == 0) != (that.sign == 0))


# --- the verdict --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    said: str
    """A, B or tie."""
    claimed: bool
    """Or denied."""
    words: str
    firm: bool
    """Whether it can be read in no other way; where one of these stands, vaguer ones are not heard."""


def verdicts(text: str) -> list[Verdict]:
    """Each statement of preference."""
    found = [Verdict(match[1] or "tie", True, match[0], firm=True) for match in MARKER.finditer(text)]
    for sentence, parts in split(text):
        if OPENED.match(sentence) and any(m.dimension for m in scan(sentence.partition(",")[0])):
            parts = [piece for piece in parts if OVERALL.search(piece.text) or SURELY.search(piece.text)]
        for before, piece in zip([None, *parts], parts, strict=False):
            if not UNHEARD.search(piece.text) or re.search(cw.TIE, piece.text, re.IGNORECASE):
                found += _verdict(piece, before.text if before else "")
    return [verdict for verdict in found if verdict.firm] or found


MARKER = re.compile(r"\[(?:Speech\s?([AB])|Tie)\]", re.IGNORECASE)
OVERALL = re.compile(
    r"\b(?:overall|on balance|all in all|in sum|altogether|as a whole|on the whole|in total|MOS)\b", re.IGNORECASE
)
SURELY = re.compile(r"\b(?:preferred|preference|winner|ties?|tied)\b", re.IGNORECASE)
"""Words of a verdict even in a sentence that is about one dimension."""
THEREFORE = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|accordingly) (?:\w+ )?(?:better|preferable|ahead)\b", re.I
)
QUALITY = re.compile(r"\b(?:quality|score|rating|recording|clip|choice|impression|favou?r|speaks?)\b", re.IGNORECASE)
IN_WHICH = re.compile(r"\bin\W*$", re.IGNORECASE)
OWN_PART = re.compile(r"\b[AB]'s\b")
"""Before "the better one": it is a part of the clip."""


def _verdict(piece: Piece, before: str) -> Iterator[Verdict]:
    """What a piece prefers; `before` is the text of the piece before it."""
    text = piece.text
    dimensional = any(m.dimension for m in scan(text)) or bool(cw.OWN.search(text))
    overall = bool(OVERALL.search(text))
    tie = _tie(text, dimensional, overall)
    if tie:
        yield tie
        if tie.claimed:
            return
    named = [mention for mention in mentions(text) if not owns(text, mention)]
    elliptic = re.search(r"(?<!\bit )\b(?:is|does|has|not|n't)\W*$", text)  # "A is hardly noisy, but B is"
    cut = piece.heads and not re.search(r"\b(?:winner|preference|choice|better one)\b", before, re.IGNORECASE)
    if piece.subject and named and not cut and not elliptic and not cw.FILLER.sub("", CLIP.sub("", text)):
        yield Verdict(piece.subject, True, text.strip(), firm=True)
        return
    prefer = re.search(rf"\b(?:{cw.PREFER})\b", text, re.IGNORECASE)
    plain = r"prefer|choose|go with|opt for|vote|winner|verdict" + ("" if OWN_PART.search(text) else "|the better")
    plainly = bool(prefer and re.search(plain, prefer[0], re.IGNORECASE)) or bool(THEREFORE.search(text))
    worse = re.search(rf"\b(?:{cw.WORSE})\b", text, re.IGNORECASE)
    match = prefer or worse or re.search(rf"\b(?:{cw.BETTER})\b", text, re.IGNORECASE)
    clip = (_object(text) if prefer else None) or piece.subject
    of_part = (dimensional or (not named and bool(mentions(text)) and not QUALITY.search(text))) and not overall
    if match is None or clip is None or cw.THERE.search(text) or IN_WHICH.search(before) or (of_part and not plainly):
        return
    alone = not cw.FILLER.sub("", CLIP.sub("", text[: match.start()] + text[match.end() :]))
    said = OTHER[clip] if worse and not prefer else clip
    yield Verdict(said, not taken_back(text, match), text.strip(), firm=overall or plainly or alone)


def _tie(text: str, dimensional: bool, overall: bool) -> Verdict | None:
    rest = re.search(lex.EXCEPT, text, re.IGNORECASE) and not overall  # "everything else is equally good"
    tie = None if rest else re.search(cw.TIE, text, re.IGNORECASE)
    if tie and (not dimensional or overall or re.search(r"\b(?:tied?|preference|winner)\b", tie[0], re.I)):
        before = r"\b(?:not|more than|hardly|no|isn't|far from)(?: \w+)?(?: an?)?\s*$"
        return Verdict("tie", not re.search(before, text[: tie.start()], re.IGNORECASE), text.strip(), firm=True)
    if not dimensional and re.search(rf"\b(?:{cw.EVEN})\b", text, re.IGNORECASE):
        return Verdict("tie", True, text.strip(), firm=False)
    return None


def _object(text: str) -> Clip | None:
    """The clip that a preference is for: "I prefer B to A", "A is preferred over B", "preference goes to B"."""
    towards = (
        r"(?:goes? to|preference (?:is )?(?:to|for)|decid\w+ for|vote (?:is |goes )?(?:to|for)|"
        r"opt for|listen(?:ing)? to)\s*(?:the )?$"
    )
    for mention in mentions(text):
        before = text[: mention.start]
        if re.search(towards, before, re.IGNORECASE) or not REFERENCE.search(before):
            return mention.clip
    return None


def verdict_problems(text: str, rows: Mapping[str, Annotation]) -> Iterator[str]:
    right = verdict(rows["A"]["mos"], rows["B"]["mos"])
    stated = verdicts(text)
    rightly = any(found.firm and found.claimed and found.said == right for found in stated)
    for found in stated:  # of two that exclude each other one is misread, unless its words leave no doubt
        if (found.said == right) is not found.claimed and not (rightly and not SURELY.search(found.words)):
            yield f'"{found.words}" says {"" if found.claimed else "not "}{found.said}, but the MOS say {right}'
    if right == "tie" and not re.search(rf"\b(?:{cw.TIED})\b", text, re.IGNORECASE):
        yield "the MOS tie, and the text does not say so"


# --- numbers ------------------------------------------------------------------------------------------------------


def _numbers(sentence: str, parts: list[Piece], rows: Mapping[str, Annotation]) -> Iterator[str]:
    """Each number is the named clip's; of two that are set against each other without names, one is each clip's."""
    numbers = list(ratings_in(sentence))
    named = mentions(sentence)
    subjects = {piece.subject for piece in parts} - {None}
    for place, number in enumerate(numbers):
        name, _ = linked(sentence, number)
        facing = any(_paired(sentence, number, n) for n in numbers[place + 1 : place + 2])
        if (DIFFERENCE.search(sentence[: number.start()]) and not facing) or re.match(
            r"\s*(?:points?|higher|lower|better|worse|more|less|ahead)\b", sentence[number.end() :]
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


def _pair_of(name: str, one: re.Match[str], other: re.Match[str], rows: Mapping[str, Annotation]) -> bool:
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
    facing = r"and|to|versus|vs\.?|against|over|as opposed to|rather than|compared (?:to|with)"
    return bool(re.fullmatch(rf"\W*(?:{facing})?\W*(?:an? |only |just |about )*(?:mos of )?", between, re.IGNORECASE))


BEFORE_OWNER = re.compile(r"\s*(?:out of 5)?\s*(?:for|in|of)\s+(?:the\s+)?(?:\w+\s+)?", re.IGNORECASE)
AFTER_OWNER = re.compile(
    r"(?:'s)?\W*(?:(?:overall|mos|score[sd]?|rating|rated|is|has|gets|at|a|an|of|with|only|just|comes|reaches|in|earns"
    r"|receives|stands)\W*){0,6}",
    re.IGNORECASE,
)


def _owner(sentence: str, number: re.Match[str], named: list[Mention]) -> Clip | None:
    """The clip that a number is tied to by the words between: "3.4 for Speech A", "A scores 3.4", "B (2.1)"."""
    for mention in named:
        if mention.start >= number.end() and BEFORE_OWNER.fullmatch(sentence[number.end() : mention.start]):
            return mention.clip
    for mention in reversed(named):
        if mention.end <= number.start() and AFTER_OWNER.fullmatch(sentence[mention.end : number.start()]):
            return mention.clip
    return None


def number_problems(text: str, rows: Mapping[str, Annotation]) -> Iterator[str]:
    """Numbers that are not the ratings, or the gap of ratings, that they are stated to be."""
    for sentence, parts in split(text):
        yield from _numbers(sentence, parts, rows)
