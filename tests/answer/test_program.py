"""How an answer grows: choices are taken, what the template forces follows, and training sees which was which."""

import pytest

from sqe_fast.answer.causes import MOST
from sqe_fast.answer.program import MAX_DESCRIPTION_TOKENS, Draft, Force, List, Program, Read, Spell, Write, chosen
from tests.support.stocks import causes

PROMPT = (90, 91)
STOP, FULL_STOP, NUMBERS, WORDS = 1, 2, frozenset({10, 11, 12}), frozenset({2, 10, 11, 12, 20, 21, 22, 23})


def rating(max_tokens: int = 8) -> Program:
    """Two ratings, a newline (30), prose in which a number is the second rating."""
    reads = (Read("one", (10, 11, 12), (1.0, 2.0, 3.0)), Read("two", (10, 11, 12), (1.0, 2.0, 3.0)))
    prose = Write(("two",), STOP, NUMBERS, WORDS, max_tokens=max_tokens)
    return Program(PROMPT, (*reads, Force((30,)), prose))


def arguing(max_tokens: int = 20) -> Program:
    """A verdict (40 or 41), which opens with 50 51 or with 52; then a sentence that begins with 20 21, and an end."""
    outline = ((20, 21), (22, FULL_STOP, STOP))
    reasons = Write((), STOP, frozenset(), WORDS - NUMBERS, outline, FULL_STOP, max_tokens)
    then = ((Force((50, 51)), reasons), (Force((52,)), reasons))
    return Program(PROMPT, (Read("verdict", (40, 41), (1.0, 0.0), then),))


LIST = List(causes(), (*range(60, 72), 30))
"""Its end is the newline."""


def naming() -> Program:
    """A rating, a list, prose in which a number is the rating."""
    prose = Write(("one",), STOP, NUMBERS, WORDS)
    return Program(PROMPT, (Read("one", (10, 11, 12), (1.0, 2.0, 3.0)), LIST, prose))


def tokens(*names: str) -> list[int]:
    return [LIST.token[name] for name in names]


def grown(program: Program, *choices: int) -> list[int]:
    draft = Draft(program)
    for choice in choices:
        assert draft.allows(choice), choice
        draft.take(choice)
    return draft.tokens[len(PROMPT) :]


def test_what_is_forced_follows_by_itself() -> None:
    """A newline left to the model; a number of the prose that is not the rating read."""
    assert grown(rating(), 12, 10) == [12, 10, 30]
    assert grown(rating(), 12, 10, 20, 11, 21, STOP) == [12, 10, 30, 20, 10, 21, STOP]
    assert grown(arguing(), 40) == [40, 50, 51, 20, 21]
    assert grown(arguing(), 41) == [41, 52, 20, 21]
    assert grown(arguing(), 41, 23, FULL_STOP) == [41, 52, 20, 21, 23, FULL_STOP, 22, FULL_STOP, STOP]


def test_text_is_what_was_written_without_its_stop() -> None:
    draft = Draft(rating())
    for choice in (12, 10, 20, 21, STOP):
        assert draft.step is not None
        draft.take(choice)
    assert draft.step is None
    assert draft.text == [20, 21]


def test_a_choice_must_be_allowed() -> None:
    """An empty description; a number in an argument, which has stated them; an end before the outline's."""
    draft = Draft(rating())
    assert [token for token in range(100) if draft.allows(token)] == [10, 11, 12]
    draft.take(10)
    draft.take(11)
    assert {token for token in range(100) if draft.allows(token)} == WORDS
    draft.take(20)
    assert {token for token in range(100) if draft.allows(token)} == WORDS | {STOP}
    argument = Draft(arguing())
    argument.take(40)
    argument.take(23)
    assert {token for token in range(100) if argument.allows(token)} == WORDS - NUMBERS


def test_prose_that_does_not_end_is_full() -> None:
    """Written beyond the positions that were reserved for it; an outline that goes on for ever."""
    draft = Draft(rating(max_tokens=3))
    for choice in (10, 11, 20, 21):
        draft.take(choice)
        assert not draft.full
    draft.take(22)
    assert draft.full
    assert len(draft.tokens) == draft.longest
    in_time = Draft(rating(max_tokens=3))
    for choice in (10, 11, 20, 21, STOP):
        in_time.take(choice)
    assert not in_time.full
    assert in_time.step is None
    outlined = Draft(arguing(max_tokens=5))
    for choice in (40, 23, FULL_STOP):
        outlined.take(choice)
    assert outlined.full
    assert len(outlined.tokens) == len(PROMPT) + 3 + 5


def test_a_list_grows_by_names_and_is_ended() -> None:
    """A name twice, prose before the end, a list that is longer than what was reserved."""
    draft = Draft(naming())
    draft.take(10)
    assert [token for token in range(100) if draft.allows(token)] == sorted(LIST.tokens)
    for name in ("steady noise", "packet loss"):
        draft.take(LIST.token[name])
    assert set(LIST.tokens) - set(draft.candidates) == set(tokens("steady noise", "wind", "water", "packet loss"))
    draft.take(30)
    assert isinstance(draft.step, Write)
    assert grown(naming(), 10, *tokens("hum", "stutter"), 30, 20, 12, STOP)[-4:] == [30, 20, 10, STOP]
    six = tokens("wind", "water", "hum", "clipping", "packet loss", "stutter")
    assert grown(naming(), 10, *six) == [10, *six, 30]
    assert len(six) == MOST
    unclear = tokens("unclear noise", "unclear colour", "unclear flow", "unclear level")
    assert grown(naming(), 10, *unclear) == [10, *unclear, 30], "nothing is left to be named"


def test_the_longest_answer_is_reserved() -> None:
    """Of two branches the longer."""
    assert Draft(rating()).longest == len(PROMPT) + 2 + 1 + 8
    assert Draft(arguing()).longest == len(PROMPT) + 1 + 2 + 20
    assert Draft(naming()).longest == len(PROMPT) + 1 + MOST + 1 + MAX_DESCRIPTION_TOKENS
    shorter = Draft(arguing())
    shorter.take(41)
    assert shorter.longest == len(PROMPT) + 1 + 1 + 20


def test_prose_is_written_again_from_its_beginning() -> None:
    """The ratings and the newline must stay, and so must the outline's first words."""
    draft = Draft(rating())
    for choice in (12, 10, 20, 11):
        draft.take(choice)
    draft.rewrite()
    assert draft.tokens == [*PROMPT, 12, 10, 30]
    draft.take(11)
    assert draft.tokens[-1] == 10
    argument = Draft(arguing())
    for choice in (40, 23, 22):
        argument.take(choice)
    argument.rewrite()
    assert argument.tokens == [*PROMPT, 40, 50, 51, 20, 21]


CHOICES = [
    (rating(), (12, 10, 20, 11, 21, STOP)),
    (rating(), (12, 10, 11, STOP)),
    (arguing(), (40, 23, FULL_STOP)),
    (arguing(), (41, 23, 22, FULL_STOP)),
    (naming(), (12, 30, 20, STOP)),
    (naming(), (12, *tokens("hum", "unclear noise", "packet loss"), 30, 20, 11, STOP)),
    (naming(), (12, *tokens("wind", "water", "hum", "clipping", "packet loss", "stutter"), 20, STOP)),
]


@pytest.mark.parametrize(("program", "choices"), CHOICES)
def test_of_an_answer_the_choices_are_told_from_the_rest(program: Program, choices: tuple[int, ...]) -> None:
    """A forced token that is trained, or a chosen one that is not; a number of the prose is no choice of its value."""
    answer = grown(program, *choices)
    marks = chosen(program, answer)
    kept = [token for token, mark in zip(answer, marks, strict=True) if mark]
    draft, expected = Draft(program), []
    for choice in choices:
        expected += [] if draft.is_number(choice) else [choice]
        draft.take(choice)
    assert kept == expected
    for end in range(len(answer)):
        assert chosen(program, answer[:end]) == marks[:end], "an answer that was cut off"


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_an_answer_off_the_template_is_refused(place: int) -> None:
    """A rating that is none, another newline, a MOS in the prose that is not the one read: the first is named."""
    answer = grown(rating(), 12, 10, 20, 11, 21, STOP)
    answer[place] = 12 if place == 4 else 77
    with pytest.raises(ValueError, match=f"template at token {place}"):
        chosen(rating(), answer)


@pytest.mark.parametrize("names", [("hum", "hum"), ("steady noise", "wind"), ("unclear flow", "stutter")])
def test_a_list_that_could_not_be_written_is_refused(names: tuple[str, str]) -> None:
    """Training on a list that the engine never writes; prose in it."""
    with pytest.raises(ValueError, match="template at token 2"):
        chosen(naming(), [12, *tokens(*names), 30, 20, STOP])
    with pytest.raises(ValueError, match="template at token 1"):
        chosen(naming(), [12, 20, 30, 20, STOP])


def test_nothing_follows_the_end_and_the_outline_is_kept() -> None:
    with pytest.raises(ValueError, match="template at token 4"):
        chosen(rating(), [12, 10, 30, STOP, 20])
    with pytest.raises(ValueError, match="template at token 4"):
        chosen(arguing(), [40, 50, 51, 20, 22])


def test_words_that_the_engine_would_not_choose_are_choices_of_whoever_wrote_them() -> None:
    """The corpus may hold a character that the tokenizer splits into bytes, and be longer than what is served."""
    assert chosen(rating(), [12, 10, 30, 99, STOP]) == (True, True, False, True, True)
    argument = grown(arguing(), 41, 23, 23, 23, FULL_STOP)
    assert chosen(arguing(max_tokens=4), argument) == chosen(arguing(), argument)


SPELT = Spell("one", ((5, 10, 3, 11), (5, 10, 3, 12), (5, 11, 3, 10)), (1.1, 1.2, 2.0))
"""1.1, 1.2 and 2.0, of a space (5), digits (10 to 12) and a point (3)."""


def spelling() -> Program:
    """A number of several tokens, a newline, prose in which a number is that one."""
    prose = Write(("one",), STOP, frozenset({10, 11}), frozenset({2, 5, 10, 11, 20}), before_number=1)
    return Program(PROMPT, (SPELT, Force((30,)), prose))


def test_of_a_number_the_digits_are_chosen_and_the_rest_follows() -> None:
    """A space, the point, and a second digit to which there is no other; in prose all digits but the first."""
    assert grown(spelling()) == [5]
    assert grown(spelling(), 11) == [5, 11, 3, 10, 30]
    assert grown(spelling(), 10) == [5, 10, 3]
    assert grown(spelling(), 10, 12, 20, 5, 11, STOP) == [5, 10, 3, 12, 30, 20, 5, 10, 3, 12, STOP]
    marks = chosen(spelling(), (5, 10, 3, 12, 30, 20, 5, 10, 3, 12, STOP))
    assert [place for place, choice in enumerate(marks) if choice] == [1, 3, 5, 6, 10]
    with pytest.raises(ValueError, match="at token 1"):
        chosen(spelling(), (5, 12, 3, 12))
    assert Draft(spelling()).longest == len(PROMPT) + 4 + 1 + MAX_DESCRIPTION_TOKENS


def test_what_follows_a_spelling_is_its_own() -> None:
    verdict = Spell("verdict", ((40, 41), (40, 42)), (1.0, -1.0), ((Force((50,)),), (Force((51,)),)))
    program = Program(PROMPT, (verdict, Force((30,))))
    assert grown(program, 42) == [40, 42, 51, 30]


def test_a_spelling_that_another_begins_with_is_refused() -> None:
    """Nobody could tell where it ends."""
    for spellings in (((5, 10), (5, 10, 11)), ((5,), (5,)), ((), (5,))):
        with pytest.raises(ValueError, match="begins with another"):
            Spell("one", spellings, (1.0, 2.0))
