"""Average accuracies over all splits and targets of a study, beside the printed ones."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from calib.report.figures.style import BATCH_COLOURS, PALE, WIDTH, in_style
from calib.report.paper import PROTOCOLS, paper_accuracy, spelled
from calib.report.printed import METHODS


def accuracy_by_split(results: pd.DataFrame) -> pd.DataFrame:
    """Return every accuracy of the paper's methods on MI and CHD beside the printed one.

    There is a row for each split and target, and one for the average of each method, whose sources and target
    are "average". Columns: study, method, sources, target, printed, and for each protocol the mean, standard
    deviation and number of seeds.
    """
    rows: list[dict[str, object]] = []
    for study in ("mi", "chd"):
        lines = sorted(printed_lines(study))
        for method in METHODS:
            printed = paper_accuracy(study, method)
            ours = select(results, study, method, "")
            by_protocol = {protocol: ours[ours["protocol"] == protocol] for protocol in PROTOCOLS}
            for split, target in [*lines, ("average", "average")]:
                place = (split.partition("_")[0], target)
                row: dict[str, object] = {"study": study, "method": method}
                row |= {"sources": place[0], "target": target, "printed": printed.get(place)}
                for protocol, part in by_protocol.items():
                    cell = part[(part["split"] == split) & (part["target"] == target)]["accuracy"]
                    values = seed_averages(part, len(lines)) if target == "average" else cell
                    row |= _statistics(protocol, values)
                rows.append(row)
    return pd.DataFrame(rows)


def select(
    results: pd.DataFrame, study: str, method: str | None = None, variant: str | None = None
) -> pd.DataFrame:
    """Return the rows of a study, of one method and variant if they are given."""
    rows = results["study"] == study
    if method is not None:
        rows &= results["method"] == method
    if variant is not None:
        rows &= results["variant"] == variant
    return results[rows]


def seed_averages(ours: pd.DataFrame, lines: int) -> pd.Series:
    """Return each seed's average accuracy over all lines, for the seeds that have every line."""
    by_seed = ours.pivot_table(index="seed", columns=["split", "target"], values="accuracy")
    whole = by_seed.shape[1] == lines  # the mean over fewer lines is another mean
    return by_seed.dropna().mean(axis=1) if whole else pd.Series(dtype=float)


def printed_lines(study: str) -> set[tuple[str, str]]:
    """Return split and target of every accuracy that the paper prints for its own method."""
    targets: dict[str, str] = {}
    for sources, target in sorted(paper_accuracy(study, "joint")):
        if sources != "average":
            targets[sources] = targets.get(sources, "") + target
    return {(f"{sources}_{ts}", target) for sources, ts in targets.items() for target in ts}


def _statistics(protocol: str, values: pd.Series) -> dict[str, object]:
    """Return the mean, standard deviation and number of values as columns named after a protocol."""
    mean, spread = (values.mean(), values.std()) if len(values) else (None, None)
    return {protocol: mean, f"{protocol}_sd": spread, f"{protocol}_seeds": len(values)}


@in_style
def draw_averages(results: pd.DataFrame, file: Path) -> None:
    """Draw the average accuracy of each method on MI and CHD: as printed, and ours under both protocols."""
    table = accuracy_by_split(results)
    table = table[table["sources"] == "average"]
    figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
    looks = {
        "printed": ("x", "#000000"),
        "paper": ("o", BATCH_COLOURS[0]),
        "released": ("^", BATCH_COLOURS[1]),
    }
    names = {"printed": "printed", "paper": "ours, by the text", "released": "ours, by the authors' code"}
    for axes, study in zip(figure.subplots(1, 2, sharex=True), ("mi", "chd"), strict=True):
        rows = table[(table["study"] == study)].set_index("method")
        shown = [method for method in METHODS if rows.loc[method, [*PROTOCOLS]].notna().any()][::-1]
        heights = range(len(shown))
        for column, (marker, colour) in looks.items():
            errors = None if column == "printed" else rows.loc[shown, f"{column}_sd"]
            axes.errorbar(
                rows.loc[shown, column],
                heights,
                xerr=errors,
                fmt=marker,
                color=colour,
                markersize=4.5,
                label=names[column],
            )
        axes.set_yticks(heights, [METHODS[method] for method in shown])
        axes.grid(axis="x", color=PALE, linewidth=0.4)
        axes.set_title(spelled(study))
        axes.set_xlabel("accuracy, mean over all splits")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(file, dpi=200, metadata={"Software": None})
