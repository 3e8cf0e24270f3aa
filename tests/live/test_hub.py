"""Calls stepped by hand on a clock that stands: windows, drops, deadlines, alerts, failures, and how a call ends."""

from __future__ import annotations

import gc
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqe_fast.audio.timeline import Timeline
from sqe_fast.engine.driver import Bell
from sqe_fast.engine.engine import Priority
from sqe_fast.errors import BusyError, ErrorCode, UnusableError
from sqe_fast.live.alarms import Alerting
from sqe_fast.live.events import CallSummary, Event, QualityAlert, QualityRecovered, QualityUpdate
from sqe_fast.live.ring import RING_SECONDS
from sqe_fast.live.track import BACKLOG, Plan
from tests.support.audio_samples import long_speech
from tests.support.fake_evaluator import PROMPTS, fake_evaluator, fake_runner, wait_until
from tests.support.live_calls import CALM, FAINT, LOUD, RATE, SECOND, Room, noise, of, rating_by_level, room

FIVE = Timeline()


def summary(events: list[Event]) -> CallSummary:
    [last] = of(CallSummary, events)
    assert events[-1] is last
    return last


def heard(events: list[Event]) -> list[tuple[object, ...]]:
    """Channel by channel, in the order of the call."""
    updates = sorted(of(QualityUpdate, events), key=lambda each: each.channel or 0)
    return [(each.start, each.end, each.ratings, each.causes, each.flags) for each in updates]


# --- row 28: any pieces, any rate, mono or stereo ---------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 24_000, 48_000]),
    channels=st.sampled_from([1, 2]),
    each=st.booleans(),
    integers=st.booleans(),
    pieces=st.lists(st.integers(1, 100_000), min_size=1, max_size=6),
)
def test_the_pieces_change_nothing(rate: int, channels: int, each: bool, integers: bool, pieces: list[int]) -> None:
    """Windows that depend on how the audio came: one sample at a time, or all at once."""
    samples = np.resize(long_speech(6.37), (round(6.37 * rate), channels)) * np.array([1.0, 0.3])[:channels]
    samples = (samples * 32_767).astype(np.int16) if integers else samples.astype(np.float32)
    runs = []
    for sizes in ([len(samples)], [max(size, 300) for size in pieces]):
        world = room()
        call = world.open(rate, FIVE, each=each)
        start = turn = 0
        while start < len(samples):
            size = sizes[turn % len(sizes)]
            world.push(call, samples[start : start + size])
            world.settle()
            start, turn = start + size, turn + 1
        runs.append(heard(world.close(call)))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 6 * (channels if each else 1)


def test_single_samples() -> None:
    """A piece of one sample that costs a block, or is lost."""
    world = room()
    call = world.open()
    samples = noise(1.2)
    for sample in samples:
        world.push(call, sample[np.newaxis])
    events = world.close(call)
    other = world.open()
    assert heard(events) == heard([*world.say(other, samples), *world.close(other)])


def test_windows_of_all_calls_share_the_passes() -> None:
    """A call that waits until another's window is done."""
    runner = fake_runner(slots=9)
    world = room(runner)
    calls = [world.open() for _ in range(8)]
    for seed, call in enumerate(calls):
        world.push(call, noise(1.0, seed=seed))
    world.settle()
    assert [len(row) for row in runner.decoded] == [8] * 4
    assert all(priority is Priority.STREAM for _, priority, _ in world.driver.submitted)
    assert len({repr(heard(list(call.outbox.drain()))) for call in calls}) == 8


def test_the_mix_is_the_mean_and_each_channel_is_its_own() -> None:
    world = room()
    left, right = noise(1.0, seed=1), noise(1.0, seed=2)
    stereo = np.stack([left, right], 1)
    mean = ((left.astype(np.float64) + right) / 2).astype(np.float32)
    mixed, apart = world.open(), world.open(each=True)
    expected = [heard(world.say(world.open(), samples)) for samples in (mean, left, right)]
    assert heard(world.say(mixed, stereo)) == expected[0]
    events = world.say(apart, stereo)
    assert [event.channel for event in events] == [0, 1]
    assert heard(events) == expected[1] + expected[2]
    assert [each.channel for each in summary(world.close(apart)).channels] == [0, 1]


# --- speech ----------------------------------------------------------------------------------------------------------


def test_windows_without_speech_ask_nothing_and_move_nothing() -> None:
    """A pause that is rated, or that pulls the score down."""
    world = room()
    call = world.open()
    spoken = of(QualityUpdate, world.say(call, noise(2.0)))
    asked = len(world.driver.submitted)
    quiet = of(QualityUpdate, world.say(call, np.zeros(3 * RATE, np.float32)))
    assert len(world.driver.submitted) == asked == 2
    assert [each.flags for each in quiet] == [("silent",)] * 3
    assert all(each.ratings is None and each.score == spoken[-1].score for each in quiet)
    [channel] = summary(world.close(call)).channels
    assert (channel.rated, channel.without_speech, channel.dropped, channel.failed) == (2, 3, 0, 0)


def test_a_mute_is_told_from_the_signal_without_the_model() -> None:
    """An alert that waits for the next window, or for prose."""
    world = room()
    call = world.open(timeline=Timeline(30.0, 30.0))
    world.push(call, noise(1.0))
    world.push(call, np.zeros(2 * RATE, np.float32))
    world.hear()
    [alert] = list(call.outbox.drain())
    assert isinstance(alert, QualityAlert)
    assert (alert.fault, alert.since, alert.at, alert.severity) == ("mute", 1.0, 2.6, "bad")
    assert alert.description == "Since 1.0 s nothing but one and the same sample comes in: the line is muted."
    assert world.driver.submitted == []
    world.push(call, noise(2.0))
    world.hear()
    [over] = list(call.outbox.drain())
    assert isinstance(over, QualityRecovered)
    assert (over.fault, over.since, over.at) == ("mute", 1.0, 3.0)


# --- alerts ----------------------------------------------------------------------------------------------------------


def test_an_alert_tells_what_since_when_and_in_whose_words() -> None:
    world = room(fake_runner(script=rating_by_level()))
    call = world.open(alerting=Alerting(hold=3.0, smoothing=0.0))
    events = world.say(call, np.concatenate([noise(3.0), noise(2.0, FAINT), noise(6.0)]))
    [alert] = of(QualityAlert, events)
    assert (alert.fault, alert.since, alert.at, alert.severity) == ("quality", 3.0, 4.0, "poor")
    assert alert.rating == pytest.approx(1.5)
    assert alert.description.startswith(f"Since 3.0 s {alert.dimension} is poor (1.5). ")
    assert "Packet loss breaks the word" in alert.description
    [over] = of(QualityRecovered, events)
    assert (over.since, over.at) == (3.0, 5.0)
    assert [priority for _, priority, _ in world.driver.submitted].count(Priority.ALERT) == 1
    fourth = next(each for each in of(QualityUpdate, events) if each.start == 3.0)
    assert events.index(alert) < events.index(fourth), "an alert behind the update of its window"
    assert summary(world.close(call)).channels[0].alerts == 1


def test_without_description_nothing_is_written() -> None:
    world = room(fake_runner(script=rating_by_level()))
    call = world.open(alerting=Alerting(), describe=False)
    [alert] = of(QualityAlert, world.say(call, noise(1.0, FAINT)))
    assert alert.description == f"Since 0.0 s {alert.dimension} is poor (1.5)."
    world.close(call)
    assert [priority for _, priority, _ in world.driver.submitted] == [Priority.STREAM]


def test_an_alert_whose_prose_comes_too_late_is_told_by_code() -> None:
    """An alert that is lost because the model was busy."""
    world = room(fake_runner(script=rating_by_level()))
    call = world.open(alerting=Alerting(), deadline=2.0)
    world.push(call, noise(1.0, FAINT))
    world.hear()
    while not any(priority is Priority.ALERT for _, priority, _ in world.driver.submitted):
        world.clock.now -= 100.0  # what is asked from now on is late at once
        world.driver.engine.step()
        world.hear()
    world.settle()
    [alert] = of(QualityAlert, list(call.outbox.drain()))
    assert alert.description == f"Since 0.0 s {alert.dimension} is poor (1.5)."


def test_a_description_on_request() -> None:
    world = room(fake_runner(script=rating_by_level()))
    call = world.open()
    before = call.describe()
    world.say(call, noise(1.0))
    assert before.result(0) is None
    asked = call.describe()
    world.hub.wake(call)
    world.settle()
    assert asked.result(0) == "Packet loss breaks the word, so the overall MOS is 4.5."


def test_what_the_signal_shows_is_told_once() -> None:
    """Two alerts for one clipped second, one by the signal and one by the model's windows that hold it."""
    world = room(fake_runner(script=rating_by_level(loud=1.5, faint=4.5, spared="noisiness")))
    call = world.open(timeline=Timeline(1.5, 0.5), alerting=Alerting(smoothing=0.0))
    bad = np.clip(noise(1.0, 3.0), -1, 1)
    events = world.say(call, np.concatenate([noise(3.0, FAINT), bad, noise(1.0, FAINT)]))
    assert [each.fault for each in of(QualityAlert, events)] == ["clipping"]
    other = world.open(timeline=Timeline(1.5, 0.5), alerting=Alerting(smoothing=0.0))
    events = world.say(other, np.concatenate([noise(3.0, FAINT), noise(1.0), noise(1.0, FAINT)]))
    assert [each.fault for each in of(QualityAlert, events)] == ["quality"]


# --- row 29: overload -------------------------------------------------------------------------------------------------


def test_a_producer_ten_times_too_fast_loses_the_oldest_windows_and_each_is_counted() -> None:
    """Memory that grows; windows that vanish; the newest not scored."""
    world = room()
    call = world.open()
    for second in range(200):
        world.push(call, noise(1.0, seed=second))
        world.hear()
        if second % 10 == 9:
            world.driver.engine.step()  # a tenth of what it would take
    assert len(world.driver.submitted) == 200
    assert sum(world.driver.engine.depth(priority) for priority in Priority) <= 200
    events = world.close(call)
    updates = of(QualityUpdate, events)
    assert sum(1 + each.dropped for each in updates) == 200
    assert len(updates) <= BACKLOG + 20
    assert updates[-1].end == 200.0
    assert updates[0].end < 100.0, "windows that the engine works on are given up, and none is ever finished"
    [channel] = summary(events).channels
    assert (channel.rated, channel.dropped) == (len(updates), 200 - len(updates))


def test_audio_that_the_hub_never_saw_costs_its_windows() -> None:
    """A ring that overflowed: windows of audio from both sides of the gap, or a clock that stands still meanwhile."""
    world = room()
    call = world.open(timeline=FIVE)
    world.say(call, long_speech(7.0))
    world.push(call, long_speech(RING_SECONDS + 10.0))  # 7 to 47 s, of which 17 to 47 remain
    events = world.close(call)
    updates = of(QualityUpdate, events)
    assert updates[0].start >= 17.0
    [channel] = summary(events).channels
    # At 2 to 7 s before the gap, at 19 to 47 s behind it: the backlog keeps the newest.
    assert channel.rated + channel.without_speech + channel.dropped == 46
    assert sum(1 + each.dropped for each in updates) == 40
    assert updates[-1].end == 47.0
    assert summary(events).duration == 47.0


def test_a_window_past_its_deadline_is_given_up() -> None:
    """Old news in front of new."""
    world = room()
    call = world.open(deadline=2.0)
    world.clock.now -= 10.0
    world.push(call, noise(2.0))
    world.hear()
    world.clock.now += 10.0
    world.push(call, noise(1.0, seed=3))
    world.settle()
    [update] = list(call.outbox.drain())
    assert isinstance(update, QualityUpdate)
    assert (update.start, update.dropped) == (2.0, 2)


def test_a_full_engine_costs_windows_and_nothing_else() -> None:
    world = room()
    call = world.open()
    world.driver.failing = BusyError("full")
    assert world.say(call, noise(2.0)) == []
    world.driver.failing = None
    [update] = world.say(call, noise(1.0))
    assert isinstance(update, QualityUpdate)
    assert update.dropped == 2


def test_age_counts_from_the_push() -> None:
    world = room()
    call = world.open()
    world.push(call, noise(1.0))
    world.clock.now += 0.75
    world.settle()
    [update] = list(call.outbox.drain())
    assert isinstance(update, QualityUpdate)
    assert update.age == pytest.approx(0.75)


# --- row 30: ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3, 0.45, 1.0, 1.7, 2.03])
@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_closed_anywhere_and_twice_there_is_one_summary(seconds: float, rate: int) -> None:
    world = room()
    call = world.open(rate)
    world.push(call, noise(seconds)[: round(seconds * rate)])
    events = world.close(call)
    assert summary(events).duration == pytest.approx(seconds, abs=1e-4)
    expected = 0 if seconds < 0.4 else int(np.ceil(seconds))
    assert len(of(QualityUpdate, events)) == expected
    assert world.close(call) == []
    assert call.ended.result(0) is events[-1]
    assert world.hub.sessions == 0


def test_cancel_drops_what_is_under_way() -> None:
    world = room()
    call = world.open()
    world.push(call, noise(3.0))
    world.hear()
    call.cancel()
    world.hub.wake(call)
    world.hear()
    [channel] = summary(list(call.outbox.drain())).channels
    assert (channel.rated, channel.dropped) == (0, 3)
    world.settle()
    assert not world.driver.engine.busy
    assert channel.description == "The call held no speech that was rated."


def test_cancel_does_not_wait_for_the_summarys_prose() -> None:
    """A cancelled call that hangs because its last words were being written."""
    world = room()
    call = world.open()
    world.say(call, noise(1.0))
    call.close()
    world.hub.wake(call)
    world.hear()
    assert not call.ended.done()
    call.cancel()
    world.hub.wake(call)
    world.hear()
    [channel] = call.ended.result(0).channels
    assert channel.rated == 1
    assert "Packet loss" not in channel.description
    world.settle()


def test_the_summary_stands_for_the_call() -> None:
    world = room(fake_runner(script=rating_by_level()))
    call = world.open()
    events = world.say(call, np.concatenate([noise(15.0), noise(5.0, FAINT)]))
    [channel] = summary(world.close(call)).channels
    assert channel.percentiles["mos"] == (1.5, 4.5, 4.5)
    assert [(each.start, each.end) for each in channel.worst] == [(15, 16), (16, 17), (17, 18)]
    assert channel.description == (
        "The call was excellent: half of the time its MOS was 4.5 or less. It is worst from 15.0 s to 16.0 s, with a "
        "MOS of 1.5. Packet loss breaks the word, so the overall MOS is 4.5."
    )
    for event in [*events, call.ended.result(0)]:
        assert json.loads(json.dumps(event.to_row()))["event"] in ("update", "alert", "recovered", "summary")


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_runner_that_fails_costs_the_window() -> None:
    """A call that ends, or hangs, because one pass failed."""
    runner = fake_runner()
    world = room(runner)
    call, other = world.open(), world.open()

    def fail() -> None:
        raise MemoryError("no room")

    runner.before_encoding = fail
    world.push(call, noise(1.0))
    world.settle()
    runner.before_encoding = lambda: None
    [failed] = list(call.outbox.drain())
    assert isinstance(failed, QualityUpdate)
    assert failed.ratings is None
    assert failed.error == "no room"
    assert [each.error for each in of(QualityUpdate, world.say(call, noise(1.0)))] == [None]
    assert [each.error for each in of(QualityUpdate, world.say(other, noise(1.0)))] == [None]
    [channel] = summary(world.close(call)).channels
    assert (channel.rated, channel.failed) == (1, 1)


def test_one_calls_fault_ends_that_call_alone() -> None:
    """A hub thread that dies with every call on it."""
    world = room()
    call, other = world.open(), world.open()
    world.say(call, noise(1.0))
    world.driver.failing = RuntimeError("broken")
    events = world.say(call, noise(1.0))
    world.driver.failing = None
    error = summary(events).error
    assert error is not None
    assert (error.code, error.message) == (ErrorCode.STREAM_FAILED, "RuntimeError: broken")
    assert summary(events).channels[0].rated == 1
    assert not call.open
    assert len(world.say(other, noise(1.0))) == 1


def test_closing_the_evaluator_ends_its_calls() -> None:
    world = room()
    call = world.open()
    world.push(call, noise(1.0))
    asked, settled = call.describe(), call.settle()
    world.hub.close()
    assert summary(list(call.outbox.drain())).error is not None
    assert asked.cancelled()
    assert settled.done()
    assert call.describe().cancelled()
    assert call.settle().done()
    with pytest.raises(UnusableError, match="closed"):
        world.open()


def test_a_hundred_calls_opened_abandoned_and_closed_at_random() -> None:
    """A call that stays in the hub, or a request in the engine, after everybody has gone."""
    rng = random.Random(5)
    world = room(fake_runner(slots=9))
    ended = 0
    calls = []
    for turn in range(400):
        if len(calls) < 10 and ended + len(calls) < 100:
            calls.append(world.open(rng.choice([8_000, 16_000, 48_000]), each=rng.random() < 0.5))
        if not calls:
            break
        call = rng.choice(calls)
        world.push(call, noise(rng.uniform(0, 1.5), seed=turn))
        world.hear()
        if rng.random() < 0.4:
            rng.choice([call.close, call.cancel, call.abandon])()
            world.hub.wake(call)
            calls.remove(call)
            ended += 1
        if rng.random() < 0.5 and world.driver.engine.busy:
            world.driver.engine.step()
    for call in calls:
        _end(world, call)
    world.settle()
    assert ended + len(calls) == 100
    assert world.hub.sessions == 0
    assert not world.driver.engine.busy
    gc.collect()


def test_a_call_that_is_collected_on_the_hubs_own_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its look at what is to be done and its sleep."""
    wait, calls = Bell.wait, []

    def collecting(bell: Bell) -> None:
        if calls and bell is calls[0][0]._bell:
            hub, call = calls.pop()
            call.abandon()
            hub.wake(call)
        wait(bell)

    monkeypatch.setattr(Bell, "wait", collecting)
    with fake_evaluator() as evaluator:
        hub = evaluator._calls().hub
        calls.append((hub, hub.open(RATE, Plan(SECOND, CALM, 1e6, describe=False), each=False)))
        hub._bell.ring()
        wait_until(lambda: not calls and hub.sessions == 0)


def _end(world: Room, call: object) -> None:
    call.abandon()  # type: ignore[attr-defined]
    world.hub.wake(call)  # type: ignore[arg-type]


def test_the_fixtures_tell_levels_apart() -> None:
    """Alerts above that come from nothing: the fake model must hear the level."""
    world = room(fake_runner(script=rating_by_level()))
    call = world.open(timeline=SECOND)
    rated = of(QualityUpdate, world.say(call, np.concatenate([noise(1.0, LOUD), noise(1.0, FAINT)])))
    assert [each.ratings.mos for each in rated] == pytest.approx([4.5, 1.5])
    assert PROMPTS.number_id(4.5) != PROMPTS.number_id(1.5)
