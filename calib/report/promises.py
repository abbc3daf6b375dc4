"""What ``calib answer`` promised for blank plates, beside what was true (``scripts/answers.py``)."""

import pandas as pd

from calib.report.exhibits import MISSING, Table
from calib.report.numbers import number

HEADS = (
    *("study", "blank plates", "promised", "true", "within the interval of a further plate"),
    *(
        "gain promised",
        "true gain",
        "answered",
        "wrong of these",
        "true class in the set",
        "classes in a set",
    ),
)

CAPTION = (
    "Every plate blank in turn; means over the plates of a study. Promised: the nested balanced accuracy on "
    "the page; true: that of the calls. Within: plates whose true value lies in the promised 95 % interval "
    "of a single further plate. Gains are over no calibration. Stated were {error:.0%} wrong of the answers, "
    "and {covered:.0%} of the true classes in the set. Not above the floor: {quiet}."
)


def promises_table(rows: pd.DataFrame) -> Table:
    """Return a row a study, and one for all.

    Args:
        rows: the lines of docs/results/answers.csv, one a blank plate.
    """
    studies = dict(iter(rows.groupby("study", sort=False)))
    made = [_row(str(name), own) for name, own in studies.items()]
    quiet = rows[~rows["above_floor"].astype(bool)]
    names = [
        f"{study} {', '.join(own['plate'].astype(str))}" for study, own in quiet.groupby("study", sort=False)
    ]
    caption = CAPTION.format(
        error=rows["error"].iloc[0], covered=1 - rows["miss"].iloc[0], quiet="; ".join(names) or "none"
    )
    return Table("answers", "Promised and true", caption, HEADS, [*made, _row("all", rows)], rows)


def _row(name: str, own: pd.DataFrame) -> list[str]:
    """Return the cells of some plates."""
    within = own["true"].between(own["plate_low"] - 1e-9, own["plate_high"] + 1e-9)
    answered = own["answered"] * own["units"]
    wrong = (
        (own["true_error"].fillna(0) * answered).sum() / answered.sum() if answered.sum() else float("nan")
    )
    return [
        name,
        str(len(own)),
        number(own["promised"].mean(), 3),
        number(own["true"].mean(), 3),
        f"{int(within.sum())} of {len(own)}",
        f"{own['gain'].mean():+.3f}",
        f"{own['true_gain'].mean():+.3f}",
        f"{answered.sum() / own['units'].sum():.0%}",
        MISSING if pd.isna(wrong) else f"{wrong:.1%}",
        f"{(own['true_coverage'] * own['units']).sum() / own['units'].sum():.1%}",
        number((own["set_size"] * own["units"]).sum() / own["units"].sum(), 2),
    ]
