"""What ``calib predict`` does once it is asked for more than its help: predict, write, show."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from calib.errors import CalibError, nearest
from calib.evaluation.class_mix import MixEstimate
from calib.evaluation.familiar import known
from calib.evaluation.metrics import score
from calib.evaluation.novelty import warning
from calib.evaluation.trust import HIGHEST, LOWEST
from calib.records.predictions_file import OF_SUBJECTS, PREDICTIONS
from calib.records.record import ERROR, LOG, RESULT, Record
from calib.runs.models import MODEL
from calib.runs.outcome import (
    ABSTAINED,
    predictions,
    subject_predictions,
    with_abstentions,
    with_calibrated,
)
from calib.runs.predict import COLUMNS, Prediction, fitted_temperature, predict
from calib.shown import say, terminal_handler

OPTIONS = ("run", "data", "only", "out", "statistics", "temperature", "abstain", *COLUMNS, "layer")

RECORDED = (
    *(
        RESULT,
        ERROR,
        LOG,
        MODEL,
        "config.yaml",
        PREDICTIONS,
        OF_SUBJECTS,
        "history.csv",
        "mmd.csv",
        "embedding.npz",
    ),
)
"""Files of a record, which predictions must not replace."""

SHOWN = 4
"""Most classes of which the share in a batch is shown."""

log = logging.getLogger("calib.runs.predict")


def carry_out(arguments: Sequence[str]) -> None:
    """Predict the samples of a file and write the predictions, as the options say.

    Raises:
        CalibError: an option, the model or the file is wrong.
    """
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, handlers=[terminal_handler()])
    data = Path(options["data"])
    columns = {key: options[key] for key in (*COLUMNS, "layer") if key in options}
    statistics = options.get("statistics", "as_trained")
    confidence = _confidence(options["abstain"]) if "abstain" in options else None
    out = Path(options.get("out", f"predictions_{data.stem}.csv"))
    _check_out(out, data, Path(options["run"]))
    result = predict(Path(options["run"]), data, statistics, options.get("only"), **columns)
    number = _temperature(options, result.study.classes) if "temperature" in options else None
    samples, subjects = _write(result, out, confidence, None if number is None else result.tempered(number))
    _show_scores(result, samples, subjects)
    _compare(result)
    _show_mixes(result)


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    """Return the value of each option.

    Raises:
        CalibError: there is no such option, or a required one is missing.
    """
    options = dict(argument.partition("=")[::2] for argument in arguments)
    for key in options:
        if key not in OPTIONS:
            raise CalibError(f"There is no option '{key}'{nearest(key, OPTIONS)} See calib predict --help.")
    for key in ("run", "data"):
        if not options.get(key):
            raise CalibError(f"The option {key}= is missing; see calib predict --help.")
    return options


def _check_out(out: Path, data: Path, run: Path) -> None:
    """Refuse to write over the data, or over a file of the model's record.

    Raises:
        CalibError: one of the files to be written is such a file.
    """
    for file in (out, _beside(out)):
        if file.resolve() == data.resolve():
            raise CalibError(
                f"out={out} would replace the file that is to be predicted; choose another name."
            )
        if file.resolve().parent == run.resolve() and file.name in RECORDED:
            raise CalibError(f"out={out} would replace a file of the model's record; choose another name.")


def _beside(out: Path) -> Path:
    """Return the file of predictions of subjects, which lies beside that of samples."""
    return out.with_stem(f"{out.stem}_subjects")


def _write(
    result: Prediction, out: Path, confidence: float | None, tempered: Prediction | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the predictions of samples to ``out`` and those of subjects, if any, to a file beside it.

    Args:
        confidence: probability below which a sample or subject gets no answer; None for no such column.
        tempered: the same with tempered probabilities, which become columns of their own, or None.

    Returns:
        The predictions of samples, and those of subjects.
    """
    samples = predictions(result.study, result.probability)
    subjects = subject_predictions(result.study, result.probability)
    if tempered is not None:
        samples = with_calibrated(samples, predictions(tempered.study, tempered.probability))
        toned = subject_predictions(tempered.study, tempered.probability)
        subjects = with_calibrated(subjects, toned) if len(subjects) else subjects
    if confidence is not None:
        samples = with_abstentions(samples, confidence)
        subjects = with_abstentions(subjects, confidence) if len(subjects) else subjects
    folder = Record(out.parent)
    folder.write_table(out.name, samples, digits=8)
    say(f"{out}: {len(samples)} samples")
    if len(subjects):
        folder.write_table(_beside(out).name, subjects, digits=8)
        say(f"{_beside(out)}: {len(subjects)} subjects")
    return samples, subjects


def _show_scores(result: Prediction, samples: pd.DataFrame, subjects: pd.DataFrame) -> None:
    """Print the metrics of each batch with labels, and how many samples and subjects have an answer.

    Samples that the model has learnt from are named as such, and are not scored.
    """
    for name, batch in result.study.batches.items():
        new = ~result.familiar[name].learnt if name in result.familiar else np.ones(len(batch), bool)
        if sentence := known(name, result.familiar.get(name)):
            say(sentence)
        if batch.y is not None and new.any():
            found = score(result.probability[name][new], batch.y[new])
            shown = ", ".join(f"{metric} {value:.3f}" for metric, value in found.items() if value is not None)
            say(f"Batch {name}, whose labels are known: {shown}")
        for table, unit in ((samples, "samples"), (subjects, "subjects")):
            if "answer" in table:
                answered = table.loc[table["batch"] == name, "answer"] != ABSTAINED
                say(f"Batch {name}: {answered.sum()} of {len(answered)} {unit} answered")


def _compare(result: Prediction) -> None:
    """Log how far each batch lies from those of the training, and warn where that is too far."""
    if not result.novelty:
        log.info(
            "The model does not know what its training batches were like, so the new ones are not compared"
        )
    for name, measures in result.novelty.items():
        numbers = ", ".join(f"{key} {m.value:.3g} (limit {m.limit:.3g})" for key, m in measures.items())
        log.info("Batch %s against the training's: %s", name, numbers)
        if sentence := warning(name, measures):
            log.warning("Warning: %s", sentence)


def _show_mixes(result: Prediction) -> None:
    """Log the estimated class mix of each batch, and warn where the model's method loses by it."""
    for name, found in result.class_mix.items():
        shown = _shares(found, result.study.classes)
        log.info("Batch '%s' has about %s, estimated without its labels", name, shown)
        if sentence := result.mix_warnings.get(name):
            log.warning("Warning: %s", sentence)


def _shares(found: MixEstimate, classes: Sequence[str]) -> str:
    """Return the largest shares of an estimate with their intervals, at most ``SHOWN``, as text."""
    order = range(len(classes)) if len(classes) <= SHOWN else np.argsort(-found.shares, kind="stable")
    parts = [
        f"{found.shares[c]:.0%} '{classes[c]}' (95 % interval {found.low[c]:.0%} to {found.high[c]:.0%})"
        for c in order[:SHOWN]
    ]
    more = len(classes) - len(parts)
    return ", ".join(parts) + (f" and less of {more} more class{'es' * (more > 1)}" if more else "")


def _temperature(options: Mapping[str, str], classes: Sequence[str]) -> float:
    """Return the temperature that is given, or the one that is fitted to the files that are given.

    Raises:
        CalibError: the number is out of range, or a file is unfit.
    """
    text = options["temperature"]
    try:
        given = float(text)
    except ValueError:
        given = fitted_temperature(Path(options["run"]), [Path(file) for file in text.split(",")], classes)
        log.info("Temperature %.3g, from the sources left out", given)
        return given
    if not LOWEST <= given <= HIGHEST:
        raise CalibError(
            f"temperature={text} is not from {LOWEST:g} to {HIGHEST:g}; give a number such as 2, which tones "
            "down."
        )
    return given


def _confidence(text: str) -> float:
    """Return the probability that a text stands for.

    Raises:
        CalibError: the text is no number from 0 to 1.
    """
    try:
        confidence = float(text)
    except ValueError:
        confidence = -1
    if not 0 <= confidence <= 1:
        raise CalibError(f"abstain={text} is no probability; give a number from 0 to 1, such as 0.8.")
    return confidence
