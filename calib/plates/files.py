"""The files of an answer: tables for programs, and the page for people."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from calib.plates.answer import Answer
from calib.plates.checklist import FILE as CHECKLIST
from calib.plates.checklist import checklist
from calib.plates.design_files import DIGITS, findings_table
from calib.plates.page.page import page
from calib.records.record import Record

PAGE, SUMMARY = "index.html", "answer.json"

OTHERS = {SUMMARY: "the answer for programs", CHECKLIST: "REFORMS and TRIPOD+AI, filled in as far as known"}

TABLES = {
    "calls.csv": "class, probability and set of every sample without a label",
    "calls_subjects.csv": "the same by subject",
    "methods.csv": "every method, mean over the labelled plates",
    "methods_by_plate.csv": "every method on every labelled plate",
    "chosen_by_plate.csv": "the method that the other plates choose, on each plate",
    "class_mix.csv": "estimated class mix of the plates without labels",
    "plates.csv": "samples, subjects and classes of every plate",
    "findings.csv": "what a look at the design has found",
    "trust.csv": "how far to believe the calls, by labelled plate",
    "trust_samples.csv": "the same for single samples",
    "predictive_values.csv": "predictive values at a prevalence",
    "net_benefit.csv": "net benefit by threshold",
    "features.csv": "groups of features that carry the answer",
    "markers.csv": "features that tell the classes apart",
    "map.csv": "samples in the plane of the calibrated data",
}
"""File -> what it holds."""


def tables_of(answer: Answer) -> dict[str, pd.DataFrame]:
    """Return the tables of an answer by the name of their file, those that have rows."""
    choice, trust, features = answer.choice, answer.trust, answer.features
    tables = {
        "calls.csv": answer.calls,
        "calls_subjects.csv": answer.subject_calls,
        "methods.csv": answer.methods,
        "methods_by_plate.csv": answer.by_plate,
        "chosen_by_plate.csv": pd.DataFrame() if choice is None else choice.by_plate,
        "class_mix.csv": answer.mixes,
        "plates.csv": answer.design.plates,
        "findings.csv": findings_table(answer.design),
        "trust.csv": pd.DataFrame() if trust is None else trust.plates,
        "trust_samples.csv": pd.DataFrame() if answer.sample_trust is None else answer.sample_trust.plates,
        "predictive_values.csv": pd.DataFrame() if trust is None else trust.values,
        "net_benefit.csv": pd.DataFrame() if trust is None else trust.benefit,
        "features.csv": pd.DataFrame() if features is None else features.groups,
        "markers.csv": pd.DataFrame() if features is None else features.markers,
        "map.csv": answer.map,
    }
    return {name: table for name, table in tables.items() if len(table)}


def write_answer(answer: Answer, folder: Path) -> Path:
    """Write the tables, the summary and the page of an answer into a folder, and return the page.

    Tables of an earlier answer that this one does not have are removed.

    Raises:
        CalibError: the folder cannot be written to.
    """
    tables = tables_of(answer)
    links = {name: TABLES[name] for name in tables} | OTHERS
    shown = page(replace(answer, files=links | dict(answer.files)))  # before anything is written
    record = Record(folder)
    record.make_folder()
    for name in TABLES:
        if name not in tables:
            (folder / name).unlink(missing_ok=True)
    for name, table in tables.items():
        record.write_table(name, table, digits=DIGITS)
    record.write_text(SUMMARY, json.dumps(summary(answer), indent=1, allow_nan=False) + "\n")
    record.write_text(CHECKLIST, checklist(answer))
    record.write_text(PAGE, shown)
    return folder / PAGE


def summary(answer: Answer) -> dict[str, Any]:
    """Return what a program needs of an answer besides its tables, as plain values; missing ones are None."""
    choice, trust = answer.choice, answer.trust
    return {
        "study": answer.study,
        "sentences": list(answer.sentences),
        "classes": list(answer.classes),
        "findings": [asdict(one) for one in answer.design.findings],
        "choice": None
        if choice is None
        else {
            "method": choice.method,
            "label": choice.label,
            "rule": choice.rule,
            **{key: _plain(asdict(getattr(choice, key))) for key in ("nested", "next_plate", "gain")},
            "floor": _plain(choice.floor),
            "above_floor": bool(choice.above_floor),
            "caveats": list(choice.caveats),
        },
        "trust": None
        if trust is None
        else {
            key: _plain(getattr(trust, key))
            for key in ("unit", "temperature", "error", "confidence", "miss", "threshold", "caveats")
        },
        "calls": {
            str(plate): {str(k): int(v) for k, v in own["answer"].value_counts().sort_index().items()}
            for plate, own in (answer.calls.groupby("plate", sort=False) if len(answer.calls) else ())
        },
        "warnings": list(answer.warnings),
        "facts": _plain(answer.facts),
        "command": answer.command,
        "later": answer.later,
    }


def _plain(value: Any) -> Any:
    """Return a value of Python's own kinds, None for what is no finite number."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
