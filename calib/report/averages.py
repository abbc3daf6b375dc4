"""Average accuracies over all splits and targets of a study, beside the printed ones."""

import pandas as pd

from calib.report.paper import PROTOCOLS, paper_accuracy
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
