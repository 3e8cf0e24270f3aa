"""Alignment: the sign of the preference, what the two sides add up to, and a whole run on a small model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sqe_fast.answer.causes import END
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.kernels.kl.fused_kl import TokenKL
from tests.support.answers import answered
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips
from training.configs import Alld, Expert, Schedule, Tuning, Weights
from training.learning import alld, expert
from training.learning.alld import AlldObjective, margins, response_terms
from training.learning.examples import IGNORED, Batch
from training.learning.expert import OwnExpert
from training.learning.policy import Policy
from training.learning.preference import PreferenceBatch, preference_batch
from training.learning.questions import Question, draw_questions
from training.learning.stage import start_model, write_checkpoint

ALL = Weights()


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


def objective_of(prompts: PromptBuilder, weights: Weights = ALL) -> AlldObjective:
    clips = FakeClips(6)
    policy = Policy(listening_model(prompts), clips, prompts)  # type: ignore[arg-type]
    torch.manual_seed(5)
    reference = OwnExpert(listening_model(prompts).decoder).requires_grad_(False)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return AlldObjective(policy, reference, weights)


def batch_for(objective: AlldObjective, prompts: PromptBuilder, task: str = "describe") -> PreferenceBatch:
    questions = [question for question in draw_questions(objective.policy.clips, 0) if question.task == task][:3]
    rng = np.random.default_rng(1)
    return preference_batch(prompts, questions, [rambling(prompts, question, rng) for question in questions], rng)


def rambling(prompts: PromptBuilder, question: Question, rng: np.random.Generator) -> tuple[int, ...]:
    """y_a of a model that has learnt nothing: ratings and a cause, or a verdict, then words that lead nowhere."""
    listed = [prompts.cause_ids["wind"], prompts.cause_ids[END]]
    line = [*rng.choice(prompts.number_ids, 5), *listed]
    read = line if question.task == "describe" else [prompts.verdict_ids["B"]]
    words = rng.choice(sorted(prompts.prose_ids - {prompts.full_stop}), 8)
    return answered(question.program(prompts), map(int, (*read, *words)))


def test_the_margin_is_the_formula() -> None:
    """Two questions; scored tokens 2, 1 of y_t and 1, 2 of y_a."""
    targets = torch.full((4, 3), IGNORED)
    for row, columns in enumerate(([0, 2], [1], [2], [0, 1])):
        targets[row, columns] = 7
    ours = torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0])
    theirs = torch.tensor([-0.5, -0.5, -1.0, -2.0, -3.0, -1.0])
    found = margins(TokenKL(torch.zeros(6), ours, theirs), targets)
    assert found.tolist() == [(-3.0 + 1.0) - (-4.0 + 2.0), (-3.0 + 1.0) - (-11.0 + 4.0)]


@pytest.mark.parametrize("task", ["describe", "compare"])
def test_terms_are_those_of_each_response_scored_alone(prompts: PromptBuilder, task: str) -> None:
    """Padding, neighbours, and the other side's prompt length must not matter."""
    objective = objective_of(prompts).eval()
    batch = batch_for(objective, prompts, task)
    model, reference = objective.model, objective.expert
    with torch.no_grad():
        hidden, read = objective._hidden(batch.student), reference(batch.teacher.tokens)
        terms = response_terms(hidden, model.decoder.head.weight, read, reference.head, batch, "reverse")
        audio = [torch.cat(parts) for parts in _by_question(objective, batch, task)]
        ours, theirs, kl = [], [], []
        for i in range(len(batch.student.targets)):
            student, teacher = batch.student, batch.teacher
            at, there = (side.targets[i] != IGNORED for side in (student, teacher))
            targets = student.targets[i][at]
            end, stop = int(at.nonzero()[-1]) + 1, int(there.nonzero()[-1]) + 1
            own = model.logits(model(student.tokens[i : i + 1, :end], audio[i % len(audio)]))[0, at[:end]]
            other = (reference(teacher.tokens[i : i + 1, :stop]) @ reference.head.T)[0, there[:stop]]
            p, q = own.log_softmax(-1), other.log_softmax(-1)
            ours.append(p.gather(1, targets[:, None])[:, 0])
            theirs.append(q.gather(1, targets[:, None])[:, 0])
            kl.append((p.exp() * (p - q)).sum(-1))
    assert torch.allclose(terms.student_logprob, torch.cat(ours), atol=1e-4)
    assert torch.allclose(terms.teacher_logprob, torch.cat(theirs), atol=1e-4)
    assert torch.allclose(terms.kl, torch.cat(kl), atol=1e-4)


def _by_question(objective: AlldObjective, batch: PreferenceBatch, task: str) -> list[tuple[torch.Tensor, ...]]:
    audio = objective.policy.encode(batch.student.clips)
    size = 2 if task == "compare" else 1
    return [audio[i : i + size] for i in range(0, len(audio), size)]


def logprobs(objective: AlldObjective, batch: PreferenceBatch) -> tuple[float, float]:
    """Mean log π_θ of y_t and of y_a."""
    with torch.no_grad():
        hidden = objective._hidden(batch.student)
        at = batch.student.targets != IGNORED
        logits = objective.model.logits(hidden[at]).log_softmax(-1)
        each = logits.gather(1, batch.student.targets[at][:, None])[:, 0]
        half = int(at[: len(at) // 2].sum())
    return float(each[:half].mean()), float(each[half:].mean())


@pytest.mark.parametrize(
    ("weights", "moves"),
    [
        (Weights(kl=0.0, anchor=0.0), lambda target, sampled: target > 0 > sampled),
        (Weights(preference=0.0, kl=0.0), lambda target, _: target > 0),
    ],
)
def test_a_step_raises_the_text_and_lowers_the_models_answer(
    prompts: PromptBuilder, weights: Weights, moves: Callable[[float, float], bool]
) -> None:
    objective = objective_of(prompts, weights)
    batch = batch_for(objective, prompts)
    before = logprobs(objective, batch)
    objective(batch)["loss"].backward()
    with torch.no_grad():
        for parameter in objective.model.parameters():
            if parameter.grad is not None:
                parameter -= 0.02 * parameter.grad / (parameter.grad.norm() + 1e-9)
    after = logprobs(objective, batch)
    assert moves(after[0] - before[0], after[1] - before[1])


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_divergence_alone_brings_the_model_to_the_expert(prompts: PromptBuilder, direction: Any) -> None:
    objective = objective_of(prompts, Weights(preference=0.0, anchor=0.0, direction=direction))
    batch = batch_for(objective, prompts)
    optimizer = torch.optim.Adam(objective.model.parameters(), lr=3e-3)
    seen = []
    for _ in range(12):
        optimizer.zero_grad()
        losses = objective(batch)
        losses["loss"].backward()
        optimizer.step()
        seen.append(float(losses["kl"].detach()))
    assert seen[-1] < 0.7 * seen[0]
    assert all(parameter.grad is None for parameter in objective.expert.parameters())


def test_the_anchor_is_the_warm_ups_loss(prompts: PromptBuilder) -> None:
    """On y_t, its list too, and with no number of the prose: the two ways to it agree."""
    objective = objective_of(prompts).eval()
    batch = batch_for(objective, prompts)
    losses = objective(batch)
    half = len(batch.student.tokens) // 2
    student = batch.student
    each = (student.tokens, student.targets, student.ratings, student.named, student.listed)
    answered = Batch(*(tensor[:half] for tensor in each), student.distributions, student.clips)
    assert float(losses["anchor"].detach()) == pytest.approx(
        float(objective.policy(answered)["loss"].detach()), abs=1e-4
    )


def test_each_clip_is_encoded_once_a_step(prompts: PromptBuilder) -> None:
    objective = objective_of(prompts)
    batch = batch_for(objective, prompts)
    clips: Any = objective.policy.clips
    before = clips.heard
    objective(batch)
    assert clips.heard - before == 3
    assert not objective.train().expert.training


@pytest.fixture(scope="module")
def stages(prompts: PromptBuilder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An expert and a warmed-up model, as far as a second of training brings them."""
    root = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch:
        small = listening_model(prompts).config
        patch.setattr(expert, "tiny_config", lambda *_: small)
        expert.run(Expert(run=root, schedule=Schedule(steps=25, batch_size=4, seed=0)), FakeClips(12), prompts)  # type: ignore[arg-type]
    write_checkpoint(listening_model(prompts), prompts, root / "sft", {})
    return root


def align(
    root: Path, name: str, prompts: PromptBuilder, monkeypatch: pytest.MonkeyPatch, clips: Any = None
) -> dict[str, torch.Tensor]:
    small = listening_model(prompts).config
    monkeypatch.setattr(expert, "tiny_config", lambda *_: small)
    schedule = Schedule(steps=6, batch_size=2, seed=0, log_every=1, save_every_s=0.0, warmup=0.2)
    held_out: Any = FakeClips(3, seed=2)
    config = Alld(run=root, name=name, schedule=schedule, tuning=Tuning(rate=3.0))
    alld.run(config, clips or FakeClips(6), held_out, prompts)
    return start_model(root / name).state_dict()


def test_a_run_widens_the_margin_and_one_that_was_stopped_goes_on(
    stages: Path, prompts: PromptBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = align(stages, "straight", prompts, monkeypatch)
    log = [json.loads(line) for line in (stages / "straight" / "log.jsonl").open()]
    assert {"preference", "kl", "anchor", "margin", "preferred"} <= log[0].keys()
    assert log[-2]["margin"] > log[0]["margin"]
    assert log[-2]["kl"] < log[0]["kl"]
    assert {"mos_mse", "held_out_preferred", "held_out_margin"} <= log[-1].keys()

    class Failing(FakeClips):
        def audio(self, clip: dict[str, Any]) -> Any:
            if self.heard == 14:  # in the midst of the steps
                raise KeyboardInterrupt
            return super().audio(clip)

    with pytest.raises(KeyboardInterrupt):
        align(stages, "stopped", prompts, monkeypatch, Failing(6))
    assert torch.load(stages / "stopped" / "state.pt", weights_only=True)["step"] in range(1, 6)
    resumed = align(stages, "stopped", prompts, monkeypatch)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
