"""A slow, plain reader of study files, against which the readers of the package are checked cell by cell.

It shares no code with them: cells come from the modules csv and pyarrow, one row a dictionary.
"""

import csv
import gzip
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from anndata import read_h5ad

from calib.data.study import Study

Row = dict[str, Any]

MISSING = ("", "na", "nan", "-nan", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "none", "null")
UNLABELLED = ("unknown", "?", "NA")


def plain_rows(file: Path, case: dict[str, Any]) -> dict[str, Row]:
    """Return the rows of a file by the names of their samples: ``line 5``, or the cell of a column ``id``."""
    if file.suffix == ".parquet":
        table = pyarrow.parquet.read_table(file)
        numbered = [(i + 2, row) for i, row in enumerate(table.to_pylist())]
    elif file.suffix == ".h5ad":
        data = read_h5ad(file)
        numbered = [
            (i, {**data.obs.iloc[i], **dict(zip(data.var_names, data.X[i], strict=True))})
            for i in range(len(data))
        ]
        return {str(data.obs_names[i]): row for i, row in numbered}
    else:
        numbered = _text_rows(file, case)
    return {row.get("id", f"line {number}"): row for number, row in numbered}


def _text_rows(file: Path, case: dict[str, Any]) -> list[tuple[int, Row]]:
    """Return the line and the cells of each row of a text file."""
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252")
    reader = csv.reader(
        io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")), delimiter=case["separator"]
    )
    rows, begins = [], 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            rows.append((begins, cells))
        begins = reader.line_num + 1
    _, header = rows[0]
    names = [name if name.strip() else f"nameless {i}" for i, name in enumerate(header)]
    assert len(set(names)) == len(names)
    found = []
    for number, cells in rows[1:]:
        assert all(not cell.strip() for cell in cells[len(header) :])
        assert all(name.startswith("nameless") for name in names[len(cells) :])
        found.append((number, dict(zip(names, cells, strict=False))))
    return found


def check_against_file(study: Study, file: Path, case: dict[str, Any]) -> int:
    """Check that every value of a study stands beside the names that the file gives it; return their number."""
    rows = plain_rows(file, case)
    out = case["exclude"].split(",") if case["exclude"] is not None else []
    expected = {name for name, row in rows.items() if str(row.get("type")) not in out}
    seen: set[str] = set()
    checked = 0
    for batch in study.batches.values():
        assert batch.names is not None
        for place, name in enumerate(map(str, batch.names)):
            assert name not in seen, name
            seen.add(name)
            row = rows[name]
            assert _same_name(row["batch"], batch.name.removesuffix(" (unlabelled)")), (name, row, batch.name)
            if batch.y is None:
                assert _is_unknown(row["label"]), (name, row)
            else:
                assert _same_name(row["label"], study.classes[batch.y[place]]), (name, row)
            if batch.subject is not None:
                assert _same_name(row["subject"], str(batch.subject[place])), (name, row)
            values = batch.dense[place]
            for feature, value in zip(study.features, values, strict=True):
                checked += _check_value(row[feature], float(value), case)
    assert seen == expected
    return checked


def _check_value(cell: Any, value: float, case: dict[str, Any]) -> bool:
    """Check a value against its cell, and return whether the cell has one that can be compared."""
    assert math.isfinite(value)
    if isinstance(cell, str):
        shown = cell.strip().lower()
        if shown in MISSING:
            assert case["impute"] is not None
            return False
        if shown in ("true", "false"):
            number = float(shown == "true")
        else:
            number = float(shown if case["decimal"] == "." or "," not in shown else shown.replace(",", "."))
    elif cell is None:
        assert case["impute"] is not None
        return False
    else:
        number = float(cell)
    if not math.isfinite(number):
        assert case["impute"] is not None
        return False
    np.testing.assert_allclose(value, number, rtol=1e-6 if case["kind"] == "h5ad" else 1e-13, atol=1e-305)
    return True


def _same_name(cell: Any, name: str) -> bool:
    """Return whether a cell spells a name, in one of the two ways in which programs write whole columns."""
    shown = str(cell)
    return name in (shown, shown.removesuffix(".0"), shown.title())


def _is_unknown(cell: Any) -> bool:
    return cell is None or str(cell) in ("", "nan", "None", *UNLABELLED)
