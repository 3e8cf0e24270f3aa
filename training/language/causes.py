"""What can be wrong with a recording, as a listener names it: one word for what sounds alike.

A simulated clip records the causes that were applied; a description may name those and no others. Kinds that nobody
tells apart by ear (white noise and a fan, one kitchen and another) share a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqe_fast.answer import causes
from sqe_fast.results import DIMENSIONS


@dataclass(frozen=True)
class Kind:
    """One name for a cause, the dimension it lowers, and how it is spoken of."""

    dimension: str
    group: str | None
    """The coarser kind that people still tell where they are not sure of this one."""
    phrases: tuple[str, ...]
    """Noun phrases that name it, singular, fit for "{cause} covers the voice" and "the voice suffers from {cause}"."""
    pattern: str
    """Regular expression of every wording, seen or not, that claims this cause. Case is ignored."""


KINDS: dict[str, Kind] = {
    "steady noise": Kind(
        "noisiness",
        None,
        ("steady hiss", "a constant rush of noise", "broadband noise", "steady background hiss"),
        r"\bhiss\w*|broadband noise|white noise|pink noise|rush of (?:steady )?noise|static\b|steady noise",
    ),
    "street noise": Kind(
        "noisiness",
        "steady noise",
        ("street noise", "outdoor noise", "the noise of a street"),
        r"street|traffic|outdoor\w*|outside noise|\bcars?\b|\bwind\b",
    ),
    "machine noise": Kind(
        "noisiness",
        "steady noise",
        ("machine noise", "the drone of a machine", "a motor's whirr"),
        r"machine\w*|motor\b|motor's|engine\b|appliance|\bdrone|\bwhirr?\w*",
    ),
    "wind": Kind(
        "noisiness",
        "steady noise",
        ("wind on the microphone", "gusts of wind"),
        r"\bwind\b|\bgusts?",
    ),
    "water": Kind(
        "noisiness",
        "steady noise",
        ("rain", "running water", "the rush of water"),
        r"\brain\b|\bwater\b|\bwaves\b",
    ),
    "hum": Kind(
        "noisiness",
        None,
        ("mains hum", "an electrical hum", "hum"),
        r"\bhum\b|\bhumming|\bbuzz\w*|\bmains\b",
    ),
    "voices": Kind(
        "noisiness",
        None,
        ("babble of other voices", "chatter in the background", "the talk of other people"),
        r"babble|chatter\w*|other (?:voices|people|talkers)|voices in the background|background voices",
    ),
    "sudden sounds": Kind(
        "noisiness",
        None,
        ("sudden sounds", "bangs and knocks", "single loud noises"),
        r"sudden|\bbangs?\b|\bknocks?\b",
    ),
    "clatter": Kind(
        "noisiness",
        "sudden sounds",
        ("kitchen clatter", "the clatter of dishes", "household clatter"),
        r"clatter\w*|dishes|kitchen|crockery|household",
    ),
    "typing": Kind(
        "noisiness",
        "sudden sounds",
        ("typing", "a keyboard", "key clicks"),
        r"\btyping|keyboard|key clicks",
    ),
    "ticking": Kind(
        "noisiness",
        "sudden sounds",
        ("ticking", "a ticking clock"),
        r"\btick\w*",
    ),
    "animal sounds": Kind(
        "noisiness",
        "sudden sounds",
        ("an animal", "animal sounds"),
        r"\banimals?\b|\bdogs?\b|\bbirds?\b",
    ),
    "crying child": Kind(
        "noisiness",
        "sudden sounds",
        ("a crying child", "a child's crying"),
        r"\bchild\w*|\bbaby",
    ),
    "crackle": Kind(
        "noisiness",
        None,
        ("crackle on the line", "crackling", "clicks and crackle"),
        r"crackl\w*|\bclick(?:s|ing)?\b|popping",
    ),
    "telephone band": Kind(
        "coloration",
        None,
        ("a narrow telephone band", "telephone bandwidth", "the thin band of a telephone"),
        r"telephone|phone(?:-| )band|narrow ?band",
    ),
    "muffled sound": Kind(
        "coloration",
        None,
        ("missing treble", "a muffled, band-limited sound", "lost high frequencies"),
        r"missing treble|muffl\w*|band-?limit\w*|(?:lost|missing|no|cut) high frequenc\w*|\bdull\w*|treble",
    ),
    "thin sound": Kind(
        "coloration",
        None,
        ("missing bass", "a thin sound without low frequencies", "lost low frequencies"),
        r"missing bass|without low frequenc\w*|(?:lost|missing|no|cut) low frequenc\w*|\btinny|\bbass\b",
    ),
    "reverberation": Kind(
        "coloration",
        None,
        ("reverberation", "room echo", "a reverberant room"),
        r"reverb\w*|\becho\w*",
    ),
    "clipping": Kind(
        "coloration",
        None,
        ("clipping", "overdriven peaks", "overload distortion"),
        r"clipp(?:ing|ed)\b|overdriv\w*|overload\w*",
    ),
    "coding": Kind(
        "coloration",
        None,
        ("coding artefacts", "a low-rate codec", "compression artefacts"),
        r"cod(?:ec|ing)\w*|compression|bit ?rate",
    ),
    "grain": Kind(
        "coloration",
        None,
        ("grainy distortion", "a grain that follows the speech", "signal-modulated distortion"),
        r"\bgrain\w*|follows the speech|modulated|quanti[sz]\w*|granular",
    ),
    "noise suppression": Kind(
        "coloration",
        None,
        ("noise-suppression artefacts", "musical noise from noise suppression", "an aggressive noise suppressor"),
        r"suppress\w*|musical noise|watery|denois\w*",
    ),
    "robotic voice": Kind(
        "coloration",
        None,
        ("a robotic voice", "a synthetic sound", "a machine-like voice"),
        r"robot\w*|synthetic|machine-like",
    ),
    "altered pitch": Kind(
        "coloration",
        None,
        ("altered pitch", "an unnatural pitch"),
        r"\bpitch\b",
    ),
    "packet loss": Kind(
        "discontinuity",
        None,
        ("packet loss", "lost packets", "gaps from lost packets"),
        r"(?:lost|missing|dropped) packets?|packet loss|loss of packets",
    ),
    "stutter": Kind(
        "discontinuity",
        None,
        ("jitter stutter", "stuttering repetition", "stutter"),
        r"stutter\w*|jitter\w*|repeated (?:bits|pieces|syllables)|repetition",
    ),
    "cut-off words": Kind(
        "discontinuity",
        None,
        ("cut-off words", "clipped word beginnings", "swallowed word beginnings"),
        r"cut-off|word beginnings|swallowed",
    ),
    "drop-outs": Kind(
        "discontinuity",
        None,
        ("drop-outs", "long silences in the speech", "the line going dead"),
        r"drop-?outs?|going dead|long silences",
    ),
    "skips": Kind(
        "discontinuity",
        None,
        ("skips in time", "stretched and skipped speech"),
        r"\bskip\w*|stretch\w*",
    ),
    "low level": Kind(
        "loudness",
        None,
        ("the low level", "too little volume", "the faint level"),
        r"low level|faint level|too little volume|too (?:quiet|soft|faint)|low volume",
    ),
    "high level": Kind(
        "loudness",
        None,
        ("the excessive level", "too much volume", "the overbearing level"),
        r"excessive level|overbearing level|too (?:loud|much volume)|high level",
    ),
    "uneven level": Kind(
        "loudness",
        None,
        ("a pumping level", "unsteady automatic gain", "a level that swells and fades"),
        r"pumping|automatic gain|swells?\b|unsteady (?:level|gain|volume)|level (?:that )?(?:jumps|wanders)",
    ),
}


def uncalibrated() -> causes.Causes:
    """All of `KINDS`, before validation has said how far the reading of each can be trusted."""
    kinds = tuple(causes.Kind(name, kind.dimension, kind.group) for name, kind in KINDS.items())
    names = (*KINDS, *causes.UNCLEAR.values(), causes.END)
    return causes.Causes(kinds, dict.fromkeys(names, causes.Calibration()))


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
