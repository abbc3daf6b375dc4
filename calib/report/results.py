"""The results of runs as rows of one table."""

from collections.abc import Iterable, Mapping
from statistics import mean
from typing import Any

import pandas as pd

from calib.evaluation.metrics import METRICS
from calib.records.record import Finished

WALKS = " | "
"""Separator of the names in the columns ``walks`` and ``series``."""

DESCRIBED = ("study", "split", "method", "uses_target_labels", "chosen_by", "protocol", "seed", "key")
"""Keys of a result that say which run it is."""


def results_table(finished: Iterable[Finished]) -> pd.DataFrame:
    """Return a row for each run and target: the run's names in the plan, then the columns of ``result_rows``.

    The names are ``variant``, the words that say what is set beside the published values, and ``walks``, the
    walks that have the run.
    """
    return pd.DataFrame(
        [
            {"variant": run.variant, "walks": WALKS.join(run.walks), "series": WALKS.join(run.series)} | row
            for run in finished
            for row in result_rows(run.result)
        ]
    )


def result_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the content of a ``result.json`` as rows, one for each target.

    Columns: study, split, method, uses_target_labels, chosen_by, protocol, seed, key, training, target and n;
    the metrics at sample level, and at subject level with the prefix ``subject_``; seconds and peak memory of
    the whole run, and of the correction that it used, whether it was made in this run or before; and for each
    space (before, after) and kernel (fixed, median) ``mmd_<space>_<kernel>``, the mean over pairs of batches.
    """
    run = {k: result[k] for k in DESCRIBED} | {"training": result.get("training", "as_printed")}
    correction = result.get("correction") or {}
    cost = {
        "seconds": result["seconds"]["total"],
        "peak_memory_mb": result["peak_memory_mb"],
        "correction_seconds": correction.get("seconds"),
        "correction_peak_memory_mb": correction.get("peak_memory_mb"),
    }
    distances = {
        f"mmd_{space}_{kernel}": mean(pair["mean"] for name, pair in pairs.items() if name != "widths")
        for space, kernels in result["mmd"].items()
        for kernel, pairs in kernels.items()
    }
    return [
        run
        | {"target": target, "n": scores["n"]}
        | {metric: scores.get(metric) for metric in METRICS}
        | {f"subject_{metric}": scores.get("subject", {}).get(metric) for metric in METRICS}
        | cost
        | distances
        for target, scores in result["targets"].items()
    ]
