"""The warnings that runs have recorded, as a section of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from calib.records.record import Finished
from calib.report.exhibits import Table
from calib.report.page.page import Section


def cautions_section(finished: Sequence[Finished]) -> Section | None:
    """Return the section with all warnings of the recorded runs, or None if there are none."""
    found = pd.DataFrame(
        [
            {"study": result["study"], "method": result["method"], "split": result["split"]}
            | {"code": code, "text": " ".join(texts)}
            for result in (record.result for record in finished)
            for code, texts in _by_code(result).items()
        ]
    )
    if found.empty:
        return None
    kinds = found.groupby(["study", "method", "code"], sort=False)
    numbers = kinds.agg(runs=("text", "size"), split=("split", "first"), text=("text", "first")).reset_index()
    table = Table(
        "warnings",
        "Warnings of runs",
        "Each row is one kind of warning of one method: the number of runs with it, and what the first of "
        "them says.",
        ["study", "method", "runs", "first split", "its warning"],
        [
            [str(row.study), f"`{row.method}`", str(row.runs), str(row.split), str(row.text)]
            for row in numbers.itertuples()
        ],
        numbers,
    )
    text = "What was found in the data before a training, and in its answers afterwards."
    return Section("Warnings", text, [table])


def _by_code(result: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the warnings of a run by their kinds; a record of an older version has none."""
    texts: dict[str, list[str]] = {}
    for warning in result.get("warnings", []):
        texts.setdefault(warning["code"], []).append(warning["text"])
    return texts
