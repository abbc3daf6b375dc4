"""Claims on accuracy and time: level, gain, comparisons, ceiling. Each is decided by its rule alone."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np

from calib.data.study import FloatArray
from calib.evaluation.intervals import SEED, Estimate, estimate, shared_seeds
from calib.report.claims.evidence import FALLBACK, Evidence, Judged
from calib.report.claims.rules import BAND, NAMES, all_or_none, near, number, seeds_text, side, signed
from calib.report.exhibits import MISSING, Outcome, Verdict
from calib.report.paper import paper_accuracy, paper_numbers

SHARE = 1 / 3
"""How much of the way from baseline to ceiling is close to it."""

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


def accuracy_claims(evidence: Evidence, protocol: str) -> list[Verdict]:
    """All claims of this module for one study and protocol, in the order of the paper's tables."""
    study = evidence.study.name
    beaten = [
        beats(evidence, protocol, other, claim)
        for other, claim in (
            ("combat", "joint beats ComBat"),
            ("normae", "joint beats NormAE"),
            ("bermuda", "joint beats BERMUDA"),
            ("desc", "joint beats DESC"),
            ("recon_t", "joint beats Recon_T, which reconstructs targets too"),
            ("pairwise", "joint beats pairwise calibration"),
        )
    ]
    return [
        *([level(evidence, protocol)] if printed_average(study, "joint") is not None else []),
        beats(evidence, protocol, "baseline", "joint beats the baseline"),
        *([gain(evidence, protocol)] if printed_average(study, "baseline") is not None else []),
        *beaten,
        faster(evidence, protocol),
        ceiling(evidence, protocol),
    ]


def level(evidence: Evidence, protocol: str) -> Verdict:
    """The joint model's average accuracy is the printed one."""
    printed = printed_average(evidence.study.name, "joint")
    assert printed is not None
    claim, said = "level of joint's average accuracy", f"{printed:.3f}"
    joint = evidence.judged("joint", protocol)
    if lacking := _lacking([joint], protocol):
        return _missing(evidence, claim, protocol, said, NEAR_RULE, lacking)
    found = _estimate(lambda a: a, [joint])
    outcome = near(found.value, found.low, found.high, printed)
    ours = f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}; {seeds_text(found.seeds)})"
    return Verdict(claim, evidence.study.name, protocol, said, ours, outcome, NEAR_RULE)


def gain(evidence: Evidence, protocol: str) -> Verdict:
    """The gain over the baseline is the printed one, about ten points on MI and CHD."""
    study = evidence.study.name
    printed = [printed_average(study, method) for method in ("joint", "baseline")]
    assert printed[0] is not None
    assert printed[1] is not None
    difference = printed[0] - printed[1]
    claim = "joint gains about ten points on the baseline" if study in ("mi", "chd") else "joint's gain"
    both = [evidence.judged("joint", protocol), evidence.judged("baseline", protocol)]
    if lacking := _lacking(both, protocol):
        return _missing(evidence, claim, protocol, signed(difference), NEAR_RULE, lacking)
    found = _estimate(np.subtract, both)
    outcome = near(found.value, found.low, found.high, difference)
    ours = _difference(found) + _elsewhere(both, protocol)
    return Verdict(claim, study, protocol, signed(difference), ours, outcome, NEAR_RULE)


def beats(evidence: Evidence, protocol: str, other: str, claim: str) -> Verdict:
    """The joint model is more accurate than another method, on average."""
    study = evidence.study.name
    values = _printed_pair(study, other)
    said = f"{values[0]:.3f} against {values[1]:.3f}: {signed(values[0] - values[1])}" if values else MISSING
    both = [evidence.judged("joint", protocol), evidence.judged(other, protocol)]
    if lacking := _lacking(both, protocol):
        return _missing(evidence, claim, protocol, said, ABOVE_RULE, lacking)
    joint, second = (_average(one, both) for one in both)
    found = _estimate(np.subtract, both)
    ours = f"{joint:.3f} against {second:.3f}: {_difference(found)}{_elsewhere(both, protocol)}"
    return Verdict(claim, study, protocol, said, ours, side(found, 0), ABOVE_RULE)


def ceiling(evidence: Evidence, protocol: str) -> Verdict:
    """The joint model comes near the accuracy of cross-validation inside the target batch."""
    study, claim = evidence.study.name, "joint approaches the in-batch ceiling"
    methods = ("joint", "baseline", "cross_validation")
    known = [value for method in methods if (value := printed_average(study, method)) is not None]
    said = MISSING
    if len(known) == len(methods):
        share = float(_share(*(np.array(value) for value in known)))
        said = f"{share:.2f} of the way (ceiling {known[2]:.3f})"
    three = [evidence.judged(method, protocol) for method in methods]
    if lacking := _lacking(three, protocol):
        return _missing(evidence, claim, protocol, said, SHARE_RULE, lacking)
    found, top = _estimate(_share, three), _average(three[2], three)
    if np.isnan([found.value, found.low, found.high]).any():
        span = _estimate(lambda _, base, top: top - base, three)
        ours, outcome = f"the ceiling is not surely above the baseline: {_difference(span)}", Outcome.OPEN
    else:
        ours = (
            f"{number(found.value)} of the way ({number(found.low)} to {number(found.high)}; "
            f"{seeds_text(found.seeds)}; ceiling {top:.3f})"
        )
        outcome = side(found, SHARE)
    return Verdict(claim, study, protocol, said, ours + _elsewhere(three, protocol), outcome, SHARE_RULE)


def faster(evidence: Evidence, protocol: str) -> Verdict:
    """The joint model takes less time than pairwise calibration; the one claim that timings decide."""
    claim = "joint is faster than pairwise calibration"
    joint, pairs = (evidence.judged(method, protocol) for method in ("joint", "pairwise"))
    if lacking := _lacking([joint, pairs], protocol, together=False):
        return _missing(evidence, claim, protocol, "faster", TIME_RULE, lacking)
    once, each = _seconds(evidence, joint), _seconds(evidence, pairs)
    targets = dict.fromkeys(batch for _, batch in evidence.lines("joint"))
    one = {t: median(v for line, values in once.items() if line[1] == t for v in values) for t in targets}
    many = {t: sum(median(values) for line, values in each.items() if line[1] == t) for t in targets}
    ratios = [many[t] / one[t] for t in targets]
    longer = [ratio > 1 for ratio in ratios]
    ours = (
        f"joint {median(one.values()):.0f} s, pairwise {median(many.values()):.0f} s, "
        f"{median(ratios):.2g} times as long ({min(ratios):.2g} to {max(ratios):.2g} over target batches)"
    ) + _elsewhere([joint, pairs], protocol)
    return Verdict(claim, evidence.study.name, protocol, "faster", ours, all_or_none(longer), TIME_RULE)


def printed_average(study: str, method: str) -> float | None:
    """Average accuracy of Tables 1b, 2b and 3."""
    return paper_accuracy(study, method).get(("average", "average"))


def _difference(found: Estimate) -> str:
    interval = f"{signed(found.low)} to {signed(found.high)}"
    return f"{signed(found.value)} ({interval}; {seeds_text(found.seeds)})"


def _printed_pair(study: str, other: str) -> tuple[float, float] | None:
    """Averages of joint and another method; of pairwise from Tables 1a and 2a, which have it."""
    table = paper_numbers()
    table = table[
        (table["dataset"] == study) & table["table"].isin(["1a", "2a"]) & (table["metric"] == "ACC")
    ]
    means = table.groupby("method")["value"].mean()
    if other == "pairwise" and other in means:
        return float(means["joint"]), float(means[other])
    joint, second = printed_average(study, "joint"), printed_average(study, other)
    return None if joint is None or second is None else (joint, second)


def _estimate(statistic: Callable[..., FloatArray], methods: Sequence[Judged]) -> Estimate:
    return estimate(statistic, [one.seeds for one in methods], np.random.default_rng(SEED))


def _average(one: Judged, among: Sequence[Judged]) -> float:
    """Average accuracy over the seeds that all the methods have."""
    seeds = shared_seeds([method.seeds for method in among])
    chosen = {seed: one.seeds[seed] for seed in seeds}
    return estimate(lambda a: a, [chosen], np.random.default_rng(SEED), draws=1).value


def _share(joint: FloatArray, baseline: FloatArray, top: FloatArray) -> FloatArray:
    """Share of the way from baseline to ceiling; NaN where the ceiling is not above the baseline."""
    span = top - baseline
    return np.where(span > 0, (joint - baseline) / np.where(span > 0, span, 1), np.nan)


def _seconds(evidence: Evidence, judged: Judged) -> Mapping[tuple[str, str], list[float]]:
    """Line -> seconds of each seed's run; a pairwise run trains a network a target, so each has a part."""
    runs = evidence.runs(judged.method, judged.protocol)
    found: dict[tuple[str, str], list[float]] = {}
    for seed, lines in judged.seeds.items():
        for line in lines:
            result = runs[line[0], seed].result
            parts = len(result["targets"]) if judged.method == "pairwise" else 1
            found.setdefault(line, []).append(result["seconds"]["fit"] / parts)
    return found


def _lacking(methods: Sequence[Judged], protocol: str, together: bool = True) -> str:
    """What keeps the methods from being compared, or nothing. Joint has to be run in this protocol."""
    empty = [m for m in methods if not m.seeds or (m.method == "joint" and m.protocol != protocol)]
    if empty:
        return f"no complete seed of {', '.join(NAMES[m.method] for m in empty)}"
    return "" if not together or shared_seeds([m.seeds for m in methods]) else "no seed in common"


def _elsewhere(methods: Sequence[Judged], protocol: str) -> str:
    other = [NAMES[m.method] for m in methods if m.protocol != protocol]
    return f"; {', '.join(other)} under protocol {FALLBACK}" if other else ""


def _missing(evidence: Evidence, claim: str, protocol: str, said: str, rule: str, why: str) -> Verdict:
    return Verdict(claim, evidence.study.name, protocol, said, why, Outcome.MISSING, rule)
