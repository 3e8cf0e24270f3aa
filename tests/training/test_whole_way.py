"""The whole way, command by command: of our own recipe, and of the paper's, from human ratings and captions by a
language model to a model that scores.

Each stage is tested by itself on what the test hands it. What breaks between two stages (a command that calls its
stage with other arguments than it takes, a file that the next one does not find, a vocabulary that does not fit, a
weight that export does not know) shows here, and nowhere else before days of training have passed.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from sqe_fast.answer.scale import verdict
from sqe_fast.answer.stock import Stock
from sqe_fast.checkpoint.files import STOCK_FILE
from sqe_fast.evaluator import Evaluator
from sqe_fast.results import RATINGS
from tests.support.endpoint import serving
from tests.support.small_library import write_library
from tests.support.speech import SAMPLE_RATE, talk
from tests.training.corpora.test_human import write_panels
from tests.training.corpora.test_nisqa import PUBLISHED, cells, write_table
from training.__main__ import main
from training.corpora.nisqa import CORPUS_TABLE
from training.evaluation.ablate import ARMS
from training.language import captions
from training.language.causes import uncalibrated
from training.language.paper_prompts import PREFERENCES
from training.language.read_back import READ_PAIR_SYSTEM, READ_SYSTEM
from training.learning import whisper
from training.rating import judges

CLIPS = {"NISQA_TRAIN_SIM": 6, "NISQA_VAL_SIM": 3, "NISQA_TEST_FOR": 3}
STEPS = ["--steps", "2", "--batch-size", "2"]
EVALUATED = ["--described", "2", "--pairs", "0", "--same-sound", "1"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(whisper.PACKAGE) is None, reason="Whisper's weights are not installed"
)


def witness(samples: np.ndarray, *, discontinuous: bool) -> dict[str, float]:
    """Judges who need no model."""
    said = {"distill_mos": 3.5, "sig": 3.0, "bak": 3.0, "ovrl": 2.5}
    return {**said, "plcmos": 2.75} if discontinuous else said


def nisqa(root: Path) -> Path:
    """A corpus of the published layout: speech in noise, rated by how much of it there is."""
    rng = np.random.default_rng(0)
    rows = []
    for db, count in CLIPS.items():
        for _ in range(count):
            noisiness = float(rng.uniform(1.2, 4.8))
            others = {name: float(rng.uniform(3.5, 4.8)) for name in ("col", "dis", "loud")}
            row = cells(db, len(rows), noi=noisiness, mos=noisiness, **others)
            path = root / str(row["filepath_deg"])
            path.parent.mkdir(parents=True, exist_ok=True)
            voice = talk(1.0, seed=len(rows))
            sf.write(path, voice + rng.normal(0, 10 ** (-noisiness / 2), voice.size), SAMPLE_RATE)
            rows.append(row)
    write_table(root / CORPUS_TABLE, rows, PUBLISHED)
    return root


def language_model(body: dict[str, Any]) -> str:
    """Does what the paper's prompts ask, in the words of the offline writer, and reads them back."""
    system, *_, question = (message["content"] for message in body["messages"])
    if system == READ_SYSTEM:
        read = captions.stock().read(question)
        claimed = {name: category + 1 for name, category in read.claims}
        return json.dumps({**claimed, "causes": [each.name for each in read.causes], "mos": read.mos[0][1]})
    if system == READ_PAIR_SYSTEM:
        decided = next(name for name, end in PREFERENCES.items() if end in question)
        told = dict(captions.stock().read_argument(question).ahead)
        return json.dumps({"verdict": decided, "ahead": told, "causes": {"A": [], "B": []}})
    rows = [
        {**dict(zip(RATINGS, map(float, numbers), strict=True)), "causes": []}
        for numbers in re.findall(
            r"noisiness (.*?), coloration (.*?), .*? (.*?), .*? (.*?), overall MOS (\d\.\d)", question
        )
    ]
    if len(rows) == 1:
        return captions.describe(rows[0], [], np.random.default_rng(len(body["messages"])))
    reasons = captions.argue(rows[-2], rows[-1], np.random.default_rng(0))
    return f"{reasons} {PREFERENCES[verdict(rows[-2]['mos'], rows[-1]['mos'])]}"


def logged(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_from_rated_recordings_to_a_model_that_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"

    def stage(name: str, *arguments: str) -> str:
        main([name, *arguments, "--run", str(run)])
        return capsys.readouterr().out

    assert "train: 6 clips, 0 left out" in stage("corpus", "--nisqa", str(nisqa(tmp_path / "NISQA")))
    with serving(language_model) as endpoint:
        said = stage("captions", "--endpoint", endpoint.url, "--model", "m", "--per-clip", "2", "--pairs", "2")
    assert said.splitlines()[0] == "train: 14 written, 0 given up; turned down: none"
    stage("tokenizer")
    stage("expert", *STEPS)
    stage("encoder", *STEPS, "--encoder-layers", "1")
    stage("sft", *STEPS)
    stage("alld", *STEPS, "--name", "aligned")
    aligned = logged(run / "aligned")
    assert {"preference", "kl", "anchor", "loss"} <= aligned[0].keys()
    assert all(np.isfinite(value) for row in aligned for value in row.values())

    bundled = stage("bundle", str(tmp_path / "whole"), "--name", "aligned")
    assert "decode 4, candidates" in bundled
    before, after = (
        torch.load(run / name / "state.pt", weights_only=True)["model"]["decoder.head.weight"]
        for name in ("sft", "aligned")
    )
    assert not torch.equal(before, after)

    found = stage("evaluate", "--model", str(tmp_path / "whole"), "--described", "0", "--pairs", "0")
    assert "3 clips, rated by: human" in found

    assert "ridge on signal statistics, 3 files" in stage("baselines")

    [evaluation] = Evaluator.from_pretrained(tmp_path / "whole").evaluate([(talk(1.0, seed=99), SAMPLE_RATE)])
    assert evaluation.model.startswith("whole@")
    assert evaluation.ratings is not None
    assert all(1 <= evaluation.ratings[name] <= 5 for name in RATINGS)


def test_the_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """README's commands, with people's ratings beside simulated ones, and lists of causes that are calibrated."""
    monkeypatch.setattr(judges, "witness", witness)
    run, data = tmp_path / "run", write_panels(write_library(tmp_path / "data"), monkeypatch)

    def stage(name: str, *arguments: str) -> str:
        main([name, *arguments, "--run", str(run)])
        return capsys.readouterr().out

    stage("corpus", "--simulate", str(data), "--train", "8", "--validation", "4", "--test", "4", "--workers", "1")
    assert "12 clips that people rated" in stage("corpus", "--human", str(data))
    stage("tokenizer")
    stage("expert", *STEPS)
    stage("encoder", *STEPS, "--encoder-layers", "1")
    stage("sft", *STEPS)
    stage("alld", *STEPS)
    assert {"list", "line", "prose"} <= logged(run / "expert")[0].keys()
    facts = json.loads((run / "sft" / "checkpoint" / "training.json").read_text())
    assert (facts["clips"], facts["human_clips"]) == (8, 12)
    assert "calibrated on 4 clips" in stage("calibrate")
    stage("bundle", str(tmp_path / "whole"))
    calibrated = Stock.load(run / "alld" / "checkpoint" / STOCK_FILE).causes
    assert Stock.load(tmp_path / "whole" / STOCK_FILE).causes == calibrated != uncalibrated()

    found = stage("evaluate", "--model", str(tmp_path / "whole"), *EVALUATED)
    assert "rated by: simulated" in found
    assert "| named, of which recorded | " in found
    assert "| under another clip's ratings: named" in found

    arms = ("sft", "both")
    few = ("--seeds", "1", "--clips", "8", "--described", "2", *STEPS)
    table = stage("ablate", "--start", "sft", "--arms", *arms, *few).split()
    assert all(" ".join(table).count(f"| {ARMS[name].title} | ") == 1 for name in arms)
    kept = Stock.load(run / "sft" / "checkpoint" / STOCK_FILE).causes
    assert kept == uncalibrated(), "arms are calibrated, the warm-up stays as it was"

    [evaluation] = Evaluator.from_pretrained(tmp_path / "whole").evaluate([(talk(1.0, seed=99), SAMPLE_RATE)])
    assert evaluation.ratings is not None
    assert {cause.name for cause in evaluation.causes} <= set(calibrated.dimension)
