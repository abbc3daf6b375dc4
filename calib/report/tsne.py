"""Two-dimensional maps of calibrated data (t-SNE, Figures 2 to 4) and silhouettes, kept beside the record."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openTSNE import TSNE

from calib.data.study import FloatArray, Study
from calib.errors import CalibError
from calib.evaluation.separation import LIMIT, chosen_rows, silhouette, standardised
from calib.store import Record

EMBEDDING, CACHE = "embedding.npz", "tsne.npz"
MEASURED = ("batch", "class", "map_batch", "map_class")


@dataclass(frozen=True)
class Settings:
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


def record_map(record: Record, study: Study, settings: Settings = Settings()) -> Map:
    """The map of a record's calibrated data, from its ``tsne.npz`` where data and settings are the same.

    Raises:
        CalibError: the record has no calibrated data, they do not belong to the study, or the place
            cannot be written to.
    """
    z, batch, y = _embedding(record, study)
    rows = chosen_rows(len(z), settings.seed, settings.limit)
    z, batch, y = z[rows], batch[rows], y[rows]
    identity = json.dumps({**asdict(settings), "data": _checksum(z, batch, y)}, sort_keys=True)
    stored = _stored(record.path / CACHE, identity)
    if stored is None:
        x = standardised(z)
        xy = project(x, settings.seed, settings.perplexity)
        values = [silhouette(space, group) for space in (x, xy) for group in (batch, y)]
        stored = xy, np.array(values)
        arrays: dict[str, Any] = {"xy": xy, "silhouette": stored[1], "rows": rows, "identity": identity}
        record.write_arrays(CACHE, arrays)
    xy, values_ = stored
    return Map(xy, batch, y, dict(zip(MEASURED, values_.tolist(), strict=True)))


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


def _embedding(record: Record, study: Study) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Calibrated data, position of the batch and class of each row."""
    file = record.path / EMBEDDING
    if not file.is_file():
        raise CalibError(f"The record {record.path} has no {EMBEDDING}; make the run again with force=true.")
    with np.load(file, allow_pickle=False) as stored:
        z, names, row = stored["z"], stored["batch"], stored["row"]
    batches = list(study.batches)
    batch = np.array([batches.index(name) if name in batches else -1 for name in names.tolist()], np.int64)
    if (batch < 0).any():
        raise CalibError(f"The record {record.path} has batches that study '{study.name}' has not.")
    y = np.full(len(z), -1)
    for position, known in enumerate(study.batches.values()):
        if known.y is not None:
            y[batch == position] = known.y[row[batch == position]]
    return z, batch, y


def _checksum(*arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _stored(file: Path, identity: str) -> tuple[FloatArray, FloatArray] | None:
    """Coordinates and silhouettes kept for this identity, or None."""
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as stored:
        return (stored["xy"], stored["silhouette"]) if str(stored["identity"]) == identity else None
