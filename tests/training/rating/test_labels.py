import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.support.speech import talk
from training.rating import labels
from training.rating.raters import Label, Opinion
from training.simulation.simulate import run_stages
from training.simulation.stage import Materials

EXAMPLES = Path(__file__).parents[3] / "examples"
RECIPE = (
    {"stage": "noise", "kind": "white", "snr_db": 30.0},
    {"stage": "mnru", "q_db": 14.0},
    {"stage": "loss", "kind": "silence", "rate": 0.15, "burst": 2.0},
    {"stage": "level", "level_dbov": -26.0},
)


def test_the_table_reads_back_as_written_and_is_the_same_bytes(tmp_path: Path) -> None:
    rows = [
        (7, 123, Label(3.25, (Opinion(2.5, 4.1, 3.0), Opinion(None, 3.0, 2.25)))),
        (3, 9, Label(4.5, ())),
    ]
    labels.write(rows, tmp_path / "a.csv.gz")
    labels.write(reversed(rows), tmp_path / "b.csv.gz")
    assert labels.read(tmp_path / "a.csv.gz") == {seed: (recipe, label) for seed, recipe, label in rows}
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert labels.read(tmp_path / "none.csv.gz") == {}


def test_the_checksum_follows_everything_a_clip_is_made_of() -> None:
    found = {
        labels.checksum(RECIPE, "a.flac", 0, 100),
        labels.checksum(RECIPE, "b.flac", 0, 100),
        labels.checksum(RECIPE, "a.flac", 1, 100),
        labels.checksum(RECIPE, "a.flac", 0, 101),
        labels.checksum(RECIPE[:-1], "a.flac", 0, 100),
    }
    assert len(found) == 5


judged = pytest.mark.skipif(
    find_spec("distillmos") is None or find_spec("xls_r_sqa") is None,
    reason="the judges are installed beside [test]: README.md, Work on it",
)


@judged
def test_the_judges_are_asked_about_what_colors_or_breaks_the_speech() -> None:
    label = labels.judge(run_stages(talk(6.0), RECIPE, Materials({}, {}), 0))
    grain, lost = label.opinions
    assert grain.visqol is not None
    assert grain.visqol < 4
    assert lost.visqol is None
    assert grain.after == lost.before
    assert 1 <= label.distill_mos <= 5


@judged
def test_visqol_and_distill_mos_fall_with_the_quality() -> None:
    from training.rating import judges

    clean, _ = sf.read(next(iter(sorted(EXAMPLES.glob("*clean*")))), dtype="float32")
    grainy = [clean * (1 + g * np.random.default_rng(0).standard_normal(clean.size)) for g in (0.03, 0.3)]
    mild, strong = (signal.astype(np.float32) for signal in grainy)
    assert judges.visqol(clean, clean) > judges.visqol(clean, mild) > judges.visqol(clean, strong)
    assert judges.distill_mos(mild) > judges.distill_mos(strong)
    assert "torchaudio" not in sys.modules, "a stand-in that others take for the package"


def test_missing_judges_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.rating import judges

    judges._distill_mos.cache_clear()
    monkeypatch.setitem(sys.modules, "distillmos", None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps distillmos"):
        judges.distill_mos(talk(2.0))
    judges._distill_mos.cache_clear()
