"""What requests and answers look like: requests are checked by these, and the OpenAPI document is made of them."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sqe_fast.audio import RawFormat
from sqe_fast.audio.channels import Channels, checked
from sqe_fast.audio.timeline import Timeline
from sqe_fast.options import HOP_SECONDS, WINDOW_SECONDS


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- requests --------------------------------------------------------------------------------------------------------


def _base64(text: object) -> object:
    """Whole and nothing else: what is not base64 would be other audio."""
    return b64decode(text, validate=True) if isinstance(text, str | bytes) else text


def _channels(value: object) -> object:
    if not isinstance(value, str | int):
        raise ValueError('give "auto", "mix", "each" or a number')
    return checked(int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value)


def _raw(text: str | None) -> str | None:
    if text is not None:
        RawFormat.parse(text)
    return text


Bytes = Annotated[
    bytes, BeforeValidator(_base64, json_schema_input_type=str), Field(json_schema_extra={"contentEncoding": "base64"})
]


class Recording(Strict):
    """A recording in JSON: its bytes, or its path under the server's --root."""

    data: Bytes | None = Field(default=None, description="A sound file, in base64.")
    path: str | None = Field(
        default=None, description="Of a file under the folder that the server was given, if it was."
    )
    name: str | None = Field(default=None, description="What its row says as `file`.", max_length=1_024)

    @model_validator(mode="after")
    def _one(self) -> Recording:
        if (self.data is None) == (self.path is None):
            raise ValueError("give data or path, one of them")
        return self


class Choices(Strict):
    """How recordings are heard."""

    describe: bool = Field(default=True, description="Explain the ratings in words.")
    channels: Annotated[Channels, BeforeValidator(_channels, json_schema_input_type=str | int)] = Field(
        default="auto", description='Of several channels: "auto", "mix", "each", or a number; the first is 0.'
    )
    raw: Annotated[str | None, AfterValidator(_raw)] = Field(
        default=None, description="The files are PCM without a header: rate=8000,encoding=mulaw,channels=2"
    )

    @property
    def raw_format(self) -> RawFormat | None:
        return RawFormat.parse(self.raw) if self.raw else None


class RatingChoices(Choices):
    timeline: bool = Field(default=False, description="A row for each window, too, with its start and end.")
    window: float | None = Field(
        default=None, description=f"Seconds of a window, 0.4 to 30; {WINDOW_SECONDS:g} where not given."
    )
    hop: float | None = Field(
        default=None, description=f"Seconds from window to window; {HOP_SECONDS:g} where not given."
    )

    @model_validator(mode="after")
    def _windows(self) -> RatingChoices:
        if not self.timeline and (self.window is not None or self.hop is not None):
            raise ValueError("window and hop are choices of a timeline: give timeline=true, too")
        self.windows  # noqa: B018 (raises what cannot be)
        return self

    @property
    def windows(self) -> Timeline | None:
        if not self.timeline:
            return None
        return Timeline(
            WINDOW_SECONDS if self.window is None else self.window, HOP_SECONDS if self.hop is None else self.hop
        )


class ComparisonChoices(Choices):
    @field_validator("channels")
    @classmethod
    def _one(cls, value: Channels) -> Channels:
        if value == "each":
            raise ValueError('one sound is set against another: give "auto", "mix" or a number')
        return value


class RankingChoices(ComparisonChoices):
    describe: bool = Field(default=False, description="Argue for each against the next.")


class EvaluateRequest(RatingChoices):
    """As JSON; a multipart form has the files under any name, and the choices as fields."""

    files: list[Recording] = Field(min_length=1)


class CompareRequest(ComparisonChoices):
    """As JSON; a multipart form has two files, `a` and `b`."""

    a: Recording
    b: Recording


class RankRequest(RankingChoices):
    """As JSON; a multipart form has the files under any name."""

    files: list[Recording] = Field(min_length=1)


class CallFormat(Strict):
    """The first message of a live call."""

    rate: int = Field(default=16_000, ge=8_000, le=48_000, description="Hz.")
    encoding: str = "s16le"
    channels: Literal[1, 2] = 1
    each: bool = Field(
        default=False, description="Rate the two channels by themselves, where there are two; else their mean."
    )
    window: float = WINDOW_SECONDS
    hop: float = HOP_SECONDS
    describe: bool = True


class ChatRequest(BaseModel):
    """OpenAI's chat completions, as far as they concern a model that rates speech. Anything else is passed over."""

    model: str | None = None
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False
    n: int | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[str] | None = None
    tools: list[Any] | None = None


# --- answers ---------------------------------------------------------------------------------------------------------


class ErrorRow(Strict):
    code: str
    message: str


class CauseRow(Strict):
    """Something that is wrong, which lowers `dimension`, with the probability that it is true."""

    name: str
    dimension: str
    probability: float


class StretchRow(Strict):
    """Seconds in which nobody speaks: they have no part in the ratings."""

    start: float
    end: float
    kind: Literal["pause", "sound"]


Rating = Annotated[float, Field(ge=1, le=5)] | None


class Row(Strict):
    """A recording, a channel of it, or, with a timeline, a window of it: those have `start` and `end` in seconds, and
    stand before the recording's own row. Ratings are 1 to 5, the best."""

    file: str
    channel: int | None
    start: float | None = None
    end: float | None = None
    mos: Rating
    mos_std: float | None
    noisiness: Rating
    coloration: Rating
    discontinuity: Rating
    loudness: Rating
    causes: list[CauseRow]
    description: str | None
    flags: list[str]
    no_speech: list[StretchRow]
    duration: float | None
    model: str
    error: ErrorRow | None


class SourceRow(Row):
    source: int = Field(description="The place of its recording in the request, the first is 0.")


class Rows(Strict):
    model: str
    rows: list[SourceRow]


class RankedRow(Row):
    """As of /v1/evaluate; `description` argues for it against the next."""

    place: int | None = Field(description="1 is the best; none where it could not be rated.")
    tied: bool | None = Field(description="With the next.")
    probability: float | None = Field(description="That it is better than the next.")
    source: int = Field(description="The place of the recording in the request, the first is 0.")


class Ranking(Strict):
    model: str
    rows: list[RankedRow]


class ComparisonRow(Strict):
    winner: Literal["A", "B", "tie"] | None
    probability: float | None = Field(description="That A is the better one.")
    description: str | None
    error: ErrorRow | None
    a: Row
    b: Row


class Refused(Strict):
    class Error(Strict):
        code: str
        message: str
        type: str
        param: None

    error: Error
