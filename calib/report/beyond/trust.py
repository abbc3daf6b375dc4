"""Whether probabilities can be trusted, before and after a temperature from source labels alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from calib.data.study import FloatArray, IntArray
from calib.evaluation.trust import (
    accuracy_at,
    area_under_risk,
    brier,
    calibration_error,
    log_loss,
    temperature,
    tempered,
)
from calib.records.record import Finished
from calib.report.exhibits import MISSING, Table
from calib.report.groups import Group
from calib.report.numbers import count, number
from calib.report.paper import spelled

TRUSTED = ("baseline", "joint", "joint_plus", "standardise_network")
"""Methods whose probabilities are judged, under the protocol of the text."""

PROTOCOL = "paper"

Answers = tuple[FloatArray, IntArray]
"""Probabilities ``(samples, classes)`` and true class indices ``(samples,)`` of one target batch."""

METRICS: Mapping[str, Callable[[FloatArray, IntArray], float]] = {
    "brier": brier,
    "calibration_error": calibration_error,
    "log_loss": log_loss,
    "accuracy": lambda p, y: accuracy_at(p, y, 1.0),
    "accuracy_90": lambda p, y: accuracy_at(p, y, 0.9),
    "accuracy_80": lambda p, y: accuracy_at(p, y, 0.8),
    "area": area_under_risk,
}
HEADS = ("Brier", "ECE", "NLL", "accuracy", "at 90 %", "at 80 %", "risk area")

CAPTION = (
    "At sample level, mean over all splits' targets and seeds. Brier score (sum over classes), expected "
    "calibration error (15 bins), negative log-likelihood (nats), accuracy of all samples and of the 90 % "
    "and 80 % answered most confidently, mean risk over all coverages. Temperature: of each split and seed "
    "the one number that fits best where each source in turn is judged by a model trained on the others; no "
    "label of a target is used. Within a split it leaves predictions as they are. "
    "With one source less those models know less, so they may be less sure or less right than the one that "
    "is corrected."
)


@dataclass(frozen=True)
class Trusted:
    """The probabilities of one method, before and after a temperature.

    Attributes:
        group: the method's runs.
        answers: seed -> probabilities of its target batches as the method gives them.
        corrected: seed -> the same after temperature, for the seeds with all runs on fewer sources.
        temperatures: temperature of each split and seed.
    """

    group: Group
    answers: Mapping[int, Sequence[Answers]]
    corrected: Mapping[int, Sequence[Answers]]
    temperatures: Sequence[float]


def trusted(groups: Sequence[Group]) -> list[Trusted]:
    """Return the methods of ``TRUSTED`` that have a complete seed, in that order."""
    by_method = {g.method: g for g in groups if g.protocol == PROTOCOL and not g.variant}
    chosen = [group for name in TRUSTED if (group := by_method.get(name)) and group.runs]
    return [_trusted(group, groups) for group in chosen]


def _trusted(group: Group, groups: Sequence[Group]) -> Trusted:
    """Return the probabilities of one method, read from its records."""
    on_fewer = _on_fewer_sources(group, groups)
    answers: dict[int, list[Answers]] = {}
    corrected: dict[int, list[Answers]] = {}
    temperatures = []
    for seed, pairs in group.records.items():
        fitted = {}
        for job, _ in pairs:
            left_out = _left_out(group, on_fewer, seed, job.run.split.sources)
            if left_out is not None:
                fitted[job.run.split.label] = temperature(
                    np.concatenate([p for p, _ in left_out]), np.concatenate([y for _, y in left_out])
                )
        targets = [
            (job.run.split.label, part)
            for job, record in pairs
            for part in _answers(record, group, job.run.split.targets).values()
        ]
        answers[seed] = [part for _, part in targets]
        if len(fitted) == len(pairs):
            corrected[seed] = [(tempered(p, fitted[split]), y) for split, (p, y) in targets]
            temperatures += list(fitted.values())
    return Trusted(group, answers, corrected, temperatures)


def _on_fewer_sources(group: Group, groups: Sequence[Group]) -> dict[tuple[int, frozenset[str]], Finished]:
    """Return seed and sources -> record, for the runs that differ from the group's in their sources only."""
    setting = (group.method, group.protocol, group.numberless_variant)
    return {
        (int(job.run.config.seed), frozenset(job.run.split.sources)): other.finished[path]
        for other in groups
        if (other.method, other.protocol, other.numberless_variant) == setting
        for job in other.jobs
        if (path := job.run.record.path) in other.finished
    }


def _left_out(
    group: Group,
    on_fewer: Mapping[tuple[int, frozenset[str]], Finished],
    seed: int,
    sources: Sequence[str],
) -> list[Answers] | None:
    """Return the answers for each source of the model trained on the others; None if a run is missing."""
    parts = []
    for source in sources:
        record = on_fewer.get((seed, frozenset(sources) - {source}))
        part = _answers(record, group, [source]).get(source) if record else None
        if part is None:
            return None
        parts.append(part)
    return parts


def _answers(record: Finished, group: Group, batches: Sequence[str]) -> dict[str, Answers]:
    """Return the recorded probabilities and the true classes of the batches that have labels."""
    read = record.predictions(group.study.classes, ("batch", "label"))
    parts = {batch: read.of_batch(batch) for batch in batches}
    labelled = {batch: part for batch, part in parts.items() if len(part.y) and (part.y >= 0).all()}
    return {batch: (part.probability, part.y) for batch, part in labelled.items()}


def trust_numbers(study: str, methods: Sequence[Trusted]) -> pd.DataFrame:
    """Return two rows for each method, before and after temperature; NaN where the latter is missing."""
    rows = []
    for method in methods:
        for kind, answers, fitted in (
            ("as it answers", method.answers, [1.0]),
            ("after temperature", method.corrected, method.temperatures),
        ):
            rows.append(
                {
                    "study": study,
                    "method": method.group.method,
                    "label": method.group.label,
                    "probabilities": kind,
                    "seeds": len(answers),
                    **{name: _mean(metric, answers) for name, metric in METRICS.items()},
                    "temperature_low": min(fitted, default=np.nan),
                    "temperature_high": max(fitted, default=np.nan),
                }
            )
    return pd.DataFrame(rows)


def _mean(metric: Callable[[FloatArray, IntArray], float], answers: Mapping[int, Sequence[Answers]]) -> float:
    """Return a metric, averaged over target batches and then over seeds; NaN without any seed."""
    by_seed = [np.mean([metric(p, y) for p, y in parts]) for parts in answers.values()]
    return float(np.mean(by_seed)) if by_seed else np.nan


def trust_table(study: str, numbers: pd.DataFrame) -> Table:
    """Return the numbers of ``trust_numbers`` as a table."""
    rows = []
    for row in numbers.to_dict("records"):
        low, high = number(row["temperature_low"], 2), number(row["temperature_high"], 2)
        span = (
            low if row["temperature_low"] == row["temperature_high"] or low == MISSING else f"{low} to {high}"
        )
        metrics = [number(row[name]) for name in METRICS]
        rows.append([row["label"], row["probabilities"], *metrics, span, count(row["seeds"])])
    heads = ["method", "probabilities", *HEADS, "temperature", "seeds"]
    title, command = (
        f"{spelled(study)}: may a prediction be trusted?",
        f"make reproduce-all STUDIES={study} SERIES=paper,beyond,trust",
    )
    return Table(f"trust_{study}", title, CAPTION, heads, rows, numbers, command)
