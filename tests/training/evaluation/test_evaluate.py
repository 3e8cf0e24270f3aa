"""The whole evaluation on the fake evaluator: every set by itself, untouched talkers apart, what the tables say."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sqe_fast.answer.argument import conclusion
from sqe_fast.answer.scale import verdict
from sqe_fast.answer.template import IM_END, PromptBuilder
from sqe_fast.engine.engine import Engine
from sqe_fast.jobs.lines import JsonLines
from sqe_fast.results import RATINGS, Comparison, Evaluation, Ratings
from tests.support.fake_evaluator import LISTING, PROMPTS, fake_evaluator, fake_runner, prose, silence, sound
from tests.training.corpora.test_human import write_panels
from tests.training.corpora.test_p835 import folder as p835_folder
from training.configs import Plan, Sets
from training.corpora import p835
from training.corpora.corpus import WITNESS, Clips, SplitWriter
from training.evaluation.evaluate import Subject, argument, comparison_scores, report, save
from training.evaluation.rated_sets import RatedSet, accuracy, built, gather
from training.evaluation.report import cell, markdown
from training.rating import panels

CAUSE = {"family": "loss", "kind": "silence", "name": "packet loss", "rating": 2.5}
SAID = "Packet loss breaks up many words, so the overall MOS is 1.0."


class FewWords:
    """A writer with a few ways to say it."""

    def describe(self, row: dict[str, object], listed: object, rng: np.random.Generator) -> str:
        where = rng.choice(["now and then", "in places", "all the time"])
        return f"Packet loss breaks the speech {where}, so the overall MOS is {row['mos']:.1f}."

    def argue(self, a: object, b: object, rng: np.random.Generator) -> str:
        return f"On flow, Speech A is {rng.choice(['better', 'steadier'])}, while Speech B is worse."


def row(index: int, **more: object) -> dict[str, object]:
    rng = np.random.default_rng(index)
    ratings = {name: float(rng.uniform(1.2, 4.8)) for name in RATINGS}
    return {"rated_by": "simulated", "condition": None, "causes": [CAUSE], **ratings, **more}


def complete(count: int = 12) -> RatedSet:
    return RatedSet(
        "simulated test", "in-domain", [row(i) for i in range(count)], [sound(i, 0.5) for i in range(count)]
    )


def partial(count: int = 8) -> RatedSet:
    """As holub's: three ratings, two files a condition, two or four that have one score."""
    rows = [row(i, rated_by="human", condition=f"c{i // 2}", point=f"p{i // 3}", causes=[]) for i in range(count)]
    rows = [{k: v for k, v in given.items() if k not in ("discontinuity", "loudness")} for given in rows]
    return RatedSet("P.835", "out-of-domain", rows, [sound(100 + i, 0.5) for i in range(count)])


def subject(prompts: PromptBuilder) -> Subject:
    return Subject(fake_evaluator(fake_runner(script=prose(SAID)), prompts), prompts, Engine(fake_runner()))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("plots")
    sets, plan = [complete(), partial()], Plan(described=5, pairs=1, same_sound=2, followed=4)
    result = report(subject(LISTING), sets, plan, writer=FewWords(), plot_folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["p835.png", "simulated-test.png"]
    return result


def test_ratings_are_scored_in_every_set_by_itself(found: dict) -> None:
    simulated, human = found["sets"]["simulated test"], found["sets"]["P.835"]
    assert (simulated["domain"], simulated["rated_by"], simulated["clips"]) == ("in-domain", "simulated", 12)
    assert set(simulated["files"]) == set(RATINGS)
    assert "conditions" not in simulated
    assert set(human["files"]) == {"noisiness", "coloration", "mos"}
    for group, count in (("conditions", 4), ("points", 3)):
        assert human[group]["count"] == count
        assert set(human[group]["figures"]) == set(human["files"])
    assert "descriptions" not in human


def test_descriptions_and_comparisons_are_judged(found: dict) -> None:
    described = found["sets"]["simulated test"]["descriptions"]
    assert (described["texts"], described["failed"], described["distinct"] <= 5) == (5, 0, True)
    assert described["bleu"]["share"]["value"] == pytest.approx(
        described["bleu"]["model"]["value"] / described["bleu"]["ceiling"]["value"], rel=1e-3
    )
    words = len(LISTING.encode(f"{SAID}{IM_END}"))
    assert described["forced"] == described["forced"] | {"right": 5, "of": 5 * words}, "the MOS, once a text"
    compared = found["sets"]["simulated test"]["comparisons"]
    assert compared["mirrored"] == compared["mirrored"] | {"right": compared["pairs"], "of": compared["pairs"]}
    assert sum(share["of"] for name, share in compared["accuracy"].items() if "all" not in name) == compared["pairs"]


def test_causes_are_those_of_every_recording(found: dict) -> None:
    """Those of descriptions alone, or read off the prose."""
    named = found["sets"]["simulated test"]["causes"]
    assert named["recall"]["packet loss"]["of"] == 12
    assert sum(named["confusion"]["packet loss"].values()) >= 12
    assert "causes" not in found["sets"]["P.835"]
    followed = found["sets"]["simulated test"]["followed"]
    assert followed["clips"] == 0, "all clips suffer from the same"


def test_the_figures_survive_json_and_make_tables(found: dict, tmp_path: Path) -> None:
    save(found, tmp_path / "sub" / "found.json")
    again = json.loads((tmp_path / "sub" / "found.json").read_text())
    assert again == json.loads(json.dumps(found))
    text = markdown(again)
    assert text.index("### simulated test (in-domain)") < text.index("### P.835 (out-of-domain)")
    assert "per condition (4)" in text
    assert "8 clips, rated by: human. By P.835: BAK stands under noisiness," in text
    assert text.count("By P.835") == 1
    assert "per condition and talker (3)" in text
    assert "| named, of which recorded | " in text
    assert "| under another clip's ratings: named, of which recorded of the clip that is heard | " in text
    words = again["sets"]["simulated test"]["descriptions"]["forced"]["of"]
    assert f"| tokens that were forced | 5 of {words}: " in text
    assert f"| LCC | {cell(again['sets']['P.835']['files']['noisiness']['lcc'])} |" in text
    for line in text.splitlines():
        if line.startswith("|") and "nrefs" not in line:
            assert line.endswith("|")


@dataclass
class Oracle:
    """Compares clips by their first sample, which is their MOS; or the other way round."""

    sign: int = 1

    def compare(self, a: tuple[np.ndarray, int], b: tuple[np.ndarray, int], describe: bool = True) -> Comparison:
        ratings = [Ratings(3.0, 3.0, 3.0, 3.0, float(clip[0][0]), 0.1) for clip in (a, b)]
        winner = verdict(*(rating.mos for rating in ratings[:: self.sign]))
        probability = {"A": 0.75, "B": 0.25, "tie": 0.5}[winner]
        text = f"{conclusion(winner, *(rating.mos for rating in ratings))} No more is to be said."
        return Comparison(*(Evaluation("", rating) for rating in ratings), winner, probability, text)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_verdict_is_right_where_the_clip_rated_higher_wins(sign: int) -> None:
    mos = np.linspace(1.0, 4.8, 20)
    rows = [row(index, mos=float(value)) for index, value in enumerate(mos)]
    rated = RatedSet("exact", "in-domain", rows, [(np.full(10, value), 16_000) for value in mos])
    oracle = Subject(Oracle(sign), PROMPTS, None)  # type: ignore[arg-type]
    found = comparison_scores(oracle, rated, FewWords(), Plan(pairs=4))
    assert found["mirrored"]["right"] == found["mirrored"]["of"] == found["pairs"] == 4 * 5
    clear = found["accuracy"]["≥ 0.5, all"]
    assert (clear["right"], clear["of"]) == ((12, 12) if sign == 1 else (0, 12))
    with_verdict = found["agreement"]["kinds"].get("verdict", 0)
    assert with_verdict == (0 if sign == 1 else 20)


def test_what_cannot_be_scored_is_counted_and_said() -> None:
    rated = complete(6)
    rated.sources[1], rated.sources[4] = silence(0.5), sound(1, 0.1)
    few = RatedSet("few", "in-domain", rated.rows, rated.sources)
    found = report(subject(PROMPTS), [few], Plan(described=0, pairs=0, same_sound=2))
    entry = found["sets"]["few"]
    assert (entry["clips"], entry["refused"]) == (4, {"silent": 1, "too_short": 1})
    assert not {"descriptions", "comparisons"} & entry.keys()
    assert "4 clips, rated by: simulated; not scored: 1 silent; not scored: 1 too_short." in markdown(found)


def test_accuracy_compares_each_recording_with_its_own_row() -> None:
    rated = partial()
    answered = [7, 0, 3, 4]
    exact = accuracy(rated, {name: rated.true(name)[answered] for name in rated.ratings}, answered)
    assert exact["files"]["mos"]["mse"]["value"] == 0
    shifted = accuracy(rated, {name: rated.true(name)[answered] + 0.5 for name in rated.ratings}, answered)
    assert shifted["files"]["noisiness"]["rmse"]["value"] == pytest.approx(0.5)


def test_the_reference_of_an_argument_opens_with_the_conclusion_of_the_rated_rows() -> None:
    a, b = row(0) | {"mos": 2.04}, row(1) | {"mos": 3.96}
    text = argument(a, b, FewWords(), np.random.default_rng(0))
    assert text.startswith(conclusion("B", 2.0, 4.0))
    assert " On flow, Speech A is " in text


# --- sets ---------------------------------------------------------------------------------------------


def test_talkers_trained_on_stand_apart_and_untouched_ones_are_heard_at_the_end(tmp_path: Path) -> None:
    lines = [["u", f"c{c}_{t}.wav", c, 7, 2.0, 3.0, 2.5] for c in (1, 2) for t in ("f1", "m1", "f2", "f3", "m2", "m3")]
    folder = p835_folder(tmp_path, lines=lines)
    [calibration] = gather(tmp_path, Sets(corpus=False, p835=folder))
    assert {row["speaker"] for row in calibration.rows} == set(p835.CALIBRATION_TALKERS)
    assert calibration.domain == "trained on"
    _, untouched = gather(tmp_path, Sets(corpus=False, p835=folder, final=True))
    assert (untouched.name, untouched.domain) == ("P.835, untouched talkers", "out-of-domain")
    assert {row["speaker"] for row in untouched.rows} == set(p835.UNTOUCHED_TALKERS)
    assert all(Path(source).name.split("_")[1][:2] in p835.UNTOUCHED_TALKERS for source in untouched.sources)


def test_holubs_panel_is_scored_by_what_has_one_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_panels(tmp_path, monkeypatch) / "rated" / panels.FOLDERS[panels.HOLUB]
    [trained] = gather(tmp_path, Sets(corpus=False, holub=folder))
    assert {(row["speaker"], trained.domain) for row in trained.rows} == {("f1", "trained on"), ("m1", "trained on")}
    assert {row["point"] for row in trained.rows} == {"pub f1", "pub m1", "car f1", "car m1", "r05"}
    _, untouched = gather(tmp_path, Sets(corpus=False, holub=folder, final=True))
    assert {row["speaker"] for row in untouched.rows} == set(panels.UNTOUCHED[panels.HOLUB])
    assert untouched.ratings == ("noisiness", "coloration", "mos")


def test_a_built_split_is_read_clip_by_clip(tmp_path: Path) -> None:
    with SplitWriter(tmp_path) as writer:
        for index in range(3):
            evidence = {"checksum": 1, "causes": [], "defects": {"floor_db": 20.0 + index, "high_hz": 8000.0}}
            writer.add(
                np.full(8000, index / 4, np.float32),
                {"seed": index, "speaker": None, "rated_by": "simulated", **evidence},
            )
    with JsonLines(tmp_path / WITNESS) as said:
        for index in range(3):
            said.append({"seed": index, "checksum": 1, "witness": {"distill_mos": 4.0, "sig": 3.5}})
    [rated] = gather(tmp_path, Sets())
    assert (rated.name, rated.domain, rated.complete) == ("simulated test", "in-domain", True)
    samples, rate = rated.sources[2]
    assert rate == 16_000
    assert samples[0] == pytest.approx(0.5, abs=1e-4)
    assert rated.sources[1:][0][0][0] == pytest.approx(0.25, abs=1e-4)
    assert len(built(Clips.open(tmp_path), "first", limit=2).sources) == 2
    assert np.all(np.diff(rated.true("noisiness")) > 0), "the less noise, the better, as the evidence says"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(0), {k: v for k, v in row(1).items() if k != "loudness"}],
        [row(0), row(1, rated_by="human")],
        [{k: v for k, v in row(0).items() if k != "mos"}],
    ],
)
def test_sets_that_cannot_be_judged_are_refused(rows: list) -> None:
    with pytest.raises(ValueError, match="mixed: "):
        RatedSet("mixed", "in-domain", rows, [sound(i) for i in range(len(rows))])


def test_nothing_to_evaluate_on_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to evaluate on"):
        gather(Path(), Sets(corpus=False))
