"""Writers against a fake endpoint and a tiny random model; captions on disk: checked, counted, resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sqe_fast.answer.scale import verdict
from sqe_fast.answer.template import IM_END, IM_START
from sqe_fast.results import RATINGS
from tests.support.endpoint import Endpoint, one_by_one, serving
from tests.support.small_tokenizer import small_tokenizer
from training.configs import Asking
from training.corpora.annotation import Annotation
from training.corpora.corpus import SplitWriter
from training.language import captions, paper_prompts, problems
from training.language.captioning import (
    Tally,
    ask,
    attach,
    description_problems,
    draw_pairs,
    open_clips,
    reasons_problems,
    write_captions,
)
from training.language.demonstrations import Argument, Demonstration
from training.language.problems import Problem
from training.language.read_back import ReadBack
from training.language.wordings import Slot, propose, refusal
from training.language.writers import (
    Demonstrations,
    EndpointWriter,
    LocalWriter,
    Sampling,
    Unusable,
    WriterError,
)

KEY = "SQE_TEST_API_KEY"
TRUE = "The noise is loud. Otherwise, the tone, the flow and the level are fine. Overall fair, MOS 3.2."
LIE = TRUE.replace("The noise is loud", "The background is quiet")


def row(seed: int, noisiness: float = 2.0, mos: float = 3.2) -> dict[str, Any]:
    return {**dict.fromkeys(RATINGS, 4.5), "noisiness": noisiness, "mos": mos, "causes": [], "seed": seed}


DEMONSTRATIONS = Demonstrations(
    [Demonstration(row(k, mos=1 + k / 10), f"Demonstration {k}.") for k in range(8)],
    [Argument(row(k), row(k, mos=3.2 + (k - 4) / 5), f"Reasons {k}.") for k in range(8)],
)


Serve = Callable[..., Endpoint]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start an endpoint with the answers that it shall give."""
    with ExitStack() as servers:
        yield lambda *answers: servers.enter_context(serving(one_by_one(*answers)))


@pytest.fixture
def writer_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], EndpointWriter]:
    monkeypatch.setenv(KEY, "secret")
    return lambda url: EndpointWriter(url, "some-model", DEMONSTRATIONS, api_key_env=KEY, timeout_s=5, retries=2)


def test_a_description_is_asked_for_as_in_the_paper(serve: Serve, writer_at: Callable[[str], EndpointWriter]) -> None:
    endpoint = serve(f'  "{TRUE}"\n')
    writer = writer_at(endpoint.url)
    for seed in range(12):
        assert writer.describe(row(1), ["hum"], np.random.default_rng(seed)) == TRUE
    assert set(endpoint.keys) == {"Bearer secret"}
    assert {request["model"] for request in endpoint.requests} == {"some-model"}
    assert {request["temperature"] for request in endpoint.requests} == {0.9, 1.1}
    assert all(0.85 <= request["top_p"] <= 0.95 for request in endpoint.requests)
    assert len({request["top_p"] for request in endpoint.requests}) == 12
    turns = [request["messages"] for request in endpoint.requests]
    assert {(len(messages) - 2) // 2 for messages in turns} == {3, 4, 5}
    assert all(messages[-1]["content"] == paper_prompts.tuple_text(row(1), ["hum"]) for messages in turns)
    assert len({messages[1]["content"] for messages in turns}) > 1


def test_an_argument_is_asked_for_with_the_preference_that_each_example_leads_to(
    serve: Serve, writer_at: Callable[[str], EndpointWriter]
) -> None:
    a, b = row(1, 4.6, 4.4), row(2)
    endpoint = serve("On noise, Speech A is cleaner.")
    assert writer_at(endpoint.url).argue(a, b, np.random.default_rng(0)) == "On noise, Speech A is cleaner."
    system, *turns, question = endpoint.requests[0]["messages"]
    assert question["content"] == paper_prompts.pair_text(a, b)
    assert 3 <= len(turns) / 2 <= 5
    for asked, answered in zip(turns[::2], turns[1::2], strict=True):
        [example] = [d for d in DEMONSTRATIONS.arguments if answered["content"].startswith(d.text)]
        assert asked["content"] == paper_prompts.pair_text(example.a, example.b)
        preferred = answered["content"].removeprefix(f"{example.text} ")
        assert preferred == paper_prompts.PREFERENCES[verdict(example.a["mos"], example.b["mos"])]
    assert paper_prompts.PREFERENCES["B"] in system["content"]


# --- read back ----------------------------------------------------------------------------------------------------

READ = {"noisiness": 2, "coloration": 5, "discontinuity": 5, "loudness": 4, "causes": ["hum"], "mos": 3.2}
PAIR = {"verdict": "A", "ahead": {"noisiness": "A"}, "causes": {"A": [], "B": ["hum"]}}


def read_back(serve: Serve, writer_at: Callable[[str], EndpointWriter], answer: str) -> ReadBack:
    return ReadBack(writer_at(serve(answer).url).chat)


def test_a_description_is_read_back_without_its_ratings(
    serve: Serve, writer_at: Callable[[str], EndpointWriter]
) -> None:
    """A reader that is told the answer finds it."""
    endpoint = serve(f"Sure: {json.dumps(READ)}")
    assert ReadBack(writer_at(endpoint.url).chat).of_description(TRUE, row(1), ["hum"]) == []
    [request] = endpoint.requests
    assert (request["temperature"], request["response_format"]) == (0, {"type": "json_object"})
    assert request["messages"][1:] == [{"role": "user", "content": TRUE}]


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"noisiness": 4}, {"words"}),
        ({"noisiness": "loud"}, {"words"}),
        ({"coloration": None}, {"form"}),
        ({"causes": ["hum", "wind"]}, {"causes"}),
        ({"causes": ["fog"]}, {"causes"}),
        ({"mos": 3.4}, {"numbers"}),
        ({"mos": None}, {"numbers"}),
    ],
)
def test_what_is_read_otherwise_is_turned_down(
    serve: Serve, writer_at: Callable[[str], EndpointWriter], change: dict[str, Any], kinds: set[str]
) -> None:
    judge = read_back(serve, writer_at, json.dumps(READ | change))
    assert {problem.kind for problem in judge.of_description(TRUE, row(1), ["hum"])} == kinds


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({}, set()),
        ({"verdict": "B"}, {"verdict"}),
        ({"ahead": {"noisiness": "B"}}, {"words"}),
        ({"ahead": {"coloration": "A"}}, {"words", "form"}),
        ({"ahead": {}}, {"form"}),
        ({"causes": {"A": ["hum"], "B": []}}, {"causes"}),
    ],
)
def test_an_argument_is_read_back(
    serve: Serve, writer_at: Callable[[str], EndpointWriter], change: dict[str, Any], kinds: set[str]
) -> None:
    judge = read_back(serve, writer_at, json.dumps(PAIR | change))
    found = judge.of_argument("On noise, Speech A is cleaner.", row(1, 4.6, 4.4), row(2), ([], ["hum"]))
    assert {problem.kind for problem in found} == kinds


@pytest.mark.parametrize("answer", ["I cannot say", "{", '{"noisiness": 2}', json.dumps(READ | {"causes": "hum"})])
def test_an_answer_that_is_no_reading_is_unusable(
    serve: Serve, writer_at: Callable[[str], EndpointWriter], answer: str
) -> None:
    """A judge that cannot tell must not let a text pass."""
    with pytest.raises(Unusable, match="read back"):
        read_back(serve, writer_at, answer).of_description(TRUE, row(1), [])


def test_what_fails_for_a_while_is_asked_again(serve: Serve, writer_at: Callable[[str], EndpointWriter]) -> None:
    endpoint = serve(500, 429, TRUE)
    assert writer_at(endpoint.url).describe(row(1), [], np.random.default_rng(0)) == TRUE
    assert len(endpoint.requests) == 3


@pytest.mark.parametrize(("status", "advice"), [(401, "API key"), (404, "model's name"), (503, "try later")])
def test_an_error_names_endpoint_and_model_and_says_what_to_do(
    serve: Serve, writer_at: Callable[[str], EndpointWriter], status: int, advice: str
) -> None:
    endpoint = serve(status)
    with pytest.raises(WriterError, match=advice) as caught:
        writer_at(endpoint.url).describe(row(1), [], np.random.default_rng(0))
    assert endpoint.url in str(caught.value)
    assert "some-model" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_nobody_at_home_is_an_error(serve: Serve, writer_at: Callable[[str], EndpointWriter]) -> None:
    with pytest.raises(WriterError, match="cannot be reached"):
        writer_at("http://127.0.0.1:9/v1").describe(row(1), [], np.random.default_rng(0))


@pytest.mark.parametrize("answer", [b"no json", b"{}", b'{"choices": []}', b"[]", "", " \n"])
def test_a_malformed_answer_is_unusable(
    serve: Serve, writer_at: Callable[[str], EndpointWriter], answer: str | bytes
) -> None:
    with pytest.raises(Unusable):
        writer_at(serve(answer).url).describe(row(1), [], np.random.default_rng(0))


def test_a_missing_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(WriterError, match=KEY):
        EndpointWriter("http://127.0.0.1:9/v1", "m", DEMONSTRATIONS, api_key_env=KEY)


def test_few_demonstrations_are_an_error() -> None:
    with pytest.raises(ValueError, match="demonstrations"):
        EndpointWriter("http://127.0.0.1:9/v1", "m", DEMONSTRATIONS._replace(arguments=DEMONSTRATIONS.arguments[:4]))


# --- a local model ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("causal-lm")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=small_tokenizer(), eos_token=IM_END, pad_token=IM_END)
    tokenizer.chat_template = (
        "{% for m in messages %}" + IM_START + "{{ m.role }}\n{{ m.content }}" + IM_END + "\n{% endfor %}"
        "{% if add_generation_prompt %}" + IM_START + "assistant\n{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=16_384,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_local_model_writes_the_same_for_the_same_seed(local_folder: Path) -> None:
    writer = LocalWriter(local_folder, DEMONSTRATIONS, device="cpu", sampling=Sampling(max_tokens=8))
    texts = [writer.describe(row(1), ["hum"], np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert "assistant" not in texts[0]


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WriterError, match=r"config\.json"):
        LocalWriter(tmp_path, DEMONSTRATIONS, device="cpu")


def test_a_base_model_is_an_error(local_folder: Path, tmp_path: Path) -> None:
    for file in local_folder.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(WriterError, match="chat template"):
        LocalWriter(tmp_path, DEMONSTRATIONS, device="cpu")


# --- captions on disk ---------------------------------------------------------------------------------------------


@dataclass
class Scripted:
    """A writer that lies at first, and fails for good at a call if told to, in the words of the stock."""

    lies: int = 0
    fails_at: int | None = None
    calls: int = 0

    def describe(self, row: Annotation, listed: object, rng: np.random.Generator) -> str:
        self.calls += 1
        if self.calls == self.fails_at:
            raise WriterError("the model at nowhere is gone")
        if self.calls <= self.lies:
            return LIE
        return TRUE.replace("noise is loud", str(rng.choice(["noise is loud", "background is very noisy"])))

    def argue(self, a: Annotation, b: Annotation, rng: np.random.Generator) -> str:
        self.calls += 1
        return "Nothing differs clearly."


def test_asking_ends_with_a_text_or_with_all_rejections() -> None:
    answers = iter([LIE, TRUE, LIE])
    check: Callable[[str], list[Problem]] = lambda text: description_problems(text, row(1), problems)  # noqa: E731
    asked = ask(lambda: next(answers), check, 3)
    assert asked.text == TRUE
    assert [rejection.kinds for rejection in asked.rejected] == [("words",)]
    given_up = ask(lambda: LIE, check, 3)
    assert given_up.text is None
    assert len(given_up.rejected) == 3
    tally = Tally()
    tally.add(asked)
    tally.add(given_up)
    assert (tally.written, tally.given_up, dict(tally.rejected)) == (1, 1, {"words": 4})


def test_the_mos_is_the_only_figure() -> None:
    assert description_problems(TRUE, row(1), problems) == []
    for text in (TRUE.replace(" 3.2", ""), f"Noise at 2.0. {TRUE}", TRUE.replace("MOS 3.2", "MOS (3.2)")):
        assert "form" in {problem.kind for problem in description_problems(text, row(1), problems)}
    right = "On noise, Speech B is less noisy, while Speech A is noisier. Nothing clear speaks for Speech A."
    assert reasons_problems(right, row(1), row(2, 4.0, 4.4), problems) == []
    assert reasons_problems(right.replace("B", "C"), row(1), row(2, 4.0, 4.4), problems)
    figures = reasons_problems(f"{right} The MOS of Speech B is 4.4.", row(1), row(2, 4.0, 4.4), problems)
    assert "the reasons must hold no figures" in {problem.message for problem in figures}


def test_captions_are_checked_counted_and_read_back(tmp_path: Path) -> None:
    rows = [row(seed) for seed in (11, 12, 13)]
    tally = write_captions(rows, Scripted(lies=2), problems, tmp_path, Asking(per_clip=2, pairs=2, seed=3, workers=1))
    written = attach(rows, tmp_path)
    assert (tally.written, tally.given_up, tally.rejected["words"]) == (8, 0, 2)
    assert [len(one["descriptions"]) for one in written] == [2, 2, 2]
    pairs = [(one["seed"], other) for one in written for other in one["arguments"]]
    assert len(pairs) == 2
    assert all(a != b and b in (11, 12, 13) for a, b in pairs)
    rejected = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert [(entry["seed"], entry["text"]) for entry in rejected] == [(11, LIE), (11, LIE)]


def test_a_clip_without_a_true_text_is_left_out(tmp_path: Path) -> None:
    tally = write_captions(
        [row(1)], Scripted(lies=100), problems, tmp_path, Asking(per_clip=1, pairs=0, seed=3, tries=4)
    )
    assert (tally.written, tally.given_up, tally.rejected["words"]) == (0, 1, 4)
    assert attach([row(1)], tmp_path) == ({**row(1), "arguments": {}},)


def test_rows_that_nobody_wrote_about_stay_as_they_are(tmp_path: Path) -> None:
    assert attach([row(1)], tmp_path) == (row(1),)


def test_a_clip_that_no_model_hears_at_once_is_left_out(tmp_path: Path) -> None:
    with SplitWriter(tmp_path) as writer:
        for seed, samples in enumerate((480_000, 480_001, 16_000)):
            writer.add(np.zeros(samples, np.float32), {"seed": seed, "rated_by": "human"})
    assert [clip["seed"] for clip in open_clips(tmp_path)] == [0, 2]


def test_a_stopped_run_goes_on_and_ends_like_one_that_was_not(tmp_path: Path) -> None:
    rows = [row(seed) for seed in range(20, 40)]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    write_captions(rows, Scripted(), problems, whole, Asking(per_clip=1, pairs=3, seed=5))
    with pytest.raises(WriterError):
        write_captions(rows, Scripted(fails_at=13), problems, parts, Asking(per_clip=1, pairs=3, seed=5, workers=1))
    done = (parts / "captions.jsonl").read_text()
    assert 0 < done.count("\n") < 20
    (parts / "captions.jsonl").write_text(done[:-9])  # the last line was being written
    rest = Scripted()
    write_captions(rows, rest, problems, parts, Asking(per_clip=1, pairs=3, seed=5, workers=4))
    assert rest.calls == 20 - (done.count("\n") - 1) + 3
    for name in ("captions.jsonl", "arguments.jsonl"):
        assert (parts / name).read_text() == (whole / name).read_text()


def test_several_requests_run_at_once(serve: Serve, writer_at: Callable[[str], EndpointWriter], tmp_path: Path) -> None:
    endpoint = serve(TRUE)
    rows = [row(seed) for seed in range(12)]
    tally = write_captions(
        rows, writer_at(endpoint.url), problems, tmp_path, Asking(per_clip=1, pairs=0, seed=1, workers=4)
    )
    assert tally.written == len(endpoint.requests) == 12
    assert all("descriptions" in one for one in attach(rows, tmp_path))


def test_pairs_are_different_and_of_different_clips() -> None:
    pairs = draw_pairs(4, 100, seed=1)
    assert len(set(pairs)) == len(pairs) == 12
    assert all(a != b for a, b in pairs)
    with pytest.raises(ValueError, match="two clips"):
        write_captions([row(1)], Scripted(), problems, Path("nowhere"), Asking(per_clip=1, pairs=1, seed=1))


def test_the_grammar_writes_what_passes(tmp_path: Path) -> None:
    rows = [row(1), row(2, 4.4, 4.5), row(3, 1.2, 2.4)]
    tally = write_captions(rows, captions, problems, tmp_path, Asking(per_clip=2, pairs=3, seed=1))
    assert (tally.written, tally.given_up) == (9, 0)


# --- wordings for the stock -----------------------------------------------------------------------------------------

POOR_NOISE = Slot("noisiness", 1, caused=True)


def test_proposed_wordings_are_judged_and_none_is_kept(
    serve: Serve, writer_at: Callable[[str], EndpointWriter]
) -> None:
    answer = "1. {cause} hammers/hammer on every word.\n- The fridge is loud\n\n2) {cause} masks/mask many words"
    endpoint = serve(answer)
    found = propose(writer_at(endpoint.url).chat, POOR_NOISE, 10, seed=1)
    assert found.fitting == ("{cause} hammers/hammer on every word",)
    assert [text for text, _ in found.refused] == ["the fridge is loud", "{cause} masks/mask many words"]
    assert "poor" in endpoint.requests[0]["messages"][0]["content"]
    assert found.fitting[0] not in captions.stock().caused("noisiness", 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{cause}, loud and clear", "without commas"),
        ("{cause} and {cause} are loud", "one {cause}"),
        ("the words drown in noise", "needs one"),
        ("{cause} hammers", "words"),
        ("{cause} hammers on every word", "both numbers"),
        ("many words are hard to hear over {cause}", "already"),
        ("the noise is faint behind {cause} here", "means something"),
    ],
)
def test_what_does_not_fit_a_slot_is_refused(text: str, why: str) -> None:
    """A person reads for truth, and would not see that a clause is half of another one."""
    assert why in str(refusal(text, POOR_NOISE))


def test_a_clause_of_another_meaning_is_refused() -> None:
    assert "means" in str(refusal("loud {cause} covers/cover many of the words", Slot("noisiness", 2, caused=True)))
    assert refusal("the hall hums with noise", Slot("noisiness", 2, caused=False)) is None
