"""One run, from configuration to record: ``run`` calls ``train``, ``outcome.judge`` and ``write``."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from calib.config import written
from calib.data.cautions import kept, logged
from calib.data.checks import cautions
from calib.data.matrix import Matrix
from calib.data.split import parse_splits
from calib.errors import CalibError
from calib.evaluation.distances import summarise
from calib.evaluation.familiar import training_rows
from calib.evaluation.metrics import mean_over
from calib.evaluation.novelty import training_statistics
from calib.methods.base import Savable
from calib.records.predictions_file import OF_SUBJECTS, PREDICTIONS
from calib.records.provenance import hardware, peak_memory_mb, revision, versions
from calib.runs.again import tell
from calib.runs.fitting import Trained, runtime_of, task_of, train, train_together
from calib.runs.input_checks import before_training
from calib.runs.kept import has_all
from calib.runs.mixes import mix_model, mixes_of, unlike_sources
from calib.runs.models import MODEL, reads_alike, save_model
from calib.runs.outcome import (
    Outcome,
    embedding_arrays,
    judge,
    predictions,
    subject_predictions,
)
from calib.runs.run import CLOSE, Run, as_loaded, each_seed, load, make_run, of_split, units_in
from calib.runs.run_log import logged_to_record
from calib.runs.selection import selection
from calib.runs.terminal import result_table
from calib.runs.training_checks import after_training
from calib.runtime import repeat_on, torchs_own_defaults
from calib.shown import without_passwords

log = logging.getLogger(__name__)

Result = dict[str, Any]
"""The content of a ``result.json``."""

Warnings = Sequence[Mapping[str, str]]
"""The warnings of a run, each with its ``code`` and ``text``; see ``calib.data.cautions``."""


@torchs_own_defaults()
def run(config: DictConfig) -> list[Result]:
    """Carry out the run that a configuration describes, or read it from its record.

    ``split=all`` stands for several runs, which are carried out one after another.

    Returns:
        The content of each run's ``result.json``.

    Raises:
        CalibError: something in configuration or data is wrong.
    """
    study, data = load(config)
    logged(study.cautions)
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # kernels of far-apart samples underflow, and denormals are slow
    repeat_on(torch.device(str(config.device)))
    splits = parse_splits(config.split, study)
    results = []
    for some in [splits] if config.batch_seeds else [[split] for split in splits]:
        runs = [
            make_run(own, *drawn)
            for split in some
            for drawn in [of_split(config, study, data, split)]
            for own in each_seed(config)
        ]
        done = {run.key: result for run in runs if (result := recorded(run)) is not None}
        with ExitStack() as locks:
            for run in sorted(runs, key=lambda run: run.record.path):  # the same order in every process
                if run.key not in done:
                    locks.enter_context(run.record.locked())
                    if (result := recorded(run)) is not None:  # another process has just carried it out
                        done[run.key] = result
            left = [run for run in runs if run.key not in done]
            done |= carry_out_together(left, loosely=config.batch_seeds == CLOSE)
        for run in runs:
            log.info("%s\n", run.record.path)
            results.append(done[run.key])
    return results


def recorded(run: Run) -> Result | None:
    """Return the recorded result of a run, or None if the run has to be carried out."""
    folder = run.record.path
    has_model = (folder / MODEL).is_file() and reads_alike(folder, run.config.dataset)
    again = run.config.force or (run.config.save_model and not has_model)
    result = None if again else run.record.result()
    if result is not None and has_all(result, run):
        run.record.tidy()
        tell(run.record.path, result, run.config)
        said = kept(run.study.cautions)
        for warning in result.get("warnings", []):  # a record of an older version has none
            if warning not in said:
                log.warning("%s", warning["text"])
        return result
    return None


def carry_out_together(runs: Sequence[Run], loosely: bool = False) -> dict[str, Result]:
    """Carry out runs that differ in seed and split only, as one training if the method can make one of them.

    Args:
        loosely: whether one training is made of them, too, where that changes their last digits.

    Returns:
        The result of each by its key.

    Raises:
        CalibError: as ``carry_out``; when one fails, the others are carried out all the same.
    """
    several = len(runs) > 1 and runs[0].method.trains_together
    trained = train_together(runs, loosely) if several else {}
    results, errors = {}, []
    for run in runs:
        try:
            results[run.key] = carry_out(run, trained.get(run.key))
        except CalibError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results


def carry_out(run: Run, trained: Trained | None = None) -> Result:
    """Train, judge and record one run; a failure leaves ``error.txt`` and no result in the record.

    Args:
        trained: the trained method, if it has been trained together with those of other runs.

    Raises:
        CalibError: the sources are unfit, the output folder cannot be written, the training diverged.
    """
    task = task_of(run)
    runtime = trained.runtime if trained else runtime_of(run)
    run.record.prepare()
    with logged_to_record(run, runtime):
        settings = OmegaConf.to_container(run.config, resolve=True)
        assert isinstance(settings, dict)
        shown = without_passwords(settings | {"split": run.split.label})  # in place of split=all
        run.record.write_text("config.yaml", written(shown))
        code = revision()
        found = logged([*cautions(run.study, run.split), *before_training(run, task)])
        warnings = [*kept(run.study.cautions), *found]
        trained = trained or train(run, task, runtime)
        outcome = judge(run, task, trained.fitted)
        after = after_training(run, task, trained.fitted, outcome.probability)
        warnings += logged([*after, *unlike_sources(run)])
        result = write(run, trained, outcome, code, warnings)
        log.info(result_table(result, run.config.protocol.reported_auc))
    return result


def write(
    run: Run, trained: Trained, outcome: Outcome, code: dict[str, Any] | None, warnings: Warnings
) -> Result:
    """Write the files of a run into its record, ``result.json`` last.

    Args:
        code: the revision of the code (``provenance.revision``).
        warnings: the warnings that the run has logged (``checks.logged``).

    Returns:
        The content of ``result.json``.

    Raises:
        CalibError: the place cannot be written to, or is full.
    """
    record, result = run.record, result_of(run, trained, outcome, code, warnings)
    history = pd.DataFrame(trained.runtime.history)
    if history.empty:
        history = pd.DataFrame(columns=["training", "epoch"])  # a file without columns could not be read
    record.write_table("history.csv", history, digits=9)
    record.write_table(PREDICTIONS, predictions(run.study, outcome.probability), digits=8)
    if len(subjects := subject_predictions(run.study, outcome.probability)):
        record.write_table(OF_SUBJECTS, subjects, digits=8)
    if outcome.embedding:
        record.write_table("mmd.csv", outcome.distances, digits=7)
        record.write_arrays("embedding.npz", embedding_arrays(outcome))
    if run.config.save_model:
        assert isinstance(trained.fitted, Savable)  # ``make_run`` refuses other methods
        sources, targets = _training_batches(run)
        known = training_statistics({**sources, **targets})
        rows = training_rows(sources, targets)
        save_model(record, trained.fitted, run.study, known, rows, mix_model(run), units_in(run.data))
    return record.finish(result)


def result_of(
    run: Run, trained: Trained, outcome: Outcome, code: dict[str, Any] | None, warnings: Warnings
) -> Result:
    """Return the content of a run's ``result.json``, without the list of files and the checksum."""
    config, corrections = run.config, trained.runtime.corrections
    chosen = selection(config)
    return {
        "study": run.study.name,
        "split": run.split.label,
        "sources": list(run.split.sources),
        "method": config.method.name,
        "label": config.method.card.label,
        "uses_target_labels": run.method.uses_target_labels,
        "uses_seed": run.method.uses_seed,
        "protocol": config.protocol.name,
        "training": config.training,
        "seed": config.seed,
        "key": run.key,
        "chosen_by": chosen.chosen_by,
        "selection": chosen.rule,
        "targets": outcome.scores,
        "mean": mean_over(outcome.scores),
        "class_counts": outcome.class_counts,
        "class_mix": mixes_of(run),
        "unseen_classes": outcome.unseen_classes,
        "warnings": list(warnings),
        "mmd": summarise(outcome.distances) if outcome.embedding else {},
        "mmd_rule": outcome.distance_rule,
        "silhouette": outcome.silhouettes,
        "correction": corrections and corrections.used,
        "seconds": {
            "fit": trained.seconds + outcome.seconds_predicting,
            "total": trained.seconds + outcome.seconds,
        },
        "seeds_together": list(trained.seeds),
        "splits_together": list(trained.splits),
        "as_alone": not trained.runtime.unlike_alone,
        "peak_memory_mb": peak_memory_mb(),
        "versions": versions(),
        "hardware": hardware(config.device, config.threads),
        "git": code,
        **run.data,
    }


def _training_batches(run: Run) -> tuple[dict[str, Matrix], dict[str, Matrix]]:
    """Return the data of sources and targets by name, with which later batches are compared.

    They are the data as loaded: scaled data would hide that a later batch has other units.
    """
    study = run.study if run.data["scaling"] == "none none" else as_loaded(run)
    sources, targets = (
        {name: study.batches[name].x for name in side} for side in (run.split.sources, run.split.targets)
    )
    return sources, targets
