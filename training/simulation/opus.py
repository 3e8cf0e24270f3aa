"""Opus over a lossy network: the real libopus codes the speech, packets are lost, and libopus conceals them, or brings
them back from the redundancy in the next packet (in-band forward error correction)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from opuslib_next import Decoder, Encoder

from training.simulation.interruptions import Mask
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.packets import draw_losses, draw_packet_ms, loss_measures, lost_packets, samples_of, spans_of
from training.simulation.speech_codecs import coding_measures
from training.simulation.stage import Degradation, Family, Materials, Params, Place, Rng

PACKETS_MS = {10: 0.1, 20: 0.6, 40: 0.15, 60: 0.15}
_EXPECTED_LOSS = 20
"""Per cent, as a receiver would report it. The encoder spends more on redundancy the more it expects."""


def _draw_opus_loss(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    kind = str(rng.choice(["plc", "fec", "celt"], p=[0.5, 0.3, 0.2]))
    lowest = {"plc": 8, "fec": 18, "celt": 20}[kind]
    packet_ms = draw_packet_ms(rng, PACKETS_MS)
    return {
        "kind": kind,
        "bit_rate": round(1000 * float(rng.uniform(lowest, 32))),
        **draw_losses(float(np.interp(severity, *RATES[kind])), packet_ms, rng),
    }


def opus_loss(speech: Signal, params: Params, materials: Materials, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    """Opus at `bit_rate` (bit/s) in packets of `packet_ms` at a random phase, lost as packets.lost_packets says.

    `kind`: plc, SILK's own concealment; fec, SILK with in-band redundancy; celt, the low-delay mode with its own
    concealment. Measures of the loss: packets.loss_measures, against the same packets all decoded. Of the coding:
    speech_codecs.coding_measures.
    """
    packet = samples_of(params["packet_ms"])
    lead = int(rng.integers(packet))
    packets, lookahead = _encode(speech, packet, lead, params)
    lost = lost_packets(len(packets), params, rng)
    offset = lead + lookahead
    coded, lossy = (
        _decode(packets, packet, missing, params["kind"] == "fec")[offset : offset + speech.size]
        for missing in (np.zeros_like(lost), lost)
    )
    if not speech.any():
        return lossy, ()
    coding = Degradation("opus_loss", "opus", "coding", coding_measures(speech, coded))
    measures = loss_measures(speech, coded, lossy, spans_of(lost, packet, offset, speech.size))
    if not measures:
        return lossy, (coding,)
    return lossy, (coding, Degradation("opus_loss", params["kind"], "packet loss", measures))


def _encode(speech: Signal, packet: int, lead: int, params: Params) -> tuple[list[bytes], int]:
    """Packets of `packet` samples, the first of which begins `lead` samples before the speech, and the delay."""
    encoder = Encoder(SAMPLE_RATE, 1, "restricted_lowdelay" if params["kind"] == "celt" else "voip")
    encoder.bitrate = params["bit_rate"]
    encoder.inband_fec = int(params["kind"] == "fec")
    encoder.packet_loss_perc = _EXPECTED_LOSS
    encoder.complexity = 5  # a telephone's; the full 10 takes twice the time
    count = -(-(lead + speech.size + encoder.lookahead) // packet) + 1  # one more: redundancy for the last
    padded = np.zeros(count * packet, np.float32)
    padded[lead : lead + speech.size] = speech
    samples = (np.clip(padded, -1, 1) * 32767).astype(np.int16).reshape(count, packet)
    return [encoder.encode(piece.tobytes(), packet) for piece in samples], encoder.lookahead


def _decode(packets: Sequence[bytes], packet: int, lost: Mask, redundant: bool) -> Signal:
    """All that is not lost, and libopus's concealment; where `redundant`, a packet followed by one that arrived is
    decoded from that."""
    decoder = Decoder(SAMPLE_RATE, 1)
    pieces = []
    for index, data in enumerate(packets):
        if not lost[index]:
            pieces.append(decoder.decode(data, packet))
        elif redundant and index + 1 < len(packets) and not lost[index + 1]:
            pieces.append(decoder.decode(packets[index + 1], packet, True))
        else:
            pieces.append(decoder.decode(b"", packet))
    return (np.frombuffer(b"".join(pieces), np.int16) / 32768).astype(np.float32)


_SEVERITY = [0.0, 0.13, 0.32, 0.53, 0.71, 0.87, 1.0]
RATES = {
    "plc": (_SEVERITY, [0.004, 0.01, 0.04, 0.09, 0.17, 0.3, 0.4]),
    "celt": (_SEVERITY, [0.004, 0.01, 0.04, 0.09, 0.17, 0.3, 0.4]),
    "fec": (_SEVERITY, [0.01, 0.03, 0.08, 0.15, 0.25, 0.35, 0.45]),
}
"""Severity → share of packets lost."""

FAMILIES = (Family("opus_loss", Place.CODING, 1.3, _draw_opus_loss, opus_loss),)
