"""One run, from configuration to record."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from calib.config import build
from calib.data.matrix import Matrix, blocks, dense, infinite_feature
from calib.data.split import make_labelled_task, make_task, parse_splits
from calib.data.study import FloatArray, IntArray, Study
from calib.errors import CalibError, DivergedError
from calib.evaluation.distances import batch_distances, summarise
from calib.evaluation.metrics import by_subject, count_classes, mean_over, score, unseen_classes
from calib.evaluation.novelty import TrainingStatistics, training_statistics
from calib.files import Stack
from calib.methods.base import Fitted, Savable, calibrated_rows
from calib.records.corrections import Corrections
from calib.records.provenance import hardware, peak_memory_mb, revision, versions
from calib.runs.models import MODEL, save_model
from calib.runs.outcome import predictions
from calib.runs.run import Run, each_seed, load, plan
from calib.runs.run_log import kept
from calib.runs.terminal import result_table
from calib.runtime import Runtime

log = logging.getLogger(__name__)

SELECTION = "last epoch, settings as given; nothing is chosen by a target's labels"
"""The rule that chose every number of a record."""

Result = dict[str, Any]
Arrays = Mapping[str, Matrix]
"""Batch name -> one row a sample."""


def run(config: DictConfig) -> list[Result]:
    """Carry out the run that a configuration describes, or take it from the records.

    ``split=all`` stands for several runs, made one after another.

    Returns:
        The content of each run's ``result.json``.

    Raises:
        CalibError: something in configuration or data is wrong.
    """
    study, data = load(config)
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # kernels of far-apart samples underflow, and denormals are slow
    results = []
    for split in parse_splits(config.split, study):
        runs = [plan(one, study, data, split) for one in each_seed(config)]
        done = {run.key: result for run in runs if (result := recorded(run)) is not None}
        with ExitStack() as locks:
            for run in sorted(runs, key=lambda run: run.record.path):  # the same order in every process
                if run.key not in done:
                    locks.enter_context(run.record.locked())
                    if (result := recorded(run)) is not None:  # another process has just made it
                        done[run.key] = result
            done |= carry_out_seeds([run for run in runs if run.key not in done])
        for run in runs:
            log.info("%s\n", run.record.path)
            results.append(done[run.key])
    return results


def recorded(run: Run) -> Result | None:
    """The result of a run that need not be made, or None."""
    lacking = run.config.save_model and not (run.record.path / MODEL).is_file()
    result = None if run.config.force or lacking else run.record.result()
    if result is not None:
        log.info("Already done:\n%s", result_table(result, run.config.protocol.reported_auc))
    return result


@dataclass(frozen=True)
class Trained:
    """A method trained for one run, alone or together with others of other ``seeds``."""

    fitted: Fitted
    runtime: Runtime
    seconds: float
    seeds: Sequence[int]


def carry_out_seeds(runs: Sequence[Run]) -> dict[str, Result]:
    """Carry out runs that differ in their seed only, as one training where the method has such a thing.

    Returns:
        The result of each by its key.

    Raises:
        CalibError: as ``carry_out``; when one fails, the others are carried out all the same.
    """
    trained = _train_together(runs) if len(runs) > 1 and runs[0].method.trains_seeds_together else {}
    results, errors = {}, []
    for run in runs:
        try:
            results[run.key] = carry_out(run, trained.get(run.key))
        except CalibError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results


def _train_together(runs: Sequence[Run]) -> dict[str, Trained]:
    """One training for all runs; nothing where it diverges, so that each is trained alone."""
    runtimes, seeds = [_runtime(run) for run in runs], [run.config.seed for run in runs]
    log.info("Training seeds %s together", ", ".join(map(str, seeds)))
    started = time.perf_counter()
    try:
        fitted = runs[0].method.fit_seeds(_task(runs[0]), runtimes)
    except DivergedError as error:
        log.warning("One of the seeds trained together diverged, so each is trained alone (%s)", error)
        return {}
    seconds = (time.perf_counter() - started) / len(runs)
    together = zip(runs, fitted, runtimes, strict=True)
    return {run.key: Trained(one, runtime, seconds, seeds) for run, one, runtime in together}


def _runtime(run: Run) -> Runtime:
    config = run.config
    runtime = Runtime.from_names(config.seed, config.device, config.dtype, config.progress)
    runtime.corrections = Corrections(Path(str(config.out)), run.study.name, run.data, config.force)
    return runtime


def _task(run: Run) -> Any:
    make = make_labelled_task if run.method.uses_target_labels else make_task
    return make(run.study, run.split)


def _train(run: Run, task: Any, runtime: Runtime) -> Trained:
    started = time.perf_counter()
    fitted = run.method.fit(task, runtime)
    return Trained(fitted, runtime, time.perf_counter() - started, [run.config.seed])


def carry_out(run: Run, trained: Trained | None = None) -> Result:
    """Train unless that is done, score and record one run; a failure leaves ``error.txt`` and no result.

    Raises:
        CalibError: the sources are unfit, the output folder cannot be written, the training diverged.
    """
    config = run.config
    task = _task(run)
    runtime = trained.runtime if trained else _runtime(run)
    run.record.prepare()
    with kept(run, runtime):
        made = OmegaConf.merge(config, {"split": run.split.label})  # one of those that split=all stands for
        run.record.write_text("config.yaml", OmegaConf.to_yaml(made, resolve=True))
        code = revision()
        trained = trained or _train(run, task, runtime)
        fitted = trained.fitted
        started = time.perf_counter()
        probability = {target.name: fitted.predict_proba(target) for target in task.targets}
        rows = calibrated_rows(fitted)
        calibrated = {b.name: fitted.transform(b) for b in task.batches if len(rows.get(b.name, b))}
        embedding = {name: calibrated[name] for name in run.study.batches if name in calibrated}
        fit_seconds = trained.seconds + time.perf_counter() - started
        if any(infinite_feature(x) is not None for x in (*probability.values(), *embedding.values())):
            raise DivergedError(
                f"{run}: the trained model gives values that are no numbers; lower the learning rate."
            )

        before = {name: run.study.batches[name].x for name in embedding}
        before |= {name: before[name][chosen] for name, chosen in rows.items() if name in before}
        distances = batch_distances({"before": before, "after": embedding}, config.seed)
        targets = {name: _score(run.study, name, p) for name, p in probability.items()}
        classes = run.study.classes
        took_part = {batch.name for batch in task.batches}
        labels = {name: batch.y for name, batch in run.study.batches.items() if name in took_part}
        counts = {name: count_classes(y, classes) for name, y in labels.items() if y is not None}
        learnt = probability if run.method.uses_target_labels else run.split.sources
        result = {
            "study": run.study.name,
            "split": run.split.label,
            "sources": list(run.split.sources),
            "method": config.method.name,
            "label": config.method.card.label,
            "uses_target_labels": run.method.uses_target_labels,
            "protocol": config.protocol.name,
            "training": config.training,
            "seed": config.seed,
            "key": run.key,
            "selection": SELECTION,
            "targets": targets,
            "mean": mean_over(targets),
            "class_counts": counts,
            "unseen_classes": unseen_classes(counts, list(learnt), run.split.targets),
            "mmd": summarise(distances),
            "correction": runtime.corrections and runtime.corrections.used,
            "seconds": {"fit": fit_seconds, "total": trained.seconds + time.perf_counter() - started},
            "seeds_together": list(trained.seeds),
            "peak_memory_mb": peak_memory_mb(),
            "versions": versions(),
            "hardware": hardware(config.device, config.threads),
            "git": code,
            **run.data,
        }
        record = run.record
        history = pd.DataFrame(runtime.history)
        if history.empty:
            history = pd.DataFrame(columns=["training", "epoch"])  # or the file could not be read
        record.write_table("history.csv", history, digits=9)
        record.write_table("predictions.csv", predictions(run.study, probability), digits=8)
        record.write_table("mmd.csv", distances, digits=7)
        record.write_arrays("embedding.npz", _embedding_arrays(embedding, rows))
        if config.save_model:
            assert isinstance(fitted, Savable)  # the plan has seen to it
            save_model(record, fitted, run.study, _reference(run))
        result = record.finish(result)
        log.info("%s", result_table(result, config.protocol.reported_auc))
    return result


def _reference(run: Run) -> TrainingStatistics | None:
    """What the batches of the training were like before they were scaled, which would hide other units."""
    as_loaded: Study = run.study if run.data["scaling"] == "none none" else build(run.config.dataset)
    names = (*run.split.sources, *run.split.targets)
    return training_statistics({name: as_loaded.batches[name].x for name in names})


def _score(study: Study, name: str, probability: FloatArray) -> Result:
    """Predicted classes of one target; metrics of its samples and subjects, as far as they are known."""
    batch = study.batches[name]
    predicted = count_classes(probability.argmax(axis=1), study.classes)
    if batch.y is None:
        return {"n": len(batch), "predicted": predicted}
    scores: Result = {"n": len(batch), "predicted": predicted} | score(probability, batch.y)
    if batch.subject is not None:
        medians, y = by_subject(probability, batch.y, batch.subject)
        scores["subject"] = {"n": len(y)} | score(medians, y)
    return scores


def _embedding_arrays(embedding: Arrays, rows: Mapping[str, IntArray]) -> dict[str, Any]:
    """Calibrated data of all batches: ``z`` float32, and ``batch`` and ``row`` of each of its rows.

    Args:
        rows: which rows of a batch there are, where not all.
    """
    sizes = [z.shape[0] for z in embedding.values()]
    width = next(iter(embedding.values())).shape[1]
    parts = (dense(z[rows]) for z in embedding.values() for rows in blocks(z))
    return {
        "z": Stack((sum(sizes), width), "float32", parts),
        "batch": np.repeat(list(embedding), sizes),
        "row": np.concatenate([rows.get(name, np.arange(z.shape[0])) for name, z in embedding.items()]),
    }
