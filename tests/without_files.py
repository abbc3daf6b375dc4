"""A study without files, for tests of keys: a key depends on the study's name, batches and checksum."""

import numpy as np
from omegaconf import DictConfig

from calib.config import build
from calib.data.study import Batch, Study


def load_without_files(config: DictConfig) -> tuple[Study, dict[str, str]]:
    """Return a study of the configured name, with its name in the place of its checksum."""
    protocol, name = build(config.protocol), str(config.dataset.name)
    x, y = np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1])
    settings = config.dataset
    counted = next(iter((settings.get("expected") or {"": range(3)}).values()))
    listed = settings.get("files") or settings.get("batches") or counted
    batches = {str(i + 1): Batch(str(i + 1), x, y) for i in range(len(listed))}
    scaling = f"{protocol.transform} {protocol.batch_scale}"
    data = {"data_sha256": name, "scaling": scaling, "dtype": config.dtype}
    return Study(name, batches, list("abc"), ["no", "yes"], config.dataset.n_sources), data
