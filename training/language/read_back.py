"""Free English, checked by the language model that reads it back: which categories, causes and verdict a text claims.

The exact reader knows the stock's words alone. What a language model wrote of a clip is read by one at temperature 0,
which sees the text and no ratings, and answers in JSON; that is compared with the ratings and with the listed causes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqe_fast.answer import argument
from sqe_fast.answer.scale import LABELS, verdict
from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language.causes import KINDS
from training.language.paper_prompts import SCALE, Message, message
from training.language.problems import Problem
from training.language.scale import fits, shown
from training.language.writers import Chat, Draw, Unusable

GREEDY = Draw(temperature=0.0, top_p=1.0, max_tokens=192, seed=0, json=True)

CATEGORIES = ", ".join(f"{place} {name}" for place, name in enumerate(LABELS, 1))
CAUSES = ", ".join(KINDS)

READ_SYSTEM = f"""\
You are given a description of recorded speech. Say what it claims, as one JSON object and nothing else:
{{"noisiness": 1-5, "coloration": 1-5, "discontinuity": 1-5, "loudness": 1-5, "causes": [], "mos": 1.0-5.0}}
{SCALE}. For each dimension give the category that the words speak of: {CATEGORIES}; null where they don't speak of it.
"causes" lists what is said to be wrong, by these names alone: {CAUSES}; empty where nothing is named.
"mos" is the number that is stated, null where there is none."""

READ_PAIR_SYSTEM = f"""\
You are given a comparison of two recordings, Speech A and Speech B. Say what it claims, as one JSON object and nothing
else: {{"verdict": "A", "B" or "tie", "ahead": {{"noisiness": "A" or "B", …}}, "causes": {{"A": [], "B": []}}}}
{SCALE}. "ahead" holds, for each dimension that is compared, the speech that is said to be better in it, and no others.
"causes" lists what is said to be wrong with either, by these names alone: {CAUSES}; empty where nothing is named."""


class ReadBack:
    """Judges texts by what `chat` reads in them. Raises Unusable for an answer that is no such JSON, WriterError where
    asking again is of no use."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat

    def of_description(self, text: str, row: Annotation, listed: Collection[str]) -> list[Problem]:
        """As `problems.of_description`, for any words."""
        claimed = self._read(READ_SYSTEM, text, {*DIMENSIONS, "causes", "mos"})
        return list(_of_description(claimed, shown(row), listed))

    def of_argument(
        self, text: str, a: Annotation, b: Annotation, listed: tuple[Collection[str], Collection[str]]
    ) -> list[Problem]:
        """As `problems.of_argument`, for any words; of the obvious gaps it may speak of some."""
        claimed = self._read(READ_PAIR_SYSTEM, text, {"verdict", "ahead", "causes"})
        return list(_of_argument(claimed, shown(a), shown(b), listed))

    def _read(self, system: str, text: str, keys: Collection[str]) -> Mapping[str, Any]:
        messages: Sequence[Message] = [message("system", system), message("user", text)]
        answer = self.chat.complete(messages, GREEDY)
        try:
            claimed = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
        except ValueError as error:
            raise Unusable(f"read back as {answer.strip()[:60]!r}, which is no JSON object") from error
        if not keys <= set(claimed):
            raise Unusable(f"read back without {sorted(set(keys) - set(claimed))}")
        return dict(claimed)


def _of_description(claimed: Mapping[str, Any], row: Annotation, listed: Collection[str]) -> Iterator[Problem]:
    for name in DIMENSIONS:
        category = claimed[name]
        if category is None:
            yield Problem("form", f"{name} is not spoken of")
        elif category not in (1, 2, 3, 4, 5) or not fits(int(category) - 1, row[name]):
            yield Problem("words", f"{name} is read as {category!r}, and is {row[name]:.1f}")
    yield from _of_causes(claimed["causes"], listed, "")
    if claimed["mos"] != row["mos"]:
        yield Problem("numbers", f"the MOS is read as {claimed['mos']!r}, and is {row['mos']:.1f}")


def _of_argument(
    claimed: Mapping[str, Any], a: Annotation, b: Annotation, listed: tuple[Collection[str], Collection[str]]
) -> Iterator[Problem]:
    decided = verdict(a["mos"], b["mos"])
    if claimed["verdict"] != decided:
        yield Problem("verdict", f"the verdict is read as {claimed['verdict']!r}, and is {decided}")
    told, causes = claimed["ahead"], claimed["causes"]
    if not isinstance(told, dict) or not isinstance(causes, dict):
        raise Unusable("read back without dimensions, or without the causes of either speech")
    gaps = argument.gaps(a, b)
    for name, clip in told.items():
        if name not in DIMENSIONS or a[name] == b[name] or clip != argument.ahead(name, a, b):
            yield Problem("words", f"in {name} {clip!r} is read to be ahead, which the ratings don't say")
    if gaps and not set(gaps) & set(told):
        yield Problem("form", f"none of the obvious gaps {gaps} is spoken of")
    for clip, of_clip in zip("AB", listed, strict=True):
        yield from _of_causes(causes.get(clip, []), of_clip, f" of Speech {clip}")


def _of_causes(names: Any, listed: Collection[str], whose: str) -> Iterator[Problem]:
    if not isinstance(names, list):
        raise Unusable(f"the causes were read back as {names!r}, which is no list")
    for name in names:
        if name not in listed:
            yield Problem("causes", f"{name!r} is read{whose}, and not listed")
