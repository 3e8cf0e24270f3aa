"""Recordings of several channels: one sound where they carry the same, and nobody lost where they don't."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soxr

from sqe_fast.audio import channels as channels_module
from sqe_fast.audio import sources
from sqe_fast.audio.channels import ChannelScan, Heard, checked
from sqe_fast.audio.recording import Recording, load, recordings
from sqe_fast.audio.sources import FileSource
from sqe_fast.errors import ClipError, ErrorCode
from tests.support.audio_samples import RATE, FloatArray, encoded, noise, speech, to_the_edge, tone
from tests.support.codecs import by_ffmpeg

SECONDS = 12
FRAMES = SECONDS * RATE
TURN = np.arange(FRAMES) // (2 * RATE) % 2 == 0
"""Who talks when two talkers take turns of two seconds."""


def talker(name: str, seconds: float = SECONDS) -> FloatArray:
    """[n] at 16 kHz, RMS 0.05."""
    samples = np.resize(speech(name), round(seconds * RATE))
    return (samples * (0.05 / rms(samples))).astype(np.float32)


def rms(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


AGENT, CUSTOMER = talker("june_clean"), talker("allison_clean")
THIRD = np.ascontiguousarray(CUSTOMER[::-1])
SILENCE = np.zeros(FRAMES, np.float32)


def gain(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))


def late(samples: FloatArray, milliseconds: float) -> FloatArray:
    """By whole samples at 48 kHz."""
    fine = soxr.resample(samples, RATE, 48_000, quality="VHQ")
    frames = round(milliseconds * 48)
    delayed = np.concatenate([np.zeros(frames, np.float32), fine[: len(fine) - frames]])
    return soxr.resample(delayed, 48_000, RATE, quality="VHQ")[: len(samples)].astype(np.float32)


def of(*channels: FloatArray) -> tuple[FloatArray, int]:
    return np.stack(channels, axis=1).astype(np.float32), RATE


def heard(recording: Recording) -> FloatArray:
    return np.concatenate(list(recording.blocks()))


def numbers(source: Any) -> list[int | None]:
    return [recording.channel for recording in recordings(source)]


# --- one sound -------------------------------------------------------------------------------------------------------

DELAYS = (0.06, 0.3, 1, 2.5, 7, 13, 20)
HALF = np.where(np.arange(FRAMES) < FRAMES // 2, 1, -1).astype(np.float32)


@pytest.mark.parametrize(
    "second",
    [
        *(late(AGENT, delay) for delay in DELAYS),
        -AGENT,
        -0.9 * AGENT,
        HALF * AGENT,
        np.where(TURN, 1, -1) * AGENT,
        -late(AGENT, 5),
        HALF * late(AGENT, 11),
        gain(-3) * AGENT,
        gain(-9) * AGENT,
        gain(-30) * AGENT,
        gain(-12) * late(AGENT, 20),
        0.1 + gain(-6) * AGENT,
    ],
    ids=[
        *(f"{delay:g} ms" for delay in DELAYS),
        *("inverted", "inverted -1 dB", "half inverted", "turns inverted", "late inverted", "half inverted, 11 ms"),
        *("-3 dB", "-9 dB", "-30 dB", "-12 dB, 20 ms", "-6 dB and DC"),
    ],
)
def test_the_same_sound_on_both_channels_is_one(second: FloatArray) -> None:
    """A mean that is a comb filter, or in which a half has cancelled; two rows for one talker."""
    for channels in (of(AGENT, second), of(AGENT, second, second)):
        [recording] = recordings(channels)
        assert (recording.channel, recording.flags) == (None, ())
        assert np.array_equal(heard(recording), AGENT)
    assert numbers(of(second, AGENT)) == [None]


def test_channels_in_phase_are_averaged() -> None:
    """Each with its own noise, of which the mean has less than either; and a copy, which is left bit for bit."""
    left, right = AGENT + noise(SECONDS, 0.003, seed=1), AGENT + noise(SECONDS, 0.003, seed=2)
    [recording] = recordings(of(left, right))
    assert np.abs(heard(recording) - (left.astype(np.float64) + right) / 2).max() < 1e-7
    [copied] = recordings(of(*[AGENT] * 8))
    assert np.array_equal(heard(copied), AGENT)


def test_two_talkers_on_a_stage_are_one_sound() -> None:
    """Each is on both channels, a little louder on his own: either channel alone would put one of them behind."""
    turns = AGENT * TURN, CUSTOMER * ~TURN
    for one, other in ((AGENT, CUSTOMER), turns):
        left, right = one + 0.4 * other, 0.4 * one + other
        [recording] = recordings(of(left, right))
        assert recording.channel is None
        assert np.abs(heard(recording) - (left + right) / 2).max() < 1e-6


@pytest.mark.parametrize("noise_db", [-30, -15, -10])
def test_a_noise_of_its_own_is_no_talker(noise_db: float) -> None:
    """Pauses, in which each channel carries what no other does."""
    level = 0.05 * gain(noise_db)
    pauses = AGENT * TURN
    channels = of(pauses + noise(SECONDS, level, seed=1), pauses + noise(SECONDS, level, seed=2))
    assert numbers(channels) == [None]


CODECS = [("WAV", "ULAW", 8_000), ("MP3", "MPEG_LAYER_III", RATE), ("OGG", "VORBIS", RATE), ("OGG", "OPUS", 48_000)]


@pytest.mark.parametrize(("file_format", "subtype", "rate"), CODECS)
def test_codecs_change_nothing(file_format: str, subtype: str, rate: int) -> None:
    def coded(*channels: FloatArray) -> bytes:
        return encoded(soxr.resample(of(*channels)[0], RATE, rate), rate, file_format, subtype)

    assert numbers(coded(AGENT, AGENT)) == [None]
    assert numbers(coded(AGENT, -late(AGENT, 7))) == [None]
    assert numbers(coded(AGENT, gain(-9) * CUSTOMER * TURN)) == [0, 1]


@pytest.mark.parametrize(("container", "codec", "rate"), [("ipod", "aac", RATE), ("webm", "libopus", 48_000)])
def test_codecs_of_ffmpeg_change_nothing(container: str, codec: str, rate: int) -> None:
    def coded(*channels: FloatArray) -> bytes:
        return by_ffmpeg(soxr.resample(of(*channels)[0], RATE, rate), container, codec, rate, bit_rate=48_000)

    assert numbers(coded(AGENT, AGENT)) == [None]
    assert numbers(coded(AGENT, gain(-9) * CUSTOMER * TURN)) == [0, 1]


# --- two talkers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noisy", [False, True], ids=["clean", "noisy"])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.25, 0.1])
@pytest.mark.parametrize("db", [0, -3, -9, -20, -30])
def test_nobody_is_lost(db: float, share: float, noisy: bool) -> None:
    """The customer, quieter and a part of the time: only the clean agent was heard."""
    customer = np.where(np.arange(FRAMES) < share * FRAMES, CUSTOMER, 0)
    customer = gain(db) * (customer + noise(SECONDS, 0.05 * gain(-6)) if noisy else customer)
    for channels, place in ((of(AGENT, customer), 1), (of(customer, AGENT), 0)):
        both = recordings(channels)
        assert [recording.channel for recording in both] == [0, 1]
        assert np.array_equal(heard(both[place]), customer)
        assert np.array_equal(heard(both[1 - place]), AGENT)


def test_talkers_who_take_turns_are_both_heard() -> None:
    assert numbers(of(AGENT * TURN, CUSTOMER * ~TURN)) == [0, 1]
    assert numbers(of(AGENT * TURN, AGENT * ~TURN)) == [0, 1]


@pytest.mark.parametrize(("turns", "db"), [(True, -13), (True, -20), (True, -30), (False, -20), (False, -30)])
def test_crosstalk_is_no_copy(turns: bool, db: float) -> None:
    """All that one channel has is in the other, behind its own talker."""
    agent, customer = (AGENT * TURN, CUSTOMER * ~TURN) if turns else (AGENT, CUSTOMER)
    for loud in (1, gain(-9)):
        channels = of(agent + gain(db) * loud * customer, loud * customer + gain(db) * agent)
        assert numbers(channels) == [0, 1]


def test_a_common_hum_is_no_common_sound() -> None:
    hum = tone(SECONDS, 50.0, amplitude=0.1) + tone(SECONDS, 150.0, amplitude=0.05)
    assert numbers(of(AGENT * TURN + hum, CUSTOMER * ~TURN + hum)) == [0, 1]


def test_a_mix_beside_one_of_its_talkers_is_not_all_there_is() -> None:
    """A channel with both talkers, and one with the customer: the second would be lost in the first."""
    assert numbers(of(AGENT * TURN + gain(-9) * CUSTOMER * ~TURN, gain(-9) * CUSTOMER * ~TURN)) == [0, 1]


def test_a_channel_that_dies_is_heard_by_itself() -> None:
    """What is wrong with it alone is not hidden by the other."""
    assert numbers(of(AGENT, AGENT * (HALF > 0))) == [0, 1]


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 44_100, 48_000, 192_000])
def test_every_rate(rate: int) -> None:
    def resampled(*channels: FloatArray) -> tuple[FloatArray, int]:
        return soxr.resample(of(*channels)[0], RATE, rate).astype(np.float32), rate

    assert numbers(resampled(AGENT, -late(AGENT, 20))) == [None]
    assert numbers(resampled(AGENT, gain(-20) * CUSTOMER * TURN)) == [0, 1]


@pytest.mark.parametrize("start", [0.0, 5.3, SECONDS - 0.4])
def test_one_word_is_enough(start: float) -> None:
    """At the very end, too, behind the last whole second."""
    word = np.zeros(FRAMES, np.float32)
    begin = round(start * RATE)
    word[begin : begin + 6_400] = CUSTOMER[RATE : RATE + 6_400]
    assert numbers(of(AGENT, word)) == [0, 1]


@pytest.mark.parametrize("seconds", [0.4, 0.9, 1.0, 1.05, 2.5])
def test_short_recordings(seconds: float) -> None:
    agent, customer = (samples[RATE : RATE + round(seconds * RATE)] for samples in (AGENT, CUSTOMER))
    assert numbers(of(agent, agent)) == numbers(of(agent, -agent)) == [None]
    assert numbers(of(agent, customer)) == [0, 1]


def test_the_blocks_of_a_source_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second that is compared where a block happens to end: at an edge a delayed talker looks like another."""
    cases = {
        size: [of(AGENT, late(AGENT, 20)), of(AGENT, gain(-9) * CUSTOMER * TURN)] for size in (999, 7_001, 1 << 20)
    }
    for size, (same, apart) in cases.items():
        monkeypatch.setattr(sources, "BLOCK", size)
        assert (numbers(same), numbers(apart)) == ([None], [0, 1])


# --- channels without sound, and more than two -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "empty",
    [SILENCE, SILENCE + 0.3, noise(SECONDS, 3e-5), tone(SECONDS, 50.0)],
    ids=["zeros", "DC", "-90 dBFS", "hum"],
)
def test_a_silent_channel_has_no_row_and_is_named(empty: FloatArray) -> None:
    for channels, silent in ((of(AGENT, empty), "1"), (of(empty, AGENT), "0"), (of(empty, AGENT, empty), "0,2")):
        [recording] = recordings(channels)
        assert np.array_equal(heard(recording), AGENT)
        assert (recording.channel, recording.flags) == (None, (f"silent_channels={silent}",))
    both = recordings(of(AGENT, empty, CUSTOMER))
    assert [(each.channel, each.flags) for each in both] == [(number, ("silent_channels=1",)) for number in (0, 2)]


def test_a_line_on_which_nobody_talks_is_named() -> None:
    """The customer's channel is there, and holds nothing but the noise of the line."""
    found = {each.channel: each.flags for each in recordings(of(AGENT, noise(SECONDS, 1e-3)))}
    assert found == {0: (), 1: ("no_speech",)}


def test_silence_on_all_channels_is_silence() -> None:
    for channels in (of(SILENCE, SILENCE), of(SILENCE, SILENCE + 0.2, noise(SECONDS, 3e-5))):
        [recording] = recordings(channels)
        assert (recording.channel, recording.flags) == (None, ("silent",))


def test_many_channels() -> None:
    """A row for each that carries something of its own: of an agent in stereo the first, and nothing for the silent."""
    late_agent, quiet = late(AGENT, 5), gain(-9) * CUSTOMER
    assert numbers(of(AGENT, AGENT, CUSTOMER)) == [0, 2]
    assert numbers(of(AGENT, late_agent, quiet, -quiet)) == [0, 2]
    assert numbers(of(AGENT, CUSTOMER, THIRD)) == [0, 1, 2]
    assert numbers(of(AGENT, SILENCE, -AGENT, quiet, THIRD, SILENCE, late(THIRD, 9), quiet)) == [0, 3, 4]
    [recording] = recordings(of(*[late_agent] * 3, -AGENT, *[AGENT] * 4))
    assert recording.channel is None


def test_a_channel_keeps_its_own_flags() -> None:
    loud = np.clip(12 * CUSTOMER / np.abs(CUSTOMER).max(), -1, 1)
    agent, customer = recordings(of(AGENT, loud))
    assert agent.flags == ()
    assert customer.flags[0].startswith("clipped=")


# --- long ones, and those that can be read but once ------------------------------------------------------------------


def test_a_long_call_is_windows_of_each_channel(tmp_path: Path) -> None:
    agent = to_the_edge(np.resize(AGENT, 70 * RATE))
    customer = to_the_edge(gain(-9) * np.resize(CUSTOMER * TURN, 70 * RATE))
    data = encoded(of(agent, customer)[0], subtype="FLOAT")
    path, pipe = tmp_path / "call.wav", tmp_path / "pipe"
    path.write_bytes(data)
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
    writer.start()
    for source in (path, data, pipe):
        both = recordings(source)
        assert [(each.channel, each.flags) for each in both] == [(0, ("windowed",)), (1, ("windowed",))]
        # Side by side, from one source.
        taken = list(zip(*(each.windows() for each in both), strict=True))
        assert np.array_equal(np.concatenate([clip.samples for clip, _ in taken]), agent)
        assert np.array_equal(np.concatenate([clip.samples for _, clip in taken]), customer)
    writer.join()


def test_a_stream_that_cannot_seek_is_heard_on_all_channels() -> None:
    data = encoded(of(AGENT, CUSTOMER)[0])
    read, write = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(write, data[:60_000]), os.write(write, data[60_000:])))
    writer.start()
    with os.fdopen(read, "rb") as file:
        threading.Thread(target=lambda: (writer.join(), os.close(write))).start()
        both = recordings(file)
    expected = recordings(io.BytesIO(data))
    assert [each.channel for each in both] == [0, 1]
    for one, other in zip(both, expected, strict=True):
        assert np.array_equal(heard(one), heard(other))


def _bytes_of(module: ModuleType) -> int:
    """What was allocated by this module, and by all that it calls, and is held. The process as a whole has other
    threads, which do what they like."""
    here = tracemalloc.Filter(True, str(module.__file__), all_frames=True)
    return sum(each.size for each in tracemalloc.take_snapshot().filter_traces([here]).statistics("filename"))


@pytest.mark.parametrize("channels", [2, 8])
def test_hours_in_flat_memory(channels: int) -> None:
    """What is kept of a second is some bytes; twelve hours of eight channels are some 10 MB."""
    scan = ChannelScan(4_000, channels)
    block = np.stack([noise(10.0, rate=4_000, seed=seed) for seed in range(channels)], axis=1)
    held = []
    tracemalloc.start(8)
    for _ in range(3):
        for _ in range(6):
            scan.add(block)
        held.append(_bytes_of(channels_module))
    tracemalloc.stop()
    assert max(held) - min(held) < 2 * 60 * 5 * channels**2 + 10_000
    scan.finish()
    assert scan.heard() == [Heard(number, number) for number in range(channels)]


# --- what is asked for -----------------------------------------------------------------------------------------------


def test_mix_is_the_mean_whatever_it_is() -> None:
    [recording] = recordings(of(AGENT, CUSTOMER), "mix")
    assert np.abs(heard(recording) - (AGENT + CUSTOMER) / 2).max() < 1e-7
    assert recording.channel is None
    assert load(of(AGENT, -AGENT), "mix").flags == ("silent",)


def test_each_and_one() -> None:
    stereo = of(AGENT, AGENT, SILENCE)
    assert [(each.channel, each.flags) for each in recordings(stereo, "each")] == [(0, ()), (1, ()), (2, ("silent",))]
    assert [each.channel for each in recordings((AGENT, RATE), "each")] == [0]
    recording = load(of(AGENT, CUSTOMER), 1)
    assert recording.channel == 1
    assert np.array_equal(heard(recording), CUSTOMER)


@pytest.mark.parametrize(("source", "held"), [((AGENT, RATE), "1 channel,"), (of(AGENT, AGENT), "2 channels,")])
def test_a_channel_that_is_not_there(source: Any, held: str) -> None:
    with pytest.raises(ClipError, match=held) as caught:
        recordings(source, 2)
    assert caught.value.code is ErrorCode.NO_SUCH_CHANNEL


@pytest.mark.parametrize("channels", ["left", "", -1, 1.0, True, None, "0", (0, 1)])
def test_no_choice_of_channels(channels: Any) -> None:
    with pytest.raises(ValueError, match="auto, mix, each"):
        checked(channels)


def test_one_recording_where_one_is_needed() -> None:
    with pytest.raises(ClipError, match="channels 0 and 1 carry different sounds") as caught:
        load(of(AGENT, CUSTOMER))
    assert caught.value.code is ErrorCode.CHANNELS_DIFFER


def test_a_call_is_decoded_once_for_all_its_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to measure it, and once for each talker to find the speech."""
    path, read, times = tmp_path / "call.wav", FileSource.blocks, []
    path.write_bytes(encoded(np.tile(of(AGENT, CUSTOMER, THIRD)[0], (10, 1))))
    monkeypatch.setattr(FileSource, "blocks", lambda source: (times.append(source), read(source))[1])
    found = recordings(path)
    assert [each.channel for each in found] == [0, 1, 2]
    assert len(times) == 2
    for each, alone in zip(found, (recordings(path, number)[0] for number in range(3)), strict=True):
        assert each.no_speech == alone.no_speech
        windows = list(zip(each.windows(), alone.windows(), strict=True))
        assert all(one.digest == other.digest and one.weight == other.weight for one, other in windows)
