"""Models of speech quality that people use: NISQA, DNSMOS (speechmos) and Distill-MOS, one clip at a time.

None is a dependency: `pip install --no-deps torchmetrics lightning-utilities speechmos distillmos xls-r-sqa`. One that
is not there has no column.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.peers.front_ends import Samples
from sqe_fast.audio.features import SAMPLE_RATE

Rater = Callable[[Samples], object]

NISQA_PARAMETERS = 252_549
"""Of the published network, by which the sizes below are checked."""

_NISQA_SIZES: Mapping[str, Any] = {
    "ms_sr": None, "ms_fmax": 20_000, "ms_n_fft": 4_096, "ms_hop_length": 0.01, "ms_win_length": 0.02, "ms_n_mels": 48,
    "ms_seg_length": 15, "ms_seg_hop_length": 4, "ms_max_segments": 1_300,
    "cnn_c_out_1": 16, "cnn_c_out_2": 32, "cnn_c_out_3": 64, "cnn_kernel_size": (3, 3), "cnn_dropout": 0.2,
    "cnn_pool_1": (24, 7), "cnn_pool_2": (12, 5), "cnn_pool_3": (6, 3),
    "td_sa_d_model": 64, "td_sa_nhead": 1, "td_sa_h": 64, "td_sa_num_layers": 2, "td_sa_dropout": 0.1,
    "pool_att_h": 128, "pool_att_dropout": 0.1,
}  # fmt: skip


def raters() -> dict[str, Rater]:
    """Those that are installed, by name."""
    found: dict[str, Rater] = {}
    if find_spec("torchmetrics"):
        found["nisqa"] = nisqa()
    if find_spec("speechmos"):
        found["dnsmos"] = dnsmos
    if find_spec("distillmos") and find_spec("xls_r_sqa"):
        found["distillmos"] = distillmos()
    return found


def nisqa() -> Rater:
    """Its network with random weights, behind the librosa front end that torchmetrics gives it: its time does not
    depend on the weights, whose licence forbids commercial use."""
    from torchmetrics.functional.audio import nisqa as home

    torch.manual_seed(0)
    network = home._NISQADIM(dict(_NISQA_SIZES)).eval()
    found = sum(parameter.numel() for parameter in network.parameters())
    assert abs(found - NISQA_PARAMETERS) < 0.01 * NISQA_PARAMETERS, f"this is not NISQA: {found:,} parameters"

    @torch.inference_mode()
    def rate(samples: Samples) -> object:
        spectrum = home._get_librosa_melspec(samples[None], SAMPLE_RATE, dict(_NISQA_SIZES))
        segments, count = home._segment_specs(torch.from_numpy(spectrum), dict(_NISQA_SIZES))
        scores = network(segments, count.expand(len(segments)))
        assert scores.shape == (1, 5)
        return scores

    return rate


def dnsmos(samples: Samples) -> object:
    """DNSMOS P.835 as speechmos runs it."""
    from speechmos import dnsmos as home

    loudest = float(np.abs(samples).max())
    scores = home.run(samples / max(loudest, 1.0), SAMPLE_RATE)
    assert 1 <= scores["ovrl_mos"] <= 5
    return scores


def distillmos() -> Rater:
    with patch.dict(sys.modules, torchaudio=ModuleType("torchaudio")):  # it loads files with it, and none is loaded
        from distillmos import ConvTransformerSQAModel

    model = ConvTransformerSQAModel().eval()

    @torch.inference_mode()
    def rate(samples: Samples) -> object:
        mos = model(torch.from_numpy(samples)[None])
        assert mos.shape == (1, 1)
        return mos

    return rate
