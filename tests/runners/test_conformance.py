"""What every Runner must do, whatever runs it. A new runner joins RUNNERS and passes all of it.

Exact means bit for bit where a runner promises it (ONNX Runtime: the rows of a batch do not touch each other); torch's
matrix products may choose another order of summation for another number of rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sqe_fast.model.qwen2_audio import load_checkpoint
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import TOP_K, Embedding, FloatArray, Row, Runner, StepOutput
from sqe_fast.runners.torch_runner import TorchRunner
from tests.support.small_model import AUDIO_TOKEN, random_clip

RUNNERS = ("onnx-cpu", "torch-cpu", "triton-cpu")
"""By `RunnerInfo.name`. The last are the GPU's kernels in Triton's interpreter."""
BATCH_TOLERANCE = {"onnx-cpu": 0.0, "torch-cpu": 1e-5, "triton-cpu": 1e-5}
"""Absolute, in log-probabilities: a batch against its rows alone."""
SPLIT_TOLERANCE = 1e-5  # one prefill against several: other shapes, so another order of summation
MODEL_TOLERANCE = 2e-5  # float32 against the torch model in float64, and runner against runner
SLOTS = 4
CANDIDATES = (10, 77, 3, 150)

TEXTS = ((9, 31, 12, 77), (150, 42), (18, 100, 64, 8, 0, 21, 33), (1, 2, 3, 4, 6))


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest, exported: Path) -> Runner:
    return opened(request.param, exported)


def opened(name: str, folder: Path) -> Runner:
    if name == "triton-cpu":
        return TorchRunner(folder, device="cpu", operators="triton", slots=SLOTS, max_length=128, threads=1)
    device = "cpu" if name == "onnx-cpu" else name
    return open_runner(folder, device=device, slots=SLOTS, max_length=128, threads=1)


def prefill(runner: Runner, slot: int, tokens: tuple[int, ...], past: int = 0) -> StepOutput:
    return runner.prefill(Row(slot, past, tokens, CANDIDATES), ())


def encode(runner: Runner, *frames: int) -> list[Embedding]:
    return runner.encode([(random_clip(count)[0].numpy(), count) for count in frames])


def arrays(embeddings: list[Embedding]) -> list[FloatArray]:
    return [np.asarray(embedding) for embedding in embeddings]


def assert_close(a: StepOutput, b: StepOutput, tolerance: float) -> None:
    np.testing.assert_array_equal(a.top_tokens, b.top_tokens)
    np.testing.assert_allclose(a.top_logprobs, b.top_logprobs, rtol=0, atol=tolerance)
    for p, q in zip(a.probabilities, b.probabilities, strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=tolerance)


def row_of(output: StepOutput, index: int) -> StepOutput:
    one = slice(index, index + 1)
    return StepOutput(output.top_tokens[one], output.top_logprobs[one], output.probabilities[one])


# --- against the model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [3, 50, 51, 334, 2999, 3000])
def test_encode_is_the_models(runner: Runner, exported: Path, frames: int) -> None:
    if frames > 1_000 and runner.info.name == "triton-cpu":
        pytest.skip("minutes in the interpreter; tests/kernels/triton has each kernel's longest clip")
    model, _ = load_checkpoint(exported, torch.float64)
    mel, _ = random_clip(frames)
    with torch.no_grad():
        expected = model.encode(mel.double(), frames).numpy()
    [got] = arrays(encode(runner, frames))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=MODEL_TOLERANCE)


def test_a_prompt_with_two_clips_is_answered_as_the_model_would(runner: Runner, exported: Path) -> None:
    """Best tokens, their log-probabilities over the whole vocabulary, and candidates in the order given."""
    model, _ = load_checkpoint(exported, torch.float64)
    clips = [random_clip(frames, dtype=torch.float64) for frames in (51, 90)]
    with torch.no_grad():
        audio = model.encode_batch(clips)
        tokens = (7, *[AUDIO_TOKEN] * len(audio[0]), 8, 9, *[AUDIO_TOKEN] * len(audio[1]), 11)
        logits = model.logits(model(torch.tensor([tokens]), audio))[0, -1]
    best = logits.log_softmax(-1).topk(TOP_K)
    output = runner.prefill(Row(0, 0, tokens, CANDIDATES), encode(runner, 51, 90))
    np.testing.assert_array_equal(output.top_tokens[0], best.indices.numpy())
    np.testing.assert_allclose(output.top_logprobs[0], best.values.numpy(), rtol=0, atol=MODEL_TOLERANCE)
    expected = logits[list(CANDIDATES)].softmax(-1).numpy()
    np.testing.assert_allclose(output.probabilities[0], expected, rtol=0, atol=MODEL_TOLERANCE)


def test_shapes_and_types(runner: Runner) -> None:
    for slot, text in enumerate(TEXTS[:2]):
        prefill(runner, slot, text)
    output = runner.decode([Row(0, 4, (3,), CANDIDATES[:2]), Row(1, 2, (3,))])
    assert output.top_tokens.shape == output.top_logprobs.shape == (2, TOP_K)
    assert (output.top_tokens.dtype, output.top_logprobs.dtype) == (np.int64, np.float32)
    assert [p.shape for p in output.probabilities] == [(2,), (0,)]
    assert output.probabilities[0].sum() == pytest.approx(1, abs=1e-6)
    assert np.all(np.diff(output.top_logprobs) <= 0)
    assert np.all(np.isfinite(output.top_logprobs))


@pytest.mark.parametrize("name", RUNNERS)
def test_the_info_says_what_runs(name: str, exported: Path) -> None:
    assert opened(name, exported).info.name == name


def test_info(runner: Runner) -> None:
    info = runner.info
    assert (info.hidden_size, info.vocab_size, info.audio_token_id) == (64, 151, AUDIO_TOKEN)
    assert (info.n_mels, info.max_audio_frames, info.slots, info.max_length) == (80, 3000, SLOTS, 128)
    assert info.kv_bytes_per_token == 2 * 3 * 2 * 16 * 4


def test_clips_encoded_together_are_as_alone(runner: Runner) -> None:
    """Lengths odd and even, the shortest and one that fills several tiles."""
    lengths = (51, 3, 334, 90)
    alone = [arrays(encode(runner, frames))[0] for frames in lengths]
    for together, one in zip(arrays(encode(runner, *lengths)), alone, strict=True):
        np.testing.assert_allclose(together, one, rtol=0, atol=BATCH_TOLERANCE[runner.info.name])


# --- the KV memory ---------------------------------------------------------------------------------------------------


def test_pieces_equal_the_whole(runner: Runner) -> None:
    """Prefill, append, decode: positions and memory must line up."""
    whole = tuple(token for text in TEXTS for token in text)
    expected = prefill(runner, 0, whole)
    prefill(runner, 0, whole[:5])
    prefill(runner, 0, whole[5:12], past=5)
    prefill(runner, 0, whole[12:13], past=12)
    for past in range(13, len(whole)):
        output = runner.decode([Row(0, past, whole[past : past + 1], CANDIDATES)])
    assert_close(output, expected, SPLIT_TOLERANCE)


def test_audio_may_come_in_a_later_piece(runner: Runner) -> None:
    audio = encode(runner, 51)
    tokens = (7, 8, *[AUDIO_TOKEN] * audio[0].shape[0], 9)
    expected = runner.prefill(Row(1, 0, tokens, CANDIDATES), audio)
    prefill(runner, 1, tokens[:2])
    assert_close(runner.prefill(Row(1, 2, tokens[2:], CANDIDATES), audio), expected, SPLIT_TOLERANCE)


def test_a_batch_of_mixed_lengths_equals_its_rows_alone(runner: Runner) -> None:
    tolerance = BATCH_TOLERANCE[runner.info.name]
    alone = []
    for text in TEXTS:
        prefill(runner, 0, text)
        alone.append([runner.decode([Row(0, len(text) + step, (20 + step,), CANDIDATES)]) for step in range(3)])
    for slot, text in enumerate(TEXTS):
        prefill(runner, slot, text)
    for step in range(3):
        rows = [Row(slot, len(text) + step, (20 + step,), CANDIDATES) for slot, text in enumerate(TEXTS)]
        together = runner.decode(rows)
        for slot in range(SLOTS):
            assert_close(row_of(together, slot), alone[slot][step], tolerance)


def test_candidates_of_one_row_do_not_reach_another(runner: Runner) -> None:
    for slot, text in enumerate(TEXTS[:2]):
        prefill(runner, slot, text)
    few, many = (runner.decode([Row(0, 4, (3,), CANDIDATES[:2]), Row(1, 2, (3,), more)]) for more in ((), CANDIDATES))
    np.testing.assert_array_equal(few.probabilities[0], many.probabilities[0])


def test_any_slot_answers_the_same(runner: Runner) -> None:
    outputs = [prefill(runner, slot, TEXTS[2]) for slot in range(SLOTS)]
    for output in outputs[1:]:
        assert_close(output, outputs[0], 0.0)


def test_a_used_slot_is_as_good_as_a_fresh_one(runner: Runner) -> None:
    fresh = prefill(runner, 2, TEXTS[1])
    prefill(runner, 2, TEXTS[2] * 9)
    assert_close(prefill(runner, 2, TEXTS[1]), fresh, 0.0)


def test_prefill_leaves_other_slots_alone(runner: Runner) -> None:
    prefill(runner, 0, TEXTS[0])
    expected = runner.decode([Row(0, 4, (3,), CANDIDATES)])
    prefill(runner, 0, TEXTS[0])
    prefill(runner, 1, TEXTS[2] * 9)
    assert_close(runner.decode([Row(0, 4, (3,), CANDIDATES)]), expected, 0.0)


def test_a_moved_sequence_goes_on_as_before(runner: Runner) -> None:
    prefill(runner, 3, TEXTS[2])
    prefill(runner, 0, TEXTS[0])
    runner.move(3, 0, len(TEXTS[2]))
    moved = runner.decode([Row(0, len(TEXTS[2]), (3,), CANDIDATES)])
    prefill(runner, 0, TEXTS[2])
    assert_close(moved, runner.decode([Row(0, len(TEXTS[2]), (3,), CANDIDATES)]), 0.0)


def test_the_last_position_can_be_used(runner: Runner) -> None:
    whole = tuple(6 + index % 100 for index in range(128))
    expected = prefill(runner, 0, whole)
    prefill(runner, 0, whole[:127])
    assert_close(runner.decode([Row(0, 127, whole[127:], CANDIDATES)]), expected, SPLIT_TOLERANCE)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "audio", "message"),
    [
        (Row(SLOTS, 0, (1,)), 0, "slot 4"),
        (Row(-1, 0, (1,)), 0, "slot -1"),
        (Row(0, 0, ()), 0, "at least one token"),
        (Row(0, -1, (1,)), 0, "past"),
        (Row(0, 127, (1, 2)), 0, "do not fit"),
        (Row(0, 0, (151,)), 0, "token ids"),
        (Row(0, 0, (-1,)), 0, "token ids"),
        (Row(0, 0, (1,), (151,)), 0, "token ids"),
        (Row(0, 0, (AUDIO_TOKEN, AUDIO_TOKEN)), 1, "2 audio tokens, but 1"),
        (Row(0, 0, (1,)), 1, "0 audio tokens, but 1"),
    ],
)
def test_a_prefill_that_does_not_fit_is_refused(runner: Runner, row: Row, audio: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runner.prefill(row, [clip[:1] for clip in arrays(encode(runner, 3))] if audio else ())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one row"),
        ([Row(1, 4, (1,))], "slots 0, 1"),
        ([Row(0, 4, (1, 2))], "one token"),
        ([Row(0, 0, (1,))], "prefilled"),
        ([Row(0, 4, (AUDIO_TOKEN,))], "audio token"),
        ([Row(0, 128, (1,))], "do not fit"),
    ],
)
def test_a_decode_that_does_not_fit_is_refused(runner: Runner, rows: list[Row], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runner.decode(rows)


def test_a_move_or_mel_that_does_not_fit_is_refused(runner: Runner) -> None:
    with pytest.raises(ValueError, match="129 of 128"):
        runner.move(0, 1, 129)
    with pytest.raises(ValueError, match="slot 9"):
        runner.move(9, 1, 1)
    with pytest.raises(ValueError, match="log-mel of 51 frames"):
        runner.encode([(np.zeros((80, 51), np.float32), 51)])


# --- runner against runner -------------------------------------------------------------------------------------------


def test_runners_agree(exported: Path) -> None:
    runners = [opened(name, exported) for name in RUNNERS]
    heard = [encode(runner, 200) for runner in runners]
    first, *others = (arrays(embeddings)[0] for embeddings in heard)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=MODEL_TOLERANCE)
    tokens = (7, *[AUDIO_TOKEN] * len(first), 11)
    steps = [Row(0, 0, tokens, CANDIDATES)] + [
        Row(0, len(tokens) + step, (30 + step,), CANDIDATES) for step in range(8)
    ]
    for step in steps:
        expected, *outputs = [
            runner.prefill(step, audio) if not step.past else runner.decode([step])
            for runner, audio in zip(runners, heard, strict=True)
        ]
        for output in outputs:
            assert_close(output, expected, MODEL_TOLERANCE)
