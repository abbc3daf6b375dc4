"""What reproduced: a verdict on each claim of the paper, decided by a stated rule on run records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from calib.data.study import Study
from calib.errors import CalibError
from calib.evaluation.differential import differential, overlaps, p_values
from calib.evaluation.intervals import DRAWS
from calib.records.record import Finished
from calib.report.claims.accuracy import accuracy_claims
from calib.report.claims.evidence import Evidence
from calib.report.claims.space import distance_claims, map_claims
from calib.report.exhibits import MISSING, Outcome, Table, Verdict
from calib.report.paper import COHORTS, COMMON_FEATURES, PROTOCOLS

FEATURES = 5
"""How many common features more or less are still the printed number."""

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
    silhouettes: Mapping[Path, Mapping[str, float]] | None = None,
    protocols: Sequence[str] = PROTOCOLS,
) -> list[Verdict]:
    """One verdict a claim, study and protocol; what has not been run is called so.

    Target labels enter here as everywhere in scoring: after the fact, to judge and never to choose.

    Args:
        finished: runs of any study, with their variants; "" stands for the published values.
        studies: name -> study, with its values as loaded, not scaled.
        silhouettes: folder of a record -> its mean silhouettes by ``batch`` and by ``class``, as
            ``tsne.record_map`` gives them; runs that are not in it are left out of the claims on maps.

    Raises:
        CalibError: two runs are called the same, or a record does not fit its study.
    """
    found = []
    for study in studies.values():
        evidence = Evidence(study, finished)
        found += data_claims(study)
        by_protocol = [
            [
                *accuracy_claims(evidence, protocol),
                *distance_claims(evidence, protocol),
                *map_claims(evidence, protocol, silhouettes or {}),
            ]
            for protocol in protocols
        ]
        found += [verdict for same_claim in zip(*by_protocol, strict=True) for verdict in same_claim]
    return found


def data_claims(study: Study) -> list[Verdict]:
    """Cohort sizes and common differential features, where the paper prints them."""
    verdicts = []
    if study.name in COHORTS:
        verdicts.append(_cohort(study))
    if study.name in COMMON_FEATURES:
        verdicts.append(_features(study))
    return verdicts


def _cohort(study: Study) -> Verdict:
    printed = COHORTS[study.name]
    samples = [len(batch) for batch in study.batches.values()]
    if len(printed.samples) == 1:
        samples = [sum(samples)]
    said, ours = [f"{_listed(printed.samples)} samples"], [f"{_listed(samples)} samples"]
    same = samples == list(printed.samples)
    if printed.subjects:
        counts = [
            0 if batch.subject is None else len(set(batch.subject.tolist()))
            for batch in study.batches.values()
        ]
        said.append(f"{_listed(printed.subjects)} subjects")
        if all(counts) and len(counts) == len(printed.subjects):
            differences = [a - b for a, b in zip(counts, printed.subjects, strict=True)]
            told = [f"{n} ({d:+d})" if d else str(n) for n, d in zip(counts, differences, strict=True)]
            ours.append(f"{', '.join(told).replace('-', '−')} subjects")
        else:
            ours.append("subjects not known")
    if printed.features is not None:
        said.append(f"{printed.features} features")
        ours.append(f"{len(study.features)} features")
        same &= len(study.features) == printed.features
    outcome = Outcome.YES if same else Outcome.NO
    return Verdict("cohort sizes", study.name, "", "; ".join(said), "; ".join(ours), outcome, COHORT_RULE)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _features(study: Study) -> Verdict:
    printed = COMMON_FEATURES[study.name]
    claim = f"{printed} features are differential in every batch"
    try:
        counts = overlaps(differential(p_values(study)))
    except CalibError:  # a batch or class is lacking: nothing to count
        return Verdict(claim, study.name, "", str(printed), MISSING, Outcome.MISSING, FEATURES_RULE)
    common = next(iter(counts.values()))
    outcome = Outcome.YES if abs(common - printed) <= FEATURES else Outcome.NO
    ours = f"{common} of {len(study.features)}"
    return Verdict(claim, study.name, "", str(printed), ours, outcome, FEATURES_RULE)


def claims_table(found: Sequence[Verdict]) -> Table:
    """The verdicts as a table: a line a study and claim, ours and the verdict for each protocol.

    Verdicts that no protocol changes stand in the first. The rules are numbered in the caption.
    """
    protocols = list(dict.fromkeys(v.protocol for v in found if v.protocol)) or [""]
    rules = {rule: number for number, rule in enumerate(dict.fromkeys(v.rule for v in found), start=1)}
    lines: dict[tuple[str, str], dict[str, Verdict]] = {}
    for verdict in found:
        line = lines.setdefault((verdict.study, verdict.claim), {})
        line[verdict.protocol or protocols[0]] = verdict
    rows = []
    for (study, claim), line in lines.items():
        first = next(iter(line.values()))
        cells = [
            text for p in protocols for text in ((line[p].ours, line[p].outcome) if p in line else ("", ""))
        ]
        rows.append([study, claim, first.printed, *cells, str(rules[first.rule])])
    counts = [f"{n} {outcome}" for outcome in Outcome if (n := sum(v.outcome == outcome for v in found))]
    caption = (
        f"{', '.join(counts)}, of {len(found)}. Accuracies are means over target batches of the mean over "
        f"their splits, at sample level; in brackets the 95 % interval of {DRAWS} bootstrap draws of whole "
        "subjects and, where there are at least two, of seeds: with 1 seed it holds no variation between "
        "trainings. Methods are paired by subject and seed, and only seeds with every split count. "
        + " ".join(f"Rule {number}: {rule}" for rule, number in rules.items())
    )
    heads = ["study", "claim", "printed"]
    heads += [head for p in protocols for head in (f"ours, {p}" if p else "ours", "verdict")]
    numbers = pd.DataFrame([asdict(v) | {"outcome": str(v.outcome)} for v in found])
    return Table("claims", "What reproduced", caption, [*heads, "rule"], rows, numbers)
