"""The whole way on real runners: a random small checkpoint on both, and the bundled model where there is one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from sqe_fast import Alerting, Evaluator, QualityAlert, QualityUpdate, Timeline, UnusableError, WindowRating
from sqe_fast.answer.causes import MOST
from sqe_fast.answer.program import List, Program, Write
from sqe_fast.audio.features import log_mel
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.checkpoint.folder import BUNDLED
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import AudioInput, Request
from sqe_fast.export import export
from sqe_fast.model.qwen2_audio import Qwen2Audio, save_checkpoint
from sqe_fast.options import Serving
from sqe_fast.results import RATINGS, Evaluation
from sqe_fast.runners import open_runner
from tests.golden.clips import golden_clips
from tests.model.test_adapter import save_adapter
from tests.support.audio_samples import long_speech
from tests.support.fake_evaluator import LISTING, PROMPTS
from tests.support.hugging_face_answers import HuggingFace
from tests.support.small_model import SMALL
from tests.support.stocks import EAGER

DEVICES = ("cpu", "torch-cpu")
TOLERANCE = 1e-4
SECONDS = (0.5, 3.2, 1.1, 0.7, 2.3, 0.4, 1.6)
CLIPS = [(np.roll(long_speech(seconds), 9_000 * seed) * 0.8**seed, 16_000) for seed, seconds in enumerate(SECONDS)]

bundled = pytest.mark.skipif(
    not (BUNDLED / "tiny" / "model.safetensors").is_file(), reason="the bundled model is not in this tree"
)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, and the small tokenizer's vocabulary."""
    import torch

    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = PROMPTS.tokenizer
    text = replace(SMALL.text, vocab_size=tokenizer.get_vocab_size())
    torch.manual_seed(0)
    model = Qwen2Audio(replace(SMALL, text=text, audio_token_id=PROMPTS.audio_token_id))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_checkpoint(model, folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    WhisperFeatureExtractor().save_pretrained(folder)
    (folder / "sqe_fast.json").write_text(json.dumps({"name": "random", "template": LISTING.template}))
    EAGER.save(folder / "stock.json")
    export(folder)
    return folder


@pytest.fixture(params=DEVICES)
def evaluator(request: pytest.FixtureRequest, checkpoint: Path) -> Evaluator:
    return Evaluator.from_pretrained(checkpoint, device=request.param, slots=3, threads=1)


def values(evaluations: list[Evaluation]) -> np.ndarray:
    """[clips, 6]: the ratings and the spread of the MOS."""
    rows = [evaluation.ratings for evaluation in evaluations]
    return np.array([[*(row[name] for name in RATINGS), row.mos_std] for row in rows if row is not None])


def test_batched_equals_alone(evaluator: Evaluator) -> None:
    """A kernel, a cache or a slot that lets neighbours into an answer."""
    together = evaluator.evaluate(CLIPS, describe=False)
    alone = [evaluator.evaluate([clip], describe=False)[0] for clip in CLIPS]
    assert values(together).shape == (len(CLIPS), 6)
    assert np.ptp(values(together), axis=0).max() > 0.01, "all clips rated alike: nothing was tested"
    assert len({evaluation.causes for evaluation in together}) == len(CLIPS), "causes alike: nothing was tested"
    np.testing.assert_allclose(values(together), values(alone), rtol=0, atol=TOLERANCE)
    if evaluator.info()["runner"] == "onnx-cpu":
        assert [evaluation.causes for evaluation in together] == [evaluation.causes for evaluation in alone]


def names(rated: QualityUpdate | WindowRating) -> list[str]:
    return [cause.name for cause in rated.causes]


def test_a_live_call_equals_the_timeline_of_its_file(evaluator: Evaluator) -> None:
    """Windows that share their passes with other calls' and come out otherwise; words that cannot be written live."""
    speech = long_speech(6.3)
    timeline = Timeline(2.0, 1.0)
    [evaluation] = evaluator.evaluate([(speech, 16_000)], describe=False, timeline=timeline)
    streams = [evaluator.stream(window=2.0, hop=1.0, deadline=1e6, alerting=Alerting(5.0, 5.0)) for _ in range(3)]
    for start in range(0, len(speech), 401):
        for stream in streams:
            stream.push(speech[start : start + 401])
    expected = values([Evaluation("", window.ratings) for window in evaluation.timeline])
    assert len(expected) == 6
    for stream in streams:
        summary = stream.close(60.0)
        events = list(stream.events())
        updates = [event for event in events if isinstance(event, QualityUpdate)]
        np.testing.assert_allclose(
            values([Evaluation("", each.ratings) for each in updates]), expected, rtol=0, atol=1e-5
        )
        assert list(map(names, updates)) == list(map(names, evaluation.timeline))
        [alert] = [event for event in events if isinstance(event, QualityAlert)]
        assert alert.description.startswith("Since 0.0 s ")
        assert summary.channels[0].rated == 6


def test_the_runners_agree(checkpoint: Path) -> None:
    """Two implementations of one model that give two answers."""
    rated = [
        values(Evaluator.from_pretrained(checkpoint, device=device, threads=1).evaluate(CLIPS, describe=False))
        for device in DEVICES
    ]
    np.testing.assert_allclose(*rated, rtol=0, atol=TOLERANCE)


def test_ratings_cost_four_passes_and_a_list_one_more_than_its_causes(evaluator: Evaluator) -> None:
    """The trace of a real runner, not of a fake."""
    causes = [evaluation.causes for evaluation in evaluator.evaluate(CLIPS[:3], describe=False)]
    trace = evaluator.trace()
    assert trace.decode_tokens == sum(4 + min(len(listed) + 1, MOST) for listed in causes)
    assert trace.decode_steps <= trace.decode_tokens
    assert trace.encoded_clips == 3


def test_random_prose_is_an_error_beside_its_ratings(evaluator: Evaluator) -> None:
    """A model that cannot write must not stop the batch, nor touch the ratings."""
    described = evaluator.evaluate(CLIPS[:2])
    plain = evaluator.evaluate(CLIPS[:2], describe=False)
    np.testing.assert_allclose(values(described), values(plain), rtol=0, atol=TOLERANCE)
    assert all((evaluation.description is None) == (evaluation.error is not None) for evaluation in described)


@pytest.mark.parametrize("device", DEVICES)
def test_prose_is_what_hugging_face_generates(checkpoint: Path, device: str) -> None:
    """Greedy tokens of four clips in one batch, each up to a stop of its own, against HF's one at a time: positions,
    cache, audio slots and features are all in it."""
    peer = HuggingFace(checkpoint, PROMPTS)
    requests, expected = [], []
    for n, (samples, _) in enumerate(CLIPS[:4]):
        answer = peer.answers([samples], describe=True)[0][: 20 + 10 * n]
        end = max(answer.index(token) for token in set(answer))  # the latest token that was not there before
        assert end > 4
        expected.append(answer[:end])
        frames = -(-len(samples) // 160)
        prose = frozenset(range(PROMPTS.tokenizer.get_vocab_size())) - {answer[end]}
        write = Write((), answer[end], frozenset(PROMPTS.number_ids), prose)
        program = Program(PROMPTS.rate_prompt(audio_tokens(frames)), (write,))
        requests.append(Request(program, (AudioInput(str(n), log_mel(samples)),)))
    results = Engine(open_runner(checkpoint, Serving(device=device, slots=3, threads=1))).run(requests)
    assert [result.text_tokens for result in results] == expected


@pytest.mark.parametrize("device", DEVICES)
def test_causes_are_read_from_hugging_faces_distributions(checkpoint: Path, device: str) -> None:
    """A list read one position too early, from other candidates, or against a cache that does not hold it."""
    peer = HuggingFace(checkpoint, LISTING)
    requests = []
    for n, (samples, _) in enumerate(CLIPS):
        tokens = audio_tokens(-(-len(samples) // 160))
        requests.append(Request(LISTING.rate(tokens, describe=False), (AudioInput(str(n), log_mel(samples)),)))
    results = Engine(open_runner(checkpoint, Serving(device=device, slots=3, threads=1))).run(requests)
    step = requests[0].program.steps[-1]
    assert isinstance(step, List)
    assert max(len(result.causes) for result in results) > 1
    for (samples, _), result in zip(CLIPS, results, strict=True):
        for place, read in enumerate(result.list_reads):
            candidates = [step.token[name] for name in read.chances]
            expected = peer.chances(samples, result.tokens[: len(RATINGS) + place], candidates)
            np.testing.assert_allclose(list(read.chances.values()), expected, rtol=0, atol=TOLERANCE)


def test_comparing_is_symmetric(evaluator: Evaluator) -> None:
    """Swapped calls on a real model: slots and rounding must not show."""
    there = evaluator.compare(CLIPS[0], CLIPS[1], describe=False)
    back = evaluator.compare(CLIPS[1], CLIPS[0], describe=False)
    assert there.probability is not None
    assert back.probability == 1.0 - there.probability
    assert (there.winner, back.winner) in {("A", "B"), ("B", "A"), ("tie", "tie")}
    assert evaluator.compare(CLIPS[0], CLIPS[0], describe=False).probability == 0.5


def test_damaged_files_are_refused_by_name(checkpoint: Path, tmp_path: Path) -> None:
    """Weights or a tokenizer exchanged under a model's name."""
    for name in ("model.safetensors", "tokenizer.json", "stock.json", "decoder.onnx"):
        folder = tmp_path / name
        folder.mkdir()
        for file in checkpoint.iterdir():
            content = file.read_bytes()
            damaged = content[:-1] + bytes([content[-1] ^ 1]) if file.name == name else content
            (folder / file.name).write_bytes(damaged)
        with pytest.raises(UnusableError, match=re.escape(name)):
            Evaluator.from_pretrained(folder)


# --- the bundled model -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=DEVICES)
def tiny(request: pytest.FixtureRequest) -> Evaluator:
    return Evaluator.from_pretrained("tiny", device=request.param, slots=4)


@bundled
def test_tiny_batched_equals_alone(tiny: Evaluator) -> None:
    """The same clip among others and by itself, described."""
    clips = list(golden_clips().values())
    together = tiny.evaluate(clips)
    alone = [tiny.evaluate([clip])[0] for clip in clips]
    np.testing.assert_allclose(values(together), values(alone), rtol=0, atol=TOLERANCE)
    assert [evaluation.description for evaluation in together] == [evaluation.description for evaluation in alone]


@bundled
def test_tiny_says_what_it_rates(tiny: Evaluator) -> None:
    """A number in the words that is not the MOS; a clip without words."""
    for evaluation in tiny.evaluate(golden_clips().values()):
        assert evaluation.error is None
        assert evaluation.mos is not None
        assert evaluation.description
        assert set(re.findall(r"\d+\.\d+|\d+", evaluation.description)) <= {f"{evaluation.mos:.1f}"}


@bundled
def test_tiny_compares_symmetrically(tiny: Evaluator) -> None:
    """Words and verdict of both orders, on the real weights."""
    clips = golden_clips()
    there = tiny.compare(clips["june_clean"], clips["june_noise"])
    back = tiny.compare(clips["june_noise"], clips["june_clean"])
    assert there.winner == "A"
    assert back.winner == "B"
    assert there.probability == 1.0 - (back.probability or 0.0)
    assert there.description
    same = tiny.compare(clips["june_clean"], clips["june_clean"], describe=False)
    assert (same.winner, same.probability) == ("tie", 0.5)


def test_an_adapter_is_merged_and_named(checkpoint: Path, tmp_path: Path) -> None:
    adapter, _ = save_adapter(checkpoint, tmp_path / "calls", r=4, lora_alpha=64, target_modules=["q_proj", "v_proj"])
    plain = Evaluator.from_pretrained(checkpoint, device="torch-cpu")
    adapted = Evaluator.from_pretrained(checkpoint, device="torch-cpu", adapter=adapter)
    [before], [after] = (evaluator.evaluate(CLIPS[:1], describe=False) for evaluator in (plain, adapted))
    assert before.ratings != after.ratings
    assert re.fullmatch(rf"{re.escape(before.model)}\+calls@[0-9a-f]{{12}}", after.model)


def test_exported_graphs_take_no_adapter(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="take no adapter"):
        Evaluator.from_pretrained(checkpoint, device="cpu", adapter=tmp_path)
