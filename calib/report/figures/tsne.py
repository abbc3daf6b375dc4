"""Two-dimensional maps of calibrated data (t-SNE, Figures 2 to 4) and silhouettes, kept by their content.

A correction without labels gives the same data, and so the same map, on every split: it is made once.
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


@dataclass(frozen=True)
class MapSettings:
    """What decides a map besides the data; ``version`` is raised when a change gives other numbers."""

    seed: int = 0
    perplexity: int = 30
    limit: int = LIMIT
    version: int = 1


@dataclass(frozen=True)
class Map:
    """Samples of one record in two dimensions.

    Attributes:
        xy: coordinates ``(rows, 2)``, no unit.
        batch: position of each row's batch in the study ``(rows,)``.
        y: class index ``(rows,)``, -1 where unknown.
        silhouette: by ``batch`` and by ``class`` in the standardised data, and in the map with the prefix
            ``map_``; NaN where there is nothing to compare.
    """

    xy: FloatArray
    batch: NDArray[np.int64]
    y: NDArray[np.int64]
    silhouette: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """What a map is made from, and the name it is kept under: a hash of all that decides it."""

    z: FloatArray
    batch: NDArray[np.int64]
    y: NDArray[np.int64]
    name: str


def record_map(record: Record, study: Study, maps: Path, settings: MapSettings = MapSettings()) -> Map:
    """The map of a record's calibrated data, from the folder ``maps`` where it is there.

    Raises:
        DamagedError: the record has no calibrated data that can be read.
        CalibError: they do not belong to the study, or the place cannot be written to.
    """
    return _map(_prepared(record, study, settings), maps, settings)


def make_maps(
    records: Sequence[Record], study: Study, maps: Path, settings: MapSettings, workers: int
) -> Iterator[None]:
    """Make the maps that are missing, several at once, each once; gives nothing, once for every map made.

    Damaged records are left out.

    Raises:
        CalibError: as ``record_map``.
    """
    prepared = {}
    for record in records:
        with suppress(DamagedError):  # told where the map is drawn
            one = _prepared(record, study, settings)
            prepared[one.name] = one
    missing = [one for one in prepared.values() if not (maps / one.name).is_file()]
    work = [joblib.delayed(_map)(one, maps, settings) for one in missing]
    for _ in joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(work):
        yield


def _map(prepared: Prepared, maps: Path, settings: MapSettings) -> Map:
    xy, values = _kept(maps / prepared.name) or _made(prepared, maps, settings)
    measured = dict(zip(MEASURED, values.tolist(), strict=True))
    return Map(xy, prepared.batch, prepared.y, measured)


def _kept(file: Path) -> tuple[FloatArray, FloatArray] | None:
    """Coordinates and silhouettes from a file; None where there is none or it is damaged."""
    if not file.is_file():
        return None
    try:
        stored = read_arrays(file, "xy", "silhouette")
        return stored["xy"], stored["silhouette"]
    except DamagedError as error:
        log.warning("The map is made again: %s", error)
        return None


def _made(prepared: Prepared, maps: Path, settings: MapSettings) -> tuple[FloatArray, FloatArray]:
    x = standardised(prepared.z)
    xy = project(x, settings.seed, settings.perplexity)
    groups = (prepared.batch, prepared.y)
    values = np.array([silhouette(space, group) for space in (x, xy) for group in groups])
    folder = Record(maps)
    folder.make_folder()
    folder.write_arrays(prepared.name, {"xy": xy, "silhouette": values})
    return xy, values


def _prepared(record: Record, study: Study, settings: MapSettings) -> Prepared:
    z, batch, y = _embedding(record, study, settings)
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for array in (z, batch, y):
        digest.update(np.ascontiguousarray(array).tobytes())
    return Prepared(z, batch, y, f"{digest.hexdigest()[:24]}.npz")


def project(x: FloatArray, seed: int, perplexity: int = 30) -> FloatArray:
    """Coordinates ``(rows, 2)`` by t-SNE (van der Maaten and Hinton 2008; openTSNE), float32.

    Started from the first two principal components; exact neighbours, one thread, so that the same data
    give the same map. With few rows the perplexity is a third of their number.
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
    """Calibrated data, position of the batch and class of the rows that are shown; no others are kept."""
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
