"""Calibration of causes: what counts as right, what is fitted, and where naming begins."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sqe_fast.answer.causes import END
from sqe_fast.answer.stock import Stock
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.engine.sequence import ListRead
from sqe_fast.errors import UnusableError
from sqe_fast.results import Cause
from tests.support.small_tokenizer import small_tokenizer
from tests.support.speech import listening_model
from tests.support.stocks import EAGER, NAMES, causes
from tests.support.training_rows import FakeClips, cause
from training.configs import Calibrate
from training.learning import calibration
from training.learning.calibration import Evidence, Shown, calibrated, evidence
from training.learning.stage import write_checkpoint

TABLE = causes()


def right(shown: Evidence, name: str) -> list[bool]:
    return [each.right for each in shown[name]]


def likely(name: str, listed: tuple[str, ...] = (), named: str | None = None) -> ListRead:
    """A read in which `name` is the likeliest."""
    chances = {each: 0.5 if each == name else 0.01 for each in TABLE.remaining(listed)}
    return ListRead(chances, None if named is None else Cause(named, TABLE.dimension[named], 0.5))


def test_what_was_recorded_and_is_not_told_yet_is_right() -> None:
    """A group that is wrong because its member was meant; a cause that stays right once it is told; an end that counts
    what nobody hears."""
    clip = {"causes": [cause("wind", 2.0), cause("packet loss", 3.0), cause("low level", 4.6)]}
    reads = [
        likely("water", named="steady noise"),
        likely("packet loss", ("steady noise",), named="packet loss"),
        likely("hum", ("steady noise", "packet loss"), named="hum"),
        likely("low level", ("steady noise", "packet loss", "hum")),
    ]
    shown = evidence(TABLE, [clip], [reads])
    assert right(shown, "water") == [False]
    assert right(shown, "steady noise") == [True]
    assert right(shown, "unclear noise") == [True, False]
    assert right(shown, "packet loss") == [True]
    assert right(shown, "hum") == [False]
    assert right(shown, "low level") == [True]
    assert right(shown, END) == [False, False, True, True]


def test_what_would_be_written_first_is_shown() -> None:
    """Probabilities of coming next, which two causes of different dimensions share: by the share that decides."""
    chances = dict.fromkeys(NAMES, 0.01) | {"wind": 0.2, "water": 0.1, "hum": 0.05, "clipping": 0.3, "end": 0.04}
    shown = evidence(TABLE, [{"causes": []}], [[ListRead(chances, None)]])
    noise = 0.01 + 0.2 + 0.1 + 0.05 + 0.01  # with steady noise and what is unclear
    assert {name: [each.share for each in of] for name, of in shown.items() if of} == {
        "wind": [pytest.approx(0.2 / (noise + 0.04))],
        "steady noise": [pytest.approx(0.31 / (noise + 0.04))],
        "unclear noise": [pytest.approx(noise / (noise + 0.04))],
        END: [0.04],
    }


def drawn(count: int, slope: float, offset: float, seed: int) -> list[Shown]:
    """Readings of a model that is wrong about itself in a known way."""
    rng = np.random.default_rng(seed)
    chances = rng.uniform(0.02, 0.98, count)
    truth = 1 / (1 + np.exp(-slope * np.log(chances / (1 - chances)) - offset))
    return [Shown(float(p), bool(hit)) for p, hit in zip(chances, rng.random(count) < truth, strict=True)]


def planted(**shown: list[Shown]) -> Evidence:
    given = {name.replace("_", " "): each for name, each in shown.items()}
    return {name: given.get(name, []) for name in NAMES}


def test_a_known_bend_is_straightened() -> None:
    """Slope and offset exchanged, probabilities in the place of logits."""
    fitted = calibrated(TABLE, planted(hum=drawn(20_000, 0.6, 0.8, 1)), 0.9).reading["hum"]
    assert (fitted.slope, fitted.offset) == (pytest.approx(0.6, abs=0.05), pytest.approx(0.8, abs=0.08))


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.8, 0.5), (2.0, -1.0)])
def test_what_is_named_is_right_as_often_as_asked(slope: float, offset: float) -> None:
    """On readings that nothing was fitted to; a threshold so high that it names next to nothing."""
    reading = calibrated(TABLE, planted(hum=drawn(20_000, slope, offset, 1)), 0.9).reading["hum"]
    fresh = sorted(drawn(20_000, slope, offset, 2), reverse=True)
    named = [each.right for each in fresh if reading(each.share) >= reading.threshold]
    assert np.mean(named) == pytest.approx(0.9, abs=0.02)
    right = np.cumsum([each.right for each in fresh]) / np.arange(1, len(fresh) + 1)
    most = np.flatnonzero(right >= 0.9)[-1] + 1
    assert len(named) == pytest.approx(most, rel=0.25)


def test_a_name_that_is_never_right_is_never_written() -> None:
    lies = [Shown(p, right=False) for p in np.linspace(0.1, 0.99, 200)]
    table = calibrated(TABLE, planted(hum=lies, wind=drawn(2_000, 1.0, 0.0, 3)), 0.9)
    decided = table.decide({name: 0.999 if name == "hum" else 0.0001 for name in NAMES})
    assert decided is None or decided.name != "hum"


def test_a_rare_name_is_read_as_the_others_are() -> None:
    """Three lucky readings that make a name certain for ever after."""
    lucky = [Shown(p, right=True) for p in (0.1, 0.2, 0.3)]
    reading = calibrated(TABLE, planted(hum=lucky, wind=drawn(5_000, 1.0, 0.0, 4)), 0.9).reading
    assert reading["hum"](0.2) < 0.5
    assert math.isclose(reading["stutter"].slope, reading["wind"].slope, rel_tol=0.2), "never seen: as all are"


@pytest.mark.parametrize("planted_error", [0.0, 0.2, 0.45])
def test_what_the_mos_errs_by_is_found(planted_error: float) -> None:
    """Standard deviations that differ from clip to clip; one factor for all blames the sure for the others."""
    rng = np.random.default_rng(3)
    stds = rng.uniform(0.15, 0.6, 4_000)
    off = rng.normal(0, np.hypot(stds, planted_error))
    assert calibration.mos_error(list(off), list(stds)) == pytest.approx(planted_error, abs=0.04)


def test_a_finished_model_gets_its_stock(tmp_path: Path) -> None:
    """From a checkpoint to its stock, and nothing else in it changed."""
    prompts = PromptBuilder(small_tokenizer(), replace(EAGER, mos_error=0.9))
    write_checkpoint(listening_model(prompts), prompts, tmp_path / "alld", {})
    folder = tmp_path / "alld" / "checkpoint"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = calibration.run(Calibrate(run=tmp_path), FakeClips(6))  # type: ignore[arg-type]
    assert "calibrated on 6 clips" in said
    stock = Stock.load(folder / "stock.json")
    assert stock.causes.kinds == EAGER.causes.kinds
    assert stock.causes.reading != EAGER.causes.reading
    assert stock.mos_error < 0.9, "an earlier calibration read along"
    assert {path.name for path in folder.iterdir() if path.read_bytes() != before[path.name]} == {"stock.json"}
    rated = FakeClips(2)
    rated.annotations = tuple(row | {"rated_by": "human", "causes": []} for row in rated.annotations)
    with pytest.raises(UnusableError, match="simulate a corpus"):
        calibration.run(Calibrate(run=tmp_path), rated)  # type: ignore[arg-type]
