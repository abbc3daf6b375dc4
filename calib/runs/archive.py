"""The archive of results: what tables and verdicts need of every planned run, small enough for git.

::

    docs/results/archive/<study>/study.zip     labels, subjects and replicates of each batch, once
    docs/results/archive/<study>/<method>.zip  results and predictions of the runs of one method

A run is found by its key, so what was made by another version of a method is never taken for it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from calib.data.study import Batch, Study
from calib.errors import CalibError
from calib.files import safe_name
from calib.records.archive_file import Kept, packed, read_members, rounded, unpacked, write_members
from calib.records.predictions_file import OF_SUBJECTS, PREDICTIONS, read_predictions
from calib.records.record import Finished
from calib.runs.outcome import as_read, predictions, subject_predictions
from calib.runs.planner import Job

OWN = ("files", "checksum", "archived")
"""Keys of a ``result.json`` that belong to its record: its files, and whether they come from the archive."""

ATTRIBUTES = ("y", "subject", "replicate", "names")
"""What the archive keeps of a batch."""


class Archive:
    """The archived runs of a folder; every file is read once.

    Attributes:
        folder: the folder, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs: dict[tuple[str, str], dict[str, Kept]] = {}
        self._studies: dict[str, dict[str, Any]] = {}

    def runs(self, study: str, method: str) -> Mapping[str, Kept]:
        """Return the runs of one method on one study by key; none where nothing is archived.

        Raises:
            DamagedError: the file cannot be read.
        """
        place = study, method
        if place not in self._runs:
            file = self._file(study, method)
            self._runs[place] = unpacked(file) if file.is_file() else {}
        return self._runs[place]

    def find(self, job: Job) -> Kept | None:
        """Return the archived run of a job, or None."""
        return self.runs(job.run.study.name, str(job.run.config.method.name)).get(job.run.key)

    def finished(self, job: Job) -> Finished | None:
        """Return the archived run of a job with its predictions and its names in the plan, or None."""
        kept = self.find(job)
        if kept is None:
            return None
        read = partial(as_read, job.run.study, kept.probability)
        return replace(job.named(kept.result), archived=read)

    def studies(self) -> list[str]:
        """Return the names of the archived studies."""
        return sorted(file.parent.name for file in self.folder.glob("*/study.zip"))

    def facts(self, name: str) -> dict[str, Any]:
        """Return what the archive keeps of a study.

        Its keys are ``classes``, ``features``, ``batches``, ``common`` (the number of features that are
        differential in every batch) and ``data`` (scaling -> ``Run.data``).

        Raises:
            CalibError: the study is not in the archive.
            DamagedError: its file cannot be read.
        """
        if name not in self._studies:
            file = self._file(name, "study")
            if not file.is_file():
                raise CalibError(f"Study '{name}' is not in the archive {self.folder}.")
            self._studies[name] = json.loads(read_members(file)["study.json"])
        return self._studies[name]

    def study(self, name: str, n_sources: int = 2) -> Study:
        """Return an archived study without its measured values.

        Raises:
            CalibError: as ``facts``.
        """
        facts = self.facts(name)
        batches = {batch: _batch(batch, known) for batch, known in facts["batches"].items()}
        return Study(name, batches, facts["features"], facts["classes"], n_sources)

    def load(self, config: DictConfig) -> tuple[Study, dict[str, str]]:
        """Return a configured study without its measured values, and ``Run.data``, for a ``Planner``.

        Raises:
            CalibError: the archive has no run on the study with this scaling.
        """
        name = str(config.dataset.name)
        scaling = f"{config.protocol.transform} {config.protocol.batch_scale}"
        data = self.facts(name)["data"].get(_scaling({"scaling": scaling, "dtype": config.dtype}))
        if data is None:
            raise CalibError(f"The archive has no run on study '{name}' with the scaling '{scaling}'.")
        return self.study(name, config.dataset.n_sources), data

    def add(self, jobs: Iterable[Job], common: Callable[[str], int | None]) -> dict[str, int]:
        """Write the recorded runs of a plan into the archive; runs that the plan no longer has are removed.

        Args:
            jobs: all planned runs.
            common: name of a study -> the number of features that are differential in every batch, or None.

        Returns:
            Study -> number of its archived runs.

        Raises:
            CalibError: the folder cannot be written to.
        """
        plan: dict[str, dict[str, list[Job]]] = {}
        for job in jobs:
            methods = plan.setdefault(job.run.study.name, {})
            methods.setdefault(str(job.run.config.method.name), []).append(job)
        counts = {}
        for study, methods in plan.items():
            kept = {method: self._kept(of_method) for method, of_method in methods.items()}
            counts[study] = sum(map(len, kept.values()))
            if counts[study]:
                self._write_study(study, [job for of in methods.values() for job in of], common(study))
            for method, runs in kept.items():
                if runs:
                    write_members(self._file(study, method), packed(runs))
                    self._runs.pop((study, method), None)
        return counts

    def _kept(self, jobs: Sequence[Job]) -> list[Kept]:
        """Return the runs of one method that are recorded, or else archived, in the order of the plan."""
        found = (_recorded(job) or self.find(job) for job in jobs)
        return [kept for kept in found if kept is not None]

    def _write_study(self, name: str, jobs: Sequence[Job], common: int | None) -> None:
        """Write what is kept of a study."""
        study = jobs[0].run.study
        facts = {
            "classes": list(study.classes),
            "features": list(study.features),
            "common": common,
            "batches": {batch.name: _known(batch) for batch in study.batches.values()},
            "data": {_scaling(job.run.data): job.run.data for job in jobs},
        }
        if not self._file(name, "study").is_file() or self.facts(name) != facts:
            write_members(self._file(name, "study"), {"study.json": json.dumps(facts).encode()})
            self._studies.pop(name, None)

    def _file(self, study: str, name: str) -> Path:
        """Return the file of a study or of one of its methods."""
        return self.folder / safe_name(study) / f"{safe_name(name)}.zip"


def restore(job: Job, kept: Kept) -> None:
    """Lay an archived run out as a record, unless the run is recorded; it lacks losses and calibrated data.

    Raises:
        CalibError: the output folder cannot be written to.
    """
    run = job.run
    with run.record.locked():
        if run.record.is_finished():
            return
        run.record.prepare()
        settings = OmegaConf.merge(run.config, {"split": run.split.label})
        run.record.write_text("config.yaml", OmegaConf.to_yaml(settings, resolve=True))
        run.record.write_table(PREDICTIONS, predictions(run.study, kept.probability), digits=8)
        if len(subjects := subject_predictions(run.study, kept.probability)):
            run.record.write_table(OF_SUBJECTS, subjects, digits=8)
        run.record.finish({**kept.result, "archived": True})


def _recorded(job: Job) -> Kept | None:
    """Return a recorded run as it is archived, or None if it is not recorded."""
    record = job.run.record
    if (result := record.result()) is None:
        return None
    read = read_predictions(record.path / PREDICTIONS, job.run.study.classes)
    answer = pd.Index(list(read.classes)).get_indexer(pd.Index(read.table["predicted"]))
    tied = read.probability.argmax(axis=1) != answer  # equal to the digits of the file
    read.probability[tied, answer[tied]] = np.nextafter(read.probability[tied].max(axis=1), 1)
    probability = {name: read.of_batch(name).probability for name in result["targets"]}
    return Kept(rounded({key: result[key] for key in result if key not in OWN}), probability)


def _scaling(data: Mapping[str, str]) -> str:
    """Return the name of the scaling and number type of a run's data."""
    return f"{data['scaling']} {data['dtype']}"


def _known(batch: Batch) -> dict[str, Any]:
    """Return what the archive keeps of a batch."""
    arrays = {name: getattr(batch, name) for name in ATTRIBUTES}
    return {"n": len(batch)} | {name: a if a is None else a.tolist() for name, a in arrays.items()}


def _batch(name: str, known: Mapping[str, Any]) -> Batch:
    """Return a batch without measured values."""
    arrays = {one: None if known[one] is None else np.array(known[one]) for one in ATTRIBUTES}
    return Batch(name, np.zeros((known["n"], 0), np.float32), **arrays)
