"""The contract that all methods fulfil: labelled sources and unlabelled targets in, probabilities out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, IntArray, LabelledTask, Samples, Task
from calib.errors import CalibError, DivergedError

if TYPE_CHECKING:
    from calib.runtime import Runtime

State = Mapping[str, NDArray[Any]]
"""Arrays that hold all that a trained model has learnt, by name."""

TRAINED_AGAIN = "trained again"
"""What a method does with a batch that it has not seen, if it cannot judge it."""

AnyTask = TypeVar("AnyTask", Task, LabelledTask, contravariant=True)


class Fitted(Protocol):
    """A trained method."""

    def transform(self, samples: Samples) -> Matrix:
        """Return a batch's calibrated data ``(samples, dimensions)``; sparse only if nothing was changed."""
        ...

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch."""
        ...


@runtime_checkable
class Savable(Fitted, Protocol):
    """A trained method that can also predict batches it has never seen."""

    def state(self) -> State:
        """Return the arrays from which ``AnyMethod.restore`` rebuilds the trained method."""
        ...


@runtime_checkable
class Partial(Fitted, Protocol):
    """A trained method that left out sources, or rows of them, and so has no calibrated data for those."""

    @property
    def rows(self) -> Mapping[str, IntArray]:
        """Return the rows that ``transform`` returns, by batch name; batches without an entry are whole."""
        ...


def calibrated_rows(fitted: Fitted) -> Mapping[str, IntArray]:
    """Return the rows that have calibrated data, by the name of each batch of which some rows have none."""
    return fitted.rows if isinstance(fitted, Partial) else {}


def part_of(state: State, prefix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with a prefix, by their names without it."""
    return {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}


class Corrector(Protocol):
    """A part that removes differences between batches without looking at a label.

    ``version`` is raised whenever a change gives other numbers; ``uses_seed`` says whether the seed can
    change them; ``stored`` is False for corrections that cost less to compute than to read. One that can
    correct later batches is a ``Lasting`` of ``calib.methods.lasting``.
    """

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def uses_seed(self) -> bool: ...  # noqa: D102

    @property
    def stored(self) -> bool: ...  # noqa: D102

    def correct(self, batches: Sequence[Samples], runtime: "Runtime") -> Mapping[str, Matrix]:
        """Return the corrected data ``(samples, dimensions)`` of every batch, by name."""
        ...


def _parts(whole: object) -> list[object]:
    """Return the parts that a method, a corrector or a classifier is made of."""
    inner = [
        p for value in vars(whole).values() for p in (value.values() if isinstance(value, dict) else [value])
    ]
    return [part for part in inner if hasattr(part, "version")]


def _dense_copies(part: Any) -> float:
    """Return how many times a part holds all data at once; see ``Method.dense_copies``."""
    own = getattr(part, "dense_copies", None)
    return max(map(_dense_copies, _parts(part)), default=0) if own is None else own


def class_probabilities(fitted: Fitted, samples: Samples) -> FloatArray:
    """Return the class probabilities ``(samples, classes)`` of a batch, which are all finite.

    Every answer of a trained method passes through this function before a class is named: in a run, in a
    prediction of a saved model and in the estimators.

    Raises:
        DivergedError: a probability is no finite number.
    """
    probability = fitted.predict_proba(samples)
    wrong = np.flatnonzero(~np.isfinite(probability).all(axis=1))
    if len(wrong):
        raise DivergedError(
            f"Batch '{samples.name}': the trained model gives values that are no numbers for {len(wrong)} of "
            f"{len(probability)} samples, the first of which is number {wrong[0] + 1}; lower the learning "
            "rate of its training, or correct the values of these samples."
        )
    return probability


def in_order(batches: Sequence[Samples]) -> list[Samples]:
    """Return batches sorted by name, so that a correction does not depend on which of them are sources."""
    return sorted(batches, key=lambda batch: batch.name)


class AnyMethod(ABC, Generic[AnyTask]):
    """The base class of all methods, with or without access to target labels.

    ``version`` is raised whenever a change makes the method compute other numbers, so that older run
    records are not taken for its results.
    """

    version: ClassVar[int] = 1
    uses_target_labels: ClassVar[bool] = False
    trains_together: ClassVar[bool] = False
    """Whether ``fit_together`` makes several trainings as one, which can be faster than one after another."""
    needs_targets: ClassVar[bool] = False
    """Whether the training is made for targets, so that there must be one."""

    @property
    def versions(self) -> list[int]:
        """Return the version of the method and of every exchangeable part of it."""
        return [self.version]

    @property
    def uses_seed(self) -> bool:
        """Return whether the seed can change a result; from one that it cannot change, one run is enough."""
        return True

    @property
    def joins_replicates(self) -> bool:
        """Return whether the rows of a subject (``Samples.replicate``) get one answer, or are drawn together.

        A method does so if one of its parts says so by an attribute of this name.
        """
        return any(getattr(part, "joins_replicates", False) for part in vars(self).values())

    @abstractmethod
    def fit(self, task: AnyTask, runtime: "Runtime") -> Fitted:
        """Train on the task; all randomness comes from ``runtime``."""

    def fit_together(self, tasks: Sequence[AnyTask], runtimes: "Sequence[Runtime]") -> Sequence[Fitted]:
        """Train once for every task and the runtime beside it, with the results of ``fit`` of each alone.

        Raises:
            DivergedError: one of the trainings diverged; fitting each alone shows which one.
        """
        return [self.fit(task, runtime) for task, runtime in zip(tasks, runtimes, strict=True)]

    def fit_seeds(self, task: AnyTask, runtimes: "Sequence[Runtime]") -> Sequence[Fitted]:
        """Train once for every seed; see ``fit_together``."""
        return self.fit_together([task] * len(runtimes), runtimes)

    def most_weights(self, features: int, sources: int, batches: int) -> int:
        """Return about how many weights are trained at once, where networks are as wide as the data.

        Args:
            features: number of features.
            sources: number of sources.
            batches: number of all batches.

        Returns:
            The number, 0 for a method whose networks are narrow or that has none.
        """
        return 0

    @property
    def dense_copies(self) -> float:
        """Return about how many times the method holds all data as dense float64 numbers, beyond the study.

        It is the most that one of its parts does, by an attribute of this name, which is measured
        (``scripts/bench/growth.py``) and rounded down; 0 for parts that take rows as they need them.
        """
        return max(map(_dense_copies, _parts(self)), default=0)

    @property
    def judges_new_batches(self) -> bool:
        """Return whether what ``fit`` returns predicts batches that it has not seen."""
        return not self.why_no_new_batches

    @property
    def new_batches(self) -> str:
        """Return what the method does with a batch that it has not seen, in a few words."""
        return TRAINED_AGAIN if self.why_no_new_batches else "answered"

    @property
    def why_not_saved(self) -> str:
        """Return why ``fit`` returns no ``Savable``, which can be kept on disk, as a predicate, or ""."""
        return self.why_no_new_batches

    @property
    def why_no_new_batches(self) -> str:
        """Return why the method cannot predict new batches, as a predicate, or "" if it can."""
        return "knows only the batches that it is fitted on"

    @property
    def why_two_classes(self) -> str:
        """Return why each source needs samples of two classes, as a predicate.

        It is "" for a method that learns from all sources together, so that they need two classes together.
        """
        return ""

    def check_task(self, task: AnyTask, name: str) -> None:
        """Check that a task has what the method cannot do without.

        Args:
            task: the task that the method is to be fitted to.
            name: name of the method, for the message.

        Raises:
            CalibError: there is no target and the method needs one; or each source needs samples of two
                classes, and one of them has one class only.
        """
        if self.needs_targets and not task.targets:
            raise CalibError(
                f"method={name} is trained for the batches that it is to judge; give it samples without "
                "labels."
            )
        single = [source.name for source in task.sources if len(np.unique(source.y)) < 2]
        if single and self.why_two_classes:
            raise CalibError(
                f"method={name} {self.why_two_classes}, but source '{single[0]}' has samples of one class "
                "only; choose a split without this source, or another method."
            )

    def restore(self, state: State, features: int, n_classes: int, runtime: "Runtime") -> "Savable":
        """Return the trained method whose ``state()`` was ``state``.

        Raises:
            CalibError: the method cannot predict new batches.
        """
        raise CalibError(
            f"This method {self.why_not_saved}; make the new batch one of the study's, without labels, "
            "and run it again."
        )


class Method(AnyMethod[Task]):
    """A method that never sees a target label, so that it can be used on unlabelled data."""


class ReferenceMethod(AnyMethod[LabelledTask]):
    """A reference that sees target labels (an upper bound); every table and figure marks it."""

    uses_target_labels = True


def check_wrapped(method: object) -> None:
    """Raise CalibError unless ``method``, which is to be wrapped, is a method that sees no target label."""
    if not isinstance(method, Method):
        raise CalibError(
            f"method.method: {type(method).__name__} cannot be wrapped; choose a method that sees "
            "no target label."
        )
