"""Decoding in child processes: the same blocks, and what breaks one costs nothing but its own row."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sqe_fast.audio import Excerpt, Raw, load, recordings
from sqe_fast.audio.sandbox import Pool, confine, worker
from sqe_fast.audio.sources import FileSource, PcmSource
from sqe_fast.errors import ClipError, ErrorCode, UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.options import Sandbox
from tests.fuzz.families import FAMILIES, seeds
from tests.support.audio_samples import RATE, bomb, encoded, long_speech, noise, speech
from tests.support.codecs import Track, by_ffmpeg, with_tracks
from tests.support.fake_evaluator import MODEL, PROMPTS, fake_runner, wait_until
from tests.support.faulty_child import FAULTS, planted

ROOT = Path(__file__).parents[2]
LIMITS = Sandbox(children=2, cpu_seconds=2.0, wait_seconds=8.0, memory=256 << 20)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(LIMITS)
    yield pool
    pool.close()


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """Its decoders do what a file's first bytes say."""
    monkeypatch.setattr(worker, "CHILD", "tests.support.faulty_child")
    pool = Pool(LIMITS)
    yield pool
    pool.close()


def children(pool: Pool) -> list[int]:
    return [each._process.pid for each in pool._workers if not each.gone]


def alive(pid: int) -> bool:
    """Runs; a zombie does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def refused(source: Any, pool: Pool) -> ClipError:
    with pytest.raises(ClipError) as caught:
        load(source, opens=pool.open)
    assert len(caught.value.message) > 20
    return caught.value


def decoded(opens: Callable[..., PcmSource], file: Any) -> Any:
    """All that a decoder gives; or the error."""
    try:
        pcm = opens("", file)
        return pcm.rate, pcm.channels, [block.tobytes() for block in pcm.blocks()], pcm.cut
    except ClipError as error:
        return error.code, error.message


def everything(source: Any, **choices: Any) -> Any:
    """All that a row is made of; or the error."""
    try:
        return [
            (each.channel, each.duration, each.source_rate, each.flags, each.no_speech,
             [clip.digest for clip in each.windows()], [block.tobytes() for block in each.blocks()])
            for each in recordings(source, **choices)
        ]  # fmt: skip
    except ClipError as error:
        return error.code, error.message


# --- the same ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_of_every_format_are_the_same(family: str, pool: Pool, tmp_path: Path) -> None:
    """To the bit, whole and cut, from bytes and from a file."""
    path = tmp_path / "a"
    for whole in seeds(family):
        for data in (whole, whole[: len(whole) * 2 // 3]):
            path.write_bytes(data)
            wanted = decoded(FileSource, io.BytesIO(data))
            assert decoded(pool.open, io.BytesIO(data)) == decoded(pool.open, path) == wanted


def growing() -> bytes:
    """A stream that gets a second channel and a higher rate on its way."""
    wide = np.stack([long_speech(35, 24_000), np.roll(long_speech(35, 24_000), 9_000)], 1)
    return by_ffmpeg(speech(), "adts", "aac", RATE) + by_ffmpeg(wide, "adts", "aac", 24_000)


def sources(folder: Path) -> Iterator[Any]:
    stereo = np.stack([long_speech(70, 8_000), np.roll(long_speech(70, 8_000), 9_000)], 1)
    (folder / "stereo.wav").write_bytes(encoded(stereo, 8_000))
    (folder / "text.wav").write_text("hello, world\n" * 99)
    (folder / "short.flac").write_bytes(encoded(noise(0.1), file_format="FLAC"))
    yield folder / "stereo.wav"
    yield encoded(speech(), file_format="OGG", subtype="VORBIS")
    yield Excerpt(folder / "stereo.wav", 20.0, 12.0)
    yield growing()
    yield with_tracks("matroska", Track(speech(), "flac"), Track(long_speech(40, 8_000), "flac", 8_000))
    yield Raw((noise(1) * 30_000).astype("<i2").tobytes(), RATE)
    yield Raw(noise(1), RATE)
    yield {"bytes": encoded(speech()), "path": "a.wav"}
    yield (speech(), RATE)
    yield encoded(np.where(np.arange(RATE) == 9, np.nan, 0.1).astype(np.float32), subtype="FLOAT")
    yield folder / "text.wav"
    yield folder / "short.flac"
    yield folder / "absent.wav"
    yield folder
    yield b""
    yield None


def test_rows_are_the_same(pool: Pool, tmp_path: Path) -> None:
    """Values and refusals of every kind of source."""
    for source in sources(tmp_path):
        assert everything(source, opens=pool.open) == everything(source), source


class Unpacking(io.BufferedReader):
    """A file object whose descriptor leads to other bytes than its `read` gives, as that of GzipFile does."""

    def read(self, size: int | None = -1) -> bytes:
        return bytes(byte ^ 255 for byte in super().read(size))


def test_file_objects_are_read_as_themselves(pool: Pool, tmp_path: Path) -> None:
    data = encoded(speech())
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    wanted = everything(data)
    with path.open("rb") as plain, path.open("rb", buffering=0) as unbuffered:
        plain.seek(77)
        assert everything(plain, opens=pool.open) == everything(unbuffered, opens=pool.open) == wanted
        assert plain.tell() == 77
    path.write_bytes(bytes(byte ^ 255 for byte in data))
    with Unpacking(path.open("rb", buffering=0)) as packed:
        assert everything(packed, opens=pool.open) == wanted
    with tempfile.TemporaryFile() as both:
        both.write(data)
        assert everything(both, opens=pool.open) == wanted


def test_long_recordings_are_heard_by_turns(pool: Pool, tmp_path: Path) -> None:
    """Several are under way in one thread, more than there are children, each read more than once."""
    path = tmp_path / "long.flac"
    path.write_bytes(encoded(long_speech(100), file_format="FLAC"))
    wanted = [clip.digest for clip in load(path).windows()]
    heard = [load(path, opens=pool.open) for _ in range(5)]
    for _ in range(2):
        by_turns = list(zip(*[each.windows() for each in heard], strict=True))
        assert [[clip.digest for clip in clips] for clips in by_turns] == [[digest] * 5 for digest in wanted]
    assert len(children(pool)) <= 2


def test_nothing_is_held_of_what_nobody_holds(pool: Pool) -> None:
    """Sources, readings that were not finished, files: in this process and in the children."""
    data = encoded(long_speech(40))

    def held() -> int:
        assert load(encoded(speech()), opens=pool.open).flags == ()  # says what was closed
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (*children(pool), os.getpid()))

    for _ in range(3):
        before = held()
        for _ in range(20):
            next(load(data, opens=pool.open).windows())
        gc.collect()
        after = held()
    assert after <= before + 4


def test_a_file_that_goes_away_between_the_passes(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    data = encoded(long_speech(40))
    path.write_bytes(data)
    recording = load(path, opens=pool.open)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ClipError) as caught:
        list(recording.windows())
    assert caught.value.code is ErrorCode.UNREADABLE
    path.unlink()
    with pytest.raises(ClipError) as caught:
        list(recording.windows())
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_ten_hours_stream(pool: Pool, tmp_path: Path) -> None:
    """The blocks of a long file are nowhere together; nor does a child grow."""
    path = tmp_path / "long.flac"
    bomb(path, hours=10, rate=4_000)
    recording = load(path, opens=pool.open)
    assert recording.duration == 36_000
    for pid in children(pool):
        status = Path(f"/proc/{pid}/status").read_text()
        assert int(status.split("VmHWM:")[1].split()[0]) < 120_000


# --- what breaks ------------------------------------------------------------------------------------------------------

COSTS = {
    "segfault": ErrorCode.DECODER_CRASHED,
    "abort": ErrorCode.DECODER_CRASHED,
    "exit": ErrorCode.DECODER_CRASHED,
    "spin": ErrorCode.DECODER_TIMEOUT,
    "sleep": ErrorCode.DECODER_TIMEOUT,
    "hoard": ErrorCode.DECODER_MEMORY,
    "connect": ErrorCode.DECODER_CRASHED,
    "listen": ErrorCode.DECODER_CRASHED,
    "fork": ErrorCode.DECODER_CRASHED,
    "execute": ErrorCode.DECODER_CRASHED,
    "write": ErrorCode.DECODER_CRASHED,
    "kill_parent": ErrorCode.DECODER_CRASHED,
    "print": ErrorCode.DECODER_CRASHED,
    "lie": ErrorCode.DECODER_CRASHED,
    "answer_nothing": ErrorCode.DECODER_CRASHED,
    "answer_short": ErrorCode.DECODER_CRASHED,
}
SAYS = {
    "segfault": "SIGSEGV", "abort": "SIGABRT", "exit": "exit code 3", "spin": "s of CPU without an answer",
    "sleep": "gave nothing", "hoard": "256 MiB", "connect": "not permitted", "listen": "not permitted",
    "fork": "not permitted", "execute": "not permitted", "write": "not permitted",
    "kill_parent": "not permitted", "print": "said",
    "lie": "answer that is none",
    "answer_nothing": "answer that is none",
    "answer_short": "answer that is none",
}  # fmt: skip


@pytest.mark.parametrize("fault", COSTS)
def test_a_fault_costs_its_own_row(fault: str, faulty: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    assert set(FAULTS) >= set(COSTS)
    before = everything(encoded(speech()), opens=faulty.open)
    with pytest.raises(ClipError, match=SAYS[fault]) as caught:
        load(planted(fault), opens=faulty.open)
    assert caught.value.code is COSTS[fault]
    assert everything(encoded(speech()), opens=faulty.open) == before
    assert capfd.readouterr() == ("", "")
    assert not os.path.exists("/tmp/sqe-fast-planted")


def test_neighbours_of_faults_are_the_same(faulty: Pool) -> None:
    """Of 64 clips on many threads one of each kind breaks its child; all others get the rows that they get alone."""
    evaluator = Evaluator(fake_runner(slots=8), PROMPTS, model=MODEL, sandbox=faulty)
    clean = [encoded(noise(0.5 + 0.01 * i, seed=i)) for i in range(64)]
    wanted = [each.to_row() for each in evaluator.evaluate(clean)]
    faults = ("segfault", "spin", "hoard", "connect", "fork", "abort", "lie", "exit")
    broken = dict(zip(range(3, 64, 8), faults, strict=True))
    mixed = [planted(broken[i]) if i in broken else data for i, data in enumerate(clean)]
    rows = [each.to_row() for each in evaluator.evaluate(mixed)]
    evaluator.close()
    assert len(rows) == 64
    for i, row in enumerate(rows):
        if i in broken:
            assert row["error"]["code"] == COSTS[broken[i]].value
            assert row["mos"] is None
        else:
            assert row == wanted[i]


def test_nobody_is_blamed_for_a_child_that_was_hurt_before(faulty: Pool) -> None:
    """A child that dies under a sound file is no reason to refuse it: a fresh one decodes it; so does one that is at it
    goes on elsewhere, where it was."""
    path_data = encoded(long_speech(60), file_format="FLAC")
    wanted = [clip.digest for clip in load(path_data).windows()]
    recording = load(path_data, opens=faulty.open)
    windows = recording.windows()
    heard = [next(windows).digest]
    for pid in children(faulty):
        os.kill(pid, signal.SIGKILL)
    heard += [clip.digest for clip in windows]
    assert heard == wanted
    for pid in children(faulty):
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
    assert [clip.digest for clip in recording.windows()] == wanted


def test_what_a_stream_becomes_is_learnt_by_another_child(faulty: Pool) -> None:
    """The child that had found out is gone: the next one begins with what the header says."""
    data = growing()
    wanted = everything(data)
    heard = recordings(data, opens=faulty.open)
    for pid in children(faulty):
        os.kill(pid, signal.SIGKILL)
    assert [[clip.digest for clip in each.windows()] for each in heard] == [each[5] for each in wanted]


@pytest.mark.parametrize("seconds", [100, 7_200])
def test_a_bomb_is_stopped(seconds: int, pool: Pool, tmp_path: Path) -> None:
    """By length while it is decoded, as without a sandbox; its child is not lost for that."""
    from sqe_fast.audio import Limits

    path = tmp_path / "bomb.flac"
    bomb(path, hours=seconds / 3_600)
    load(encoded(speech()), opens=pool.open)
    before = children(pool)
    with pytest.raises(ClipError) as caught:
        load(path, limits=Limits(max_seconds=60), opens=pool.open)
    assert caught.value.code is ErrorCode.TOO_LONG
    load(encoded(speech()), opens=pool.open)
    assert children(pool) == before


# --- processes --------------------------------------------------------------------------------------------------------


def test_children_reach_no_network(pool: Pool) -> None:
    load(encoded(speech()), opens=pool.open)
    [status] = {Path(f"/proc/{pid}/status").read_text().split("Seccomp:")[1].split()[0] for pid in children(pool)}
    assert status == "2"


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs a privilege here")
def test_where_there_is_no_seccomp_a_namespace_does(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from sqe_fast.audio.sandbox import confine\n"
        "confine._has_seccomp = lambda: False\n"
        "before = confine.network(); confine.leave_network()\n"
        "print(confine.confine(1 << 30, before))\n"
        "import socket; socket.create_connection(('127.0.0.1', 9))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == confine.NAMESPACE
    assert "Network is unreachable" in done.stderr


def test_where_there_is_neither_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CHILD", "tests.support.open_child")
    pool = Pool(LIMITS)
    with pytest.warns(RuntimeWarning, match="keep these from the network"):
        load(encoded(speech()), opens=pool.open)
    pool.close()


def test_children_end_with_the_pool() -> None:
    for end in (Pool.close, lambda pool: None):
        pool = Pool(LIMITS)
        load(encoded(speech()), opens=pool.open)
        [pid] = children(pool)
        assert alive(pid)
        end(pool)
        del pool
        gc.collect()
        assert not alive(pid)
        with pytest.raises(ChildProcessError):  # not even as a zombie
            os.waitpid(pid, os.WNOHANG)


def test_a_closed_pool_decodes_nothing() -> None:
    pool = Pool(LIMITS)
    recording = load(encoded(long_speech(40)), opens=pool.open)
    pool.close()
    pool.close()
    with pytest.raises(UnusableError, match="closed"):
        list(recording.windows())
    with pytest.raises(UnusableError, match="closed"):
        load(encoded(speech()), opens=pool.open)


SCRIPT = """
import signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's jobs in the background ignore it
from sqe_fast.audio import load
from sqe_fast.audio.sandbox import Pool, worker
from sqe_fast.options import Sandbox
from tests.support.faulty_child import planted
worker.CHILD = "tests.support.faulty_child"
pool = Pool(Sandbox(children=2))
threads = [threading.Thread(target=load, args=(planted(fault),), kwargs={"opens": pool.open}, daemon=True)
           for fault in ("spin", "sleep")]
for thread in threads:
    thread.start()
while len(pool._workers) < 2 or not all(each._ready for each in pool._workers):
    time.sleep(0.01)
print(*[each._process.pid for each in pool._workers], flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphan_is_left(signum: signal.Signals) -> None:
    """Children that hang, one of them busy, go with a parent that is killed. A script without a __main__ guard."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as script:
        assert script.stdout is not None
        pids = [int(pid) for pid in script.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        script.send_signal(signum)
    wait_until(lambda: not any(map(alive, pids)))


def test_a_fork_has_children_of_its_own(pool: Pool) -> None:
    data = encoded(speech())
    wanted = everything(data, opens=pool.open)
    mine = children(pool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if everything(data, opens=pool.open) == wanted and not set(children(pool)) & set(mine) else 2
            pool._workers[0].end()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert everything(data, opens=pool.open) == wanted
    assert children(pool) == mine


def test_threads_share_a_pool(pool: Pool) -> None:
    clips = [encoded(noise(0.5, seed=seed)) for seed in range(40)]
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(lambda data: everything(data, opens=pool.open), clips))
    assert rows == list(map(everything, clips))
    assert len(children(pool)) <= 2


def test_a_thread_that_started_a_child_may_end(pool: Pool) -> None:
    """A child that follows the thread, not the process, would be gone."""
    own = Pool(LIMITS)
    thread = threading.Thread(target=load, args=(encoded(speech()),), kwargs={"opens": own.open})
    thread.start()
    thread.join()
    time.sleep(0.05)
    [pid] = children(own)
    assert alive(pid)
    assert load(encoded(speech()), opens=own.open).flags == ()
    assert children(own) == [pid]
    own.close()


def test_a_child_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CHILD", "tests.support.no_such_child")
    pool = Pool(LIMITS)
    with pytest.raises(UnusableError, match=r"No module named 'tests\.support\.no_such_child'"):
        load(encoded(speech()), opens=pool.open)
    pool.close()


def test_no_file_is_left(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = encoded(long_speech(40))
    path = tmp_path.with_suffix(".pipe")
    os.mkfifo(path)

    class Source:
        """A caller's own, that cannot be reopened."""

        def __init__(self) -> None:
            held = io.BytesIO(data)
            self.read, self.seek, self.tell = held.read, held.seek, held.tell

    source = Source()
    assert load(source, opens=pool.open).duration == 40
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    assert load(path, opens=pool.open).duration == 40
    writer.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("choice", [{"children": 0}, {"memory": 1 << 20}, {"cpu_seconds": 0.0}, {"wait_seconds": -1.0}])
def test_limits_that_cannot_be(choice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a sandbox needs"):
        Sandbox(**choice)


def test_a_sandbox_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UnusableError, match="on Linux only"):
        Sandbox()


def test_soundfile_is_the_only_codec_before_it_is_needed(pool: Pool) -> None:
    """A child's memory is that of NumPy and libsndfile."""
    fresh = Pool(LIMITS)
    load(encoded(speech()), opens=fresh.open)
    [pid] = children(fresh)
    assert "libavcodec" not in Path(f"/proc/{pid}/maps").read_text()
    assert "onnxruntime" not in Path(f"/proc/{pid}/maps").read_text()
    fresh.close()
