"""The stages' options: derived from the configs, so what is asked here is that they arrive, and read well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sqe_fast.errors import UnusableError
from training import configs
from training.__main__ import STAGES, main

NAMES = [
    "corpus",
    "labels",
    "captions",
    "wordings",
    "tokenizer",
    "adopt",
    "expert",
    "encoder",
    "sft",
    "alld",
    "calibrate",
    "bundle",
    "drafts",
    "evaluate",
    "baselines",
    "ablate",
]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[configs.Stage]:
    """The configs that stages were run with; the stages themselves do nothing."""
    ran: list[configs.Stage] = []
    for config in STAGES:
        monkeypatch.setitem(STAGES, config, lambda config: ran.append(config) or "done")
    return ran


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A config that tyro cannot read fails here, not in front of a user; so does an option without a word of help."""
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--run PATH" in text
    assert "Folder for everything this run writes." in text


def test_options_of_every_depth_arrive(ran: list[configs.Stage]) -> None:
    """Nested configs share one level of options; one that kept its default would train another model, silently."""
    main(["alld", "--run", "r", "--steps", "7", "--rate", "0.5", "--freeze-encoder", "--top-p", "0.8", "--kl", "2"])
    expected = configs.Alld(
        run=Path("r"),
        schedule=configs.Schedule(steps=7, batch_size=6),
        tuning=configs.Tuning(rate=0.5, freeze_encoder=True),
        weights=configs.Weights(kl=2.0),
        sampling=configs.Sampling(top_p=0.8),
    )
    assert ran == [expected]


def test_stages_differ_in_their_defaults(ran: list[configs.Stage]) -> None:
    main(["sft"])
    main(["alld"])
    sft, alld = ran
    assert (sft, alld) == (configs.Sft(), configs.Alld())
    assert sft.schedule.steps > alld.schedule.steps
    assert sft.tuning.rate > alld.tuning.rate


@pytest.mark.parametrize(
    "arguments",
    [
        ["corpus"],
        ["corpus", "--simulate", "a", "--nisqa", "b"],
        ["corpus", "--human", "a", "--simulate", "a"],
        ["captions"],
        ["captions", "--endpoint", "http://x", "--local", "y"],
        ["sft", "--stpes", "3"],
        ["bundle"],
        ["unheard-of"],
        [],
    ],
)
def test_what_cannot_be_run_is_a_usage_error(arguments: list[str], ran: list[configs.Stage]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert ran == []


def test_what_is_unusable_ends_with_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: configs.Stage) -> str:
        raise UnusableError("rows.jsonl: another job is writing it")

    monkeypatch.setitem(STAGES, configs.Sft, refuse)
    with pytest.raises(SystemExit, match="another job is writing it"):
        main(["sft"])


def test_help_needs_no_torch() -> None:
    """It would take seconds to say which options there are."""
    code = "import sys; from training import __main__; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
