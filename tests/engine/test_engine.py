"""The engine on a fake runner whose answers depend on every token and every position of a sequence.

Of several slots one is kept for alerts: a batch has one fewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sqe_fast.answer.program import Force, Program, Read
from sqe_fast.engine.engine import MAX_RIDING, Engine, Priority
from sqe_fast.engine.sequence import TOP_K, Request, Result
from sqe_fast.errors import ErrorCode
from sqe_fast.runners.base import Candidates, Top
from tests.support.fake_runner import AUDIO_TOKEN, FakeRunner, clip
from tests.support.programs import NAMES, NUMBERS, STOP, VALUES, described, rating, reads, saying, write

MIXED = [described(n / 10, max_tokens=3 + 5 * (n % 3), prompt=2 + n % 4) for n in range(9)]
"""Nine requests of different lengths, whose prose the arithmetic ends at random, or the cap."""


def alone(requests: Sequence[Request], runner: FakeRunner) -> list[Result]:
    return [Engine(FakeRunner(1, script=runner.script)).run([request])[0] for request in requests]


def assert_same(left: Result, right: Result) -> None:
    assert left.text_tokens == right.text_tokens
    assert str(left.error) == str(right.error)
    assert list(left.reads) == list(right.reads)
    for name, read in left.reads.items():
        assert read.mean == right.reads[name].mean
        assert np.array_equal(read.probabilities, right.reads[name].probabilities)


def test_a_step_asks_for_what_its_sequence_takes() -> None:
    """Candidates and best tokens both, of which one is thrown away; or either of them for a token that is only fed."""
    runner = FakeRunner(script=saying(20, 21, STOP))
    Engine(runner).run([described(0.3)])
    read, write = Candidates(NUMBERS), Top(TOP_K)
    assert [step.asks for step in runner.prefilled] == [read]
    # The fifth rating is fed together with the newline that is forced behind it.
    assert [step.asks for [step] in runner.decoded] == [*[read] * 4, write, write, write]


def test_five_ratings_cost_four_decode_passes() -> None:
    """A pass that feeds the last rating, which nobody reads on from, would be a fifth; the prefill reads the first."""
    runner = FakeRunner()
    [result] = Engine(runner).run([rating(0.3)])
    assert tuple(result.reads) == NAMES
    assert len(runner.prefilled) == 1
    assert len(runner.decoded) == 4


def test_a_batch_shares_its_passes() -> None:
    """Sequences that take turns instead of sharing passes would need four each."""
    runner = FakeRunner(slots=5)
    Engine(runner).run([rating(n / 10) for n in range(4)])
    assert [len(rows) for rows in runner.decoded] == [4, 4, 4, 4]


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_batched_equals_alone(slots: int) -> None:
    """Tokens fed at a wrong position, a slot mixed up when one leaves, or a neighbour's distribution taken."""
    runner = FakeRunner(slots, script=saying(20, (21, 22, STOP)))
    results = Engine(runner).run(MIXED)
    for batched, single in zip(results, alone(MIXED, runner), strict=True):
        assert_same(batched, single)


def test_a_read_is_the_expectation_over_its_values_and_appends_the_nearest() -> None:
    """An argmax instead of the expectation, or the values in the wrong order."""
    runner = FakeRunner(script=lambda history: (NUMBERS[9], NUMBERS[0]))
    [result] = Engine(runner).run([rating(0.3)])
    best, second = 1 / (1 + np.exp(-0.1)), 1 / (1 + np.exp(0.1))
    mean = best * VALUES[9] + second * VALUES[0]
    assert result.reads["mos"].mean == pytest.approx(mean, abs=1e-5)
    assert result.reads["mos"].std == pytest.approx(np.sqrt(best * second) * (VALUES[9] - VALUES[0]), abs=1e-5)
    assert result.reads["mos"].token == NUMBERS[5]
    assert runner.decoded[0][0].tokens == (NUMBERS[5],)


def test_one_joins_as_soon_as_another_leaves() -> None:
    """A batch that waits until all of its sequences are done would leave slots empty beside a long description."""
    runner = FakeRunner(slots=3, script=saying(*[20] * 9, STOP))
    requests = [described(0.1, max_tokens=12), *[rating(n / 10) for n in range(2, 5)]]
    Engine(runner).run(requests)
    # Four ratings each ride beside the description's 4 + 1 + 9 passes, one after the other: 12 of its 14.
    assert [len(rows) for rows in runner.decoded] == [2] * 12 + [1] * 2


def test_the_last_slot_moves_into_a_hole_with_all_it_holds() -> None:
    """A move of too few positions, or of the finished sequence instead of the last, loses what the last one heard."""
    runner = FakeRunner(slots=4, script=saying(*[20] * 5, STOP))
    requests = [rating(0.1), described(0.2), described(0.3)]
    results = Engine(runner).run(requests)
    held = len(requests[2].program.tokens) + 4  # the fifth rating is not fed yet
    assert runner.moves[0] == (2, 0, held)
    for result, single in zip(results, alone(requests, runner), strict=True):
        assert_same(result, single)


def test_several_leave_at_once() -> None:
    """Holes closed in the wrong order move a finished sequence into the place of a living one."""
    runner = FakeRunner(slots=5, script=saying(*[20] * 5, STOP))
    requests = [rating(0.1), described(0.2), rating(0.3), rating(0.4)]
    results = Engine(runner).run(requests)
    assert runner.moves == [(1, 0, len(requests[1].program.tokens) + 4)]
    for result, single in zip(results, alone(requests, runner), strict=True):
        assert_same(result, single)


def test_results_come_in_the_order_of_the_requests() -> None:
    """Results in the order in which sequences finish would swap a long description and a short rating."""
    requests = [described(0.1), rating(0.2), described(0.3), rating(0.4)]
    results = Engine(FakeRunner(slots=3, script=saying(*[20] * 7, STOP))).run(requests)
    assert [len(result.text_tokens) for result in results] == [7, 0, 7, 0]


def test_first_come_first_served() -> None:
    """A scheduler that prefers short requests would starve a long one."""
    runner = FakeRunner(slots=1)
    Engine(runner).run([rating(n / 10, prompt=5 - n) for n in range(4)])
    assert [len(row.tokens) for row in runner.prefilled] == [9, 8, 7, 6]


def test_who_has_left_leaves_the_slot_too() -> None:
    """A description of 192 tokens written for a caller who no longer listens, and a slot that others wait for."""
    runner = FakeRunner(slots=3, script=saying(*[20] * 5, STOP))
    engine = Engine(runner)
    gone, other = engine.submit(described(0.1)), engine.submit(described(0.2))
    engine.step()
    gone.cancel()
    while engine.busy:
        engine.step()
    assert [len(steps) for steps in runner.decoded][:2] == [2, 1]
    assert other.result().text_tokens == alone([described(0.2)], runner)[0].text_tokens


def test_an_alert_does_not_wait_for_others_to_be_prefilled() -> None:
    """Seven long prompts taken up between an alert's own and its first pass."""
    runner = FakeRunner(slots=4)
    engine = Engine(runner)
    for n in range(3):
        engine.submit(rating(n / 10))
    engine.submit(rating(0.9), Priority.ALERT)
    engine.step()
    assert runner.encoded == [[pytest.approx(0.9)]]
    assert len(runner.decoded) == 1


def test_a_request_that_does_not_fit_is_an_error_and_the_others_are_served() -> None:
    """A sequence that runs over its slot's memory would overwrite its neighbour or crash the batch."""
    fits = described(0.1, max_tokens=10, prompt=5)  # 9 + 5 + 1 + 10
    runner = FakeRunner(max_length=25, script=saying(20, STOP))
    good, bad, also_good = Engine(runner).run([fits, described(0.2, max_tokens=11, prompt=5), rating(0.3)])
    assert good.error is None
    assert also_good.error is None
    assert bad.error is not None
    assert bad.error.code is ErrorCode.TOO_LONG
    assert not bad.reads


def test_numbers_in_the_prose_are_forced() -> None:
    """Prose that states another MOS than the rating that was read."""
    runner = FakeRunner(script=saying(20, NUMBERS[0], 21, NUMBERS[9], STOP))
    [result] = Engine(runner).run([described(0.5)])
    mos = result.reads["mos"].token
    assert result.text_tokens == (20, mos, 21, mos)
    assert mos not in (NUMBERS[0], NUMBERS[9])


def test_the_kth_number_is_the_kth_of_the_list_and_the_last_repeats() -> None:
    """All numbers forced to the first, or a third one left to the model."""
    program = Program((1, 2, 7), (write(NUMBERS[3], NUMBERS[6]),))
    runner = FakeRunner(script=saying(NUMBERS[0], NUMBERS[0], 20, NUMBERS[0], STOP))
    [result] = Engine(runner).run([Request(program, ())])
    assert result.text_tokens == (NUMBERS[3], NUMBERS[6], 20, NUMBERS[6])


def test_a_number_where_none_is_given_stays() -> None:
    """An empty list of numbers must not be indexed."""
    runner = FakeRunner(script=saying(20, NUMBERS[4], STOP))
    [result] = Engine(runner).run([Request(Program((1, 7), (write(),)), ())])
    assert result.text_tokens == (20, NUMBERS[4])


def test_forced_tokens_are_fed_before_the_next_read() -> None:
    """A forced token skipped, or read from the distribution before it instead of after."""
    read = Read("after", NUMBERS, VALUES)
    forced = Request(Program((1, 2, 3), (Force((4, 5)), read)), ())
    plain = Request(Program((1, 2, 3, 4, 5), (read,)), ())
    runner = FakeRunner()
    with_force, without = Engine(runner).run([forced, plain])
    assert with_force.reads["after"].mean == without.reads["after"].mean
    assert not runner.decoded


def test_forced_tokens_between_reads_ride_in_one_decode_pass() -> None:
    """A pass for each row's forced token, beside a batch that decodes anyway, costs more than it saves."""
    steps = (*reads()[:1], Force((4, 5)), *reads()[1:2])
    runner = FakeRunner(slots=4)
    requests = [Request(Program((1, n), steps), ()) for n in (10, 11, 12)]
    results = Engine(runner).run(requests)
    assert len(runner.prefilled) == 3
    assert [[len(step.tokens) for step in steps] for steps in runner.decoded] == [[3, 3, 3]]
    assert [rows[0].asks for rows in runner.decoded] == [Candidates(NUMBERS)]
    first = results[0].reads[NAMES[0]].token
    [expected] = Engine(FakeRunner()).run([Request(Program((1, 10, first, 4, 5), tuple(reads()[1:2])), ())])
    assert results[0].reads[NAMES[1]].mean == expected.reads[NAMES[1]].mean


def test_many_forced_tokens_are_prefilled() -> None:
    """A page of forced text fed token by token."""
    page = tuple(10 + n % 20 for n in range(MAX_RIDING + 4))
    runner = FakeRunner()
    [result] = Engine(runner).run([Request(Program((1, 2), (*reads()[:1], Force(page), *reads()[1:2])), ())])
    assert len(runner.decoded) == 1
    assert [row.past for row in runner.prefilled] == [0, 2]
    first = result.reads[NAMES[0]].token
    [expected] = Engine(FakeRunner()).run([Request(Program((1, 2, first, *page), tuple(reads()[1:2])), ())])
    assert result.reads[NAMES[1]].mean == expected.reads[NAMES[1]].mean


def test_a_final_force_costs_no_pass() -> None:
    """Feeding what nobody reads on from."""
    runner = FakeRunner()
    Engine(runner).run([Request(Program((1, 2), (*reads()[:1], Force((4, 5)))), ())])
    assert not runner.decoded


def test_embeddings_must_fill_the_audio_tokens() -> None:
    """One clip's embeddings sliding into the next one's place."""
    request = Request(Program((1, AUDIO_TOKEN, AUDIO_TOKEN), tuple(reads())), (clip(0.5),))
    with pytest.raises(ValueError, match="2 audio tokens, but 3 audio embeddings"):
        Engine(FakeRunner()).run([request])


def test_two_clips_fill_the_audio_tokens_in_order() -> None:
    """A comparison that hears B in A's place."""
    program = Program((1, *[AUDIO_TOKEN] * 3, 2, *[AUDIO_TOKEN] * 3), tuple(reads()[:1]))
    runner = FakeRunner()
    Engine(runner).run([Request(program, (clip(0.25), clip(0.75)))])
    assert runner.memory[0][1] == pytest.approx(-1.25)
    assert runner.memory[0][5] == pytest.approx(-1.75)


def test_prompts_are_prefilled_together_as_far_as_they_fit() -> None:
    """Of prompts of 6 to 9 tokens three in a call of 30, and no fewer than one in any."""
    runner = FakeRunner(slots=9, prefill_tokens=24)
    results = Engine(runner).run(MIXED)
    assert runner.prefills[:3] == [3, 3, 2]
    for together, single in zip(results, alone(MIXED, runner), strict=True):
        assert_same(together, single)
    few = FakeRunner(slots=9, prefill_tokens=2)
    Engine(few).run(MIXED)
    assert set(few.prefills) == {1}


def test_who_is_done_by_a_prefill_leaves_no_hole() -> None:
    """Requests of one read each, between others that go on: their slots are free at once."""
    runner = FakeRunner(slots=9, prefill_tokens=1_000)
    requests = [Request(Program((1, n), tuple(reads()[: 1 + n % 3])), ()) for n in range(8)]
    results = Engine(runner).run(requests)
    assert runner.prefills[0] == 8
    assert runner.moves
    for together, single in zip(results, alone(requests, runner), strict=True):
        assert_same(together, single)


def test_an_alert_is_the_last_of_its_prefill() -> None:
    runner = FakeRunner(slots=9, prefill_tokens=1_000)
    engine = Engine(runner)
    for n in range(4):
        engine.submit(described(n / 10))
    engine.submit(described(0.9), Priority.ALERT)
    engine.step()
    assert runner.prefills == [1]
    engine.step()
    assert runner.prefills == [1, 4]


def test_what_many_are_forced_to_say_is_prefilled_together() -> None:
    page = tuple(10 + n % 20 for n in range(MAX_RIDING + 4))
    runner = FakeRunner(slots=4, prefill_tokens=1_000)
    steps = (*reads()[:1], Force(page), *reads()[1:2])
    requests = [Request(Program((1, n), steps), ()) for n in (10, 11, 12)]
    results = Engine(runner).run(requests)
    assert runner.prefills == [3, 3]
    for together, single in zip(results, alone(requests, runner), strict=True):
        assert_same(together, single)


def test_a_prefill_that_fails_is_that_of_all_who_were_in_it_and_of_nobody_else() -> None:
    """Slots that stay taken, or a request that waited lost with them."""

    class Forgetful(FakeRunner):
        def prefill(self, steps, audio):
            if len(self.prefills) == 1:
                self.prefills.append(0)
                raise MemoryError("device lost")
            return super().prefill(steps, audio)

    engine = Engine(Forgetful(slots=9, prefill_tokens=24))
    futures = [engine.submit(request) for request in MIXED]
    while engine.busy:
        engine.step()
    for future in futures[3:6]:
        with pytest.raises(MemoryError, match="device lost"):
            future.result(timeout=0)
    kept = [0, 1, 2, 6, 7, 8]
    for place, single in zip(kept, alone([MIXED[place] for place in kept], FakeRunner()), strict=True):
        assert_same(futures[place].result(timeout=0), single)


class Failing(FakeRunner):
    """Its decoder fails when the budget is used up."""

    budget = 3

    def decode(self, rows):
        self.budget -= 1
        if self.budget == 0:
            raise MemoryError("device lost")
        return super().decode(rows)


def test_a_pass_that_fails_is_that_of_all_who_were_in_it_and_of_nobody_else() -> None:
    """An exception swallowed in the loop, or a request that was still waiting lost with it."""
    engine = Engine(Failing(slots=3))
    futures = [engine.submit(request) for request in MIXED[:4]]
    while engine.busy:
        engine.step()
    for future in futures[:2]:
        with pytest.raises(MemoryError, match="device lost"):
            future.result(timeout=0)
    for future, single in zip(futures[2:], alone(MIXED[2:4], FakeRunner()), strict=True):
        assert_same(future.result(timeout=0), single)


@pytest.mark.parametrize(("slots", "prefill_tokens"), [(3, 1), (5, 1_000)])
def test_a_clip_that_cannot_be_encoded_is_that_of_one_request(slots: int, prefill_tokens: int) -> None:
    """A clip that the encoder cannot take, and the whole batch lost with it."""

    class Picky(FakeRunner):
        def encode(self, clips):
            if any(float(log_mel.mean()) == 0.75 for log_mel, _ in clips):
                raise RuntimeError("not this one")
            return super().encode(clips)

    engine = Engine(Picky(slots=slots, prefill_tokens=prefill_tokens))
    requests = [rating(0.25), rating(0.75), rating(0.5)]
    futures = [engine.submit(request) for request in requests]
    while engine.busy:
        engine.step()
    with pytest.raises(RuntimeError, match="not this one"):
        futures[1].result(timeout=0)
    for index in (0, 2):
        assert_same(futures[index].result(timeout=0), alone([requests[index]], FakeRunner())[0])


def test_run_leaves_nothing_behind_when_the_runner_fails() -> None:
    """Requests of a failed call that are served on behalf of the next one."""
    runner = Failing(slots=2)
    engine = Engine(runner)
    with pytest.raises(MemoryError):
        engine.run(MIXED[:5])
    before = len(runner.prefilled)
    [result] = engine.run([rating(0.4)])
    assert len(runner.prefilled) == before + 1
    assert_same(result, alone([rating(0.4)], FakeRunner())[0])


def test_cancelled_requests_go_and_the_others_stay() -> None:
    """A dropped iterator whose sequences keep their slots for ever, or one that takes its neighbours along."""
    engine = Engine(FakeRunner(slots=4, script=saying(*[20] * 5, STOP)))
    futures = [engine.submit(described(n / 10)) for n in range(6)]
    engine.step()
    for index in (0, 1, 4):
        futures[index].cancel()
    while engine.busy:
        engine.step()
    assert [future.cancelled() for future in futures] == [True, True, False, False, True, False]
    singles = alone([described(n / 10) for n in (2, 3, 5)], FakeRunner(script=saying(*[20] * 5, STOP)))
    for index, single in zip((2, 3, 5), singles, strict=True):
        assert_same(futures[index].result(timeout=0), single)


def test_an_alert_is_not_kept_by_the_batch() -> None:
    """A thousand requests in front of the one that cannot wait: it is prefilled next, and decoded in the same step."""
    runner = FakeRunner(slots=4, script=saying(*[20] * 5, STOP))
    engine = Engine(runner)
    batch = [engine.submit(rating(n / 1000)) for n in range(1000)]
    engine.step()
    prefilled = len(runner.prefilled)
    alert = engine.submit(described(0.5), Priority.ALERT)
    engine.step()
    assert len(runner.prefilled) == prefilled + 1
    assert len(runner.decoded[-1]) == 4
    for _ in range(11):  # four more ratings, a newline, five words and the stop
        engine.step()
    assert_same(alert.result(timeout=0), alone([described(0.5)], runner)[0])
    assert sum(future.done() for future in batch) < 12


def test_the_statistics_count_what_happened() -> None:
    """A trace that flatters: passes, tokens and memory must be those that the runner saw."""
    runner = FakeRunner(slots=3, script=saying(20, 21, STOP))
    engine = Engine(runner)
    engine.run([described(0.1), described(0.2), rating(0.1)])
    stats = engine.meter.read()
    assert stats.encoded_clips == len(runner.encoded) == 2
    assert stats.encoder_cache_hits == 1
    assert stats.prefill_tokens == sum(len(row.tokens) for row in runner.prefilled)
    assert stats.decode_steps == len(runner.decoded)
    assert stats.decode_tokens == sum(len(step.tokens) for rows in runner.decoded for step in rows)
    assert stats.decode_rows == stats.decode_tokens
    assert stats.kv_bytes == 10 * 2 * (9 + 5 + 1 + 2)
    assert min(stats.encode_ms, stats.prefill_ms, stats.decode_ms) > 0
