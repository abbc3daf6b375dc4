"""Trained models on disk, so that they can predict later batches.

Arrays are in ``model.npz``, settings in ``config.yaml``; reading them runs no code that they hold.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from calib.config import build
from calib.data.study import Study
from calib.errors import CalibError, DamagedError
from calib.evaluation.class_mix import MixModel
from calib.evaluation.familiar import TrainingRows
from calib.evaluation.novelty import TrainingStatistics
from calib.files import read_arrays
from calib.methods.base import Savable
from calib.records.record import Record
from calib.registry import METHOD, PROTOCOL
from calib.runs.received import read_settings
from calib.runs.run import method_settings
from calib.runtime import Runtime, torchs_own_defaults
from calib.units import PAPERS_UNIT

MODEL = "model.npz"
FEATURES, CLASSES, UNITS = "study/features", "study/classes", "study/units"
REFERENCE = "reference/"
"""Prefix of the arrays that hold the statistics of the training batches (``novelty.TrainingStatistics``)."""
ROWS = "training/"
"""Prefix of the arrays that hold checksums of the training's samples (``familiar.TrainingRows``)."""
MIX = "mix/"
"""Prefix of the arrays that tell the class mix of later batches (``class_mix.MixModel``)."""

READING = (
    *("batch", "label", "subject", "sample", "reference", "layer"),
    *("impute", "exclude", "normalise", "classes", "unlabelled", "subject_labels", "replicates"),
)
"""Settings of a study that say how a model reads the files that it is to predict."""


@dataclass(frozen=True)
class Model:
    """A trained method with the settings it was trained with.

    Attributes:
        features: names of the features that the method takes, in order.
        classes: names of the classes in the order of the class index.
        training_statistics: statistics of its training batches, None where they were too few or too small.
        training_rows: checksums of the samples of its training, None in a model saved before there were any.
        mix: what its sources tell of the class mix of other batches, None likewise.
        unit: value by which the protocol's arcsinh divides the data as loaded.
        joins_replicates: whether the method gives all samples of a subject one answer.
    """

    config: DictConfig
    features: Sequence[str]
    classes: Sequence[str]
    fitted: Savable
    training_statistics: TrainingStatistics | None = None
    training_rows: TrainingRows | None = None
    mix: MixModel | None = None
    unit: float = PAPERS_UNIT
    joins_replicates: bool = False


def save_model(
    record: Record,
    fitted: Savable,
    study: Study,
    known: TrainingStatistics | None,
    rows: TrainingRows,
    mix: MixModel,
    units: tuple[float, float] = (PAPERS_UNIT, PAPERS_UNIT),
) -> None:
    """Write a trained method and the statistics of its training batches into its record.

    Args:
        known: those statistics, or None where there are too few batches or samples.
        rows: checksums of the samples of these batches.
        mix: what the sources tell of the class mix of other batches.
        units: values by which arcsinh divides: the data as loaded, and the data that the method gets.
    """
    statistics = {} if known is None else {REFERENCE + name: np.asarray(v) for name, v in vars(known).items()}
    state = {
        **fitted.state(),
        **statistics,
        **{ROWS + name: value for name, value in vars(rows).items()},
        **{MIX + name: value for name, value in vars(mix).items()},
        FEATURES: np.array(study.features, np.str_),
        CLASSES: np.array(study.classes, np.str_),
        UNITS: np.array(units),
    }
    record.write_arrays(MODEL, state)


@torchs_own_defaults()
def load_model(folder: Path, changes: Mapping[str, str] | None = None) -> Model:
    """Load the trained method of a run directory.

    Args:
        changes: options of the protocol that prediction uses in place of those of the training, such as
            ``calibrator_test_statistics: own``.

    Raises:
        CalibError: the folder holds no saved model, or one that cannot be read.
    """
    files = folder / MODEL, folder / "config.yaml"
    if not all(file.is_file() for file in files):
        raise CalibError(
            f"Folder {folder} holds no saved model ({MODEL} and config.yaml); train it with save_model=true "
            "and give the folder that the run names."
        )
    with _damage_named(files[0]):
        state = read_arrays(files[0], FEATURES, CLASSES)
        features, classes = (_names(state.pop(key), key) for key in (FEATURES, CLASSES))
        units = _units(state.pop(UNITS, np.full(2, PAPERS_UNIT)))  # a model of an older version has none
        for name, array in state.items():
            _check_numbers(name, array)
        statistics, rows, mixes = (
            {name.removeprefix(prefix): state.pop(name) for name in [*state] if name.startswith(prefix)}
            for prefix in (REFERENCE, ROWS, MIX)
        )
        known = _statistics(statistics, len(features)) if statistics else None
        samples = _training_rows(rows) if rows else None
        mix = MixModel.restored(mixes, len(features), len(classes)) if mixes else None
    config = read_settings(files[1])
    config.protocol.update(changes or {})
    with _damage_named(files[1]):
        runtime = Runtime.from_names(config.seed, config.device, config.dtype, progress=False)
        runtime.unit = units[1]
        build(config.protocol, PROTOCOL)
        method = build(OmegaConf.create(_with_changes(method_settings(config), changes or {})), METHOD)
    with _damage_named(files[0]):  # arrays that do not fit the networks
        with torch.device("meta"):  # first networks without memory, as settings may ask for any size
            outline = replace(runtime, device=torch.device("meta"))
            method.restore(state, len(features), len(classes), outline)
        fitted = method.restore(state, len(features), len(classes), runtime)
    _check_changes(changes or {}, state)
    return Model(config, features, classes, fitted, known, samples, mix, units[0], method.joins_replicates)


def _check_changes(changes: Mapping[str, str], state: Mapping[str, Any]) -> None:
    """Raise CalibError if none of the networks whose batch norm is to take other statistics is in a model."""
    networks = [option.removesuffix("_test_statistics") for option in changes]
    if networks and not any(f"{network}.bn." in name for network in networks for name in state):
        raise CalibError(
            f"The model has no {' or '.join(networks)} whose batch norm could take other statistics; set "
            "statistics=as_trained."
        )


def _check_numbers(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError unless an array of a model holds numbers that stay finite in float32.

    An infinite weight can still end in a probability that is finite, and so in an answer.
    """
    if name in (f"{REFERENCE}names", f"{ROWS}names"):
        return
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds no numbers")
    with np.errstate(over="ignore"):
        if array.dtype.kind == "f" and not np.isfinite(array.astype(np.float32)).all():
            raise ValueError(f"{name} holds values that are no finite numbers")


def reads_alike(folder: Path, dataset: DictConfig) -> bool:
    """Return whether the model in a run directory would read other files as a study's settings say.

    The data of the run may be the same under other settings, such as those of values that it does not lack.
    """
    try:
        stored = read_settings(folder / "config.yaml").dataset
    except CalibError:
        return False
    return all(stored.get(key) == dataset.get(key) for key in READING)


def _names(array: NDArray[Any], key: str) -> list[str]:
    """Return the names of features or classes that an archive holds.

    Raises:
        ValueError: they are no list of names, or one is there twice.
    """
    if array.ndim != 1 or array.dtype.kind != "U" or len(np.unique(array)) != len(array) or not len(array):
        raise ValueError(f"{key} is no list of names that are all different")
    return array.tolist()


def _statistics(arrays: Mapping[str, Any], features: int) -> TrainingStatistics:
    """Return the statistics of the training batches that an archive holds.

    Raises:
        ValueError, TypeError: an array is missing, or does not fit the others.
    """
    known = TrainingStatistics(**arrays)
    batches, rows = len(known.names), len(known.rows)
    shapes = [np.shape(part) for part in (known.names, known.location, known.spread, known.rows, known.owner)]
    if shapes != [(batches,), (batches, features), (batches, features), (rows, features), (rows,)]:
        raise ValueError(f"the arrays {REFERENCE}* do not fit each other")
    if set(np.unique(known.owner).tolist()) != set(range(batches)):
        raise ValueError(f"{REFERENCE}owner does not count the batches")
    return known


def _training_rows(arrays: Mapping[str, Any]) -> TrainingRows:
    """Return the checksums of the training's samples that an archive holds.

    Raises:
        ValueError, TypeError: an array is missing, or does not fit the others.
    """
    known = TrainingRows(**arrays)
    batches = (len(known.names),)
    shapes = [np.shape(part) for part in (known.names, known.source, known.sizes, known.rows)]
    if shapes != [batches, batches, batches, (int(np.sum(known.sizes)),)] or np.min(known.sizes) < 0:
        raise ValueError(f"the arrays {ROWS}* do not fit each other")
    return known


def _units(array: NDArray[Any]) -> list[float]:
    """Return the two units that an archive holds: that of the protocol's transform, and the methods'.

    Raises:
        ValueError: they are no two finite numbers above 0.
    """
    if array.shape != (2,) or array.dtype.kind != "f" or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{UNITS} is no pair of positive numbers")
    return [float(unit) for unit in array]


@contextmanager
def _damage_named(file: Path) -> Iterator[None]:
    """Turn every error into one sentence that calls the file damaged; those on settings are such sentences.

    Settings and arrays of a received folder can have any value, and so constructors can raise any error.

    Raises:
        CalibError: an error was raised within.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, CalibError) and not isinstance(error, DamagedError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise CalibError(f"The saved model {file} is damaged ({reason}); train it again.") from error


def _with_changes(settings: Any, changes: Mapping[str, str]) -> Any:
    """Return a method's settings with the changed options in every protocol that they hold."""
    if not isinstance(settings, dict):
        return settings
    return {
        key: {**value, **changes} if key == "protocol" else _with_changes(value, changes)
        for key, value in settings.items()
    }
