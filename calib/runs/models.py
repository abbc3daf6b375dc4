"""Trained models on disk, for batches that come later: arrays in ``model.npz``, settings in ``config.yaml``.

Neither file can run code when it is read.
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
from calib.evaluation.novelty import TrainingStatistics
from calib.files import read_arrays
from calib.methods.base import Savable
from calib.records.record import Record
from calib.runs.run import method_settings
from calib.runtime import Runtime

MODEL = "model.npz"
FEATURES, CLASSES = "study/features", "study/classes"
REFERENCE = "reference/"
"""Start of the names of the arrays that hold the ``TrainingStatistics``."""


@dataclass(frozen=True)
class Model:
    """A trained method with the settings it was trained with.

    ``training_statistics`` describe its training batches, None where they were too few or too small.
    """

    config: DictConfig
    features: Sequence[str]
    classes: Sequence[str]
    fitted: Savable
    training_statistics: TrainingStatistics | None = None


def save_model(record: Record, fitted: Savable, study: Study, known: TrainingStatistics | None) -> None:
    """Write a trained method into its record, with what its training batches were like."""
    kept = {} if known is None else {REFERENCE + name: np.asarray(v) for name, v in vars(known).items()}
    state = {
        **fitted.state(),
        **kept,
        FEATURES: np.array(study.features, np.str_),
        CLASSES: np.array(study.classes, np.str_),
    }
    record.write_arrays(MODEL, state)


def load_model(folder: Path, changes: Mapping[str, str] | None = None) -> Model:
    """The trained method of a run directory.

    Args:
        changes: options of the protocol that prediction is to have otherwise than training, such as
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
    with _damage_told(files[0], DamagedError):
        state = read_arrays(files[0], FEATURES, CLASSES)
        features, classes = state.pop(FEATURES).tolist(), state.pop(CLASSES).tolist()
        kept = {
            name.removeprefix(REFERENCE): state.pop(name) for name in [*state] if name.startswith(REFERENCE)
        }
    with _damage_told(files[1], OSError, ValueError, AttributeError, YAMLError, OmegaConfBaseException):
        config = OmegaConf.load(files[1])
        if not isinstance(config, DictConfig):
            raise ValueError("it holds no settings")
        config.protocol.update(changes or {})
        settings = OmegaConf.create(_with_changes(method_settings(config), changes or {}))
        runtime = Runtime.from_names(config.seed, config.device, config.dtype, progress=False)
    method = build(settings)
    with _damage_told(files[0], KeyError, ValueError, RuntimeError):  # arrays that do not fit the networks
        fitted = method.restore(state, len(features), len(classes), runtime)
    return Model(config, features, classes, fitted, TrainingStatistics(**kept) if kept else None)


@contextmanager
def _damage_told(file: Path, *kinds: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CalibError(f"The saved model {file} is damaged ({told}); train it again.") from error


def _with_changes(settings: Any, changes: Mapping[str, str]) -> Any:
    """A method's settings with these options wherever they have a protocol, the run's or their own."""
    if not isinstance(settings, dict):
        return settings
    return {
        key: {**value, **changes} if key == "protocol" else _with_changes(value, changes)
        for key, value in settings.items()
    }
