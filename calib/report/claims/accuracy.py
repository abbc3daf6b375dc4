"""Verdicts on the claims on accuracy and time; each claim is decided by its rule alone."""

from collections.abc import Mapping, Sequence
from math import isnan
from statistics import median

from calib.evaluation.intervals import Estimate, Paired, paired
from calib.evaluation.significance import ALPHA, MARGIN, decides, p_different, p_equal
from calib.evaluation.tallies import shared_seeds
from calib.report.claims.rules import BAND, NAMES, all_or_none, estimate_near, side
from calib.report.claims.runs import FALLBACK, CompleteRuns, StudyRuns
from calib.report.claims.share import Share, share_of_way
from calib.report.exhibits import MISSING, Ruling, Verdict
from calib.report.numbers import number, p_text, seeds_text, signed
from calib.report.paper import paper_accuracy, paper_numbers

NEAR_RULE = (
    f"Reproduced where our value is within {BAND} of the printed one, undecided where only its 95 % interval "
    "comes as near, else not reproduced."
)
ABOVE_RULE = (
    "Reproduced where the whole 95 % interval of the difference (joint minus the other) is above 0, not "
    "reproduced where all of it is below 0, else undecided. Undecided does not mean equal: that is said only "
    f"where two one-sided tests at {ALPHA} put the difference within ±{MARGIN}."
)
SHARE_RULE = (
    "Share of the way from the baseline to the ceiling: (joint − baseline) / (ceiling − baseline). "
    "Reproduced where its whole 95 % interval is above one third, not reproduced where all of it is below, "
    "else undecided, as also where the ceiling is not surely above the baseline."
)
TIME_RULE = (
    "Seconds of training until one target batch is answered: a joint run against one pairwise network from "
    "every other batch, medians over runs. Reproduced where pairwise takes longer for every target batch, "
    "not reproduced where for none, else undecided. Seconds hardly depend on the seed, so one is enough."
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
    result = _paired([joint]).accuracy()
    ours = f"{result.value:.3f} ({number(result.low)} to {number(result.high)}; {seeds_text(result)})"
    outcome = estimate_near(result, average)
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
    result = _paired(methods).contrast(1, -1)
    ours = _difference(result) + _elsewhere(methods, protocol)
    outcome = estimate_near(result, difference)
    return Verdict(claim, study, protocol, signed(difference), ours, outcome, NEAR_RULE)


def beats(runs: StudyRuns, protocol: str, method: str, claim: str) -> Verdict:
    """Judge whether the joint model is more accurate than another method, on average."""
    study = runs.study.name
    pair = printed_pair(study, method)
    printed = f"{pair[0]:.3f} against {pair[1]:.3f}: {signed(pair[0] - pair[1])}" if pair else MISSING
    methods = [runs.complete("joint", protocol), runs.complete(method, protocol)]
    if reason := _incomparable(methods, protocol):
        return _missing(runs, claim, protocol, printed, ABOVE_RULE, reason)
    both = _paired(methods)
    result = both.contrast(1, -1)
    joint, second = both.averages.mean(axis=1)
    ours = f"{joint:.3f} against {second:.3f}: {_difference(result)}{_equal(result)}"
    ours += _elsewhere(methods, protocol)
    return Verdict(claim, study, protocol, printed, ours, side(result), ABOVE_RULE, _p(result))


def ceiling(runs: StudyRuns, protocol: str) -> Verdict:
    """Judge whether the joint model comes near the accuracy of cross-validation inside the target batch."""
    study, claim = runs.study.name, "joint approaches the in-batch ceiling"
    names = ("joint", "baseline", "cross_validation")
    averages = [value for name in names if (value := printed_average(study, name)) is not None]
    printed = MISSING
    if len(averages) == len(names):
        share = (averages[0] - averages[1]) / (averages[2] - averages[1])
        printed = f"{share:.2f} of the way (ceiling {averages[2]:.3f})"
    methods = [runs.complete(name, protocol) for name in names]
    if reason := _incomparable(methods, protocol):
        return _missing(runs, claim, protocol, printed, SHARE_RULE, reason)
    three = _paired(methods)
    share_found = share_of_way(three)
    if share_found is None:
        span = three.contrast(0, -1, 1)
        ours = f"the ceiling is not surely above the baseline: {_difference(span)}"
        outcome, p = Ruling.OPEN if decides(span) else Ruling.FEW, None
    else:
        ours = _share(share_found, three)
        outcome, p = side(share_found.beyond), _p(share_found.beyond)
    ours += _elsewhere(methods, protocol)
    return Verdict(claim, study, protocol, printed, ours, outcome, SHARE_RULE, p)


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
    return f"{signed(estimate.value)} ({interval}; {seeds_text(estimate)})"


def _equal(estimate: Estimate) -> str:
    """Return that a difference is surely within the margin, as the end of a sentence, "" if it is not."""
    if not decides(estimate) or not (p := p_equal(estimate)) < ALPHA:
        return ""
    return f"; within ±{MARGIN} by two one-sided tests, p {p_text(p)}"


def _p(estimate: Estimate) -> float | None:
    """Return the p of a value that is not 0; None without seeds enough for a verdict, or without an error."""
    return p_different(estimate) if decides(estimate) and not isnan(estimate.error) else None


def _share(share: Share, methods: Paired) -> str:
    """Return the share of the way to the ceiling as text, with its interval, seeds and the ceiling."""
    interval = f"{number(share.low, 2)} to {number(share.high, 2)}"
    top = methods.averages[2].mean()
    return f"{number(share.value, 2)} of the way ({interval}; {seeds_text(share.beyond)}; ceiling {top:.3f})"


def printed_pair(study: str, method: str) -> tuple[float, float] | None:
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


def _paired(methods: Sequence[CompleteRuns]) -> Paired:
    """Return the methods' accuracies on the same subjects and seeds."""
    return paired([method.runs for method in methods])


def _seconds(runs: StudyRuns, method: CompleteRuns) -> Mapping[tuple[str, str], list[float]]:
    """Return split and target batch -> seconds of training for each seed.

    A pairwise run trains one network for each target, so its seconds are shared equally by the targets.
    """
    records = runs.of(method.method, method.protocol)
    seconds: dict[tuple[str, str], list[float]] = {}
    for seed, lines in method.runs.seeds.items():
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
    empty = [m for m in methods if not m.runs or (m.method == "joint" and m.protocol != protocol)]
    if empty:
        return f"no complete seed of {', '.join(NAMES[m.method] for m in empty)}"
    return "" if not paired or shared_seeds([m.runs for m in methods]) else "no seed in common"


def _elsewhere(methods: Sequence[CompleteRuns], protocol: str) -> str:
    """Return which methods were run under the other protocol, as the end of a sentence."""
    names = [NAMES[m.method] for m in methods if m.protocol != protocol]
    return f"; {', '.join(names)} under protocol {FALLBACK}" if names else ""


def _missing(runs: StudyRuns, claim: str, protocol: str, printed: str, rule: str, reason: str) -> Verdict:
    """Return the verdict on a claim that cannot be judged."""
    return Verdict(claim, runs.study.name, protocol, printed, reason, Ruling.MISSING, rule)
