"""Table 3: the paper's accuracies on the pancreas study, and ours on what can be had of it.

The study of 4036 cells cannot be downloaded everywhere. Real parts of the public collection that it comes
from have rows of their own. They have fewer cells or types, so no printed number is theirs.
"""

from collections.abc import Mapping

import pandas as pd

from calib.report.exhibits import Table
from calib.report.groups import CONVERGED
from calib.report.paper import PANCREAS, PARTS_OF_PANCREAS
from calib.report.printed import METHODS, Lines, cells_of, means_over, printed_numbers, sources_of
from calib.report.side_by_side import AVERAGE, Cells, Heading, Key, table_beside

NUMBER = "3"

RATES = {"": "as printed", CONVERGED: "converged"}
"""Variant -> the learning rates that it stands for, in the table."""


def table_three(results: pd.DataFrame, lines: Mapping[str, Lines], protocol: str) -> Table:
    """Return Table 3 under one protocol, with the rows of the parts of the study below the printed ones.

    Args:
        results: a row for each run and target (``report.results.results_table``).
        lines: study -> all planned runs, so that no mean is taken over a part of them.
        protocol: name.
    """
    numbers = {key: value for key, value in printed_numbers(NUMBER).items() if key[3] == "ACC"}
    printed: dict[tuple[str, Key], float] = {
        (METHODS[method], (PANCREAS, RATES[""], sources, target)): value
        for (method, sources, target, _), value in numbers.items()
    }
    ours = results[results["protocol"] == protocol]
    keys: list[Key] = []
    columns: dict[str, Cells] = {column: {} for column in METHODS.values()}
    for study in (PANCREAS, *PARTS_OF_PANCREAS):
        for variant, rates in RATES.items():
            known = {key[2:] for _, key in printed if key[:2] == (study, rates)} - {AVERAGE}
            planned = lines.get(study, {}).get(variant, ())
            rows = sorted({(sources_of(split), target) for split, target in planned} | known)
            if not rows:
                continue
            keys += [(study, rates, *row) for row in (*rows, AVERAGE)]
            for method, column in METHODS.items():
                found = cells_of(ours[ours["study"] == study], method, ["ACC"], variant)
                cells = {key[:2]: values for key, values in found.items()}
                whole = {**cells, AVERAGE: means_over(cells, rows)}
                columns[column] |= {(study, rates, *row): values for row, values in whole.items()}
    parts = "; ".join(f"{name}: {content}" for name, content in PARTS_OF_PANCREAS.items())
    heading = Heading(
        NUMBER,
        f"table_3_{protocol}",
        f"{PANCREAS}, accuracy of every method, protocol {protocol}",
        ("study", "rates", "sources", "target"),
        "Accuracy of cells; average: mean over the lines of a study, of the seeds that have them all. "
        f"{PANCREAS}: the paper's 4036 cells. The other studies are real cells of the same public collection "
        f"and not the paper's, so that no printed number is theirs ({parts}). Of five protocols one is left "
        "out at a time. Rates: as printed, or those of training=converged, which train the networks and were "
        "chosen by the sources of pancreas_mini. † uses target labels: a reference, not a method, and "
        "without a rank.",
        f"make reproduce-all STUDIES={','.join((PANCREAS, *PARTS_OF_PANCREAS))}",
    )
    return table_beside(heading, keys, columns, printed)
