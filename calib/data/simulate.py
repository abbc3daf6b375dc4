"""The demo study: simulated plates of skewed positive intensities, whose truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib.data.study import Batch, Study, in_unit
from calib.errors import CalibError, check_number
from calib.units import PAPERS_UNIT

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """The truth behind a simulated study, which no method sees.

    Attributes:
        clean: batch name -> intensities before any batch distortion ``(samples, features)``.
        informative: indices of the features that differ between the classes.
    """

    clean: dict[str, Array]
    informative: NDArray[np.int64]


def demo_study(name: str, unit: float | None = PAPERS_UNIT, **settings: Any) -> Study:
    """Return the simulated study called ``name``; the other settings are those of ``simulate``.

    Its values are float32: the last digit of an exponential depends on the processor, and the checksum of
    a study must not.
    ``unit`` is the value by which arcsinh divides; None: that of the data themselves.
    """
    study, _ = simulate(**settings)
    batches = {name: replace(one, x=one.dense.astype(np.float32)) for name, one in study.batches.items()}
    return in_unit(replace(study, name=name, batches=batches), unit)


def simulate(
    subjects: Sequence[int],
    replicates: int,
    features: int,
    informative: int,
    effect: float,
    additive: float,
    multiplicative: float,
    bend: float,
    seed: int,
    n_sources: int = 2,
) -> tuple[Study, Truth]:
    """Simulate a study with one batch for each entry of ``subjects``, and return it with its truth.

    A log intensity is the sum of the feature's level, five shared biological factors, the class signal
    (the same in all batches), and noise of subject and replicate. Each batch then distorts the intensities
    by a power (non-linear), a gain for each feature (multiplicative) and a background for each feature
    (additive).

    Args:
        subjects: number of subjects in each batch; half of them, as nearly as possible, in each class.
        replicates: number of adjacent rows of each subject.
        features: number of features, of which ``informative`` carry the class signal.
        effect: size of the class signal, in log units.
        additive: largest background of a feature, in units of the mean over features of the median intensity.
        multiplicative: standard deviation of the log gain of a batch and feature.
        bend: largest deviation of a batch's power from 1.
        seed: seed of the whole study.
        n_sources: number of source batches in ``split=all``.

    Raises:
        CalibError: a number is out of its range.
    """
    _check(subjects, replicates, features, informative, seed, n_sources)
    rng = np.random.default_rng(seed)
    level = rng.normal(6.5, 1.0, features)
    loadings = rng.normal(0, 0.25, (5, features))
    chosen = np.sort(rng.choice(features, informative, replace=False))
    signal = np.zeros(features)
    signal[chosen] = effect * rng.choice([-1, 1], informative) * rng.uniform(0.5, 1.5, informative)
    batches, clean = {}, {}
    for number, count in enumerate(subjects, start=1):
        name = str(number)
        label = rng.permutation(np.arange(count) % 2)
        log_subject = (
            level
            + rng.normal(size=(count, 5)) @ loadings
            + np.outer(label - 0.5, signal)
            + rng.normal(0, 0.3, (count, features))
        )
        owner = np.repeat(np.arange(count), replicates)
        log_sample = log_subject[owner] + rng.normal(0, 0.1, (len(owner), features))
        clean[name] = np.exp(log_sample)
        power = 1 + rng.uniform(-bend, bend)
        gain = np.exp(rng.normal(0, multiplicative, features))
        background = additive * np.exp(level).mean() * rng.uniform(0, 1, features)
        measured = gain * np.exp(level * (1 - power)) * clean[name] ** power + background
        batches[name] = Batch(
            name, measured, label[owner].astype(np.int64), owner.astype(np.int64), replicate=owner
        )
    names = [f"feature_{index:02d}" for index in range(features)]
    study = Study("demo", batches, names, ["control", "case"], n_sources, unit=PAPERS_UNIT)
    return study, Truth(clean, chosen)


def _check(
    subjects: Sequence[int], replicates: int, features: int, informative: int, seed: int, n_sources: int
) -> None:
    """Raise CalibError if a number is no whole number in its range."""
    if not isinstance(subjects, Sequence) or isinstance(subjects, str) or len(subjects) < 2:
        raise CalibError(f"dataset.subjects={subjects} must be a list of at least two numbers of subjects.")
    for count in subjects:
        check_number("dataset.subjects", count, least=1, whole=True)
    for key, value in (("replicates", replicates), ("features", features), ("n_sources", n_sources)):
        check_number(f"dataset.{key}", value, least=1, whole=True)
    check_number("dataset.informative", informative, least=0, most=features, whole=True)
    check_number("dataset.seed", seed, least=0, whole=True)
