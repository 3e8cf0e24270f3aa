import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.support.speech import talk
from training.rating import judges, labels

EXAMPLES = Path(__file__).parents[3] / "examples"
RECIPE = ({"family": "mnru", "q_db": 14.0}, {"family": "level", "level_dbov": -26.0})


def test_the_table_reads_back_as_written_and_is_the_same_bytes(tmp_path: Path) -> None:
    table = {
        7: (123, {"distill_mos": 3.25, "sig": 2.5, "bak": 4.125, "ovrl": 3.0, "plcmos": 2.25}),
        3: (9, {"distill_mos": 4.5, "sig": 3.5, "bak": 4.0, "ovrl": 3.25}),
    }
    labels.write(table, tmp_path / "a.csv.gz")
    labels.write(dict(reversed(table.items())), tmp_path / "b.csv.gz")
    assert labels.read(tmp_path / "a.csv.gz") == table
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert labels.read(tmp_path / "none.csv.gz") == {}


def test_the_checksum_follows_everything_a_clip_is_made_of() -> None:
    made_of = [
        (RECIPE, ("a.flac",), 0, 100),
        (RECIPE, ("a.flac", "b.flac"), 0, 100),
        (RECIPE, ("b.flac", "a.flac"), 0, 100),
        (RECIPE, ("a.flac",), 1, 100),
        (RECIPE, ("a.flac",), 0, 101),
        (RECIPE[:-1], ("a.flac",), 0, 100),
    ]
    assert len({labels.checksum(*each) for each in made_of}) == len(made_of)


def test_the_checksum_does_not_hang_on_a_processor() -> None:
    """NumPy's logarithm of a room's clarity ends in another bit where the processor has wider registers: of 10,900
    clips 145 were judged anew for it."""
    here = ({"family": "reverb", "rt60_s": 0.69 / np.log1p(10**0.139), "sides_m": [7.5755, 3.2855]},)
    there = (
        {**here[0], "rt60_s": float(np.nextafter(here[0]["rt60_s"], 1)), "sides_m": [np.nextafter(7.5755, 8), 3.2855]},
    )
    apart = ({**here[0], "rt60_s": here[0]["rt60_s"] + 1e-6},)
    assert here != there
    assert labels.checksum(here, ("a.flac",), 0, 100) == labels.checksum(there, ("a.flac",), 0, 100)
    assert labels.checksum(here, ("a.flac",), 0, 100) != labels.checksum(apart, ("a.flac",), 0, 100)


judged = pytest.mark.skipif(
    not all(map(find_spec, ("distillmos", "xls_r_sqa", "speechmos"))),
    reason="the judges are installed beside [test]: README.md, Work on it",
)


@judged
def test_what_the_judges_say_falls_with_the_quality() -> None:
    clean, _ = sf.read(next(iter(sorted(EXAMPLES.glob("*clean*")))), dtype="float32")
    rng = np.random.default_rng(0)
    noisy = clean + 0.03 * rng.standard_normal(clean.size).astype(np.float32)
    torn = clean * np.repeat(rng.random(clean.size // 640 + 1) > 0.3, 640)[: clean.size]
    at_best, worse, worst = (
        judges.witness(each.astype(np.float32), discontinuous=True) for each in (clean, noisy, torn)
    )
    assert all(1 <= value <= 5 for said in (at_best, worse, worst) for value in said.values())
    assert at_best["bak"] > worse["bak"] + 1
    assert at_best["distill_mos"] > worse["distill_mos"] + 1
    assert at_best["plcmos"] > worst["plcmos"] + 1
    assert "plcmos" not in judges.witness(clean, discontinuous=False)
    assert "torchaudio" not in sys.modules, "a stand-in that others take for the package"


@judged
def test_silence_around_and_an_offset_move_no_judge() -> None:
    """Seconds of silence around a clip judged instead of the clip."""
    clean, rate = sf.read(next(iter(sorted(EXAMPLES.glob("*clean*")))), dtype="float32")
    silence = np.zeros(20 * rate, np.float32)
    within = np.concatenate([silence, clean, silence]) - np.float32(0.05)
    alone, found = (judges.witness(each, discontinuous=True) for each in (clean, within))
    assert found == pytest.approx(alone, abs=0.15)


@judged
def test_plcmos_is_asked_as_its_package_asks_it() -> None:
    """Another window, another hop or another floor under silence: other spectra than it was trained on."""
    from speechmos.plcmos import PLCMOS

    speech = talk(2.0)
    speech[4000:9000] = 0
    theirs = PLCMOS.__new__(PLCMOS).stft_transform(speech)
    assert judges._log_spectra(speech) == pytest.approx(theirs, abs=1e-4)


def test_missing_judges_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    judges._distill_mos.cache_clear()
    monkeypatch.setitem(sys.modules, "distillmos", None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps distillmos"):
        judges.distill_mos(talk(2.0))
    judges._distill_mos.cache_clear()
