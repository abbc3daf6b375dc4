"""Cases of odd study files: what may be odd in them, the table of a case, and the file that it is written to."""

import csv
import gzip
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from tests.made_h5ad import write_h5ad

METHODS = ("baseline", "combat", "joint")

VALUES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Any]] = {
    "plain": lambda rng, shape: rng.gamma(2, 500, shape),
    "counts": lambda rng, shape: rng.poisson(1, shape),
    "negative": lambda rng, shape: rng.normal(0, 1, shape),
    "constant": lambda rng, shape: np.full(shape, 7.0),
    "zero": lambda rng, shape: np.zeros(shape),
    "one constant feature": lambda rng, shape: np.where(np.arange(shape[1]) == 0, 3, rng.normal(0, 1, shape)),
    "huge": lambda rng, shape: rng.normal(0, 1e38, shape),
    "beyond float32": lambda rng, shape: rng.normal(0, 1e300, shape),
    "tiny": lambda rng, shape: rng.normal(0, 1e-300, shape),
    "both": lambda rng, shape: 10.0 ** rng.uniform(-30, 30, shape),
}
CELLS = ("", " ", "nan", "inf", "-inf", "NA", "n.d.", "<LOD", "high", "1,5", "1,234.5", "1 000", "5 %", "1e999", "0x10", "True", "01.02.2020",
         "\u00b5", "=1+1", "#DIV/0!", "\x00")  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(["1", "01", "1.0", "a b", "north", "../x", "a/b", "p+q", "p:q", "p,q", "<b>", "all", "nan", "None", "true", "-", "12_3", "\u00e4\u2013\u03bc", "'", '"', "a\nb", "x" * 300, " ", "${x}", "\\${x}", "$a_b$", "%s", "=1+1", "\x00", "a\x1b[1mb"]),
    st.text(min_size=1, max_size=8),
)  # fmt: skip
ALIKE = (("A", "a"), ("01", "1"), ("1.10", "1.1"), ("x ", "x"), ("caf\u00e9", "cafe\u0301"), ("\u00b5", "\u03bc"), ("p\u200bq", "pq"),
         ("1E1", "10"), ("\u00c4", "\u00e4"))  # fmt: skip
"""Pairs of names that differ in the way they are written only."""

PLAIN: dict[str, Any] = {
    "batches": ["north", "south", "east"],
    "rows": 10,
    "classes": ["case", "control"],
    "alike": None,
    "rare": False,
    "unlabelled": 0,
    "partial": 0,
    "single": None,
    "one class": (),
    "absent": (),
    "paired": None,
    "copies": 0,
    "exclude": None,
    "features": 5,
    "values": "plain",
    "type": None,
    "cell": None,
    "column": None,
    "name": "a b",
    "line": None,
    "kind": "csv",
    "index": None,
    "separator": ",",
    "decimal": ".",
    "quotes": csv.QUOTE_MINIMAL,
    "ends": "\n",
    "encoding": "utf-8",
    "spoil": None,
    "subject": True,
    "impute": "median",
    "filled": "leave_out",
    "method": "baseline",
    "protocol": "paper",
    "transform": None,
    "scale": None,
    "dtype": "float32",
    "sources": 2,
    "split": "first",
}
"""A case in which nothing is wrong."""

ODD: dict[str, st.SearchStrategy[Any]] = {
    "batches": st.lists(NAMES, min_size=1, max_size=12, unique=True),
    "rows": st.sampled_from([1, 2, 3, 4, "unequal", "unequal"]),
    "classes": st.lists(NAMES, min_size=1, max_size=4, unique=True),
    "alike": st.tuples(st.sampled_from(["batches", "classes", "subjects", "features"]), st.sampled_from(ALIKE)),
    "rare": st.just(True),
    "unlabelled": st.sampled_from([1, 2, 12]),
    "partial": st.sampled_from([0.1, 0.5, 0.9]),
    "single": st.one_of(st.just("epsilon"), st.just("casee"), NAMES),
    "one class": st.sampled_from([(0,), (2,), (0, 1), (0, 1, 2)]),
    "absent": st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=8),
    "paired": st.sampled_from(["refuse", "split"]),
    "copies": st.sampled_from([1, 5]),
    "exclude": st.sampled_from(["QC", "north", "QC,case", ""]),
    "features": st.sampled_from([1, 2, 17]),
    "values": st.sampled_from(list(VALUES)),
    "type": st.sampled_from(["Int64", "float16", "boolean", "category", "text", "string", "decimal", "date", "int8", "label"]),
    "cell": st.sampled_from(CELLS),
    "column": st.sampled_from(["twice", "odd", "empty", "text", "moved", "no label", "no batch", "words", "copy", "order"]),
    "name": NAMES,
    "line": st.sampled_from(["short", "long", "quote", "sums", "header", "title", "units", "empty", "footnote", "separators"]),
    "kind": st.sampled_from(["tsv", "csv.gz", "parquet", "parquet", "h5ad"]),
    "index": st.sampled_from(["shuffled", "names", "put together", "filtered", "levels", "times", "sample"]),
    "separator": st.sampled_from([";", "\t", "|"]),
    "decimal": st.just(","),
    "quotes": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    "ends": st.sampled_from(["\r\n", "\r"]),
    "encoding": st.sampled_from(["utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le"]),
    "spoil": st.sampled_from(["cut", "flip", "nothing", "ragged"]),
    "subject": st.just(False),
    "impute": st.sampled_from([None, "mean", "zero"]),
    "filled": st.just("other_batches"),
    "method": st.sampled_from(["combat", "joint"]),
    "protocol": st.just("released"),
    "transform": st.sampled_from(["none", "arcsinh", "log2"]),
    "scale": st.sampled_from(["standardise", "minmax"]),
    "dtype": st.just("float64"),
    "sources": st.sampled_from([1, 3]),
    "split": st.sampled_from(["all", "all", "1_2", "12_3", "_", "a:b", "12"]),
}  # fmt: skip
"""Settings of a case that may be odd -> their odd values."""

KINDS = {
    "index": ("index",),
    "types of numbers": ("type",),
    "dialects": ("separator", "decimal", "quotes", "ends", "encoding"),
    "lines": ("line",),
    "labels in part": ("partial", "unlabelled"),
    "classes of one sample": ("single", "rare"),
    "batches of one class": ("one class",),
    "missing features": ("absent", "filled"),
    "names alike": ("alike",),
    "odd names": ("batches", "classes", "name", "column"),
    "numbers": ("values", "cell", "impute"),
    "sizes": ("rows", "features"),
    "subjects and copies": ("paired", "copies", "subject", "exclude"),
    "files": ("kind", "spoil"),
    "settings": ("method", "protocol", "transform", "scale", "dtype", "sources", "split"),
}
"""Kind of oddity, as counted -> its settings."""


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a case: a table with up to five oddities, its file format, and the settings that read it."""
    method = draw(st.sampled_from(METHODS))
    odd = draw(st.lists(st.sampled_from(list(ODD)), max_size=5, unique=True))
    case = (
        PLAIN | {"method": method, "seed": draw(st.integers(0, 2**16))} | {key: draw(ODD[key]) for key in odd}
    )
    if case["rows"] == "unequal":
        case["rows"] = draw(
            st.lists(st.integers(1, 12), min_size=len(case["batches"]), max_size=len(case["batches"]))
        )
    if (
        set(odd) & {"type", "index"} and "kind" not in odd
    ):  # text files have neither types nor, often, an index
        case["kind"] = draw(st.sampled_from(["parquet", "parquet", "csv"]))
    if case["alike"] and case["alike"][0] in ("batches", "classes"):
        case[case["alike"][0]] = [*case["alike"][1], *PLAIN[case["alike"][0]][:1]]
    return case | {"odd": odd}


def table(case: dict[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Return the table of a case."""
    owner = np.repeat(np.array(case["batches"], object), case["rows"])
    shape = (len(owner), case["features"])
    x = VALUES[case["values"]](rng, shape)
    weights = (0.1 if case["rare"] else 1.0) ** np.arange(len(case["classes"]))
    label = np.array(case["classes"], object)[rng.choice(len(weights), len(owner), p=weights / weights.sum())]
    for number in case["one class"]:
        label[owner == [*case["batches"], None, None][number]] = case["classes"][
            number % len(case["classes"])
        ]
    if case["single"] is not None:
        label[rng.integers(len(label))] = case["single"]
    subject = [f"s{i // 2}" if case["paired"] else f"s{i // 2} {one}" for i, one in enumerate(label)]
    if case["alike"] and case["alike"][0] == "subjects":
        subject = [f"{case['alike'][1][i % 2]} {one}" for i, one in enumerate(label)]
    label[rng.random(len(label)) < case["partial"]] = None
    label[np.isin(owner, np.array(case["batches"][: case["unlabelled"]], object))] = None
    for row in range(min(case["copies"], len(x) - 1)):
        x[-1 - row] = x[row]
    x = x.astype(float)
    for number, feature in case["absent"]:
        x[owner == case["batches"][number % len(case["batches"])], feature % case["features"]] = np.nan
    made = pd.DataFrame(x, columns=[f"f{i}" for i in range(shape[1])])
    if case["alike"] and case["alike"][0] == "features":
        made = made.rename(columns=dict(zip(("f0", "f1"), case["alike"][1], strict=True)))
    made = typed(made, case["type"], rng)
    if case["cell"] is not None:
        made = made.astype(object)
        made.iloc[rng.integers(shape[0]), rng.integers(shape[1])] = case["cell"]
    made.insert(0, "label", pd.Categorical(label) if case["type"] == "label" else label)
    made.insert(0, "batch", pd.Categorical(owner) if case["type"] == "label" else owner)
    if case["subject"]:
        made["subject"] = subject
    if case["exclude"] is not None:
        made.insert(1, "type", np.where(rng.random(len(owner)) < 0.2, "QC", "sample"))
    change: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "twice": lambda t: t.set_axis([*t.columns[:-1], t.columns[-2]], axis=1),
        "odd": lambda t: t.rename(columns={"f0": case["name"]}),
        "empty": lambda t: t.assign(f0=None),
        "words": lambda t: t.assign(f1="low"),
        "text": lambda t: t.assign(remark="fine"),
        "moved": lambda t: t[t.columns[::-1]],
        "no label": lambda t: t.drop(columns="label"),
        "no batch": lambda t: t.drop(columns="batch"),
        "copy": lambda t: t.assign(copy=pd.factorize(t["label"].astype(str))[0]),
        "order": lambda t: t.assign(injection=range(len(t))),
    }
    made = change.get(case["column"], lambda t: t)(made)
    return indexed(made, case["index"], rng)


def typed(x: pd.DataFrame, kind: str | None, rng: np.random.Generator) -> pd.DataFrame:
    """Return features as numbers of another type, the first one only where the others could not be read."""
    whole = x.clip(-100, 100).round()
    change: dict[str | None, Callable[[], pd.DataFrame]] = {
        "Int64": lambda: whole.astype("Int64"),
        "int8": lambda: whole.fillna(0).astype("int8"),
        "float16": lambda: x.clip(-6e4, 6e4).astype("float16"),
        "boolean": lambda: (x > x.median()).astype("boolean"),
        "category": lambda: whole.astype("category"),
        "text": lambda: x.map(str),
        "string": lambda: x.map(repr).astype("string"),
        "decimal": lambda: x.clip(-1e9, 1e9).map(lambda v: None if np.isnan(v) else Decimal(round(v, 4)).quantize(Decimal("0.0001"))),
        "date": lambda: x.assign(f0=pd.date_range("2020-01-01", periods=len(x))),
    }  # fmt: skip
    return change.get(kind, lambda: x)()


def indexed(made: pd.DataFrame, kind: str | None, rng: np.random.Generator) -> pd.DataFrame:
    """Return a table with another index than the numbers of its rows."""
    change: dict[str | None, Callable[[], pd.DataFrame]] = {
        "shuffled": lambda: made.iloc[rng.permutation(len(made))],
        "names": lambda: made.set_axis([f"s{i}" for i in range(len(made))]),
        "put together": lambda: made.set_axis(np.arange(len(made)) % 7),
        "filtered": lambda: made[rng.random(len(made)) < 0.8],
        "levels": lambda: made.set_index(
            [pd.Index(range(len(made)), name="plate"), made.index.rename("well")]
        ),
        "times": lambda: made.set_axis(pd.date_range("2020-01-01", periods=len(made))[::-1]),
        "sample": lambda: made.set_axis(pd.Index([f"s{i}" for i in rng.permutation(len(made))], name="id")),
    }
    return change.get(kind, lambda: made)()


def written(case: dict[str, Any], folder: Path, rng: np.random.Generator) -> Path:
    """Write the file of a case, spoilt as the case says."""
    made = table(case, rng)
    file = folder / f"study.{case['kind']}"
    if case["kind"] == "parquet":
        names = {c: str for c, dtype in made.dtypes.items() if dtype.kind == "O" and c[:1] != "f"}
        try:
            made.astype(names).to_parquet(file)
        except (ValueError, TypeError):  # Parquet cannot hold this table
            file.write_bytes(b"PAR1")
    elif case["kind"] == "h5ad":
        _write_h5ad(file, made)
    else:
        content = text_of(case, made, rng).encode(case["encoding"], errors="replace")
        file.write_bytes(gzip.compress(content, mtime=0) if case["kind"] == "csv.gz" else content)
    content = bytearray(file.read_bytes())
    if case["spoil"] == "cut":
        content = content[: rng.integers(len(content) + 1)]
    elif case["spoil"] == "flip" and content:
        for place in rng.integers(len(content), size=3):
            content[place] = rng.integers(256)
    elif case["spoil"] == "nothing":
        content = bytearray()
    elif case["spoil"] == "ragged":
        content += b"1,2,3,4,5,6,7,8,9,10,11,12\n" if rng.integers(2) else b"\n\n1\n"
    file.write_bytes(content)
    return file


def _write_h5ad(file: Path, made: pd.DataFrame) -> None:
    features = [c for c in made.columns if c not in ("batch", "label", "subject", "type", "remark")]
    obs = {
        c: [None if cell is None else str(cell) for cell in made[c].astype(object).tolist()]
        for c in ("batch", "label", "subject", "type")
        if c in made
    }
    numbers = made[features].apply(pd.to_numeric, errors="coerce").to_numpy(float, na_value=np.nan)
    try:
        write_h5ad(file, obs, list(map(str, features)), numbers)
    except ValueError:  # HDF5 cannot hold this name
        file.write_bytes(b"\x89HDF\r\n\x1a\n")


def text_of(case: dict[str, Any], made: pd.DataFrame, rng: np.random.Generator) -> str:
    """Return the text of a table in the dialect of a case, with one line that is odd."""
    stream = io.StringIO()
    dialect = {"sep": case["separator"], "decimal": case["decimal"], "quoting": case["quotes"]}
    made.to_csv(stream, index=case["index"] is not None, lineterminator="\n", **dialect)
    header, *lines = stream.getvalue().removesuffix("\n").split("\n")
    sign, place = case["separator"], int(rng.integers(len(lines) or 1))
    cells = lines[place].split(sign) if lines else []
    gone = int(rng.integers(len(cells) or 1))
    change: dict[str | None, Callable[[], list[str]]] = {
        "short": lambda: [*lines[:place], sign.join(cells[:gone] + cells[gone + 1 :]), *lines[place + 1 :]],
        "long": lambda: [*lines[:place], sign.join([*cells[:gone], "7", *cells[gone:]]), *lines[place + 1 :]],
        "quote": lambda: [*lines[:place], '"' + lines[place], *lines[place + 1 :]] if lines else [],
        "sums": lambda: [*lines, sign.join(_foot(made, case))],
        "header": lambda: [*lines[:place], header, *lines[place:]],
        "title": lambda: lines,
        "units": lambda: [sign.join("AU" if str(c).startswith("f") else "" for c in made.columns), *lines],
        "empty": lambda: [*lines[:place], sign * header.count(sign), "", *lines[place:], "", sign],
        "footnote": lambda: [*lines, "", "* measured twice"],
        "separators": lambda: [f"{line}{sign}" for line in lines],
    }
    above = ["Export of 1.2.2020"] if case["line"] == "title" else []
    told = change.get(case["line"], lambda: lines)()
    return case["ends"].join([*above, header, *told, ""])


def _foot(made: pd.DataFrame, case: dict[str, Any]) -> list[str]:
    """Return the cells of a row of sums below a table."""
    x = made.apply(pd.to_numeric, errors="coerce")
    sums = [f"{x[c].sum():.6g}".replace(".", case["decimal"]) for c in made.columns if str(c).startswith("f")]
    names = [str(case["batches"][0]), str(case["classes"][0])]
    return [*names, *sums, "total"][: len(made.columns)]
