"""What can be wrong with a recording, as a listener names it: one word for what sounds alike.

A simulated clip records the causes that were applied; a description may name those and no others. Kinds that nobody
tells apart by ear (white noise and a fan, one kitchen and another) share a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqe_fast.results import DIMENSIONS


@dataclass(frozen=True)
class Kind:
    """One name for a cause, the dimension it lowers, and how it is spoken of."""

    dimension: str
    phrases: tuple[str, ...]
    """Noun phrases that name it, singular, fit for "{cause} covers the voice" and "the voice suffers from {cause}"."""
    pattern: str
    """Regular expression of every wording, seen or not, that claims this cause. Case is ignored."""


KINDS: dict[str, Kind] = {
    "steady noise": Kind(
        "noisiness",
        ("steady hiss", "a constant rush of noise", "broadband noise", "steady background hiss"),
        r"\bhiss\w*|broadband noise|white noise|pink noise|rush of (?:steady )?noise|static\b|steady noise",
    ),
    "hum": Kind("noisiness", ("mains hum", "an electrical hum", "hum"), r"\bhum\b|\bhumming|\bbuzz\w*|\bmains\b"),
    "babble": Kind(
        "noisiness",
        ("babble of other voices", "chatter in the background", "the talk of other people"),
        r"babble|chatter\w*|other (?:voices|people|talkers)|voices in the background|background voices",
    ),
    "street noise": Kind(
        "noisiness",
        ("street noise", "outdoor noise", "the noise of a street"),
        r"street|traffic|outdoor\w*|outside noise|\bcars?\b|\bwind\b",
    ),
    "clatter": Kind(
        "noisiness",
        ("kitchen clatter", "the clatter of dishes", "household clatter"),
        r"clatter\w*|dishes|kitchen|crockery|household",
    ),
    "machine noise": Kind(
        "noisiness",
        ("machine noise", "the drone of a machine", "a motor's whirr"),
        r"machine\w*|motor\b|motor's|engine\b|appliance|\bdrone|\bwhirr?\w*",
    ),
    "room noise": Kind(
        "noisiness",
        ("room noise", "the murmur of a room", "ambient room noise"),
        r"room noise|room tone|murmur|ambient|ambience",
    ),
    "crackle": Kind(
        "noisiness",
        ("crackle on the line", "crackling", "clicks and crackle"),
        r"crackl\w*|\bclick(?:s|ing)?\b|popping",
    ),
    "telephone band": Kind(
        "coloration",
        ("a narrow telephone band", "telephone bandwidth", "the thin band of a telephone"),
        r"telephone|phone(?:-| )band|narrow ?band",
    ),
    "missing treble": Kind(
        "coloration",
        ("missing treble", "a muffled, band-limited sound", "lost high frequencies"),
        r"missing treble|muffl\w*|band-?limit\w*|(?:lost|missing|no|cut) high frequenc\w*|\bdull\w*|treble",
    ),
    "missing bass": Kind(
        "coloration",
        ("missing bass", "a thin sound without low frequencies", "lost low frequencies"),
        r"missing bass|without low frequenc\w*|(?:lost|missing|no|cut) low frequenc\w*|\btinny|\bbass\b",
    ),
    "reverberation": Kind(
        "coloration",
        ("reverberation", "room echo", "a reverberant room"),
        r"reverb\w*|\becho\w*",
    ),
    "clipping": Kind(
        "coloration",
        ("clipping", "overdriven peaks", "overload distortion"),
        r"clipp(?:ing|ed)\b|overdriv\w*|overload\w*",
    ),
    "coding": Kind(
        "coloration",
        ("coding artefacts", "a low-rate codec", "compression artefacts"),
        r"cod(?:ec|ing)\w*|compression|bit ?rate",
    ),
    "grain": Kind(
        "coloration",
        ("grainy distortion", "a grain that follows the speech", "signal-modulated distortion"),
        r"\bgrain\w*|follows the speech|modulated|quanti[sz]\w*|granular",
    ),
    "noise suppression": Kind(
        "coloration",
        ("noise-suppression artefacts", "musical noise from noise suppression", "an aggressive noise suppressor"),
        r"suppress\w*|musical noise|watery|denois\w*",
    ),
    "packet loss": Kind(
        "discontinuity",
        ("packet loss", "lost packets", "gaps from lost packets"),
        r"(?:lost|missing|dropped) packets?|packet loss|loss of packets",
    ),
    "stutter": Kind(
        "discontinuity",
        ("jitter stutter", "stuttering repetition", "stutter"),
        r"stutter\w*|jitter\w*|repeated (?:bits|pieces|syllables)|repetition",
    ),
    "low level": Kind(
        "loudness",
        ("the low level", "too little volume", "the faint level"),
        r"low level|faint level|too little volume|too (?:quiet|soft|faint)|low volume",
    ),
    "high level": Kind(
        "loudness",
        ("the excessive level", "too much volume", "the overbearing level"),
        r"excessive level|overbearing level|too (?:loud|much volume)|high level",
    ),
    "pumping": Kind(
        "loudness",
        ("a pumping level", "unsteady automatic gain", "a level that swells and fades"),
        r"pumping|automatic gain|swells?\b|unsteady (?:level|gain|volume)|level (?:that )?(?:jumps|wanders)",
    ),
}

AUDIBLE = 4.2
"""A cause that alone would leave its dimension above this rating is not heard, and not named."""


def dimension_of(cause: Mapping[str, Any]) -> str:
    """The dimension that the cause of a corpus row acts on."""
    return KINDS[cause["name"]].dimension


def audible(row: Mapping[str, Any], *dimensions: str) -> list[Mapping[str, Any]]:
    """The recorded causes of `dimensions` (none named: of all) that can be heard, the worst first.

    Each holds `name` and `rating`: what its dimension would be rated, were this cause the only one.
    """
    of = dimensions or DIMENSIONS
    heard = [c for c in row["causes"] if dimension_of(c) in of and c["rating"] <= AUDIBLE]
    return sorted(heard, key=lambda cause: float(cause["rating"]))
