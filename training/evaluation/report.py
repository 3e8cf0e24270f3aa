"""What `evaluate` found, as the Markdown of a model card and of training/RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.evaluation import ladder
from training.evaluation.scores import METRIC_NAMES, METRICS

Found = dict[str, Any]


def markdown(found: Found) -> str:
    """Every set's tables, in-domain and out-of-domain apart; then the ladders. Intervals are 95 %."""
    lines = [f"Model `{found['model']}`. In brackets: 95 % intervals."]
    for domain in ("in-domain", "out-of-domain"):
        for name, entry in found["sets"].items():
            if entry["domain"] == domain:
                lines += ["", f"### {name} ({domain})", "", *_set(entry)]
    if "ladders" in found:
        lines += ["", "### Ladders", "", *_ladders(found["ladders"])]
    return "\n".join(lines) + "\n"


def baselines(found: Found) -> str:
    """The tables of baselines.py, set by set, so that the baselines of one set stand together."""
    lines = []
    for rated in next(iter(found.values()))["sets"]:
        lines += ["", f"### {rated}"]
        for name, entry in found.items():
            scored = entry["sets"][rated]
            lines += ["", *accuracy_table(scored["files"], f"{name}, {scored['clips']} files")]
            if "conditions" in scored:
                lines += ["", *accuracy_table(scored["conditions"], f"per condition ({scored['condition_count']})")]
    return "\n".join(lines[1:]) + "\n"


def accuracy_table(files: Found, head: str) -> list[str]:
    """One row a metric, one column a rating."""
    lines = [f"| {head} | {' | '.join(files)} |", f"| --- |{' --- |' * len(files)}"]
    lines += [f"| {METRIC_NAMES[m]} | {' | '.join(cell(files[name][m]) for name in files)} |" for m in METRICS]
    return lines


def cell(figure: Found, digits: int = 3) -> str:
    """ "0.943 (0.932–0.953)"."""
    if figure["value"] is None:
        return "–"
    value, low, high = (f"{figure[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if "-" in low + high else f"{value} ({low}–{high})"


def _set(entry: Found) -> Iterator[str]:
    refused = "".join(f"; not scored: {count} {reason}" for reason, count in entry["refused"].items())
    yield f"{entry['clips']} clips, rated by: {entry['rated_by']}{refused}."
    yield ""
    yield from accuracy_table(entry["files"], "per file")
    if "conditions" in entry:
        yield ""
        yield from accuracy_table(entry["conditions"], f"per condition ({entry['condition_count']})")
    if "within_std" in entry:
        one, two = (_share(entry["within_std"][name]) for name in ("one", "two"))
        yield from ("", f"The given MOS lies within one `mos_std` in {one}, within two in {two}.")
    if "families" in entry:
        yield from ("", *_families(entry["families"]))
    if "same_sound" in entry:
        yield from ("", *_same_sound(entry["same_sound"]))
    if "descriptions" in entry:
        yield from ("", "| descriptions | |", "| --- | --- |")
        yield from _descriptions(entry["descriptions"])
    if "comparisons" in entry:
        yield from ("", "| comparisons | |", "| --- | --- |")
        yield from _comparisons(entry["comparisons"])
    if "causes" in entry.get("descriptions", {}):
        yield from ("", *_confusion(entry["descriptions"]["causes"]["confusion"]))
    if "plot" in entry:
        yield from ("", f"![predicted against rated]({entry['plot']})")


def _families(families: Found) -> Iterator[str]:
    yield from ("| clips with | clips | MOS LCC | RMSE | bias |", "| --- | --- | --- | --- | --- |")
    for name, found in families.items():
        yield f"| {name} | {found['clips']} | {' | '.join(cell(found[m], 2) for m in ('lcc', 'rmse', 'bias'))} |"


def _same_sound(changes: Found) -> Iterator[str]:
    yield "| inaudible change, against its audible twin | MOS moves by (worst; bias) | twin falls |"
    yield "| --- | --- | --- |"
    for name, found in changes.items():
        moves = f"{found['mean_move']:.3f} ({found['worst_move']:.2f}; {found['bias']:+.3f})"
        yield f"| {name} | {moves} | {_share(found['twins_fall'])} |"


def _descriptions(found: Found) -> Iterator[str]:
    yield f"| texts (distinct; failed) | {found['texts']} ({found['distinct']}; {found['failed']}) |"
    yield from _prose(found)
    if "causes" in found:
        yield f"| causes named that were recorded | {_share(found['causes']['precision'])} |"
        yield f"| worst causes (rating ≤ 3.5) that are named | {_share(found['causes']['recall'])} |"


def _comparisons(found: Found) -> Iterator[str]:
    yield f"| right verdict, every pair with ΔMOS ≥ 0.5 | {cell(found['all_clear_pairs'])} |"
    yield f"| pairs drawn evenly from the ranges below (not compared) | {found['pairs']} ({found['refused']}) |"
    for name, share in found["accuracy"].items():
        yield f"| right verdict, ΔMOS {name} | {_share(share)} |"
    yield f"| swapped: exactly the mirrored answer | {_share(found['mirrored'])} |"
    yield from _prose(found)


def _prose(found: Found) -> Iterator[str]:
    bleu = found["bleu"]
    yield f"| BLEU | {cell(bleu['model'], 1)} |"
    yield f"| BLEU of a second draw of the writer | {cell(bleu['ceiling'], 1)} |"
    yield f"| share of that reached | {cell(bleu['share'])} |"
    yield f"| sacrebleu | `{bleu['signature']}` |"
    yield f"| words agree with the model's own ratings | {_share(found['agreement']['with_ratings'])} |"
    yield f"| words agree with ratings and causes | {_share(found['agreement']['share'])} |"
    yield f"| words outside the stock | {_share(found['agreement']['outside'])} |"
    for kind, count in found["agreement"]["kinds"].items():
        yield f"| texts in which: {kind} | {count} |"


def _share(share: Found) -> str:
    if not share["of"]:
        return "–"
    return f"{share['right']} of {share['of']}: {share['value']:.1%} ({share['low']:.1%}–{share['high']:.1%})"


def _confusion(confusion: dict[str, dict[str, int]]) -> Iterator[str]:
    yield from ("| recorded, and to be named | named in its dimension |", "| --- | --- |")
    for name, named in confusion.items():
        yield f"| {name} | {', '.join(f'{other} {count}' for other, count in named.items())} |"


def _ladders(rows: list[Found]) -> Iterator[str]:
    yield from ("| mild → severe | matching dimension | MOS | |", "| --- | --- | --- | --- |")
    for row in rows:
        dimension = ladder.LADDERS[row["ladder"]][0]
        steps = (" → ".join(f"{value:.2f}" for value in row[name]) for name in (dimension, "mos"))
        yield f"| {row['ladder']} | {dimension} {' | '.join(steps)} | {'falls' if row['passed'] else 'does not fall'} |"
