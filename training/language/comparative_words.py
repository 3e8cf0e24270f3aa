"""How an A/B text compares two clips: the words, as regular expressions without case, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.language.degree_words import any_of
from training.language.marks import Mark, scan
from training.language.mentions import OPENED
from training.language.segments import distance

FARTHEST = 45
"""In characters: how far "better" may stand from the dimension that it is said of."""

MORE, LESS = (
    r"more|stronger|heavier|greater|higher|worse|louder|longer|most|graver|severer|exceeds?",
    r"less|fewer|fainter|milder|lower|smaller|slighter|lighter|rarer|least|weaker",
)
UP: dict[str, str] = {
    "noisiness": r"cleaner|cleanest|quieter background|quieter in the (?:background|pauses)|less noisy",
    "coloration": any_of(r"""
        fuller|los(?:es|t|ing) less of its (?:natural )?(?:tone|sound|timbre|naturalness)|richer|warmer|truer|crisper
        (?:closer|nearer) to (?:the |a )?natural|less (?:distorted|muffled|colou?red)|brighter|clearer timbre
    """),
    "discontinuity": any_of(r"""
        smoother|los(?:es|t|ing) less (?:of its )?(?:words|syllables)|more (?:fluent|continuous)|flows? better
        runs? (?:more )?(?:evenly|smoothly)|flows? more (?:evenly|smoothly|freely)|steadier|hangs together better
        less (?:choppy|broken|interrupted)
    """),
    "loudness": any_of(r"""
        easier (?:one |clip )?to hear|(?:closer|nearer) (?:to )?(?:a |the )?(?:right|ideal|proper|good|normal|better)
        closer to (?:a )?(?:comfortable|the right|the ideal|proper) (?:level|volume|loudness)|more comfortabl[ey]
        better level
    """),
}
DOWN: dict[str, str] = {
    "noisiness": r"noisier|noisiest|dirtier",
    "coloration": any_of(r"""
        duller|narrower|less (?:natural|lifelike|full|clear in tone)|more (?:nasal|robotic|metallic|hollow)|thinner
        los(?:es|t|ing) more of its (?:natural )?(?:tone|sound|timbre|naturalness)|harsher|muddier|rougher|tinnier
        hollower|boxier|more (?:distorted|muffled|colou?red)|suffers in timbre
    """),
    "discontinuity": any_of(r"""
        choppier|los(?:es|t|ing) more (?:of its )?(?:words|syllables)|more (?:broken|interrupted|fragmented|choppy)
        less (?:continuous|smooth|fluent)|bumpier|rougher in flow
        los(?:es|t|ing) (?:(?:many|far|even|much) )?more (?:of them
        packets|frames)|more (?:often|frequently) interrupted|interrupted (?:more|far more|much more)(?: often)?
        breaks? up more|stumbles more|jerkier
    """),
    "loudness": r"harder to hear|fainter|off in level|further from a comfortable|less comfortabl[ey]",
}
OWN = re.compile(rf"\b(?:{'|'.join([*UP.values(), *DOWN.values()])})\b", re.IGNORECASE)
SPEAKS_FOR = any_of(r"""
    favou?rs|speaks? (?:for|in favou?r of)|argues? for|goes? to|belongs? to|(?:lies|is) with|is in favou?r of
    decid\w+ (?:it )?(?:for|in favou?r of)|is where
""")
"""Of a dimension before them, in which the clip after them is ahead."""
BETTER = any_of(rf"""
    better|best|superior|preferable|ahead|wins?|winner|nicer|improved|stronger of the two|beats?|outperforms?
    surpass(?:es)?|has the edge|edges?|advantage|leads(?! (?:of|to))|comes out on top|more pleasant|takes it
    scores higher|rated higher|higher|favou?rs?|outscores?|prevails|(?:small|clear|slight|narrow|big|large|wide) lead
    lesser evil|more convincing|more agreeable
    the upper hand|{SPEAKS_FOR}
""")
WORSE = any_of(r"""
    worse|worst|inferior|behind(?! (?:the|an|it|his|her|every)\b)|falls? behind|poorer|loses?(?= (?:to|out|by|overall
    here|narrowly|clearly|against|in|on)\b|\W*$)|lags?|trails?|falls? short|comes? (?:in )?second|comes off worse
    runner-up|never (?:had|stood|stands) a chance|the lesser of|the weaker|scores lower|rated lower|less pleasant
    disadvantage|less good|more unpleasant|no match for
    (?:the )?lower (?:mos|score|rating|overall|quality|one)
    (?:does|do|can|could)(?:n't| not|not) (?:quite )?(?:reach|match|attain|equal|come (?:close|near)|keep up|measure up
    live up|compete)|(?:not|n't) (?:quite |nearly )?as (?:good|nice|pleasant) as
""")
EQUAL = any_of(r"""
    equal(?:ly)?|similar(?:ly)?|the same(?= (?:in|for|as|here|amount|level|degree)\b|\W)|alike|comparable|comparably
    on a par|on par|identical(?:ly)?
    no (?:clear |real |audible )?difference|level with|(?:do|does) not differ|don't differ|nothing separates
    close (?:together|in)|match(?:es)?|indistinguishable|as \w+ as(?= (?:(?:that|those) of |in )?(?:the other
    (?:speech |clip )?(?-i:[AB]))\b(?! (?:is|was|has)\b))|(?:nothing|little) to choose|much alike
    (?:hardly|barely|scarcely) differ|no (?:dimension|aspect) differs|(?:nothing|little) between
""")
CLEARLY = any_of(r"""
    clearly|much|far|considerably|significantly|markedly|a lot|obviously|way|substantially|by far|vastly|distinctly
    noticeably|decisively|strongly|easily|plainly|by a (?:wide|large|clear) margin|a great deal
""")
WIDELY = r"\bby far\b|\bby a (?:wide|large|clear) margin\b|\ba great deal\b"
SLIGHTLY = any_of(r"""
    slightly|a (?:little|bit|touch|tad|shade|hair)|marginally|barely|narrowly|only just|by a (?:small|narrow|hair)
""")
PREFER = any_of(r"""
    prefer(?:red|s|ence|able)?|rather (?:listen|have|hear|take|keep)|choose|choice|pick(?! (?:out|up))|favou?red?
    go with|opt for|recommend|take|vote for|decid\w+ (?:it |the matter )?(?:for|in favou?r)|my vote|verdict|winner|wins
    comes out on top|settle (?:on|for)|settles (?:it|the matter)|goes? to|comes? (?:out )?first|keep|rank\w* first
    the better (?:one|clip|recording|speech|sample|of the two)|should be kept|on top
""")
TIE = any_of(r"""
    (?<!has )neither (?:(?!and\b)\w+ ){0,3}(?:preferred|preferable|better|wins|winner|ahead|best|comes out)
    prefer neither|\bties?\b
    \btied\b|no (?:clear )?(?:preference|winner)|dead heat|toss-?up|draw\b|too close|cannot (?:choose|decide
    separate|say which|tell which)|(?:can't|couldn't|cannot|could not|unable to|impossible to
    hard to) (?:\w+ )?(?:pick|name|declare|find|choose|separate)(?: out)? (?:a|the|any) (?:\w+ )?(?:winner
    favou?rite|better one|preference)|can't (?:choose|decide|separate)|could not (?:choose|decide)|(?:either
    both) (?:\w+ ){0,2}(?:equally|as) (?:good|well|bad)|equally (?:good|bad|preferred)|on a par overall
    no difference (?:overall|in (?:overall )?quality)|overall,? (?:there is )?no difference|(?:nothing
    little) to choose|same (?:overall )?(?:quality|mos|score)
    hard to (?:choose|separate)|(?:values|scores|MOS|ratings)(?: values| scores)? (?:are|is) (?:level|equal|the same
    identical|tied)|equal (?:overall|in quality)|nothing between (?:them|the two)
    overall,? (?:they are |quality is |the two are |both are )?(?:equal|the same|on a par|alike)
    would do as well|no reason to prefer|^\W*neither\W*$|(?:choose|pick|take|recommend) neither|\[tie\]
""")
VERBS = any_of(r"""
    beats?|wins?|outperforms?|surpass(?:es)?|edges?|leads|outscores?|loses?|lags?|trails?|takes it|best|ahead|higher
""")
"""A dimension counts beside these only where they say "in" or "on" it."""
NO_COMPARISON = any_of(r"""
    (?:a (?:bit|little|touch) )?more than (?:that|this|one|an?|enough|once|half|just|the others?)|more or less
    more often than not|no more than|all the more|most (?:of|users|people|listeners|customers|likely|often)
    at (?:most|least|worst|best)|for the (?:most|better) part|the more so|once more|what's more|what is more
    makes? (?:its|their|the) (?:\w+ ){1,3}?(?:even )?(?:more|less|worse|better)|any ?more|the (?:less|more) said
    nothing more|not more
""")
"""Words of amount that compare no clips."""
EVEN = any_of(r"""
    (?:too|so) (?:near|close) to call|(?:rate|call|rank|score) (?:them|the two|both) (?:as )?(?:equal|even|the same)
    ^\W*(?:both )?(?:equal|even)(?:ly)? at|come (?:out )?even|level at|both (?:get|score|have|reach
    earn)(?:s)? the same|all square|\d\.\d each\b|(?:equal|even)(?=\W*$)|by the same (?:mos|score)
    ^\W*equal(?:ly)?\b
""")
"""Without a dimension beside them, a tie."""
TIED = any_of(r"""
    tie[sd]?|equal\w*|same|identical|even|level|neither|either|winner|preference|prefer|choose|choice|pick|draw
    both|each|decid\w+|close|near|apart|separat\w+|split|toss-?up|match\w*|par|alike|indistinguishable|difference
    nothing between
""")
"""Where none of these stands, no tie is stated, in whatever words."""
THERE = re.compile(
    r"\b(?:there|here|in (?:this|that) (?:respect|regard|dimension|point)|on (?:this|that) \w+)(?=\W*$)", re.I
)
"""In the dimension that was spoken of last: "the level of B pumps, and A is better there"."""

FILLER = re.compile(
    any_of(r"""
    [\W\d]|\b(?:clearly|without|question|doubt|no|contest|by|far|definitely|of|course|then|for|me|again|easily|to
    versus|vs|against|the|my|and|with|mos|so|therefore|thus|hence|answer|overall|verdict|conclusion|final|obviously
    simply|in|short|is|it|here|hands|down|narrowly|just|a|points?|than|speech|on|balance|one|two|clips?|recordings?
    slightly
    much|little|bit|as|result|this|that|makes|consequently|altogether|which|was|be|must|should|out|comes)\b
"""),
    re.IGNORECASE,
)


# --- a text → its comparisons ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """The subject of a piece is ahead (+1), behind (−1) or level (0) in a dimension or, under "mos", as a whole.
    Where that is denied the sign is half: "no better" is behind or level."""

    dimension: str
    sign: float
    clear: bool
    slight: bool
    words: str


def comparisons(text: str, topic: str | None) -> list[Comparison]:
    if topic == "noisiness":
        text = re.sub(r"\bquieter\b", "cleaner", text)
    marks = [m for m in scan(text) if m.kind in ("topic", "fault", "flaw", "merit")]
    text = OF_CLIP.sub("", text)
    text = re.sub(rf"\b(?:{NO_COMPARISON})", lambda match: " " * len(match[0]), text)
    rest = re.sub(OWN, lambda match: " " * len(match[0]), text)
    signs = [*_own_comparatives(text), *_composed(rest, scan(rest))]
    if not signs:
        signs = _general(text, marks, topic)
    clear = _shaded(CLEARLY, text) or bool(re.search(WIDELY, text, re.IGNORECASE))
    clear &= not re.search(r"\b(?:not|no)\b|n't\b", text, re.IGNORECASE)
    slight = _shaded(SLIGHTLY, text)
    return [Comparison(name, sign, clear and not slight, slight, text.strip()) for name, sign in dict.fromkeys(signs)]


OF_CLIP = re.compile(
    r" (?:in|of|from) (?:(?:speech|clip|recording) )?[AB](?= (?:is|are|was|were|sounds?|exceeds)\b)", re.I
)
"""Whose it is that is compared; it only parts the words that belong together."""


def _shaded(words: str, text: str) -> bool:
    """Whether such a word stands before a comparative, rather than before a fault: "a little better"."""
    compared = rf"{BETTER}|{WORSE}|{MORE}|{LESS}|{OWN.pattern}"
    return bool(re.search(rf"\b(?:{words})\s+(?:\w+\s+){{0,1}}?(?:{compared})\b", text, re.IGNORECASE))


def _own_comparatives(text: str) -> Iterator[tuple[str, float]]:
    for table, sign in ((UP, 1), (DOWN, -1)):
        for dimension, pattern in table.items():
            for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
                yield dimension, _turned(sign, text, match)


def _composed(text: str, every: Sequence[Mark]) -> Iterator[tuple[str, float]]:
    """ "Fewer gaps", "more natural", "the noise is stronger": a word of amount beside an anchor."""
    for pattern, sign in ((MORE, 1), (LESS, -1)):
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
            here = Mark(match.start(), match.end(), "", match[0])
            usable = [
                m
                for m in every
                if m.kind in ("fault", "flaw", "merit") and (m.end <= here.start or m.start >= here.end)
            ]
            near = [m for m in usable if distance(text, here, m) <= (25 if m.start > here.start else 16)]
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
    for pattern, sign in ((WORSE, -1), (BETTER, 1), (EQUAL, 0)):
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
    verb = re.fullmatch(VERBS, match[0], re.IGNORECASE)
    between = text[min(match.end(), mark.end) : max(match.start(), mark.start)]
    if len(between) > FARTHEST:
        return False
    verb = re.fullmatch(VERBS, match[0], re.IGNORECASE)
    if mark.end <= match.start() and re.fullmatch(SPEAKS_FOR, match[0], re.IGNORECASE):
        return not re.search(r"[,;:]", between)
    if mark.end <= match.start():
        owned = re.search(r"'s \w+\s*$", text[: match.start()])  # "A's timbre beats that of B"
        return bool(owned or not verb) and not re.search(r"[,;:]|\b(?:and|that|with)\b", between)
    towards = r"\b(?:in|on|regarding|to)\b" if verb else r"\b(?:in|on|for|regarding|to|of)\b(?! its)|^\W*(?:\w+ )?$"
    parted = r"[;:]|\b(?:with|despite|against|because|is|are|was|were|has|have|it)\b"
    return bool(re.search(towards, between)) and not re.search(parted, between)


def _turned(sign: float, text: str, match: re.Match[str]) -> float:
    return -sign / 2 if taken_back(text, match) else sign


def taken_back(text: str, match: re.Match[str]) -> bool:
    before = r"\b(?:not|n't|never|no|hardly)\s+(?:\w+\s+)?$|\b(?:nobody|no one)\b"
    return bool(re.search(before, text[: match.start()], re.IGNORECASE))
