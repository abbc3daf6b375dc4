"""Checks of a training after it: whether it has learnt its sources, and whether its answers can be used.

Their warnings are logged, kept in ``result.json`` and shown on the report page. Nothing is chosen by them, so
labels of targets, where they are known, may take part.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from calib.data.cautions import Caution
from calib.data.study import FloatArray, IntArray, LabelledTask, Study, Task
from calib.errors import CalibError
from calib.evaluation.metrics import score
from calib.methods.base import Fitted, calibrated_rows, class_probabilities
from calib.runs.run import Run

NEAR_CHANCE = 0.98
"""Share of the chance's loss above which a loss is no better than chance."""
LITTLE = 0.25
"""Share of the way from the largest class's share to 1 below which an accuracy is hardly better than that."""
ONE_CLASS = 0.95
"""Share of the samples above which the answers are those of one class."""
RANKED = 0.75
"""AUC from which the probabilities rank the classes, although one class is answered."""
MIXED = 0.8
"""Share of the largest class below which samples are mixed, so that one class is no right answer."""
FEWEST = 8
"""Smallest number of samples of which the shares of answers say anything."""
LEAST = 1e-7
"""Smallest probability of which a logarithm is taken."""

Answers = Mapping[str, tuple[FloatArray, IntArray]]
"""Batch -> class probabilities ``(samples, classes)`` and class indices ``(samples,)``."""


def after_training(
    run: Run, task: Task | LabelledTask, fitted: Fitted, probability: Mapping[str, FloatArray]
) -> list[Caution]:
    """Return the warnings about a trained method.

    Args:
        run, task: the run and its batches.
        fitted: the trained method.
        probability: target -> class probabilities ``(samples, classes)``.
    """
    faster = _how_to_train_more(run)
    sources = {} if run.method.uses_target_labels else _source_answers(task, fitted)
    found = [*no_better_than_chance(sources, faster), *one_class_of_sources(sources, run.study, faster)]
    return [*found, *one_class_of_targets(run, probability, faster)]


def _source_answers(task: Task | LabelledTask, fitted: Fitted) -> Answers:
    """Return the answers for the samples of the sources that the method was trained on."""
    rows = calibrated_rows(fitted)
    found = {}
    for source in task.sources:
        y = source.y[rows[source.name]] if source.name in rows else source.y
        if not len(y):
            continue  # no target has chosen this source
        try:
            probability = class_probabilities(fitted, source)
        except CalibError:  # such as a source of one row, normalised by itself; the targets may be fine
            continue
        if len(probability) == len(y):  # else the training has repeated some of its rows
            found[source.name] = probability, y
    return found


def no_better_than_chance(sources: Answers, faster: str) -> Iterator[Caution]:
    """Yield a warning if the loss of the sources is that of guessing each class by its share."""
    if not sources:
        return
    probability, y = (np.concatenate(parts) for parts in zip(*sources.values(), strict=True))
    total = probability.sum(axis=1)
    loss = float(-np.log(np.maximum(probability[np.arange(len(y)), y] / total, LEAST)).mean())
    shares = np.unique(y, return_counts=True)[1] / len(y)
    chance = float(-(shares * np.log(shares)).sum())
    accuracy = float((probability.argmax(axis=1) == y).mean())
    guessed = shares.max() + LITTLE * (1 - shares.max())  # a model that is merely too sure is above it
    if chance > 0 and loss >= NEAR_CHANCE * chance and accuracy <= guessed:
        yield Caution(
            "no_better_than_chance",
            f"The trained model cannot tell the classes of its own sources: their mean loss is {loss:.3f}, "
            f"that of guessing by the class mix {chance:.3f}, and {accuracy:.0%} of the answers are right; "
            f"{faster}.",
        )


def one_class_of_sources(sources: Answers, study: Study, faster: str) -> Iterator[Caution]:
    """Yield a warning for each source of several classes of whose samples nearly all get one class."""
    for name, (probability, y) in sources.items():
        answer, share = _most(probability.argmax(axis=1))
        if share >= ONE_CLASS and _mixed(y):
            auc = score(probability, y)["auc"]
            fact = f"only {(y == answer).mean():.0%} are of this class{_ranked(auc)}"
            yield _one_class(f"Source '{name}'", share, study.classes[answer], fact, faster)


def one_class_of_targets(run: Run, answers: Mapping[str, FloatArray], faster: str) -> Iterator[Caution]:
    """Yield a warning for each target of whose samples nearly all get one class, unless that is right."""
    study = run.study
    labels = [y for name in run.split.sources if (y := study.batches[name].y) is not None]
    for name, probability in answers.items():
        y = study.batches[name].y
        answer, share = _most(probability.argmax(axis=1))
        if share < ONE_CLASS or not _mixed(np.concatenate(labels) if y is None else y):
            continue
        if len(probability) < FEWEST:
            continue
        auc = None if y is None else score(probability, y)["auc"]
        mix = "those of the sources" if y is None else "they"
        fact = f"{mix} are of several classes{_ranked(auc)}, so do not use these answers"
        yield _one_class(f"Target '{name}'", share, study.classes[answer], fact, faster)


def _one_class(batch: str, share: float, answer: str, fact: str, faster: str) -> Caution:
    """Return the warning that nearly all samples of a batch get one answer, against a fact."""
    text = f"{batch}: {share:.0%} of its samples are answered '{answer}', though {fact}; {faster}."
    return Caution("one_class_answered", text)


def _most(answers: IntArray | NDArray[np.intp]) -> tuple[int, float]:
    """Return the class that is answered most often, and its share."""
    counts = np.bincount(answers)
    return int(counts.argmax()), float(counts.max() / len(answers))


def _mixed(y: IntArray) -> bool:
    """Return whether these samples are enough, and none of their classes has nearly all of them."""
    return len(y) >= FEWEST and _most(y)[1] < MIXED


def _ranked(auc: float | None) -> str:
    """Return a part of a sentence, if the probabilities rank the classes although one class is answered."""
    if auc is None or auc < RANKED:
        return ""
    return f" and their probabilities rank the classes (AUC {auc:.3f})"


def _how_to_train_more(run: Run) -> str:
    """Return a part of a sentence with the settings of a method that make its training longer or faster."""
    settings = OmegaConf.to_container(run.config.method, resolve=True)
    named = [f"{key}={value}" for key, value in _lengths(settings, "method")]
    if not named:
        return "check the labels and the scale of the data, or compare with another method"
    return f"train it longer or at a higher rate (now {', '.join(named)}), or compare with another method"


def _lengths(node: Any, place: str) -> Iterable[tuple[str, Any]]:
    """Return the settings of epochs and learning rates within a method, by their keys."""
    if not isinstance(node, dict):
        return []
    own = [(f"{place}.{key}", _plainly(node[key])) for key in ("epochs", "lr") if key in node]
    inner = (_lengths(value, f"{place}.{key}") for key, value in node.items() if key != "card")
    return [*own, *(pair for pairs in inner for pair in pairs)]


def _plainly(value: Any) -> Any:
    """Return a setting, and a rule for the number of epochs as words."""
    return f"{value['least']} or more" if isinstance(value, dict) else value
