"""Sound in: whatever a caller has → clips of 16 kHz mono, and their log-mels. `load` is the door."""

from sqe_fast.audio.recording import Clip, Limits, Recording, load

__all__ = ["Clip", "Limits", "Recording", "load"]
