"""Prompts, answers and programs: the boundary between what is given and what is generated, and numbers as tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer

from sqe_fast.answer.argument import WEIGHINGS, conclusion
from sqe_fast.answer.causes import END
from sqe_fast.answer.program import Force, List, Read, Write
from sqe_fast.answer.scale import NUMBER_TOKENS, NUMBER_VALUES, verdict
from sqe_fast.answer.template import AUDIO_TOKEN, IM_END, SPECIAL_TOKENS, PromptBuilder, cause_tokens
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.results import RATINGS, Ratings
from tests.support.small_tokenizer import TEXTS, small_tokenizer
from tests.support.stocks import STOCK, causes

A = Ratings(noisiness=1.0, coloration=2.26, discontinuity=3.34, loudness=5.0, mos=2.4, mos_std=0.3)
B = Ratings(noisiness=4.1, coloration=4.2, discontinuity=4.3, loudness=4.4, mos=4.5, mos_std=0.3)
DESCRIPTIONS = (
    *TEXTS[6:10],
    "A hum.\nThen silence.",
    " leading space",
    "the overall quality is poor, with a MOS of 2.4.",
    "I",
)


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(small_tokenizer())


@pytest.fixture(scope="module")
def listing() -> PromptBuilder:
    """Of a checkpoint that lists causes."""
    return PromptBuilder(small_tokenizer(), STOCK)


def test_every_rating_and_marker_is_one_token(prompts: PromptBuilder) -> None:
    """A rating in two tokens has no distribution that one step could read."""
    assert len(NUMBER_TOKENS) == 41
    ids = [prompts.encode(text) for text in (*NUMBER_TOKENS, *SPECIAL_TOKENS)]
    assert all(len(id) == 1 for id in ids)
    assert len(set(ids)) == len(ids)


def test_a_tokenizer_without_the_ratings_is_refused() -> None:
    """A checkpoint of another template that is served all the same."""
    tokenizer = Tokenizer.from_str(small_tokenizer().to_str().replace('" 3.4"', '" 3_4"'))
    with pytest.raises(ValueError, match="each rating as one token, or spell all of them by their digits"):
        PromptBuilder(tokenizer)


def test_every_cause_is_one_token(listing: PromptBuilder) -> None:
    """A cause in two tokens has no probability that one step could read; one without a space merges into a word."""
    texts = cause_tokens(causes())
    assert texts[:2] == (" steady noise", " wind")
    assert texts[-1] == "\n"
    assert {len(listing.encode(text)) for text in texts} == {1}
    [step] = [step for step in listing.rate(3, describe=False).steps if isinstance(step, List)]
    assert step.tokens == tuple(listing.encode(text)[0] for text in texts)


def test_a_tokenizer_without_the_causes_is_refused() -> None:
    """Numbers alone are served without a list; a stock that the tokenizer does not know is not."""
    tokenizer = Tokenizer.from_str(small_tokenizer().to_str().replace('" packet loss"', '" packet-loss"'))
    assert PromptBuilder(tokenizer).template == "numbers-first"
    with pytest.raises(ValueError, match=r"' packet loss' as one token to serve the 'numbers-causes'"):
        PromptBuilder(tokenizer, STOCK)


def test_numbers_are_rounded_and_clipped(prompts: PromptBuilder) -> None:
    """A rating beyond the scale, or rounded down instead of to the nearest."""
    expected = {0.0: " 1.0", 1.04: " 1.0", 1.06: " 1.1", 3.38: " 3.4", 4.96: " 5.0", 7.0: " 5.0"}
    assert {value: prompts.tokenizer.id_to_token(prompts.number_id(value)) for value in expected} == expected


def test_the_line_names_ratings_in_the_models_order(prompts: PromptBuilder) -> None:
    """Coloration and discontinuity change places between published tables."""
    assert RATINGS == ("noisiness", "coloration", "discontinuity", "loudness", "mos")
    assert prompts.tokenizer.decode(list(prompts.line(A))) == " 1.0 2.3 3.3 5.0 2.4"


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_an_answer_never_merges_into_its_prompt(prompts: PromptBuilder, description: str) -> None:
    """A token that spans the boundary is learnt in training, and can never be generated."""
    prompt, answer = prompts.rate_prompt(7), prompts.rate_answer(A, description)
    text = prompts.tokenizer.decode([*prompt, *answer], skip_special_tokens=False)
    assert prompts.encode(text) == (*prompt, *answer)


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_prose_is_learnt_as_it_is_generated(prompts: PromptBuilder, description: str) -> None:
    """Line, newline and prose must be the same tokens whether encoded as one text or given step by step."""
    given = (*prompts.line(A), *prompts.encode("\n"))
    assert prompts.rate_answer(A, description) == (*given, *prompts.encode(description), prompts.stop)
    argued = prompts.compare_answer(A, B, "B", description)
    opening = prompts.encode(f"\n{conclusion('B', A.mos, B.mos)}")
    head = (prompts.verdict_ids["B"], *opening)
    assert argued == (*head, *prompts.encode(f" {description}"), prompts.stop)


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_prose_survives_the_round_trip(prompts: PromptBuilder, description: str) -> None:
    """Numbers dropped as if they were markers, or spaces lost."""
    assert prompts.text((*prompts.encode(description), prompts.stop)) == description.strip()


def test_an_audio_slot_holds_one_token_for_each_embedding(prompts: PromptBuilder) -> None:
    """An embedding too many or too few shifts all that follow."""
    assert prompts.rate_prompt(137).count(prompts.audio_token_id) == 137
    assert prompts.compare_prompt(20, 30).count(prompts.audio_token_id) == 50
    text = prompts.tokenizer.decode(list(prompts.compare_prompt(1, 2)), skip_special_tokens=False)
    assert text.index("A:") < text.index(AUDIO_TOKEN) < text.index("B:") < text.index(AUDIO_TOKEN * 2)


def test_prose_holds_text_and_ratings_only(prompts: PromptBuilder) -> None:
    """A marker, half a character, or a number that is no rating, in a description."""
    assert set(prompts.number_ids) <= prompts.prose_ids
    assert not {prompts.encode(token)[0] for token in SPECIAL_TOKENS} & prompts.prose_ids
    assert set(prompts.encode("clear, with a faint hiss.")) <= prompts.prose_ids
    assert not set(prompts.encode("2024")) & prompts.prose_ids
    lone_byte = prompts.encode("é")[0]
    assert prompts.tokenizer.decode([lone_byte]) == "\ufffd"
    assert lone_byte not in prompts.prose_ids


def test_rating_reads_five_times_and_describes_on_request(prompts: PromptBuilder) -> None:
    """A description written where only scores were asked for; a MOS in it that is not the one read."""
    plain, described = prompts.rate(9, describe=False), prompts.rate(9, describe=True)
    assert [step.name for step in plain.steps if isinstance(step, Read)] == list(RATINGS)
    assert len(plain.steps) == 5
    assert plain.tokens == described.tokens == prompts.rate_prompt(9)
    newline, write = described.steps[5:]
    assert newline == Force(prompts.encode("\n"))
    assert isinstance(write, Write)
    assert write.numbers == ("mos",)
    assert write.stop == prompts.encode(IM_END)[0]


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_causes_stand_between_numbers_and_prose(listing: PromptBuilder, description: str) -> None:
    """A list that training and engine place differently; one whose tokens merge with what stands beside them."""
    answer = listing.rate_answer(A, description, ["packet loss", "hum"])
    text = " 1.0 2.3 3.3 5.0 2.4 packet loss hum\n" + description + IM_END
    assert listing.tokenizer.decode(list(answer), skip_special_tokens=False) == text
    assert listing.encode(text) == answer
    described = listing.describe(9, A, ["packet loss", "hum"])
    assert (*described.tokens, *listing.encode(description), listing.stop) == (*listing.rate_prompt(9), *answer)
    assert listing.rate_answer(A, description) == PromptBuilder(small_tokenizer()).rate_answer(A, description)


def test_a_list_is_read_before_prose(listing: PromptBuilder) -> None:
    """A newline forced behind the list's own; no list where only scores are asked for."""
    plain, described = listing.rate(9, describe=False), listing.rate(9, describe=True)
    assert plain.steps == described.steps[:6]
    assert isinstance(plain.steps[5], List)
    assert plain.steps[5].token[END] == listing.encode("\n")[0]
    [write] = described.steps[6:]
    assert isinstance(write, Write)


def test_a_given_list_holds_what_can_be_read(listing: PromptBuilder, prompts: PromptBuilder) -> None:
    """Prose under a list that the engine never writes; names where the checkpoint knows none."""
    names = ["steady noise", "wind", "hum", "hum"]
    assert listing.tokenizer.decode(list(listing.listing(names))) == " steady noise hum\n"
    assert prompts.listing(names) == prompts.listing() == prompts.encode("\n")


def test_every_program_continues_an_answer_as_it_was_learnt(prompts: PromptBuilder) -> None:
    """A head that training never saw: another order of clips, a missing newline."""
    prose = prompts.encode("Speech A is cleaner than Speech B.")
    describing = prompts.describe(9, A)
    assert (*describing.tokens, *prose, prompts.stop) == (
        *prompts.rate_prompt(9),
        *prompts.rate_answer(A, "Speech A is cleaner than Speech B."),
    )
    [write] = describing.steps
    assert isinstance(write, Write)
    assert write.numbers == ((prompts.number_id(A.mos),),)

    arguing = prompts.argue(3, 4, A, B, "B")
    learnt = (
        *prompts.compare_prompt(3, 4),
        *prompts.lines(A, B),
        *prompts.compare_answer(A, B, "B", "Speech A is cleaner than Speech B."),
    )
    reasons = prompts.encode(" Speech A is cleaner than Speech B.")
    assert (*arguing.tokens, *reasons, prompts.stop) == learnt
    [write] = arguing.steps
    assert isinstance(write, Write)
    assert not write.prose & set(prompts.number_ids), "the conclusion has stated them"
    assert [prompts.text(beginning) for beginning in write.outline] == [
        "On noise, Speech B",  # 3.1 apart
        "On tone, Speech B",  # 1.9
        "On flow, Speech B",  # 1.0; and 0.6 in level, one more than is told
        WEIGHINGS["agree"].format(loser="Speech A"),
    ]
    assert write.full_stop == prompts.encode(".")[0]
    assert write.outline[-1][-2:] == (write.full_stop, prompts.stop)


@pytest.mark.parametrize(
    ("a", "b", "winner"),
    [(3.0, 3.1, "tie"), (3.14, 2.96, "tie"), (3.16, 2.96, "A"), (3.1, 3.3, "B"), (2.25, 2.45, "B"), (5.3, 4.9, "tie")],
)
def test_the_verdict_follows_from_the_numbers_as_they_are_shown(a: float, b: float, winner: str) -> None:
    """ "A MOS of 3.2 against 3.0: neither is preferred", because 3.16 and 2.96 lie less than 0.2 apart."""
    assert verdict(a, b) == winner
    assert verdict(b, a) == {"A": "B", "B": "A", "tie": "tie"}[winner]


def test_an_argument_tells_what_differs_clearly_as_shown(prompts: PromptBuilder) -> None:
    """ "4.7 against 4.7", and yet one of them is said to be ahead; 3.84 and 3.26 shown 0.5 apart and told as a gap."""
    a = Ratings(noisiness=3.84, coloration=2.0, discontinuity=4.71, loudness=4.0, mos=3.0, mos_std=0.3)
    b = Ratings(noisiness=3.26, coloration=2.64, discontinuity=4.74, loudness=2.0, mos=3.1, mos_std=0.3)
    [write] = prompts.argue(3, 4, a, b, "tie").steps
    assert isinstance(write, Write)
    assert [prompts.text(beginning) for beginning in write.outline] == [
        "On level, Speech A",
        "On tone, Speech B",
        "Speech A is better in level and Speech B in tone, which cancel out.",
    ]


def test_whichever_verdict_is_read_is_argued_for(prompts: PromptBuilder) -> None:
    """A verdict for A, and then the sentence for B; another argument than where the verdict is known."""
    asking = prompts.compare(3, 4, A, B)
    [read] = asking.steps
    assert isinstance(read, Read)
    assert asking.tokens == (*prompts.compare_prompt(3, 4), *prompts.lines(A, B))
    for winner, ahead in (("A", 1.0), ("B", -1.0), ("tie", 0.0)):
        known = prompts.argue(3, 4, A, B, winner)  # type: ignore[arg-type]
        place = read.values.index(ahead)
        conclusion, *reasons = read.then[place]
        assert isinstance(conclusion, Force)
        assert (*asking.tokens, read.candidates[place], *conclusion.tokens) == known.tokens
        assert tuple(reasons) == known.steps
    [free] = prompts.compare(3, 4, A, B, outlined=False).steps
    assert isinstance(free, Read)
    assert [step.outline for _, step in free.then if isinstance(step, Write)] == [()] * 3


def test_expectation_spread_and_nearest() -> None:
    """A mode taken for a mean; a spread in squares; ties decided by rounding noise."""
    read = Read("mos", (10, 11, 12), (1.0, 2.0, 3.0))
    mean, std = read.expectation(np.array([0.5, 0.0, 0.5], np.float32))
    assert (mean, std) == (2.0, 1.0)
    assert read.expectation(np.array([0.0, 1.0, 0.0], np.float32)) == (2.0, 0.0)
    assert [read.nearest(value) for value in (0.0, 1.5, 1.51, 9.0)] == [0, 0, 1, 2]
    assert NUMBER_VALUES[0] == 1.0
    assert NUMBER_VALUES[-1] == 5.0


def test_what_a_model_errs_by_widens_its_reading_and_moves_no_rating() -> None:
    """Only the MOS is known to err; its mean and the token that is appended stay."""
    sure, stock = np.eye(41, dtype=np.float32)[20], replace(STOCK, mos_error=0.4)
    program = PromptBuilder(small_tokenizer(), stock).rate(3, describe=False)
    steps = {step.name: step for step in program.steps if isinstance(step, Read)}
    mean, std = steps["mos"].expectation(sure)
    assert (mean, std) == (pytest.approx(3.0), pytest.approx(0.4))
    blurred = steps["mos"].blurred(sure)
    assert blurred.sum() == pytest.approx(1, abs=1e-6)
    assert steps["mos"].expectation(blurred)[1] == pytest.approx(0.4 * 2**0.5, abs=0.01)
    assert blurred @ np.array(steps["mos"].values) == pytest.approx(3.0, abs=1e-4)
    assert np.array_equal(steps["noisiness"].blurred(sure), sure)
    assert steps["noisiness"].expectation(sure)[1] == 0.0


def test_audio_tokens_are_hugging_faces() -> None:
    """A formula off by one at some length shifts every token after the audio."""
    torch = pytest.importorskip("torch")
    from transformers.models.qwen2_audio.modeling_qwen2_audio import Qwen2AudioEncoder

    lengths = torch.arange(3, 3001)
    _, expected = Qwen2AudioEncoder._get_feat_extract_output_lengths(None, lengths)
    assert [audio_tokens(int(length)) for length in lengths] == expected.tolist()


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_too_few_frames_for_one_token_are_refused(frames: int) -> None:
    """An empty slot that prefills without any audio."""
    with pytest.raises(ValueError, match="too few"):
        audio_tokens(frames)
