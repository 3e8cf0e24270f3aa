"""What a description says beside what its row says: words, order, causes and numbers.

Ratings are compared as shown, to 0.1. A text is objected to only where its words cannot fit: a vague word gets its
whole range and `scale.SLACK` on top. `row` is a shown row throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language import lexicon as lex
from training.language.causes import KINDS
from training.language.degree_words import any_of
from training.language.marks import scan
from training.language.reading import Claim, Reading
from training.language.scale import LABELS, SLACK
from training.language.segments import sentences

ORDER_SLACK = 0.4
"""A dimension this near to the lowest may be called the worst."""
FAULTLESS = 3.5 - SLACK
"""What all is well of is rated at least this."""
DENIED = 3.5
"""A recorded cause that alone gives at most this cannot be denied."""
HALF_STEP = 0.05 + 1e-6
"""Numbers that differ by less are the same to 0.1."""


# --- words --------------------------------------------------------------------------------------------------------


def agrees(claim: Claim, row: Annotation) -> bool:
    """Whether the rating, or what the named cause alone would be rated, lies in the claimed categories."""
    low, high = claim.interval
    ratings = [row[claim.dimension], *(c["rating"] for c in row["causes"] if c["name"] == claim.cause)]
    return any(low + 0.5 - SLACK - 1e-9 <= rating - 0 and rating <= high + 1.5 + SLACK + 1e-9 for rating in ratings)


def excludes(claim: Claim, other: Claim) -> bool:
    """Whether two claims on a dimension cannot both hold. One of them is misread then, and a fitting one counts."""
    (low, high), (least, most) = claim.interval, other.interval
    return claim.dimension == other.dimension and (high < least or most < (low + high) / 2)


def word_problems(found: Reading, row: Annotation, *, mos_stated: bool = False) -> Iterator[str]:
    """`mos_stated` says that the text gives the MOS in figures, and rightly."""
    right = [claim for claim in found.claims if agrees(claim, row)]
    for claim in found.claims:
        if mos_stated and claim.vague and claim.dimension == "mos":
            continue
        if claim not in right and not any(excludes(claim, other) for other in right):
            low, high = (LABELS[round(min(max(category, 0), 4))] for category in claim.interval)
            fits = low if low == high else f"{low} to {high}"
            yield f'"{claim.words}" says {fits} of {claim.dimension}, which is {row[claim.dimension]:.1f}'


def order_problems(found: Reading, row: Annotation) -> Iterator[str]:
    """Claims that one dimension is the worst, or is not."""
    for dimension, is_worst, words in found.worst:
        others = min(row[name] for name in DIMENSIONS if name != dimension)
        margin = row[dimension] - others
        if (margin if is_worst else -margin) > ORDER_SLACK + 1e-6:
            yield f'"{words}" {"makes" if is_worst else "does not make"} {dimension} the worst, against its ratings'


def cause_problems(found: Reading, row: Annotation) -> Iterator[str]:
    recorded = {cause["name"]: cause["rating"] for cause in row["causes"]}
    for name, claimed, words in found.causes:
        if claimed and name not in recorded and not _own_words(name, row):
            yield f'"{words}" names {name}, which is not recorded'
        if not claimed and recorded.get(name, 5.0) <= DENIED:
            yield f'"{words}" is denied, but {name} is recorded'


def _own_words(name: str, row: Annotation) -> bool:
    """ "Too quiet" is what a low rating of loudness means, cause or not, unless another cause of it is recorded."""
    others = any(KINDS[cause["name"]].dimension == "loudness" for cause in row["causes"])
    return name == "low level" and not others and bool(row["loudness"] < DENIED + SLACK)


def sweeping(text: str) -> Iterator[tuple[str, bool]]:
    """(words, whether all dimensions are meant, or the rest) of each claim in a sentence that names no dimension."""
    for pattern, scope in lex.WHOLE:
        for match in re.finditer(rf"\b(?:{pattern})", text, re.IGNORECASE):
            if scope == "rest" or not _about_some(text, match):
                yield match[0], scope == "all" and not re.search(lex.EXCEPT, text, re.IGNORECASE)


def sweeping_problems(text: str, found: Reading, row: Annotation) -> Iterator[str]:
    """ "A flawless clip" speaks of all dimensions, "the only flaw" of those that no other clause finds fault with."""
    faulted = {claim.dimension for claim in found.claims if claim.interval[1] < 4}
    faulted |= {KINDS[name].dimension for name, claimed, _ in found.causes if claimed}
    for sentence in sentences(text):
        for words, everywhere in sweeping(sentence):
            for name in DIMENSIONS:
                if row[name] < FAULTLESS and (everywhere or name not in faulted):
                    yield f'"{words}" cannot be said with {name} at {row[name]:.1f}'
            if everywhere and row["mos"] < FAULTLESS:
                yield f'"{words}" cannot be said with a MOS of {row["mos"]:.1f}'


def _about_some(text: str, match: re.Match[str]) -> bool:
    """Whether a sweeping phrase goes on to name what it is about: "no fault can be found in the timbre"."""
    before = re.split(r"[.,;:!?]", text[: match.start()])[-1]
    after = re.split(r"[.;:!?]", text[match.end() :])[0][:60]
    return any(mark.kind in ("topic", "fault") for mark in scan(f"{before} | {after}"))


# --- numbers ------------------------------------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)?(?![\w]|[.,]\d)")
SCALE = re.compile(
    (
        r"(?:out of|of|/|from|scale of|between|to|-|–)\s*(?:a (?:maximum|"
        r"possible) )?[15]\b(?!\.\d)(?:\s*(?:to|-|–|and)\s*5\b)?"
    ),
    re.IGNORECASE,
)
ABOUT = re.compile(
    r"\b(?:about|around|nearly|roughly|close to|almost|some|approximately|near|just (?:over|under))\s*(?:a )?$", re.I
)
BOUNDS = {
    "above": 1,
    "over": 1,
    "more than": 1,
    "at least": 1,
    "exceeds": 1,
    "below": -1,
    "under": -1,
    "less than": -1,
    "at most": -1,
}
LINK = re.compile(
    r"\W*(?:(?:is|are|was|were|at|of|scores?|scored|gets?|earns?|rated?|rating|comes?|stands?|in|"
    r"out|a|an|only|just|about|around|"
    r"with|score|reaches|value|itself|here|equals|lies|sits|dimension|being|has|receives|given|a\s)\W*){0,5}",
    re.IGNORECASE,
)
BACKLINK = re.compile(r"\s*(?:out of 5|/5)?\s*(?:for|in|on)\s+(?:the\s+)?(?:\w+\s+)?", re.IGNORECASE)
UNITS, DIGITS = "one two three four five", "zero one two three four five six seven eight nine"


FIGURES = 10
"""A number from here on is a frequency, a level or a count."""


def spelt(text: str) -> str:
    """The text with "two point four" and "three and a half" in digits, so that no number hides in words."""
    unit, digit = "|".join(UNITS.split()), "|".join(DIGITS.split())

    def point(match: re.Match[str]) -> str:
        return f"{DIGITS.split().index(match[1].lower())}.{DIGITS.split().index(match[2].lower())}"

    text = re.sub(rf"\b({unit}) point ({digit})\b", point, text, flags=re.IGNORECASE)
    halves = re.sub(
        rf"\b({unit}) and a half\b", lambda m: f"{DIGITS.split().index(m[1].lower())}.5", text, flags=re.IGNORECASE
    )
    return re.sub(r"(\d)½|(\d) 1/2", lambda m: f"{m[1] or m[2]}.5", halves)


def ratings_in(text: str) -> Iterator[re.Match[str]]:
    """The numbers of a text that can be ratings: none with a unit, none that only states the scale."""
    scales = [match.span() for match in SCALE.finditer(text)]
    for match in NUMBER.finditer(text):
        unit = re.match(lex.UNITS, text[match.end() :], re.IGNORECASE)
        ends_scale = any(start < match.start() and match.end() <= end for start, end in scales)
        if not unit and not ends_scale and float(match[0].replace(",", ".")) < FIGURES:
            yield match


def number_problems(text: str, row: Annotation) -> Iterator[str]:
    for sentence in sentences(text):
        for match in ratings_in(sentence):
            name, cause = linked(sentence, match)
            values = [row[name], *(c["rating"] for c in row["causes"] if c["name"] == cause)]
            if not any(same(sentence, match, value) for value in values):
                yield f"{match[0]} is stated of {name}, which is {row[name]:.1f}"


def states_mos(text: str, row: Annotation) -> bool:
    """Whether a number of a text is the MOS."""
    found = ((sentence, match) for sentence in sentences(text) for match in ratings_in(sentence))
    return any(linked(*each)[0] == "mos" and same(*each, row["mos"]) for each in found)


def linked(sentence: str, number: re.Match[str]) -> tuple[str, str | None]:
    """What a number rates: the dimension it is linked to ("noise at 2.1", "2.1 for noise"), else the whole."""
    marks = [m for m in scan(sentence) if m.kind in ("topic", "fault", "flaw", "overall")]
    before = [m for m in marks if m.end <= number.start()]
    if before and before[-1].kind != "overall" and LINK.fullmatch(sentence[before[-1].end : number.start()]):
        return before[-1].dimension, before[-1].cause
    after = next((m for m in marks if m.start >= number.end()), None)
    ends = after is not None and re.match(r"\s*(?:$|[,.;:)]|(?:and|but|which|while|or)\b)", sentence[after.end :])
    if after and ends and after.kind != "overall" and BACKLINK.fullmatch(sentence[number.end() : after.start]):
        return after.dimension, after.cause
    return "mos", None


def same(sentence: str, number: re.Match[str], rating: float) -> bool:
    """Whether a stated number is this rating; "about 4" may be off by one half, "above 3" need only be so."""
    value, before = float(number[0].replace(",", ".")), sentence[: number.start()].lower()
    for words, sign in BOUNDS.items():
        if re.search(rf"\b{words}\s*$", before) and not re.search(rf"\bno {words}\s*$", before):
            return bool(sign * (rating - value) >= -1e-6)
    near = ABOUT.search(before)
    slack = (0.5 if "." not in number[0] else 0.1) if near else 0.0
    return abs(value - rating) <= max(slack, HALF_STEP) + 1e-9


GAVE = any_of(r"""
    gave|gives?|given|rate[sd]?|voted?|votes|scored?|scores|awarded|assigned|put|chose|judged|marked|answered|picked
    call(?:s|ed)|ticked|said|says|wrote|grade[sd]?|settled|handed|considered|thought|deserves?
""")
GIVEN_BY = r"\b(?:(?:ratings?|votes?|scores?|grades?|marks?|opinions?) of|from|by)\s+$"


def listener_problems(text: str) -> Iterator[str]:
    """A single vote is a whole number, only a mean is not."""
    for sentence in sentences(text):
        for who in re.finditer(rf"\b(?:{lex.LISTENER})\b", sentence, re.IGNORECASE):
            for number in NUMBER.finditer(sentence):
                fraction = not float(number[0].replace(",", ".")).is_integer()
                low, high = min(who.end(), number.end()), max(who.start(), number.start())
                between = sentence[low:high]
                around = sentence[max(0, who.start() - 12) : who.end()] + between
                meant = re.search(rf"\b(?:{lex.MEAN})\b", around, re.IGNORECASE)
                gave = re.search(rf"\b(?:{GAVE})\b", who[0] + between, re.IGNORECASE)
                gave = gave or re.search(GIVEN_BY, sentence[: who.start()], re.IGNORECASE)
                role = re.search(r"\bas\s+$", sentence[: who.start()], re.I) and not re.search("single|one", who[0])
                if fraction and len(between) <= 70 and gave and not meant and not role:
                    yield f'"{who[0]}" cannot have given {number[0]}: one vote is a whole number'
