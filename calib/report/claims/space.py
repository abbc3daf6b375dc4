"""Claims on the calibrated data itself: distances between batches (Figure S1b) and maps (Figures 2 to 4)."""

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from statistics import mean

import pandas as pd

from calib.evaluation.distances import most_rows
from calib.losses import PAPER_WIDTHS
from calib.records.record import Finished
from calib.report.claims.evidence import FALLBACK, Cell, Evidence
from calib.report.claims.rules import BAND, NAMES, all_or_none, near, number
from calib.report.exhibits import MISSING, Outcome, Verdict
from calib.report.paper import DISTANCES, MAP_FIGURES, paper_numbers

OTHERS = ("combat", "normae", "bermuda", "desc")
"""The methods of the paper's Figures 2 to 4 and S1b, besides joint."""

KERNELS = {"fixed": "kernel widths of the paper", "median": "kernel widths fitted to the data"}

FLOOR_SLACK = 0.1
"""Within a tenth of the floor nothing is measured; far below it samples are close together."""

Measure = Callable[[Finished], float | None]
"""A number of a run, or None where it has none."""

FLOOR = (
    " With the kernel widths of the paper it is undecided too where both are at the floor, 5 (1/m + 1/n) for "
    "m and n rows: there samples are too far apart for every kernel, and nothing is measured."
)
RUNS_RULE = (
    "Runs are compared split by split and seed by seed. Reproduced where the claim holds in every one, not "
    "reproduced where it holds in none, else undecided."
) + FLOOR
EVERY_RULE = (
    "Runs are compared in the same way with each other method. Reproduced where joint is ahead of all of "
    "them in every run, not reproduced where it is behind one of them in every run, else undecided, as also "
    "where a method has not been run. A method at the floor together with joint decides nothing."
)
LEVEL_RULE = (
    f"Reproduced where the mean over our runs is within {BAND} of the printed one, undecided where only some "
    "runs come as near, else not reproduced."
)


def distance_claims(evidence: Evidence, protocol: str) -> list[Verdict]:
    """Squared MMD between batches: its printed level, lower than raw, lower than after other methods."""
    study = evidence.study
    pairs = [DISTANCES[study.name]] if study.name in DISTANCES else list(combinations(study.batches, 2))
    most = most_rows(len(study.batches))
    drawn = {name: min(most, len(batch)) for name, batch in study.batches.items()}
    floor = mean(len(PAPER_WIDTHS) * (1 / drawn[a] + 1 / drawn[b]) for a, b in pairs)
    joint = evidence.runs("joint", protocol)
    verdicts = []
    for kernel, called in KERNELS.items():
        before, after = (_distance(evidence, pairs, space, kernel) for space in ("before", "after"))
        bound = floor if kernel == "fixed" else None
        values, raw = _measured(joint, after), _measured(joint, before)
        if bound:
            verdicts += _printed_level(evidence, protocol, values)
        claim = f"batches come closer: MMD below raw ({called})"
        printed = "lower" if study.name in DISTANCES else MISSING
        if not values:
            verdicts.append(_missing(evidence, claim, protocol, printed, RUNS_RULE))
        else:
            lower = [values[cell] < raw[cell] for cell in values]
            flat = _flat(values, bound) and _flat(raw, bound)
            ours = (
                f"joint {_three(values)}, raw {_three(raw)}: lower in {sum(lower)} of {len(lower)} runs"
                + _at_floor({"joint": values, "raw": raw}, bound)
            )
            outcome = Outcome.OPEN if flat else all_or_none(lower)
            verdicts.append(Verdict(claim, study.name, protocol, printed, ours, outcome, RUNS_RULE))
        claim = f"batches come closer than by other methods: MMD ({called})"
        verdicts.append(_against_others(evidence, protocol, claim, printed, after, -1, bound))
    return verdicts


def map_claims(
    evidence: Evidence, protocol: str, silhouettes: Mapping[Path, Mapping[str, float]]
) -> list[Verdict]:
    """Batches mix and classes separate, by the mean silhouettes that stand below the maps.

    Args:
        silhouettes: folder of a record -> ``batch`` and ``class``, as ``Map.silhouette`` has them.
    """
    number = MAP_FIGURES.get(evidence.study.name)
    printed = f"seen in Figure {number}" if number else MISSING
    joint = evidence.runs("joint", protocol)
    _, raw = evidence.nearest("baseline", protocol)
    verdicts = []
    for what, claim, sign, way in (
        ("batch", "batches mix: silhouette by batch below raw", -1, "lower"),
        ("class", "classes separate: silhouette by class above raw", 1, "higher"),
    ):
        measure = _silhouette(silhouettes, what)
        ours, before = _measured(joint, measure), _measured(raw, measure)
        cells = [cell for cell in ours if cell in before]
        if not cells:
            verdicts.append(_missing(evidence, claim, protocol, printed, RUNS_RULE))
            continue
        held = [sign * (ours[cell] - before[cell]) > 0 for cell in cells]
        joint_, raw_ = ({cell: values[cell] for cell in cells} for values in (ours, before))
        said = f"joint {_three(joint_)}, raw {_three(raw_)}: {way} in {sum(held)} of {len(held)} runs"
        study = evidence.study.name
        verdicts.append(Verdict(claim, study, protocol, printed, said, all_or_none(held), RUNS_RULE))
    claim = "classes separate more than by other methods: silhouette"
    measure = _silhouette(silhouettes, "class")
    verdicts.append(_against_others(evidence, protocol, claim, printed, measure, 1))
    return verdicts


def _against_others(
    evidence: Evidence,
    protocol: str,
    claim: str,
    printed: str,
    measure: Measure,
    sign: int,
    bound: float | None = None,
) -> Verdict:
    """Joint is ahead of every other method: higher for ``sign`` 1, lower for -1, in all shared runs."""
    joint = _measured(evidence.runs("joint", protocol), measure)
    held: dict[str, list[bool]] = {}
    texts, absent, elsewhere, flat = [], [], [], set()
    measured = {"joint": joint}
    for other in OTHERS:
        where, runs = evidence.nearest(other, protocol)
        values = _measured(runs, measure)
        cells = [cell for cell in joint if cell in values]
        if not cells:
            absent.append(NAMES[other])
            continue
        held[other] = [sign * (joint[cell] - values[cell]) > 0 for cell in cells]
        shown = {cell: values[cell] for cell in cells}
        measured[NAMES[other]] = shown
        if _flat(joint, bound) and _flat(shown, bound):
            flat.add(other)
        if where != protocol:
            elsewhere.append(NAMES[other])
        texts.append(f"{NAMES[other]} {_three(shown)} ({sum(held[other])} of {len(cells)})")
    if not held:
        return _missing(evidence, claim, protocol, printed, EVERY_RULE)
    way = "higher" if sign > 0 else "lower"
    ours = f"joint {_three(joint)}; others (runs where joint is {way}): {', '.join(texts)}"
    ours += _at_floor(measured, bound) + (f"; not run: {', '.join(absent)}" if absent else "")
    ours += f"; {', '.join(elsewhere)} under protocol {FALLBACK}" if elsewhere else ""
    if any(not any(found) for other, found in held.items() if other not in flat):
        outcome = Outcome.NO
    elif absent or flat or not all(all(found) for found in held.values()):
        outcome = Outcome.OPEN
    else:
        outcome = Outcome.YES
    return Verdict(claim, evidence.study.name, protocol, printed, ours, outcome, EVERY_RULE)


def _printed_level(evidence: Evidence, protocol: str, values: Mapping[Cell, float]) -> list[Verdict]:
    """The one MMD that the paper prints, where it is of this study."""
    table = paper_numbers()
    table = table[(table["table"] == "S1b") & (table["dataset"] == evidence.study.name)]
    if table.empty:
        return []
    level, spread = table["value"].tolist()
    a, b = DISTANCES[evidence.study.name]
    claim = f"MMD of batches {a} and {b} after calibration ({KERNELS['fixed']})"
    printed = f"{level:.3f} ± {spread:.3f}"
    if not values:
        return [_missing(evidence, claim, protocol, printed, LEVEL_RULE)]
    low, high = min(values.values()), max(values.values())
    ours = f"{_three(values)} ({low:.3f} to {high:.3f} over {len(values)} runs)"
    outcome = near(mean(values.values()), low, high, level)
    return [Verdict(claim, evidence.study.name, protocol, printed, ours, outcome, LEVEL_RULE)]


def _distance(evidence: Evidence, pairs: list[tuple[str, str]], space: str, kernel: str) -> Measure:
    """Mean over draws and pairs of batches, from the record's ``mmd.csv``."""

    def measure(run: Finished) -> float | None:
        means = evidence.distances(run)
        found = [means[space, kernel, *pair] for pair in pairs if (space, kernel, *pair) in means]
        return mean(found) if len(found) == len(pairs) else None

    return measure


def _silhouette(silhouettes: Mapping[Path, Mapping[str, float]], what: str) -> Measure:
    def measure(run: Finished) -> float | None:
        value = silhouettes.get(run.path, {}).get(what)
        return None if value is None or pd.isna(value) else float(value)

    return measure


def _measured(runs: Mapping[Cell, Finished], measure: Measure) -> dict[Cell, float]:
    return {cell: value for cell, run in sorted(runs.items()) if (value := measure(run)) is not None}


def _three(values: Mapping[Cell, float]) -> str:
    return number(mean(values.values()), 3)


def _flat(values: Mapping[Cell, float], bound: float | None) -> bool:
    """Whether the values are at the floor."""
    return bound is not None and abs(mean(values.values()) / bound - 1) <= FLOOR_SLACK


def _at_floor(spaces: Mapping[str, Mapping[Cell, float]], bound: float | None) -> str:
    found = [name for name, values in spaces.items() if _flat(values, bound)]
    return f"; at the floor: {', '.join(found)}" if found else ""


def _missing(evidence: Evidence, claim: str, protocol: str, printed: str, rule: str) -> Verdict:
    return Verdict(claim, evidence.study.name, protocol, printed, MISSING, Outcome.MISSING, rule)
