"""A language model proposes wordings for the stock, a person accepts them: candidates are printed, nothing is edited.

A candidate must fit its slot: one clause in the stock's form, which the exact reader would tell from all others.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqe_fast.answer.phrases import Phrases
from sqe_fast.answer.scale import LABELS
from training.configs import Wordings
from training.language.captions import stock
from training.language.paper_prompts import MEANINGS, message
from training.language.writers import Chat, Draw, EndpointChat, Unusable

LONGEST = 12
"""Words of a clause, its cause being one."""
EXAMPLES = 5

_FORM = re.compile(r"[a-z'/ -]*(?:\{cause\}[a-z'/ -]*)?")
_SUBJECT = re.compile(r"\{cause\} (?!can\b)(?![a-z'-]+/)")
_MARKS = re.compile(r"^[\s\d.)*•\"“-]+|[\s.\"”]+$")


@dataclass(frozen=True)
class Slot:
    """Where a clause stands in stock.toml."""

    dimension: str
    category: int
    caused: bool

    @property
    def key(self) -> str:
        return f"[{self.dimension}.{'cause' if self.caused else 'plain'}] {LABELS[self.category]}"

    def phrases(self, phrases: Phrases) -> tuple[str, ...]:
        return (phrases.caused if self.caused else phrases.plain)(self.dimension, self.category)


@dataclass(frozen=True)
class Proposals:
    fitting: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    """(candidate, why it does not fit)."""


def run(config: Wordings) -> str:
    """Ask the endpoint; the candidates, to be read by a person. Raises WriterError where it cannot be asked."""
    slot = Slot(config.dimension, LABELS.index(config.category), config.cause)
    chat = EndpointChat(config.endpoint, config.model, config.api_key_env, timeout_s=120.0, retries=4)
    found = propose(chat, slot, config.count, config.seed)
    lines = [f"{slot.key}: to be read, and copied to stock.toml where they are good English and true", *found.fitting]
    return "\n".join([*lines, *(f"refused: {text}: {why}" for text, why in found.refused)])


def propose(chat: Chat, slot: Slot, count: int, seed: int) -> Proposals:
    """Up to `count` candidates for `slot`, each judged. Raises Unusable for an answer without lines."""
    answer = chat.complete(_messages(slot, count), Draw(1.0, 0.95, 24 * count, seed))
    lines = dict.fromkeys(_MARKS.sub("", line) for line in answer.splitlines())
    candidates = [line[0].lower() + line[1:] for line in lines if line][:count]
    if not candidates:
        raise Unusable("no wording was proposed")
    judged = [(text, refusal(text, slot)) for text in candidates]
    fitting = tuple(text for text, why in judged if why is None)
    return Proposals(fitting, tuple((text, why) for text, why in judged if why is not None))


def refusal(text: str, slot: Slot) -> str | None:
    """Why a clause does not fit a slot; None where it does, by its form. Whether it is true, a person says."""
    if not _FORM.fullmatch(text):
        return "small letters and one {cause} at most, without commas, full stops and figures"
    if ("{cause}" in text) != slot.caused:
        return "it needs one {cause}" if slot.caused else "it must not name a cause"
    if not 3 <= len(text.split()) <= LONGEST:
        return f"{len(text.split())} words, not 3 to {LONGEST}"
    if text.startswith("{cause}") and _SUBJECT.match(text):
        return 'the verb after {cause} needs both numbers: "covers/cover"'
    if text in slot.phrases(stock()):
        return "it is there already"
    return _ambiguity(text, slot)


def _ambiguity(text: str, slot: Slot) -> str | None:
    """What the reader would take `text` for beside its own meaning."""
    other = stock().read(text.replace("{cause}", "this"))
    if other.claims or other.causes:
        return f"a part of it means something already: {other.claims or other.causes}"
    fields = copy.deepcopy(dict(stock().fields))
    fields[slot.dimension]["cause" if slot.caused else "plain"][LABELS[slot.category]].append(text)
    try:
        Phrases(fields, stock().dimension).read("")
    except ValueError as error:
        return str(error)
    return None


def _messages(slot: Slot, count: int) -> Sequence[dict[str, str]]:
    examples = "\n".join(slot.phrases(stock())[:EXAMPLES])
    cause = " Write {cause} where the cause is named." if slot.caused else " Name no cause."
    system = (
        f"You write short clauses about the {slot.dimension} of recorded speech ({MEANINGS[slot.dimension]}), as an "
        f"audio engineer would say them to a colleague. Each says that it is {LABELS[slot.category]}, at most "
        f"{LONGEST} words.{cause} One clause a line, nothing else."
    )
    return [message("system", system), message("user", f"Such as:\n{examples}\nWrite {count} others.")]
