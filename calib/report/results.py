"""Run records as a table: one row a run and target."""

from collections.abc import Iterable

import pandas as pd

from calib.records.record import Finished, result_rows

WALKS = " | "
"""What separates names in the column ``walks``."""


def results_table(finished: Iterable[Finished]) -> pd.DataFrame:
    """Return one row a run and target: the run's names in the plan, then ``result_rows``.

    Columns beside those: ``variant``, the words that say what is set beside the published values, and
    ``walks``, the names of the walks that have the run.
    """
    return pd.DataFrame(
        [
            {"variant": run.variant, "walks": WALKS.join(run.walks)} | row
            for run in finished
            for row in result_rows(run.result)
        ]
    )
