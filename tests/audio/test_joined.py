"""Tracks that lie side by side in one file, and streams that change on their way: every talker and every second."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from sqe_fast.audio import Excerpt, joined
from sqe_fast.audio.decoders import open_decoder
from sqe_fast.audio.joined import BLOCK, Piece, in_line
from sqe_fast.audio.recording import Limits, Recording, load, recordings
from sqe_fast.errors import ClipError, ErrorCode
from tests.audio.test_media import alike
from tests.support.audio_samples import RATE, FloatArray, encoded, flags_of, speech, to_the_edge
from tests.support.codecs import Track, by_ffmpeg, side_by_side, with_tracks

AGENT, CUSTOMER = speech("june_clean"), speech()
SECONDS = len(AGENT) / RATE, len(CUSTOMER) / RATE
LONGEST = max(SECONDS)

RECORDERS = [
    ("matroska", "libopus", 48_000),
    ("matroska", "flac", 16_000),
    ("matroska", "pcm_s16le", 8_000),
    ("webm", "libopus", 48_000),
    ("mp4", "aac", 16_000),
    ("mov", "pcm_s16le", 16_000),
    ("mov", "pcm_mulaw", 8_000),
    ("ipod", "alac", 16_000),
    ("3gp", "libopencore_amrnb", 8_000),
    ("asf", "wmav2", 44_100),
    ("avi", "pcm_u8", 16_000),
    ("mpegts", "aac", 48_000),
    ("ogg", "libopus", 48_000),
    ("ogg", "flac", 16_000),
]
EACH_RECORDER = pytest.mark.parametrize(("container", "codec", "rate"), RECORDERS)


def track(samples: FloatArray, codec: str, rate: int, begins: float = 0.0) -> Track:
    at_rate = soxr.resample(samples, RATE, rate).astype(np.float32)
    return Track(at_rate, codec, rate, 64_000 if codec == "wmav2" else None, begins=begins)


def heard(recording: Recording) -> FloatArray:
    return np.concatenate(list(recording.blocks()))


def flag(recording: Recording, name: str) -> str | None:
    return next((text.partition("=")[2] for text in recording.flags if text.partition("=")[0] == name), None)


# --- side by side ----------------------------------------------------------------------------------------------------


@EACH_RECORDER
def test_a_call_recorder_that_writes_a_track_a_talker(container: str, codec: str, rate: int, tmp_path: Path) -> None:
    """The first track alone was heard."""
    data = with_tracks(container, track(AGENT, codec, rate), track(CUSTOMER, codec, rate))
    path = tmp_path / "call"
    path.write_bytes(data)
    for source in (data, path):
        both = recordings(source)
        assert [(each.channel, flag(each, "tracks")) for each in both] == [(0, "1,1"), (1, "1,1")]
        for recording, samples in zip(both, (AGENT, CUSTOMER), strict=True):
            assert recording.duration == pytest.approx(LONGEST, abs=0.15)
            assert alike(heard(recording), samples) > 0.75
            assert recording.flags == flags_of(rate, "tracks=1,1")


@pytest.mark.parametrize(("container", "codec"), [("matroska", "flac"), ("mp4", "aac"), ("ogg", "libopus")])
def test_tracks_are_channels_whatever_is_asked_for(container: str, codec: str) -> None:
    rate = 48_000 if codec == "libopus" else RATE
    data = with_tracks(container, track(AGENT, codec, rate), track(CUSTOMER, codec, rate))
    assert [each.channel for each in recordings(data, "each")] == [0, 1]
    [mixed] = recordings(data, "mix")
    agent, customer = (heard(each) for each in recordings(data))
    assert np.abs(heard(mixed) - (agent.astype(np.float64) + customer) / 2).max() < 1e-5
    [one] = recordings(data, 1)
    assert np.array_equal(heard(one), customer)
    with pytest.raises(ClipError) as caught:
        recordings(data, 2)
    assert caught.value.code is ErrorCode.NO_SUCH_CHANNEL


def test_tracks_with_the_same_sound_are_one() -> None:
    """A film's sound in two codecs."""
    data = with_tracks("matroska", track(AGENT, "flac", RATE), track(AGENT, "libopus", 48_000))
    [recording] = recordings(data)
    assert (recording.channel, recording.flags) == (None, ("tracks=1,1",))


def test_tracks_of_other_rates_lengths_and_channels() -> None:
    """The first is stereo at 8 kHz, the second mono at 48 kHz and half as long."""
    stereo = np.stack([AGENT, np.pad(CUSTOMER, (0, max(0, len(AGENT) - len(CUSTOMER))))[: len(AGENT)]], 1)
    short = np.ascontiguousarray(CUSTOMER[::-1][: 2 * RATE])
    data = with_tracks("matroska", track(stereo, "pcm_s16le", 8_000), track(short, "flac", 48_000))
    found = recordings(data, "each")
    assert [(each.channel, flag(each, "tracks")) for each in found] == [(0, "2,1"), (1, "2,1"), (2, "2,1")]
    assert [each.source_rate for each in found] == [48_000] * 3
    for each, samples in zip(found, (stereo[:, 0], stereo[:, 1], short), strict=True):
        assert alike(heard(each), samples) > 0.98
    assert [each.channel for each in recordings(data)] == [0, 1, 2]
    assert not heard(found[2])[len(short) + 800 :].any()


@pytest.mark.parametrize("container", ["matroska", "mp4", "mov"])
@pytest.mark.parametrize("begins", [0.5, 3.0])
def test_a_talker_who_joins_later_is_heard_where_he_speaks(container: str, begins: float) -> None:
    """Tracks that are laid one over the other as if all had begun together."""
    codec = "flac" if container != "mov" else "pcm_s16le"
    data = with_tracks(container, track(AGENT, codec, RATE), track(CUSTOMER[:RATE], codec, RATE, begins))
    agent, customer = recordings(data, "each")
    at = round(begins * RATE)
    assert not heard(customer)[: at - 100].any()
    assert alike(heard(customer)[at : at + RATE], CUSTOMER[:RATE]) > 0.98
    assert alike(heard(agent), AGENT) > 0.98


def test_a_track_on_which_nothing_was_ever_sent_is_a_silent_channel() -> None:
    data = with_tracks("matroska", track(AGENT, "flac", RATE), track(AGENT[:0], "flac", RATE))
    [recording] = recordings(data)
    assert recording.flags == ("silent_channels=1", "tracks=1,1")
    assert alike(heard(recording), AGENT) > 0.98


@pytest.mark.parametrize("place", [0, 1])
def test_a_track_that_cannot_be_decoded_is_named(place: int) -> None:
    """The name of its codec is one that nothing knows."""
    tracks = [track(AGENT, "flac", RATE), track(CUSTOMER, "libopus", 48_000)]
    data = with_tracks("matroska", *tracks)
    name = (b"A_FLAC", b"A_OPUS")[place]
    assert data.count(name) == 1
    [recording] = recordings(data.replace(name, b"A_EVS0"))
    assert recording.flags == (f"tracks={'0,1' if place == 0 else '1,0'}", f"unheard_tracks={place}")
    assert alike(heard(recording), (CUSTOMER, AGENT)[place]) > 0.9


def test_where_no_track_can_be_decoded_there_is_an_error() -> None:
    data = with_tracks("matroska", track(AGENT, "flac", RATE), track(CUSTOMER, "flac", RATE))
    with pytest.raises(ClipError) as caught:
        recordings(data.replace(b"A_FLAC", b"A_EVS0"))
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT


def test_without_the_extra_the_other_streams_of_an_ogg_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """libsndfile knows of the first."""
    data = side_by_side("ogg", *(encoded(each, file_format="OGG", subtype="VORBIS") for each in (AGENT, CUSTOMER)))
    agent, customer = recordings(data)
    assert min(alike(heard(agent), AGENT), alike(heard(customer), CUSTOMER)) > 0.9
    monkeypatch.setitem(sys.modules, "av", None)
    [recording] = recordings(data)
    assert recording.flags[-2:] == ("tracks=1,0", "unheard_tracks=1")
    assert max(alike(heard(recording), AGENT), alike(heard(recording), CUSTOMER)) > 0.9


def test_more_tracks_than_channels_that_are_taken_is_said() -> None:
    data = with_tracks("matroska", *[track(AGENT[:RATE], "pcm_s16le", 8_000)] * 9)
    with pytest.raises(ClipError, match="9 channels") as caught:
        recordings(data)
    assert caught.value.code is ErrorCode.TOO_MANY_CHANNELS
    assert len(recordings(data, "each", limits=Limits(max_channels=9))) == 9


@pytest.mark.parametrize("container", ["matroska", "avi"])
def test_a_cut_file_of_several_tracks_is_called_truncated(container: str) -> None:
    data = with_tracks(container, *(track(each, "pcm_s16le", RATE) for each in (AGENT, CUSTOMER)))
    for recording in recordings(data[: round(0.6 * len(data))], "each"):
        assert "truncated" in recording.flags


def test_an_excerpt_of_a_track(tmp_path: Path) -> None:
    data = with_tracks("matroska", track(AGENT, "flac", RATE), track(CUSTOMER, "flac", RATE))
    whole = recordings(data, 1)[0]
    [part] = recordings(Excerpt(data, 1.0, 2.0), 1)
    assert np.array_equal(heard(part), heard(whole)[RATE : 3 * RATE])
    assert part.flags == ("tracks=1,1",)


def test_a_long_call_of_two_tracks_is_decoded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracks that do not lie close together: all of one, held in memory until the other comes."""
    seconds = 400
    long = [to_the_edge(np.resize(each, seconds * RATE)) for each in (AGENT, CUSTOMER)]
    data = with_tracks("matroska", *(track(each, "pcm_s16le", RATE) for each in long))
    both = recordings(data)
    for recording, samples in zip(both, long, strict=True):
        taken = np.concatenate([clip.samples for clip in recording.windows()])
        assert np.abs(taken - samples).max() < 1e-4
        assert set(recording.flags) == {"windowed", "tracks=1,1"}
    pulled = [0, 0]

    def counted(number: int) -> Any:
        for _ in range(50):
            pulled[number] += 1
            yield np.zeros((BLOCK, 1), np.float32)

    for _ in itertools.islice(joined.side_by_side([counted(0), counted(1)], [1, 1]), 20):
        assert max(pulled) - min(pulled) <= 1
    assert max(pulled) <= 21


# --- one after the other ---------------------------------------------------------------------------------------------


def two_talkers(seconds: float = 4.0) -> FloatArray:
    frames = round(seconds * RATE)
    return np.stack([np.resize(AGENT, frames), np.resize(CUSTOMER, frames) * np.float32(0.3)], 1)


ENDINGS = [
    ("adts", "aac", RATE),
    ("mp3", "libmp3lame", RATE),
    ("ogg", "libopus", 48_000),
    ("ogg", "flac", RATE),
    ("flac", "flac", RATE),
    ("wav", "pcm_s16le", RATE),
    ("ac3", "ac3", 48_000),
    ("matroska", "libopus", 48_000),
    ("webm", "libopus", 48_000),
    ("ipod", "aac", RATE),
    ("mp4", "alac", RATE),
    ("flv", "aac", 44_100),
    ("asf", "wmav2", 44_100),
    ("mpegts", "aac", 48_000),
]
EACH_ENDING = pytest.mark.parametrize(("container", "codec", "rate"), ENDINGS)


def coded(samples: FloatArray, container: str, codec: str, rate: int) -> bytes:
    one = track(samples, codec, rate)
    return by_ffmpeg(one.samples, container, codec, rate, bit_rate=one.bit_rate)


@EACH_ENDING
def test_a_later_stream_with_more_channels(container: str, codec: str, rate: int) -> None:
    """What begins in mono and goes on with a talker on each channel: an exception, one of them, or neither."""
    mono, stereo = coded(AGENT, container, codec, rate), coded(two_talkers(), container, codec, rate)
    for data, begins in ((mono + stereo, SECONDS[0]), (stereo + mono, 0.0)):
        both = recordings(data)
        assert [each.channel for each in both] == [0, 1]
        for each, talker in zip(both, two_talkers().T, strict=True):
            assert each.duration == pytest.approx(SECONDS[0] + 4.0, abs=0.35)
            assert set(each.flags) <= {"windowed"}
            at, length = round((begins + 0.3) * RATE), round(3.2 * RATE)
            assert alike(heard(each)[at : at + length], talker[4_800 : 4_800 + length]) > 0.85


@EACH_ENDING
def test_a_later_stream_at_another_rate(container: str, codec: str, rate: int) -> None:
    """Sound that is played too slowly, of which half is lost, or that ends."""
    other = {48_000: 24_000, 44_100: 22_050}.get(rate, 8_000)
    if codec in ("ac3", "wmav2"):
        other = 32_000
    fast, slow = coded(AGENT, container, codec, rate), coded(CUSTOMER, container, codec, other)
    if codec == "libopus":  # decodes to 48 kHz, whatever went in
        other = 48_000
    for data, order in ((fast + slow, (AGENT, CUSTOMER)), (slow + fast, (CUSTOMER, AGENT))):
        [recording] = recordings(data)
        assert recording.source_rate == rate
        assert recording.duration == pytest.approx(sum(SECONDS), abs=0.35)
        assert set(recording.flags) <= {"windowed"}
        half = len(heard(recording)) // 2
        for sound, samples in zip((heard(recording)[:half], heard(recording)[half:]), order, strict=True):
            assert alike(sound, samples) > 0.7


def test_parts_of_two_and_three_channels_lose_no_talker() -> None:
    """The mean of the first hides one behind the other."""
    three = np.column_stack([two_talkers(), AGENT[: 4 * RATE][::-1] * np.float32(0.5)])
    found = recordings(encoded(two_talkers()) + encoded(three))
    assert [each.channel for each in found] == [0, 1, 2]
    for each, talker in zip(found, two_talkers().T, strict=False):
        assert np.abs(heard(each)[: 4 * RATE] - talker).max() < 1e-3
    assert not heard(found[2])[: 4 * RATE].any()


def test_what_a_stream_becomes_is_learnt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that grows a hundred times, and is begun anew each time."""
    pieces = [coded(AGENT[:RATE], "adts", "aac", rate) for rate in (8_000, 16_000, 24_000, 32_000, 48_000)]
    opened = 0

    def counted(*arguments: Any) -> Any:
        nonlocal opened
        opened += 1
        return open_decoder(*arguments)

    monkeypatch.setattr("sqe_fast.audio.sources.open_decoder", counted)
    recording = load(b"".join(pieces))
    assert recording.source_rate == 48_000
    assert recording.duration == pytest.approx(5, abs=0.7)
    assert opened == 4  # what it is, as it was taken for, all of it, and again


def test_an_excerpt_of_what_grows() -> None:
    data = coded(AGENT, "adts", "aac", RATE) + coded(two_talkers(), "adts", "aac", RATE)
    both = recordings(Excerpt(data, SECONDS[0] + 0.5, 2.0))
    assert [(each.channel, each.duration) for each in both] == [(0, 2.0), (1, 2.0)]


def test_pieces_in_line() -> None:
    """A rate that changes and comes back; no sample is lost where it does."""
    pieces = [Piece(8_000, np.ones((4_000, 1), np.float32)), Piece(RATE, np.ones((RATE, 2), np.float32))] * 3
    sound = np.concatenate(list(in_line(pieces, RATE, 2)))
    assert sound.shape == (3 * (8_000 + RATE), 2)
    assert np.abs(sound[500:7_500] - 1).max() < 1e-3
