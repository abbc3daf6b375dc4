"""Programs of others that classify the samples of an unlabelled plate, called by their own packages.

Each takes a ``Case`` and returns the part to be timed. Settings are the packages' defaults. Part of
``world.py``.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from calib.data.study import FloatArray, IntArray, Task

UNIT = 100
"""What arcsinh divides intensities by, as in ``conf/dataset/mi.yaml``."""
COMPONENTS = 50
"""Number of principal components for Harmony, scanpy's default."""
HIDDEN = 256
"""Width of both hidden layers for skada, which has no network for tables: that of ``method=deep_coral``."""


@dataclass(frozen=True)
class Case:
    """What every program gets.

    Attributes:
        study: overrides that name the study.
        task: labelled sources, and one target without labels.
        seed: of weights, mini-batches and dropout.
        quick: whether to train as shortly as possible.
    """

    study: Sequence[str]
    task: Task
    seed: int
    quick: bool

    @property
    def x(self) -> FloatArray:
        """Return the samples of all plates, those of the target last ``(samples, features)``."""
        return np.concatenate([batch.dense for batch in self.task.batches])

    @property
    def y(self) -> IntArray:
        """Return the class of every sample of the sources, and -1 for the target's ``(samples,)``."""
        known = [source.y for source in self.task.sources]
        return np.concatenate([*known, np.full(len(self.task.targets[0]), -1)])

    @property
    def plate(self) -> IntArray:
        """Return the number of every sample's plate ``(samples,)``."""
        return np.repeat(np.arange(len(self.task.batches)), [len(batch) for batch in self.task.batches])

    def scaled(self, by_plate: bool = False) -> FloatArray:
        """Return arcsinh of the intensities, as z-scores over all plates, or by plate."""
        x = np.arcsinh(self.x / UNIT)
        parts = np.split(x, np.flatnonzero(np.diff(self.plate)) + 1) if by_plate else [x]
        scaled = np.concatenate([(part - part.mean(axis=0)) / part.std(axis=0) for part in parts])
        return scaled.astype(np.float32)


Work = Callable[[], FloatArray]
"""The timed part of a program; it returns the class probabilities of the target ``(samples, classes)``."""


def scanvi(case: Case) -> Work:
    """Return scVI, then scANVI, of scvi-tools."""
    import anndata
    import pandas as pd
    import scvi

    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    scvi.settings.seed = case.seed
    settings = {"accelerator": "cpu", "enable_progress_bar": False} | (
        {"max_epochs": 1} if case.quick else {}
    )

    def work() -> FloatArray:
        y = case.y
        obs = {"plate": case.plate.astype(str), "class": np.where(y < 0, "unknown", y.astype(str))}
        names = np.arange(len(y)).astype(str)
        cells = anndata.AnnData(np.maximum(case.x, 0), pd.DataFrame(obs, index=names))
        scvi.model.SCVI.setup_anndata(cells, batch_key="plate", labels_key="class")
        start = scvi.model.SCVI(cells)
        start.train(**settings)
        model = scvi.model.SCANVI.from_scvi_model(start, "unknown")
        model.train(**settings)
        return model.predict(soft=True)[["0", "1"]].to_numpy()[y < 0]

    return work


def harmony(case: Case) -> Work:
    """Return harmonypy on principal components, then logistic regression of scikit-learn."""
    import harmonypy
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    def work() -> FloatArray:
        x, y = case.scaled(), case.y
        codes = PCA(min(COMPONENTS, *x.shape), random_state=case.seed).fit_transform(x)
        found = harmonypy.run_harmony(
            codes, {"plate": case.plate}, "plate", verbose=False, random_state=case.seed, ncores=1
        )
        model = LogisticRegression().fit(found.Z_corr[y >= 0], y[y >= 0])
        return model.predict_proba(found.Z_corr[y < 0])

    return work


class Layers(nn.Sequential):
    """Layers one after another, called as skada calls a network."""

    def forward(self, x: Tensor, sample_weight: None = None) -> Tensor:
        """Return the outputs of the last layer."""
        return super().forward(x)


def skada(case: Case, by_plate: bool = False, **settings: Any) -> Work:
    """Return DeepCORAL of skada, with other settings than its defaults where some are given."""
    from skada.deep import DeepCoral

    if case.quick:
        settings |= {"max_epochs": 1}

    def work() -> FloatArray:
        x, y = case.scaled(by_plate), case.y
        first = [nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.5)]
        second = [nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(0.5)]
        net = Layers(*first, *second, nn.Linear(HIDDEN, 2))
        # Its tests and examples turn off the split for validation, too, which takes no domains.
        model = DeepCoral(net, layer_name="5", train_split=None, verbose=0, **settings)
        domain = np.where(y < 0, -1, 1) * (1 + case.plate)  # targets have negative numbers
        model.fit(x, y, sample_domain=domain)
        return model.predict_proba(x[y < 0], sample_domain=domain[y < 0])

    return work
