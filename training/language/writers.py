"""Language models as caption experts: any OpenAI-compatible endpoint, any local causal LM. `captions` is a Writer too.

A language model is asked as in the paper (`paper_prompts`), several times a clip, each time with other
demonstrations, temperature and top-p. Whatever it says is read back (`read_back`) before it is kept (`captioning`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from sqe_fast.checkpoint.files import CONFIG_FILE
from training.configs import Captions
from training.corpora.annotation import Annotation
from training.language import paper_prompts as prompts
from training.language.demonstrations import Argument, Demonstration, arguments, descriptions
from training.language.paper_prompts import Message

T = TypeVar("T")


class WriterError(RuntimeError):
    """A writer cannot be used at all; the message names it and says what to do."""


class Unusable(ValueError):
    """One answer is no text that could be checked; asking again may help."""


class Writer(Protocol):
    """Writes descriptions, which may name the causes that are `listed`, and reasons that follow `argument.conclusion`.
    All chance comes from `rng`.

    Raises Unusable for an answer that is no text, WriterError where asking again is of no use.
    """

    def describe(self, row: Annotation, listed: Sequence[str], rng: np.random.Generator) -> str: ...

    def argue(self, a: Annotation, b: Annotation, rng: np.random.Generator) -> str: ...


@dataclass(frozen=True)
class Sampling:
    """How an answer is sampled: the paper's temperatures, and a top-p drawn evenly from its range."""

    temperatures: tuple[float, ...] = (0.9, 1.1)
    top_p: tuple[float, float] = (0.85, 0.95)
    max_tokens: int = 256

    def draw(self, rng: np.random.Generator) -> Draw:
        temperature = float(rng.choice(self.temperatures))
        return Draw(temperature, float(rng.uniform(*self.top_p)), self.max_tokens, int(rng.integers(2**31)))


@dataclass(frozen=True)
class Draw:
    """The sampling of one answer; temperature 0 takes the likeliest token."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    json: bool = False
    """An endpoint is held to a JSON object; a local model is only asked for one."""


class Chat(Protocol):
    """Anything that answers a conversation. Raises as `Writer`."""

    def complete(self, messages: Sequence[Message], draw: Draw) -> str: ...


class Demonstrations(NamedTuple):
    """What a prompt's examples are drawn from."""

    descriptions: Sequence[Demonstration]
    arguments: Sequence[Argument]


class PromptedWriter:
    """A language model that is asked as in the paper."""

    def __init__(self, chat: Chat, demonstrations: Demonstrations, sampling: Sampling | None = None) -> None:
        """Raises ValueError for fewer demonstrations of either kind than a prompt holds."""
        fewest = min(map(len, demonstrations))
        if fewest < prompts.DEMONSTRATIONS[1]:
            raise ValueError(f"{fewest} demonstrations; a prompt holds up to {prompts.DEMONSTRATIONS[1]}")
        self.chat = chat
        self.demonstrations = demonstrations
        self.sampling = sampling or Sampling()

    def describe(self, row: Annotation, listed: Sequence[str], rng: np.random.Generator) -> str:
        messages = prompts.describe_messages(row, listed, _some(self.demonstrations.descriptions, rng))
        return one_paragraph(self.chat.complete(messages, self.sampling.draw(rng)))

    def argue(self, a: Annotation, b: Annotation, rng: np.random.Generator) -> str:
        messages = prompts.argue_messages(a, b, _some(self.demonstrations.arguments, rng))
        return one_paragraph(self.chat.complete(messages, self.sampling.draw(rng)))


def _some(demonstrations: Sequence[T], rng: np.random.Generator) -> list[T]:
    """As many as one prompt holds."""
    fewest, most = prompts.DEMONSTRATIONS
    chosen = rng.choice(len(demonstrations), int(rng.integers(fewest, most + 1)), replace=False)
    return [demonstrations[int(i)] for i in chosen]


def one_paragraph(text: str) -> str:
    """An answer without line breaks, quotes around it or a space at its ends. Raises Unusable for an empty one."""
    text = re.sub(r"\s+", " ", text).strip().strip('"“”').strip()
    if not text:
        raise Unusable("the answer is empty")
    return text


class EndpointWriter(PromptedWriter):
    """Any OpenAI-compatible endpoint. Safe to call from several threads."""

    def __init__(
        self,
        base_url: str,
        model: str,
        demonstrations: Demonstrations,
        *,
        api_key_env: str | None = None,
        timeout_s: float = 120.0,
        retries: int = 4,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__(EndpointChat(base_url, model, api_key_env, timeout_s, retries), demonstrations, sampling)


class EndpointChat:
    """Chat completions; the client library repeats what fails for a while (429, 5xx, time-outs, lost connections)."""

    def __init__(self, base_url: str, model: str, api_key_env: str | None, timeout_s: float, retries: int) -> None:
        """Raises WriterError where `api_key_env` is given and names no variable, or the library is missing."""
        try:
            import openai
        except ImportError as error:
            raise WriterError('an endpoint needs the openai package: pip install "sqe-fast[train]"') from error
        key = os.environ.get(api_key_env, "") if api_key_env else "none"
        if not key:
            raise WriterError(f"the environment variable {api_key_env} holds no API key for {base_url}: set it")
        self.where = f"model {model!r} at {base_url}"
        self.model = model
        self._openai = openai
        self._client = openai.OpenAI(base_url=base_url, api_key=key, timeout=timeout_s, max_retries=retries)

    def complete(self, messages: Sequence[Message], draw: Draw) -> str:
        openai = self._openai
        try:
            answer = self._client.chat.completions.create(
                model=self.model,
                messages=list(messages),  # type: ignore[arg-type]
                temperature=draw.temperature,
                top_p=draw.top_p,
                max_tokens=draw.max_tokens,
                seed=draw.seed,
                response_format={"type": "json_object"} if draw.json else openai.omit,
            )
        except (openai.APIResponseValidationError, json.JSONDecodeError) as error:
            raise Unusable(f"{self.where} answered with something else than JSON") from error
        except openai.APITimeoutError as error:
            raise WriterError(
                f"{self.where} did not answer in time: raise the time-out or ask fewer at once"
            ) from error
        except openai.APIConnectionError as error:
            raise WriterError(f"{self.where} cannot be reached: is the address right, and does it run?") from error
        except openai.APIStatusError as error:
            raise WriterError(f"{self.where} answered {error.status_code}: {_advice(error.status_code)}") from error
        return self._text(answer)

    def _text(self, answer: Any) -> str:
        """The first choice's text. A field may be absent: the library does not insist on the endpoint's promises."""
        choices = getattr(answer, "choices", None)
        message = getattr(choices[0], "message", None) if choices else None
        content = getattr(message, "content", None)
        if not isinstance(content, str):
            raise Unusable(f"{self.where} answered without a text")
        return content


def _advice(status: int) -> str:
    match status:
        case 401 | 403:
            return "check the API key"
        case 404:
            return "check the model's name and that the address ends where its API begins, often in /v1"
        case 429:
            return "it asks for fewer requests; lower the number of workers"
        case _ if status >= 500:
            return "it fails on its side, also when asked again; try later"
    return "it does not accept the request; see its documentation"


class LocalWriter(PromptedWriter):
    """Any causal LM with a chat template, from a local folder. One request at a time."""

    def __init__(
        self,
        folder: Path,
        demonstrations: Demonstrations,
        *,
        device: str,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__(LocalChat(folder, device), demonstrations, sampling)


class LocalChat:
    """Generation through transformers: nothing is fetched, no code of the checkpoint runs."""

    def __init__(self, folder: Path, device: str) -> None:
        """Raises WriterError where the folder holds no causal LM with a tokenizer and a chat template."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not (folder / CONFIG_FILE).is_file():
            raise WriterError(f"{folder} holds no model (config.json is missing): give the folder of a causal LM")
        try:
            options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            self.tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype="auto", **options)
        except (OSError, ValueError) as error:
            raise WriterError(f"{folder} cannot be loaded as a causal LM with its tokenizer: {error}") from error
        if not self.tokenizer.chat_template:
            raise WriterError(f"the tokenizer in {folder} has no chat template: use an instruct model")
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()

    def complete(self, messages: Sequence[Message], draw: Draw) -> str:
        import torch

        given = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(self.device)
        sampled = {"do_sample": True, "temperature": draw.temperature, "top_p": draw.top_p, "top_k": 0}
        cuda = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(cuda), torch.inference_mode():
            torch.manual_seed(draw.seed)
            written = self.model.generate(
                **given,
                max_new_tokens=draw.max_tokens,
                pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
                **(sampled if draw.temperature > 0 else {"do_sample": False}),
            )
        return str(self.tokenizer.decode(written[0, given["input_ids"].shape[1] :], skip_special_tokens=True))


def open_writer(config: Captions) -> PromptedWriter:
    """The language model that a run names. Raises WriterError where it cannot be used."""
    demonstrations = Demonstrations(descriptions(), arguments())
    if config.endpoint:
        return EndpointWriter(config.endpoint, config.model, demonstrations, api_key_env=config.api_key_env)
    assert config.local
    return LocalWriter(config.local, demonstrations, device=config.device)
