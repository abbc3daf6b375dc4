"""The names in a sheet: the order of its batches, its labels as settings name them, and doubtful names."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from calib.data.cautions import note
from calib.data.names import groups, is_missing_word, natural, plain, quoted, visible, warn_of_likeness
from calib.data.settings import Word, chosen, found_name, spelled
from calib.data.sheet import Sheet, known_labels
from calib.errors import DataError, nearest

UNLABELLED = ("unknown", "?", "NA")
"""Words that mean an unknown label where the settings say nothing else; they need not occur."""

LabelSettings: TypeAlias = tuple[dict[str, str] | None, str | None, list[str]]
"""Label -> class name or None, the positive label or None, and the words for an unknown label."""


def in_natural_order(sheet: Sheet) -> Sheet:
    """Return the sheet with its batches in natural order (1, 2, 10); samples keep their order in a batch."""
    present = list(pd.unique(sheet.batch))
    ordered = sorted(present, key=natural)
    if ordered == present:
        return sheet
    place = pd.Index(ordered).get_indexer(pd.Index(sheet.batch))
    return sheet.of_rows(np.argsort(place, kind="stable"))


def warn_of_names(sheets: Sequence[Sheet]) -> None:
    """Note batches, subjects and features whose names differ only in the way they are written."""
    where = "File " + ", ".join(sheet.file for sheet in sheets)
    warn_of_likeness("batches", (str(name) for sheet in sheets for name in pd.unique(sheet.batch)), where)
    named = [sheet.subject for sheet in sheets if sheet.subject is not None]
    warn_of_likeness("subjects", (str(name) for subject in named for name in pd.unique(subject)), where)
    warn_of_likeness("features", (name for sheet in sheets for name in sheet.features), where)


def label_settings(
    sheet: Sheet, classes: Mapping[Word, str] | None, positive: Word | None, unlabelled: Sequence[Word]
) -> LabelSettings:
    """Return the settings on labels as ``sheet.labelled`` takes them, with labels as the sheet spells them.

    Args:
        sheet: the samples.
        classes: label -> class name; two labels may have the same class name and are then one class.
        positive: label or class name of the positive class.
        unlabelled: labels that mean an unknown label.

    Raises:
        DataError: a setting names a label that no sample has, or a label is doubtful: a word that often means
            a missing value, or one that looks like another label.
    """
    where = f"File {sheet.file}"
    found = [str(label) for label in pd.unique(sheet.label.dropna())]
    words = _unknown_words(unlabelled, found, where)
    known = [label for label in found if label not in words]
    names = None if classes is None else _class_names(classes, known, where)
    _check_labels(known, names, words, where)
    choices = {label: label for label in sorted(known)} if names is None else names
    return names, None if positive is None else _positive(positive, choices, where), words


def _unknown_words(words: Sequence[Word], found: Sequence[str], where: str) -> list[str]:
    """Return the words for an unknown label as the file spells them; the usual ones need not occur."""
    usual = [word for word in words if spelled(word) in UNLABELLED]
    others = [word for word in words if spelled(word) not in UNLABELLED]
    return [
        *(spelled(word) for word in usual),
        *(chosen("dataset.unlabelled", word, found, where, "label") for word in others),
    ]


def _class_names(classes: Mapping[Word, str], known: Sequence[str], where: str) -> dict[str, str]:
    """Return the class name of each label, the labels as the file spells them."""
    names = {found_name(word, known) or spelled(word): name for word, name in classes.items()}
    if set(known) <= set(names):  # otherwise the label without a class is named later
        for word in classes:
            chosen("dataset.classes", word, known, where, "label")
    return names


def _positive(positive: Word, choices: Mapping[str, str], where: str) -> str:
    """Return the label that ``positive`` names, by itself or by the name of its class."""
    label = found_name(positive, choices)
    if label is None and (name := found_name(positive, choices.values())) is not None:
        label = next(label for label, one in choices.items() if one == name)
    if label is None:
        raise DataError(
            f"{where}: no sample has the positive label '{spelled(positive)}'"
            f"{nearest(spelled(positive), choices)} There is: {', '.join(choices)}."
        )
    return label


def _check_labels(
    known: Sequence[str], names: Mapping[str, str] | None, words: Sequence[str], where: str
) -> None:
    """Raise DataError for doubtful labels that no setting names, and note labels that are alike."""
    if names is None:
        for label in filter(is_missing_word, known):
            raise DataError(
                f"{where}: label '{label}' may be a class or mean that the label is unknown; list it in "
                f"dataset.unlabelled, as in \"dataset.unlabelled=['{label}']\", or with all classes in "
                "dataset.classes."
            )
        for group in groups(known, visible):
            raise DataError(
                f"{where}: labels {quoted(group)} look the same, but differ in spaces or in Unicode form; "
                "correct the file, or give all labels a class name in dataset.classes."
            )
    apart = [label for label in known if names is None or names.get(label, label) == label]
    warn_of_likeness("labels", apart, where)
    simple = {plain(word): word for word in words}
    for label in known:
        if (word := simple.get(plain(label))) is not None:
            note(
                "label_like_unlabelled",
                f"{where}: label '{label}' is taken for a class, though dataset.unlabelled has '{word}'; if "
                "its samples are unlabelled, list it there as it is spelled.",
            )


def labels_of(sheet: Sheet, classes: Mapping[Word, str] | None, unlabelled: Sequence[Word]) -> pd.Series:
    """Return the class name of every sample, missing where the label is unknown.

    A label that is none of ``classes`` is taken for a class name itself.
    """
    found = [str(label) for label in pd.unique(sheet.label.dropna())]
    words = [name for word in unlabelled if (name := found_name(word, found)) is not None]
    names = {found_name(word, found): name for word, name in (classes or {}).items()}
    return known_labels(sheet, words).map(lambda label: names.get(label, label), na_action="ignore")
