"""The tables of trust: what was stated and what happened, predictive values, net benefit."""

import math

from calib.plates.answer import Trust
from calib.plates.page.charts import records
from calib.plates.page.grid import Grid, last, whole
from calib.plates.page.said import percent
from calib.report.exhibits import MISSING
from calib.report.numbers import number
from calib.report.page.intervals import ranged
from calib.shown import one_line


def trust_table(trust: Trust) -> Grid:
    """Return how the stated errors and sets held on each left-out plate."""
    heads = [
        "plate",
        f"{trust.unit}s",
        "calibration slope",
        "Brier score",
        "answered",
        "wrong of these",
        "true class not ruled out",
        "classes not ruled out",
    ]
    rows = [
        [
            str(item["plate"]),
            whole(item["units"]),
            *(number(item[name], 2) for name in ("slope", "brier")),
            *(shared(float(item[name])) for name in ("answered", "error", "coverage")),
            number(item["set_size"], 2),
        ]
        for item in records(trust.plates)
    ]
    note = (
        "Each row is measured with what the other labelled plates have set. Stated are "
        f"{percent(trust.error)} wrong of the answers, and the true class not ruled out for "
        f"{percent(1 - trust.miss)} of the {trust.unit}s. The last column is the mean number of classes that "
        "cannot be ruled out."
    )
    return Grid("trust-plates", "What was stated, and what happened", heads, rows, last(1, heads), note)


def shared(value: float) -> str:
    """Return a share in per cent, or a dash if there is none."""
    return percent(value) if math.isfinite(value) else MISSING


def reliability_table(trust: Trust) -> Grid:
    """Return the numbers of the reliability diagram."""
    heads = ["stated confidence", "share of right answers", f"{trust.unit}s"]
    rows = [
        [number(item["confidence"], 2), number(item["accuracy"], 2), whole(item["count"])]
        for item in records(trust.reliability)
    ]
    return Grid("reliability-table", "Stated confidence and right answers", heads, rows, last(0, heads))


def values_table(trust: Trust, positive: str) -> Grid | None:
    """Return the predictive values by prevalence; None with more than two classes."""
    if trust.values.empty:
        return None
    names = {
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "ppv": "positive predictive value",
        "npv": "negative predictive value",
    }
    heads = ["prevalence", *names.values()]
    rows = [
        [_fine(float(item["prevalence"])), *(in_brackets(item, name) for name in names)]
        for item in records(trust.values)
    ]
    note = (
        f"How often a call of {one_line(positive)[:60]} is right depends on how common that class is where "
        "the call is used: its prevalence. Without prevalence= this is the study's own share of the class; "
        "prevalence=0.1 sets another. The calls, and the probabilities in calls.csv, are not moved to it. "
        "In brackets 95\N{NO-BREAK SPACE}% intervals."
    )
    return Grid("values", "Predictive values by prevalence", heads, rows, last(0, heads), note)


def in_brackets(item: dict[str, float], name: str) -> str:
    """Return a number of a row with its interval in brackets."""
    return ranged(float(item[name]), float(item[f"{name}_low"]), float(item[f"{name}_high"]))


def _fine(share: float) -> str:
    """Return a share in per cent, with a digit more where it is small."""
    return f"{100 * share:.3g} %"


def benefit_table(trust: Trust) -> Grid | None:
    """Return about ten rows of the net benefit; None with more than two classes."""
    table = trust.benefit
    if table.empty:
        return None
    heads = ["threshold", "the model", "everybody", "nobody"]
    rows = [
        [number(item["threshold"], 2), *(number(item[name], 3) for name in ("model", "all", "none"))]
        for item in records(table.iloc[:: max(len(table) // 10, 1)])
    ]
    return Grid("benefit-table", "Net benefit", heads, rows, last(0, heads))
