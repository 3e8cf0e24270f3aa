import json
from pathlib import Path
from typing import Any

import pytest

from sqe_fast.errors import UnusableError
from training.configs import Ablate, Alld, Budget, Schedule, Weights
from training.corpora.corpus import Clips
from training.evaluation import ablate


def found(mos_mse: float, right: float) -> dict[str, object]:
    def figure(value: float) -> dict[str, float]:
        return {"value": value, "low": value, "high": value}

    metrics = {name: figure(0.5) for name in ("lcc", "srcc", "rmse")}
    entry = {
        "files": {"noisiness": {**metrics, "mse": figure(1)}, "mos": {**metrics, "mse": figure(mos_mse)}},
        "descriptions": {
            "bleu": {"model": figure(20.0)},
            "agreement": {"share": figure(0.9)},
        },
        "causes": {"precision": figure(0.7), "macro_recall": 0.65},
        "comparisons": {"all_clear_pairs": figure(right)},
    }
    return {"sets": {"test": entry}}


def test_the_table_has_a_line_an_arm_and_the_mean_over_seeds(tmp_path: Path) -> None:
    for name, seed, mse in (("sft", 1, 0.2), ("sft", 2, 0.4), ("kl", 1, 0.1), ("kl", 2, 0.2)):
        (tmp_path / f"{name}-{seed}").mkdir()
        (tmp_path / f"{name}-{seed}" / "found.json").write_text(json.dumps(found(mse, 0.8 + seed / 10)))
    table = ablate.table(tmp_path, ["sft", "kl"], [1, 2], Budget())
    sft, kl = table.splitlines()[-2:]
    assert sft.startswith("| SFT only |")
    assert "0.300 (0.200, 0.400)" in sft
    assert "0.150 (0.100, 0.200)" in kl
    assert "0.950 (0.900, 1.000)" in kl
    cells = dict(zip(ablate.COLUMNS, kl.split(" | ")[1:], strict=True))
    assert cells["causes: precision"].startswith("0.700")
    assert cells["causes: recall"].startswith("0.650")


def test_finished_arms_are_not_trained_again_and_the_warm_up_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    monkeypatch.setattr(ablate, "_train", lambda arm, *_: trained.append(arm.title))
    monkeypatch.setattr(ablate, "_evaluate", lambda *_: found(0.2, 0.9))
    monkeypatch.setattr(ablate, "built", lambda *_: None)
    clips = Clips(({"seed": 1},), None)  # type: ignore[arg-type]

    def run(*arms: str) -> str:
        return ablate.run(Ablate(run=tmp_path, seeds=(1,), arms=arms), clips, clips, clips, None)  # type: ignore[arg-type]

    run("kl", "sft")
    assert trained == ["SFT only", "ALLD, token-level KL only"]
    table = run("kl", "sft", "one-caption")
    assert trained[2:] == ["SFT only, one caption a clip"]
    assert (tmp_path / "ablation" / "table.md").read_text() == table


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """What each stage was run with; the stages themselves do nothing."""
    calls: dict[str, tuple[Any, ...]] = {}
    for stage in (ablate.alld, ablate.sft, ablate.encoder):
        monkeypatch.setattr(stage, "run", lambda *given, stage=stage: calls.setdefault(stage.__name__[18:], given))
    return calls


def train(name: str, config: Ablate, folder: str) -> Path:
    """With seed 3."""
    target = config.run / folder / f"{name}-3"
    material = ablate.Material("clips", "held out", "prompts", "human")  # type: ignore[arg-type]
    ablate._train(ablate.ARMS[name], config, target, 3, material)
    return target


@pytest.mark.parametrize("name", ablate.ARMS)
def test_an_arm_is_trained_as_its_row_says(name: str, tmp_path: Path, calls: dict[str, tuple[Any, ...]]) -> None:
    """An arm that trains something else than its title is a wrong row in the table, and nothing else shows it."""
    arm, budget = ablate.ARMS[name], Budget(steps=5, encoder_steps=7, batch_size=8, precision="bf16")
    target = train(name, Ablate(run=tmp_path, budget=budget), "ablation")
    if arm.aligns:
        assert calls.keys() == {"alld"}
        trained, *rest = calls["alld"]
        assert (Path(trained.warm_up), trained.expert_folder) == (target.parent / "sft-3", tmp_path / "expert")
        assert trained.schedule == Schedule(steps=5, batch_size=4, precision="bf16", seed=3)
        assert trained.weights == Weights(preference=arm.preference, kl=arm.kl, anchor=arm.anchor)
        assert rest == ["clips", "held out", "prompts"]
    else:
        assert calls.keys() == ({"sft", "encoder"} if arm.hears else {"sft"})
        trained, start, *rest = calls["sft"]
        assert trained.schedule == Schedule(steps=5 * arm.length, batch_size=8, precision="bf16", seed=3)
        assert trained.one_caption == (name == "one-caption")
        assert start.expert == tmp_path / "expert"
        assert rest == ["clips", "held out", "prompts", "human"]
        if arm.hears:
            encoder, *same = calls["encoder"]
            assert same == rest
            assert start.encoder == encoder.run / encoder.name
            assert encoder.name == f"encoder-{arm.encoder_layers}-3"
            assert encoder.encoder_layers == arm.encoder_layers
            assert encoder.schedule == Schedule(steps=7, batch_size=16, precision="bf16", seed=3)
    assert trained.run / trained.name == target


@pytest.mark.parametrize("name", ablate.FROM_START)
def test_from_a_finished_warm_up_every_arm_takes_the_same_steps(
    name: str, tmp_path: Path, calls: dict[str, tuple[Any, ...]]
) -> None:
    """More SFT at another rate than the alignment's; a warm-up that an arm changed; answers drawn with another seed."""
    arm, budget = ablate.ARMS[name], Budget(steps=5, batch_size=8)
    (tmp_path / "sft" / "checkpoint").mkdir(parents=True)
    (tmp_path / "sft" / "checkpoint" / "stock.json").write_text("as it was")
    target = train(name, Ablate(run=tmp_path, start="sft", budget=budget), "ablation-sft")
    if name == "sft":
        assert not calls
        assert (target / "checkpoint" / "stock.json").read_text() == "as it was"
        return
    [(stage, (trained, *rest))] = calls.items()
    assert trained.run / trained.name == target
    assert (trained.schedule.steps, trained.schedule.seed) == (5, 3)
    assert trained.tuning == Alld.tuning
    if arm.aligns:
        assert (stage, trained.schedule.batch_size) == ("alld", 4)
        assert Path(trained.warm_up) == (tmp_path / "sft").resolve()
        assert trained.answers == tmp_path / "ablation-sft" / "answers-3"
    else:
        assert (stage, trained.schedule.batch_size) == ("sft", 8)
        assert rest == [tmp_path / "sft", "clips", "held out", "prompts", "human"]


def test_an_arm_that_is_not_there_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match=r"called loud: name some of sft, "):
        ablate.run(Ablate(run=tmp_path, arms=("sft", "loud")), None, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(UnusableError, match=r"called deaf: name some of sft, sft-twice, preference"):
        ablate.run(Ablate(run=tmp_path, start="sft", arms=("deaf",)), None, None, None, None)  # type: ignore[arg-type]


def test_arms_of_the_alignment_differ_in_their_terms_alone() -> None:
    aligned = {name: arm for name, arm in ablate.ARMS.items() if arm.aligns}
    terms = {(arm.preference, arm.kl, arm.anchor) for arm in aligned.values()}
    assert len(terms) == len(aligned) == 4
    assert {(arm.length, arm.encoder_layers, arm.hears, arm.diverse) for arm in aligned.values()} == {
        (1, 2, True, True)
    }
