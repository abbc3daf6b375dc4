"""The one contract of all methods: labelled sources and unlabelled targets in, probabilities out."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Protocol, TypeVar

from calib.data.study import FloatArray, LabelledTask, Samples, Task
from calib.runtime import Runtime

AnyTask = TypeVar("AnyTask", Task, LabelledTask, contravariant=True)


class Fitted(Protocol):
    """A trained method."""

    def transform(self, samples: Samples) -> FloatArray:
        """Calibrated data ``(samples, dimensions)`` of a batch."""
        ...

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` of a batch."""
        ...


class AnyMethod(ABC, Generic[AnyTask]):
    """Something that can be fitted to a task.

    ``version`` is raised whenever a change makes the method give other numbers, so that older run
    records are not taken for its results.
    """

    version: ClassVar[int] = 1
    uses_target_labels: ClassVar[bool] = False

    @property
    def versions(self) -> list[int]:
        """The version of the method and of every exchangeable part of it."""
        return [self.version]

    @abstractmethod
    def fit(self, task: AnyTask, runtime: Runtime) -> Fitted:
        """Train on the task; all randomness comes from ``runtime``."""


class Method(AnyMethod[Task]):
    """A method that can be used in earnest: it never sees a target label."""


class ReferenceMethod(AnyMethod[LabelledTask]):
    """A reference line that needs target labels (an upper bound); marked wherever it is shown."""

    uses_target_labels = True
