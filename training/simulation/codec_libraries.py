"""Codecs by real libraries: FFmpeg's through PyAV, and those that Debian packages through ctypes.

Every one is a `Transcode`: mono int16 [n] at the codec's own rate and a bit rate (bit/s) in, the decoded int16 out,
at least as long, moved by the codec's own delay. Some take a third argument: which of their frames the decoder doesn't
get, bool [frames]; it conceals them as it was made to.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
Transcode = Callable[[Pcm, int], Pcm]
Lost = npt.NDArray[np.bool_]
NO_LOSS: Lost = np.zeros(0, bool)


class LossyTranscode(Protocol):
    """A `Transcode` whose decoder conceals."""

    def __call__(self, pcm: Pcm, bit_rate: int, lost: Lost = NO_LOSS, /) -> Pcm: ...


def ffmpeg(
    encoder: str,
    rate: int,
    decoder: str | None = None,
    options: Mapping[str, str] | None = None,
    bits_a_sample: bool = False,
) -> Transcode:
    """An encoder of FFmpeg at `rate` (Hz), and the decoder of the same name unless another is named. `bits_a_sample`:
    the decoder must be told how many bits make a sample."""

    def transcode(pcm: Pcm, bit_rate: int) -> Pcm:
        coder = av.CodecContext.create(encoder, "w")
        coder.sample_rate, coder.layout = rate, "mono"
        coder.format = coder.codec.audio_formats[0]
        coder.bit_rate = bit_rate
        coder.thread_count = 1
        coder.options = dict(options or {})
        coder.open()
        player = av.CodecContext.create(decoder or encoder, "r")
        player.sample_rate, player.layout = rate, "mono"
        player.thread_count = 1
        if coder.extradata:
            player.extradata = coder.extradata
        if bits_a_sample:
            player.options = {"bits_per_coded_sample": str(bit_rate // rate)}
        to_coder = av.AudioResampler(coder.format, "mono", rate, coder.frame_size or 1024)
        to_pcm = av.AudioResampler("s16", "mono", rate)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        packets = [
            p for piece in [*to_coder.resample(frame), *to_coder.resample(None), None] for p in coder.encode(piece)
        ]
        frames = [decoded for packet in [*packets, None] for decoded in player.decode(packet)]
        pieces = [piece for decoded in [*frames, None] for piece in to_pcm.resample(decoded)]
        return np.concatenate([piece.to_ndarray()[0] for piece in pieces])

    return transcode


DEBIAN = {
    "libbcg729-0": "libbcg729.so.0",
    "libcodec2-1.0": "libcodec2.so.1.0",
    "libgsm1": "libgsm.so.1",
    "liblc3-0": "liblc3.so.0",
    "libopencore-amrwb0": "libopencore-amrwb.so.0",
    "libopus0": "libopus.so.0",
    "libspeex1": "libspeex.so.1",
    "libvo-amrwbenc0": "libvo-amrwbenc.so.0",
}
"""Packages of Debian 12, and the library in each."""


class AbsentLibraryError(ModuleNotFoundError):
    """A library that Debian packages is not installed; the message says how to install all of them."""


@cache
def load(package: str) -> ctypes.CDLL:
    """The library of `package`. Raises AbsentLibraryError."""
    try:
        return ctypes.CDLL(DEBIAN[package])
    except OSError as error:
        raise AbsentLibraryError(f"{error}: apt-get install {' '.join(DEBIAN)}") from error


@contextmanager
def _alone(package: str) -> Iterator[ctypes.CDLL]:
    """The library of `package` as nobody has used it: a namespace of its own (dlmopen), with its global state."""
    load(package)
    linker = ctypes.CDLL(None)
    linker.dlmopen.restype = ctypes.c_void_p
    handle = linker.dlmopen(ctypes.c_long(_NEW_NAMESPACE), DEBIAN[package].encode(), ctypes.c_int(os.RTLD_NOW))
    if handle is None:
        linker.dlerror.restype = ctypes.c_char_p
        raise OSError(linker.dlerror().decode())
    try:
        yield ctypes.CDLL(DEBIAN[package], handle=handle)
    finally:
        linker.dlclose(ctypes.c_void_p(handle))


_NEW_NAMESPACE = -1  # LM_ID_NEWLM, dlfcn.h


def _pointer(library: ctypes.CDLL, function: str, *arguments: Any) -> ctypes.c_void_p:
    """What a constructor returns: a pointer, where ctypes expects an int."""
    construct = getattr(library, function)
    construct.restype = ctypes.c_void_p
    return ctypes.c_void_p(construct(*arguments))


def _frame_by_frame(pcm: Pcm, size: int, pass_on: Callable[[Any, Any, bool], None], lost: Lost = NO_LOSS) -> Pcm:
    """`pass_on` (a frame of `size` samples, where its decoded samples go, whether it is lost), frame after frame."""
    count = -(-pcm.size // size)
    heard = np.zeros(count * size, np.int16)
    heard[: pcm.size] = pcm
    decoded = np.zeros_like(heard)
    gone = np.pad(lost[:count], (0, max(0, count - lost.size)))
    short = ctypes.POINTER(ctypes.c_int16)
    for index in range(count):
        frame, out = (samples[index * size :].ctypes.data_as(short) for samples in (heard, decoded))
        pass_on(frame, out, bool(gone[index]))
    return decoded


def gsm(pcm: Pcm, bit_rate: int) -> Pcm:
    """GSM 06.10 full rate, 8 kHz, 13.2 kbit/s, by libgsm."""
    library = load("libgsm1")
    coder, player = _pointer(library, "gsm_create"), _pointer(library, "gsm_create")
    packet = ctypes.create_string_buffer(33)

    def pass_on(frame: Any, out: Any, gone: bool) -> None:
        library.gsm_encode(coder, frame, packet)
        library.gsm_decode(player, packet, out)

    decoded = _frame_by_frame(pcm, 160, pass_on)
    for state in (coder, player):
        library.gsm_destroy(state)
    return decoded


def speex(rate: int) -> LossyTranscode:
    """Speex, 8 kHz or 16 kHz, by libspeex. Its high-pass, which would turn the phase of a voice, is off."""

    def transcode(pcm: Pcm, bit_rate: int, lost: Lost = NO_LOSS) -> Pcm:
        library = load("libspeex1")
        mode = _pointer(library, "speex_lib_get_mode", {8_000: 0, 16_000: 1}[rate])
        coder, player = (_pointer(library, f"speex_{way}_init", mode) for way in ("encoder", "decoder"))
        library.speex_encoder_ctl(coder, _SPEEX_SET_BITRATE, ctypes.byref(ctypes.c_int(bit_rate)))
        library.speex_encoder_ctl(coder, _SPEEX_SET_HIGHPASS, ctypes.byref(ctypes.c_int(0)))
        library.speex_decoder_ctl(player, _SPEEX_SET_HIGHPASS, ctypes.byref(ctypes.c_int(0)))
        bits = ctypes.create_string_buffer(_SPEEX_BITS_BYTES)
        library.speex_bits_init(bits)

        def pass_on(frame: Any, out: Any, gone: bool) -> None:
            library.speex_bits_reset(bits)
            library.speex_encode_int(coder, frame, bits)
            library.speex_bits_rewind(bits)
            library.speex_decode_int(player, None if gone else bits, out)

        decoded = _frame_by_frame(pcm, rate // 50, pass_on, lost)
        library.speex_bits_destroy(bits)
        library.speex_encoder_destroy(coder)
        library.speex_decoder_destroy(player)
        return decoded

    return transcode


_SPEEX_SET_BITRATE, _SPEEX_SET_HIGHPASS = 18, 44  # speex.h
_SPEEX_BITS_BYTES = 64  # more than its struct SpeexBits takes


def codec2(pcm: Pcm, bit_rate: int) -> Pcm:
    """Codec 2, 8 kHz, by libcodec2. Its decoder draws phases from one generator for all of a process, so each clip has
    the library to itself."""
    packet = ctypes.create_string_buffer(16)
    with _alone("libcodec2-1.0") as library:
        state = _pointer(library, "codec2_create", _CODEC2_MODES[bit_rate])

        def pass_on(frame: Any, out: Any, gone: bool) -> None:
            library.codec2_encode(state, packet, frame)
            library.codec2_decode(state, out, packet)

        decoded = _frame_by_frame(pcm, library.codec2_samples_per_frame(state), pass_on)
        library.codec2_destroy(state)
    return decoded


_CODEC2_MODES = {3200: 0, 2400: 1, 1600: 2, 1400: 3, 1300: 4, 1200: 5, 700: 8, 450: 10}  # codec2.h


def g729(pcm: Pcm, bit_rate: int, lost: Lost = NO_LOSS) -> Pcm:
    """G.729 Annex A, 8 kHz, 8 kbit/s, by bcg729."""
    library = load("libbcg729-0")
    coder = _pointer(library, "initBcg729EncoderChannel", ctypes.c_uint8(0))
    player = _pointer(library, "initBcg729DecoderChannel")
    packet, size = ctypes.create_string_buffer(16), ctypes.c_uint8()
    flag = ctypes.c_uint8(0)

    def pass_on(frame: Any, out: Any, gone: bool) -> None:
        library.bcg729Encoder(coder, frame, packet, ctypes.byref(size))
        library.bcg729Decoder(player, packet, size, ctypes.c_uint8(gone), flag, flag, out)

    decoded = _frame_by_frame(pcm, 80, pass_on, lost)
    library.closeBcg729EncoderChannel(coder)
    library.closeBcg729DecoderChannel(player)
    return decoded


def amr_wb(pcm: Pcm, bit_rate: int, lost: Lost = NO_LOSS) -> Pcm:
    """AMR-WB, 16 kHz, encoded by VisualOn's library and decoded by OpenCORE's."""
    encoding = load("libvo-amrwbenc0")
    decoding = load("libopencore-amrwb0")
    coder, player = _pointer(encoding, "E_IF_init"), _pointer(decoding, "D_IF_init")
    packet = ctypes.create_string_buffer(64)
    mode, continuous = ctypes.c_int16(AMR_WB_RATES.index(bit_rate)), ctypes.c_int16(0)

    def pass_on(frame: Any, out: Any, gone: bool) -> None:
        encoding.E_IF_encode(coder, mode, frame, packet, continuous)
        decoding.D_IF_decode(player, packet, out, int(gone))

    decoded = _frame_by_frame(pcm, 320, pass_on, lost)
    encoding.E_IF_exit(coder)
    decoding.D_IF_exit(player)
    return decoded


AMR_WB_RATES = (6600, 8850, 12650, 14250, 15850, 18250, 19850, 23050, 23850)


def lc3(pcm: Pcm, bit_rate: int, lost: Lost = NO_LOSS) -> Pcm:
    """LC3, 16 kHz in frames of 10 ms, by liblc3."""
    library = load("liblc3-0")
    frame_us, rate, pcm16, size = 10_000, 16_000, 0, bit_rate // 800
    memories = [ctypes.create_string_buffer(getattr(library, f"lc3_{way}_size")(frame_us, rate)) for way in _WAYS]
    coder, player = (
        _pointer(library, f"lc3_setup_{way}", frame_us, rate, rate, memory)
        for way, memory in zip(_WAYS, memories, strict=True)
    )
    packet = ctypes.create_string_buffer(size)

    def pass_on(frame: Any, out: Any, gone: bool) -> None:
        library.lc3_encode(coder, pcm16, frame, 1, size, packet)
        library.lc3_decode(player, None if gone else packet, size, pcm16, out, 1)

    return _frame_by_frame(pcm, 160, pass_on, lost)


_WAYS = ("encoder", "decoder")
