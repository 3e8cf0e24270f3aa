"""The log-mel of many clips at once, and what front end and stream allocate and compute, counted in C++."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqe_fast.audio.features import LogMel, log_mel, log_mels
from tests.audio.test_features import (
    BAD_LENGTHS,
    HARD_SIGNALS,
    LENGTHS,
    UNREADABLE,
    Samples,
    assert_releases_the_gil,
    noise,
)


def assert_equal(actual: list[LogMel], expected: list[LogMel]) -> None:
    assert [mel.frames for mel in actual] == [mel.frames for mel in expected]
    for one, other in zip(actual, expected, strict=True):
        assert isinstance(one, LogMel)
        assert one.data.flags.c_contiguous
        np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("threads", [0, 1, 2, 4, 64])
def test_equals_each_clip_alone_in_order(threads: int, n_mels: int) -> None:
    """Long and short clips side by side, so that later ones are ready before earlier ones."""
    clips = [noise(count, seed=count) for count in LENGTHS[::-1]] + list(HARD_SIGNALS.values())
    assert_equal(log_mels(clips, n_mels, threads), [log_mel(clip, n_mels) for clip in clips])


@given(counts=st.lists(st.integers(1, 4_000), max_size=12), threads=st.integers(0, 4))
def test_any_number_of_clips(counts: list[int], threads: int) -> None:
    clips = [noise(count, seed=i) for i, count in enumerate(counts)]
    assert_equal(log_mels(clips, threads=threads), [log_mel(clip) for clip in clips])


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_no_clips(threads: int) -> None:
    assert log_mels([], threads=threads) == []


def test_takes_any_iterable() -> None:
    clips = [noise(800, seed=i) for i in range(3)]
    expected = [log_mel(clip) for clip in clips]
    assert_equal(log_mels(tuple(clips)), expected)
    assert_equal(log_mels(clip for clip in clips), expected)
    assert_equal(log_mels(np.stack(clips)), expected)


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize(("bad", "message"), UNREADABLE + BAD_LENGTHS)
def test_says_which_clip_cannot_be_read(bad: Samples, message: str, place: int) -> None:
    clips = [noise(900, seed=i) for i in range(4)]
    clips.insert(place, bad)
    with pytest.raises(ValueError, match=rf"^clips\[{place}\] .*{message}"):
        log_mels(clips, threads=2)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_says_which_clip_is_not_finite(value: float, threads: int) -> None:
    """The first of several, though it is the longest and the others are found before it."""
    clips = [noise(60_000 if i == 3 else 400, seed=i) for i in range(10)]
    for place in (3, 5, 9):
        clips[place][-1] = value
    with pytest.raises(ValueError, match=r"^clips\[3\] must be finite"):
        log_mels(clips, threads=threads)


def test_says_which_clip_is_no_array() -> None:
    with pytest.raises(TypeError, match=r"clips\[1\] must be an array, not list"):
        log_mels([noise(800), [0.0] * 800])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"clips\[0\] must be an array, not numpy.float32"):
        log_mels(noise(800))  # type: ignore[arg-type]


def test_refuses_other_filter_banks_and_fewer_than_no_threads() -> None:
    for clips in ([], [noise(800)]):
        with pytest.raises(ValueError, match="80 or 128"):
            log_mels(clips, 79)
        with pytest.raises(ValueError, match="threads must be 0 or more, not -1"):
            log_mels(clips, threads=-1)


@pytest.mark.parametrize("threads", [1, 2])
def test_other_threads_run_meanwhile(threads: int) -> None:
    clips = [noise(16_000, seed=i) for i in range(6)]
    assert_releases_the_gil(lambda: log_mels(clips, threads=threads))


SOURCES = Path(__file__).parents[2] / "csrc"
COUNTING = r"""
// Every `new` and every block of eight frames goes past a counter.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#define power_spectrum uncounted_power_spectrum
#include "log_mel/real_fft.cpp"
#undef power_spectrum
#include "log_mel/log_mel.h"

std::atomic<int> allocations, blocks;

void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    ++allocations;
    const auto unit = static_cast<std::size_t>(alignment);
    if (void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace sqe {
void power_spectrum(FftScratch& scratch, double (*power)[kLanes]) {
    ++blocks;
    uncounted_power_spectrum(scratch, power);
}
}  // namespace sqe

void report(const char* what) {
    std::printf("%s: %d allocations, %d blocks\n", what, allocations.exchange(0), blocks.exchange(0));
}

int main() {
    std::vector<float> samples(sqe::kMaxSamples), out(80 * sqe::kMaxFrames);
    for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<float>(i % 97) / 97;
    const sqe::LogMel mel(80);
    report("tables");
    sqe::LogMelStream stream(mel);
    report("stream");
    for (int chunk = 0; chunk < 1000; ++chunk) stream.push(samples.data() + chunk * 480, 480);
    report("1,000 pushes");
    for (int i = 0; i < 10; ++i) stream.read(out.data());
    report("10 read-outs");
    for (int i = 0; i < 10; ++i) stream.drop(sqe::kHop);
    report("10 drops");
    stream.reset();
    for (int chunk = 0; chunk < 1000; ++chunk) stream.push(samples.data() + chunk * 480, 480);
    report("1,000 pushes again");
    for (const std::size_t seconds : {1, 30}) {
        mel.compute({samples.data(), seconds * sqe::kSampleRate, out.data()});
        report(seconds == 1 ? "1 s" : "30 s");
    }
    for (const std::size_t seconds : {1, 30}) {
        const sqe::Clip clips[] = {{samples.data(), seconds * sqe::kSampleRate, out.data()}};
        mel.compute(clips, 1);
        report(seconds == 1 ? "1 s in a batch" : "30 s in a batch");
    }
}
"""


class Count:
    """What the program counted, by what it did."""

    def __init__(self, output: str) -> None:
        rows = re.findall(r"^(.+): (\d+) allocations, (\d+) blocks$", output, re.M)
        self.allocations = {what: int(count) for what, count, _ in rows}
        self.blocks = {what: int(count) for what, _, count in rows}


@pytest.fixture(scope="module")
def count(tmp_path_factory: pytest.TempPathFactory) -> Count:
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler on the path")
    folder = tmp_path_factory.mktemp("counting")
    (folder / "counting.cpp").write_text(COUNTING)
    sources = [folder / "counting.cpp", SOURCES / "log_mel" / "log_mel.cpp"]
    command = [compiler, "-std=c++20", "-O1", "-pthread", f"-I{SOURCES}", *sources, "-o", folder / "counting"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([folder / "counting"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return Count(ran.stdout)


def test_the_counters_count(count: Count) -> None:
    assert count.allocations["tables"] > 80
    assert count.allocations["stream"] == 3  # workspace, samples, frames
    assert count.blocks["1 s"] == 13  # 102 frames


@pytest.mark.parametrize("what", ["1,000 pushes", "10 read-outs", "10 drops", "1,000 pushes again"])
def test_a_stream_allocates_only_at_construction(count: Count, what: str) -> None:
    """The very first transform of the process is among them."""
    assert count.allocations[what] == 0


def test_a_clip_allocates_the_same_at_any_length(count: Count) -> None:
    assert count.allocations["30 s"] == count.allocations["1 s"] == 1
    assert count.allocations["30 s in a batch"] == count.allocations["1 s in a batch"]


def test_a_stream_computes_a_frame_once(count: Count) -> None:
    """However small the chunks: of 2,999 frames that are final, 374 whole blocks; then the last ones at each read-out,
    and the two reflected ones at each drop."""
    assert count.blocks["1,000 pushes"] == count.blocks["1,000 pushes again"] == 374
    assert count.blocks["10 read-outs"] == count.blocks["10 drops"] == 10
