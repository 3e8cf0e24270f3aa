"""What `evaluate` found, as the Markdown of a model card and of training/RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.evaluation import ladder
from training.evaluation.cause_scores import ENOUGH
from training.evaluation.rated_sets import DOMAINS
from training.evaluation.scores import METRIC_NAMES, METRICS, Share

Found = dict[str, Any]

GROUP_NAMES = {"conditions": "per condition", "points": "per condition and talker"}
P835_SCALES = " By P.835: BAK stands under noisiness, SIG under coloration, OVRL under mos."
SIDES = ("right", "wrong")
"""Of single degradations: the right cause is named, a wrong one is."""


def markdown(found: Found) -> str:
    """Every set's tables, in-domain, out-of-domain and trained on apart; then what was made for the occasion. Intervals
    are 95 %."""
    lines = [f"Model `{found['model']}`. In brackets: 95 % intervals."]
    for domain in DOMAINS:
        for name, entry in found["sets"].items():
            if entry["domain"] == domain:
                lines += ["", f"### {name} ({domain})", "", *_set(entry)]
    if "ladders" in found:
        lines += ["", "### Ladders", "", *_ladders(found["ladders"])]
    if "singles" in found:
        lines += ["", "### One degradation each", "", *_singles(found["singles"])]
    return "\n".join(lines) + "\n"


def baselines(found: Found) -> str:
    """The tables of baselines.py, set by set, so that the baselines of one set stand together."""
    lines = []
    for rated in next(iter(found.values()))["sets"]:
        lines += ["", f"### {rated}"]
        for name, entry in found.items():
            scored = entry["sets"][rated]
            lines += ["", *accuracy_table(scored["files"], f"{name}, {scored['clips']} files")]
            for group in GROUP_NAMES:
                if group in scored:
                    lines += ["", *_grouped(scored, group)]
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
    scales = "" if "discontinuity" in entry["files"] else P835_SCALES
    yield f"{entry['clips']} clips, rated by: {entry['rated_by']}{refused}.{scales}"
    yield ""
    yield from accuracy_table(entry["files"], "per file")
    for group in GROUP_NAMES:
        if group in entry:
            yield from ("", *_grouped(entry, group))
    if "within_std" in entry:
        one, two = (_share(entry["within_std"][name]) for name in ("one", "two"))
        yield from ("", f"The given MOS lies within one `mos_std` in {one}, within two in {two}.")
    if "families" in entry:
        yield from ("", *_families(entry["families"]))
    if "causes" in entry:
        yield from ("", *_causes(entry))
    if "same_sound" in entry:
        yield from ("", *_same_sound(entry["same_sound"]))
    if "descriptions" in entry:
        yield from ("", "| descriptions | |", "| --- | --- |")
        yield from _descriptions(entry["descriptions"])
    if "comparisons" in entry:
        yield from ("", "| comparisons | |", "| --- | --- |")
        yield from _comparisons(entry["comparisons"])
    if "plot" in entry:
        yield from ("", f"![predicted against rated]({entry['plot']})")


def _grouped(entry: Found, group: str) -> list[str]:
    return accuracy_table(entry[group]["figures"], f"{GROUP_NAMES[group]} ({entry[group]['count']})")


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
    yield f"| texts (distinct; failed) | {found['texts']} ({found.get('distinct', 0)}; {found['failed']}) |"
    yield from _prose(found)


def _comparisons(found: Found) -> Iterator[str]:
    yield f"| right verdict, every pair with ΔMOS ≥ 0.5 | {cell(found['all_clear_pairs'])} |"
    yield f"| pairs drawn evenly from the ranges below (not compared) | {found['pairs']} ({found['refused']}) |"
    for name, share in found["accuracy"].items():
        yield f"| right verdict, ΔMOS {name} | {_share(share)} |"
    yield f"| swapped: exactly the mirrored answer | {_share(found['mirrored'])} |"
    yield from _prose(found)


def _prose(found: Found) -> Iterator[str]:
    if "bleu" not in found:
        return
    bleu = found["bleu"]
    yield f"| BLEU | {cell(bleu['model'], 1)} |"
    yield f"| BLEU of a second draw of the writer | {cell(bleu['ceiling'], 1)} |"
    yield f"| share of that reached | {cell(bleu['share'])} |"
    yield f"| sacrebleu | `{bleu['signature']}` |"
    yield f"| words agree with the model's own ratings | {_share(found['agreement']['with_ratings'])} |"
    yield f"| words agree with ratings and causes | {_share(found['agreement']['share'])} |"
    yield f"| words outside the stock | {_share(found['agreement']['outside'])} |"
    yield f"| tokens that were forced | {_share(found['forced'])} |"
    for kind, count in found["agreement"]["kinds"].items():
        yield f"| texts in which: {kind} | {count} |"


def _share(share: Found) -> str:
    if not share["of"]:
        return "–"
    return f"{share['right']} of {share['of']}: {share['value']:.1%} ({share['low']:.1%}–{share['high']:.1%})"


def _causes(entry: Found) -> Iterator[str]:
    found = entry["causes"]
    macro = "–" if found["macro_recall"] is None else f"{found['macro_recall']:.1%}"
    yield from ("| causes | |", "| --- | --- |")
    yield f"| named, of which recorded | {_share(found['precision'])} |"
    yield f"| recall, mean over kinds | {macro} |"
    missed = ", ".join(found["missed"]) or "none"
    yield f"| kinds with {ENOUGH} clips or more of which fewer than half are named | {missed} |"
    if "followed" in entry:
        heard, written = (_share(entry["followed"][side]) for side in ("heard", "written"))
        yield f"| under another clip's ratings: named, of which recorded of the clip that is heard | {heard} |"
        yield f"| … of which recorded of the clip whose ratings they are | {written} |"
    yield from ("", "| recorded, and to be named | named | in its dimension |", "| --- | --- | --- |")
    for name, named in found["confusion"].items():
        others = ", ".join(f"{other} {count}" for other, count in named.items())
        yield f"| {name} | {_share(found['recall'][name])} | {others} |"


def _singles(families: Found) -> Iterator[str]:
    yield from ("| family | one of its causes is named | one that is not there |", "| --- | --- | --- |")
    for name, found in families.items():
        yield f"| {name} | {_share(found['right'])} | {_share(found['wrong'])} |"
    sums = {side: [sum(found[side][part] for found in families.values()) for part in ("right", "of")] for side in SIDES}
    yield f"| all | {' | '.join(_share(Share(*sums[side]).to_row()) for side in SIDES)} |"


def _ladders(rows: list[Found]) -> Iterator[str]:
    yield from ("| mild → severe | matching dimension | MOS | |", "| --- | --- | --- | --- |")
    for row in rows:
        dimension = ladder.LADDERS[row["ladder"]]
        steps = (" → ".join(f"{value:.2f}" for value in row[name]) for name in (dimension, "mos"))
        yield f"| {row['ladder']} | {dimension} {' | '.join(steps)} | {'falls' if row['passed'] else 'does not fall'} |"
