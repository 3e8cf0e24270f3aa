"""Bodies of requests → recordings, and choices for them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from sqe_fast.audio import Raw, RawFormat, Source
from sqe_fast.server.refusals import Refusal
from sqe_fast.server.schemas import (
    Choices,
    CompareRequest,
    ComparisonChoices,
    EvaluateRequest,
    RankingChoices,
    RankRequest,
    RatingChoices,
    Recording,
)
from sqe_fast.server.settings import Settings

MAX_JSON = 32_000_000
"""Bytes of JSON, which is read at once and on the event loop's time. Forms are read piece by piece."""
MAX_FIELD = 65_536
"""Bytes of a form's field that is no file."""
MAX_FIELDS = 32

_Choices = TypeVar("_Choices", bound=Choices)
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Clip:
    """A recording as a client sent it."""

    name: str
    """What it calls it."""
    source: Source


@dataclass(frozen=True)
class Asked(Generic[_Choices]):
    clips: Sequence[Clip]
    choices: _Choices


def evaluation(request: Request, settings: Settings) -> AbstractAsyncContextManager[Asked[RatingChoices]]:
    """What /v1/evaluate is asked for. Its files are there as long as this is open. Raises Refusal."""
    return _several(request, settings, RatingChoices, EvaluateRequest)


def ranking(request: Request, settings: Settings) -> AbstractAsyncContextManager[Asked[RankingChoices]]:
    """As `evaluation`, of /v1/rank."""
    return _several(request, settings, RankingChoices, RankRequest)


@asynccontextmanager
async def _several(
    request: Request, settings: Settings, fields: type[_Choices], body: type[BaseModel]
) -> AsyncIterator[Asked[_Choices]]:
    if is_form(request):
        async with _form(request, settings) as form:
            choices = _fields(fields, form)
            yield Asked([_uploaded(upload, choices.raw_format) for _, upload in _files(form)], choices)
    else:
        asked: Any = await json_of(request, body)
        with _opened(asked.files, settings, asked.raw_format) as clips:
            yield Asked(clips, asked)


@asynccontextmanager
async def comparison(request: Request, settings: Settings) -> AsyncIterator[Asked[ComparisonChoices]]:
    """What /v1/compare is asked for: two clips."""
    if is_form(request):
        async with _form(request, settings) as form:
            choices, files = _fields(ComparisonChoices, form), _files(form)
            if sorted(name for name, _ in files) != ["a", "b"]:
                raise Refusal(422, "invalid", "a comparison is of two files: send one as a, and one as b")
            yield Asked(
                [_uploaded(upload, choices.raw_format) for _, upload in sorted(files, key=lambda f: f[0])], choices
            )
    else:
        asked = await json_of(request, CompareRequest)
        with _opened([asked.a, asked.b], settings, asked.raw_format) as clips:
            yield Asked(clips, asked)


def is_form(request: Request) -> bool:
    """Raises Refusal for what is neither a form nor JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return True
    if kind == "application/json":
        return False
    raise Refusal(415, "unsupported_media_type", "send multipart/form-data with files, or application/json")


async def json_of(request: Request, model: type[_Model]) -> _Model:
    """Raises Refusal."""
    if is_form(request):
        raise Refusal(415, "unsupported_media_type", "send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON:
            raise Refusal(413, "too_large", f"JSON may have {MAX_JSON:,} bytes: send files as multipart/form-data")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        broken = error.errors()[0]["type"] == "json_invalid"
        raise Refusal(400 if broken else 422, "invalid", explained(error)) from error


def explained(error: ValidationError) -> str:
    """The first faults, and where they are; nothing of what was sent."""
    found = []
    for each in error.errors(include_url=False, include_input=False, include_context=False)[:3]:
        place = ".".join(map(str, each["loc"]))
        said = each["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {said}" if place else said)
    return "; ".join(found)[:1_000]


# --- forms -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _form(request: Request, settings: Settings) -> AsyncIterator[FormData]:
    form = await request.form(max_files=settings.max_files, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD)
    try:
        yield form
    finally:
        await form.close()


def _fields(model: type[_Model], form: FormData) -> _Model:
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            if name in fields:
                raise Refusal(422, "invalid", f"{name[:100]}: given twice")
            fields[name] = value
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise Refusal(422, "invalid", explained(error)) from error


def _files(form: FormData) -> list[tuple[str, UploadFile]]:
    files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refusal(
            422, "no_files", "no file in the form: send each as a part with a file name, as curl -F file=@call.wav"
        )
    return files


def _uploaded(upload: UploadFile, raw: RawFormat | None) -> Clip:
    return Clip(upload.filename or "", _with_format(upload.file, raw))


def _with_format(source: Source, raw: RawFormat | None) -> Source:
    return source if raw is None else Raw(source, raw.rate, raw.encoding, raw.channels)


# --- JSON ------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(files: Sequence[Recording], settings: Settings, raw: RawFormat | None) -> Any:
    if len(files) > settings.max_files:
        raise Refusal(413, "too_many_files", f"a request may have {settings.max_files} files")
    opened: list[BinaryIO] = []
    clips = []
    try:
        for number, each in enumerate(files):
            if each.path is None:
                assert each.data is not None
                clips.append(Clip(each.name or f"file {number}", _with_format(each.data, raw)))
                continue
            if settings.root is None:
                raise Refusal(403, "no_paths", "this server takes no paths: send the file, or start it with --root")
            opened.append(open_under(settings.root, each.path))
            clips.append(Clip(each.name or each.path, _with_format(opened[-1], raw)))
        yield clips
    finally:
        for file in opened:
            file.close()


def open_under(root: Path, path: str) -> BinaryIO:
    """A file under `root`, by a path with no link in it: opened folder by folder, so that nothing that changes
    meanwhile leads out of it. Raises Refusal, which does not tell what lies outside."""
    parts = PurePosixPath(path).parts
    if not parts or "\0" in path or len(path) > 4_096 or any(part in ("/", "//", "..") for part in parts):
        raise Refusal(422, "invalid", "path: give one under the root, without ..")
    gone = Refusal(404, "not_found", "no such file under the root (links are not followed)")
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise gone from error
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Without waiting: a pipe would.
        descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise Refusal(503, "unavailable", "too many files are open: ask again", retry_after=2) from error
        raise gone from error
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise gone
    return os.fdopen(descriptor, "rb", buffering=0)
