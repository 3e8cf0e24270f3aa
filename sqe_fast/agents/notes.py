"""What a language model that talks with the caller is told of the line: short, and what to do about it."""

from __future__ import annotations

from sqe_fast.live.events import Event, QualityAlert, QualityRecovered

_SAYS = {
    "noisiness": "There is a lot of noise on the caller's side",
    "coloration": "The caller's voice comes through distorted",
    "discontinuity": "The caller's audio is breaking up",
    "loudness": "The caller is hard to hear",
}
_SAYS_OF_SIGNAL = {
    "mute": "No sound at all comes from the caller: the line seems to be muted",
    "silence": "Almost no sound comes from the caller",
    "clipping": "The caller is so loud that the audio is clipped",
}
_ADVICE = "Words may be missing or wrong in what you read of theirs: where it matters, ask them to repeat."


def note(event: Event) -> str | None:
    """A sentence or two for the context of a language model; None for what it need not know."""
    if isinstance(event, QualityAlert):
        says = _SAYS_OF_SIGNAL.get(event.fault, _SAYS[event.dimension])
        cause = f" ({event.cause.name})" if event.cause else ""
        return f"{says}{cause}. {_ADVICE}"
    if isinstance(event, QualityRecovered):
        return "The caller's audio is all right again."
    return None
