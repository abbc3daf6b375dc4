"""Whether any method surely beats ``best`` on any study."""

from collections.abc import Mapping, Sequence

import pandas as pd

from calib.evaluation.intervals import Estimate
from calib.report.exhibits import MISSING, Table
from calib.report.numbers import number, signed_with_interval
from calib.report.paper import spelled
from calib.report.zoo.scores import Entry, Key, over_replicates_too

BEST: Key = ("best", "")
COMMAND = "make report SERIES=beyond,zoo,zoo_slow"

HEADS = (
    *("study", "seeds", "best", "highest other method", "best minus it"),
    *("methods compared", "surely below best", "surely above best"),
)

CAPTION = (
    "Balanced accuracy at sample level, mean over target batches; where a study has replicates, all methods "
    "give them one answer. Differences are paired by subject and by the seeds that both have, with 95 % "
    "intervals; surely: the interval is on one side of 0, not adjusted for the number of methods and "
    "studies. The highest other method is chosen by its score here, so it promises too much of itself."
)


def best_table(
    studies: Mapping[str, Sequence[Entry]], parts: Mapping[str, str], left_out: Sequence[str]
) -> Table | None:
    """Return a row for each study that has runs of ``best``; None without any.

    Args:
        studies: name of a study -> its methods.
        parts: name of a study -> the part of conf/zoo.yaml that has it.
        left_out: methods that are no competitors.
    """
    rows, numbers = [], []
    for study, methods in studies.items():
        known = {
            one.key: over_replicates_too(one)
            for one in methods
            if one.metrics and not one.group.uses_target_labels and one.group.method not in left_out
        }
        if BEST not in known or len(known) < 2:
            continue
        best = known.pop(BEST)
        apart = {one.name: found for one in known.values() if (found := _minus(best, one)) is not None}
        value = {one.name: _value(one).value for one in known.values()}
        highest = max(apart, key=lambda name: value[name])
        above = [name for name, one in apart.items() if one.high < 0]
        own, difference = _value(best), apart[highest]
        rows.append(
            [
                f"{spelled(study)}{' (c)' if parts.get(study) == 'confirmation' else ''}",
                str(len(best.group.records)),
                f"{number(own.value)} ± {number((own.high - own.low) / 2, 2)}",
                f"{highest} {number(value[highest])}",
                signed_with_interval(difference.value, difference.low, difference.high),
                str(len(apart)),
                str(sum(one.low > 0 for one in apart.values())),
                "; ".join(above) or MISSING,
            ]
        )
        numbers += [
            {"study": study, "method": name, "difference": one.value, "low": one.low, "high": one.high}
            for name, one in apart.items()
        ]
    if not rows:
        return None
    title = "Is any method surely better?"
    return Table("zoo_best", title, CAPTION, HEADS, rows, pd.DataFrame(numbers), COMMAND)


def _value(entry: Entry) -> Estimate:
    """Return a method's balanced accuracy."""
    return entry.metrics["balanced_accuracy"].estimate()


def _minus(best: Entry, other: Entry) -> Estimate | None:
    """Return how far ``best`` is above another method; None where they have no seed in common."""
    apart = best.metrics["balanced_accuracy"].minus(other.metrics["balanced_accuracy"])
    return None if apart is None else apart.estimate()
