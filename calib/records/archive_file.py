"""The files of the archive of results: small, without pickles, and with the same bytes for the same content.

Of a prediction a file holds the class and, as float16, the probabilities of the other classes, so that the
class is the recorded one and a small probability keeps its digits.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib.data.study import FloatArray
from calib.errors import CalibError, DamagedError
from calib.files import reading, write_whole

DIGITS = 7
"""Significant digits of the numbers of a result."""

FIXED = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member, so that the same content gives the same bytes."""


@dataclass(frozen=True)
class Kept:
    """An archived run.

    Attributes:
        result: content of its ``result.json`` without what belongs to the record's files.
        probability: target batch -> probability of each class ``(samples, classes)``.
    """

    result: Mapping[str, Any]
    probability: Mapping[str, FloatArray]


def rounded(node: Any) -> Any:
    """Return a content with ``DIGITS`` significant digits of every number."""
    if isinstance(node, Mapping):
        return {key: rounded(value) for key, value in node.items()}
    if isinstance(node, list):
        return [rounded(value) for value in node]
    return float(f"{node:.{DIGITS}g}") if isinstance(node, float) else node


def packed(runs: Sequence[Kept]) -> dict[str, bytes]:
    """Return the members of a method's file."""
    shares = [np.concatenate(list(run.probability.values())) for run in runs]
    parts = [_split(share) for share in shares]
    return {
        "runs.json": json.dumps([run.result for run in runs]).encode(),
        "predicted.npy": _array([predicted for predicted, _ in parts]),
        "others.npy": _array([others for _, others in parts]),
    }


def unpacked(file: Path) -> dict[str, Kept]:
    """Return the runs of a method's file by key."""
    parts = read_members(file)
    results = json.loads(parts["runs.json"])
    predicted, others = (
        np.load(BytesIO(parts[name]), allow_pickle=False) for name in ("predicted.npy", "others.npy")
    )
    sizes = [scores["n"] for result in results for scores in result["targets"].values()]
    pieces = iter(np.split(_joined(predicted, others), np.cumsum(sizes)[:-1]))
    runs = [Kept(result, {name: next(pieces) for name in result["targets"]}) for result in results]
    return {run.result["key"]: run for run in runs}


def _split(probability: FloatArray) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Return the predicted class and the probabilities of the others, which leave it the most probable.

    Args:
        probability: ``(samples, classes)``, each row with the sum one.

    Raises:
        CalibError: a row has another sum.
    """
    if np.abs(probability.sum(axis=1) - 1).max(initial=0) > 1e-3:
        raise CalibError("Probabilities that do not sum to one cannot be archived.")
    predicted = probability.argmax(axis=1)
    rest = np.ones(probability.shape, dtype=bool)
    rest[np.arange(len(predicted)), predicted] = False
    others = probability[rest].reshape(len(predicted), -1).astype(np.float16)
    while (wrong := _joined(predicted, others).argmax(axis=1) != predicted).any():  # a tie after rounding
        others[wrong] = np.nextafter(others[wrong], np.float16(0))
    return predicted.astype(np.uint8), others


def _joined(predicted: NDArray[np.integer], others: NDArray[np.float16]) -> FloatArray:
    """Return the probabilities of all classes ``(samples, classes)``; the inverse of ``_split``."""
    shape = len(predicted), others.shape[1] + 1
    rest = np.ones(shape, dtype=bool)
    rest[np.arange(len(predicted)), predicted] = False
    probability = np.zeros(shape)
    probability[rest] = others.astype(np.float64).ravel()
    probability[~rest] = 1 - others.astype(np.float64).sum(axis=1)
    return probability


def _array(parts: Sequence[NDArray[Any]]) -> bytes:
    """Return the parts as one array in NumPy's format."""
    stream = BytesIO()
    np.save(stream, np.concatenate(parts), allow_pickle=False)
    return stream.getvalue()


def read_members(file: Path) -> dict[str, bytes]:
    """Return the members of a file of the archive.

    Raises:
        DamagedError: the file cannot be read.
    """
    with reading(file), zipfile.ZipFile(file) as archive:
        if (broken := archive.testzip()) is not None:
            raise DamagedError(f"File {file} is damaged ({broken}); restore it with git.")
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(file: Path, members: Mapping[str, bytes]) -> None:
    """Write a file of the archive whole, unless it has this content already.

    Raises:
        OSError: the place cannot be written to.
    """
    if file.is_file() and read_members(file) == members:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, lambda place: _write(place, members))


def _write(file: Path, members: Mapping[str, bytes]) -> None:
    """Write a file of the archive."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, FIXED)
            info.compress_type = zipfile.ZIP_LZMA
            archive.writestr(info, content)
