"""Silhouettes of the runs of every seed, for the claims on maps; the maps themselves show one seed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

from calib.data.study import Study
from calib.errors import DamagedError
from calib.evaluation.separation import silhouette, standardised
from calib.files import read_arrays
from calib.records.record import Record
from calib.report.figures.gallery import map_folder
from calib.report.figures.split_figures import MAPPED
from calib.report.figures.tsne import MapSettings, Prepared, prepared
from calib.runs.planner import Job
from calib.runs.run import Run
from calib.shown import one_line

NAMES = ("batch", "class")
"""What the samples are grouped by."""


def silhouettes(study: Study, jobs: Sequence[Job], workers: int) -> Mapping[Path, Mapping[str, float]]:
    """Return the mean silhouettes of a study's recorded runs, those of the methods on the paper's maps.

    They are stored beside the maps. Runs with the same calibrated data share them, and damaged records are
    left out.

    Args:
        study: the study, with its values as loaded, not scaled.
        jobs: all planned runs of the study; runs with a variant are left out.
        workers: number of runs that are measured at once.

    Returns:
        Folder of a record -> ``batch`` and ``class``.

    Raises:
        CalibError: a record does not fit the study, or the folder cannot be written to.
    """
    runs = [job.run for job in jobs if not job.variant and job.run.config.method.name in MAPPED]
    recorded = [run for run in runs if run.record.is_finished()]
    if not recorded:
        return {}
    folder = map_folder(recorded[0]) / "silhouettes"
    files: dict[Path, Path] = {}
    work = (joblib.delayed(_measure)(data, folder) for data in _missing(recorded, study, folder, files))
    made = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(work)
    for _ in tqdm(made, desc=one_line(f"silhouettes of {study.name}"), unit="run", disable=None):
        pass
    return {path: _read(file) for path, file in files.items()}


def _missing(runs: Sequence[Run], study: Study, folder: Path, files: dict[Path, Path]) -> Iterator[Prepared]:
    """Yield the data that have not been measured, each once, and note the file of every run in ``files``."""
    asked: set[Path] = set()
    for run in runs:
        with suppress(DamagedError):  # the figure of the map reports it
            data = prepared(run.record, study, MapSettings(seed=int(run.config.seed)))
            file = files[run.record.path] = folder / data.name
            if file not in asked and not _is_whole(file):
                yield data
            asked.add(file)


def _is_whole(file: Path) -> bool:
    """Return whether silhouettes are stored in a file and can be read."""
    try:
        return file.is_file() and bool(_read(file))
    except DamagedError:
        return False


def _measure(data: Prepared, folder: Path) -> None:
    """Compute and store the silhouettes of one run."""
    x = standardised(data.z)
    values = np.array([silhouette(x, group) for group in (data.batch, data.y)])
    record = Record(folder)
    record.make_folder()
    record.write_arrays(data.name, {"silhouette": values})


def _read(file: Path) -> dict[str, float]:
    """Return the silhouettes that are stored in a file.

    Raises:
        DamagedError: the file cannot be read.
    """
    return dict(zip(NAMES, read_arrays(file, "silhouette")["silhouette"].tolist(), strict=True))
