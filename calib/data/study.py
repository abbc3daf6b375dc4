"""Types for batches, studies and tasks, which keep target labels away from methods."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from calib.data.cautions import Caution, noting
from calib.data.matrix import Matrix, blocks, dense, pieces
from calib.errors import DataError, check_number

Settings = ParamSpec("Settings")
FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]
Subjects = NDArray[np.int64] | NDArray[np.str_]


@dataclass(frozen=True)
class Samples:
    """The samples of one batch without labels, as a method sees a target batch.

    Attributes:
        name: name of the batch.
        x: data ``(samples, features)``.
        replicate: number or name of the sample that each row measures ``(samples,)``, or None where unknown.
        reference: data of the batch's reference samples ``(references, features)``, or None.
    """

    name: str
    x: Matrix
    replicate: Subjects | None = field(default=None, kw_only=True)
    reference: Matrix | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def dense(self) -> FloatArray:
        """Return ``x`` as an array, for methods that need all of it at once."""
        return dense(self.x)

    @property
    def distinct(self) -> int:
        """Return the number of samples, where the replicates of a sample count once."""
        return len(self) if self.replicate is None else len(np.unique(self.replicate))


@dataclass(frozen=True)
class LabelledSamples(Samples):
    """The samples of one batch with their class indices ``y (samples,)``, as a method sees a source batch."""

    y: IntArray


def by_batch(x: FloatArray, batches: Sequence[Samples]) -> dict[str, FloatArray]:
    """Return the rows of ``x``, the data of all batches in this order, by the name of their batch."""
    return {batch.name: part for batch, part in zip(batches, pieces(x, batches), strict=True)}


@dataclass(frozen=True)
class Batch:
    """Samples measured together, such as one plate, with all that is known of them.

    Attributes:
        name: name of the batch.
        x: data ``(samples, features)``, an array, or CSR where most values are zero. Loaded data have the
            smallest number type that holds them; prepared data have the run's (float32 unless
            ``dtype=float64``).
        y: class index ``(samples,)``, or None where labels are unknown.
        subject: number or name of each sample's subject ``(samples,)``, or None where unknown. It may have
            been inferred with the labels, so methods do not see it.
        names: name of each sample ``(samples,)``, or None where samples have no names.
        replicate: number or name of the sample that each row measures, known without labels. It is the
            subject that a file names, or the result of ``find_replicates``; None where it is unknown or
            a subject may have samples of several classes (``calib.data.subjects``).
        reference: data ``(references, features)`` of reference samples, or None where there are none.
            Reference samples measure the same material in every batch, such as a pool, and are not
            classified.
        order: place of each sample in the order of measurement ``(samples,)``, NaN where unknown; None
            where no column says it. No method sees it, so the checksum leaves it out.
    """

    name: str
    x: Matrix
    y: IntArray | None = None
    subject: Subjects | None = None
    names: NDArray[np.str_] | None = None
    replicate: Subjects | None = None
    reference: Matrix | None = None
    order: FloatArray | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def dense(self) -> FloatArray:
        """Return ``x`` as an array."""
        return dense(self.x)

    def unlabelled(self) -> Samples:
        """Return this batch as a target."""
        return Samples(self.name, self.x, replicate=self.replicate, reference=self.reference)

    def labelled(self) -> LabelledSamples:
        """Return this batch with its labels.

        Raises:
            DataError: the batch has no labels.
        """
        if self.y is None:
            raise DataError(f"Batch '{self.name}' has no labels, which a source or reference needs.")
        return LabelledSamples(self.name, self.x, self.y, replicate=self.replicate, reference=self.reference)


@dataclass(frozen=True)
class Study:
    """A data set of several batches over the same features and classes.

    Attributes:
        name: name of the study.
        batches: batches by name, in the order of their positions.
        features: names of the features.
        classes: class names in the order of the class index; with two classes the second is the positive one.
        n_sources: number of source batches in ``split=all``.
        cautions: warnings of the reading, which do not count in the checksum.
        marks: batch -> a number for each row that is the same for rows of the same loaded values only
            (``overlaps.row_marks``); empty where they have not been computed.
        missing: batch -> whether each of its values was missing in the file and has been filled
            ``(samples, features)``; without the batches in which none was. The checksum leaves it out.
        implied: attributes of the batches that the file and the published settings decide, so that the
            checksum leaves them out; None: a ``replicate`` that is the subject.
        unit: value by which arcsinh divides, in the unit of the data; None: that of the data themselves
            (``data.transform.own_unit``). The checksum leaves it out, and the key of a run has it.
        refusal: sentence for methods that join the samples of a subject, where a subject has samples of
            several classes and the settings do not say what to do (``data.subjects``); "" otherwise.
    """

    name: str
    batches: Mapping[str, Batch]
    features: Sequence[str]
    classes: Sequence[str]
    n_sources: int = 2
    cautions: Sequence[Caution] = ()
    marks: Mapping[str, IntArray] = field(default_factory=dict)
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    implied: Sequence[str] | None = None
    unit: float | None = None
    refusal: str = ""

    def sha256(self) -> str:
        """Return the checksum of all that reaches a method or a file of the record.

        These are the names of batches, features and classes, and every attribute of the batches, so that one
        which is added later is hashed as well. Left out are those in ``implied`` and ``order``. Values are
        hashed block by block as dense float64, so the checksum does not depend on how they are stored.
        """
        digest = hashlib.sha256(repr((list(self.features), list(self.classes))).encode())
        for batch in self.batches.values():
            digest.update(batch.name.encode())
            for rows in blocks(batch.x):
                digest.update(np.ascontiguousarray(dense(batch.x[rows]), np.float64).ravel().data)
            for part in (batch.y, batch.subject):
                digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
            if batch.subject is not None and batch.replicate is None:
                digest.update(b"no replicates")
            if batch.reference is not None:
                digest.update(b"reference")
                digest.update(np.ascontiguousarray(dense(batch.reference), np.float64).tobytes())
            for name, value in self._further(batch).items():
                kind = "text" if value.dtype.kind in "OSU" else str(value.dtype)
                content = repr(list(map(str, value.tolist()))).encode() if kind == "text" else value.tobytes()
                digest.update(f"{name} {kind} {value.shape} ".encode() + content)
        return digest.hexdigest()

    def _further(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return the attributes of a batch that its values, labels and subjects do not imply, by name."""
        usual = {"name", "x", "y", "subject", "reference", "order", *(self.implied or ())}
        if self.implied is None and np.array_equal(batch.replicate, batch.subject):  # type: ignore[arg-type]
            usual.add("replicate")
        found = {one.name: getattr(batch, one.name) for one in fields(batch) if one.name not in usual}
        return {name: np.ascontiguousarray(value) for name, value in found.items() if value is not None}


def with_cautions(load: Callable[Settings, Study]) -> Callable[Settings, Study]:
    """Return a loader of studies that hands on the warnings of its reading in ``Study.cautions``."""

    @functools.wraps(load)
    def loaded(*args: Settings.args, **kwargs: Settings.kwargs) -> Study:
        with noting() as found:
            study = load(*args, **kwargs)
        return replace(study, cautions=(*study.cautions, *found))

    return loaded


def in_unit(study: Study, unit: float | None) -> Study:
    """Return the study with its setting ``dataset.unit``.

    Raises:
        CalibError: the unit is no number above 0.
    """
    if unit is not None:
        check_number("dataset.unit", unit, least=float(np.finfo(np.float32).tiny))
    return replace(study, unit=unit if unit is None else float(unit))


@dataclass(frozen=True)
class Task:
    """The input of a method: labelled sources and unlabelled targets.

    The type has no place for a target label.
    """

    sources: Sequence[LabelledSamples]
    targets: Sequence[Samples]
    n_classes: int

    @property
    def batches(self) -> list[Samples]:
        """Return all batches, sources first."""
        return [*self.sources, *self.targets]


@dataclass(frozen=True)
class LabelledTask:
    """The input of an upper-bound method, which declares that it uses target labels.

    ``subjects`` holds the subjects of each target batch, or None.
    """

    sources: Sequence[LabelledSamples]
    targets: Sequence[LabelledSamples]
    n_classes: int
    subjects: Mapping[str, Subjects | None]

    @property
    def batches(self) -> list[Samples]:
        """Return all batches, sources first."""
        return [*self.sources, *self.targets]
