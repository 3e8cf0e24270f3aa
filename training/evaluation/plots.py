"""Scatter plots: what was read against what was rated, one panel a rating."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from sqe_fast.results import RATING_MAX, RATING_MIN
from training.evaluation.scores import Figure, Values

PANEL_INCHES = 2.7
DPI = 110


@dataclass(frozen=True, eq=False)
class Panel:
    """One rating of one set."""

    read: Values
    """[n], by the model."""
    true: Values
    """[n], by the raters."""
    lcc: Figure


def scatter(title: str, panels: Mapping[str, Panel], path: Path) -> None:
    """Write a PNG: each panel shows the identity line and, in its title, the correlation with its 95 % interval."""
    canvas = Canvas(figsize=(PANEL_INCHES * len(panels), PANEL_INCHES + 0.75), layout="constrained")
    FigureCanvasAgg(canvas)  # draws without a display, and leaves pyplot's global state alone
    canvas.suptitle(title, fontsize=10)
    ends = (RATING_MIN - 0.1, RATING_MAX + 0.1)
    for axes, (name, panel) in zip(canvas.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        axes.plot(ends, ends, color="0.6", linewidth=0.8, zorder=1)
        dots = min(12.0, 2400 / max(1, panel.read.size) + 3)
        axes.scatter(panel.true, panel.read, s=dots, alpha=0.45, linewidths=0, color="#1f5fa8", zorder=2)
        axes.set_title(panel_title(name, panel), fontsize=8)
        axes.set(xlim=ends, ylim=ends, aspect="equal", xticks=range(1, 6), yticks=range(1, 6), xlabel="rated")
        axes.tick_params(labelsize=7)
    canvas.axes[0].set_ylabel("predicted")
    path.parent.mkdir(parents=True, exist_ok=True)
    # No software tag: the same figures make the same file.
    canvas.savefig(path, dpi=DPI, metadata={"Software": None})


def panel_title(name: str, panel: Panel) -> str:
    value, low, high = panel.lcc.value, panel.lcc.low, panel.lcc.high
    correlation = "LCC undefined" if math.isnan(value) else f"LCC {value:.3f} ({low:.3f}–{high:.3f})"
    return f"{name}, n = {panel.read.size}\n{correlation}"


def file_name(name: str) -> str:
    """ "P.835, calibration talkers" → "p835-calibration-talkers"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace(".", "")).strip("-")
