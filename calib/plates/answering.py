"""The whole way from plates to an answer: look, compare, choose, call, explain, write."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from omegaconf import ListConfig, OmegaConf
from tqdm import tqdm

from calib.data.cautions import counted
from calib.data.study import Study
from calib.errors import CalibError
from calib.plates.answer import Answer, Choice, Design, Features, Judged, LeftOut, Trust
from calib.plates.calls import Called, call, flagged
from calib.plates.checking import read_study, refuse_serious
from calib.plates.choice import all_scores, choose, method_table, plate_table
from calib.plates.compare import (
    Result,
    blank_plates,
    compare,
    judged_plates,
    labelled_plates,
    replicated,
)
from calib.plates.design import look
from calib.plates.features import features
from calib.plates.methods import Compared, compared, estimator_settings
from calib.plates.options import ARRAYS, Request, for_shell
from calib.plates.page.said import answer_in_three
from calib.plates.trust import trust
from calib.records.provenance import hardware, revision, versions

log = logging.getLogger(__name__)

ALONE = "pooled_logistic"
"""The method that answers where no labelled plate is left to choose by: measured to be rarely worse than no
calibration (docs/class-mix.md)."""


def answer(request: Request) -> Answer:
    """Return everything that is known of the plates that a request names.

    Runs are records in ``<request.folder>/runs``, so that a repeated request goes on where it was.

    Raises:
        CalibError: a setting or a file is wrong, no plate has labels, or no method could be run.
    """
    study = read_study(request)
    labelled, blank = labelled_plates(study), blank_plates(study)
    if not labelled:
        raise CalibError(
            f"Study '{study.name}' has no plate with labels, so there is nothing to learn from; name the "
            "column of the diagnosis with label=."
        )
    log.info("1 of 5: the design of %s, %d without labels", counted(len(study.batches), "plate"), len(blank))
    design = look(study, seed=request.seed)
    refuse_serious(request, design)
    methods = compared(request.methods)
    results: list[Result] = []
    choice, believed, of_samples = None, None, None
    scores = {}
    if len(judged := judged_plates(study)) > 1:
        many = counted(len(methods), "method")
        log.info("2 of 5: %s, each judged on %d plates left out in turn", many, len(judged))
        results = compare(request, study, methods)
        log.info("3 of 5: the choice, and how far to believe it")
        scores = all_scores(results)
        others = [name for name in labelled if name not in judged]
        choice = choose(results, scores, np.random.default_rng(request.seed), others)
        best = next(one for one in results if one.compared.name == choice.method)
        of_samples = _trust(request, study, without_subjects(best.samples))
        believed = _trust(request, study, best.units) if replicated(study) else of_samples
    chosen = _chosen(methods, choice)
    where = counted(len(blank), "plate")
    log.info("4 of 5: the calls of '%s' for %s without labels", chosen.label, where)
    called = flagged(call(request, study, chosen, believed, of_samples), design)
    log.info("5 of 5: the features that carry the answer")
    carried = _features(request, study, chosen) if request.why and choice is not None else None
    found = Answer(
        study=study.name,
        classes=list(study.classes),
        design=design,
        methods=method_table(results, scores) if results else pd.DataFrame(),
        by_plate=plate_table(results, scores) if results else pd.DataFrame(),
        choice=choice,
        trust=believed,
        sample_trust=None if of_samples is believed else of_samples,
        calls=called.samples,
        subject_calls=called.subjects,
        mixes=_mixes(design),
        features=carried,
        map=called.map,
        warnings=called.warnings,
        facts=_facts(request, study, results, called),
        command=request.command,
        later=_later(request, study, called, believed),
    )
    return replace(found, sentences=[Markup(one).striptags() for one in answer_in_three(found)])


def _mixes(design: Design) -> pd.DataFrame:
    """Return the estimated class mix of the plates without labels."""
    table = design.tables["mixes"]
    columns = ["plate", "class", "share", "low", "high"]
    return table.loc[~table["labelled"].astype(bool), columns].reset_index(drop=True)


def _chosen(methods: list[Compared], choice: Choice | None) -> Compared:
    """Return the method that answers."""
    if choice is not None:
        return next(one for one in methods if one.name == choice.method)
    return next(one for one in compared(ALONE) if one.name == ALONE)


def _trust(request: Request, study: Study, answers: LeftOut) -> Trust:
    """Return how far the chosen method's calls may be believed."""
    return trust(answers, study.classes, request.error, request.miss, request.prevalences)


def without_subjects(answers: LeftOut) -> LeftOut:
    """Return answers whose units are samples."""
    return {plate: Judged(one.probability, one.y) for plate, one in answers.items()}


def _features(request: Request, study: Study, chosen: Compared) -> Features | None:
    """Return the features that carry the answer, or None where they cannot be told."""
    method, settings = estimator_settings((*chosen.overrides, *request.settings))
    try:
        with tqdm(desc="features", unit=" predictions", disable=not sys.stderr.isatty()) as bar:

            def progress(made: int, whole: int) -> None:
                bar.total = whole
                bar.update(made - bar.n)

            return features(study, method, settings, request.seed, progress)
    except CalibError as error:
        log.warning("The features that carry the answer cannot be told: %s", error)
        return None


def _facts(
    request: Request, study: Study, results: list[Result], called: Called
) -> Mapping[str, Mapping[str, object]]:
    """Return what the page ends with: the study, the settings, versions and times."""
    code = revision()
    runs = sum(len(one.jobs) for one in results)
    seconds = sum(one.seconds * len(one.jobs) for one in results if not one.refusal)
    seconds += called.result["seconds"]["total"] if called.result else 0
    settings = dict(_shown(word) for word in (*request.overrides, *request.settings))
    return {
        "Study": {
            "samples": sum(len(batch) for batch in study.batches.values()),
            "features": len(study.features),
            "classes": ", ".join(study.classes),
            "checksum of the data": study.sha256(),
        },
        "Settings": settings
        | {"methods": request.methods, "error": request.error, "miss": request.miss, "seed": request.seed},
        "Runs": {
            "runs": runs + bool(called.result),
            "key of the final run": called.result.get("key", ""),
            "time of the runs on one core": str(timedelta(seconds=round(seconds))),
        },
        "Versions": {**versions(), **({} if code is None else {"revision": code["commit"]})},
        "Machine": called.result.get("hardware", hardware("cpu", 1)),
    }


def _shown(word: str) -> tuple[str, object]:
    """Return a setting as it is shown to whom the page is sent: without quotes and without folders."""
    key, _, value = word.partition("=")
    found = OmegaConf.from_dotlist([f"value={value}"]).value
    if key not in ("dataset.path", "hydra.searchpath"):
        return key, value if found is None else found
    files = found if isinstance(found, ListConfig) else [found]
    return key, ", ".join(Path(str(file)).name for file in files)


def _later(request: Request, study: Study, called: Called, believed: Trust | None) -> str:
    """Return the command that judges a later plate as these were judged; "" without a saved model."""
    if called.model is None:
        return ""
    command = f"calib predict run={for_shell(str(called.model.parent))} data=plate.csv"
    if f"dataset={ARRAYS}" in request.overrides:  # nobody has named the columns of a file yet
        command += " batch=<column>" + " subject=<column>" * replicated(study)
    if believed is None:
        return command
    answered = f" abstain={believed.confidence:.6g}" if believed.confidence <= 1 else ""
    return f"{command} temperature={believed.temperature:.6g}{answered}"
