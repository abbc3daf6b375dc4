"""Targets drawn to have another class mix or another size than their plate has, to learn how methods bear it.

Rows are drawn by subject, without replacement, and never made. Every share has the same number of subjects,
as many as the most extreme shares allow, and its draws share as many subjects as they can. So differences
between shares are those of the mix. All methods get the same rows.
"""

from dataclasses import dataclass, replace
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from calib.data.overlaps import with_marks
from calib.data.split import Split
from calib.data.study import Batch, Study
from calib.data.subjects import units
from calib.errors import CalibError, DataError, check_choice, check_number, nearest

SMALLEST = 0.1
"""Smallest share of either side; the number of subjects is the one that it allows."""

MOST = 100
"""Most parts that a target is cut into."""

PART = " part "
"""What stands in the name of a part between that of the batch and a number."""

SOURCES = ("as_they_are", "opposite")


@dataclass(frozen=True)
class Mix:
    """How the class mix of a run's targets is drawn.

    Attributes:
        share: share of the class ``of`` among the subjects of each target; None: targets stay as they are.
        of: the class; None: the last one, of two the positive one. The others keep their proportions.
        sources: ``as_they_are``, or ``opposite``: drawn to have one minus the share.
        size: number of subjects (samples, where subjects are unknown) of the parts that each target is cut
            into, which are targets of their own then; None: targets stay whole.
        draw: number of the draw, from 0 on.
    """

    share: float | None = None
    of: str | None = None
    sources: Literal["as_they_are", "opposite"] = "as_they_are"
    size: int | None = None
    draw: int = 0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            CalibError: one is of the wrong kind.
        """
        if self.share is not None:
            check_number("mix.share", self.share, least=SMALLEST, most=1 - SMALLEST)
        check_choice("mix.sources", self.sources, SOURCES)
        if self.size is not None:
            check_number("mix.size", self.size, least=1, whole=True)
        check_number("mix.draw", self.draw, least=0, whole=True)
        if self.share is None and (self.of is not None or self.sources != SOURCES[0]):
            raise CalibError("mix.share is null, so mix.of and mix.sources have no effect; set a share.")
        if self.draw and not self.draws:
            raise CalibError("mix.share and mix.size are null, so mix.draw has no effect; set one of them.")

    @property
    def draws(self) -> bool:
        """Return whether anything is drawn."""
        return self.share is not None or self.size is not None


def mixed(study: Study, split: Split, mix: Mix) -> tuple[Study, Split]:
    """Return the study with the targets of a split drawn, and the split of what was drawn.

    Args:
        study: the study, with its values as loaded: what is scaled by itself has to be drawn first.
        split: the split.
        mix: the mix.

    Raises:
        DataError: a batch has no labels or too few subjects.
        CalibError: the study has no such class.
    """
    if mix.share is not None:
        study = with_marks(_of_share(study, split, mix, mix.share))
    if mix.size is None:
        return study, split
    cut = {name: _parts(study.batches[name], mix.size, mix.draw, study.name) for name in split.targets}
    batches = {name: one for name, one in study.batches.items() if name not in cut}
    parts = {one.name: one for several in cut.values() for one in several}
    if both := sorted(set(parts) & set(batches)):
        raise DataError(
            f"Study '{study.name}' has a batch called '{both[0]}', as a part of another would be called; "
            "rename it."
        )
    drawn = replace(study, batches=batches | parts, missing={})
    return with_marks(drawn), replace(split, targets=tuple(parts))


def _of_share(study: Study, split: Split, mix: Mix, share: float) -> Study:
    """Return the study with the targets, and perhaps the sources, drawn to have another class mix."""
    name = study.classes[-1] if mix.of is None else str(mix.of)
    if name not in study.classes:
        raise CalibError(f"mix.of={name} is no class of study '{study.name}'{nearest(name, study.classes)}")
    shares = dict.fromkeys(split.targets, share)
    if mix.sources == "opposite":
        shares |= dict.fromkeys(split.sources, 1 - share)
    drawn = {
        batch: _drawn(study.batches[batch], study.classes.index(name), wanted, mix.draw, study.name)
        for batch, wanted in shares.items()
    }
    return replace(study, batches={**study.batches, **drawn}, missing={})


def _drawn(batch: Batch, of: int, share: float, draw: int, study: str) -> Batch:
    """Return the drawn samples of a batch, in their order."""
    if batch.y is None:
        raise DataError(f"Study '{study}', batch '{batch.name}' has no labels, so no mix can be drawn of it.")
    subject = np.arange(len(batch)) if batch.subject is None else batch.subject
    first, owner = units(subject, batch.y)
    rng = np.random.default_rng([draw, crc32(batch.name.encode())])
    order = rng.permutation(len(first))
    inside = batch.y[first[order]] == of
    sides = order[inside], order[~inside]
    count = int(min(map(len, sides)) / (1 - SMALLEST))
    kept = round(count * share)
    if min(kept, count - kept) < 1:
        raise DataError(
            f"Study '{study}', batch '{batch.name}' has {len(sides[0])} subject(s) of the class and "
            f"{len(sides[1])} of all others, too few to draw a share of {share:g}."
        )
    chosen = np.concatenate([sides[0][:kept], sides[1][: count - kept]])
    return _of_rows(batch, np.flatnonzero(np.isin(owner, chosen)))


def _parts(batch: Batch, size: int, draw: int, study: str) -> list[Batch]:
    """Return a batch cut into parts of so many subjects, at most ``MOST`` of them; a rest is left out."""
    whole = batch.replicate if batch.subject is None else batch.subject
    _, owner = np.unique(np.arange(len(batch)) if whole is None else whole, return_inverse=True)
    order = np.random.default_rng([draw, crc32(batch.name.encode()), size]).permutation(owner.max() + 1)
    count = min(len(order) // size, MOST)
    if not count:
        raise DataError(
            f"Study '{study}', batch '{batch.name}' has {len(order)} subject(s), too few for mix.size={size}."
        )
    digits = len(str(count))
    parts = []
    for number in range(count):
        rows = np.flatnonzero(np.isin(owner, order[number * size : (number + 1) * size]))
        name = f"{batch.name}{PART}{number + 1:0{digits}}"
        parts.append(replace(_of_rows(batch, rows), name=name))
    return parts


def whole_name(part: str) -> str:
    """Return the name of the batch that a part was cut from."""
    return part.rpartition(PART)[0]


def _of_rows(batch: Batch, rows: NDArray[np.intp]) -> Batch:
    """Return some samples of a batch, named by their rows where they have no names."""
    return replace(
        batch,
        x=batch.x[rows],
        y=None if batch.y is None else batch.y[rows],
        subject=None if batch.subject is None else batch.subject[rows],
        replicate=None if batch.replicate is None else batch.replicate[rows],
        names=rows.astype(str) if batch.names is None else batch.names[rows],
        order=None if batch.order is None else batch.order[rows],
    )
