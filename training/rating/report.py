"""The listener against people, as Markdown: panels with families left out, and how the five ratings hang together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from sqe_fast.results import DIMENSIONS, RATINGS
from training.configs import Listener
from training.corpora.annotation import Annotation
from training.corpora.corpus import Clips
from training.rating import curves, listener, panels, people, together
from training.rating.curves import Knots
from training.rating.panels import SCALES, Point, Values


def run(config: Listener) -> str:
    """Ask the witnesses what they have not been asked, fit, and report."""
    talkers = {panel: panels.TALKERS[panel] + panels.UNTOUCHED[panel] * config.final for panel in panels.TALKERS}
    panels.ask(config.data, talkers)
    points = panels.read(config.data)
    lines = ["### Two P.835 panels, a whole family of conditions left out", "", *_left_out(points)]
    if config.final:
        untouched = panels.read(config.data, panels.UNTOUCHED)
        lines += ["", "### The same panels' untouched talkers, heard once", "", *_untouched(points, untouched)]
    lines += ["", "### What is fitted, and what the listener has", "", *_constants(config.data, points)]
    folder = config.split("train")
    lines += [
        "",
        "### How the ratings hang together",
        "",
        *_together(config.data, folder if folder.is_dir() else None),
    ]
    return "\n".join(lines)


# --- panels -----------------------------------------------------------------------------------------------------------


def _left_out(points: Sequence[Point]) -> Iterator[str]:
    """Each panel's table. A narrower lot that is left out is read beside the other families, left out as well."""
    read = people.left_out(points, lambda point: point.family)
    narrow = people.left_out(points, lambda point: point.part)
    fitted = people.fit(points)
    inside = np.array([people.predict(point, fitted) for point in points])
    distill_mos = np.array([[point.witness["distill_mos"]] * 3 for point in points])
    for panel in (panels.HOLUB, panels.P835):
        chosen = np.array([point.panel == panel for point in points])
        lot = [point for point in points if point.panel == panel]
        yield f"| {panel}, {len(lot)} points | {' | '.join(SCALES)} |"
        yield f"| --- |{' --- |' * len(SCALES)}"
        yield from _rows("family left out", read[chosen], lot)
        yield from _rows("fitted to all", inside[chosen], lot)
        yield from _rows("Distill-MOS as it stands", distill_mos[chosen], lot)
        yield from _lots("family", read[chosen], lot, [point.family for point in lot])
        both = np.where(np.isnan(narrow), read, narrow)[chosen]
        yield from _lots("lot", both, lot, [point.part for point in lot])
        yield ""


def _lots(what: str, read: Values, points: Sequence[Point], names: Sequence[str]) -> Iterator[str]:
    """RMSE of each lot that is left out, after the line of the whole panel."""
    given = np.array([point.scores for point in points])
    errors = np.column_stack([people.on_line(r, g) - g for r, g in zip(read.T, given.T, strict=True)])
    for name in dict.fromkeys(filter(None, names)):
        inside = [one == name for one in names]
        yield _row(f"{what} left out: {name} ({sum(inside)}), RMSE", [f"{_rms(e):.2f}" for e in errors[inside].T])


def _rows(name: str, read: Values, points: Sequence[Point]) -> Iterator[str]:
    given = np.array([point.scores for point in points])
    columns = list(zip(read.T, given.T, strict=True))
    yield _row(f"{name}: correlation", [f"{np.corrcoef(r, g)[0, 1]:.2f}" for r, g in columns])
    yield _row("… RMSE after a straight line", [f"{_rms(people.on_line(r, g) - g):.2f}" for r, g in columns])
    yield _row("… RMSE as it stands", [f"{_rms(r - g):.2f}" for r, g in columns])
    yield _row("… bias", [f"{np.mean(r - g):+.2f}" for r, g in columns])


def _untouched(points: Sequence[Point], untouched: Sequence[Point]) -> Iterator[str]:
    fitted = people.fit(points)
    for panel in (panels.HOLUB, panels.P835):
        lot = [point for point in untouched if point.panel == panel]
        yield f"| {panel}, {len(lot)} points | {' | '.join(SCALES)} |"
        yield f"| --- |{' --- |' * len(SCALES)}"
        yield from _rows("fitted to the other talkers", np.array([people.predict(p, fitted) for p in lot]), lot)
        yield ""


def _constants(data: Path, points: Sequence[Point]) -> Iterator[str]:
    ratings = together.nisqa_ratings(data)
    fitted, weights, halo = people.fit(points), together.fit_weights(ratings), together.fit_halo(ratings)
    yield "| | fitted | in use |"
    yield "| --- | --- | --- |"
    yield _row("noise, dB: noisiness", [_knots(fitted.noise), _knots(curves.NOISE)])
    yield _row("Q, dB: coloration", [_knots(fitted.modulated), _knots(curves.MODULATED)])
    yield _row("suppressed share", [_numbers([fitted.suppressed]), _numbers([listener.SUPPRESSED])])
    yield _row("powers of the witnesses", [_numbers(fitted.powers), _numbers(listener.POWERS)])
    yield _row("trust: noise, voice", [_numbers(fitted.trust[:2]), _numbers(listener.TRUST[:2])])
    yield _row(
        "weights",
        [
            _numbers([*weights.dimensions, weights.worst, weights.offset]),
            _numbers([*listener.WEIGHTS, listener.WORST, listener.OFFSET]),
        ],
    )
    for name, found, used in zip(DIMENSIONS, halo, listener.HALO, strict=True):
        yield _row(f"halo of {name}", [_numbers(found), _numbers(used)])


def _knots(knots: Knots) -> str:
    return ", ".join(f"{at:g}: {rating:.2f}" for at, rating in knots)


def _numbers(values: Sequence[float] | Values) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


# --- the joint distribution -------------------------------------------------------------------------------------------


def _together(data: Path, corpus: Path | None) -> Iterator[str]:
    sets = {"people, 712 files": together.nisqa_ratings(data)}
    if corpus:
        rows: Sequence[Annotation] = Clips.open(corpus).annotations
        simulated = np.array([[row[name] for name in RATINGS] for row in rows])
        sets[f"listener, {len(rows)} clips"] = simulated
        degraded = simulated[[bool(row["causes"]) for row in rows]]
        sets[f"… {len(degraded)} of them degraded"] = degraded
    yield f"| mean (standard deviation) | {' | '.join(RATINGS)} |"
    yield f"| --- |{' --- |' * len(RATINGS)}"
    for name, rated in sets.items():
        yield _row(
            name, [f"{mean:.2f} ({deviation:.2f})" for mean, deviation in zip(rated.mean(0), rated.std(0), strict=True)]
        )
    yield ""
    yield from _correlations(sets)
    yield ""
    yield from _conditional(sets)


def _correlations(sets: Mapping[str, Values]) -> Iterator[str]:
    places = [(a, b) for a in range(len(RATINGS)) for b in range(a)]
    heads = [f"{RATINGS[b][:5]}. × {RATINGS[a][:5]}." for a, b in places]
    yield f"| correlation | {' | '.join(heads)} |"
    yield f"| --- |{' --- |' * len(places)}"
    for name, rated in sets.items():
        matrix = np.corrcoef(rated.T)
        yield _row(name, [f"{matrix[place]:.2f}" for place in places])


def _conditional(sets: Mapping[str, Values]) -> Iterator[str]:
    yield f"| worst by far, below 1.7 or from there to 2.3 | {' | '.join(RATINGS)} |"
    yield f"| --- |{' --- |' * len(RATINGS)}"
    for index, dimension in enumerate(DIMENSIONS):
        for low, high in ((1.0, 1.7), (1.7, 2.3)):
            for name, rated in list(sets.items())[:2]:
                own = rated[:, RATINGS.index(dimension)]
                by_far = together.worst_by_far(together.dimensions_of(rated), index)
                chosen = by_far & (own >= low) & (own < high)
                if chosen.any():
                    means = [f"{value:.2f}" for value in rated[chosen].mean(axis=0)]
                    yield _row(f"{dimension} {low}–{high}: {name.split(',')[0]} ({chosen.sum()})", means)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _rms(errors: Values) -> float:
    return float(np.sqrt(np.mean(errors**2)))
