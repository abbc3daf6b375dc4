"""Models that were fitted without one labelled plate, and answer it as a plate that comes later."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from scipy import sparse

from calib.config import build
from calib.data.cautions import listed
from calib.data.matrix import Matrix
from calib.data.study import Batch, FloatArray, Study, Subjects
from calib.errors import CalibError
from calib.estimators.classifier import BatchClassifier
from calib.estimators.settings import configured
from calib.methods.base import Method
from calib.registry import METHOD
from calib.runs.run import method_settings

log = logging.getLogger(__name__)

FEW = 5
"""Samples of a class below which the AUC of a plate is mostly chance."""

SUBSTITUTE = "standardise_logistic"
"""Judges where a method cannot answer later plates."""

Answer = Callable[[Matrix], FloatArray]
"""Takes values of a whole plate ``(samples, features)``, returns probabilities ``(samples, classes)``."""


@dataclass(frozen=True)
class LeftOutModel:
    """A model and the plate that it does not know.

    Attributes:
        plate: the plate, with labels.
        answer: answers values of the plate, such as shuffled ones.
    """

    plate: Batch
    answer: Answer


def left_out_models(
    study: Study, method: str, settings: Mapping[str, Any], seed: int
) -> tuple[str, list[LeftOutModel], list[str]]:
    """Fit a method once for each labelled plate, to the others and to the plates without labels.

    A method that cannot answer later plates is replaced by ``SUBSTITUTE``. Plates that tell nothing are not
    judged: those without two classes of ``FEW`` samples, if others have them, and those without which the
    others have one class.

    Args:
        study: a study of which at least two plates have labels.
        method: name of a method, as in ``conf/method``.
        settings: keyword arguments of ``BatchClassifier``, such as ``protocol`` and ``protocol__transform``.
        seed: seed of the training.

    Returns:
        The label of the method that answers, its models, and sentences on what was replaced or left out.

    Raises:
        CalibError: no plate can be judged, or a setting is wrong.
    """
    plates = {name: batch for name, batch in study.batches.items() if batch.y is not None}
    judged = [name for name in plates if _tells(plates, name, FEW)]
    judged = judged or [name for name in plates if _tells(plates, name, 1)]
    if not judged:
        raise CalibError(
            "Features are judged on a left-out labelled plate of two classes, while the other labelled "
            "plates have two classes, too; there is no such plate."
        )
    said = []
    if skipped := [name for name in plates if name not in judged]:
        said.append(
            f"Nothing is measured on {listed(skipped)}: of one class, or without it the other plates are, or "
            f"two classes with {FEW} samples each are not there."
        )
    reason = _why_not(study, method, settings)
    if not reason:
        try:
            return *_fitted(study, plates, judged, method, settings, seed), said
        except ValueError as error:
            reason = f"failed here ({str(error).rstrip('.')})"
    used = configured(method, "paper", {}).method.card.label
    said.insert(
        0,
        f"The method of the calls, {used}, {reason}; so the features are those of a simpler one in its "
        "place.",
    )
    kept = {name: value for name, value in settings.items() if name.startswith(("protocol", "unit"))}
    return *_fitted(study, plates, judged, SUBSTITUTE, kept, seed), said


def _tells(plates: Mapping[str, Batch], name: str, fewest: int) -> bool:
    """Return whether a plate has two classes of at least ``fewest`` samples, and the others together two."""
    labels = {other: batch.y for other, batch in plates.items() if batch.y is not None}
    own = np.bincount(labels.pop(name))
    return (own >= fewest).sum() > 1 and len(set().union(*(y.tolist() for y in labels.values()))) > 1


def _why_not(study: Study, method: str, settings: Mapping[str, Any]) -> str:
    """Return why a method cannot answer a plate that comes later, as a predicate, or ""."""
    own = {
        name: value for name, value in settings.items() if name not in ("protocol", "unit", "device", "dtype")
    }
    config = configured(method, settings.get("protocol", "paper"), own)
    made: Method = build(OmegaConf.create(method_settings(config)), METHOD)
    if made.uses_target_labels:
        return "needs the labels of the plates that it judges"
    if made.needs_targets and all(batch.y is not None for batch in study.batches.values()):
        return "needs plates without labels"
    return made.why_no_new_batches


def _fitted(
    study: Study,
    plates: Mapping[str, Batch],
    judged: Sequence[str],
    method: str,
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[str, list[LeftOutModel]]:
    """Return the label of a method, and its model for each plate.

    Raises:
        ValueError: the method cannot be used so.
    """
    models, label = [], method
    for name in judged:
        log.info("features: %s without plate %s", method, name)
        model = _fit([batch for other, batch in study.batches.items() if other != name], study, method,
                     settings, seed)  # fmt: skip
        label = str(model.card_["label"])
        models.append(LeftOutModel(plates[name], _answers(model, plates[name], study.classes)))
        models[-1].answer(plates[name].x)  # so that a method that cannot answer says so before all is done
    return label, models


def _fit(
    batches: Sequence[Batch], study: Study, method: str, settings: Mapping[str, Any], seed: int
) -> BatchClassifier:
    """Return a method that is fitted to these plates.

    Methods see no subjects, but replicates, which the study has where a subject's samples are such.
    """
    classes = np.array(study.classes, object)
    labels = [np.full(len(b), None, object) if b.y is None else classes[b.y] for b in batches]
    model = BatchClassifier(
        method,
        unit=settings.get("unit", study.unit),
        positive=classes[1] if len(classes) == 2 else None,
        random_state=seed,
        **{name: value for name, value in settings.items() if name != "unit"},
    )
    return model.fit(
        _stacked([batch.x for batch in batches]),
        np.concatenate(labels),
        batch=np.repeat([batch.name for batch in batches], [len(batch) for batch in batches]),
        replicate=_of_all([batch.replicate for batch in batches]),
    )


def _answers(model: BatchClassifier, plate: Batch, classes: Sequence[str]) -> Answer:
    """Return what answers the plate, with a column for each class of the study."""
    columns = [list(classes).index(str(name)) for name in model.classes_]
    names = np.repeat(plate.name, len(plate))

    def answer(x: Matrix) -> FloatArray:
        found = np.zeros((len(plate), len(classes)))
        found[:, columns] = model.predict_proba(x, batch=names, replicate=plate.replicate)
        return found

    return answer


def _stacked(parts: Sequence[Matrix]) -> Matrix:
    """Return the rows of all parts."""
    if any(map(sparse.issparse, parts)):
        return sparse.csr_array(sparse.vstack([sparse.csr_array(part) for part in parts], format="csr"))
    return np.concatenate(parts)


def _of_all(parts: Sequence[Subjects | None]) -> Subjects | None:
    """Return the names of all parts as text, None where one has none."""
    known = [np.asarray(part).astype(str) for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
