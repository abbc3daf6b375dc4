"""Map, then classify: sources are mapped onto one target at a time, and a classifier learns from the maps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, get_args

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, Samples, Task
from calib.data.transform import BatchScale, Transform, prepared
from calib.errors import check_choice
from calib.methods.base import Method
from calib.methods.corrected import Classifier, FittedClassifier, versions_of
from calib.runtime import Runtime


class Mapper(Protocol):
    """Moves one batch onto another; ``version`` is raised when a change gives other numbers."""

    version: ClassVar[int]

    def map(self, source: Samples, target: Samples, runtime: Runtime) -> FloatArray:
        """The source's rows ``(samples, features)`` in the target's space, found without a label."""
        ...


class MapThenClassify(Method):
    """For each target: map every source onto it, train a fresh classifier on the maps, judge the target.

    Args:
        mapper: see ``Mapper``.
        classifier: what is trained, once a target.
        transform, batch_scale: how each batch, source or target, is prepared by itself before any map; see
            ``calib.data.transform``.

    Raises:
        CalibError: an unknown transform or scale.
    """

    def __init__(
        self, mapper: Mapper, classifier: Classifier, transform: Transform, batch_scale: BatchScale
    ) -> None:
        check_choice("method.transform", transform, get_args(Transform))
        check_choice("method.batch_scale", batch_scale, get_args(BatchScale))
        self.mapper, self.classifier = mapper, classifier
        self.transform, self.batch_scale = transform, batch_scale

    @property
    def versions(self) -> list[int]:
        """Versions of the pair, its mapper and its classifier."""
        return [self.version, *versions_of(self.mapper), *versions_of(self.classifier)]

    def fit(self, task: Task, runtime: Runtime) -> "FittedMaps":
        """Map and train for one target after another; each has random streams of its own."""
        x: dict[str, Matrix] = {
            batch.name: prepared(batch.x, self.transform, self.batch_scale, runtime.numpy_dtype)
            for batch in task.batches
        }
        shown, classifiers = dict(x), {}
        for number, target in enumerate(task.targets):
            stage = runtime.within(f"target {target.name}")
            onto = Samples(target.name, x[target.name])
            maps = {
                source.name: self.mapper.map(
                    Samples(source.name, x[source.name]), onto, stage.within(f"source {source.name}")
                )
                for source in task.sources
            }
            sources = [replace(source, x=maps[source.name]) for source in task.sources]
            classifiers[target.name] = self.classifier.fit(sources, task.n_classes, stage)
            if number == 0:
                shown |= maps
        return FittedMaps(shown, classifiers)


@dataclass(frozen=True)
class FittedMaps:
    """Trained classifiers by the name of their target.

    ``x`` has the targets as prepared and the sources' maps onto the first target: with several targets there
    is one map of every source for each, and they do not share a space.
    """

    x: Mapping[str, Matrix]
    classifiers: Mapping[str, FittedClassifier]

    def transform(self, samples: Samples) -> Matrix:
        """A target ``(samples, features)`` as prepared, or a source mapped onto the first target."""
        return self.x[samples.name]

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities ``(samples, classes)`` by the target's classifier; of a source by the first."""
        first = next(iter(self.classifiers.values()))
        classifier = self.classifiers.get(samples.name, first)
        return classifier.predict_proba(replace(samples, x=self.transform(samples)))
