"""What a file holds that libsndfile does not decode, as its users call it: from its first bytes, without decoding."""

from __future__ import annotations

import re
from typing import BinaryIO

from sqe_fast.audio.formats.view import View

_WAV_CODECS = {
    0x02: "Microsoft ADPCM", 0x0A: "WMA Voice", 0x11: "IMA ADPCM", 0x22: "TrueSpeech", 0x31: "GSM 6.10", 0x40: "G.721",
    0x42: "G.723.1", 0x45: "G.726", 0x55: "MP3", 0x64: "G.726", 0x65: "G.722", 0x67: "G.728", 0x6D: "G.729",
    0x83: "G.729", 0x111: "G.723.1", 0x130: "ACELP", 0x133: "G.729", 0x14: "G.723", 0x160: "WMA", 0x161: "WMA",
    0x162: "WMA Pro", 0x163: "WMA Lossless", 0x28F: "G.722", 0x2000: "AC-3", 0xA106: "AAC", 0xA107: "G.729",
    0xA109: "Speex", 0xFF: "AAC", 0x706D: "AAC",
}  # fmt: skip
"""Format tags of the WAVE registry (RFC 2361 and later)."""
_MP4_CODECS = {
    b"mp4a": "AAC", b"alac": "ALAC", b"samr": "AMR", b"sawb": "AMR-WB", b"Opus": "Opus", b"ac-3": "AC-3",
    b"ec-3": "E-AC-3", b"fLaC": "FLAC", b"ulaw": "mu-law", b"alaw": "A-law", b"sevc": "EVRC", b"sqcp": "QCELP",
    b"twos": "PCM", b"sowt": "PCM", b"lpcm": "PCM", b".mp3": "MP3", b"evs ": "EVS",
}  # fmt: skip
_OGG_CODECS = ((b"\x7fFLAC", "FLAC"), (b"Speex   ", "Speex"), (b"OpusHead", "Opus"), (b"\x01vorbis", "Vorbis"))
_MATROSKA_CODECS = (
    (b"A_OPUS", "Opus"), (b"A_VORBIS", "Vorbis"), (b"A_AAC", "AAC"), (b"A_FLAC", "FLAC"), (b"A_MPEG/L3", "MP3"),
    (b"A_MPEG", "MPEG audio"), (b"A_AC3", "AC-3"), (b"A_EAC3", "E-AC-3"), (b"A_DTS", "DTS"), (b"A_PCM", "PCM"),
    (b"A_ALAC", "ALAC"), (b"A_MS/ACM", "a Windows codec"),
)  # fmt: skip
_ASF = bytes.fromhex("3026b2758e66cf11")
_MATROSKA = b"\x1a\x45\xdf\xa3"
_PLAIN = (
    (rb"#!AMR-WB", "AMR-WB"),
    (rb"#!AMR", "AMR"),
    (rb".?#!SILK_V3", "SILK"),
    (rb"#!EVS_MC", "EVS"),
    (rb"ADIF", "AAC"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", "AAC (ADTS)"),
    (rb"\x56[\xe0-\xff]", "AAC (LATM)"),
    (rb"\x0b\x77", "AC-3"),
    (rb"\x7f\xfe\x80\x01", "DTS"),
    (rb"wvpk", "WavPack"),
    (rb"MAC ", "Monkey's Audio"),
    (rb"TTA[12]", "True Audio"),
    (rb"MPCK|MP\+", "Musepack"),
    (rb"ajkg", "Shorten"),
    (rb"DSD |FRM8", "DSD"),
    (rb"FLV\x01", "Flash video"),
    (rb"\.RMF|\.ra\xfd", "RealAudio"),
    (rb"\x00\x00\x01\xba", "MPEG video"),
    (rb"G.{187}G", "MPEG transport stream"),
    (rb"RIFF....QLCM", "QCELP"),
    (rb"RIFF....AVI ", "AVI video"),
    (rb"....ftyp|....moov|....mdat|....wide", "MP4"),
    (rb"NIST_1A", "Shorten in SPHERE"),
)
SHORT_MARKS = ("AAC (ADTS)", "AAC (LATM)", "AC-3")
"""Names of what two bytes tell."""
_PICTURES = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ", b"jp2 ", b"jpx ")
"""Brands of the MP4 family that are pictures."""
_CODEC_SEARCH = 1 << 16
"""Bytes of a Matroska file in which its codecs are looked for."""


def recognised(file: BinaryIO) -> str | None:
    """A name as in "AAC in MP4"; None for what is not known. Moves the file's position."""
    view = View(file)
    head = view.at(0, 256)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _in_wav(view)
    if head[:4] == b"OggS":
        named = (name for magic, name in _OGG_CODECS if magic in head)
        return f"{next(named, 'a stream without known sound')} in Ogg"
    if head[:4] == _MATROSKA:
        head = view.at(0, _CODEC_SEARCH)
        named = (name for magic, name in _MATROSKA_CODECS if magic in head)
        return f"{next(named, 'sound of an unknown kind')} in Matroska or WebM"
    if head[:8] == _ASF:
        return "WMA in ASF"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFC", b"AIFF"):
        at = view.find(b"COMM", 12, min(view.size, _CODEC_SEARCH))
        return (
            f"codec {view.at(at + 26, 4).decode('latin-1')!r} in AIFF" if at > 0 and head[8:12] == b"AIFC" else "AIFF"
        )
    if head[:4] == b"caff":
        return f"codec {head[28:32].decode('latin-1')!r} in CAF"
    name = next((name for magic, name in _PLAIN if re.match(magic, head, re.DOTALL)), None)
    if name == "MP4":
        return None if head[4:8] == b"ftyp" and head[8:12] in _PICTURES else _in_mp4(view)
    return name


def _in_wav(view: View) -> str | None:
    at = view.find(b"fmt ", 12, min(view.size, _CODEC_SEARCH))
    if at < 0:
        return None
    tag = view.number(at + 8, 2)
    return f"{_WAV_CODECS.get(tag, f'codec 0x{tag:04X}')} in WAV" if tag not in (0, 1, 3, 0xFFFE) else None


def _in_mp4(view: View) -> str:
    """The first track of sound: each track's table of samples begins with its codec."""
    at = view.find(b"stsd", 0, view.size)
    while at >= 0:
        if (codec := view.at(at + 16, 4)) in _MP4_CODECS:
            return f"{_MP4_CODECS[codec]} in MP4"
        at = view.find(b"stsd", at + 4, view.size)
    return "MP4 without its index" if view.find(b"moov", 0, view.size) < 0 else "sound of an unknown kind in MP4"
