"""The tables of a design as files."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from calib.plates.answer import Design
from calib.records.record import Record

DIGITS = 6


def findings_table(design: Design) -> pd.DataFrame:
    """Return the findings of a design, a row each."""
    return pd.DataFrame([asdict(one) for one in design.findings])


def write_design(design: Design, folder: Path) -> None:
    """Write the plates and the findings of a design, as an answer has them.

    Raises:
        CalibError: the folder cannot be written to.
    """
    record = Record(folder)
    record.make_folder()
    for name, table in (("plates.csv", design.plates), ("findings.csv", findings_table(design))):
        record.write_table(name, table, digits=DIGITS)
