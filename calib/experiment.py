"""One run, from configuration to record."""

import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from calib.corrections import Corrections
from calib.data.split import make_labelled_task, make_task, parse_splits
from calib.data.study import FloatArray, Study
from calib.errors import CalibError, DivergedError
from calib.evaluation.metrics import by_subject, count_classes, mean_over, score, unseen_classes
from calib.evaluation.mmd import batch_distances, summarise
from calib.methods.base import Savable
from calib.models import MODEL, save_model
from calib.planning import Run, load, plan
from calib.predictions import predictions
from calib.provenance import hardware, peak_memory_mb, revision, versions
from calib.report.terminal import result_table
from calib.runtime import Runtime
from calib.store import ERROR

log = logging.getLogger(__name__)

SELECTION = "last epoch, settings as given; nothing is chosen by a target's labels"
"""The rule that chose every number of a record."""

Result = dict[str, Any]
Arrays = Mapping[str, FloatArray]
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
        one = plan(config, study, data, split)
        result = recorded(one)
        if result is None:
            with one.record.locked():
                result = recorded(one) or carry_out(one)  # another process may just have made it
        log.info("%s\n", one.record.path)
        results.append(result)
    return results


def recorded(run: Run) -> Result | None:
    """The result of a run that need not be made, or None."""
    lacking = run.config.save_model and not (run.record.path / MODEL).is_file()
    result = None if run.config.force or lacking else run.record.result()
    if result is not None:
        log.info("Already done:\n%s", result_table(result, run.config.protocol.reported_auc))
    return result


def carry_out(run: Run) -> Result:
    """Train, score and record one run; a failure leaves ``error.txt`` and no result.

    Raises:
        CalibError: the sources are unfit, the output folder cannot be written, the training diverged.
    """
    config = run.config
    runtime = Runtime.from_names(config.seed, config.device, config.dtype, config.progress)
    runtime.corrections = Corrections(Path(str(config.out)), run.study.name, run.data, config.force)
    make = make_labelled_task if run.method.uses_target_labels else make_task
    task = make(run.study, run.split)
    run.record.prepare()
    with _recorded(run, runtime):
        made = OmegaConf.merge(config, {"split": run.split.label})  # one of those that split=all stands for
        run.record.write_text("config.yaml", OmegaConf.to_yaml(made, resolve=True))
        code = revision()
        started = time.perf_counter()
        fitted = run.method.fit(task, runtime)
        probability = {target.name: fitted.predict_proba(target) for target in task.targets}
        calibrated = {batch.name: fitted.transform(batch) for batch in task.batches}
        embedding = {name: calibrated[name] for name in run.study.batches if name in calibrated}
        trained = time.perf_counter()
        if not all(np.isfinite(x).all() for x in (*probability.values(), *embedding.values())):
            raise DivergedError(
                f"{run}: the trained model gives values that are no numbers; lower the learning rate."
            )

        before = {name: run.study.batches[name].x for name in embedding}
        distances = batch_distances({"before": before, "after": embedding}, config.seed)
        targets = {name: _score(run.study, name, p) for name, p in probability.items()}
        classes = run.study.classes
        labels = {name: run.study.batches[name].y for name in embedding}
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
            "correction": runtime.corrections.used,
            "seconds": {"fit": trained - started, "total": time.perf_counter() - started},
            "peak_memory_mb": peak_memory_mb(),
            "versions": versions(),
            "hardware": hardware(config.device, config.threads),
            "git": code,
            **run.data,
        }
        record = run.record
        record.write_table("history.csv", pd.DataFrame(runtime.history), digits=9)
        record.write_table("predictions.csv", predictions(run.study, probability), digits=8)
        record.write_table("mmd.csv", distances, digits=7)
        record.write_arrays("embedding.npz", _embedding_arrays(embedding))
        if config.save_model:
            assert isinstance(fitted, Savable)  # the plan has seen to it
            save_model(record, fitted, run.study)
        result = record.finish(result)
        log.info("%s", result_table(result, config.protocol.reported_auc))
    return result


@contextmanager
def _recorded(run: Run, runtime: Runtime) -> Iterator[None]:
    """Log to the run's own ``run.log``; keep a failure's traceback in ``error.txt``, and the losses so far.

    Raises:
        CalibError: the memory did not suffice; any other failure is passed on.
    """
    handler = LogFile(run.record.path / "run.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("calib")
    root.addHandler(handler)
    try:
        log.info("Running %s", run)
        yield
    except Exception as error:
        log.error("%s failed: %s (details: %s)", run, error, run.record.path / ERROR)
        with suppress(CalibError):  # a full disk is what the error is about already
            run.record.write_text(ERROR, traceback.format_exc())
            run.record.write_table("history.csv", pd.DataFrame(runtime.history), digits=9)
        if out_of_memory(error):
            raise CalibError(
                f"{run} needs more memory than there is; make fewer runs at once (--jobs, "
                "hydra.launcher.n_jobs), or use smaller batches or a larger machine."
            ) from error
        raise
    finally:
        root.removeHandler(handler)
        handler.close()


class LogFile(logging.FileHandler):
    """A log file that a full disk cuts off: the run ends on what it cannot write of its results."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing on the terminal."""

    def close(self) -> None:
        """Close the file, even if its last lines find no room."""
        with suppress(OSError):
            super().close()


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or torch asked for more memory than there is."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _score(study: Study, name: str, probability: FloatArray) -> Result:
    """Predicted classes of one target; metrics of its samples and subjects, as far as they are known."""
    batch = study.batches[name]
    predicted = count_classes(probability.argmax(axis=1), study.classes)
    if batch.y is None:
        return {"n": len(batch.x), "predicted": predicted}
    scores: Result = {"n": len(batch.x), "predicted": predicted} | score(probability, batch.y)
    if batch.subject is not None:
        medians, y = by_subject(probability, batch.y, batch.subject)
        scores["subject"] = {"n": len(y)} | score(medians, y)
    return scores


def _embedding_arrays(embedding: Arrays) -> dict[str, Any]:
    """Calibrated data of all batches: ``z`` float32, and ``batch`` and ``row`` of each of its rows."""
    return {
        "z": np.concatenate(list(embedding.values())).astype(np.float32),
        "batch": np.repeat(list(embedding), [len(z) for z in embedding.values()]),
        "row": np.concatenate([np.arange(len(z)) for z in embedding.values()]),
    }
