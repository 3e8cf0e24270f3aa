"""Task templates: audio slots and ratings → token ids; token ids → ratings and prose.

The answer comes first in numbers, then as a list of causes, then in prose:
" 3.4 2.1 4.5 4.0 2.7 packet loss hum\n<prose><|im_end|>". A rating is *one* token (" 3.4", 41 of them from 1.0 to 5.0),
so its whole distribution is read in one step and its expectation needs no branching over a unit digit. A cause is one
token too, and the newline ends the list: a cause costs one step, and the end of a list without prose none. `Program` is
what the engine runs for one request (`program.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from tokenizers import Tokenizer

from sqe_fast.answer.argument import conclusion, outline
from sqe_fast.answer.causes import END, Causes
from sqe_fast.answer.follows import BEGIN, WRITTEN, Follows, pieces
from sqe_fast.answer.program import Force, List, Program, Read, Spell, Step, Write
from sqe_fast.answer.scale import NUMBER_TOKENS, NUMBER_VALUES, number_index, shown
from sqe_fast.answer.stock import Stock
from sqe_fast.results import RATINGS, Ratings, Winner

Rated = Mapping[str, float] | Ratings
"""The five ratings of a clip, by name."""

AUDIO_TOKEN = "<|AUDIO|>"
AUDIO_BOS, AUDIO_EOS = "<|audio_bos|>", "<|audio_eos|>"
IM_START, IM_END, END_OF_TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
VERDICTS: dict[Winner, str] = {"A": "[SpeechA]", "B": "[SpeechB]", "tie": "[Tie]"}
AHEAD = (1.0, -1.0, 0.0)
"""How far A is ahead, by verdict."""
SPECIAL_TOKENS = (END_OF_TEXT, IM_START, IM_END, AUDIO_BOS, AUDIO_EOS, AUDIO_TOKEN, *VERDICTS.values())

TEMPLATE, CAUSES_TEMPLATE = "numbers-first", "numbers-causes"
"""The answer templates: numbers, then prose; or, with a stock, a list of causes between them. A checkpoint names the
one that it was trained with."""

_UNFIT = re.compile(r"[\d\ufffd]")
"""What the text of a prose token must not hold."""

NEWLINE = "\n"

RATE_TASK = "Rate this speech."
COMPARE_TASK = "Which speech is better?"


def cause_tokens(causes: Causes) -> tuple[str, ...]:
    """The texts that a tokenizer must hold as one token each: those of `causes.entries`."""
    return tuple(NEWLINE if name == END else f" {name}" for name in causes.entries)


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all of them begin with."""
    columns = zip(*sequences, strict=False)
    return next((place for place, tokens in enumerate(columns) if len(set(tokens)) > 1), 0)


def _reading(
    name: str,
    candidates: tuple[tuple[int, ...], ...],
    values: tuple[float, ...],
    then: tuple[tuple[Step, ...], ...] = (),
    error: float = 0.0,
) -> Read | Spell:
    """In one pass where every candidate is one token."""
    if all(len(candidate) == 1 for candidate in candidates):
        return Read(name, tuple(candidate[0] for candidate in candidates), values, then, error)
    return Spell(name, candidates, values, then, error)


class PromptBuilder:
    """The templates of one checkpoint, bound to its tokenizer and to its stock. Without a stock there is no list.

    A tokenizer without our answer tokens spells ratings and verdicts in several: with it, too, a model is served, and
    more passes read a rating; to be trained it needs them (`python -m training adopt`).

    Raises ValueError where the tokenizer does not hold a cause or a marker as one token, or spells ratings unevenly.
    """

    def __init__(self, tokenizer: Tokenizer, stock: Stock | None = None, written: Sequence[str] = ()) -> None:
        """`written` are texts of the model's own, to draft from."""
        self.tokenizer = tokenizer
        self.stock = stock
        self.written = tuple(written)
        self.template = TEMPLATE if stock is None else CAUSES_TEMPLATE
        self.audio_token_id = self._single(AUDIO_TOKEN)
        self.stop = self._single(IM_END)
        self._numbers = tuple(map(self.encode, NUMBER_TOKENS))
        self._verdicts = {verdict: self.encode(token) for verdict, token in VERDICTS.items()}
        self._before_number = _common(self._numbers)
        self._number_marks = frozenset(number[self._before_number] for number in self._numbers)
        """By which a number is known in prose: itself, or its first digit."""
        marks = [tokenizer.decode([mark], skip_special_tokens=False) for mark in self._number_marks]
        if not all(any(map(str.isdigit, mark)) for mark in marks):
            raise ValueError("the tokenizer must hold each rating as one token, or spell all of them by their digits")
        self.full_stop = self._single(".")
        self._newline = self._single(NEWLINE)
        self._list = None if stock is None else List(stock.causes, tuple(map(self._single, cause_tokens(stock.causes))))
        self.cause_ids: Mapping[str, int] = {} if self._list is None else self._list.token
        """Of every name that a list may hold, and of its end."""
        errors = {"mos": 0.0 if stock is None else stock.mos_error}
        self._reads = tuple(
            _reading(name, self._numbers, NUMBER_VALUES, error=errors.get(name, 0.0)) for name in RATINGS
        )
        self.prose_ids = self._prose_ids()
        self._reason_ids = self.prose_ids - self._number_marks

    def _single(self, token: str) -> int:
        ids = self.encode(token)
        if len(ids) != 1:
            raise ValueError(f"the tokenizer must hold {token!r} as one token to serve the {self.template!r} template")
        return ids[0]

    def _prose_ids(self) -> frozenset[int]:
        """Tokens of plain text: no marker, no lone byte of a character, which would decode to U+FFFD, and no digit but
        in a number token: no number can get into the prose that is not one of the ratings."""
        marker_ids = {self.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        marker_ids |= {id for id, token in self.tokenizer.get_added_tokens_decoder().items() if token.special}
        ids = sorted(set(self.tokenizer.get_vocab(with_added_tokens=True).values()) - marker_ids)
        texts = self.tokenizer.decode_batch([[id] for id in ids], skip_special_tokens=False)
        words = {id for id, text in zip(ids, texts, strict=True) if text and not _UNFIT.search(text)}
        return frozenset(words | self._number_marks)

    @cached_property
    def number_ids(self) -> tuple[int, ...]:
        """One for each of the numbers. Raises ValueError where the tokenizer spells them."""
        return tuple(map(self._single, NUMBER_TOKENS))

    @cached_property
    def verdict_ids(self) -> Mapping[Winner, int]:
        """Raises ValueError where the tokenizer spells them."""
        return {verdict: self._single(token) for verdict, token in VERDICTS.items()}

    @cached_property
    def follows(self) -> Follows | None:
        """What prose is drafted from; None where the checkpoint has nothing to count."""
        texts = [((BEGIN, *self.encode(text), self.stop), WRITTEN) for text in self.written]
        phrases = [] if self.stock is None else [(self.encode(text), 1) for text in pieces(self.stock.phrases.fields)]
        return Follows([*texts, *phrases], self._number_marks) if texts or phrases else None

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def number_id(self, value: float) -> int:
        """The token of a rating, rounded to 0.1 and clipped to 1.0–5.0. Raises ValueError where there are several."""
        return self.number_ids[number_index(value)]

    def number(self, value: float) -> tuple[int, ...]:
        """The tokens of a rating, rounded and clipped so."""
        return self._numbers[number_index(value)]

    # --- prompts and answers, shared with training -----------------------------------------------------------------

    def turn(self, user: Sequence[int]) -> tuple[int, ...]:
        """A user's turn and the opening of the assistant's. Ends in a newline, so no answer token can merge into it."""
        return (
            *self.encode(f"{IM_START}user\n"),
            *user,
            *self.encode(f"{IM_END}\n{IM_START}assistant\n"),
        )

    def slot(self, count: int) -> tuple[int, ...]:
        """The place of one clip's `count` audio embeddings."""
        return (*self.encode(AUDIO_BOS), *[self.audio_token_id] * count, *self.encode(AUDIO_EOS))

    def rate_prompt(self, audio_token_count: int) -> tuple[int, ...]:
        return self.turn((*self.slot(audio_token_count), *self.encode(f"\n{RATE_TASK}")))

    def compare_prompt(self, audio_tokens_a: int, audio_tokens_b: int) -> tuple[int, ...]:
        return self.turn(
            (
                *self.encode("A:"),
                *self.slot(audio_tokens_a),
                *self.encode("\nB:"),
                *self.slot(audio_tokens_b),
                *self.encode(f"\n{COMPARE_TASK}"),
            )
        )

    def line(self, ratings: Rated) -> tuple[int, ...]:
        """The five numbers of a ratings line, in the order of `RATINGS`."""
        return tuple(token for name in RATINGS for token in self.number(ratings[name]))

    def listing(self, causes: Sequence[str] = ()) -> tuple[int, ...]:
        """The list of what is named after a line, and its end: " packet loss hum\\n". Names that may not follow those
        before them are left out (`Causes.remaining`)."""
        if self._list is None:
            return (self._newline,)
        names = (*self._list.causes.listable(causes), END)
        return tuple(self._list.token[name] for name in names)

    def rate_answer(self, ratings: Rated, description: str, causes: Sequence[str] = ()) -> tuple[int, ...]:
        """Line, list, description, end as token ids."""
        return (*self.line(ratings), *self.listing(causes), *self.encode(f"{description}{IM_END}"))

    def lines(self, a: Rated, b: Rated) -> tuple[int, ...]:
        """Line of A, line of B: what is known before a comparison's verdict."""
        return (*self.line(a), self._newline, *self.line(b), self._newline)

    def compare_answer(self, a: Rated, b: Rated, winner: Winner, reasons: str) -> tuple[int, ...]:
        """What follows the lines: verdict, conclusion, reasons, end."""
        return (*self._verdicts[winner], *self._conclusion(a, b, winner), *self.encode(f" {reasons}{IM_END}"))

    def _conclusion(self, a: Rated, b: Rated, winner: Winner) -> tuple[int, ...]:
        return self.encode(f"\n{conclusion(winner, a['mos'], b['mos'])}")

    # --- programs for the engine -----------------------------------------------------------------------------------

    def rate(self, audio_token_count: int, *, describe: bool) -> Program:
        """Read the five ratings and the list of causes; then, where asked, describe."""
        steps: list[Step] = list(self._reads)
        if self._list is not None:
            steps.append(self._list)
        elif describe:
            steps.append(Force((self._newline,)))
        if describe:
            steps.append(self._write("mos"))
        return Program(self.rate_prompt(audio_token_count), tuple(steps))

    def describe(self, audio_token_count: int, ratings: Ratings, causes: Sequence[str] = ()) -> Program:
        """Describe speech whose ratings and causes are known, such as one window of a recording that was rated as a
        whole."""
        tokens = (*self.rate_prompt(audio_token_count), *self.line(ratings), *self.listing(causes))
        return Program(tokens, (self._write(self.number(ratings.mos)),))

    def compare(
        self, audio_tokens_a: int, audio_tokens_b: int, a: Rated, b: Rated, *, outlined: bool = True
    ) -> Program:
        """Read which of two rated clips is better, then argue for it, whatever the ratings say of it."""
        argued = tuple(
            (Force(self._conclusion(a, b, winner)), self._reasons(a, b, winner, outlined)) for winner in self._verdicts
        )
        verdict = _reading("verdict", tuple(self._verdicts.values()), AHEAD, argued)
        return Program((*self.compare_prompt(audio_tokens_a, audio_tokens_b), *self.lines(a, b)), (verdict,))

    def argue(self, audio_tokens_a: int, audio_tokens_b: int, a: Rated, b: Rated, winner: Winner) -> Program:
        """Argue for a verdict that is known."""
        prompt = (*self.compare_prompt(audio_tokens_a, audio_tokens_b), *self.lines(a, b))
        given = (*self._verdicts[winner], *self._conclusion(a, b, winner))
        return Program((*prompt, *given), (self._reasons(a, b, winner),))

    def _write(self, number: str | tuple[int, ...]) -> Write:
        return Write(
            (number,),
            self.stop,
            self._number_marks,
            self.prose_ids,
            follows=lambda: self.follows,
            before_number=self._before_number,
        )

    def _reasons(self, a: Rated, b: Rated, winner: Winner, outlined: bool = True) -> Write:
        """The reasons, which follow `conclusion` and hold no numbers. What they say of which clip is forced to the
        ratings as the lines show them (`argument.outline`); the model says how it sounds."""
        reasons, weighing = outline(shown(a), shown(b), winner)
        begun = (*(self.encode(f" {reason}") for reason in reasons), self.encode(f" {weighing}{IM_END}"))
        forced = begun if outlined else ()
        return Write((), self.stop, frozenset(), self._reason_ids, forced, self.full_stop, follows=lambda: self.follows)

    def text(self, tokens: Sequence[int]) -> str:
        """Prose from generated token ids."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True).strip()
