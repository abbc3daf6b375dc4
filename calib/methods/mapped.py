"""Methods of two parts: a mapper moves the sources onto a target, then a classifier learns from them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Protocol, get_args

from calib.data.matrix import Matrix, row_checksums
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

    @property
    def why_no_new_batches(self) -> str:
        """Return "": a later batch is one more target, with maps and a classifier of its own."""
        return ""

    @property
    def new_batches(self) -> str:
        """Return what the method does with a later batch, in a few words."""
        return "one more target"

    @property
    def why_not_saved(self) -> str:
        """Return why it is not saved: its answer to a later batch needs the sources themselves."""
        return "is trained with the sources for each batch that it judges, and no model holds these"

    def fit(self, task: Task, runtime: Runtime) -> "FittedMaps":
        """Map and train for one target after another; each target has random streams of its own."""
        fitted = FittedMaps(self, task, runtime)
        for target in task.targets:
            fitted.take(target)
        return fitted


class FittedMaps:
    """The trained classifiers, one for each target.

    Calibrated data are the prepared targets, and the sources as mapped onto the first target. With several
    targets every source is mapped onto each of them, and these maps do not share a space.
    """

    def __init__(self, method: MapThenClassify, task: Task, runtime: Runtime) -> None:
        self._method, self._n_classes, self._runtime = method, task.n_classes, runtime
        self._sources = [replace(source, x=self._prepared(source)) for source in task.sources]
        self._shown: dict[str, Matrix] = {source.name: source.x for source in self._sources}
        self.classifiers: dict[str, FittedClassifier] = {}
        self._later: tuple[bytes, FittedClassifier] | None = None

    def take(self, target: Samples) -> None:
        """Map all sources onto a target and train its classifier."""
        x = self._prepared(target)
        maps, classifier = self._trained(target.name, x, self._runtime)
        if not self.classifiers:
            self._shown |= maps
        self._shown[target.name], self.classifiers[target.name] = x, classifier

    def transform(self, samples: Samples) -> Matrix:
        """Return a prepared target ``(samples, features)``, or a source mapped onto the first target."""
        known = samples.name in self._shown
        return self._shown[samples.name] if known else self._prepared(samples)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return class probabilities ``(samples, classes)`` of a batch.

        The classifier of a target predicts this target; the classifier of the first target predicts sources.
        For a later batch one is trained, as if it had been a target.
        """
        x = self.transform(samples)
        if samples.name in self.classifiers:
            classifier = self.classifiers[samples.name]
        elif samples.name in self._shown:
            classifier = next(iter(self.classifiers.values()))
        else:
            classifier = self._of_later(samples, x)
        return classifier.predict_proba(replace(samples, x=x))

    def _of_later(self, samples: Samples, x: Matrix) -> FittedClassifier:
        """Return the classifier for a later batch; that of the last one is kept."""
        mark = samples.name.encode() + row_checksums(x).tobytes()
        if self._later is None or self._later[0] != mark:
            quiet = replace(self._runtime, history=[])
            self._later = mark, self._trained(samples.name, x, quiet)[1]
        return self._later[1]

    def _trained(
        self, name: str, x: Matrix, runtime: Runtime
    ) -> tuple[Mapping[str, Matrix], FittedClassifier]:
        """Return all sources mapped onto a prepared target, and the classifier trained on them."""
        stage, onto = runtime.within(f"target {name}"), Samples(name, x)
        maps: dict[str, Matrix] = {
            source.name: self._method.mapper.map(
                Samples(source.name, source.x), onto, stage.within(f"source {source.name}")
            )
            for source in self._sources
        }
        sources = [replace(source, x=maps[source.name]) for source in self._sources]
        return maps, self._method.classifier.fit(sources, self._n_classes, stage)

    def _prepared(self, batch: Samples) -> Matrix:
        """Return the data of a batch ``(samples, features)``, prepared by its own statistics."""
        return prepared_batch(batch, self._method.transform, self._method.batch_scale, self._runtime)
