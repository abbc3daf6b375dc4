"""Two-dimensional maps of calibrated data (t-SNE, Figures 2 to 4) and silhouettes, stored by their content.

A correction without labels gives the same data on every split, so its map is made once.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from openTSNE import TSNE

from calib.data.study import FloatArray, Study
from calib.errors import CalibError, DamagedError
from calib.evaluation.separation import LIMIT, chosen_rows, silhouette, standardised
from calib.files import check_archive, read_arrays, read_rows, reading
from calib.records.record import Record

log = logging.getLogger(__name__)

EMBEDDING = "embedding.npz"
MEASURED = ("batch", "class", "map_batch", "map_class")
"""Names of the silhouettes."""


@dataclass(frozen=True)
class MapSettings:
    """The settings of a map; ``version`` is raised when a change of the code gives other numbers."""

    seed: int = 0
    perplexity: int = 30
    limit: int = LIMIT
    version: int = 1


@dataclass(frozen=True)
class Map:
    """The samples of one record in two dimensions.

    Attributes:
        xy: coordinates ``(rows, 2)``, no unit.
        batch: position of each row's batch in the study ``(rows,)``.
        y: class index ``(rows,)``, -1 where unknown.
        silhouette: by ``batch`` and by ``class`` in the standardised data, and in the map with the prefix
            ``map_``; NaN if there are no two groups to compare.
    """

    xy: FloatArray
    batch: NDArray[np.int64]
    y: NDArray[np.int64]
    silhouette: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """The data of a map, and the name of its file: a hash of the data and the settings."""

    z: FloatArray
    batch: NDArray[np.int64]
    y: NDArray[np.int64]
    name: str


def record_map(record: Record, study: Study, maps: Path, settings: MapSettings = MapSettings()) -> Map:
    """Return the map of a record's calibrated data, read from the folder ``maps`` or made and stored there.

    Raises:
        DamagedError: the record has no calibrated data that can be read.
        CalibError: the data do not belong to the study, or the folder cannot be written to.
    """
    return _map(prepared(record, study, settings), maps, settings)


def make_maps(
    records: Sequence[Record], study: Study, maps: Path, settings: MapSettings, workers: int
) -> Iterator[None]:
    """Make the missing maps, several at once, and yield once for every map that is made.

    Records with the same data share a map. Damaged records are left out.

    Raises:
        CalibError: as ``record_map``.
    """
    found = {}
    for record in records:
        with suppress(DamagedError):  # the figure of the map reports it
            data = prepared(record, study, settings)
            found[data.name] = data
    missing = [data for data in found.values() if not (maps / data.name).is_file()]
    work = [joblib.delayed(_map)(data, maps, settings) for data in missing]
    for _ in joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(work):
        yield


def _map(data: Prepared, maps: Path, settings: MapSettings) -> Map:
    """Return a map, read from its file or made."""
    xy, values = _stored(maps / data.name) or _computed(data, maps, settings)
    measured = dict(zip(MEASURED, values.tolist(), strict=True))
    return Map(xy, data.batch, data.y, measured)


def _stored(file: Path) -> tuple[FloatArray, FloatArray] | None:
    """Return coordinates and silhouettes from a file; None if it is missing or damaged."""
    if not file.is_file():
        return None
    try:
        stored = read_arrays(file, "xy", "silhouette")
        return stored["xy"], stored["silhouette"]
    except DamagedError as error:
        log.warning("The map is made again: %s", error)
        return None


def _computed(data: Prepared, maps: Path, settings: MapSettings) -> tuple[FloatArray, FloatArray]:
    """Compute a map, store it, and return coordinates and silhouettes."""
    x = standardised(data.z)
    xy = project(x, settings.seed, settings.perplexity)
    groups = (data.batch, data.y)
    values = np.array([silhouette(space, group) for space in (x, xy) for group in groups])
    folder = Record(maps)
    folder.make_folder()
    folder.write_arrays(data.name, {"xy": xy, "silhouette": values})
    return xy, values


def prepared(record: Record, study: Study, settings: MapSettings) -> Prepared:
    """Return the data of a record's map and the name of its file.

    Raises:
        DamagedError: the record has no calibrated data that can be read.
        CalibError: the data do not belong to the study.
    """
    z, batch, y = _embedding(record, study, settings)
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for array in (z, batch, y):
        digest.update(np.ascontiguousarray(array).tobytes())
    return Prepared(z, batch, y, f"{digest.hexdigest()[:24]}.npz")


def project(x: FloatArray, seed: int, perplexity: int = 30) -> FloatArray:
    """Compute coordinates ``(rows, 2)`` by t-SNE (van der Maaten and Hinton 2008; openTSNE), float32.

    It starts from the first two principal components, with exact neighbours and one thread, so that the same
    data give the same map. With few rows the perplexity is a third of their number.
    """
    if len(x) < 4 or not np.ptp(x, axis=0).any():  # nothing to lay out
        return np.zeros((len(x), 2), np.float32)
    tsne = TSNE(
        perplexity=max(1, min(perplexity, (len(x) - 1) // 3)),
        initialization="pca",
        neighbors="exact",
        negative_gradient_method="bh",
        n_jobs=1,
        random_state=seed,
    )
    return np.asarray(tsne.fit(x), dtype=np.float32)


def _embedding(
    record: Record, study: Study, settings: MapSettings
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Return calibrated data, position of the batch and class of the rows that are shown."""
    file = record.path / EMBEDDING
    try:
        with reading(file):
            check_archive(file)
            with np.load(file, allow_pickle=False) as stored:
                names, row = stored["batch"], stored["row"]
            shown = chosen_rows(len(row), settings.seed, settings.limit)
            z, names, row = read_rows(file, "z", shown), names[shown], row[shown]
    except DamagedError as error:
        raise DamagedError(
            f"The record {record.path} is damaged: {EMBEDDING} is missing or cannot be read; make the run "
            "again with force=true."
        ) from error
    batches = list(study.batches)
    batch = np.array([batches.index(name) if name in batches else -1 for name in names.tolist()], np.int64)
    if (batch < 0).any():
        raise CalibError(f"The record {record.path} has batches that study '{study.name}' has not.")
    y = np.full(len(z), -1)
    for position, known in enumerate(study.batches.values()):
        if known.y is not None:
            y[batch == position] = known.y[row[batch == position]]
    return z, batch, y
