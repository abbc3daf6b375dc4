"""scANVI: a variational autoencoder of counts that gets each sample's batch, and its class if it is known.

Xu et al. 2021 (doi 10.15252/msb.20209620), computed by the authors' library scvi-tools. Only the extra
``scanvi`` installs it, because it requires a second training framework.
"""

import logging
import random
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch

from calib.data.study import FloatArray, Samples, Task, by_batch
from calib.errors import check_choice, check_flag, check_number, not_installed
from calib.methods.base import Method
from calib.runtime import Runtime

LIKELIHOODS = ("zinb", "nb", "poisson")
UNKNOWN = "unknown"
"""The class that scANVI is given for a target's samples."""


class ScANVI(Method):
    """A method that trains scVI on all samples without labels, then scANVI, whose classifier predicts.

    Args:
        logged: the data are log(1 + counts), as in the pancreas studies, and are turned back into counts;
            false takes them as counts, negative values as 0. Counts need not be whole numbers.
        hidden, layers: width and number of the hidden layers of encoder and decoder.
        latent: dimensions of the code.
        dropout: share of a hidden layer's outputs that is zeroed in training.
        likelihood: distribution of a count: ``"zinb"`` (zero-inflated negative binomial), ``"nb"`` (negative
            binomial) or ``"poisson"``.
        pretrain_epochs: epochs of scVI; None for scvi-tools' rule, 400 up to 20,000 samples, fewer above.
        epochs: epochs of scANVI.
        samples_per_class: labelled samples that are drawn of every class in each epoch of scANVI.
        batch_size: rows of a mini-batch, from all batches together.

    Raises:
        CalibError: a value is no number, too small or too large, or the likelihood is unknown.
    """

    def __init__(
        self,
        logged: bool,
        hidden: int,
        layers: int,
        latent: int,
        dropout: float,
        likelihood: str,
        pretrain_epochs: int | None,
        epochs: int,
        samples_per_class: int,
        batch_size: int,
    ) -> None:
        check_flag("method.logged", logged)
        counts = {"hidden": hidden, "layers": layers, "latent": latent, "epochs": epochs}
        counts |= {"samples_per_class": samples_per_class, "batch_size": batch_size}
        if pretrain_epochs is not None:
            counts["pretrain_epochs"] = pretrain_epochs
        for key, count in counts.items():
            check_number(f"method.{key}", count, least=2 if key == "batch_size" else 1, whole=True)
        check_number("method.dropout", dropout, least=0, below=1)
        check_choice("method.likelihood", likelihood, LIKELIHOODS)
        self.logged = logged
        self.network: dict[str, Any] = {"n_hidden": hidden, "n_layers": layers, "n_latent": latent}
        self.network |= {"dropout_rate": dropout, "gene_likelihood": likelihood}
        self.pretrain_epochs, self.epochs = pretrain_epochs, epochs
        self.samples_per_class, self.batch_size = samples_per_class, batch_size

    def fit(self, task: Task, runtime: Runtime) -> "FittedScANVI":
        """Train scVI, then scANVI, on all batches together.

        Raises:
            CalibError: scvi-tools is not installed.
            DivergedError: a loss is no longer finite.
        """
        scvi = scvi_tools()
        cells = self.cells(task)
        labelled = np.unique(np.concatenate([source.y for source in task.sources]), return_counts=True)[1]
        drawn = np.minimum(labelled, self.samples_per_class).sum()
        rows = no_single_row([len(cells), drawn], self.batch_size)
        with _own_randomness(scvi, runtime):
            scvi.model.SCVI.setup_anndata(cells, batch_key="batch", labels_key="class")
            start = scvi.model.SCVI(cells, **self.network)
            _train(start, self.pretrain_epochs, rows, "scVI", runtime)
            model = scvi.model.SCANVI.from_scvi_model(start, UNKNOWN, labels_key="class")
            _train(model, self.epochs, rows, "scANVI", runtime, n_samples_per_label=self.samples_per_class)
            codes = model.get_latent_representation()
            judged = model.predict(soft=True)
        probability = np.zeros((len(cells), task.n_classes))  # 0 for a class that no source has
        probability[:, judged.columns.astype(int)] = judged
        codes = codes.astype(runtime.numpy_dtype)
        return FittedScANVI(by_batch(codes, task.batches), by_batch(probability, task.batches))

    def cells(self, task: Task) -> Any:
        """Return all batches as an AnnData of counts, with columns ``batch`` and ``class`` (index) in obs."""
        import anndata

        y = [np.full(len(batch), UNKNOWN) for batch in task.batches]
        y[: len(task.sources)] = [source.y.astype(str) for source in task.sources]
        names = [batch.name for batch in task.batches]
        obs = {"batch": np.repeat(names, [len(batch) for batch in task.batches]), "class": np.concatenate(y)}
        x = np.concatenate([batch.dense for batch in task.batches])
        counts = np.expm1(x) if self.logged else x
        return anndata.AnnData(
            np.maximum(counts, 0).astype(np.float32), pd.DataFrame(obs, index=np.arange(len(x)).astype(str))
        )


@dataclass(frozen=True)
class FittedScANVI:
    """Codes and class probabilities of the batches that were trained on, by name."""

    codes: Mapping[str, FloatArray]
    probability: Mapping[str, FloatArray]

    def transform(self, samples: Samples) -> FloatArray:
        """Return the codes ``(samples, latent)`` of a batch, which are the means of their distributions."""
        return self.codes[samples.name]

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch."""
        return self.probability[samples.name]


def no_single_row(counts: Sequence[int], batch_size: int) -> int:
    """Return the smallest size from ``batch_size`` on whose mini-batches never have a single row.

    Batch norm has no variance of one row.

    Args:
        counts: numbers of rows that are cut into mini-batches.
        batch_size: smallest size.
    """
    while any(count % batch_size == 1 for count in counts):
        batch_size += 1
    return batch_size


def _train(
    model: Any, epochs: int | None, batch_size: int, what: str, runtime: Runtime, **settings: Any
) -> None:
    """Train a model of scvi-tools on all samples, with this project's progress bar and history of losses."""
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.plugins.environments import LightningEnvironment

    class Report(Callback):
        """A callback that reports every epoch's loss to the run."""

        def on_train_start(self, trainer: Any, _: Any) -> None:
            self.bar = runtime.epochs(trainer.max_epochs, what)

        def on_train_epoch_end(self, trainer: Any, _: Any) -> None:
            loss = float(trainer.callback_metrics["train_loss"])
            runtime.report(self.bar, trainer.current_epoch + 1, {"loss": loss}, what)
            self.bar.update()

        def on_train_end(self, *_: Any) -> None:
            self.bar.close()

    device = runtime.device
    model.train(
        max_epochs=epochs,
        train_size=1.0,
        batch_size=batch_size,
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        callbacks=[Report()],
        enable_progress_bar=False,
        plugins=[LightningEnvironment()],  # a single process, even within a Slurm job
        **settings,
    )


@contextmanager
def _own_randomness(scvi: ModuleType, runtime: Runtime) -> Iterator[None]:
    """Seed the global generators, from which scvi-tools draws, by the run, and restore them afterwards."""
    before = random.getstate(), np.random.get_state(), scvi.settings.seed  # noqa: NPY002
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hides deprecations between the two frameworks, and advice on speed
        try:
            scvi.settings.seed = runtime.derived_seed("scANVI") % 2**32  # NumPy accepts no larger seed
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            scvi.settings._seed = before[2]


def scvi_tools() -> ModuleType:
    """Return the library scvi-tools, set to log errors only and to close no stream that is not its own.

    Raises:
        CalibError: it is not installed.
    """
    try:
        import scvi
        from absl import logging as absl_logging
    except ModuleNotFoundError as error:
        raise not_installed("method=scanvi", error.name, "scanvi") from error
    for name in ("lightning.pytorch", "lightning.fabric", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # When Hydra configures logging, absl's handler closes its stream unless this is sys.__stderr__.
    absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
    return scvi
