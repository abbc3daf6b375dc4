"""Verdicts on the claims on accuracy and time; each claim is decided by its rule alone."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np

from calib.data.study import FloatArray
from calib.evaluation.intervals import SEED, Estimate, estimate, shared_seeds
from calib.report.claims.rules import BAND, NAMES, all_or_none, near, side
from calib.report.claims.runs import FALLBACK, CompleteRuns, StudyRuns
from calib.report.exhibits import MISSING, Ruling, Verdict
from calib.report.numbers import number, seeds_text, signed
from calib.report.paper import paper_accuracy, paper_numbers

SHARE = 1 / 3
"""Share of the way from the baseline to the ceiling from which joint is close to the ceiling."""

NEAR_RULE = (
    f"Reproduced where our value is within {BAND} of the printed one, undecided where only its 95 % interval "
    "comes as near, else not reproduced."
)
ABOVE_RULE = (
    "Reproduced where the whole 95 % interval of the difference (joint minus the other) is above 0, not "
    "reproduced where all of it is below 0, else undecided."
)
SHARE_RULE = (
    "Share of the way from the baseline to the ceiling: (joint − baseline) / (ceiling − baseline). "
    "Reproduced where its whole 95 % interval is above one third, not reproduced where all of it is below, "
    "else undecided, as also where the ceiling is not surely above the baseline."
)
TIME_RULE = (
    "Seconds of training until one target batch is answered: a joint run against one pairwise network from "
    "every other batch, medians over runs. Reproduced where pairwise takes longer for every target batch, "
    "not reproduced where for none, else undecided."
)


def accuracy_claims(runs: StudyRuns, protocol: str) -> list[Verdict]:
    """Return the verdicts on accuracy and time of one study under one protocol, in the paper's order."""
    study = runs.study.name
    comparisons = [
        beats(runs, protocol, method, claim)
        for method, claim in (
            ("combat", "joint beats ComBat"),
            ("normae", "joint beats NormAE"),
            ("bermuda", "joint beats BERMUDA"),
            ("desc", "joint beats DESC"),
            ("recon_t", "joint beats Recon_T, which reconstructs targets too"),
            ("pairwise", "joint beats pairwise calibration"),
        )
    ]
    return [
        *([level(runs, protocol)] if printed_average(study, "joint") is not None else []),
        beats(runs, protocol, "baseline", "joint beats the baseline"),
        *([gain(runs, protocol)] if printed_average(study, "baseline") is not None else []),
        *comparisons,
        faster(runs, protocol),
        ceiling(runs, protocol),
    ]


def level(runs: StudyRuns, protocol: str) -> Verdict:
    """Judge whether the joint model's average accuracy is the printed one."""
    average = printed_average(runs.study.name, "joint")
    assert average is not None
    claim, printed = "level of joint's average accuracy", f"{average:.3f}"
    joint = runs.complete("joint", protocol)
    if reason := _incomparable([joint], protocol):
        return _missing(runs, claim, protocol, printed, NEAR_RULE, reason)
    result = _estimate(lambda a: a, [joint])
    outcome = near(result.value, result.low, result.high, average)
    ours = f"{result.value:.3f} ({result.low:.3f} to {result.high:.3f}; {seeds_text(result.seeds)})"
    return Verdict(claim, runs.study.name, protocol, printed, ours, outcome, NEAR_RULE)


def gain(runs: StudyRuns, protocol: str) -> Verdict:
    """Judge whether the gain over the baseline is the printed one, about ten points on MI and CHD."""
    study = runs.study.name
    averages = [printed_average(study, method) for method in ("joint", "baseline")]
    assert averages[0] is not None
    assert averages[1] is not None
    difference = averages[0] - averages[1]
    claim = "joint gains about ten points on the baseline" if study in ("mi", "chd") else "joint's gain"
    methods = [runs.complete("joint", protocol), runs.complete("baseline", protocol)]
    if reason := _incomparable(methods, protocol):
        return _missing(runs, claim, protocol, signed(difference), NEAR_RULE, reason)
    result = _estimate(np.subtract, methods)
    outcome = near(result.value, result.low, result.high, difference)
    ours = _difference(result) + _elsewhere(methods, protocol)
    return Verdict(claim, study, protocol, signed(difference), ours, outcome, NEAR_RULE)


def beats(runs: StudyRuns, protocol: str, method: str, claim: str) -> Verdict:
    """Judge whether the joint model is more accurate than another method, on average."""
    study = runs.study.name
    pair = _printed_pair(study, method)
    printed = f"{pair[0]:.3f} against {pair[1]:.3f}: {signed(pair[0] - pair[1])}" if pair else MISSING
    methods = [runs.complete("joint", protocol), runs.complete(method, protocol)]
    if reason := _incomparable(methods, protocol):
        return _missing(runs, claim, protocol, printed, ABOVE_RULE, reason)
    joint, second = (_average(each, methods) for each in methods)
    result = _estimate(np.subtract, methods)
    ours = f"{joint:.3f} against {second:.3f}: {_difference(result)}{_elsewhere(methods, protocol)}"
    return Verdict(claim, study, protocol, printed, ours, side(result, 0), ABOVE_RULE)


def ceiling(runs: StudyRuns, protocol: str) -> Verdict:
    """Judge whether the joint model comes near the accuracy of cross-validation inside the target batch."""
    study, claim = runs.study.name, "joint approaches the in-batch ceiling"
    names = ("joint", "baseline", "cross_validation")
    averages = [value for name in names if (value := printed_average(study, name)) is not None]
    printed = MISSING
    if len(averages) == len(names):
        share = float(_share(*(np.array(value) for value in averages)))
        printed = f"{share:.2f} of the way (ceiling {averages[2]:.3f})"
    methods = [runs.complete(name, protocol) for name in names]
    if reason := _incomparable(methods, protocol):
        return _missing(runs, claim, protocol, printed, SHARE_RULE, reason)
    result, top = _estimate(_share, methods), _average(methods[2], methods)
    if np.isnan([result.value, result.low, result.high]).any():
        span = _estimate(lambda _, base, top: top - base, methods)
        ours, outcome = f"the ceiling is not surely above the baseline: {_difference(span)}", Ruling.OPEN
    else:
        ours = (
            f"{number(result.value, 2)} of the way ({number(result.low, 2)} to {number(result.high, 2)}; "
            f"{seeds_text(result.seeds)}; ceiling {top:.3f})"
        )
        outcome = side(result, SHARE)
    ours += _elsewhere(methods, protocol)
    return Verdict(claim, study, protocol, printed, ours, outcome, SHARE_RULE)


def faster(runs: StudyRuns, protocol: str) -> Verdict:
    """Judge whether the joint model takes less time than pairwise calibration, the one claim on time."""
    claim, printed = "joint is faster than pairwise calibration", "faster"
    joint, pairwise = (runs.complete(method, protocol) for method in ("joint", "pairwise"))
    if reason := _incomparable([joint, pairwise], protocol, paired=False):
        return _missing(runs, claim, protocol, printed, TIME_RULE, reason)
    of_joint, of_pairs = _seconds(runs, joint), _seconds(runs, pairwise)
    targets = dict.fromkeys(batch for _, batch in runs.lines("joint"))
    once = {
        t: median(s for line, values in of_joint.items() if line[1] == t for s in values) for t in targets
    }
    many = {t: sum(median(values) for line, values in of_pairs.items() if line[1] == t) for t in targets}
    ratios = [many[t] / once[t] for t in targets]
    ours = (
        f"joint {median(once.values()):.0f} s, pairwise {median(many.values()):.0f} s, "
        f"{median(ratios):.2g} times as long ({min(ratios):.2g} to {max(ratios):.2g} over target batches)"
    ) + _elsewhere([joint, pairwise], protocol)
    outcome = all_or_none([ratio > 1 for ratio in ratios])
    return Verdict(claim, runs.study.name, protocol, printed, ours, outcome, TIME_RULE)


def printed_average(study: str, method: str) -> float | None:
    """Return the average accuracy that Tables 1b, 2b and 3 print for a method, or None."""
    return paper_accuracy(study, method).get(("average", "average"))


def _difference(estimate: Estimate) -> str:
    """Return a difference with its interval and seeds as text."""
    interval = f"{signed(estimate.low)} to {signed(estimate.high)}"
    return f"{signed(estimate.value)} ({interval}; {seeds_text(estimate.seeds)})"


def _printed_pair(study: str, method: str) -> tuple[float, float] | None:
    """Return the printed averages of joint and another method; those of pairwise from Tables 1a and 2a."""
    table = paper_numbers()
    table = table[
        (table["dataset"] == study) & table["table"].isin(["1a", "2a"]) & (table["metric"] == "ACC")
    ]
    means = table.groupby("method")["value"].mean()
    if method == "pairwise" and method in means:
        return float(means["joint"]), float(means[method])
    joint, second = printed_average(study, "joint"), printed_average(study, method)
    return None if joint is None or second is None else (joint, second)


def _estimate(statistic: Callable[..., FloatArray], methods: Sequence[CompleteRuns]) -> Estimate:
    """Estimate a function of the methods' average accuracies, with its interval."""
    return estimate(statistic, [runs.seeds for runs in methods], np.random.default_rng(SEED))


def _average(method: CompleteRuns, among: Sequence[CompleteRuns]) -> float:
    """Return a method's average accuracy over the seeds that all the methods have."""
    seeds = shared_seeds([runs.seeds for runs in among])
    chosen = {seed: method.seeds[seed] for seed in seeds}
    return estimate(lambda a: a, [chosen], np.random.default_rng(SEED), draws=1).value


def _share(joint: FloatArray, baseline: FloatArray, top: FloatArray) -> FloatArray:
    """Return the share of the way from baseline to ceiling; NaN if the ceiling is not above the baseline."""
    span = top - baseline
    return np.where(span > 0, (joint - baseline) / np.where(span > 0, span, 1), np.nan)


def _seconds(runs: StudyRuns, method: CompleteRuns) -> Mapping[tuple[str, str], list[float]]:
    """Return split and target batch -> seconds of training for each seed.

    A pairwise run trains one network for each target, so its seconds are shared equally by the targets.
    """
    records = runs.of(method.method, method.protocol)
    seconds: dict[tuple[str, str], list[float]] = {}
    for seed, lines in method.seeds.items():
        for line in lines:
            result = records[line[0], seed].result
            parts = len(result["targets"]) if method.method == "pairwise" else 1
            seconds.setdefault(line, []).append(result["seconds"]["fit"] / parts)
    return seconds


def _incomparable(methods: Sequence[CompleteRuns], protocol: str, paired: bool = True) -> str:
    """Return why the methods cannot be compared, "" if they can; joint has to be run in this protocol.

    Args:
        methods: runs of each method.
        protocol: protocol of the claim.
        paired: whether the comparison is paired by seed, so that the methods have to share one.
    """
    empty = [m for m in methods if not m.seeds or (m.method == "joint" and m.protocol != protocol)]
    if empty:
        return f"no complete seed of {', '.join(NAMES[m.method] for m in empty)}"
    return "" if not paired or shared_seeds([m.seeds for m in methods]) else "no seed in common"


def _elsewhere(methods: Sequence[CompleteRuns], protocol: str) -> str:
    """Return which methods were run under the other protocol, as the end of a sentence."""
    names = [NAMES[m.method] for m in methods if m.protocol != protocol]
    return f"; {', '.join(names)} under protocol {FALLBACK}" if names else ""


def _missing(runs: StudyRuns, claim: str, protocol: str, printed: str, rule: str, reason: str) -> Verdict:
    """Return the verdict on a claim that cannot be judged."""
    return Verdict(claim, runs.study.name, protocol, printed, reason, Ruling.MISSING, rule)
