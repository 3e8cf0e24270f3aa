"""Opus over a lossy network, by the real libopus: it conceals what is lost, or brings it back from the redundancy in
the next packet (in-band forward error correction)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.simulation.codec_libraries import Lost, Pcm, load
from training.simulation.measures import SAMPLE_RATE

LOOKAHEAD = {"voip": 104, "restricted_lowdelay": 40}
"""Samples at 16 kHz by which the decoded speech lags."""
_EXPECTED_LOSS = 20
"""Per cent, as a receiver would report it. The encoder spends more on redundancy the more it expects."""


def transcode(pcm: Pcm, bit_rate: int, packet: int, lost: Lost, application: str, redundant: bool) -> Pcm:
    """Mono int16 [n] at 16 kHz, in packets of `packet` samples, of which those in `lost`, bool [packets], don't arrive;
    at least as long, and late by LOOKAHEAD. `application`: voip, which is SILK up to about 32 kbit/s; or
    restricted_lowdelay, which is CELT and has no redundancy. Raises AbsentLibraryError without libopus."""
    load("libopus0")  # the bindings look for it when they are imported
    from opuslib_next import Encoder

    encoder = Encoder(SAMPLE_RATE, 1, application)
    encoder.bitrate = bit_rate
    encoder.inband_fec = int(redundant)
    encoder.packet_loss_perc = _EXPECTED_LOSS
    encoder.complexity = 5  # a telephone's; the full 10 takes twice the time
    samples = np.pad(pcm, (0, -pcm.size % packet)).reshape(-1, packet)
    packets = [encoder.encode(piece.tobytes(), packet) for piece in samples]
    return _decode(packets, packet, lost, redundant)


def _decode(packets: Sequence[bytes], packet: int, lost: Lost, redundant: bool) -> Pcm:
    from opuslib_next import Decoder

    decoder = Decoder(SAMPLE_RATE, 1)
    pieces = []
    for index, data in enumerate(packets):
        if not lost[index]:
            pieces.append(decoder.decode(data, packet))
        elif redundant and index + 1 < len(packets) and not lost[index + 1]:
            pieces.append(decoder.decode(packets[index + 1], packet, True))
        else:
            pieces.append(decoder.decode(b"", packet))
    return np.frombuffer(b"".join(pieces), np.int16)
