"""The cost of each method: seconds and memory, from run records."""

from typing import cast

import pandas as pd

from calib.report.exhibits import Table
from calib.report.groups import ARCSINH
from calib.report.numbers import number

DIGITS = {"correction, s": 1, "the rest of a run, s": 1, "peak memory, MB": 0}
"""Heading -> number of digits."""


def cost_table(results: pd.DataFrame, study: str) -> Table:
    """Return seconds and peak memory of each method in one study, medians over runs.

    A correction is made once for all splits; the rest of a run is D, its predictions and the distances of
    batches.
    """
    published = results["variant"] == ""
    other_scale = results["variant"].str.split().map(lambda words: ARCSINH in words)
    ours = results[(results["study"] == study) & (published | (results["walks"] == "") & ~other_scale)]
    measured = ["seconds", "correction_seconds", "peak_memory_mb", "correction_peak_memory_mb"]
    runs = ours.drop_duplicates("key").astype(dict.fromkeys(measured, float))
    made = runs["correction_seconds"].notna() & (runs["seconds"] > runs["correction_seconds"])
    # the seconds of a run that made its correction include those of the correction
    runs["rest"] = runs["seconds"] - runs["correction_seconds"].where(made, 0)
    runs["peak"] = runs[["peak_memory_mb", "correction_peak_memory_mb"]].max(axis=1)
    cells = runs.groupby(["method", "variant"])[["correction_seconds", "rest", "peak"]]
    rows, numbers = [], []
    for (index, medians), count in zip(cells.median().iterrows(), cells.size(), strict=True):
        method, variant = cast(tuple[str, str], index)
        values = dict(zip(DIGITS, medians, strict=True))
        shown = [number(value, DIGITS[name]) for name, value in values.items()]
        rows.append([f"`{method}`" + (f", `{variant}`" if variant else ""), str(count), *shown])
        numbers.append({"study": study, "method": method, "variant": variant, "runs": count} | values)
    return Table(
        f"cost_{study}",
        f"Cost on {study}",
        "Medians over runs, one core each; several runs at once share the memory's bandwidth and take longer "
        "than one alone. A correction is made once for all splits and seeds that share it.",
        ["method", "runs", *DIGITS],
        rows,
        pd.DataFrame(numbers),
        f"make reproduce-all STUDIES={study}",
    )
