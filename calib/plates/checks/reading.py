"""What the reading of the files has noted, and columns that are hardly measurements."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import sparse

from calib.data.cautions import Caution, listed
from calib.data.column_checks import CAUSES, SHOWN, findings
from calib.data.matrix import dense
from calib.data.names import as_list
from calib.data.study import Batch, Study
from calib.plates.answer import Finding
from calib.plates.checks.seen import Checked, Seen

COLUMN = "column_"
"""Start of the codes of columns that are hardly measurements."""

SERIOUS = frozenset(
    ("column_label", "column_batch", "column_monotone", "column_id", "names_alike", "label_like_unlabelled",
     "no_raw_counts")
)  # fmt: skip
"""Codes of the reading after which an answer may be wrong."""

ADVICE = {
    "columns_without_name": "Give a column a name if it is a feature.",
    "subjects_split": "Give samples of each class a subject of their own if they are of different people.",
    "features_left_out": "Set dataset.missing_features=other_batches to keep these features, or leave the "
    "plate out.",
    "features_filled": "Set dataset.missing_features=leave_out if these features need not be kept.",
    "not_utf8": "Save the file as UTF-8 if names look wrong.",
    "several_sheets": "Save the sheet that is meant as a file of its own, if it is another one.",
    "names_alike": "Correct the file if they are the same.",
    "labelled_in_part": "Fill the labels in if they are known.",
    "features_not_shared": "Check that the files name their features alike, if more should be shared.",
    "raw_counts": "Set dataset.normalise=10000 if they are raw counts.",
    "no_raw_counts": "Set dataset.normalise=null if they are not raw counts, or name their layer.",
    "label_like_unlabelled": "Add the word to dataset.unlabelled if it means that the label is not known.",
    "subject_of_two_labels": "Correct the labels if they are wrong, or give different people other names.",
    "repeated_samples": "Leave the copies out, or name their subject (dataset.subject) where they are "
    "replicates.",
}
"""Code of the reading -> what to do."""

MANY = 0.01
"""Share of the features above which columns that tell the label are taken for measurements."""

BLOCK = 1000
"""Features of sparse data that are looked at together."""

NUMBERS, FEWEST = 2**23, 400
"""Most numbers in which such columns are looked for, and samples that take part in any case."""


def check(seen: Seen) -> Checked:
    """Return the warnings of the reading as findings, and columns that it has not looked at."""
    study = seen.study
    found = [as_finding(caution) for caution in study.cautions if not caution.code.startswith(COLUMN)]
    table = columns_of(seen)
    for kind, rows in table.groupby("kind", sort=False):
        found.append(_columns(study, str(kind), list(rows["column"])))
    return Checked(table, found)


def as_finding(caution: Caution) -> Finding:
    """Return a warning as a finding: what it says, less the advice with which it ends."""
    advice = ADVICE.get(
        caution.code, "Look at the file, and at what docs/your-data.md says of such a warning."
    )
    return Finding(caution.code, caution.code in SERIOUS, _without_advice(caution.text), advice)


def _without_advice(text: str) -> str:
    """Return the first part of a warning: up to its semicolon, or else its first sentence."""
    first, cut, _ = text.partition("; ")
    first = first if cut else text.partition(". ")[0]
    return first.rstrip(".") + "."


def columns_of(seen: Seen) -> pd.DataFrame:
    """Return the columns that are hardly measurements: ``column``, ``kind``, a row each.

    Of large studies some samples take part, and that a column is constant is looked up in all of them.
    """
    study = seen.study
    total = sum(map(len, study.batches.values()))
    most = max(NUMBERS // len(study.features), FEWEST)
    some = study if total <= most else _of_rows(seen, most / total)
    rows = [(column, one.kind) for part in _parts(some) for one in findings(part) for column in one.columns]
    if some is not study:
        place = {str(name): position for position, name in enumerate(study.features)}
        rows = [one for one in rows if one[1] != "constant" or _is_constant(study, place[one[0]])]
    table = pd.DataFrame(rows, columns=["column", "kind"])
    order = {kind: position for position, kind in enumerate(CAUSES)}
    return table.sort_values("kind", key=lambda kinds: kinds.map(order), kind="stable", ignore_index=True)


def _of_rows(seen: Seen, share: float) -> Study:
    """Return the study with a share of the samples of each plate, in their order."""
    rng, batches = np.random.default_rng([seen.seed, 4]), {}
    for name, batch in seen.study.batches.items():
        rows = np.sort(rng.permutation(len(batch))[: max(int(share * len(batch)), 2)])
        y = None if batch.y is None else batch.y[rows]
        batches[name] = Batch(name, batch.x[rows], y)
    return replace(seen.study, batches=batches, marks={}, missing={})


def _is_constant(study: Study, column: int) -> bool:
    """Return whether a column has one value only."""
    parts = [dense(batch.x[:, [column]]) for batch in study.batches.values()]
    return bool(np.ptp(np.concatenate(parts)) == 0)


def _parts(study: Study) -> Iterable[Study]:
    """Yield the study, or one with some of its features after another where it is sparse."""
    if not any(sparse.issparse(batch.x) for batch in study.batches.values()):
        yield study
        return
    columns = {name: sparse.csc_array(batch.x) for name, batch in study.batches.items()}
    for start in range(0, len(study.features), BLOCK):
        part = slice(start, start + BLOCK)
        batches = {
            name: replace(batch, x=columns[name][:, part].toarray()) for name, batch in study.batches.items()
        }
        yield replace(study, batches=batches, features=list(study.features)[part])


def _columns(study: Study, kind: str, columns: list[str]) -> Finding:
    """Return the finding about the columns of a kind.

    Where many features tell the label, the classes are far apart, as species or cell types are.
    """
    easy = kind == "label" and len(columns) > max(MANY * len(study.features), 1)
    share = f"{len(columns):,} of {len(study.features):,} features"
    if easy:
        return Finding(
            "classes_far_apart",
            False,
            f"Each of {share} alone tells the label of more than 99 % of the labelled samples "
            f"({listed(columns)}).",
            "Leave these columns out with dataset.ignore if they are no measurements; else the classes are "
            "so far apart that methods hardly differ.",
        )
    which = (
        f"The column {listed(columns)}"
        if len(columns) == 1
        else f"Each of the columns {listed(columns, SHOWN)}"
    )
    return Finding(
        COLUMN + kind,
        COLUMN + kind in SERIOUS,
        f"{which} {CAUSES[kind]}.",
        f"Leave it out with dataset.ignore={as_list(columns, SHOWN)} if it is no measurement.",
    )
