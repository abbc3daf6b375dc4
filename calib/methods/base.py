"""The one contract of all methods: labelled sources and unlabelled targets in, probabilities out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, IntArray, LabelledTask, Samples, Task
from calib.errors import CalibError
from calib.runtime import Runtime

State = Mapping[str, FloatArray]
"""All that a trained model has learnt, by name."""

AnyTask = TypeVar("AnyTask", Task, LabelledTask, contravariant=True)


class Fitted(Protocol):
    """A trained method."""

    def transform(self, samples: Samples) -> Matrix:
        """Calibrated data ``(samples, dimensions)`` of a batch; sparse only if they are the data as given."""
        ...

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` of a batch."""
        ...


@runtime_checkable
class Savable(Fitted, Protocol):
    """A trained method that can also judge batches it has never seen."""

    def state(self) -> State:
        """What ``AnyMethod.restore`` needs."""
        ...


@runtime_checkable
class Partial(Fitted, Protocol):
    """A trained method that left out sources, or rows of them, and so has no calibrated data of those."""

    @property
    def rows(self) -> Mapping[str, IntArray]:
        """The rows that ``transform`` gives of a batch, by its name; a batch without an entry is whole."""
        ...


def calibrated_rows(fitted: Fitted) -> Mapping[str, IntArray]:
    """The rows that a trained method has calibrated data of, by the name of each batch that is not whole."""
    return fitted.rows if isinstance(fitted, Partial) else {}


class Corrector(Protocol):
    """A part that removes differences between batches without looking at a label.

    ``version`` is raised whenever a change gives other numbers; ``uses_seed`` says whether the seed can
    change them; ``stored`` is False for corrections that cost less to compute than to read. A corrector that
    corrects each batch by itself, whatever the others are, has an attribute ``each_batch_alone = True``.
    """

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def uses_seed(self) -> bool: ...  # noqa: D102

    @property
    def stored(self) -> bool: ...  # noqa: D102

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Return the corrected data ``(samples, dimensions)`` of every batch, by name."""
        ...


def in_order(batches: Sequence[Samples]) -> list[Samples]:
    """Return batches sorted by name, so that a correction does not depend on which of them are sources."""
    return sorted(batches, key=lambda batch: batch.name)


class AnyMethod(ABC, Generic[AnyTask]):
    """Something that can be fitted to a task.

    ``version`` is raised whenever a change makes the method give other numbers, so that older run
    records are not taken for its results.
    """

    version: ClassVar[int] = 1
    uses_target_labels: ClassVar[bool] = False
    trains_seeds_together: ClassVar[bool] = False
    """Whether ``fit_seeds`` is one training, faster than one after another."""

    @property
    def versions(self) -> list[int]:
        """The version of the method and of every exchangeable part of it."""
        return [self.version]

    @abstractmethod
    def fit(self, task: AnyTask, runtime: Runtime) -> Fitted:
        """Train on the task; all randomness comes from ``runtime``."""

    def fit_seeds(self, task: AnyTask, runtimes: Sequence[Runtime]) -> Sequence[Fitted]:
        """``fit`` for several seeds, with the same results as each alone.

        Raises:
            DivergedError: one of the trainings diverged; which, is found out by fitting each alone.
        """
        return [self.fit(task, runtime) for runtime in runtimes]

    @property
    def judges_new_batches(self) -> bool:
        """Whether ``fit`` gives a ``Savable``."""
        return not self.why_no_new_batches

    @property
    def why_no_new_batches(self) -> str:
        """What is in the way of that, said of the method; "" if nothing is."""
        return "knows only the batches that it is fitted on"

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "Savable":
        """The trained method that gave ``state``.

        Raises:
            CalibError: the method judges no new batches.
        """
        raise CalibError(
            f"This method {self.why_no_new_batches}; make the new batch one of the study's, without labels, "
            "and run it again."
        )


class Method(AnyMethod[Task]):
    """A method that can be used in earnest: it never sees a target label."""


class ReferenceMethod(AnyMethod[LabelledTask]):
    """A reference line that needs target labels (an upper bound); marked wherever it is shown."""

    uses_target_labels = True


def check_wrapped(method: object) -> None:
    """Raise CalibError unless what a method is to wrap is a method that sees no target label."""
    if not isinstance(method, Method):
        raise CalibError(
            f"method.method: {type(method).__name__} cannot be wrapped; choose a method that sees "
            "no target label."
        )
