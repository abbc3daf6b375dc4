"""The calls for plates without labels: one training on all labelled plates by the chosen method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from calib.data.matrix import dense
from calib.data.split import split_by_name
from calib.data.study import FloatArray, Study
from calib.errors import CalibError
from calib.files import read_arrays
from calib.plates.answer import Design, Trust
from calib.plates.carry_out import carry_out
from calib.plates.compare import blank_plates, labelled_plates, make_job, replicated
from calib.plates.methods import Compared
from calib.plates.options import Request
from calib.plates.trust import calls_of
from calib.plates.units import unit_probability
from calib.records.predictions_file import CALIBRATED, PROBABILITY
from calib.runs.method_table import read
from calib.runs.models import MODEL
from calib.runs.outcome import ABSTAINED
from calib.runs.planner import Job

SHOWN = 4000
"""Most samples of the map; of more, as many of them at random."""


@dataclass(frozen=True)
class Called:
    """What the chosen method says of the plates without labels.

    Attributes:
        samples, subjects: as ``Answer.calls`` and ``Answer.subject_calls``.
        map: as ``Answer.map``.
        warnings: sentences of the run.
        result: content of the run's ``result.json``; empty without such plates.
        model: the saved model, None where the method has none to save.
    """

    samples: pd.DataFrame
    subjects: pd.DataFrame
    map: pd.DataFrame
    warnings: Sequence[str]
    result: Mapping[str, Any]
    model: Path | None = None


MAP = ("x", "y", "plate", "sample", "known", "call")
"""Columns of the map."""


def nothing(classes: Sequence[str]) -> Called:
    """Return what is said where no plate is without labels: tables without rows."""
    said = (
        "call",
        "answer",
        "set",
        *(f"{kind}{name}" for kind in (PROBABILITY, CALIBRATED) for name in classes),
    )
    samples = pd.DataFrame(columns=["plate", "sample", "subject", *said])
    subjects = pd.DataFrame(columns=["plate", "subject", "samples", *said])
    return Called(samples, subjects, pd.DataFrame(columns=list(MAP)), (), {})


def flagged(called: Called, design: Design) -> Called:
    """Return calls with what is unusual about a sample, and with how far a subject's samples agree.

    ``unusual`` says whether a sample, or one of a subject, lies far from its plate (``outlying_samples``).
    ``agree`` is the share of a subject's samples that are called as the subject is.
    """
    samples, subjects = called.samples.copy(), called.subjects.copy()
    if samples.empty:
        return called
    table = design.tables["outlying_samples"]
    far = set(zip(table["plate"], table["sample"], strict=True))
    samples["unusual"] = [
        (plate, name.strip("'")) in far or (plate, f"sample {name}") in far  # as the check has names, numbers
        for plate, name in zip(samples["plate"], samples["sample"].astype(str), strict=True)
    ]
    if len(subjects):
        by_subject = dict(iter(samples.groupby(["plate", "subject"])))
        own = [by_subject[key] for key in zip(subjects["plate"], subjects["subject"], strict=True)]
        subjects["agree"] = [
            (one["call"] == said).mean() for one, said in zip(own, subjects["call"], strict=True)
        ]
        subjects["unusual"] = [bool(one["unusual"].any()) for one in own]
    return replace(called, samples=samples, subjects=subjects)


def call(
    request: Request, study: Study, method: Compared, trust: Trust | None, of_samples: Trust | None
) -> Called:
    """Train the chosen method on all labelled plates, and answer the plates without labels.

    Args:
        request: what is asked.
        study: the study.
        method: the chosen method.
        trust: what the labelled plates have set; None: nothing is answered, since no error can be stated.
        of_samples: the same for single samples.

    Raises:
        CalibError: the run has failed.
    """
    blank = blank_plates(study)
    if not blank:
        return nothing(study.classes)
    saves = next(row["saved"] for row in read() if f"method={row['name']}" == method.overrides[0]) == "yes"
    split = split_by_name(labelled_plates(study), blank, study)
    job = make_job(request, method, split, *(["save_model=true"] if saves else []))
    model = job.run.record.path / MODEL
    for reason in carry_out([[job]], 1).values():
        raise CalibError(f"The chosen method, {method.label}, could not answer the blank plates: {reason}")
    finished = job.finished
    assert finished is not None
    probability = finished.predictions(study.classes)
    by_plate = {name: probability.of_batch(name).probability.astype(np.float64) for name in blank}
    samples, subjects = _samples(study, by_plate, of_samples), _subjects(study, by_plate, trust)
    return Called(
        samples,
        subjects,
        _map(job, study, samples, request.seed),
        [str(one["text"]) for one in finished.result.get("warnings", [])],
        finished.result,
        model if model.is_file() else None,
    )


def _said(p: FloatArray, trust: Trust | None, classes: Sequence[str]) -> pd.DataFrame:
    """Return what is said of units; without trust the raw call, and no answer."""
    if trust is not None:
        return calls_of(p, trust, classes)
    names = np.array(list(classes), object)
    return pd.DataFrame(
        {
            "call": names[p.argmax(axis=1)],
            "answer": ABSTAINED,
            "set": "",
            **{f"{PROBABILITY}{name}": p[:, i] for i, name in enumerate(classes)},
            **{f"{CALIBRATED}{name}": np.nan for name in classes},
        }
    )


def _samples(study: Study, by_plate: Mapping[str, FloatArray], trust: Trust | None) -> pd.DataFrame:
    """Return a row a sample."""
    parts = []
    for plate, p in by_plate.items():
        batch = study.batches[plate]
        table = _said(p, trust, study.classes)
        names = np.arange(1, len(batch) + 1).astype(str) if batch.names is None else batch.names
        table.insert(0, "plate", plate)
        table.insert(1, "sample", names)
        table.insert(2, "subject", "" if batch.subject is None else batch.subject.astype(str))
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _subjects(study: Study, by_plate: Mapping[str, FloatArray], trust: Trust | None) -> pd.DataFrame:
    """Return a row a subject, where the samples of a subject are replicates."""
    if not replicated(study):
        return nothing(study.classes).subjects
    parts = []
    for plate, p in by_plate.items():
        subject = study.batches[plate].subject
        assert subject is not None
        first, sizes, own = unit_probability(p, subject)
        table = _said(own, trust, study.classes)
        table.insert(0, "plate", plate)
        table.insert(1, "subject", subject[first].astype(str))
        table.insert(2, "samples", sizes)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _map(job: Job, study: Study, samples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the samples in the plane of the first two components of the calibrated data."""
    arrays = read_arrays(job.run.record.path / "embedding.npz")
    z, plate, row = dense(arrays["z"]), arrays["batch"].astype(str), arrays["row"]
    if len(z) > SHOWN:
        kept = np.sort(np.random.default_rng(seed).choice(len(z), SHOWN, replace=False))
        z, plate, row = z[kept], plate[kept], row[kept]
    plane = PCA(min(2, *z.shape), svd_solver="full").fit_transform(z - z.mean(axis=0))
    plane = np.column_stack([plane, np.zeros((len(plane), 2 - plane.shape[1]))])
    called = {name: own["call"].to_numpy() for name, own in samples.groupby("plate")}
    rows = []
    for (x, y), name, number in zip(plane, plate, row, strict=True):
        batch = study.batches[name]
        rows.append(
            {
                "x": float(x),
                "y": float(y),
                "plate": name,
                "sample": str(number + 1) if batch.names is None else str(batch.names[number]),
                "known": "" if batch.y is None else study.classes[batch.y[number]],
                "call": called[name][number] if name in called else "",
            }
        )
    return pd.DataFrame(rows, columns=list(MAP))
