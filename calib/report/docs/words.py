"""The measured numbers in sentences of README and docs, made anew from the archived runs.

A number stands between ``<!-- number: kind study method protocol variant -->`` and ``<!-- end -->`` on one
line; without a protocol it is ``paper``, without a variant the published values. Of two methods, as in
``difference mi joint-combat``, the second is subtracted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev

from calib.errors import CalibError
from calib.report.docs.archived import Archived
from calib.report.exhibits import MISSING
from calib.report.groups import Group, difference
from calib.report.numbers import number, signed
from calib.report.paper import PROTOCOLS

NUMBER = re.compile(r"<!-- number: ([^>]*?) -->.*?<!-- end -->")

Of = Sequence[Group]
"""The archived runs of the methods that a number is about."""


def _averages(groups: Of) -> list[float]:
    """Return the accuracy of each complete seed, averaged over all splits' targets."""
    (group,) = groups
    return group.means("accuracy")


def _mean(groups: Of) -> str:
    """Return the mean accuracy."""
    return _bare(number(mean(_averages(groups))))


def _spread(groups: Of) -> str:
    """Return mean and standard deviation over seeds."""
    values = _averages(groups)
    return f"{_mean(groups)} ± {_bare(number(stdev(values)))}" if len(values) > 1 else _mean(groups)


def _seeds(groups: Of) -> str:
    """Return the number of complete seeds."""
    return str(len(_averages(groups)))


def _difference(groups: Of) -> str:
    """Return the difference of two accuracies with its interval."""
    first, second = groups
    found = difference(first.runs, second.runs)
    if found is None:
        return MISSING
    value, low, high = (_bare(signed(one)) for one in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def _bare(text: str) -> str:
    """Return a number without the zero before its point."""
    return re.sub(r"(?<!\d)0\.", ".", text)


KINDS: Mapping[str, Callable[[Of], str]] = {
    "mean": _mean,
    "spread": _spread,
    "seeds": _seeds,
    "difference": _difference,
}
"""Kinds of numbers."""


def with_numbers(text: str, archived: Archived) -> str:
    """Return a page with each of its numbers made anew.

    Raises:
        CalibError: a kind of number does not exist, or its runs are not planned.
    """

    def make(found: re.Match[str]) -> str:
        kind, study, methods, *rest = found[1].split()
        protocol = rest.pop(0) if rest and rest[0] in PROTOCOLS else PROTOCOLS[0]
        if kind not in KINDS:
            raise CalibError(f"A number of kind {kind!r} does not exist; the kinds are {', '.join(KINDS)}.")
        places = [(study, method, protocol, " ".join(rest)) for method in methods.split("-")]
        groups = [archived.group(*place) for place in places]
        whole = all(group.records for group in groups)
        return f"<!-- number: {found[1]} -->{KINDS[kind](groups) if whole else MISSING}<!-- end -->"

    return NUMBER.sub(make, text)
