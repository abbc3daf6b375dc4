"""Trained models on disk, so that they can predict later batches.

Arrays are in ``model.npz``, settings in ``config.yaml``; reading them runs no code that they hold.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from calib.config import build
from calib.data.study import Study
from calib.errors import CalibError, DamagedError
from calib.evaluation.familiar import TrainingRows
from calib.evaluation.novelty import TrainingStatistics
from calib.files import read_arrays
from calib.methods.base import Savable
from calib.records.record import Record
from calib.runs.run import method_settings
from calib.runtime import PAPERS_UNIT, Runtime

MODEL = "model.npz"
FEATURES, CLASSES, UNITS = "study/features", "study/classes", "study/units"
REFERENCE = "reference/"
"""Prefix of the arrays that hold the statistics of the training batches (``novelty.TrainingStatistics``)."""
ROWS = "training/"
"""Prefix of the arrays that hold checksums of the training's samples (``familiar.TrainingRows``)."""


@dataclass(frozen=True)
class Model:
    """A trained method with the settings it was trained with.

    Attributes:
        features: names of the features that the method takes, in order.
        classes: names of the classes in the order of the class index.
        training_statistics: statistics of its training batches, None where they were too few or too small.
        training_rows: checksums of the samples of its training, None in a model saved before there were any.
        unit: value by which the protocol's arcsinh divides the data as loaded.
    """

    config: DictConfig
    features: Sequence[str]
    classes: Sequence[str]
    fitted: Savable
    training_statistics: TrainingStatistics | None = None
    training_rows: TrainingRows | None = None
    unit: float = PAPERS_UNIT


def save_model(
    record: Record,
    fitted: Savable,
    study: Study,
    known: TrainingStatistics | None,
    rows: TrainingRows,
    units: tuple[float, float] = (PAPERS_UNIT, PAPERS_UNIT),
) -> None:
    """Write a trained method and the statistics of its training batches into its record.

    Args:
        known: those statistics, or None where there are too few batches or samples.
        rows: checksums of the samples of these batches.
        units: values by which arcsinh divides: the data as loaded, and the data that the method gets.
    """
    statistics = {} if known is None else {REFERENCE + name: np.asarray(v) for name, v in vars(known).items()}
    state = {
        **fitted.state(),
        **statistics,
        **{ROWS + name: value for name, value in vars(rows).items()},
        FEATURES: np.array(study.features, np.str_),
        CLASSES: np.array(study.classes, np.str_),
        UNITS: np.array(units),
    }
    record.write_arrays(MODEL, state)


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
    with _damage_named(files[0], DamagedError):
        state = read_arrays(files[0], FEATURES, CLASSES)
        features, classes = state.pop(FEATURES).tolist(), state.pop(CLASSES).tolist()
        units = state.pop(UNITS, np.full(2, PAPERS_UNIT)).tolist()  # a model of an older version has none
        statistics, rows = (
            {name.removeprefix(prefix): state.pop(name) for name in [*state] if name.startswith(prefix)}
            for prefix in (REFERENCE, ROWS)
        )
    with _damage_named(files[1], OSError, ValueError, AttributeError, YAMLError, OmegaConfBaseException):
        config = OmegaConf.load(files[1])
        if not isinstance(config, DictConfig):
            raise ValueError("it holds no settings")
        config.protocol.update(changes or {})
        settings = OmegaConf.create(_with_changes(method_settings(config), changes or {}))
        runtime = Runtime.from_names(config.seed, config.device, config.dtype, progress=False)
        runtime.unit = units[1]
    method = build(settings)
    with _damage_named(files[0], KeyError, ValueError, RuntimeError):  # arrays do not fit the networks
        fitted = method.restore(state, len(features), len(classes), runtime)
    return Model(
        config,
        features,
        classes,
        fitted,
        TrainingStatistics(**statistics) if statistics else None,
        TrainingRows(**rows) if rows else None,
        units[0],
    )


@contextmanager
def _damage_named(file: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into one sentence that calls the file damaged.

    Raises:
        CalibError: such an error was raised within.
    """
    try:
        yield
    except kinds as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CalibError(f"The saved model {file} is damaged ({reason}); train it again.") from error


def _with_changes(settings: Any, changes: Mapping[str, str]) -> Any:
    """Return a method's settings with the changed options in every protocol that they hold."""
    if not isinstance(settings, dict):
        return settings
    return {
        key: {**value, **changes} if key == "protocol" else _with_changes(value, changes)
        for key, value in settings.items()
    }
