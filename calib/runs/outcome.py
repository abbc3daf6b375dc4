"""The outcome of a trained method in one run: its probabilities, its calibrated data and their scores.

``judge`` computes it; the functions below it turn it into the tables and arrays that a record holds.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from calib.data.matrix import Matrix, blocks, dense, infinite_feature
from calib.data.study import FloatArray, IntArray, LabelledTask, Study, Task
from calib.data.transform import LARGEST
from calib.errors import DivergedError
from calib.evaluation.distances import batch_distances, chosen_distances
from calib.evaluation.metrics import by_subject, count_classes, median_by_subject, score, unseen_classes
from calib.evaluation.separation import separation
from calib.files import Stack, short_hash
from calib.methods.base import Fitted, calibrated_rows, class_probabilities
from calib.records.predictions_file import CALIBRATED, PROBABILITY, TEXT, Predictions
from calib.runs.kept import UNMEASURED, keeps_all
from calib.runs.last import Last
from calib.runs.run import Run

NO_SILHOUETTES: Mapping[str, float | None] = {"batch": None, "class": None}

Scores = dict[str, Any]
"""Numbers of samples, predicted classes and metrics of one target batch."""


@dataclass(frozen=True)
class Outcome:
    """What a trained method gives for the batches of its run, and how good that is.

    Attributes:
        probability: target batch -> class probabilities ``(samples, classes)``.
        embedding: batch -> calibrated data ``(rows, dimensions)``, in the order of the study.
        rows: the rows of a batch that ``embedding`` holds, for batches that are not whole.
        scores: target batch -> its metrics, for samples and for subjects.
        class_counts: batch with labels -> class -> number of samples.
        unseen_classes: target batch -> the classes of its samples that no source has.
        distances: squared MMD of the chosen pairs of batches, before and after calibration.
        distance_rule: the rule that chose the pairs and the draws of rows, as a sentence.
        silhouettes: mean silhouettes of the calibrated data by ``batch`` and by ``class``
            (``evaluation.separation``).
        seconds_predicting: time that the method took to predict and to calibrate.
        seconds: that time and the time to judge.
    """

    probability: Mapping[str, FloatArray]
    embedding: Mapping[str, Matrix]
    rows: Mapping[str, IntArray]
    scores: Mapping[str, Scores]
    class_counts: Mapping[str, Mapping[str, int]]
    unseen_classes: Mapping[str, Mapping[str, int]]
    distances: pd.DataFrame
    distance_rule: str
    silhouettes: Mapping[str, float | None]
    seconds_predicting: float
    seconds: float


def judge(run: Run, task: Task | LabelledTask, fitted: Fitted) -> Outcome:
    """Return the predictions of a trained method for all targets, its calibrated data, and their scores.

    Raises:
        DivergedError: the trained model gives values that are no finite numbers.
    """
    started = time.perf_counter()
    probability = {target.name: class_probabilities(fitted, target) for target in task.targets}
    rows = calibrated_rows(fitted)
    shown = task.batches if keeps_all(run) else []
    calibrated = {b.name: fitted.transform(b) for b in shown if len(rows.get(b.name, b))}
    embedding = {name: calibrated[name] for name in run.study.batches if name in calibrated}
    predicted = time.perf_counter()
    for name, x in embedding.items():
        if infinite_feature(x, LARGEST["float32"]) is not None:  # larger ones have no squared distances
            raise DivergedError(
                f"{run}, batch '{name}': the calibrated data have values that are no numbers or as good as "
                "infinite; lower the learning rate, or rescale the features."
            )
    distances, rule = _distances(run, embedding, rows) if embedding else (pd.DataFrame(), UNMEASURED)
    scores = {name: _scores(run.study, name, p) for name, p in probability.items()}
    counts = _class_counts(run.study, task)
    learnt = list(probability) if run.method.uses_target_labels else run.split.sources
    return Outcome(
        probability=probability,
        embedding=embedding,
        rows=rows,
        scores=scores,
        class_counts=counts,
        unseen_classes=unseen_classes(counts, learnt, run.split.targets),
        distances=distances,
        distance_rule=rule,
        silhouettes=_silhouettes(run.study, embedding, rows) if embedding else NO_SILHOUETTES,
        seconds_predicting=predicted - started,
        seconds=time.perf_counter() - started,
    )


def _distances(
    run: Run, embedding: Mapping[str, Matrix], rows: Mapping[str, IntArray]
) -> tuple[pd.DataFrame, str]:
    """Return squared MMD of pairs of batches, as given and as calibrated, on the same rows; and the rule."""
    chosen = chosen_distances([x.shape[0] for x in embedding.values()])
    before = {name: run.study.batches[name].x for name in embedding}
    before |= {name: before[name][kept] for name, kept in rows.items() if name in before}
    seed = run.config.seed

    def distances(space: str, data: Mapping[str, Matrix]) -> pd.DataFrame:
        """Return the distances in one space."""
        return batch_distances({space: data}, seed, draws=chosen.draws, pairs=chosen.pairs)

    some = {name: short_hash(kept.tolist()) for name, kept in rows.items() if name in before}
    key = short_hash({**run.data, "seed": seed, "batches": list(before), "rows": some, "rule": chosen.rule})
    known = _before(key, lambda: distances("before", before))
    return pd.concat([known, distances("after", embedding)], ignore_index=True), chosen.rule


_before: Last[pd.DataFrame] = Last()
"""Distances before calibration: ``_before(key, make)``."""


def _silhouettes(
    study: Study, embedding: Mapping[str, Matrix], rows: Mapping[str, IntArray]
) -> dict[str, float | None]:
    """Return the mean silhouettes of the calibrated data, by batch and by true class where it is known."""
    labels = {name: study.batches[name].y for name in embedding}
    labels |= {name: y[rows[name]] for name, y in labels.items() if y is not None and name in rows}
    return separation(list(embedding.values()), list(labels.values()))


def _scores(study: Study, name: str, probability: FloatArray) -> Scores:
    """Return the predicted classes of one target, and the metrics of its samples and subjects where known."""
    batch = study.batches[name]
    predicted = count_classes(probability.argmax(axis=1), study.classes)
    if batch.y is None:
        return {"n": len(batch), "predicted": predicted}
    scores: Scores = {"n": len(batch), "predicted": predicted} | score(probability, batch.y)
    if batch.subject is not None:
        medians, y = by_subject(probability, batch.y, batch.subject)
        scores["subject"] = {"n": len(y)} | score(medians, y)
    return scores


def _class_counts(study: Study, task: Task | LabelledTask) -> dict[str, dict[str, int]]:
    """Return the number of samples of every class in each batch of the task that has labels."""
    took_part = {batch.name for batch in task.batches}
    labels = {name: batch.y for name, batch in study.batches.items() if name in took_part}
    return {name: count_classes(y, study.classes) for name, y in labels.items() if y is not None}


def embedding_arrays(outcome: Outcome) -> dict[str, Any]:
    """Return the calibrated data of all batches as ``z`` (float32), and ``batch`` and ``row`` of its rows."""
    embedding = outcome.embedding
    sizes = [z.shape[0] for z in embedding.values()]
    width = next(iter(embedding.values())).shape[1]
    parts = (dense(z[rows]) for z in embedding.values() for rows in blocks(z))
    rows = [outcome.rows.get(name, np.arange(z.shape[0])) for name, z in embedding.items()]
    return {
        "z": Stack((sum(sizes), width), "float32", parts),
        "batch": np.repeat(list(embedding), sizes),
        "row": np.concatenate(rows),
    }


def predictions(study: Study, probability: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Return a table with a row for each sample: its batch and row, labels and class probabilities.

    The columns are ``study``, ``batch``, ``row``, ``sample`` (its name, where the study has names),
    ``subject``, ``label`` (the true one, where it is known), ``predicted`` and ``p_<class>`` for each class.
    ``calib.records.predictions_file`` reads it.

    Args:
        probability: batch name -> ``(samples, classes)``.
    """
    parts = []
    for name, p in probability.items():
        batch = study.batches[name]
        columns = {
            "study": study.name,
            "batch": name,
            "row": np.arange(len(p)),
            **({} if batch.names is None else {"sample": batch.names}),
            "subject": pd.Series(
                batch.subject,
                index=range(len(p)),
                dtype="Int64" if batch.subject is None or batch.subject.dtype.kind == "i" else "str",
            ),
            "label": None if batch.y is None else np.array(study.classes)[batch.y],
        }
        parts.append(pd.DataFrame(columns | _answers(study, p)))
    return pd.concat(parts, ignore_index=True)


def as_read(study: Study, probability: Mapping[str, FloatArray]) -> Predictions:
    """Return what ``read_predictions`` reads from the file of ``predictions``.

    Args:
        probability: batch name -> ``(samples, classes)``.
    """
    classes = np.array(study.classes, dtype=object)
    parts = []
    for name, p in probability.items():
        batch = study.batches[name]
        columns = {
            "batch": name,
            "row": np.arange(len(p)).astype(str).astype(object),
            "subject": "" if batch.subject is None else batch.subject.astype(str).astype(object),
            "label": "" if batch.y is None else classes[batch.y],
            "predicted": classes[p.argmax(axis=1)],
        }
        parts.append(pd.DataFrame(columns, columns=list(TEXT), dtype=object))
    table = pd.concat(parts, ignore_index=True).astype(str)
    return Predictions(table, tuple(study.classes), np.concatenate(list(probability.values())))


def subject_predictions(study: Study, probability: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Return a table with a row for each subject, from the median probabilities of its samples.

    Batches without subjects have no rows. Where labels are known, the samples of each class of a subject have
    a row of their own; where they are unknown and the samples of a subject are no replicates
    (``dataset.subject_labels=split``), there are no rows, since nobody knows which samples belong together.

    Args:
        probability: batch name -> ``(samples, classes)``.
    """
    parts = []
    for name, p in probability.items():
        batch = study.batches[name]
        if batch.subject is not None and (batch.y is not None or batch.replicate is not None):
            first, sizes, medians = median_by_subject(p, batch.y, batch.subject)
            columns = {
                "study": study.name,
                "batch": name,
                "subject": batch.subject[first],
                "samples": sizes,
                "label": None if batch.y is None else np.array(study.classes)[batch.y[first]],
            }
            parts.append(pd.DataFrame(columns | _answers(study, medians)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


ABSTAINED = "abstained"
"""The answer for a sample that no class is probable enough for."""


def with_calibrated(table: pd.DataFrame, tempered: pd.DataFrame) -> pd.DataFrame:
    """Return a table of predictions with the columns ``calibrated_<class>`` as well.

    Args:
        table: predictions of samples or subjects.
        tempered: the same table, made of tempered probabilities (``evaluation.trust.tempered``).
    """
    shares = tempered.filter(regex=f"^{PROBABILITY}")
    return table.join(shares.rename(columns=lambda name: CALIBRATED + name.removeprefix(PROBABILITY)))


def with_abstentions(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return a table of predictions with a column ``answer``: the predicted label, or ``ABSTAINED``.

    Args:
        table: predictions of samples or subjects, with columns ``predicted`` and ``p_<class>``, or also
            ``calibrated_<class>``, which then decide.
        confidence: the least probability of the predicted class, as a share of all classes' sum, that gives
            an answer.
    """
    calibrated = table.filter(regex=f"^{CALIBRATED}")
    shares = calibrated if calibrated.shape[1] else table.filter(regex=f"^{PROBABILITY}")
    surest = shares.max(axis=1) / shares.sum(axis=1)  # the medians of a subject need not sum to one
    answer = table["predicted"].where(surest >= confidence, ABSTAINED)
    made = table.copy()
    made.insert(list(table.columns).index("predicted") + 1, "answer", answer)
    return made


def _answers(study: Study, p: FloatArray) -> dict[str, object]:
    """Return the columns ``predicted`` and ``p_<class>`` of a table of predictions."""
    shares = {PROBABILITY + label: p[:, index] for index, label in enumerate(study.classes)}
    return {"predicted": np.array(study.classes)[p.argmax(axis=1)]} | shares
