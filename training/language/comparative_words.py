"""The words by which an A/B text compares two clips, and prefers one. Regular expressions; case is ignored."""

from __future__ import annotations

import re

MORE, LESS = (
    r"more|stronger|heavier|greater|higher|worse|louder|longer|most|graver",
    r"less|fewer|fainter|milder|lower|smaller|slighter|lighter|rarer|least",
)
UP: dict[str, str] = {
    "noisiness": r"cleaner|cleanest|quieter background|quieter in the (?:background|pauses)|less noisy",
    "coloration": (
        r"fuller|los(?:es|t|ing) less of its (?:natural )?(?:tone|sound|timbre|naturalness)|(?:closer|"
        r"nearer) to (?:the |a )?natural|richer|warmer|truer|crisper|less (?:distorted|muffled|"
        r"colou?red)|brighter|clearer timbre"
    ),
    "discontinuity": (
        r"smoother|los(?:es|t|ing) less (?:of its )?(?:words|syllables)|more (?:fluent|continuous)|"
        r"flows? better|runs? (?:more )?(?:evenly|smoothly)|steadier|hangs together better|"
        r"less (?:choppy|broken)"
    ),
    "loudness": (
        r"easier (?:one |clip )?to hear|(?:closer|nearer) (?:to )?(?:a |the )?(?:right|ideal|proper|good|normal|"
        r"better)|closer to (?:a )?(?:comfortable|the right|the ideal|proper) (?:level|volume|"
        r"loudness)|more comfortabl[ey]|better level"
    ),
}
DOWN: dict[str, str] = {
    "noisiness": r"noisier|noisiest|dirtier",
    "coloration": (
        r"duller|narrower|less (?:natural|lifelike|full|clear in tone)|more (?:nasal|robotic|metallic|"
        r"hollow)|los(?:es|t|ing) more of its (?:natural )?(?:tone|sound|timbre|naturalness)|thinner|"
        r"harsher|muddier|rougher|tinnier|hollower|boxier|more (?:distorted|muffled|colou?red)|"
        r"suffers in timbre"
    ),
    "discontinuity": (
        r"choppier|los(?:es|t|ing) more (?:of its )?(?:words|syllables)|more (?:broken|interrupted|"
        r"fragmented)|less continuous|bumpier|rougher in flow|los(?:es|t|ing) (?:many |far |even |"
        r"much )?more (?:of them|packets|frames)|more (?:often interrupted|frequently interrupted)|"
        r"breaks? up more|stumbles more|jerkier"
    ),
    "loudness": r"harder to hear|fainter|off in level|further from a comfortable|less comfortabl[ey]",
}
OWN = re.compile(rf"\b(?:{'|'.join([*UP.values(), *DOWN.values()])})\b", re.IGNORECASE)
BETTER = (
    r"better|best|superior|preferable|ahead|wins?|winner|nicer|improved|stronger of the two|"
    r"beats?|outperforms?|surpass(?:es)?|has the edge|edges?|advantage|leads(?! (?:of|to))|"
    r"comes out on top|more pleasant|takes it|scores higher|rated higher|higher|favou?rs?|"
    r"outscores?|more agreeable|the upper hand"
)
WORSE = (
    r"worse|worst|inferior|behind(?! (?:the|a|an|it|his|her|every)\b)|poorer|loses?(?= (?:to|out|by|"
    r"overall|here|narrowly|clearly|against|in|on)\b|\W*$)|"
    r"lags?|trails?|falls? short|comes? (?:in )?second|comes off worse|runner-up|the weaker|scores lower|rated lower|"
    r"less pleasant|disadvantage|less good|more unpleasant"
)
EQUAL = (
    r"equal(?:ly)?|similar(?:ly)?|the same|alike|comparable|comparably|on a par|on par|"
    r"identical(?:ly)?|no (?:clear |real |audible )?difference|level with|(?:do|does) not differ|"
    r"don't differ|nothing separates|close (?:together|in)|match(?:es)?|indistinguishable|"
    r"as (?:\w+) as|nothing to choose|much alike|hardly differ|barely differ|no (?:dimension|"
    r"aspect) differs"
)
CLEARLY = (
    r"clearly|much|far|considerably|significantly|markedly|a lot|obviously|way|substantially|"
    r"by far|vastly|distinctly|noticeably|decisively|strongly|easily|plainly|by a (?:wide|large|"
    r"clear) margin|a great deal"
)
WIDELY = r"\bby far\b|\bby a (?:wide|large|clear) margin\b|\ba great deal\b"
SLIGHTLY = (
    r"slightly|a (?:little|bit|touch|tad|shade|hair)|marginally|barely|narrowly|only just|by a (?:small|narrow|hair)"
)
PREFER = (
    r"prefer(?:red|s|ence|able)?|rather (?:listen|have|hear|take|keep)|choose|choice|pick(?! (?:out|up))|"
    r"favou?red?|go with|opt for|recommend|take|"
    r"vote for|decid\w+ for|my vote|verdict|winner|wins|comes out on top|settle (?:on|for)|"
    r"goes? to|the better (?:one|clip|recording|speech|sample|of the two)|comes? (?:out )?first|"
    r"keep|rank\w* first|should be kept|on top"
)
TIE = (
    r"neither (?:\w+ ){0,3}(?:preferred|preferable|better|wins|winner|ahead|best|comes out)|"
    r"prefer neither|\bties?\b|\btied\b|no (?:clear )?(?:preference|winner)|dead heat|toss-?up|"
    r"draw\b|too close|cannot (?:choose|decide|separate|say which|tell which)|(?:can't|couldn't|"
    r"cannot|could not|unable to|impossible to|hard to) (?:\w+ )?(?:pick|name|declare|find|choose|"
    r"separate)(?: out)? (?:a|the|any) (?:\w+ )?(?:winner|favou?rite|better one|preference)|"
    r"can't (?:choose|"
    r"decide|separate)|could not (?:choose|decide)|(?:either|both) (?:\w+ ){0,2}(?:equally|"
    r"as) (?:good|well|bad)|equally (?:good|bad|preferred)|on a par overall|"
    r"no difference (?:overall|in (?:overall )?quality)|nothing to choose|"
    r"same (?:overall )?(?:quality|mos)|hard to (?:choose|separate)|(?:values|scores|MOS|"
    r"ratings)(?: values| scores)? (?:are|is) (?:level|equal|the same|identical|tied)|equal (?:overall|in quality)|"
    r"overall (?:they are |quality is )?(?:equal|the same|on a par|alike)|would do as well|"
    r"no reason to prefer|neither\b(?=[.,]?$)|\[tie\]"
)
VERBS = (
    r"beats?|wins?|outperforms?|surpass(?:es)?|edges?|leads|outscores?|loses?|lags?|trails?|"
    r"favou?rs?|takes it|best|ahead|higher"
)
"""A dimension counts beside these only where they say "in" or "on" it."""
NO_COMPARISON = (
    r"(?:a (?:bit|little|touch) )?more than (?:that|this|one|an?|enough|once|half|just|the others?)|"
    r"more or less|more often than not|no more than|"
    r"all the more|most (?:of|users|people|listeners|customers|likely|often)|at (?:most|least|worst|"
    r"best)|for the (?:most|better) part|"
    r"the more so|once more|what's more|what is more|any ?more|the (?:less|more) said|nothing more|not more"
)
"""Words of amount that compare no clips."""
EVEN = (
    r"(?:too|so) (?:near|close) to call|(?:rate|call|rank|score) (?:them|the two|both) (?:as )?(?:equal|even|the same)|"
    r"^\W*(?:both )?(?:equal|even)(?:ly)? at|come (?:out )?even|level at|both (?:get|score|have|"
    r"reach|earn)(?:s)? the same|all square|"
    r"\d\.\d each\b|(?:equal|even)(?=\W*$)|by the same (?:mos|score)|^\W*equal(?:ly)?\b"
)
"""Without a dimension beside them, a tie."""
TIED = (
    r"tie[sd]?|equal\w*|same|identical|even|level|neither|either|winner|preference|prefer|choose|"
    r"choice|pick|draw|close|near|apart|separat\w+|split|toss-?up|match\w*|par|alike|"
    r"indistinguishable|difference"
)
"""Where none of these stands, no tie is stated, in whatever words."""


FILLER = re.compile(
    r"[\W\d]|\b(?:clearly|without|question|doubt|no|contest|by|far|definitely|of|course|then|for|"
    r"me|again|easily|to|versus|vs|against|the|my|and|with|mos|"
    r"so|therefore|thus|hence|answer|overall|verdict|conclusion|final|obviously|simply|in|short|"
    r"is|it|here|hands|down|narrowly|just|a|points?|than|speech|on|balance)\b",
    re.IGNORECASE,
)
