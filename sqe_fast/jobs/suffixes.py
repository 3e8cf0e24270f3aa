"""What a file's name says of it."""

from __future__ import annotations

import os

AUDIO_SUFFIXES = frozenset(
    {
        ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".avi", ".awb", ".caf",
        ".flac", ".flv", ".htk", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpga", ".nist",
        ".oga", ".ogg", ".opus", ".qcp", ".ra", ".rf64", ".snd", ".sph", ".spx", ".tta", ".voc", ".w64", ".wav",
        ".wave", ".webm", ".wma", ".wv",
    }
)  # fmt: skip
"""What is scored of a folder or an archive. A file given by name is tried whatever its suffix."""
RAW_SUFFIXES = frozenset(
    {".al", ".alaw", ".g722", ".g726", ".g729", ".gsm", ".pcm", ".raw", ".sln", ".ul", ".ulaw", ".vox"}
)
"""Of files that say nothing of what is in them."""


def suffix_of(name: str) -> str:
    """ ".wav" """
    return os.path.splitext(name)[1].lower()


def names_sound(name: str) -> bool:
    return suffix_of(name) in AUDIO_SUFFIXES | RAW_SUFFIXES


def refused(name: str, *, raw: bool) -> str | None:
    """Why a file of a folder or archive that is called like sound is not scored. `raw`: it was said what it is."""
    if names_sound(name) and os.path.basename(name).startswith("._"):
        return "what macOS keeps beside a file: pass the file itself"
    if suffix_of(name) in RAW_SUFFIXES and not raw:
        return "sound without a header: score it by itself and say what it is made of, with --raw"
    return None
