"""OpenAI's own client asks: what it reads is what the evaluator says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from sqe_fast.evaluator import Evaluator
from tests.server.test_app import clip
from tests.support.fake_evaluator import LISTING, MODEL, fake_evaluator, fake_runner
from tests.support.servers import SECONDS, Running, serving

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    with fake_evaluator(fake_runner(), LISTING) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(evaluator: Evaluator) -> Iterator[Running]:
    with serving(evaluator, token=TOKEN) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}v1", api_key=TOKEN, timeout=SECONDS, max_retries=0) as opened:
        yield opened


def question(*clips: bytes, text: str = "Rate this speech.") -> list[Any]:
    audio = [
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(each).decode(), "format": "wav"}}
        for each in clips
    ]
    return [{"role": "user", "content": [{"type": "text", "text": text}, *audio]}]


def test_a_clip_is_rated(client: openai.OpenAI, evaluator: Evaluator) -> None:
    [wanted] = evaluator.evaluate([clip(1)])
    answer = client.chat.completions.create(model=MODEL, messages=question(clip(1)))
    [choice] = answer.choices
    text = choice.message.content or ""
    assert (answer.model, choice.finish_reason) == (MODEL, "stop")
    assert wanted.ratings is not None
    assert text.startswith(f"MOS {wanted.ratings.mos:.1f} of 5 (")
    for name in ("noisiness", "coloration", "discontinuity", "loudness"):
        assert f"{name} {wanted.ratings[name]:.1f}" in text
    assert wanted.description in text
    for cause in wanted.causes:
        assert f"{cause.name} ({cause.probability:.0%})" in text
    [row] = answer.model_extra["result"]["rows"]  # type: ignore[index]
    assert row == wanted.to_row() | {"file": "clip A"}


def test_of_two_clips_the_better_one_is_named(client: openai.OpenAI, evaluator: Evaluator) -> None:
    wanted = evaluator.compare(clip(1), clip(2))
    answer = client.chat.completions.create(
        model="fake", messages=question(clip(1), clip(2), text="Which of these is better?")
    )
    assert answer.choices[0].message.content == wanted.description
    assert answer.model_extra["result"]["winner"] == wanted.winner  # type: ignore[index]


@pytest.mark.parametrize("clips", [1, 2])
def test_the_answer_in_pieces_is_the_answer(client: openai.OpenAI, clips: int) -> None:
    messages = question(*(clip(seed) for seed in range(clips)))
    whole = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content
    pieces = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole
    assert pieces[0].choices[0].delta.role == "assistant"
    assert [piece.choices[0].finish_reason for piece in pieces][-1] == "stop"
    assert len({piece.id for piece in pieces}) == 1


def test_ratings_come_before_the_words(client: openai.OpenAI) -> None:
    first, *others = client.chat.completions.create(model=MODEL, messages=question(clip(3)), stream=True)
    assert (first.choices[0].delta.content or "").startswith("MOS ")
    assert any(each.choices[0].delta.content for each in others)


@pytest.mark.parametrize("stream", [False, True])
def test_json_where_it_is_asked_for(client: openai.OpenAI, evaluator: Evaluator, stream: bool) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=question(clip(1)), response_format={"type": "json_object"}, stream=stream
    )
    if isinstance(answer, openai.Stream):
        text = "".join(piece.choices[0].delta.content or "" for piece in answer)
    else:
        text = answer.choices[0].message.content or ""
    [wanted] = evaluator.evaluate([clip(1)])
    assert json.loads(text) == {"rows": [wanted.to_row() | {"file": "clip A"}]}


def test_the_last_clips_of_a_conversation_are_meant(client: openai.OpenAI, evaluator: Evaluator) -> None:
    messages = [
        *question(clip(1)),
        {"role": "assistant", "content": "MOS 1.0"},
        *question(clip(2), text="And this one?"),
        {"role": "user", "content": "Well?"},
    ]
    text = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content or ""
    [wanted] = evaluator.evaluate([clip(2)])
    assert wanted.mos is not None
    assert text.startswith(f"MOS {wanted.mos:.1f}")


def test_its_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("changed", "error", "code"),
    [
        ({"messages": question()}, openai.BadRequestError, "no_audio"),
        ({"messages": [{"role": "user", "content": "Rate it."}]}, openai.BadRequestError, "no_audio"),
        ({"messages": question(*[b"x"] * 3)}, openai.BadRequestError, "too_many_clips"),
        ({"messages": question(b"no sound")}, openai.UnprocessableEntityError, "unsupported_format"),
        ({"messages": question(b"no sound", b"none")}, openai.UnprocessableEntityError, "unsupported_format"),
        ({"messages": []}, openai.UnprocessableEntityError, "invalid"),
        ({"model": "gpt-4o-audio-preview"}, openai.NotFoundError, "model_not_found"),
        ({"n": 2}, openai.BadRequestError, "unsupported"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, openai.BadRequestError, "unsupported"),
        ({"modalities": ["text", "audio"]}, openai.BadRequestError, "unsupported"),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_cannot_be_answered(
    client: openai.OpenAI, changed: dict[str, Any], error: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": question(clip(1)), "stream": stream} | changed
    with pytest.raises(error) as refused:
        client.chat.completions.create(**asked)
    assert refused.value.code == code


def test_data_that_is_not_base64(client: openai.OpenAI) -> None:
    part = {"type": "input_audio", "input_audio": {"data": "%%%", "format": "wav"}}
    messages: list[Any] = [{"role": "user", "content": [part]}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=messages)
    assert refused.value.code == "invalid"


def test_the_wrong_key(server: Running) -> None:
    with (
        openai.OpenAI(base_url=f"{server.url}v1", api_key="another", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model=MODEL, messages=question(clip(1)))
