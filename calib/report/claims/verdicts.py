"""The verdict on each claim of the paper, decided by a stated rule from run records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from calib.data.study import Study
from calib.evaluation.differential import common_features
from calib.evaluation.significance import holm
from calib.records.record import Finished
from calib.report.claims.accuracy import accuracy_claims
from calib.report.claims.runs import StudyRuns
from calib.report.claims.space import distance_claims, map_claims
from calib.report.exhibits import MISSING, Ruling, Verdict
from calib.report.numbers import MINUS
from calib.report.paper import COHORTS, COMMON_FEATURES, PROTOCOLS

Common = Callable[[Study], int | None]

FEATURES = 5
"""Largest difference from the printed number of common features that still counts as reproduced."""

FEATURES_RULE = (
    f"Reproduced within {FEATURES} of the printed number, else not: our test stands in for BPSC, which gives "
    "83 on the same files."
)
COHORT_RULE = (
    "Reproduced where numbers of samples, and of features where printed, are exactly the printed ones. "
    "Subjects are inferred from the order of the rows, so they are told but do not decide."
)


def verdicts(
    finished: Sequence[Finished],
    studies: Mapping[str, Study],
    protocols: Sequence[str] = PROTOCOLS,
    common: Common = common_features,
) -> list[Verdict]:
    """Return a verdict for each claim, study and protocol; a claim without runs is "not run".

    All tests among them are one family, for which their p values are adjusted.

    Target labels are used here, as in all scoring, to judge finished runs and never to choose.

    Args:
        finished: runs of any study, with their variants; the variant "" has the published values.
        studies: name -> study, with its values as loaded, not scaled.
        protocols: protocols that the claims are judged under.
        common: returns the number of features that are differential in every batch of a study, None where
            nothing can be tested.

    Raises:
        CalibError: two runs are called the same, or a record does not fit its study.
    """
    every: list[Verdict] = []
    for study in studies.values():
        runs = StudyRuns(study, finished)
        every += data_claims(study, common)
        by_protocol = [
            [
                *accuracy_claims(runs, protocol),
                *distance_claims(runs, protocol),
                *map_claims(runs, protocol),
            ]
            for protocol in protocols
        ]
        every += [verdict for same_claim in zip(*by_protocol, strict=True) for verdict in same_claim]
    tests = [verdict.p for verdict in every if verdict.p is not None]
    adjusted = iter(holm(tests).tolist())
    return [v if v.p is None else replace(v, p_holm=next(adjusted)) for v in every]


def data_claims(study: Study, common: Common = common_features) -> list[Verdict]:
    """Return the verdicts on cohort sizes and common differential features, for studies with printed ones.

    Args:
        study: the study.
        common: as of ``verdicts``.
    """
    verdicts = []
    if study.name in COHORTS:
        verdicts.append(_cohort(study))
    if study.name in COMMON_FEATURES:
        verdicts.append(_features(study, common(study)))
    return verdicts


def _cohort(study: Study) -> Verdict:
    """Judge whether a study has the printed numbers of samples and features."""
    cohort = COHORTS[study.name]
    samples = [len(batch) for batch in study.batches.values()]
    if len(cohort.samples) == 1:
        samples = [sum(samples)]
    printed, ours = [f"{_listed(cohort.samples)} samples"], [f"{_listed(samples)} samples"]
    same = samples == list(cohort.samples)
    if cohort.subjects:
        counts = [
            0 if batch.subject is None else len(set(batch.subject.tolist()))
            for batch in study.batches.values()
        ]
        printed.append(f"{_listed(cohort.subjects)} subjects")
        if all(counts) and len(counts) == len(cohort.subjects):
            differences = [a - b for a, b in zip(counts, cohort.subjects, strict=True)]
            texts = [f"{n} ({d:+d})" if d else str(n) for n, d in zip(counts, differences, strict=True)]
            ours.append(f"{', '.join(texts).replace('-', MINUS)} subjects")
        else:
            ours.append("subjects not known")
    if cohort.features is not None:
        printed.append(f"{cohort.features} features")
        ours.append(f"{len(study.features)} features")
        same &= len(study.features) == cohort.features
    outcome = Ruling.YES if same else Ruling.NO
    return Verdict("cohort sizes", study.name, "", "; ".join(printed), "; ".join(ours), outcome, COHORT_RULE)


def _listed(numbers: Sequence[int]) -> str:
    """Return numbers with commas between them."""
    return ", ".join(map(str, numbers))


def _features(study: Study, common: int | None) -> Verdict:
    """Judge whether as many features as printed are differential in every batch."""
    printed = COMMON_FEATURES[study.name]
    claim = f"{printed} features are differential in every batch"
    if common is None:
        return Verdict(claim, study.name, "", str(printed), MISSING, Ruling.MISSING, FEATURES_RULE)
    outcome = Ruling.YES if abs(common - printed) <= FEATURES else Ruling.NO
    ours = f"{common} of {len(study.features)}"
    return Verdict(claim, study.name, "", str(printed), ours, outcome, FEATURES_RULE)
