"""Splits: the choice of source and target batches, its spellings, and the task that it makes.

``12_3`` names batches by position and ``plate_1+plate_2:plate_3`` by name. ``all`` stands for every choice of
the study's number of sources.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from calib.data.settings import literal
from calib.data.study import LabelledSamples, LabelledTask, Study, Task
from calib.errors import DataError, SplitError, nearest

MAX_POSITIONS = 9
"""Most batches of a study that can be split by position; larger studies are split by name."""


@dataclass(frozen=True)
class Split:
    """The names of the source and target batches, in the given order.

    ``label`` is the spelling used in records: positions where all are single digits, else names.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    label: str

    @property
    def override(self) -> str:
        """Return the override that names the split, quoted because Hydra reads 12_3 as a number."""
        # Hydra reads a backslash literally, except before a quote, where it must be doubled
        label = literal(self.label)
        label = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), label)
        return f"split='{label}'"


def parse_splits(text: object, study: Study) -> list[Split]:
    """Return the splits that ``text`` names: one split, those of a list, or every split for ``all``.

    Raises:
        SplitError: a batch is unknown or named twice, a side is empty, or the spelling is none of the three.
    """
    if text == "all":
        return all_splits(study)
    several = text if isinstance(text, Sequence) and not isinstance(text, str) else [text]
    return list({split.label: split for split in (parse_split(one, study) for one in several)}.values())


def all_splits(study: Study) -> list[Split]:
    """Return every split with ``study.n_sources`` labelled batches as sources and the rest as targets."""
    names = list(study.batches)
    labelled = [name for name in names if study.batches[name].y is not None]
    most = min(len(labelled), len(names) - 1)
    if not 0 < study.n_sources <= most:
        raise SplitError(
            f"split=all needs between 1 and {most} source batches with labels in study '{study.name}' "
            f"({_listed(study)}), but dataset.n_sources is {study.n_sources}."
        )
    return [
        split_by_name(sources, [name for name in names if name not in sources], study)
        for sources in combinations(labelled, study.n_sources)
    ]


def leave_one_source_out(split: Split, study: Study) -> list[Split]:
    """Return a split for each source of a split: that source is the target, the others are the sources.

    The targets of the given split take no part, so a setting can be chosen on these splits without them.

    Raises:
        SplitError: the split has only one source.
    """
    if len(split.sources) < 2:
        raise SplitError(
            f"split={split.label} has one source, '{split.sources[0]}', so none can be left out to choose "
            "anything by; choose a split with two sources or more."
        )
    return [
        split_by_name([name for name in split.sources if name != left_out], [left_out], study)
        for left_out in split.sources
    ]


def parse_split(text: object, study: Study) -> Split:
    """Return one split from its spelling; see ``parse_splits``."""
    if not isinstance(text, str):
        raise SplitError(
            f"split={text} has lost its underscore: 12_3 is the number 123 to YAML and Hydra, "
            "so write it in quotes, split='12_3' (in a sweep as a plain list, split=12_3,13_2)."
        )
    names = list(study.batches)
    if ":" in text:
        sources, targets = _sides(text, names)
        for name in (*sources, *targets):
            if name not in names:
                hint = nearest(name, names)
                raise SplitError(
                    f"split={text}: study '{study.name}' has no batch '{name}'{hint} "
                    f"It has: {_listed(study)}."
                )
    elif found := re.fullmatch(r"(\d*)_(\d*)", text):
        if len(names) > MAX_POSITIONS:
            raise SplitError(
                f"split={text}: study '{study.name}' has more than {MAX_POSITIONS} batches, so split "
                f"it by name, as in {names[0]}+{names[1]}:{names[2]}. It has: {_listed(study)}."
            )
        for position in found[1] + found[2]:
            if not 1 <= int(position) <= len(names):
                raise SplitError(
                    f"split={text}: study '{study.name}' has no batch {position}. It has: {_listed(study)}."
                )
        sources, targets = ([names[int(position) - 1] for position in side] for side in found.groups())
    else:
        raise SplitError(
            f"split={text} is not a split of study '{study.name}': write positions as in 12_3, names as "
            f"in {names[0]}+{names[1]}:{names[-1]}, or all. Its batches: {_listed(study)}."
        )
    return split_by_name(sources, targets, study, text)


def _sides(text: str, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names before and after the colon; names may contain a colon or a plus."""
    for place in (found.start() for found in re.finditer(":", text)):
        left, right = text[:place].split("+"), text[place + 1 :].split("+")
        sides = _joined_names(left, names), _joined_names(right, names)
        if sides[0] and sides[1]:
            return sides[0], sides[1]
    before, _, after = text.partition(":")
    return [name for name in before.split("+") if name], [name for name in after.split("+") if name]


def _joined_names(parts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the batch names that the parts between plus signs add up to, or none if they do not."""
    for length in range(len(parts), 0, -1):
        name = "+".join(parts[:length])
        if name in names:
            rest = _joined_names(parts[length:], names)
            if rest or length == len(parts):
                return [name, *rest]
    return []


def split_by_name(sources: Sequence[str], targets: Sequence[str], study: Study, text: str = "") -> Split:
    """Return the split of two lists of names, after checking them.

    Args:
        sources, targets: names of batches.
        study: the study.
        text: spelling of the split, for messages.

    Raises:
        SplitError: a batch is named twice, a side is empty, or the spelling could be read in two ways.
    """
    for side, role in ((sources, "source"), (targets, "target")):
        if not side:
            raise SplitError(f"split={text} has no {role} batch; study '{study.name}' has: {_listed(study)}.")
    both = [*sources, *targets]
    for name in both:
        if both.count(name) > 1:
            raise SplitError(
                f"split={text} uses batch '{name}' more than once; a batch is either source or target. "
                f"Study '{study.name}' has: {_listed(study)}."
            )
    names = list(study.batches)
    if len(names) <= MAX_POSITIONS:
        label = "_".join("".join(str(names.index(n) + 1) for n in side) for side in (sources, targets))
    else:
        label = ":".join("+".join(side) for side in (sources, targets))
        if _sides(label, names) != (list(sources), list(targets)):
            raise SplitError(
                f"split={label} of study '{study.name}' could be read in two ways, because names of batches "
                "have + or : in them; rename those batches."
            )
    return Split(tuple(sources), tuple(targets), label)


def make_task(study: Study, split: Split) -> Task:
    """Return the task of a split, without the targets' labels.

    Raises:
        DataError: a source has no labels, or all sources together have one class only.
    """
    return Task(
        _labelled_sources(study, split),
        [study.batches[name].unlabelled() for name in split.targets],
        len(study.classes),
    )


def make_labelled_task(study: Study, split: Split) -> LabelledTask:
    """Return the task of a split with the targets' labels, for upper-bound methods only.

    Raises:
        DataError: as ``make_task``, or a target has no labels.
    """
    return LabelledTask(
        _labelled_sources(study, split),
        [study.batches[name].labelled() for name in split.targets],
        len(study.classes),
        {name: study.batches[name].subject for name in split.targets},
    )


def _labelled_sources(study: Study, split: Split) -> list[LabelledSamples]:
    """Return the sources of a split with their labels.

    Raises:
        DataError: a source has no labels, or all sources together have one class only.
    """
    sources = [study.batches[name].labelled() for name in split.sources]
    classes = np.unique(np.concatenate([source.y for source in sources]))
    if len(classes) < 2:
        names = " and ".join(f"'{source.name}'" for source in sources)
        raise DataError(
            f"split={split.label}: all samples of {names} have the class '{study.classes[classes[0]]}'; the "
            "sources need at least two classes together, so choose another split."
        )
    return sources


def _listed(study: Study) -> str:
    """Return the positions and names of a study's batches as text."""
    return ", ".join(f"{i} = '{name}'" for i, name in enumerate(study.batches, start=1))
