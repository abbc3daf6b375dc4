"""A corrector fitted to the batches of a task: their corrected data, and what corrects later ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from calib.data.matrix import Matrix, infinite_feature
from calib.data.study import LabelledTask, Samples, Task
from calib.errors import DataError
from calib.methods.base import Corrector, State, in_order
from calib.methods.lasting import SupervisedCorrector, is_lasting
from calib.runtime import Runtime


class Correction:
    """A corrector fitted to the batches of a task.

    Args:
        corrector: the corrector; one that sees labels gets those of the sources only.
        task: its batches.
        runtime: seed, device and stored corrections.

    Attributes:
        batches: corrected data ``(samples, dimensions)`` of every batch, by name.
    """

    def __init__(self, corrector: Any, task: Task | LabelledTask, runtime: Runtime) -> None:
        self._corrector, self._runtime = corrector, runtime
        self._task: Any = task
        self._learnt: State | None = None
        if is_lasting(corrector) and (
            runtime.corrections is None or isinstance(corrector, SupervisedCorrector)
        ):
            made, self._learnt = self._learn(runtime)
            self.batches: Mapping[str, Matrix] = finite(corrector, made)
        else:
            self.batches = correct(corrector, task, runtime)

    @classmethod
    def restored(cls, corrector: Any, learnt: State, runtime: Runtime) -> "Correction":
        """Return what a corrector has learnt from batches that are no longer there."""
        made = cls.__new__(cls)
        made._corrector, made._task, made._runtime = corrector, None, runtime
        made._learnt, made.batches = learnt, {}
        return made

    @property
    def learnt(self) -> State:
        """Return the arrays that later batches are corrected by.

        Of a correction that came from a store only the data were kept. Then it is made again.
        """
        if self._learnt is None:
            self._learnt = self._learn(self._quiet())[1]
        return self._learnt

    def of(self, samples: Samples) -> Matrix:
        """Return the corrected data ``(samples, dimensions)`` of a batch of the fit, or of a later one.

        Raises:
            DataError: the corrector cannot correct this later batch.
        """
        if samples.name in self.batches:
            return self.batches[samples.name]
        if not is_lasting(self._corrector):
            raise DataError(
                f"Batch '{samples.name}' was not there when the others were corrected, and cannot be "
                "corrected after them; make it an unlabelled batch of the study."
            )
        with self._damage_named(samples.name):
            made = self._corrector.follow(self.learnt, without_label(samples), self._quiet())
        return finite(self._corrector, {samples.name: made})[samples.name]

    @contextmanager
    def _damage_named(self, name: str) -> Iterator[None]:
        """Turn errors of what was read from a file, which can hold any numbers, into one sentence.

        Raises:
            DataError: an error was raised within.
        """
        try:
            yield
        except (ValueError, LookupError, ArithmeticError, RuntimeError) as error:
            if self._task is not None:
                raise
            reason = str(error).partition("\n")[0].rstrip(".")
            raise DataError(
                f"Batch '{name}': the arrays of {type(self._corrector).__name__} in the saved model cannot "
                f"correct it ({reason}); train the model again."
            ) from error

    def _learn(self, runtime: Runtime) -> tuple[Mapping[str, Matrix], State]:
        """Fit the corrector, and return the corrected data and what it has learnt."""
        batches = _unlabelled(self._task)
        if isinstance(self._corrector, SupervisedCorrector):
            sources = self._task.sources
            made: tuple[Mapping[str, Matrix], State]
            made = self._corrector.learn(sources, batches[len(sources) :], runtime)  # type: ignore[attr-defined]
        else:
            made = self._corrector.learn(in_order(batches), _shared(runtime))
        return made

    def _quiet(self) -> Runtime:
        """Return the runtime of the fit with a history of its own."""
        return replace(self._runtime, history=[])


def _unlabelled(task: Task | LabelledTask) -> list[Samples]:
    """Return all batches of a task without their labels, sources first."""
    return [without_label(batch) for batch in task.batches]


def without_label(batch: Samples) -> Samples:
    """Return a batch without its labels, if it has any."""
    return Samples(batch.name, batch.x, replicate=batch.replicate, reference=batch.reference)


def _shared(runtime: Runtime) -> Runtime:
    """Return the runtime of a correction, which does not depend on the training that needs it."""
    return replace(runtime, stage="")


def correct(
    corrector: Corrector | SupervisedCorrector, task: Task | LabelledTask, runtime: Runtime
) -> Mapping[str, Matrix]:
    """Return the corrected data of every batch, by name; no corrector sees a target's label.

    The result of a corrector without labels comes from the run's store of corrections if it is there.

    Raises:
        DataError: a corrected value is no finite number.
    """
    batches = _unlabelled(task)
    if isinstance(corrector, SupervisedCorrector):
        made = corrector.correct(task.sources, batches[len(task.sources) :], runtime)
    elif runtime.corrections is None:
        made = corrector.correct(in_order(batches), _shared(runtime))
    else:
        made = runtime.corrections.obtain(corrector, batches, _shared(runtime))
    return finite(corrector, made)


def finite(corrector: Corrector | SupervisedCorrector, made: Mapping[str, Matrix]) -> Mapping[str, Matrix]:
    """Return corrected data, by batch, as they are.

    Raises:
        DataError: a value is no finite number.
    """
    for name, x in made.items():
        if infinite_feature(x) is not None:
            raise DataError(
                f"Batch '{name}': {type(corrector).__name__} makes values of it that are no finite numbers; "
                "check the scale of the data, or take another corrector."
            )
    return made
