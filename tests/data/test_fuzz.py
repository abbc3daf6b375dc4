"""Tests that odd study files give a result or an error of one sentence, and nothing else."""

import functools
import io
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from calib.errors import CalibError
from calib.runs.experiment import run
from tests.conftest import compose, fast
from tests.made_h5ad import write_h5ad

METHODS = ("baseline", "combat", "joint")
COMMON = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
FEW = settings(max_examples=40, **COMMON)
MANY = settings(max_examples=400, **COMMON)

outcomes: Counter[str] = Counter()

VALUES = {
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
CELLS = (
    "",
    "nan",
    "inf",
    "-inf",
    "NA",
    "high",
    "1,5",
    "1e999",
    "0x10",
    "True",
    "1 000",
    "\u00b5",
    "=1+1",
    "\x00",
)
NAMES = st.one_of(
    st.sampled_from(["1", "01", "1.0", "a b", "north", "../x", "a/b", "p+q", "p:q", "<b>", "all", "nan", "None", "true", "-", "12_3", "\u00e4\u2013\u03bc", "'", '"', "a\nb", "x" * 300, " ", "${x}", "$a_b$", "%s"]),
    st.text(min_size=1, max_size=8),
)  # fmt: skip
PLAIN: dict[str, Any] = {
    "batches": ["north", "south", "east"],
    "rows": 10,
    "classes": ["case", "control"],
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
    "cell": None,
    "column": None,
    "name": "a b",
    "kind": "csv",
    "separator": ",",
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
    "cell": st.sampled_from(CELLS),
    "column": st.sampled_from(["twice", "odd", "empty", "text", "moved", "no label", "no batch", "words"]),
    "name": NAMES,
    "kind": st.sampled_from(["tsv", "csv.gz", "parquet", "h5ad"]),
    "separator": st.sampled_from([";", "\t", "|"]),
    "encoding": st.sampled_from(["utf-8-sig", "latin-1", "utf-16"]),
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
}
"""Settings of a case that may be odd -> their odd values."""


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
    return case


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
    label[rng.random(len(label)) < case["partial"]] = None
    label[np.isin(owner, np.array(case["batches"][: case["unlabelled"]], object))] = None
    for row in range(min(case["copies"], len(x) - 1)):
        x[-1 - row] = x[row]
    x = x.astype(float)
    for number, feature in case["absent"]:
        x[owner == case["batches"][number % len(case["batches"])], feature % case["features"]] = np.nan
    made = pd.DataFrame(x, columns=[f"f{i}" for i in range(shape[1])])
    if case["cell"] is not None:
        made = made.astype(object)
        made.iloc[rng.integers(shape[0]), rng.integers(shape[1])] = case["cell"]
    made.insert(0, "label", label)
    made.insert(0, "batch", owner)
    if case["subject"]:
        made["subject"] = subject
    if case["exclude"] is not None:
        made.insert(1, "type", np.where(rng.random(len(owner)) < 0.2, "QC", "sample"))
    change = {
        "twice": lambda t: t.set_axis([*t.columns[:-1], t.columns[-2]], axis=1),
        "odd": lambda t: t.rename(columns={"f0": case["name"]}),
        "empty": lambda t: t.assign(f0=None),
        "words": lambda t: t.assign(f1="low"),
        "text": lambda t: t.assign(remark="fine"),
        "moved": lambda t: t[t.columns[::-1]],
        "no label": lambda t: t.drop(columns="label"),
        "no batch": lambda t: t.drop(columns="batch"),
    }
    return change.get(case["column"], lambda t: t)(made)


def written(case: dict[str, Any], folder: Path, rng: np.random.Generator) -> Path:
    """Write the file of a case, spoilt as the case says."""
    made = table(case, rng)
    file = folder / f"study.{case['kind']}"
    if case["kind"] == "parquet":
        try:
            made.astype({c: str for c in made.columns if made[c].dtype == object}).to_parquet(file)
        except ValueError:  # Parquet cannot hold this table
            file.write_bytes(b"PAR1")
    elif case["kind"] == "h5ad":
        features = [c for c in made.columns if str(c).startswith("f")]
        columns = [c for c in ("batch", "label", "subject", "type") if c in made]
        obs = {c: [None if cell is None else str(cell) for cell in made[c].tolist()] for c in columns}
        numbers = made[features].apply(pd.to_numeric, errors="coerce").to_numpy(float)
        try:
            write_h5ad(file, obs, list(map(str, features)), numbers)
        except ValueError:  # HDF5 cannot hold this name
            file.write_bytes(b"\x89HDF\r\n\x1a\n")
    else:
        stream = io.StringIO()
        made.to_csv(stream, index=False, sep=case["separator"])
        content = stream.getvalue().encode(case["encoding"], errors="replace")
        if case["kind"] == "csv.gz":
            import gzip

            content = gzip.compress(content, mtime=0)
        file.write_bytes(content)
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


@functools.cache
def composed(method: str, protocol: str, kind: str) -> DictConfig:
    epochs = [o.replace("epochs=3", "epochs=2").replace("batch_size=8", "batch_size=4") for o in fast(method)]
    return compose(f"dataset={kind}", f"method={method}", f"protocol={protocol}", *epochs)


def configured(case: dict[str, Any], file: Path, out: Path) -> DictConfig:
    """Return the configuration that reads the file and carries out a short run."""
    h5ad = case["kind"] == "h5ad"
    config = composed(case["method"], case["protocol"], "h5ad" if h5ad else "table").copy()
    dataset = {
        "name": "fuzz",
        "path": str(file),
        "batch": "batch",
        "label": "label",
        "subject": "subject" if case["subject"] else None,
        "n_sources": case["sources"],
        "subject_labels": case["paired"] or "refuse",
    } | ({} if h5ad else {"impute": case["impute"], "missing_features": case["filled"]})
    if case["exclude"] is not None:
        dataset["exclude"] = {"type": case["exclude"].split(",")}
    split = case["split"]
    if split == "first":
        split = "+".join(case["batches"][:-1]) + ":" + case["batches"][-1]
    changes: dict[str, Any] = {
        "dataset": dataset,
        "out": str(out),
        "split": split.replace("${", "$ {"),
        "progress": False,
    }
    changes |= {"dtype": case["dtype"]}
    protocol = {
        key: case[name] for key, name in (("transform", "transform"), ("batch_scale", "scale")) if case[name]
    }
    return OmegaConf.merge(config, changes | {"protocol": protocol})


def judge(case: dict[str, Any], folder: Path) -> str:
    """Run a case and return its outcome, "result" or "sentence"."""
    rng = np.random.default_rng(case["seed"])
    folder.mkdir()
    file = written(case, folder, rng)
    config = configured(case, file, folder / "out")
    try:
        found = run(config)
    except CalibError as error:
        told = str(error)
        assert all(unicodedata.category(sign) != "Cc" for sign in told), repr(told)
        assert 20 < len(told) < 2000, told
        assert told[-1] in ".?)" or " There is: " in told, told
        assert not list(folder.glob("out/runs/*/*/*/result.json")) or case["split"] == "all"
        return "sentence"
    for result in found:
        for scores in result["targets"].values():
            assert scores["n"] > 0
            known = [scores[m] for m in ("accuracy", "auc") if scores.get(m) is not None]
            assert np.isfinite(known).all()
    for predictions in folder.rglob("predictions.csv"):
        shares = pd.read_csv(predictions).filter(regex="^p_")
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    return "result"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def fuzz(case: dict[str, Any], folder: Path) -> None:
    outcomes[judge(case, folder / str(outcomes.total()))] += 1


@FEW
@given(case=studies())
def test_a_few_odd_files(case: dict[str, Any], folder: Path) -> None:
    fuzz(case, folder)


@pytest.mark.slow
def test_many_odd_files(folder: Path) -> None:
    MANY(given(case=studies())(lambda case: fuzz(case, folder)))()
    print(f"\n{dict(outcomes)}")
