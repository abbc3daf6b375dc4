"""A method for batches of any size: answers without and with calibration, pooled by the size of the batch.

A large batch shows how it differs from the sources, so it can be calibrated; a single sample does not. Here
two methods answer, and their probabilities are pooled as logarithms (the logarithmic opinion pool, Genest &
Zidek 1986, doi 10.1214/ss/1177013825). The weight of the calibrated answer for n samples
is n / (n + half), where ``half`` is the size that gives both the same weight. It is learnt from the sources:
each is left out in turn, and small batches of many class mixes are drawn of it.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, IntArray, LabelledSamples, Samples, Task
from calib.errors import check_number
from calib.methods.base import Fitted, Method, Savable, State, part_of
from calib.methods.corrected import CorrectThenClassify, FittedPair
from calib.methods.randomness import uses_seed
from calib.runtime import Runtime

HALVES = (5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)
"""Sizes of equal weight that are compared.

A left-out source is judged by fewer sources than a target is, from which uncalibrated answers suffer most. So
what is learnt leans towards calibration, and for a handful of samples it may not have more weight than this.
"""

UNKNOWN = 10.0
"""The size of equal weight where a single source leaves nothing to learn it from."""

SIZES = (1, 2, 5, 10, 20, 50, 100)
"""Sizes of the batches that are drawn of a source."""

DRAWS = 10
"""Batches drawn of each source and size."""

LEAST = 1e-6
"""Smallest probability whose logarithm is taken."""

PLAIN, CALIBRATED, HALF = "plain/", "calibrated/", "half"


class Pooled(Method):
    """Two methods whose answers are pooled by the size of the batch.

    Args:
        plain: answers without calibration, so for batches of any size.
        calibrated: calibrates first; its corrector has to correct later batches.
        half: size of a batch that gives both the same weight; None: it is learnt from the sources.

    Raises:
        CalibError: ``half`` is no number or negative.
    """

    def __init__(
        self, plain: CorrectThenClassify, calibrated: CorrectThenClassify, half: float | None
    ) -> None:
        if half is not None:
            check_number("half", half, least=0)
        self.plain, self.calibrated, self.half = plain, calibrated, half

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method and of both its methods."""
        return [self.version, *self.plain.versions, *self.calibrated.versions]

    @property
    def uses_seed(self) -> bool:
        """Return whether one of the methods uses the seed; the batches drawn of the sources do not."""
        return uses_seed(self.plain) or uses_seed(self.calibrated)

    def fit(self, task: Task, runtime: Runtime) -> "FittedPooled":
        """Learn the size of equal weight from the sources, then train both methods on all of them."""
        half = self._learnt(task, runtime) if self.half is None else self.half
        return FittedPooled(self.plain.fit(task, runtime), self.calibrated.fit(task, runtime), half)

    def _learnt(self, task: Task, runtime: Runtime) -> float:
        """Return the size of equal weight that gives small batches of left-out sources the best answers.

        The measure is the mean logarithm of the true class's probability, over sources, sizes and batches.
        """
        if len(task.sources) < 2:
            return UNKNOWN
        rng = np.random.default_rng(DRAWS)  # the same for every seed, as if it were a part of the method
        gains = []
        for out in task.sources:
            others = [source for source in task.sources if source is not out]
            known = np.unique(np.concatenate([source.y for source in others]))
            if len(known) < 2:
                continue
            rest = replace(task, sources=others, targets=[])
            quiet = replace(runtime, history=[], progress=False)
            fitted = FittedPooled(self.plain.fit(rest, quiet), self.calibrated.fit(rest, quiet), 0)
            for batch, y in _small_batches(out, known, rng):
                logs = fitted.logarithms(batch)
                gains.append(
                    [
                        float(_pooled(*logs, batch.distinct, half)[np.arange(len(y)), y].mean())
                        for half in HALVES
                    ]
                )
        return HALVES[int(np.argmax(np.mean(gains, axis=0)))] if gains else UNKNOWN

    @property
    def why_no_new_batches(self) -> str:
        """Return "" if the calibrated method judges new batches."""
        return self.calibrated.why_no_new_batches

    @property
    def new_batches(self) -> str:
        """Return what the calibrated method does with them."""
        return self.calibrated.new_batches

    @property
    def why_not_saved(self) -> str:
        """Return "" if both methods can be saved."""
        return self.plain.why_not_saved or self.calibrated.why_not_saved

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """Return both trained methods.

        Raises:
            ValueError, LookupError: the arrays do not fit.
        """
        plain, calibrated = (
            method.restore(part_of(state, start), features, n_classes, runtime)
            for method, start in ((self.plain, PLAIN), (self.calibrated, CALIBRATED))
        )
        half = float(np.asarray(state[HALF]).reshape(()))
        if not half >= 0:
            raise ValueError(f"{HALF} is no size")
        return FittedPooled(plain, calibrated, half)


class FittedPooled:
    """Both trained methods and the size of equal weight."""

    def __init__(self, plain: Fitted, calibrated: Fitted, half: float) -> None:
        self._plain, self._calibrated, self.half = plain, calibrated, half

    def state(self) -> State:
        """Return the arrays of both methods, and the size of equal weight."""
        parts = ((PLAIN, self._plain), (CALIBRATED, self._calibrated))
        made = {start + key: v for start, part in parts for key, v in _state(part).items()}
        return made | {HALF: np.array([self.half])}

    def transform(self, samples: Samples) -> Matrix:
        """Return the calibrated data ``(samples, dimensions)`` of a batch."""
        return self._calibrated.transform(samples)

    def logarithms(self, samples: Samples) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of both methods' probabilities, each ``(samples, classes)``."""
        plain, calibrated = (
            np.log(np.maximum(part.predict_proba(samples), LEAST)) for part in (self._plain, self._calibrated)
        )
        return plain, calibrated

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the pooled class probabilities ``(samples, classes)`` of a batch."""
        probability: FloatArray = np.exp(_pooled(*self.logarithms(samples), samples.distinct, self.half))
        return probability


def _state(part: Fitted) -> State:
    """Return the arrays of a trained method."""
    assert isinstance(part, FittedPair)
    return part.state()


def _pooled(plain: FloatArray, calibrated: FloatArray, size: int, half: float) -> FloatArray:
    """Return the logarithms of pooled probabilities ``(samples, classes)``, which sum to 1 in each row."""
    weight = size / (size + half)
    both = (1 - weight) * plain + weight * calibrated
    logs: FloatArray = both - np.logaddexp.reduce(both, axis=1, keepdims=True)
    return logs


def _small_batches(
    source: LabelledSamples, known: IntArray, rng: np.random.Generator
) -> Iterator[tuple[Samples, IntArray]]:
    """Yield batches of several sizes that are drawn of a source with random class mixes, and their classes.

    Replicates of a sample stay together. Classes that are not ``known`` are left out.
    """
    owner: NDArray[np.intp]
    if source.replicate is None:
        first = owner = np.arange(len(source.y))
    else:
        _, first, owner = np.unique(source.replicate, return_index=True, return_inverse=True)
    y = source.y[first]
    units = [np.flatnonzero(y == c) for c in known]
    present = [rows for rows in units if len(rows)]
    for size in SIZES:
        if not present or size > sum(map(len, present)) // 2:
            return
        for _ in range(DRAWS):
            sides = rng.choice(len(present), size, p=rng.dirichlet(np.ones(len(present))))
            chosen = [rng.permutation(rows)[: int((sides == c).sum())] for c, rows in enumerate(present)]
            rows = np.flatnonzero(np.isin(owner, np.concatenate(chosen)))
            replicate = None if source.replicate is None else source.replicate[rows]
            yield Samples(f"part of {source.name}", source.x[rows], replicate=replicate), source.y[rows]
