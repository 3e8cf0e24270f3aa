"""Faults that the signal shows: told in time, once, and not of ordinary speech."""

from __future__ import annotations

import numpy as np
import pytest

from sqe_fast.live.signal import SignalFaults, SignalWatch, Turn
from tests.support.audio_samples import long_speech, noise, speech

RATE = 16_000
BLOCK = RATE // 10


def turns(samples: np.ndarray, faults: SignalFaults | None = None) -> list[tuple[float, Turn]]:
    """With the second of the call that was reached by then."""
    watch = SignalWatch(faults or SignalFaults(), RATE)
    columns = samples.reshape(len(samples), -1)
    found = []
    for start in range(0, len(samples), BLOCK):
        for turn in watch.add(columns[start : start + BLOCK], start / RATE):
            found.append((round((start + BLOCK) / RATE, 3), turn))
    return found


def broken(part: np.ndarray) -> np.ndarray:
    """4 s of speech, the part, 4 s of speech."""
    return np.concatenate([speech()[: 4 * RATE], part, speech()[: 4 * RATE]]).astype(np.float32)


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        ("mute", np.zeros(3 * RATE)),
        ("mute", np.full(3 * RATE, 0.01)),
        ("clipping", np.clip(20 * speech()[: 3 * RATE], -1, 1)),
        ("dc offset", speech()[: 3 * RATE] + 0.2),
    ],
)
def test_a_fault_is_told_within_two_seconds_and_is_over_once(fault: str, part: np.ndarray) -> None:
    """A fault that nobody hears of, or hears of in every block; one that never ends."""
    found = [each for each in turns(broken(part)) if each[1].fault == fault]
    assert [turn.begins for _, turn in found] == [True, False]
    (told, begun), (over, ended) = found
    assert 4 <= begun.since <= 4.6
    assert told <= 6
    assert 7 <= ended.since <= 8.2
    assert over <= 9.5


def test_silence_that_is_not_mute() -> None:
    """One step of 16 bits, which never stands still."""
    part = np.resize([0, 1 / 32_768], 12 * RATE)
    assert [(turn.fault, turn.begins) for _, turn in turns(broken(part))] == [("silence", True), ("silence", False)]


def test_speech_with_pauses_is_not_at_fault() -> None:
    """Pauses of a gated line, loud speech, noise that is faint."""
    pauses = np.concatenate([np.concatenate([speech(), np.zeros(int(1.4 * RATE))]) for _ in range(4)])
    loud = speech() / np.abs(speech()).max()
    for samples in (long_speech(20.0), pauses, loud, noise(8.0, 1e-3)):
        assert turns(samples.astype(np.float32)) == []


def test_either_channel_of_a_mix_may_clip() -> None:
    """Clipping that the mean of two channels hides."""
    clipped = np.clip(20 * speech()[: 3 * RATE], -1, 1)
    assert {turn.fault for _, turn in turns(np.stack([clipped, 0.1 * clipped], 1).astype(np.float32))} == {"clipping"}


def test_faults_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        SignalFaults(mute=0)
