"""Fewer labelled subjects: what a method reaches when less of every source is known."""

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
    """The wrapped method, trained on so many subjects of each source; the others are left out altogether.

    Niu et al. 2021 (Discussion) leave open how much labelled data is needed. A subject is what
    ``LabelledSamples.replicate`` says was measured together, or a single row where that is unknown, and is
    taken whole. The targets stay as they are.

    Args:
        method: what is trained.
        subjects: of each source, drawn from the seed, in the classes' proportions; a larger number draws the
            same subjects and more. A source that has no more gives all; None: all of every source.
        same_size: repeat the subjects' rows until a source has as many as before, so that an epoch takes as
            many steps however few the subjects are.

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
        """Versions of this and of the wrapped method."""
        return [self.version, *self.method.versions]

    def fit(self, task: Task, runtime: Runtime) -> "FittedFewer":
        """Draw the subjects of every source and fit the wrapped method to them.

        Raises:
            CalibError: a source has more classes than ``subjects``.
        """
        drawn = {source.name: self._draw(source, runtime) for source in task.sources}
        kept = {s.name: drawn[s.name] for s in task.sources if len(drawn[s.name]) < len(s)}
        if kept:
            runtime = replace(runtime, corrections=None)  # stored ones are of whole batches
        sources = [self._reduced(s, kept[s.name]) if s.name in kept else s for s in task.sources]
        return FittedFewer(self.method.fit(replace(task, sources=sources), runtime), kept)

    def _draw(self, source: LabelledSamples, runtime: Runtime) -> IntArray:
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
        if self.same_size:
            rows = np.resize(rows, len(source))  # over and over again
        replicate = None if source.replicate is None else source.replicate[rows]
        return replace(source, x=source.x[rows], y=source.y[rows], replicate=replicate)

    @property
    def why_no_new_batches(self) -> str:
        """As the wrapped method."""
        return self.method.why_no_new_batches

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> Savable:
        """The wrapped method as it was trained."""
        return self.method.restore(state, features, n_classes, runtime)


@dataclass(frozen=True)
class FittedFewer:
    """The trained method, and the rows of each reduced source that it was trained on."""

    fitted: Fitted
    kept: Mapping[str, IntArray]

    @property
    def rows(self) -> Mapping[str, IntArray]:
        """The rows that have calibrated data, by batch; see ``base.Partial``."""
        inner = calibrated_rows(self.fitted)
        found = {name: rows[inner[name]] if name in inner else rows for name, rows in self.kept.items()}
        return {**inner, **found}

    def state(self) -> State:
        """What the wrapped method has learnt."""
        assert isinstance(self.fitted, Savable)  # the plan has seen to it
        return self.fitted.state()

    def transform(self, samples: Samples) -> Matrix:
        """Calibrated data of a target, or of the rows of a source that took part."""
        rows = self.kept.get(samples.name)
        if rows is None:
            return self.fitted.transform(samples)
        replicate = None if samples.replicate is None else samples.replicate[rows]
        part = replace(samples, x=samples.x[rows], replicate=replicate)
        return self.fitted.transform(part)[: len(rows)]  # without repetitions

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Class probabilities of a batch."""
        return self.fitted.predict_proba(samples)


def drawn_rows(y: IntArray, replicate: NDArray | None, subjects: int, generator: torch.Generator) -> IntArray:
    """Rows, in order, of random subjects in the proportions of their classes.

    The i-th subject of a class of n, counted from 0 in random order, has its place at i/n, and the first
    places of all classes are taken. So every class is there, none is off its share by more than one subject,
    and more subjects are the same ones and others.

    Args:
        y: class index ``(rows,)``; a subject has the most frequent one of its rows.
        replicate: number or name of each row's subject, or None: every row is one.
        subjects: how many; at least as many as classes.
    """
    owner = np.arange(len(y)) if replicate is None else np.unique(replicate, return_inverse=True)[1]
    votes = np.zeros((owner.max() + 1, y.max() + 1))
    np.add.at(votes, (owner, y), 1)
    label = votes.argmax(axis=1)
    place = np.empty(len(label))
    for one in np.unique(label):
        members = np.flatnonzero(label == one)
        order = torch.randperm(len(members), generator=generator).numpy()
        place[members[order]] = np.arange(len(members)) / len(members)
    chosen = np.argsort(place, kind="stable")[:subjects]
    return np.flatnonzero(np.isin(owner, chosen))
