"""A job on a real local cluster: workers that die cost nothing but time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from sqe_fast import Evaluator
from sqe_fast.errors import UnusableError
from sqe_fast.jobs.parquet import LOCK, read_rows
from sqe_fast.jobs.ray_data import Workers, score
from sqe_fast.jobs.run import Choices
from tests.support.audio_samples import RATE, speech

ray = pytest.importorskip("ray", reason='needs Ray: pip install -c constraints.txt "ray[data]"')

BRIEF = Choices(describe=False)
LOCAL = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
"""Without a token, which Ray would keep in the home folder; workers wait for nobody else on the machine."""
ALONE: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "_node_ip_address": "127.0.0.1"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """`stand_in` stands for a device that some workers have and others have not."""
    os.environ |= LOCAL
    ray.init(num_cpus=4, resources={"stand_in": 2}, **ALONE)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(12):
        part = speech()[4_000 * number :][:16_000] * 10 ** (-number / 30)
        soundfile.write(folder / f"{number:02}.wav", part, RATE)
    (folder / "07.wav").write_bytes(b"no sound")
    return sorted(map(str, folder.iterdir()))


@pytest.fixture(scope="module")
def expected(clips: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """As `sqe score` has them, by file."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    command = [sys.executable, "-m", "sqe_fast", "score", *clips, "--no-describe", "-o", str(path)]
    subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == len(clips)
    return {row["file"]: row for row in rows}


def by_file(place: str) -> dict[str, dict[str, Any]]:
    rows = list(read_rows(place))
    found = {row["file"]: row for row in rows}
    assert len(found) == len(rows), "a recording is there twice"
    return found


@pytest.mark.parametrize("resources", [{}, {"stand_in": 1}], ids=["cpu", "device"])
def test_the_rows_are_those_of_one_process(
    resources: dict[str, float], clips: list[str], expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    place = str(tmp_path / "rows")
    summary = score(clips, place, choices=BRIEF, workers=Workers(count=2, batch=3, resources=resources))
    assert by_file(place) == expected
    assert (summary.recordings, summary.failed, summary.errors) == (12, 1, {"unsupported_format": 1})
    assert all(name == LOCK or name.startswith("part-000001-") for name in os.listdir(place))


def dying(marker: Path, when: str) -> Callable[[], Evaluator]:
    """Opens a model for a worker that is killed once: before it has written a part, or behind it."""
    marker.touch()
    path = str(marker)

    def opened() -> Evaluator:
        import os
        import signal

        from sqe_fast import Evaluator
        from sqe_fast.jobs.parquet import Parts

        write = Parts.write

        def killed(self: Parts, table: Any, name: str) -> None:
            if when == "behind":
                write(self, table, name)
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
            if when == "before":
                write(self, table, name)

        Parts.write = killed  # type: ignore[method-assign]
        return Evaluator.from_pretrained("tiny", threads=1)

    return opened


@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("resources", [{}, {"stand_in": 1}], ids=["cpu", "device"])
def test_a_worker_that_is_killed_costs_nothing_but_time(
    resources: dict[str, float], when: str, clips: list[str], expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    place, marker = str(tmp_path / "rows"), tmp_path / "marker"
    workers = Workers(count=2, batch=3, resources=resources)
    score(clips, place, choices=BRIEF, workers=workers, open_evaluator=dying(marker, when))
    assert not marker.exists(), "nobody was killed"
    assert by_file(place) == expected


def test_workers_that_keep_dying_end_the_job(
    clips: list[str], expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """A job that goes on for ever, or that loses what others have written."""
    place, deadly = str(tmp_path / "rows"), tmp_path / "deadly"
    deadly.touch()
    path = str(deadly)

    def opened() -> Evaluator:
        import os
        import signal

        from sqe_fast import Evaluator
        from sqe_fast.jobs.parquet import Parts

        write = Parts.write

        def killed(self: Parts, table: Any, name: str) -> None:
            if os.path.exists(path) and any(file.endswith("05.wav") for file in table.column("file").to_pylist()):
                os.kill(os.getpid(), signal.SIGKILL)
            write(self, table, name)

        Parts.write = killed  # type: ignore[method-assign]
        return Evaluator.from_pretrained("tiny", threads=1)

    workers = Workers(batch=2, retries=1)
    with pytest.raises(ray.exceptions.RayError):
        score(clips, place, choices=BRIEF, workers=workers, open_evaluator=opened)
    assert by_file(place).items() < expected.items()
    deadly.unlink()
    score(clips, place, choices=BRIEF, workers=workers, resume=True, open_evaluator=opened)
    assert by_file(place) == expected


def test_a_job_is_resumed(clips: list[str], expected: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Nothing is scored twice but what has changed; other options are refused."""
    place, workers = str(tmp_path / "rows"), Workers(batch=4)
    score(clips[:6], place, choices=BRIEF, workers=workers)
    before = {name: (tmp_path / "rows" / name).read_bytes() for name in os.listdir(place)}
    with pytest.raises(UnusableError, match="--resume"):
        score(clips, place, choices=BRIEF, workers=workers)
    with pytest.raises(UnusableError, match="--describe"):
        score(clips, place, workers=workers, resume=True)
    score(clips, place, choices=BRIEF, workers=workers, resume=True)
    assert by_file(place) == expected
    assert {name: (tmp_path / "rows" / name).read_bytes() for name in before} == before
    changed = tmp_path / "changed.wav"
    for scale in (1.0, 0.1):
        soundfile.write(changed, speech()[:16_000] * scale, RATE, subtype="PCM_16" if scale == 1 else "PCM_24")
        summary = score([*clips, str(changed)], place, choices=BRIEF, workers=workers, resume=True)
        assert summary.recordings == 13
    found = by_file(place)
    assert found.pop(str(changed))["fingerprint"].startswith(f"{changed.stat().st_size}:")
    assert found == expected


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_bytes_and_other_columns(scheme: str, clips: list[str], expected: dict[str, Any], tmp_path: Path) -> None:
    """As they come from a bucket; rows to an address."""
    held = ray.data.read_binary_files(clips[:4], include_paths=True).map(lambda row: {**row, "speaker": "x"})
    place = f"{scheme}{tmp_path}/rows"
    for resume in (False, True):
        summary = score(held, place, choices=BRIEF, workers=Workers(batch=4), resume=resume)
        assert summary.recordings == 4
    found = by_file(place)
    assert {file: row["mos"] for file, row in found.items()} == {file: expected[file]["mos"] for file in clips[:4]}
    assert {row["given"]["speaker"] for row in found.values()} == {"x"}
    assert all(row["fingerprint"].startswith("sha256:") for row in found.values())


def test_a_driver_that_is_killed(clips: list[str], expected: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    code = (
        f"import sys, ray\nray.init(num_cpus=2, **{ALONE})\n"
        "from sqe_fast.jobs.ray_data import Workers, score\nfrom sqe_fast.jobs.run import Choices\n"
        "score(sys.argv[2:], sys.argv[1], choices=Choices(describe=False), workers=Workers(batch=2))"
    )
    place = tmp_path / "rows"
    environment = os.environ | LOCAL | {"RAY_ADDRESS": ""}
    driver = subprocess.Popen([sys.executable, "-c", code, str(place), *clips], cwd=ROOT, env=environment)
    while not place.is_dir() or not any(name.startswith("part-") for name in os.listdir(place)):
        assert driver.poll() is None, "the job was over before it could be killed"
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    score(clips, str(place), choices=BRIEF, workers=Workers(batch=2), resume=True)
    assert by_file(str(place)) == expected


def test_nothing_is_reported() -> None:
    """Ray asks a server of its maker's for leave to report, unless it is told not to."""
    code = (
        "import os, sys\nos.environ.pop('RAY_USAGE_STATS_ENABLED', None)\n"
        "from sqe_fast.jobs.ray_data import _ray\n_ray()\n"
        "from ray._common.usage import usage_lib\nprint(usage_lib.usage_stats_enabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split()[-1] == "False"
