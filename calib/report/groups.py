"""Groups of planned runs: all splits and seeds of one study, method, protocol and variant."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from calib.data.replicates import over_replicates
from calib.data.study import Study
from calib.evaluation.intervals import Estimate, paired
from calib.evaluation.tallies import Runs, Tally, shared_seeds, tallies
from calib.records.predictions_file import Predictions
from calib.records.record import Finished
from calib.runs.planner import Job
from calib.runs.selection import selection
from calib.runs.series import Place

CONVERGED, ARCSINH, WEIGHT_1 = "converged", "arcsinh", "weight_1"
LOGISTIC, LOGISTIC_CV, SVM_CV = "logistic", "logistic_cv", "svm_cv"
"""Names of variants in conf/reproduce.yaml."""

CLASSIFIERS = {
    LOGISTIC: "logistic regression",
    LOGISTIC_CV: "logistic regression, C chosen",
    SVM_CV: "SVM, C chosen",
}
"""Variant that exchanges the classifier -> the classifier's name in tables."""

NUMBERS = ("_source", "_sources", "_subjects")
"""Ends of the names of variants that set a number of source batches or of subjects, and nothing else."""


@dataclass(frozen=True)
class Group:
    """The jobs of one study, method, protocol and variant, and their records.

    Attributes:
        jobs: the planned runs.
        finished: folder of a record -> the finished run, for runs of this and other groups.
    """

    jobs: Sequence[Job]
    finished: Mapping[Path, Finished]

    @property
    def study(self) -> Study:
        """Return the study, scaled as the protocol says."""
        return self.jobs[0].run.study

    @property
    def method(self) -> str:
        """Return the name of the method."""
        return str(self.jobs[0].run.config.method.name)

    @property
    def label(self) -> str:
        """Return the method's name in tables."""
        return str(self.jobs[0].run.config.method.card.label)

    @property
    def protocol(self) -> str:
        """Return the name of the protocol."""
        return str(self.jobs[0].run.config.protocol.name)

    @property
    def variant(self) -> str:
        """Return the words that say what is set beside the published values."""
        return self.jobs[0].variant

    @property
    def numberless_variant(self) -> str:
        """Return the variant without the words that set a number of sources or of subjects."""
        return " ".join(word for word in self.variant.split() if not word.endswith(NUMBERS))

    @property
    def places(self) -> list[Place]:
        """Return the steps of walks that the group is, each once."""
        return list(dict.fromkeys(place for job in self.jobs for place in job.places))

    def at(self, place: Place) -> "Group":
        """Return the part of the group that is a step of a walk, with the walk's seeds."""
        return replace(self, jobs=[job for job in self.jobs if place in job.places])

    def only(self, seeds: Collection[int]) -> "Group":
        """Return the part of the group with these seeds."""
        return replace(self, jobs=[job for job in self.jobs if int(job.run.config.seed) in seeds])

    @property
    def n_sources(self) -> int:
        """Return the number of source batches."""
        return len(self.jobs[0].run.split.sources)

    @property
    def uses_target_labels(self) -> bool:
        """Return whether the method uses target labels, so that it is a reference only."""
        return self.jobs[0].run.method.uses_target_labels

    @property
    def uses_seed(self) -> bool:
        """Return whether the seed can change a result of the method."""
        return self.jobs[0].run.method.uses_seed

    @property
    def chosen_by(self) -> str:
        """Return how the settings were chosen, in a word of ``selection.CHOSEN_BY``."""
        return selection(self.jobs[0].run.config).chosen_by

    @property
    def averages_replicates(self) -> bool:
        """Return whether the method gives all measurements of a sample one answer, if they are known."""
        return self.knows_replicates and self.jobs[0].run.method.joins_replicates

    @property
    def takes_arcsinh(self) -> bool:
        """Return whether the method takes the arcsinh of its data."""
        method = OmegaConf.to_container(self.jobs[0].run.config.method)
        return _any_part(method, lambda part: part.get("transform") == "arcsinh")

    @property
    def knows_replicates(self) -> bool:
        """Return whether the study knows of any batch which rows measure the same sample."""
        return any(batch.replicate is not None for batch in self.study.batches.values())

    @cached_property
    def records(self) -> dict[int, list[tuple[Job, Finished]]]:
        """Return job and record of every split by seed, for the seeds that have them all."""
        by_seed: dict[int, list[Job]] = {}
        for job in self.jobs:
            by_seed.setdefault(int(job.run.config.seed), []).append(job)
        recorded = {
            seed: [(job, self.finished[p]) for job in jobs if (p := job.run.record.path) in self.finished]
            for seed, jobs in by_seed.items()
        }
        return {seed: pairs for seed, pairs in recorded.items() if len(pairs) == len(by_seed[seed])}

    @cached_property
    def runs(self) -> Runs:
        """Return the tallies of every split and labelled target, for the seeds that have every split."""
        return self._runs(together=False)

    @cached_property
    def runs_over_replicates(self) -> Runs:
        """Return ``runs`` with one answer for all measurements of a sample (``over_replicates``)."""
        if not self.knows_replicates or self.averages_replicates:
            return self.runs
        return self._runs(together=True)

    def _runs(self, together: bool) -> Runs:
        """Return the tallies of the complete seeds; ``together`` as in ``_tallies``."""
        return Runs({seed: _tallies(pairs, together) for seed, pairs in self.records.items()}, self.uses_seed)

    def means(self, metric: str) -> list[float]:
        """Return a metric of each complete seed, averaged over all splits' targets; NaN if undefined."""
        return [
            mean(
                np.nan if (value := record.result["targets"][target].get(metric)) is None else value
                for record, target in lines
            )
            for lines in self._scored.values()
        ]

    def extremes(self, metric: str) -> tuple[float, float]:
        """Return the lowest and the highest of the targets' means over splits and seeds; NaN without any."""
        by_target: dict[str, list[float]] = {}
        for lines in self._scored.values():
            for record, target in lines:
                value = record.result["targets"][target].get(metric)
                by_target.setdefault(target, []).append(np.nan if value is None else value)
        means = [mean(values) for values in by_target.values()]
        return min(means, default=np.nan), max(means, default=np.nan)

    @cached_property
    def _scored(self) -> dict[int, list[tuple[Finished, str]]]:
        """Return record and target of every score by seed."""
        return {
            seed: [
                (record, target)
                for _, record in pairs
                for target, scores in record.result["targets"].items()
                if "accuracy" in scores
            ]
            for seed, pairs in self.records.items()
        }


def group_jobs(jobs: Iterable[Job], finished: Iterable[Finished]) -> list[Group]:
    """Group one study's jobs by method, protocol and variant, in their order."""
    records = {record.path: record for record in finished}
    groups: dict[tuple[str, str, str], list[Job]] = {}
    for job in jobs:
        config = job.run.config
        groups.setdefault((str(config.method.name), str(config.protocol.name), job.variant), []).append(job)
    return [Group(group, records) for group in groups.values()]


def average(runs: Runs) -> Estimate | None:
    """Return the accuracy, averaged over target batches, with its interval; None without a complete seed."""
    return paired([runs]).accuracy() if runs else None


def difference(minuend: Runs, subtrahend: Runs) -> Estimate | None:
    """Return the difference of two accuracies, paired by subject and seed; None without a common seed."""
    methods = [minuend, subtrahend]
    return paired(methods).contrast(1, -1) if shared_seeds(methods) else None


def _tallies(pairs: Sequence[tuple[Job, Finished]], together: bool) -> dict[tuple[str, str], Tally]:
    """Return the tally of each split and target batch.

    Args:
        pairs: jobs and their records.
        together: whether all measurements of a sample get one answer.
    """
    lines: dict[tuple[str, str], Tally] = {}
    for job, record in pairs:
        study = job.run.study
        if together:
            whole = record.predictions(study.classes)
            parts = [
                (whole.of_batch(name), study.batches[name]) for name in sorted(set(whole.table["batch"]))
            ]
            answered = tallies(pd.concat([_one_answer(part, batch.replicate) for part, batch in parts]))
        else:
            answered = record.tallies
        lines |= {(job.run.split.label, batch): tally for batch, tally in answered.items()}
    return lines


def _one_answer(part: Predictions, replicate: Any) -> pd.DataFrame:
    """Return the predictions of one batch with the same answer to all measurements of a sample."""
    if replicate is None:
        return part.table
    rows = part.table["row"].astype(int).to_numpy()
    answers = over_replicates(part.probability, replicate[rows]).argmax(axis=1)
    return part.table.assign(predicted=np.array(part.classes)[answers])


def _any_part(node: Any, holds: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Return whether something holds for any part of a method's settings."""
    return isinstance(node, dict) and (holds(node) or any(_any_part(part, holds) for part in node.values()))
