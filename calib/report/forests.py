"""The methods of the first screen: average accuracies of Tables 1b, 2b and 3 beside the paper's."""

from collections.abc import Iterable, Mapping

from calib.report.claims.accuracy import printed_average, printed_pair
from calib.report.claims.runs import VARIANTS
from calib.report.groups import Group, average
from calib.report.page.forest import Forest, Line
from calib.report.paper import PROTOCOLS, spelled
from calib.report.printed import METHODS


def forests(studies: Mapping[str, Iterable[Group]]) -> list[Forest]:
    """Return the methods of each study that have a complete seed, in the paper's order.

    Args:
        studies: name of a study -> its groups of runs.
    """
    made = []
    for study, groups in studies.items():
        found: dict[str, dict[str, tuple[float, float, float]]] = {}
        for group in groups:
            if group.protocol not in PROTOCOLS or group.variant != VARIANTS.get(group.method, ""):
                continue
            if group.method in METHODS and (ours := average(group.runs)):
                found.setdefault(group.method, {})[group.protocol] = (ours.value, ours.low, ours.high)
        lines = [
            Line(label, _printed(study, method), _in_order(found[method]), method == "joint")
            for method, label in METHODS.items()
            if method in found
        ]
        if lines:
            made.append(Forest(spelled(study), lines))
    return made


def _printed(study: str, method: str) -> float | None:
    """Return the printed average of a method; of pairwise calibration that of Tables 1a and 2a."""
    if method != "pairwise":
        return printed_average(study, method)
    pair = printed_pair(study, method)
    return pair[1] if pair else None


def _in_order(ours: Mapping[str, tuple[float, float, float]]) -> dict[str, tuple[float, float, float]]:
    """Return the numbers of each protocol, in the order of the protocols."""
    return {protocol: ours[protocol] for protocol in PROTOCOLS if protocol in ours}
