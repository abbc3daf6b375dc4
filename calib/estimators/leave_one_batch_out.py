"""Cross-validation over batches in which the held-out batch takes part in the training without labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.utils.validation import column_or_1d

from calib.estimators.arrays import batches_in_order, column_of, is_anndata, names_of
from calib.estimators.classifier import BatchClassifier

Rows = NDArray[np.intp]


class LeaveOneBatchOut(LeaveOneGroupOut):
    """A splitter that holds out one labelled batch after another.

    ``split`` gives rows as scikit-learn's splitters do, so in ``cross_val_score`` a model never sees the
    held-out batch. On the command line the held-out batch is a target: it takes part in the training without
    its labels, as methods that calibrate batches need it. So do ``predict`` and ``score`` here::

        LeaveOneBatchOut().score(BatchClassifier("joint_plus"), X, y, batch=plate)

    Batches without labels take part in every training and are never held out.
    """

    def folds(self, y: ArrayLike, batch: ArrayLike) -> Iterator[tuple[str, NDArray[Any], Rows]]:
        """Yield each held-out batch: its name, all labels with its own taken out, and its rows.

        Args:
            y: labels ``(samples,)``, missing where unknown.
            batch: name of each sample's batch ``(samples,)``.

        Raises:
            ValueError: fewer than two batches have labels.
        """
        labels = np.asarray(column_or_1d(y), dtype=object)
        parts = batches_in_order(names_of(batch, len(labels), "batch"), len(labels))
        known = {name: rows for name, rows in parts.items() if not pd.isna(labels[rows]).any()}
        if len(known) < 2:
            raise ValueError(
                f"There is {len(known)} batch with labels; at least two are needed to hold one out."
            )
        for name, rows in known.items():
            masked = labels.copy()
            masked[rows] = None
            yield name, masked, rows

    def predict(
        self,
        model: BatchClassifier,
        X: Any,  # noqa: N803
        y: ArrayLike | str,
        batch: ArrayLike | str,
        method: str = "predict",
        **names: Any,
    ) -> NDArray[Any]:
        """Return the answer for each sample of a labelled batch by the model that did not know its label.

        Args:
            model: is cloned and fitted anew for each batch.
            X: data ``(samples, features)``.
            y: labels ``(samples,)``.
            batch: name of each sample's batch ``(samples,)``.
            method: ``predict`` or ``predict_proba``.
            names: further arguments of ``fit``, such as ``subject``.

        Returns:
            Classes ``(samples,)``, or probabilities ``(samples, classes)`` in ascending order of the classes;
            None or NaN for samples of batches without labels.

        Raises:
            ValueError: fewer than two batches have labels, or the other batches lack a class of all of them.
        """
        labels, plates = column_of(X, y, "y"), column_of(X, batch, "batch")
        known = np.asarray(column_or_1d(labels), dtype=object)
        classes = np.unique(np.array(known[~pd.isna(known)].tolist()))
        found: NDArray[Any] = np.full(len(known), None, dtype=object)
        if method == "predict_proba":
            found = np.full((len(known), len(classes)), np.nan)
        for name, masked, rows in self.folds(labels, plates):
            fitted = clone(model).fit(X, masked, batch=plates, **names)
            if len(fitted.classes_) < len(classes):
                raise ValueError(
                    f"Without batch '{name}' there are {len(fitted.classes_)} of the {len(classes)} classes, "
                    "so its model could not answer them; hold out other batches."
                )
            part = X[rows] if is_anndata(X) or not hasattr(X, "iloc") else X.iloc[rows]
            found[rows] = getattr(fitted, method)(part, batch=np.asarray(plates)[rows])
        return found

    def score(
        self,
        model: BatchClassifier,
        X: Any,  # noqa: N803
        y: ArrayLike | str,
        batch: ArrayLike | str,
        **names: Any,
    ) -> "pd.Series[float]":
        """Return the accuracy on each held-out batch, by its name; arguments as of ``predict``."""
        answers = self.predict(model, X, y, batch, **names)
        labels, plates = column_of(X, y, "y"), column_of(X, batch, "batch")
        return pd.Series(
            {
                name: float(accuracy_score(np.asarray(labels)[rows].astype(str), answers[rows].astype(str)))
                for name, _, rows in self.folds(labels, plates)
            },
            name="accuracy",
        )
