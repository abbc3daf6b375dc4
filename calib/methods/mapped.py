"""Methods of two parts: a mapper moves the sources onto a target, then a classifier learns from them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, get_args

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, Samples, Task
from calib.data.transform import BatchScale, Transform, prepared_batch
from calib.errors import check_choice
from calib.methods.base import Method
from calib.methods.corrected import Classifier, FittedClassifier, versions_of
from calib.methods.randomness import uses_seed
from calib.runtime import Runtime


class Mapper(Protocol):
    """A part that moves one batch onto another.

    ``version`` is raised when a change makes it compute other numbers. A mapper that the seed cannot change
    has ``uses_seed = False``.
    """

    version: ClassVar[int]

    def map(self, source: Samples, target: Samples, runtime: Runtime) -> FloatArray:
        """Return the source's rows ``(samples, features)`` in the target's space; no label is used."""
        ...


class MapThenClassify(Method):
    """A method that maps every source onto each target and trains one classifier for each target.

    The classifier of a target learns from the mapped sources and predicts this target.

    Args:
        mapper: see ``Mapper``.
        classifier: is trained anew for each target.
        transform, batch_scale: how each batch, source or target, is prepared by its own statistics before it
            is mapped; see ``calib.data.transform``.

    Raises:
        CalibError: an unknown transform or scale.
    """

    needs_targets = True

    def __init__(
        self, mapper: Mapper, classifier: Classifier, transform: Transform, batch_scale: BatchScale
    ) -> None:
        check_choice("method.transform", transform, get_args(Transform))
        check_choice("method.batch_scale", batch_scale, get_args(BatchScale))
        self.mapper, self.classifier = mapper, classifier
        self.transform, self.batch_scale = transform, batch_scale

    @property
    def versions(self) -> list[int]:
        """Return the versions of the method, its mapper and its classifier."""
        return [self.version, *versions_of(self.mapper), *versions_of(self.classifier)]

    @property
    def uses_seed(self) -> bool:
        """Return whether the mapper or the classifier uses the seed."""
        return uses_seed(self.mapper) or uses_seed(self.classifier)

    def fit(self, task: Task, runtime: Runtime) -> "FittedMaps":
        """Map and train for one target after another; each target has random streams of its own."""
        x: dict[str, Matrix] = {
            batch.name: prepared_batch(batch, self.transform, self.batch_scale, runtime)
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
    """The trained classifiers, by the name of their target.

    ``x`` holds the prepared targets and the sources as mapped onto the first target. With several targets
    every source is mapped onto each of them, and these maps do not share a space.
    """

    x: Mapping[str, Matrix]
    classifiers: Mapping[str, FittedClassifier]

    def transform(self, samples: Samples) -> Matrix:
        """Return a prepared target ``(samples, features)``, or a source mapped onto the first target."""
        return self.x[samples.name]

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)`` of a batch.

        The classifier of a target predicts this target; the classifier of the first target predicts sources.
        """
        first = next(iter(self.classifiers.values()))
        classifier = self.classifiers.get(samples.name, first)
        return classifier.predict_proba(replace(samples, x=self.transform(samples)))
