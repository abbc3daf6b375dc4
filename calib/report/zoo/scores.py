"""The scores of every method on every study that the section compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import t as student

from calib.data.replicates import over_replicates
from calib.data.study import Study
from calib.evaluation.intervals import Estimate
from calib.evaluation.jackknife import METRICS, Metric, Scored, over_batches, scored
from calib.records.record import ERROR, Finished
from calib.report.beyond.comparison import AGAIN, method_suffix
from calib.report.groups import LOGISTIC, Group

HEADS = {"balanced_accuracy": "balanced accuracy", "mcc": "MCC", "auc": "AUC"}
"""Metric -> its name in tables."""

UNCALIBRATED = ("baseline", LOGISTIC)
"""Method and variant of "no calibration": logistic regression on the scale of the sources."""

PROTOCOL = "paper"

Key = tuple[str, str]
"""Method and variant."""


@dataclass(frozen=True)
class Entry:
    """One method on one study.

    Attributes:
        group: its runs.
        metrics: metric -> its values; empty without a complete seed.
    """

    group: Group
    metrics: Mapping[str, Metric]

    @property
    def key(self) -> Key:
        """Return method and variant."""
        return self.group.method, self.group.variant

    @cached_property
    def name(self) -> str:
        """Return the name in tables, with a mark where target labels are used."""
        mark = " †" * self.group.uses_target_labels
        return f"{self.group.label}{method_suffix(self.group.label, self.group.variant)}{mark}"

    @property
    def seconds(self) -> float:
        """Return the mean seconds of a run, its share of a stored correction included."""
        every = [one.result["seconds"]["total"] for pairs in self.group.records.values() for _, one in pairs]
        return float(np.mean(every)) if every else np.nan

    @property
    def refusal(self) -> str:
        """Return why a run failed, in the words of its record; "" where none did."""
        for job in self.group.jobs:
            file = job.run.record.path / ERROR
            if job.run.record.path not in self.group.finished and file.is_file():
                return " ".join(file.read_text(encoding="utf-8").split())
        return ""


def entries(groups: Sequence[Group]) -> list[Entry]:
    """Return the compared methods of one study: as published, and with logistic regression in place of D."""
    shown = [
        group
        for group in groups
        if group.protocol == PROTOCOL and group.variant in ("", LOGISTIC) and group.method != AGAIN
    ]
    return [Entry(group, _metrics(group)) for group in shown]


def uncalibrated(methods: Sequence[Entry]) -> Entry | None:
    """Return no calibration among the methods of a study, or None where it has no complete seed."""
    return next((one for one in methods if one.key == UNCALIBRATED and one.metrics), None)


def over_replicates_too(entry: Entry) -> Entry:
    """Return a method with one answer for all measurements of a sample, where these are known."""
    group = entry.group
    if not entry.metrics or not group.knows_replicates or group.averages_replicates:
        return entry
    return Entry(group, _metrics(group, together=True))


def _metrics(group: Group, together: bool = False) -> dict[str, Metric]:
    """Return the metrics of a method's complete seeds; ``together`` as in ``_of_run``."""
    runs: dict[int, dict[str, list[Scored]]] = {}
    for seed, pairs in group.records.items():
        runs[seed] = {}
        for job, record in pairs:
            for batch, found in _of_run(record, job.run.study, together).items():
                runs[seed].setdefault(batch, []).append(found)
    runs = {seed: batches for seed, batches in runs.items() if batches}
    return {metric: over_batches(runs, metric, group.uses_seed) for metric in METRICS} if runs else {}


def _of_run(record: Finished, study: Study, together: bool) -> dict[str, Scored]:
    """Return the metrics of every labelled target of a run.

    Args:
        record: the run.
        study: its study.
        together: whether all measurements of a sample get one answer.
    """
    predictions = record.predictions(study.classes)
    found = {}
    for name in dict.fromkeys(predictions.table["batch"]):
        part = predictions.of_batch(name)
        if (part.y < 0).any():
            continue
        probability, subject = part.probability, part.table["subject"]
        replicate = study.batches[name].replicate if together else None
        if replicate is not None:
            rows = part.table["row"].astype(int).to_numpy()
            probability = over_replicates(probability, np.asarray(replicate)[rows])
        unknown = bool((subject == "").any())
        found[str(name)] = scored(probability, part.y, None if unknown else subject.to_numpy(str))
    return found


def score_numbers(studies: Mapping[str, Sequence[Entry]], parts: Mapping[str, str]) -> pd.DataFrame:
    """Return a row for each study and method: metrics with intervals, and the gain over no calibration.

    Args:
        studies: name of a study -> its methods.
        parts: name of a study -> the part of conf/zoo.yaml that has it.
    """
    rows = []
    for study, methods in studies.items():
        none = uncalibrated(methods)
        for entry in methods:
            if not entry.metrics:
                continue
            row: dict[str, object] = {
                "study": study,
                "part": parts.get(study, "paper"),
                "method": entry.group.method,
                "variant": entry.group.variant,
                "name": entry.name,
                "uses_target_labels": entry.group.uses_target_labels,
                "seeds": len(entry.group.records),
                "uses_seed": entry.group.uses_seed,
                "seconds": entry.seconds,
            }
            row["p_chance"] = _p_above(
                entry.metrics["balanced_accuracy"].estimate(), chance(entry.group.study)
            )
            for metric in METRICS:
                row |= _columns(metric, entry.metrics[metric].estimate())
                apart = none and none is not entry and entry.metrics[metric].minus(none.metrics[metric])
                row |= _columns(f"{metric}_gain", apart.estimate() if apart else None)
            rows.append(row)
    return pd.DataFrame(rows)


def _columns(name: str, estimate: Estimate | None) -> dict[str, float]:
    """Return an estimate as columns that begin with a name; NaN without one."""
    numbers = (estimate.value, estimate.low, estimate.high) if estimate else (np.nan,) * 3
    return dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))


def _p_above(estimate: Estimate, level: float) -> float:
    """Return the one-sided p of a value above a level; 0 or 1 where there is no error."""
    if not estimate.error:
        return float(estimate.value <= level)
    return float(student.sf((estimate.value - level) / estimate.error, estimate.degrees))


def chance(study: Study) -> float:
    """Return the balanced accuracy of guessing: the mean over batches of one by their number of classes."""
    kinds = [len(np.unique(batch.y)) for batch in study.batches.values() if batch.y is not None]
    return float(np.mean([1 / count for count in kinds]))
