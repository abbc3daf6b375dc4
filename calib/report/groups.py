"""Planned runs by what they have in common: one study, method, protocol and variant, all splits and seeds."""

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
from calib.data.study import FloatArray, Study
from calib.evaluation.intervals import Estimate, Runs, Tally, estimate, shared_seeds, tallies
from calib.files import read_table
from calib.records.record import Finished
from calib.report.claims.accuracy import SEED
from calib.runs.series import Job

SOURCES = "dataset.n_sources="
"""How a variant sets the number of source batches."""

CONVERGED = "training=converged"
"""The variant with learning rates that train D on the pancreas studies."""

ARCSINH = "protocol.transform=arcsinh"
"""The variant on arcsinh(x / 100)."""

CLASSIFIER = "classifier@method.classifier="
LOGISTIC = f"{CLASSIFIER}logistic ~tuned"
"""The variant with logistic regression in D's place."""


@dataclass(frozen=True)
class Setting:
    """The jobs of one study, method, protocol and variant, and those of their records that are there."""

    jobs: Sequence[Job]
    finished: Mapping[Path, Finished]

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.jobs[0].run.config.method.name)

    @property
    def label(self) -> str:
        """The method as tables call it."""
        return str(self.jobs[0].run.config.method.card.label)

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return str(self.jobs[0].run.config.protocol.name)

    @property
    def variant(self) -> str:
        """What is set besides the published values."""
        return self.jobs[0].variant

    def only(self, seeds: Collection[int]) -> "Setting":
        """The part of it with these seeds."""
        return replace(self, jobs=[job for job in self.jobs if int(job.run.config.seed) in seeds])

    @property
    def n_sources(self) -> int:
        """Number of source batches."""
        return len(self.jobs[0].run.split.sources)

    @property
    def besides_sources(self) -> str:
        """The variant without the number of sources."""
        return " ".join(word for word in self.variant.split() if not word.startswith(SOURCES))

    @property
    def uses_target_labels(self) -> bool:
        """Whether it is a reference."""
        return self.jobs[0].run.method.uses_target_labels

    @property
    def averages_replicates(self) -> bool:
        """Whether it gives all measurements of a sample one answer, where they are known."""
        return self.knows_replicates and _anywhere(
            OmegaConf.to_container(self.jobs[0].run.config.method),
            lambda part: (
                part.get("average_replicates") is True
                or str(part.get("_target_")).endswith(".OverReplicates")
            ),
        )

    @property
    def takes_arcsinh(self) -> bool:
        """Whether the method itself takes the arcsinh of its data."""
        method = OmegaConf.to_container(self.jobs[0].run.config.method)
        return _anywhere(method, lambda part: part.get("transform") == "arcsinh")

    @property
    def knows_replicates(self) -> bool:
        """Whether the study says of any batch which rows measure the same."""
        return any(batch.replicate is not None for batch in self.jobs[0].run.study.batches.values())

    @cached_property
    def records(self) -> dict[int, list[tuple[Job, Finished]]]:
        """Seed -> job and record of every split, of the seeds that have them all."""
        by_seed: dict[int, list[Job]] = {}
        for job in self.jobs:
            by_seed.setdefault(int(job.run.config.seed), []).append(job)
        found = {
            seed: [(job, self.finished[p]) for job in jobs if (p := job.run.record.path) in self.finished]
            for seed, jobs in by_seed.items()
        }
        return {seed: pairs for seed, pairs in found.items() if len(pairs) == len(by_seed[seed])}

    @cached_property
    def runs(self) -> Runs:
        """Seed -> split and target with labels -> tally, of the seeds that have every split."""
        return {seed: _lines(pairs) for seed, pairs in self.records.items()}

    @cached_property
    def runs_over_replicates(self) -> Runs:
        """The same where all measurements of a sample get one answer, as ``over_replicates`` has it."""
        if not self.knows_replicates or self.averages_replicates:
            return self.runs
        return {seed: _lines(pairs, together=True) for seed, pairs in self.records.items()}

    def means(self, metric: str) -> list[float]:
        """A metric, averaged over all splits' targets, of each complete seed; NaN where it is not defined."""
        return [
            mean(
                np.nan if (value := f.result["targets"][target].get(metric)) is None else value
                for f, target in lines
            )
            for lines in self._scored.values()
        ]

    @cached_property
    def _scored(self) -> dict[int, list[tuple[Finished, str]]]:
        return {
            seed: [
                (f, t) for _, f in pairs for t, scores in f.result["targets"].items() if "accuracy" in scores
            ]
            for seed, pairs in self.records.items()
        }


def settings(jobs: Iterable[Job], finished: Iterable[Finished]) -> list[Setting]:
    """The settings of one study's jobs, in their order."""
    found = {one.path: one for one in finished}
    groups: dict[tuple[str, str, str], list[Job]] = {}
    for job in jobs:
        config = job.run.config
        groups.setdefault((str(config.method.name), str(config.protocol.name), job.variant), []).append(job)
    return [Setting(group, found) for group in groups.values()]


def average(runs: Runs) -> Estimate | None:
    """Accuracy, averaged over target batches, with its interval; None without a complete seed."""
    return estimate(_same, [runs], np.random.default_rng(SEED)) if runs else None


def difference(one: Runs, other: Runs, alone: bool = False) -> Estimate | None:
    """Accuracy of one minus that of the other, paired by subject and seed; None without a common seed.

    Args:
        alone: whether a single seed of the one is compared with every seed of the other, as for methods
            to which the seed does not matter.
    """
    if alone and len(one) == 1:
        one = dict.fromkeys(other, next(iter(one.values())))
    if not shared_seeds([one, other]):
        return None
    return estimate(_minus, [one, other], np.random.default_rng(SEED))


def _same(values: FloatArray) -> FloatArray:
    return values


def _minus(a: FloatArray, b: FloatArray) -> FloatArray:
    return a - b


def _lines(pairs: Sequence[tuple[Job, Finished]], together: bool = False) -> dict[tuple[str, str], Tally]:
    lines: dict[tuple[str, str], Tally] = {}
    for job, one in pairs:
        used = _USED + ([f"p_{name}" for name in job.run.study.classes] if together else [])
        table = read_table(one.path / "predictions.csv", dtype=str, keep_default_na=False, usecols=used)
        if together:
            table = pd.concat([_together(part, job.run.study) for _, part in table.groupby("batch")])
        lines |= {(job.run.split.label, batch): tally for batch, tally in tallies(table).items()}
    return lines


_USED = ["batch", "row", "subject", "label", "predicted"]


def _together(predictions: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Predictions of one batch with the same answer to all measurements of a sample."""
    replicate = study.batches[predictions["batch"].iloc[0]].replicate
    if replicate is None:
        return predictions
    each = predictions[[f"p_{name}" for name in study.classes]].to_numpy(dtype=float)
    answers = over_replicates(each, replicate[predictions["row"].astype(int)]).argmax(axis=1)
    return predictions.assign(predicted=np.array(study.classes)[answers])


def _anywhere(node: Any, told: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether a part of a method's settings says so."""
    return isinstance(node, dict) and (told(node) or any(_anywhere(part, told) for part in node.values()))
