"""The scores of every method on targets that were drawn to another class mix, or cut into small parts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from calib.data.mix import whole_name
from calib.data.study import FloatArray, IntArray, Study
from calib.evaluation.jackknife import Scored, over_batches, scored
from calib.evaluation.trust import calibration_error
from calib.records.record import Finished
from calib.report.beyond.comparison import method_suffix
from calib.runs.planner import Job

OWN = "own"
"""What ``kind`` says of whole targets; else ``mix``, ``again`` (another draw), ``opposite`` or ``size``."""

KEYS = ("study", "kind", "at", "method", "variant")
"""Columns that name a row; ``at`` is the share of cases or the subjects of a part, NaN for ``own``."""

DRAWN = ("cases_", "again", "opposite")
PART = "_a_part"
"""Names of variants that say how targets are drawn."""


def mix_numbers(jobs: Sequence[Job], finished: Sequence[Finished]) -> pd.DataFrame:
    """Return a row for each study, kind and degree of drawing, and method, of complete sets of runs.

    Columns: ``KEYS``; ``name``; ``uses_target_labels``; ``balanced_accuracy`` and ``auc`` with ``_low`` and
    ``_high`` of 95 % by subject; ``accuracy``; ``calibration_error``; ``runs``.
    """
    records = {one.path: one for one in finished}
    groups: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault((*_drawing(job), str(job.run.config.method.name), variant(job)), []).append(job)
    rows = []
    for key, own in groups.items():
        pairs = [(job, records[job.run.record.path]) for job in own if job.run.record.path in records]
        if len(pairs) == len(own):
            rows.append(dict(zip(KEYS, key, strict=True)) | _row(pairs))
    return pd.DataFrame(rows)


def variant(job: Job) -> str:
    """Return the words of a run's variant that do not say how its targets are drawn."""
    return " ".join(w for w in job.variant.split() if not w.startswith(DRAWN) and not w.endswith(PART))


def _drawing(job: Job) -> tuple[str, str, float]:
    """Return study, kind and degree of a run."""
    mix = job.run.config.mix
    if mix.size is not None:
        return job.run.study.name, "size", float(mix.size)
    if mix.share is None:
        return job.run.study.name, OWN, np.nan
    kind = "opposite" if mix.sources == "opposite" else "again" if mix.draw else "mix"
    return job.run.study.name, kind, float(mix.share)


def _row(pairs: Sequence[tuple[Job, Finished]]) -> dict[str, object]:
    """Return the scores of the runs of one method, mean over target batches, splits and draws."""
    job = pairs[0][0]
    seeds: dict[int, dict[str, list[Scored]]] = {}
    plain: dict[str, list[float]] = {"accuracy": [], "calibration_error": []}
    for one, record in pairs:
        cut = one.run.config.mix.size is not None
        for batch, (p, y, subject) in targets_of(record, one.run.study, cut).items():
            seeds.setdefault(int(one.run.config.seed), {}).setdefault(batch, []).append(scored(p, y, subject))
            plain["accuracy"].append(float((p.argmax(axis=1) == y).mean()))
            plain["calibration_error"].append(calibration_error(p, y))
    label = str(job.run.config.method.card.label)
    row: dict[str, object] = {
        "name": label + _suffix(label, variant(job)),
        "uses_target_labels": job.run.method.uses_target_labels,
        "runs": len(pairs),
    }
    for metric in ("balanced_accuracy", "auc"):
        found = over_batches(seeds, metric, job.run.method.uses_seed and len(seeds) > 1).estimate()
        row |= {metric: found.value, f"{metric}_low": found.low, f"{metric}_high": found.high}
    return row | {name: float(np.mean(values)) for name, values in plain.items()}


def _suffix(label: str, words: str) -> str:
    """Return what the words of a variant add to the name of a method."""
    return ", one model" if words == "one_model" else method_suffix(label, words)


def targets_of(
    record: Finished, study: Study, cut: bool
) -> Mapping[str, tuple[FloatArray, IntArray, np.ndarray | None]]:
    """Return probabilities, classes and subjects of each labelled target; the parts of a cut one together."""
    predictions = record.predictions(study.classes)
    whole = predictions.table["batch"].map(whole_name) if cut else predictions.table["batch"]
    found = {}
    for name in dict.fromkeys(whole):
        part = predictions.rows((whole == name).to_numpy())
        if (part.y < 0).any():
            continue
        subject = part.table["subject"]
        unknown = bool((subject == "").any())
        found[str(name)] = part.probability, part.y, None if unknown else subject.to_numpy(str)
    return found


def estimate_numbers(finished: Iterable[Finished], jobs: Sequence[Job]) -> pd.DataFrame:
    """Return how far off the estimated mix of drawn targets is: a row for each study and share.

    Columns: ``study``, ``share`` (NaN: as they are), ``error`` (root mean square over classes and targets),
    ``covered`` (share of 95 % intervals that hold the truth), ``targets``.
    """
    planned = {job.run.record.path: job for job in jobs}
    seen = {}
    for record in finished:
        job = planned.get(record.path)
        if job is None or job.run.config.mix.size is not None or "class_mix" not in record.result:
            continue
        mix = job.run.config.mix
        for target, found in record.result["class_mix"].items():
            key = (record.result["study"], mix.share, mix.sources, mix.draw, job.run.split.label, target)
            if (counts := record.result["class_counts"].get(target)) is not None:
                seen[key] = list(_errors(found, counts))
    rows = [
        {"study": study, "share": np.nan if share is None else share, "sources": sources, "of": key[-1]}
        | {"error": error, "covered": covered}
        for (study, share, sources, *key), errors in seen.items()
        for error, covered in errors
    ]
    if not rows:
        return pd.DataFrame(columns=["study", "sources", "share", "error", "covered", "targets"])
    grouped = pd.DataFrame(rows).groupby(["study", "sources", "share"], dropna=False, sort=False)
    return grouped.agg(
        error=("error", lambda e: float(np.sqrt(np.square(e).mean()))),
        covered=("covered", "mean"),
        targets=("of", "size"),
    ).reset_index()


def _errors(
    found: Mapping[str, Mapping[str, float]], counts: Mapping[str, int]
) -> Iterator[tuple[float, bool]]:
    """Yield the error of each class's share, and whether its interval holds the truth."""
    total = sum(counts.values())
    for name, one in found.items():
        truth = counts.get(name, 0) / total
        yield one["share"] - truth, one["low"] <= truth <= one["high"]
