"""The warnings that runs have recorded, as a section of the report."""

from collections.abc import Sequence

import pandas as pd

from calib.records.record import Finished
from calib.report.exhibits import Table
from calib.report.page.page import Section


def cautions_section(finished: Sequence[Finished]) -> Section | None:
    """Return the section with all warnings of the recorded runs, or None if there are none."""
    found = pd.DataFrame(
        [
            {"study": result["study"], "method": result["method"], "split": result["split"]} | warning
            for result in (record.result for record in finished)
            for warning in result.get("warnings", [])  # a record of an older version has none
        ]
    )
    if found.empty:
        return None
    kinds = found.groupby(["study", "method", "code"], sort=False)
    numbers = kinds.agg(runs=("text", "size"), split=("split", "first"), text=("text", "first")).reset_index()
    table = Table(
        "warnings",
        "Warnings of runs",
        "Each row is one kind of warning of one method: the number of runs with it, and the warning of the "
        "first of them.",
        ["study", "method", "runs", "first split", "its warning"],
        [
            [str(row.study), f"`{row.method}`", str(row.runs), str(row.split), str(row.text)]
            for row in numbers.itertuples()
        ],
        numbers,
    )
    text = "What was found in the data before a training, and in its answers afterwards."
    return Section("Warnings", text, [table])
