"""Which packets of a stream are lost, and how much of the speech goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.simulation.interruptions import Mask, Span, active_samples, distance, runs, toll
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.stage import Params, Rng

PACKETS_MS = {10: 0.1, 20: 0.5, 30: 0.1, 40: 0.15, 60: 0.15}
"""Lengths of packets (ms), and how often they are met."""

_SEVERITIES = [0.0, 0.13, 0.32, 0.53, 0.71, 0.87, 1.0]
UNCONCEALED = [0.002, 0.005, 0.02, 0.05, 0.1, 0.2, 0.35]
REPEATED = [0.003, 0.007, 0.03, 0.07, 0.14, 0.25, 0.4]
CONCEALED = [0.004, 0.01, 0.04, 0.09, 0.17, 0.3, 0.4]
RESTORED = [0.01, 0.03, 0.08, 0.15, 0.25, 0.35, 0.45]
"""Shares of packets lost at _SEVERITIES, by how well a receiver fills the gaps.

Mean Distill-MOS / PLCMOS of ten talkers (unharmed 4.1 / 4.1) at severities 0.1, 0.3, 0.5, 0.7, 0.9: silence 4.0, 3.8,
3.1, 2.5, 1.8 / 4.0, 3.9, 3.5, 2.8, 2.2; repeated packets 4.0, 3.3, 3.2, 2.5, 1.8 / 4.0, 3.5, 3.3, 2.8, 2.1; repeated
pitch periods 4.0, 3.7, 3.3, 2.3, 1.8 / 4.0, 3.8, 3.4, 2.4, 1.9. Opus, its coding included, with its own concealment
3.7, 3.4, 3.2, 2.9, 2.3 / 3.7, 3.6, 3.5, 3.1, 2.6; with redundancy 3.3, 3.4, 2.8, 2.4, 2.2 / 3.6, 3.5, 3.3, 3.1, 2.6.
"""
_USUAL_MS = 5000
"""A burst takes no more than what is lost of a clip of this length on average. So few losses are short ones, too: most
clips would be spared a long and rare burst, and the others hit far harder than the rate says."""


def draw_losses(severity: float, rates: list[float], packets_ms: Mapping[int, float], rng: Rng) -> dict[str, Any]:
    """A channel that loses the share of `rates` at `severity`, of packets as long as in `packets_ms` and as often as
    there: see `channel_of`."""
    weights = np.array(list(packets_ms.values()))
    packet_ms = int(rng.choice(list(packets_ms), p=weights / weights.sum()))
    return channel_of(float(np.interp(severity, _SEVERITIES, rates)), packet_ms, rng)


def channel_of(rate: float, packet_ms: int, rng: Rng) -> dict[str, Any]:
    """A channel that loses `rate` of its packets: at random, in bursts, or now and then in bad spells."""
    lot = rng.random()
    alone = 1 / (1 - rate)  # packets in a row where each is lost by itself
    most = rate * _USUAL_MS / packet_ms
    if lot < 0.4:
        channel = {"burst": alone, "density": 1.0, "background": 0.0}
    elif lot < 0.75:
        burst = float(np.exp(rng.uniform(np.log(40), np.log(200)))) / packet_ms
        channel = {"burst": max(alone, min(burst, most)), "density": 1.0, "background": 0.0}
    else:
        density = max(float(rng.uniform(0.3, 0.8)), 1.5 * rate)
        spell = float(rng.uniform(150, 1000)) / packet_ms
        channel = {"burst": max(alone, min(spell, most / density)), "density": density, "background": 0.2 * rate}
    return {"packet_ms": packet_ms, "rate": rate, **channel}


def lost_packets(count: int, params: Params, rng: Rng) -> Mask:
    """Which of `count` packets are lost, bool [count]: a share of `rate` of them, by two states (E. N. Gilbert 1960,
    E. O. Elliott 1963). The bad one lasts `burst` packets on average and loses a share of `density`, the good one
    loses `background`. A density of 1 is Gilbert's simple channel; a burst of 1 / (1 − rate) is then pure chance."""
    density, background = params["density"], params["background"]
    bad_share = (params["rate"] - background) / (density - background)
    leave = 1 / params["burst"]
    enter = min(1.0, leave * bad_share / max(1 - bad_share, 1e-3))
    lost = np.zeros(count, bool)
    bad = bool(rng.random() < bad_share)
    chances = rng.random((count, 2))
    for index in range(count):
        lost[index] = chances[index, 1] < (density if bad else background)
        bad = chances[index, 0] >= leave if bad else chances[index, 0] < enter
    return lost


def spans_of(lost: Mask, packet: int, offset: int, size: int) -> list[Span]:
    """Where the lost packets of `packet` samples lie within a signal of `size` samples that begins `offset` samples
    after the first packet does."""
    spans = [(max(first * packet - offset, 0), min(last * packet - offset, size)) for first, last in runs(lost)]
    return [(first, last) for first, last in spans if first < last]


def samples_of(packet_ms: int) -> int:
    return packet_ms * SAMPLE_RATE // 1000


def loss_measures(speech: Signal, received: Signal, concealed: Signal, spans: list[Span]) -> dict[str, float]:
    """What a listener gets of `speech` that was sent, `received` being the same call without a loss; empty where no
    active speech was lost.

    `lost_share`: lost share of active speech. `losses_per_s`: gaps per second of active speech. `gap_ms`: the speech
    that one takes, on average. `concealment_db`: log-spectral distance from `received` (interruptions.distance) for
    each lost moment, what goes wrong after a gap included: 0 is perfect concealment, 20 ms of silence are about 14.
    `lost_share` × `concealment_db` is the mean distance over all active speech. Distill-MOS and PLCMOS of 524 lossy
    clips follow `lost_share` × `concealment_db` ** k alike for k from 0 to 0.5 (R² .54 to .55, .57 to .59), and worse
    for 1 (.53, .52) and 2 (.45, .39): concealment helps less than the distance says.
    """
    active = active_samples(speech)
    lost = toll(active, spans)
    if lost is None:
        return {}
    damage = distance(received, concealed, active)
    return {
        "lost_share": lost.share,
        "losses_per_s": lost.per_s,
        "gap_ms": lost.mean_ms,
        "concealment_db": damage / lost.share,
    }
