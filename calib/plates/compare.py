"""The comparison on labelled plates: each is left out in turn and judged by a model of the others.

Plates without labels are targets of every run, as they are in use. Every run is a record like those of
``calib run``, without calibrated data, so that an interrupted comparison goes on where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calib.data.split import Split, split_by_name
from calib.data.study import Study
from calib.errors import CalibError
from calib.plates.answer import Judged, LeftOut
from calib.plates.carry_out import carry_out
from calib.plates.methods import Compared
from calib.plates.options import Request
from calib.plates.units import unit_probability
from calib.registry import CONF
from calib.runs.compositions import compositions
from calib.runs.planner import Job
from calib.runs.run import load, make_run

LIGHT = "keep=predictions"
"""Override of the runs of a comparison, of which only the predictions are needed."""


@dataclass(frozen=True)
class Result:
    """What a method has answered for left-out plates.

    Attributes:
        compared: the method.
        jobs: left-out plate -> its run.
        samples: left-out plate -> answers by sample, empty where a run has failed.
        units: the same by unit: by subject, where the samples of a subject are replicates.
        seconds: mean seconds of a run.
        refusal: why the method has no answers, "" where it has.
    """

    compared: Compared
    jobs: Mapping[str, Job]
    samples: LeftOut
    units: LeftOut
    seconds: float
    refusal: str = ""


def labelled_plates(study: Study) -> list[str]:
    """Return the names of the plates with labels."""
    return [name for name, batch in study.batches.items() if batch.y is not None]


def blank_plates(study: Study) -> list[str]:
    """Return the names of the plates without labels."""
    return [name for name, batch in study.batches.items() if batch.y is None]


def judged_plates(study: Study) -> list[str]:
    """Return the labelled plates that can be judged: of two classes, and so without them all the others are.

    A plate of one class says nothing of a difference between classes, and sources of one class teach none.
    """
    classes = {name: set(study.batches[name].labelled().y.tolist()) for name in labelled_plates(study)}
    return [
        name
        for name, own in classes.items()
        if len(own) > 1 and len(set().union(*(rest for other, rest in classes.items() if other != name))) > 1
    ]


def compare(request: Request, study: Study, methods: Sequence[Compared]) -> list[Result]:
    """Judge each labelled plate by every method, with the others as sources.

    Args:
        request: what is asked.
        study: the study, at least two of whose plates can be judged (``judged_plates``).
        methods: the methods to compare.

    Raises:
        CalibError: no method has answers for all plates.
    """
    splits = left_out_splits(study)
    planned: dict[Compared, dict[str, Job]] = {}
    refused: dict[Compared, str] = {}
    for method in methods:
        try:
            made = _jobs(request, method, list(splits.values()), LIGHT)
            planned[method] = dict(zip(splits, made, strict=True))
        except CalibError as error:
            refused[method] = str(error)
    failures = carry_out([list(jobs.values()) for jobs in planned.values()], request.jobs)
    found = []
    for method in methods:
        jobs = planned.get(method, {})
        failed = (failures[str(job)] for job in jobs.values() if str(job) in failures)
        reason = refused.get(method) or next(failed, "")
        found.append(Result(method, jobs, {}, {}, np.nan, reason) if reason else _result(method, jobs, study))
    if all(one.refusal for one in found):
        raise CalibError(f"No method could judge the labelled plates: {found[0].refusal}")
    return found


def make_job(request: Request, method: Compared, split: Split, *words: str) -> Job:
    """Return the run of a method on a split.

    Args:
        request: what is asked.
        method: the method.
        split: sources and targets.
        words: further overrides.

    Raises:
        CalibError: the study, a setting or the method cannot be used so.
    """
    return next(iter(_jobs(request, method, [split], *words)))


def _jobs(request: Request, method: Compared, splits: Sequence[Split], *words: str) -> Iterator[Job]:
    """Yield the run of a method on each split; see ``make_job``."""
    given = (*request.overrides, *method.overrides, *request.settings, f"out='{request.folder}'", *words)
    config = compositions(CONF).compose(*given)
    study, data = load(config)
    variant = method.name if len(method.overrides) > 1 else ""
    for split in splits:
        yield Job((*given, split.override), variant, make_run(config, study, data, split))


def left_out_splits(study: Study) -> dict[str, Split]:
    """Return the split that leaves a labelled plate out, by the name of each that can be judged."""
    labelled, blank = labelled_plates(study), blank_plates(study)
    return {
        plate: split_by_name([name for name in labelled if name != plate], [plate, *blank], study)
        for plate in judged_plates(study)
    }


def _result(method: Compared, jobs: Mapping[str, Job], study: Study) -> Result:
    """Return what the records of a method say."""
    samples, units, seconds = {}, {}, []
    for plate, job in jobs.items():
        finished = job.finished
        assert finished is not None
        seconds.append(float(finished.result["seconds"]["total"]))
        samples[plate] = Judged(
            finished.predictions(study.classes).of_batch(plate).probability.astype(np.float64),
            study.batches[plate].y,  # type: ignore[arg-type]
            study.batches[plate].subject,
        )
        units[plate] = in_units(samples[plate], study, plate)
    return Result(method, jobs, samples, units, float(np.mean(seconds)))


def replicated(study: Study) -> bool:
    """Return whether the samples of a subject are replicates, so that subjects are what is answered."""
    return all(study.batches[name].subject is not None and study.batches[name].replicate is not None
               for name in study.batches)  # fmt: skip


def in_units(judged: Judged, study: Study, plate: str) -> Judged:
    """Return answers by subject, where the samples of a subject are replicates, else as they are."""
    if not replicated(study):
        return judged
    assert judged.subject is not None
    first, _, probability = unit_probability(judged.probability, judged.subject, judged.y)
    return Judged(probability, judged.y[first], judged.subject[first])
