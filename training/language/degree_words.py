"""The words of amount: how much of a fault, how good a dimension, how loud a voice. See `lexicon`."""

from __future__ import annotations

import re

Interval = tuple[float, float]
"""Categories, 0 (bad) to 4 (excellent), with fractions where a word is vague."""


def any_of(lines: str) -> str:
    """A pattern of all alternatives of a list; the end of a line parts two of them as "|" does."""
    return "|".join(line.strip() for line in lines.strip().splitlines())


def table(text: str) -> list[tuple[list[str], str]]:
    """Rows of "head: alternatives", where indented lines go on with the alternatives → words of the head, pattern."""
    rows = re.split(r"\n(?=\S)", text.strip())
    return [(row.split(": ", 1)[0].split(), any_of(row.split(": ", 1)[1])) for row in rows]


def intervals(text: str) -> tuple[tuple[str, Interval], ...]:
    """A table whose heads are the two ends of an interval."""
    return tuple((pattern, (float(low), float(high))) for (low, high), pattern in table(text))


SOFT = any_of(r"""
    low(?!-| (?:point|frequenc|end|electrical|mains|hum|drone|rumble|murmur|tone|pitch|rate|bit|score|mark))
    (?:quiet(?:ly)?|faint(?:ly)?|soft(?:ly)?|weak|feeble|gentle)(?!-| (?:point|side|spot|link|frequenc|end|place|room
    environment|surroundings|office|setting|moment))
    well (?:below|under|beneath) the (?:voice|speech|words|talker)
""")
"""A fault of a voice or a level, but a small amount of noise."""
UNHEARD = r"inaudible|(?:barely|hardly|scarcely|almost not) audible"
"""Next to no noise; a voice that is far too quiet."""
LOUD = r"loud(?:ly)?|high|roaring|shouting"
"""A large amount of noise; of a voice nothing is claimed ("too loud" is a flaw)."""
TOO = any_of(r"""
    too|overly|(?:excessive|uncomfortab|unpleasant|annoying|unduly|unnecessari)ly|painfully|unbearably
    (?:much|far|way|rather|somewhat|slightly|a (?:bit|little|touch|shade|tad)) too
""")
"""Before "loud" or "quiet": a flaw of the level, or a large amount of noise."""

DEGREES = intervals(r"""
0 0.7: (?:almost|nearly|hardly|barely|scarcely|not|cannot|can't|no longer)
     (?:be )?(?:unintelligible|intelligible|understood|understandable|followed)
""") if False else ()
