"""A look at a user's plates before any training: what is there, and what may make an answer wrong."""

import logging
from collections.abc import Callable, Mapping

import pandas as pd
from threadpoolctl import threadpool_limits

from calib.data.overlaps import with_marks
from calib.data.study import Study
from calib.plates.answer import Design, Finding
from calib.plates.checks import confounding, copies, detection, drift, mixes, outliers, reading, sizes
from calib.plates.checks.seen import Checked, Seen

log = logging.getLogger(__name__)

CHECKS: Mapping[str, Callable[[Seen], Checked]] = {
    "layout": confounding.layout,
    "association": confounding.association,
    "copies": copies.check,
    "columns": reading.check,
    "detection": detection.check,
    "order": drift.check,
    "outlying_samples": outliers.samples,
    "outlying_plates": outliers.plates,
    "sizes": sizes.check,
    "mixes": mixes.check,
}
"""Name of a check, and of its table -> the check."""


def look(study: Study, seed: int = 0) -> Design:
    """Return what there is to know of a study before any training.

    It takes seconds up to 5,000 samples of 20,000 features: values are compared in some of them, which
    a finding says. Labels are used; none reaches a method.

    Args:
        study: the study, with its values as loaded.
        seed: seed of the bootstrap and of what is drawn.
    """
    study = study if study.marks else with_marks(study)
    seen = Seen(study, seed)
    tables: dict[str, pd.DataFrame] = {}
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        with threadpool_limits(1):  # several are no faster for so little, and far slower on a busy machine
            checked = check(seen)
        tables[name] = checked.table
        findings += checked.findings
        log.debug("Check '%s': %d finding(s)", name, len(checked.findings))
    if seen.drawn:
        advice = "Look again with another seed if a finding stands on few samples or features."
        findings.append(Finding("drawn", False, seen.drawn, advice))
    findings = list(dict.fromkeys(findings))
    return Design(confounding.plates(seen), sorted(findings, key=lambda one: not one.serious), tables)
