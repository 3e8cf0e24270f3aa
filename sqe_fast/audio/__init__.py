"""Sound in: whatever a caller has → clips of 16 kHz mono, and their log-mels. `recordings` is the door."""

from sqe_fast.audio.channels import Channels
from sqe_fast.audio.excerpt import Excerpt
from sqe_fast.audio.raw import SAMPLE_ENCODINGS, Raw, RawFormat, arriving, frame_bytes, samples_of
from sqe_fast.audio.recording import Clip, Limits, Recording, digest, load, recordings
from sqe_fast.audio.sources import Opens, Source, name_of

__all__ = [
    "SAMPLE_ENCODINGS",
    "Channels",
    "Clip",
    "Excerpt",
    "Limits",
    "Opens",
    "Raw",
    "RawFormat",
    "Recording",
    "Source",
    "arriving",
    "digest",
    "frame_bytes",
    "load",
    "name_of",
    "recordings",
    "samples_of",
]
