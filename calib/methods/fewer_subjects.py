"""A wrapper that trains a method on fewer labelled subjects of each source, to see how many are needed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, IntArray, LabelledSamples, Samples, Task
from calib.errors import CalibError, check_flag, check_number
from calib.methods.base import Fitted, Method, Savable, State, calibrated_rows, check_wrapped
from calib.runtime import Runtime


class FewerSubjects(Method):
    """A method that trains another method on a given number of subjects of each source, leaving out the rest.

    Niu et al. 2021 (Discussion) leave open how much labelled data is needed. A subject is a set of rows with
    the same ``LabelledSamples.replicate``, or a single row if that is unknown; all of its rows are kept or
    none. The targets stay as they are.

    Args:
        method: the method to train.
        subjects: number of subjects of each source, drawn from the seed in the classes' proportions; a larger
            number draws the same subjects and more. A source with no more subjects keeps all of them. None
            keeps all subjects of every source.
        same_size: repeat the subjects' rows until a source has as many rows as before, so that an epoch has
            the same number of steps, however few the subjects are.

    Raises:
        CalibError: a setting is wrong.
    """

    def __init__(self, method: Method, subjects: int | None, same_size: bool) -> None:
        check_wrapped(method)
        if subjects is not None:
            check_number("method.subjects", subjects, least=2, whole=True)
        check_flag("method.same_size", same_size)
        self.method, self.subjects, self.same_size = method, subjects, same_size

    @property
    def versions(self) -> list[int]:
        """Return the versions of this method and of the wrapped one."""
        return [self.version, *self.method.versions]

    def fit(self, task: Task, runtime: Runtime) -> "FittedFewer":
        """Draw the subjects of every source and fit the wrapped method to them.

        Raises:
            CalibError: a source has more classes than ``subjects``.
        """
        drawn = {source.name: self._draw(source, runtime) for source in task.sources}
        kept = {s.name: drawn[s.name] for s in task.sources if len(drawn[s.name]) < len(s)}
        if kept:
            runtime = replace(runtime, corrections=None)  # stored corrections are of whole batches
        sources = [self._reduced(s, kept[s.name]) if s.name in kept else s for s in task.sources]
        return FittedFewer(self.method.fit(replace(task, sources=sources), runtime), kept)

    @property
    def joins_replicates(self) -> bool:
        """Return whether subjects are drawn, or the wrapped method averages over replicates."""
        return self.subjects is not None or super().joins_replicates

    def most_weights(self, features: int, sources: int, batches: int) -> int:
        """Return the weights of the wrapped method."""
        return self.method.most_weights(features, sources, batches)

    @property
    def needs_targets(self) -> bool:  # type: ignore[override]
        """Return whether the wrapped method needs a target."""
        return self.method.needs_targets

    @property
    def why_two_classes(self) -> str:
        """Return why the wrapped method needs two classes in each source, or "" if it does not."""
        return self.method.why_two_classes

    def _draw(self, source: LabelledSamples, runtime: Runtime) -> IntArray:
        """Return the rows of a source to keep, in ascending order."""
        if self.subjects is None:
            return np.arange(len(source))
        classes = len(np.unique(source.y))
        if self.subjects < classes:
            raise CalibError(
                f"method.subjects={self.subjects} cannot have all {classes} classes of source "
                f"'{source.name}'; set it to at least {classes}."
            )
        generator = runtime.generator(f"subjects of batch {source.name}")
        return drawn_rows(source.y, source.replicate, self.subjects, generator)

    def _reduced(self, source: LabelledSamples, rows: IntArray) -> LabelledSamples:
        """Return a source with these rows only, which are repeated if ``same_size`` is set."""
        if self.same_size:
            rows = np.resize(rows, len(source))  # np.resize repeats the rows in order
        replicate = None if source.replicate is None else source.replicate[rows]
        return replace(source, x=source.x[rows], y=source.y[rows], replicate=replicate)

    @property
    def why_no_new_batches(self) -> str:
        """Return why the wrapped method cannot predict new batches, or "" if it can."""
        return self.method.why_no_new_batches

    @property
    def new_batches(self) -> str:
        """Return what the wrapped method does with a later batch."""
        return self.method.new_batches

    @property
    def why_not_saved(self) -> str:
        """Return why the wrapped method cannot be kept, or "" if it can."""
        return self.method.why_not_saved

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """Return the wrapped method as it was trained."""
        return self.method.restore(state, features, n_classes, runtime)


@dataclass(frozen=True)
class FittedFewer:
    """The trained method, with the rows of each reduced source on which it was trained."""

    fitted: Fitted
    kept: Mapping[str, IntArray]

    @property
    def rows(self) -> Mapping[str, IntArray]:
        """Return the rows that have calibrated data, by batch name; see ``base.Partial``."""
        inner = calibrated_rows(self.fitted)
        found = {name: rows[inner[name]] if name in inner else rows for name, rows in self.kept.items()}
        return {**inner, **found}

    def state(self) -> State:
        """Return the wrapped method's arrays."""
        assert isinstance(self.fitted, Savable)  # the plan of the run has checked it
        return self.fitted.state()

    def transform(self, samples: Samples) -> Matrix:
        """Return the calibrated data of a target, or of the rows of a source that were kept."""
        rows = self.kept.get(samples.name)
        if rows is None:
            return self.fitted.transform(samples)
        replicate = None if samples.replicate is None else samples.replicate[rows]
        part = replace(samples, x=samples.x[rows], replicate=replicate)
        return self.fitted.transform(part)[: len(rows)]  # without the repeated rows

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch."""
        return self.fitted.predict_proba(samples)


def drawn_rows(y: IntArray, replicate: NDArray | None, subjects: int, generator: torch.Generator) -> IntArray:
    """Return the rows, in ascending order, of random subjects in the proportions of their classes.

    The i-th subject of a class of n, counted from 0 in random order, has the place i/n. The subjects with
    the smallest places are drawn. So every class is drawn, no class is off its share by more than one
    subject, and a larger number draws the same subjects and more.

    Args:
        y: class index ``(rows,)``; the class of a subject is the most frequent one of its rows.
        replicate: number or name of each row's subject; None makes every row a subject.
        subjects: number of subjects, at least the number of classes.
        generator: source of the random order.
    """
    owner = np.arange(len(y)) if replicate is None else np.unique(replicate, return_inverse=True)[1]
    votes = np.zeros((owner.max() + 1, y.max() + 1))
    np.add.at(votes, (owner, y), 1)
    label = votes.argmax(axis=1)
    place = np.empty(len(label))
    for index in np.unique(label):
        members = np.flatnonzero(label == index)
        order = torch.randperm(len(members), generator=generator).numpy()
        place[members[order]] = np.arange(len(members)) / len(members)
    chosen = np.argsort(place, kind="stable")[:subjects]
    return np.flatnonzero(np.isin(owner, chosen))
