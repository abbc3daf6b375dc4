"""Verdicts on the claims on the calibrated data: distances of batches (Figure S1b), maps (Figures 2 to 4)."""

from collections.abc import Callable, Mapping
from itertools import combinations
from statistics import mean

from calib.evaluation.distances import most_rows, pair_name
from calib.evaluation.significance import LEAST_SEEDS
from calib.records.record import Finished
from calib.report.claims.floor import FLOOR_RULE, Floor, Values
from calib.report.claims.rules import BAND, NAMES, ahead_of_all, all_or_none, enough, near
from calib.report.claims.runs import FALLBACK, Cell, StudyRuns
from calib.report.exhibits import MISSING, Ruling, Verdict
from calib.report.numbers import number
from calib.report.paper import DISTANCES, MAP_FIGURES, paper_numbers
from calib.rules import PAPER_WIDTHS

OTHERS = ("combat", "normae", "bermuda", "desc")
"""The methods of the paper's Figures 2 to 4 and S1b without joint."""

KERNELS = {"fixed": "kernel widths of the paper", "median": "kernel widths fitted to the data"}

Measure = Callable[[Finished], float | None]
"""A function that returns a number of a run, or None if the run has no such number."""

SEEDS = f" No verdict from fewer than {LEAST_SEEDS} seeds."
RUNS_RULE = (
    "Runs are compared split by split and seed by seed. Reproduced where the claim holds in every one, not "
    "reproduced where it holds in none, else undecided."
) + f"{SEEDS}{FLOOR_RULE}"
EVERY_RULE = (
    "Runs are compared in the same way with each other method. Reproduced where joint is ahead of all of "
    "them in every run, not reproduced where it is behind one of them in every run, else undecided, as also "
    f"where a method has not been run.{SEEDS} A comparison at the floor decides nothing; where only such "
    "comparisons are in the way, the claim cannot be told."
)
LEVEL_RULE = (
    f"Reproduced where the mean over our runs is within {BAND} of the printed one, undecided where only some "
    f"runs come as near, else not reproduced.{SEEDS} At the floor it cannot be told: there the value depends "
    "on the number of rows alone, which is not printed."
)


def distance_claims(runs: StudyRuns, protocol: str) -> list[Verdict]:
    """Return the verdicts on squared MMD between batches.

    The claims are its printed level, and that it is lower than in raw data and lower than by other methods.
    """
    study = runs.study
    pairs = [DISTANCES[study.name]] if study.name in DISTANCES else list(combinations(study.batches, 2))
    most = most_rows(len(study.batches))
    drawn = {name: min(most, len(batch)) for name, batch in study.batches.items()}
    value = mean(len(PAPER_WIDTHS) * (1 / drawn[a] + 1 / drawn[b]) for a, b in pairs)
    joint = runs.of("joint", protocol)
    printed = "lower" if study.name in DISTANCES else MISSING
    verdicts = []
    for kernel, called in KERNELS.items():
        before, after = (_distance(pairs, space, kernel) for space in ("before", "after"))
        floor = Floor(value, blind=kernel == "fixed")
        values, raw = _measured(joint, after), _measured(joint, before)
        if floor.blind:
            verdicts += _printed_level(runs, protocol, values, floor)
        claim = f"batches come closer: MMD below raw ({called})"
        verdicts.append(_below_raw(runs, protocol, claim, printed, values, raw, floor))
        claim = f"batches come closer than by other methods: MMD ({called})"
        verdicts.append(_against_others(runs, protocol, claim, printed, after, -1, floor))
    return verdicts


def map_claims(runs: StudyRuns, protocol: str) -> list[Verdict]:
    """Return the verdicts on maps: batches mix and classes separate, by the mean silhouettes of the runs.

    Args:
        runs: the study's runs.
        protocol: protocol of the claims.
    """
    study = runs.study.name
    figure = MAP_FIGURES.get(study)
    printed = f"seen in Figure {figure}" if figure else MISSING
    joint = runs.of("joint", protocol)
    _, raw = runs.nearest("baseline", protocol)
    verdicts = []
    for group, claim, sign, way in (
        ("batch", "batches mix: silhouette by batch below raw", -1, "lower"),
        ("class", "classes separate: silhouette by class above raw", 1, "higher"),
    ):
        measure = _silhouette(group)
        of_joint, of_raw = _shared(_measured(joint, measure), _measured(raw, measure))
        if not of_joint:
            verdicts.append(_missing(runs, claim, protocol, printed, RUNS_RULE))
            continue
        held = [sign * (of_joint[cell] - of_raw[cell]) > 0 for cell in of_joint]
        ours = f"joint {_mean(of_joint)}, raw {_mean(of_raw)}: {way} in {sum(held)} of {len(held)} runs"
        outcome = all_or_none(held) if _enough(of_joint) else Ruling.FEW
        verdicts.append(Verdict(claim, study, protocol, printed, ours, outcome, RUNS_RULE))
    claim = "classes separate more than by other methods: silhouette"
    measure = _silhouette("class")
    verdicts.append(_against_others(runs, protocol, claim, printed, measure, 1))
    return verdicts


def _below_raw(
    runs: StudyRuns,
    protocol: str,
    claim: str,
    printed: str,
    values: Values,
    raw: Values,
    floor: Floor,
) -> Verdict:
    """Judge whether the distances after joint calibration are below those of raw data."""
    if not values:
        return _missing(runs, claim, protocol, printed, RUNS_RULE)
    lower = [values[cell] < raw[cell] for cell in values]
    ours = f"joint {_mean(values)}, raw {_mean(raw)}: lower in {sum(lower)} of {len(lower)} runs"
    ours += _at_floor({"joint": values, "raw": raw}, floor)
    untold = floor.hides(values, raw)
    outcome = Ruling.FEW if not _enough(values) else Ruling.UNTOLD if untold else all_or_none(lower)
    return Verdict(claim, runs.study.name, protocol, printed, ours, outcome, RUNS_RULE)


def _against_others(
    runs: StudyRuns,
    protocol: str,
    claim: str,
    printed: str,
    measure: Measure,
    sign: int,
    floor: Floor | None = None,
) -> Verdict:
    """Judge whether joint is ahead of every other method in all shared runs.

    Joint is ahead if its measured number is higher for ``sign`` 1, lower for -1; ``floor`` is that of the
    number, if it has one.
    """
    joint = _measured(runs.of("joint", protocol), measure)
    held: dict[str, list[bool]] = {}
    values: dict[str, Values] = {}
    absent, elsewhere = [], []
    for method in OTHERS:
        name = NAMES[method]
        found_in, records = runs.nearest(method, protocol)
        of_joint, of_method = _shared(joint, _measured(records, measure))
        if not of_method:
            absent.append(name)
            continue
        held[name] = [sign * (of_joint[cell] - of_method[cell]) > 0 for cell in of_method]
        values[name] = of_method
        if found_in != protocol:
            elsewhere.append(name)
    if not held:
        return _missing(runs, claim, protocol, printed, EVERY_RULE)
    texts = [f"{name} {_mean(values[name])} ({sum(ahead)} of {len(ahead)})" for name, ahead in held.items()]
    way = "higher" if sign > 0 else "lower"
    ours = f"joint {_mean(joint)}; others (runs where joint is {way}): {', '.join(texts)}"
    ours += _at_floor({"joint": joint} | values, floor)
    ours += f"; not run: {', '.join(absent)}" if absent else ""
    ours += f"; {', '.join(elsewhere)} under protocol {FALLBACK}" if elsewhere else ""
    untold = {name for name in values if floor and floor.hides(joint, values[name])}
    few = {name for name in values if not _enough(values[name])}
    outcome = ahead_of_all(held, untold, few, bool(absent))
    return Verdict(claim, runs.study.name, protocol, printed, ours, outcome, EVERY_RULE)


def _printed_level(runs: StudyRuns, protocol: str, values: Values, floor: Floor) -> list[Verdict]:
    """Judge the MMD that the paper prints; no verdict for a study without a printed one."""
    table = paper_numbers()
    table = table[(table["table"] == "S1b") & (table["dataset"] == runs.study.name)]
    if table.empty:
        return []
    level, spread = table["value"].tolist()
    a, b = DISTANCES[runs.study.name]
    claim = f"MMD of batches {a} and {b} after calibration ({KERNELS['fixed']})"
    printed = f"{level:.3f} ± {spread:.3f}"
    if not values:
        return [_missing(runs, claim, protocol, printed, LEVEL_RULE)]
    low, high = min(values.values()), max(values.values())
    ours = f"{_mean(values)} ({low:.3f} to {high:.3f} over {len(values)} runs)"
    ours += _at_floor({"joint": values}, floor)
    outcome = near(mean(values.values()), low, high, level) if _enough(values) else Ruling.FEW
    if outcome is not Ruling.FEW and floor.holds(values):
        outcome = Ruling.UNTOLD
    return [Verdict(claim, runs.study.name, protocol, printed, ours, outcome, LEVEL_RULE)]


def _distance(pairs: list[tuple[str, str]], space: str, kernel: str) -> Measure:
    """Return a function that gives a run's squared MMD, averaged over draws and pairs of batches."""

    def measure(run: Finished) -> float | None:
        known = run.result["mmd"].get(space, {}).get(kernel, {})
        found = [known[pair_name(*pair)]["mean"] for pair in pairs if pair_name(*pair) in known]
        return mean(found) if len(found) == len(pairs) else None

    return measure


def _silhouette(group: str) -> Measure:
    """Return a function that gives a run's mean silhouette by ``batch`` or ``class``."""

    def measure(run: Finished) -> float | None:
        value: float | None = run.result.get("silhouette", {}).get(group)  # an older record has none
        return value

    return measure


def _measured(runs: Mapping[Cell, Finished], measure: Measure) -> dict[Cell, float]:
    """Return the number of every run that has one."""
    return {cell: value for cell, run in sorted(runs.items()) if (value := measure(run)) is not None}


def _shared(first: Values, second: Values) -> tuple[Values, Values]:
    """Return the numbers of the splits and seeds that both have."""
    cells = [cell for cell in first if cell in second]
    return {cell: first[cell] for cell in cells}, {cell: second[cell] for cell in cells}


def _enough(values: Values) -> bool:
    """Return whether there are seeds enough for a verdict."""
    return enough({seed for _, seed in values})


def _mean(values: Values) -> str:
    """Return the mean over runs as text."""
    return number(mean(values.values()))


def _at_floor(values: Mapping[str, Values], floor: Floor | None) -> str:
    """Return the names of the numbers that are at the floor, as the end of a sentence."""
    names = [name for name, of_runs in values.items() if floor and floor.holds(of_runs)]
    return f"; at the floor: {', '.join(names)}" if names else ""


def _missing(runs: StudyRuns, claim: str, protocol: str, printed: str, rule: str) -> Verdict:
    """Return the verdict on a claim whose runs are missing."""
    return Verdict(claim, runs.study.name, protocol, printed, MISSING, Ruling.MISSING, rule)
