"""What a language model is asked when it writes the corpus, after the procedure of the paper.

The model gets ratings as text and 3 to 5 demonstrations, describes the speech along four dimensions, and ends with the
MOS. For an A/B test it gets two rating tuples, compares one to three
dimensions with an obvious gap and states a preference, which a second call reads back (read_back.py). All wording is
ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqe_fast.answer.argument import ASPECTS, CLEAR_GAP
from sqe_fast.answer.scale import verdict
from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language.captions import WORDS
from training.language.causes import listed
from training.language.demonstrations import Argument, Demonstration
from training.language.scale import LABELS, shown

Message = dict[str, str]
"""{"role": "system" | "user" | "assistant", "content": …}, as chat endpoints and chat templates take it."""

DEMONSTRATIONS = (3, 5)
"""Fewest and most in one prompt (paper)."""

MEANINGS = {
    "noisiness": "background noise or other sounds that are not the talker (1 very noisy, 5 completely clean)",
    "coloration": "distortion of the natural sound of the voice (1 severely distorted, 5 undistorted)",
    "discontinuity": "breaks, stutters and drop-outs (1 severely broken, 5 without a break)",
    "loudness": "perceived volume (1 far from a comfortable level, 5 ideal)",
}


SCALE = "; ".join(f"{name}: {meaning}" for name, meaning in MEANINGS.items())

FIVE = ", ".join(f"{place} {word}" for place, word in enumerate(LABELS, 1))

DESCRIBE_SYSTEM = f"""\
You report on the quality of recorded speech. You are given ratings from 1 to 5, higher is better, each the mean over
several listeners. {SCALE}; overall MOS: the quality as a whole ({FIVE}).
You are also given the known causes of damage, the worst first.

Write {WORDS.start} to {WORDS.stop - 1} words of plain English, short and concrete, as an audio engineer would say it to
a colleague:
- First what hurts most and how badly, then the other dimensions in one sentence. Words have to fit the ratings: near 5
  is a strength, near 3 a moderate fault, near 1 a severe one.
- Name a cause only if it is listed. Where none is listed for a dimension, speak of the dimension itself.
- End with a sentence that states the overall quality in one of the five words and the MOS as the very last figure, with
  one decimal. Write no other figure and no rating of a dimension.
- A single listener never gives a fraction: the MOS is a mean, and is nobody's own vote.
Write the paragraph alone: no heading, no list, no comment on the task."""

HIGHER = {"A": "Speech A has the higher MOS.", "B": "Speech B has the higher MOS.", "tie": "The MOS are a tie."}
PREFERENCES = {
    "A": "All in all, Speech A is preferred.",
    "B": "All in all, Speech B is preferred.",
    "tie": "All in all, neither is preferred.",
}
"""How an argument ends."""

OPENINGS = "; ".join(f'{name}: "{opening} Speech A …" or "{opening} Speech B …"' for name, opening in ASPECTS.items())
ARGUE_SYSTEM = f"""\
You compare two recordings of speech, Speech A and Speech B. Of each you are given ratings from 1 to 5, higher is
better, and the known causes of damage. {SCALE}; overall MOS: the quality as a whole.

Choose the one to three dimensions whose ratings differ most, by more than {CLEAR_GAP} where there are such. Give each
one sentence, the better recording first, which begins with the words given here for its dimension: {OPENINGS}.
Name a cause only for the recording that lists it. If a dimension speaks against the recording with the higher MOS, say
what outweighs it. End with a sentence that prefers the recording with the higher MOS as a whole, for example
"{PREFERENCES["B"]}"; where the MOS differ by no more than 0.1, say instead that neither is preferred. Write no
figures. Write these sentences alone: no heading, no list, no comment on the task."""


def tuple_text(row: Annotation, causes: Sequence[str]) -> str:
    """Ratings to 0.1 and causes, the worst first, as one line."""
    row = shown(row)
    ratings = ", ".join(f"{name} {row[name]:.1f}" for name in DIMENSIONS)
    return f"Ratings: {ratings}, overall MOS {row['mos']:.1f}. Causes: {', '.join(causes) or 'none listed'}."


def describe_messages(row: Annotation, causes: Sequence[str], demonstrations: Sequence[Demonstration]) -> list[Message]:
    """The prompt for a description; demonstrations stand as earlier turns of the same conversation."""
    messages = [message("system", DESCRIBE_SYSTEM)]
    for example in demonstrations:
        messages += [message("user", tuple_text(example.row, listed(example.row))), message("assistant", example.text)]
    return [*messages, message("user", tuple_text(row, causes))]


def argue_messages(a: Annotation, b: Annotation, demonstrations: Sequence[Argument]) -> list[Message]:
    """The prompt for an A/B text; demonstrations stand as earlier turns, each with the preference it leads to."""
    messages = [message("system", ARGUE_SYSTEM)]
    for example in demonstrations:
        one, other = example.a, example.b
        preferred = PREFERENCES[verdict(one["mos"], other["mos"])]
        messages += [message("user", pair_text(one, other)), message("assistant", f"{example.text} {preferred}")]
    return [*messages, message("user", pair_text(a, b))]


def pair_text(a: Annotation, b: Annotation) -> str:
    """Both tuples, and which MOS is the higher."""
    one, other = (tuple_text(row, listed(row)) for row in (a, b))
    return f"Speech A. {one}\nSpeech B. {other}\n{HIGHER[verdict(a['mos'], b['mos'])]}"


def message(role: str, content: str) -> Message:
    """A turn of a conversation."""
    return {"role": role, "content": content}
