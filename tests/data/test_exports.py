"""Tests that tables as spreadsheets, R, SPSS and pandas export them are read rightly or refused in one sentence."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calib.data.study import Study
from calib.data.table_study import load_table_study
from calib.errors import CalibError, DataError

ROWS = 24


def samples() -> pd.DataFrame:
    """Return three plates with names of samples and three features."""
    rng = np.random.default_rng(0)
    made = pd.DataFrame(np.round(rng.gamma(2, 500, (ROWS, 3)), 2), columns=["Glucose", "Lactate", "PC 34:1"])
    made.insert(0, "Diagnosis", np.array(["case", "control"])[np.arange(ROWS) % 2])
    made.insert(0, "Plate", np.repeat(["P1", "P2", "P10"], ROWS // 3))
    made.insert(0, "Sample", [f"S{i:03d}" for i in range(ROWS)])
    return made


def load(file: Path, **settings: Any) -> Study:
    given = {"name": "t", "path": str(file), "batch": "Plate", "label": "Diagnosis", "sample": "Sample"}
    return load_table_study(**given | settings)


def check_values(study: Study, made: pd.DataFrame) -> None:
    """Check that every value stands beside the name of its sample, feature, batch and label."""
    rows = made.set_index("Sample")
    assert sorted(name for batch in study.batches.values() for name in batch.names) == sorted(made["Sample"])
    for name, batch in study.batches.items():
        mine = rows.loc[list(batch.names)]
        assert set(mine["Plate"]) == {name}
        assert [study.classes[i] for i in batch.y] == list(mine["Diagnosis"])
        np.testing.assert_array_equal(batch.x, mine[list(study.features)].to_numpy(float))


def lines(**options: Any) -> list[str]:
    return samples().to_csv(index=False, **options).splitlines()


Change = Callable[[list[str]], list[str]]
READ: dict[str, Change] = {
    "empty rows at the end": lambda t: [*t, ",,,,,", ",,,,,"],
    "an empty row in between": lambda t: [*t[:9], " ,,,,,", *t[9:]],
    "blank lines": lambda t: ["", *t[:9], "", "  ", *t[9:], ""],
    "separators at the ends of lines": lambda t: [t[0], *(f"{line}," for line in t[1:])],
    "columns without a name": lambda t: [f",{line},," for line in t],
    "carriage returns": lambda t: ["\r".join(t)],
    "quotes around all": lambda t: [",".join(f'"{cell}"' for cell in line.split(",")) for line in t],
    "spaces around numbers": lambda t: [t[0], *(re.sub(r",([\d.]+)$", r", \1 ", line) for line in t[1:])],
    "a remark of two lines": lambda t: [f"{t[0]},Remark", *(f'{line},"see, a\n b, c"' for line in t[1:])],
    "an inch": lambda t: [f"{t[0]},Remark", *(f'{line},5"' for line in t[1:])],
}


@pytest.mark.parametrize("change", READ)
def test_what_is_read(change: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n".join(READ[change](lines())))
    check_values(
        load(tmp_path / "t.csv", ignore=["Remark"] if "Remark" in READ[change](lines())[0] else []), samples()
    )


def row(*numbers: float, name: str = "Total", plate: str = "P1") -> str:
    return ",".join([name, plate, "case", *(f"{number:.2f}" for number in numbers)])


def cell(text: str) -> Change:
    """Return a change of the first value of the sixth line."""
    return lambda t: [*t[:5], ",".join([*t[5].split(",")[:3], text, *t[5].split(",")[4:]]), *t[6:]]


X = samples().iloc[:, 3:].to_numpy()
NUMBERS = "write numbers with decimal points, without signs between thousands, units or other signs."
EMPTY = "leave a cell without a value empty (dataset.impute fills it), and delete a line that is no sample."
REFUSED: dict[str, tuple[Change, str]] = {
    "a row too short": (lambda t: [*t[:5], t[5].replace(",case,", ","), *t[6:]], "line 6 has 5 of 6 cells, so that its values may stand in wrong columns"),
    "a row too long": (lambda t: [*t[:5], t[5].replace("case", "ca,se"), *t[6:]], "line 6 has 7 cells and the header 6; name every column"),
    "names of rows without a header": (lambda t: [t[0].replace("Sample,", ""), *t[1:]], "line 2 has 6 cells and the header 5; name every column (with col.names=NA in R's write.table)"),
    "a remark below": (lambda t: [*t, "", "* measured twice"], "line 27 has 1 of 6 cells"),
    "open quotes": (lambda t: [*t[:5], t[5].replace("S004", '"S004'), *t[6:9], t[9].replace("S008", '"S008'), *t[10:]], "a quote in line 6 is closed in line 10 only"),
    "sums below": (lambda t: [*t, row(*X.sum(axis=0))], "line 26 holds the sums of the lines above it, so it is no sample; delete it"),
    "means and deviations below": (lambda t: [*t, row(*X.mean(axis=0)), row(*X.std(axis=0))], "line 26 holds the means of the lines above it"),
    "sums without a plate": (lambda t: [*t, row(*X.sum(axis=0), plate="")], "line 26: column 'Plate' is empty; fill it, or delete the line if it is no sample"),
    "the header again": (lambda t: [*t[:9], t[0], *t[9:]], "line 10, column 'Glucose': 'Glucose' is not a number; this line repeats the header, so delete it."),
    "units below the header": (lambda t: [t[0], ",,,mM,mM,AU", *t[1:]], "line 2: column 'Plate' is empty"),
    "merged cells above the header": (lambda t: [",,,Metabolites,,", *t], "has no column 'Plate' in its first line, but line 2 looks like the header; delete"),
    "a title": (lambda t: ["Export of 1.2.2020", "", *t], "but line 3 looks like the header"),
    "features in rows": (lambda t: list(map(",".join, zip(*(line.split(",") for line in t), strict=True))), "but a row of this name, so its samples seem to be columns; turn the table"),
    "spaces between cells": (lambda t: [line.replace("PC 34:1", "PC").replace(",", " ") for line in t], "but one column only, 'Sample Plate Diagnosis Glucose Lactate PC'; put commas"),
    "merged plates": (lambda t: [*t[:2], *(re.sub(r",P\d+,", ",,", line) for line in t[2:])], "line 3: column 'Plate' is empty"),
    "no data": (cell("n.d."), f"line 6, column 'Glucose': 'n.d.' is not a number; {EMPTY}"),
    "below a limit": (cell("<LOD"), EMPTY),
    "an error of a spreadsheet": (cell("#DIV/0!"), EMPTY),
    "a date": (cell("01.02.2020"), EMPTY),
    "a limit": (cell("< 0.5"), NUMBERS),
    "percent": (cell("5 %"), NUMBERS),
    "a unit": (cell("5 mM"), NUMBERS),
    "thousands": (cell('"1,234.5"'), f"'1,234.5' is not a number; {NUMBERS}"),
    "Swiss thousands": (cell("1'234.5"), NUMBERS),
    "a sign from a text processor": (cell("\u22121.5"), NUMBERS),
    "a column of percents": (lambda t: [t[0], *(f"{line}%" for line in t[1:])], "column 'PC 34:1' holds no numbers, but cells such as '533.18%'"),
    "a column of dates": (lambda t: [f"{t[0]},Date", *(f"{line},01.02.2020" for line in t[1:])], "column 'Date' holds text ('01.02.2020'), so it is no feature; leave it out with dataset.ignore=[Date]"),
}  # fmt: skip


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_refused(change: str, tmp_path: Path) -> None:
    make, sentence = REFUSED[change]
    (tmp_path / "t.csv").write_text("\n".join(make(lines())))
    with pytest.raises(DataError, match=re.escape(sentence)):
        load(tmp_path / "t.csv")


def test_a_row_that_is_too_short_may_lack_columns_without_a_name(tmp_path: Path) -> None:
    made = [f"{line},," if i < 9 else line for i, line in enumerate(lines())]
    (tmp_path / "t.csv").write_text("\n".join(made))
    check_values(load(tmp_path / "t.csv"), samples())


@pytest.mark.parametrize("missing", [" ", "\u00a0", "", "NA"])
def test_a_blank_cell_is_missing(missing: str, tmp_path: Path) -> None:
    """Check that a space, as SPSS writes it, is read as an empty cell is, and that its line is counted."""
    (tmp_path / "t.csv").write_text("\n\n" + "\n".join(cell(missing)(lines())))
    with pytest.raises(DataError, match="1 missing or infinite value.*the first in line 8, column 'Glucose'"):
        load(tmp_path / "t.csv", sample=None, ignore=["Sample"])
    assert load(tmp_path / "t.csv", impute="median").batches["P1"].x[4, 0] > 0


@pytest.mark.parametrize("separator", [",", ";"])
def test_points_between_thousands(separator: str, tmp_path: Path) -> None:
    made = samples().assign(Glucose=np.arange(1, ROWS + 1) * 170, Lactate=1.5)
    written = made.assign(Glucose=[f"{v:,}".replace(",", ".") for v in made["Glucose"]], Lactate=2)
    written[["Sample", "Plate", "Diagnosis", "Glucose", "Lactate"]].to_csv(
        tmp_path / "t.csv", index=False, sep=separator
    )
    with pytest.raises(DataError, match=r"numbers such as 1\.020 seem to have a point between thousands"):
        load(tmp_path / "t.csv")
    decimals = made.assign(Glucose=[f"{v / 170:.3f}" for v in made["Glucose"]])
    decimals.to_csv(tmp_path / "t.csv", index=False, sep=separator)
    study = load(tmp_path / "t.csv")
    np.testing.assert_allclose(study.batches["P1"].x[:, 0], np.arange(1, 9))


TYPES: dict[str, tuple[Any, str]] = {
    "dates": (pd.date_range("2020-01-01", periods=ROWS), "holds dates or times ('2020-01-01 00:00:00')"),
    "times of a zone": (pd.date_range("2020-01-01", periods=ROWS, tz="UTC"), "holds dates or times"),
    "days": ([date(2020, 1, 1)] * ROWS, "holds dates or times ('2020-01-01')"),
    "spans": (pd.to_timedelta(range(ROWS), unit="h"), "holds dates or times"),
    "lists": ([[1, 2]] * ROWS, "holds text ('[1 2]')"),
    "categories of text": (pd.Categorical(["low", "high"] * (ROWS // 2)), "holds text ('low')"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_columns_of_parquet_files_that_are_no_numbers(kind: str, tmp_path: Path) -> None:
    values, sentence = TYPES[kind]
    samples().assign(Glucose=values).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=re.escape(sentence)):
        load(tmp_path / "t.parquet")
    assert list(load(tmp_path / "t.parquet", ignore="Glucose").features) == ["Lactate", "PC 34:1"]


def test_a_spreadsheet_as_people_make_it(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    samples().to_excel(tmp_path / "t.xlsx", index=False)
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    book.active["A40"] = " "
    book.save(tmp_path / "t.xlsx")
    check_values(load(tmp_path / "t.xlsx"), samples())
    samples().to_excel(tmp_path / "t.xlsx", index=False, startrow=2)
    with pytest.raises(CalibError, match="line 3 looks like the header"):
        load(tmp_path / "t.xlsx")
