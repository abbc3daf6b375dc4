"""Predictions of a trained model for a file of batches, of its own study or of later measurements."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from calib.data.exclusions import Exclusions
from calib.data.h5ad import obs_columns, place_of, read_h5ad
from calib.data.raw_counts import with_normalised_counts
from calib.data.references import set_apart
from calib.data.replicates import find_replicates, infer_subjects
from calib.data.settings import as_mapping, as_words, found_name
from calib.data.sheet import Sheet, batches_of, class_indices
from calib.data.sheet_names import labels_of
from calib.data.study import Batch, FloatArray, Samples, Study
from calib.data.subjects import SubjectLabels, with_subject_labels
from calib.data.table_columns import NAMES, Columns
from calib.data.table_files import read_frame
from calib.data.table_study import as_sheet, complete
from calib.data.transform import checked
from calib.errors import CalibError, DataError, check_choice, nearest
from calib.evaluation.class_mix import MixEstimate
from calib.evaluation.familiar import Familiar
from calib.evaluation.mix_borne import mix_warning
from calib.evaluation.novelty import Measure, novelty
from calib.evaluation.trust import temperature, tempered
from calib.failures import in_one_sentence
from calib.methods.base import class_probabilities
from calib.records.predictions_file import read_predictions
from calib.records.record import RESULT
from calib.runs.mixes import later_mix
from calib.runs.models import Model, load_model
from calib.runs.predict_advice import advice_for_predictions
from calib.runtime import torchs_own_defaults

STATISTICS = {
    "as_trained": {},
    "calibrator": {"calibrator_test_statistics": "own"},
    "both": {"calibrator_test_statistics": "own", "discriminator_test_statistics": "own"},
}
"""The choices of batch norms that use the new batch's own mean and variance, not those of the training."""

REMEDY = (
    "give the samples of each class a subject of their own, or train the model with "
    "dataset.subject_labels=split."
)
"""What to do about a subject with two labels in a file that a model is to predict."""

COLUMNS = ("batch", "label", "subject", "sample")
"""The columns of a file that are not features."""


@dataclass(frozen=True)
class Prediction:
    """The batches of a file and their predictions.

    Attributes:
        study: the batches, with labels and subjects where they are known.
        probability: batch -> class probabilities ``(samples, classes)``.
        novelty: batch -> how far it lies from the batches of the training (``calib.evaluation.novelty``);
            empty where the model has no statistics of those.
        familiar: batch -> which of its samples the model was trained on (``calib.evaluation.familiar``);
            empty where the model has no checksums of those.
        class_mix: batch -> its class mix, estimated without its labels (``calib.evaluation.class_mix``);
            batches of one sample are left out, and all batches where an older model cannot tell it.
        mix_warnings: batch -> sentence that the method loses by such a mix; the other batches are left out.
    """

    study: Study
    probability: Mapping[str, FloatArray]
    novelty: Mapping[str, Mapping[str, Measure]]
    familiar: Mapping[str, Familiar]
    class_mix: Mapping[str, MixEstimate]
    mix_warnings: Mapping[str, str]

    def tempered(self, temperature: float) -> "Prediction":
        """Return the predictions with tempered probabilities (``trust.tempered``) and the same classes."""
        probability = {name: tempered(p, temperature) for name, p in self.probability.items()}
        return replace(self, probability=probability)


def fitted_temperature(run: Path, files: Sequence[Path], classes: Sequence[str]) -> float:
    """Return the temperature under which known labels are most likely (``trust.temperature``).

    Args:
        run: directory of the run whose model is used. Only rows of its sources count, so that no label of a
            batch that the model judges has a say.
        files: ``predictions.csv`` of runs in which one of these sources was a target.
        classes: names of the classes in the order of the class index.

    Raises:
        CalibError: a file is missing, is no such table of these classes, or has no labels of a source.
    """
    sources = _sources(run)
    probability, y = [], []
    for file in files:
        if not file.is_file():
            raise CalibError(f"File {file} does not exist; check temperature=.")
        found = read_predictions(file, classes, text=("batch", "label"))
        known = found.rows(found.table["batch"].isin(sources).to_numpy() & (found.y >= 0))
        if not len(known.y):
            raise CalibError(
                f"File {file} has no labelled rows of a source of {run} ({', '.join(sources)}); take a run "
                "whose target is one of them."
            )
        probability.append(known.probability)
        y.append(known.y)
    return temperature(np.concatenate(probability), np.concatenate(y))


def _sources(run: Path) -> list[str]:
    """Return the names of a run's sources.

    Raises:
        CalibError: its ``result.json`` does not name them.
    """
    try:
        sources = json.loads((run / RESULT).read_text(encoding="utf-8"))["sources"]
    except (OSError, ValueError, LookupError, TypeError):
        sources = None
    if not isinstance(sources, list) or not all(isinstance(name, str) for name in sources):
        raise CalibError(
            f"Folder {run} has no {RESULT} that names the sources of its run, so no temperature can be "
            "fitted to them; give a number, such as temperature=2."
        )
    return sources


@torchs_own_defaults()
def predict(
    run: Path, data: Path, statistics: str = "as_trained", only: str | None = None, **columns: str | None
) -> Prediction:
    """Return class probabilities of every sample in a file.

    Args:
        run: directory of a run made with ``save_model=true``.
        data: CSV, TSV, Parquet or h5ad with the features of the run's study; other features are ignored.
        statistics: which batch norms use the new batch's own statistics: ``as_trained``, ``calibrator`` or
            ``both``.
        only: name of the batch to predict, or several separated by commas; None: all that the file has.
        columns: names of the columns ``batch, label, subject, sample`` and of the ``layer``, where they
            differ from those of the run's study; an empty name for no column.

    Raises:
        CalibError: there is no such model, or the file lacks what the model needs.
    """
    check_choice("statistics", statistics, STATISTICS)
    model = load_model(run, STATISTICS[statistics])
    dataset: dict[str, Any] = dict(model.config.dataset)
    if "cell_types" in dataset or dataset.get("prepare", "none") != "none":
        raise CalibError(
            f"The study '{dataset['name']}' is prepared from the values of all its batches together, so no "
            "batch can be added later; make the new one an unlabelled batch of the study."
        )
    if isinstance(dataset.get("reference"), Mapping):  # of a table of samples, which a later file is not
        dataset["reference"] = None
    if not data.is_file():
        raise CalibError(f"File {data} does not exist, or is no file; check data=.")
    with in_one_sentence(f"Reading {data}"), advice_for_predictions():
        sheet = _read(data, model, dataset, columns, only)
        y = _classes(sheet, dataset, model)
        read = batches_of(sheet, y)
    batches = {name: _with_subjects(batch, dataset) for name, batch in read.items()}
    rule: SubjectLabels = "split" if dataset.get("subject_labels") == "split" else "refuse"
    study = with_subject_labels(Study(dataset["name"], batches, model.features, model.classes), rule, REMEDY)
    if study.refusal and model.joins_replicates:
        raise DataError(study.refusal)
    own_statistics = statistics != "as_trained"
    probability = {name: _probability(model, batch, own_statistics) for name, batch in study.batches.items()}
    known = model.training_statistics
    found = {} if known is None else {name: novelty(batch.x, known) for name, batch in batches.items()}
    rows = model.training_rows
    familiar = {} if rows is None else {name: rows.familiar(batch.x) for name, batch in batches.items()}
    return Prediction(study, probability, found, familiar, *_mixes(model, study))


def _mixes(model: Model, study: Study) -> tuple[dict[str, MixEstimate], dict[str, str]]:
    """Return ``class_mix`` and ``mix_warnings`` of a ``Prediction`` for batches as they were read."""
    if model.mix is None:
        return {}, {}
    name, reference = str(model.config.method.get("name") or "the method"), model.mix.reference
    every = {batch.name: later_mix(model.mix, batch, model.unit) for batch in study.batches.values()}
    found = {batch: mix for batch, mix in every.items() if mix is not None}
    said = {
        batch: mix_warning(f"Batch '{batch}'", name, mix, reference, model.classes)
        for batch, mix in found.items()
    }
    return found, {batch: sentence for batch, sentence in said.items() if sentence}


def _probability(model: Model, batch: Batch, own_statistics: bool) -> FloatArray:
    """Return class probabilities ``(samples, classes)`` of a batch as it was read.

    Args:
        own_statistics: whether batch norms use the mean and variance of the batch.

    Raises:
        CalibError: the batch has a single sample, and so no such statistics; or a value, as given or as
            answered, is no finite number.
    """
    if own_statistics and len(batch) < 2:
        raise CalibError(
            f"Batch '{batch.name}' has one sample and so no statistics of its own; set statistics=as_trained."
        )
    protocol = model.config.protocol
    place = f"Batch '{batch.name}'"
    x = checked(
        batch.x,
        protocol.transform,
        protocol.batch_scale,
        model.config.dtype,
        place,
        model.features,
        model.unit,
    )
    return class_probabilities(model.fitted, Samples(batch.name, x, replicate=batch.replicate))


def _read(
    file: Path,
    model: Model,
    dataset: Mapping[str, Any],
    asked: Mapping[str, str | None],
    only: str | None,
) -> Sheet:
    """Return the model's features of a file, and its labels and subjects where the file has such columns."""
    out = Exclusions.of(dataset.get("exclude"), strict=False)
    if file.suffix == ".h5ad":
        named = _columns(obs_columns(file), dataset, asked)
        layer = asked["layer"] or None if "layer" in asked else dataset.get("layer")
        counts = partial(with_normalised_counts, total=dataset.get("normalise"), place=place_of(layer))
        batch, label, subject = (named[role] for role in ("batch", "label", "subject"))
        sheet = read_h5ad(file, batch, label, None, layer, subject, None, out, counts)
        return _of_batches(sheet, only).aligned(model.features)
    table = read_frame(file, [*(asked.get(role) or dataset.get(role) for role in NAMES), *out.columns])
    named = _columns(list(table.columns), dataset, asked)
    columns = Columns(named["batch"], named["label"], named["subject"], named["sample"], named["reference"])
    sheet = as_sheet(table[out.kept(table, file)], file, columns, wanted=model.features)
    return complete(set_apart(_of_batches(sheet, only))[0], dataset.get("impute"))


def _of_batches(sheet: Sheet, only: str | None) -> Sheet:
    """Return the sheet with only the batches that ``only`` names, or all of it for None.

    Raises:
        CalibError: the file has no such batch.
    """
    if only is None:
        return sheet
    present = [str(name) for name in pd.unique(sheet.batch)]
    names = [only] if only in present else [name.strip() for name in only.split(",")]
    for name in names:
        if name not in present:
            raise CalibError(
                f"only={only}: file {sheet.file} has no batch '{name}'{nearest(name, present)} "
                f"It has: {', '.join(present)}."
            )
    return sheet.of_rows(np.isin(sheet.batch.astype(str), names))


def _columns(
    present: Sequence[str], dataset: Mapping[str, Any], asked: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the name of each column as asked, or as the study has it; None where the file lacks it.

    An empty name asks for no column.
    """
    usual = {role: dataset.get(role) for role in NAMES}
    return {
        role: (asked[role] or None) if role in asked else None if word is None else found_name(word, present)
        for role, word in usual.items()
    }


def _classes(sheet: Sheet, dataset: Mapping[str, Any], model: Model) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the class index of every sample; -1 for all samples of a batch that lacks a label."""
    classes = as_mapping("dataset.classes", dataset.get("classes"))
    label = labels_of(sheet, classes, as_words("dataset.unlabelled", dataset.get("unlabelled")))
    y = class_indices(sheet, label, model.classes)
    for batch in pd.unique(sheet.batch):
        rows = sheet.batch == batch
        if (y[rows] < 0).any():
            y[rows] = -1
    return y


def _with_subjects(batch: Batch, dataset: Mapping[str, Any]) -> Batch:
    """Return a batch with replicates, and with subjects if it has labels, where the study infers them."""
    replicates = dataset.get("replicates")
    if not replicates or batch.subject is not None:
        return batch
    subject = None if batch.y is None else infer_subjects(batch.y, replicates)
    return replace(batch, subject=subject, replicate=find_replicates(batch.x, replicates))
