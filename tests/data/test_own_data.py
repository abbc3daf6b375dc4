"""Tests of a user's study, from every kind of file to predictions for new plates.

Its plates have names, and one plate is unlabelled.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.commands.predict import main as predict_command
from calib.config import build
from calib.data.study import Study
from calib.errors import CalibError, DataError, SplitError, misspelling
from calib.runs.experiment import run
from calib.runs.predict import predict
from tests.conftest import ROOT, compose, fast
from tests.made_h5ad import write_h5ad

SEED = 3
PLATES = {"north": 21, "south": 17, "new": 14}


@pytest.fixture
def plates() -> pd.DataFrame:
    """Return a table of eight peaks with two rows a person and diagnoses as text, none on plate ``new``."""
    rng = np.random.default_rng(SEED)
    rows = []
    for shift, (plate, count) in enumerate(PLATES.items()):
        for i in range(count):
            sick = i // 2 % 2
            peaks = np.exp(rng.normal(3 + 0.3 * shift, 0.3, 8) + 0.8 * sick * (np.arange(8) < 3))
            rows.append([f"{plate}-{i}", plate, f"p{shift}{i // 2}", "case" if sick else "healthy", *peaks])
    table = pd.DataFrame(rows, columns=["id", "plate", "person", "diagnosis", *(f"mz_{i}" for i in range(8))])
    table.loc[table["plate"] == "new", "diagnosis"] = "unknown"
    return table.sample(frac=1, random_state=SEED).reset_index(drop=True)


COLUMNS = [
    "dataset.batch=plate", "dataset.label=diagnosis", "dataset.subject=person", "dataset.positive=case",
    "dataset.name=plates",
]  # fmt: skip
TABLE = ["dataset=table", "dataset.sample=id", *COLUMNS]


def written(table: pd.DataFrame, folder: Path, kind: str) -> list[str]:
    """Write the table as a file of this kind, and return the overrides that read it."""
    folder.mkdir(exist_ok=True)
    file = folder / f"plates.{kind}"
    if kind == "h5ad":
        peaks = table.filter(like="mz_")
        obs = {column: table[column].tolist() for column in ("plate", "person", "diagnosis")}
        write_h5ad(file, obs, list(peaks.columns), peaks.to_numpy(), cells=table["id"].tolist())
        return ["dataset=h5ad", f"dataset.path={file}", *COLUMNS]
    if kind == "parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False, sep="\t" if kind == "tsv" else ",")
    return [*TABLE, f"dataset.path={file}"]


def study(*overrides: str) -> Study:
    return build(compose(*overrides).dataset)


def test_the_same_predictions_from_every_kind_of_file(plates: pd.DataFrame, tmp_path: Path) -> None:
    found = []
    for kind in ("csv", "tsv", "parquet", "h5ad"):
        overrides = written(plates, tmp_path, kind)
        config = compose(*overrides, f"out={tmp_path / kind}", "split=north+south:new", *fast("joint"))
        (result,) = run(config)
        (file,) = (tmp_path / kind).glob("runs/plates/*/*/predictions.csv")
        found.append(pd.read_csv(file).sort_values("sample", ignore_index=True).drop(columns="row"))
        assert set(result["targets"]["new"]) == {"n", "predicted"}
        assert sum(result["targets"]["new"]["predicted"].values()) == 14
    for other in found[1:]:
        pd.testing.assert_frame_equal(other, found[0], rtol=1e-5)
    assert list(found[0].columns[-2:]) == ["p_healthy", "p_case"]
    assert found[0]["label"].isna().all()
    assert set(found[0]["subject"]) == set(plates.loc[plates["plate"] == "new", "person"])


def test_batches_keep_their_names_and_order(plates: pd.DataFrame, tmp_path: Path) -> None:
    got = study(*written(plates, tmp_path, "csv"))
    assert set(got.batches) == set(PLATES)
    assert got.classes == ["healthy", "case"]
    assert got.batches["new"].y is None
    assert list(got.features) == [f"mz_{i}" for i in range(8)]
    north = plates[plates["plate"] == "north"]
    np.testing.assert_allclose(got.batches["north"].x, north.filter(like="mz_"))
    assert list(got.batches["north"].names) == list(north["id"])


def test_features_by_pattern_and_words_for_unlabelled(plates: pd.DataFrame, tmp_path: Path) -> None:
    plates["age"] = 50
    plates["operator"] = "anna"
    overrides = written(plates.replace("unknown", "pending"), tmp_path, "csv")
    chosen = study(*overrides, "dataset.features=[mz_0,mz_1,mz_2,mz_3,'*7']", "dataset.unlabelled=[pending]")
    assert list(chosen.features) == ["mz_0", "mz_1", "mz_2", "mz_3", "mz_7"]
    ignored = study(*overrides, "dataset.ignore=[operator,age]", "dataset.unlabelled=[pending]")
    assert len(ignored.features) == 8
    with pytest.raises(
        DataError, match=r"column 'operator' holds text \('anna'\).*dataset.ignore=\[operator\]"
    ):
        study(*overrides, "dataset.unlabelled=[pending]")
    with pytest.raises(DataError, match=r"dataset.features=peak_\* fits none of its 10 columns"):
        study(*overrides, "dataset.features='peak_*'")


def test_one_file_a_plate_with_features_in_another_order(
    plates: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for name, part in plates.groupby("plate"):
        part = part.drop(columns="plate")
        part = part[part.columns[::-1]] if name == "south" else part.drop(columns="mz_5")
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    paths = ",".join(str(tmp_path / f"{name}.csv") for name in PLATES)
    got = study(*TABLE, "dataset.batch=null", f"dataset.path=[{paths}]")
    assert list(got.batches) == sorted(PLATES)
    assert list(got.features) == [f"mz_{i}" for i in range(8) if i != 5]
    assert "7 of its 8 features are used, put in order by name" in caplog.text
    south = plates[plates["plate"] == "south"]
    np.testing.assert_allclose(got.batches["south"].x[:, -1], south["mz_7"])


def spoil(change: Callable[[pd.DataFrame], object]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        result = change(table)
        return result if isinstance(result, pd.DataFrame) else table

    return changed


@pytest.mark.parametrize(
    ("change", "overrides", "message"),
    [
        (None, ["dataset.batch=plat"], "has no column 'plat', which dataset.batch names; did you mean 'plate'?"),
        (None, ["dataset.label=diagnoses"], "has no column 'diagnoses', which dataset.label names; did you mean 'diagnosis'?"),
        (None, ["dataset.positive=cases"], "no sample has the positive label 'cases'; did you mean 'case'?"),
        (lambda t: t.rename(columns={"mz_1": "mz_0"}), [], "has column 'mz_0' twice; rename or remove"),
        (lambda t: t.__setitem__("diagnosis", [*t["diagnosis"][:-1], "caes"]), [], "label 'caes' occurs once, at "),
        (lambda t: t.__setitem__("mz_2", [*t["mz_2"][:-1], "high"]), [], "line 53, column 'mz_2': 'high' is not a number"),
        (lambda t: t.__setitem__("mz_2", [*t["mz_2"][:-1], None]), [], "1 missing or infinite value(s), the first in "),
        (lambda t: t.__setitem__("plate", [*t["plate"][:-1], None]), [], "line 53: column 'plate' is empty; fill it, or delete the line if it is no sample"),
        (lambda t: t.__setitem__("diagnosis", "case"), [], "labels of 1 class(es), case; at least two are needed"),
        (lambda t: t[t["plate"] == "north"], [], "has 1 batch; it needs at least two."),
        (lambda t: t.iloc[:0], [], "plates.csv has no rows."),
        (lambda t: t[["id", "plate", "person", "diagnosis"]], [], "has no feature column besides"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    plates: pd.DataFrame, tmp_path: Path, change: object, overrides: list[str], message: str
) -> None:
    table = spoil(change)(plates) if change else plates  # type: ignore[arg-type]
    with pytest.raises(DataError) as error:
        study(*written(table, tmp_path, "csv"), *overrides)
    assert message in str(error.value)


def test_unlabelled_samples_of_a_labelled_plate_become_a_target(plates: pd.DataFrame, tmp_path: Path) -> None:
    north = plates.index[plates["plate"] == "north"]
    plates.loc[north[[3, 8]], "diagnosis"] = ["?", None]
    overrides = written(plates, tmp_path, "csv")
    got, whole = study(*overrides), plates.loc[north]
    assert list(got.batches)[3:] == ["north (unlabelled)"]
    part, rest = got.batches["north (unlabelled)"], got.batches["north"]
    assert part.names is not None
    assert part.names.tolist() == whole["id"].iloc[[3, 8]].tolist()
    np.testing.assert_allclose(part.x, whole.filter(like="mz_").iloc[[3, 8]])
    np.testing.assert_allclose(rest.x, whole.filter(like="mz_").drop(north[[3, 8]]))
    assert rest.y is not None
    assert rest.y.tolist() == (whole["diagnosis"].drop(north[[3, 8]]) == "case").astype(int).tolist()
    split = "split='north+south:north (unlabelled)'"
    (result,) = run(compose(*overrides, f"out={tmp_path}", split, "method=baseline", *fast("baseline")))
    assert set(result["targets"]["north (unlabelled)"]) == {"n", "predicted"}
    text = (
        "Batch 'north' is labelled in part: 2 samples of 21 without a label became batch 'north (unlabelled)'"
    )
    assert text in result["warnings"][0]["text"]
    (log,) = tmp_path.glob("runs/*/*/*/run.log")
    assert text in log.read_text()
    plates.loc[plates["plate"] == "new", "plate"] = "north (unlabelled)"
    with pytest.raises(DataError, match="would become batch 'north .unlabelled.', which there is already"):
        study(*written(plates, tmp_path, "csv"))


def test_a_feature_that_a_whole_plate_lacks(plates: pd.DataFrame, tmp_path: Path) -> None:
    for column, plate in (("mz_2", "south"), ("mz_5", "new"), ("mz_6", "new")):
        plates.loc[plates["plate"] == plate, column] = None
    plates["mz_7"] = None
    plates.loc[plates.index[plates["plate"] == "north"][0], "mz_0"] = (
        None  # one value: filled within the plate
    )
    overrides = written(plates, tmp_path, "csv")
    with pytest.raises(DataError, match=r"missing or infinite value.* set dataset.impute=median"):
        study(*overrides)
    for rule in ("mean", "median"):
        got = study(*overrides, f"dataset.impute={rule}")
        assert list(got.features) == ["mz_0", "mz_1", "mz_3", "mz_4"]
        (caution,) = got.cautions
        assert caution.code == "features_left_out"
        for part in (
            "4 of 8 features",
            "'south' lacks 2",
            "'new' lacks 3",
            "'mz_2', 'mz_5', 'mz_6' and 1 more",
        ):
            assert part in caution.text
        filled = study(*overrides, f"dataset.impute={rule}", "dataset.missing_features=other_batches")
        assert list(filled.features) == [f"mz_{i}" for i in range(7)]
        others = plates.loc[plates["plate"] != "south", "mz_2"].agg(rule)
        np.testing.assert_allclose(filled.batches["south"].x[:, 2], others)
        assert [one.code for one in filled.cautions] == ["features_filled", "features_left_out"]
    zeros = study(*overrides, "dataset.impute=zero")
    assert len(zeros.features) == 8
    (caution,) = [one for one in zeros.cautions if one.code == "features_filled"]
    assert caution.text.endswith("are filled with zero: 3 of 'new', 1 of 'north', 2 of 'south'.")
    (result,) = run(
        compose(
            *overrides,
            "dataset.impute=mean",
            f"out={tmp_path}",
            "split=north:south",
            "method=baseline",
            *fast("baseline"),
        )
    )
    assert result["warnings"][0]["code"] == "features_left_out"
    plates.loc[plates["plate"] == "south", ["mz_0", "mz_1", "mz_3", "mz_4"]] = None
    with pytest.raises(DataError, match="every feature has no value in some batch .*'south' lacks 6"):
        study(*written(plates, tmp_path, "csv"), "dataset.impute=mean")


@pytest.mark.parametrize("kind", ["csv", "parquet", "h5ad"])
def test_rows_that_are_excluded(kind: str, plates: pd.DataFrame, tmp_path: Path) -> None:
    pools = (
        plates.groupby("plate").head(2).assign(diagnosis="QC", person=None, id=lambda t: "pool-" + t["id"])
    )
    blank = plates.head(1).assign(
        diagnosis="blank", person=None, id="blank", mz_3=None if kind == "csv" else 0
    )
    every = pd.concat([plates.head(20), pools, blank, plates.iloc[20:]], ignore_index=True)
    every["person"] = every["person"].fillna("none" if kind == "h5ad" else "")
    overrides = written(every, tmp_path, kind)
    got = study(*overrides, "dataset.exclude={diagnosis:[QC,blank]}")
    assert got.sha256() == study(*written(plates, tmp_path / "plain", kind)).sha256()
    for batch in got.batches.values():
        assert batch.names is not None
        assert not [name for name in batch.names if name.startswith(("pool", "blank"))]
    with pytest.raises(
        DataError, match=r"column 'diagnosis' has no value 'QCs', which dataset.exclude names; did you"
    ):
        study(*overrides, "dataset.exclude={diagnosis:[QCs,blank]}")
    with pytest.raises(
        DataError, match=r"has no column 'diagnoses', which dataset.exclude names; did you mean"
    ):
        study(*overrides, "dataset.exclude={diagnoses:QC}")
    with pytest.raises(CalibError, match="must give columns the values that mark these samples, as in"):
        study(*overrides, "dataset.exclude=[QC]")


def test_excluded_rows_count_as_lines_and_their_column_is_no_feature(
    plates: pd.DataFrame, tmp_path: Path
) -> None:
    plates.insert(3, "run", ["QC", "7"] + ["3"] * (len(plates) - 2))
    overrides = [o for o in written(plates, tmp_path, "csv") if "sample" not in o]
    exclude = ["dataset.exclude={run:[QC,7]}", "dataset.ignore=[id]"]
    got = study(*overrides, *exclude)
    assert list(got.features) == [f"mz_{i}" for i in range(8)]
    names = sorted(name for batch in got.batches.values() for name in batch.names.tolist())  # type: ignore[union-attr]
    assert names == sorted(f"line {row + 2}" for row in range(2, len(plates)))
    plates["mz_2"] = plates["mz_2"].astype(object)
    plates.loc[[0, 5], "mz_2"] = "high"
    with pytest.raises(DataError, match="line 7, column 'mz_2': 'high' is not a number"):
        study(*written(plates, tmp_path, "csv"), *exclude)
    with pytest.raises(DataError, match="dataset.exclude leaves out all rows"):
        study(*overrides, "dataset.exclude={run:[QC,7,3]}", "dataset.ignore=[id]")
    plates["mz_2"] = 1.0
    run(
        compose(
            *written(plates, tmp_path, "csv"), *exclude, f"out={tmp_path}", "split=north+south:new",
            "save_model=true", *fast("joint"),
        )
    )  # fmt: skip
    (folder,) = tmp_path.glob("runs/plates/*/*")
    assert sum(map(len, predict(folder, tmp_path / "plates.csv").probability.values())) == len(plates) - 2
    plates.drop(columns="run").to_csv(tmp_path / "later.csv", index=False)
    assert sum(map(len, predict(folder, tmp_path / "later.csv").probability.values())) == len(plates)


def test_a_class_may_have_one_sample_or_be_in_one_batch(plates: pd.DataFrame, tmp_path: Path) -> None:
    known = plates.index[plates["plate"] == "north"]
    plates.loc[known[0], "diagnosis"] = "relapse"
    plates.loc[known[1:5], "diagnosis"] = "other"
    overrides = [
        *written(plates, tmp_path, "csv"),
        "dataset.positive=null",
        "dataset.subject=null",
        "dataset.ignore=[person]",
    ]
    assert study(*overrides).classes == ["case", "healthy", "other", "relapse"]
    (result,) = run(
        compose(*overrides, f"out={tmp_path}", "split=south:north", "method=baseline", *fast("baseline"))
    )
    assert result["unseen_classes"] == {"north": {"other": 4, "relapse": 1}}
    assert result["warnings"][0]["code"] == "class_of_one_sample"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("caes", "case"), ("Case", "case"), ("cas", None), ("cass", "case"), ("cases", "case"), ("helthy", "healthy"),
        ("stage2", None), ("stage", None), ("epsilon", None), ("relapse", None), ("case2", None), ("healtyh", "healthy"),
    ],
)  # fmt: skip
def test_misspellings(word: str, meant: str | None) -> None:
    assert misspelling(word, ["case", "healthy", "stage1", "delta"]) == meant


def test_a_misspelt_label_can_be_made_a_class(plates: pd.DataFrame, tmp_path: Path) -> None:
    plates.loc[plates.index[plates["plate"] == "north"][0], "diagnosis"] = "cases"
    overrides = written(plates, tmp_path, "csv")
    with pytest.raises(
        DataError, match="label 'cases' occurs once, .* did you mean 'case'. .* in dataset.classes"
    ):
        study(*overrides)
    own = "dataset.classes={healthy:healthy,cases:cases,case:case}"
    got = study(*overrides, own, "dataset.subject_labels=split")
    assert got.classes == ["healthy", "cases", "case"]


def test_files_of_the_wrong_kind_are_refused_at_once(tmp_path: Path, plates: pd.DataFrame) -> None:
    big = tmp_path / "big.csv"
    with big.open("wb") as stream:
        stream.truncate(2 * 1024**3)  # a sparse file takes no room on the disk
    with pytest.raises(DataError, match="is no text table: it holds binary data"):
        study(*TABLE, f"dataset.path={big}")
    for kind, reader in (("parquet", "table"), ("h5ad", "h5ad")):
        wrong = tmp_path / f"wrong.{kind}"
        big.rename(wrong)
        with pytest.raises(DataError, match=r"wrong\.\w+ (cannot be read as a table|is no h5ad file)"):
            study(f"dataset={reader}", *COLUMNS, f"dataset.path={wrong}")
        wrong.rename(big)
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(DataError, match=r"empty\.csv cannot be read as a table"):
        study(*TABLE, f"dataset.path={empty}")
    other = tmp_path / "other.csv"
    plates.rename(columns=lambda name: name.replace("mz_", "gene_")).assign(plate="far").to_csv(
        other, index=False
    )
    written(plates, tmp_path, "csv")
    with pytest.raises(DataError, match=r"have no feature in common; the first ones are 'mz_0' and 'gene_0'"):
        study(*TABLE, f"dataset.path=[{tmp_path / 'plates.csv'},{other}]")


def test_splits_of_named_and_unlabelled_plates(plates: pd.DataFrame, tmp_path: Path) -> None:
    overrides = written(plates, tmp_path, "csv")
    results = run(compose(*overrides, f"out={tmp_path}", "split=all", *fast("baseline"), "method=baseline"))
    assert [set(r["sources"]) for r in results] == [{"north", "south"}]
    with pytest.raises(DataError, match="'new' has no labels, which a source or reference needs"):
        run(
            compose(
                *overrides, f"out={tmp_path}", "split=north+new:south", *fast("baseline"), "method=baseline"
            )
        )
    with pytest.raises(SplitError, match="between 1 and 2 source batches with labels"):
        run(compose(*overrides, f"out={tmp_path}", "split=all", "dataset.n_sources=3"))


@pytest.mark.parametrize("method", ["joint", "recon_t", "baseline"])
def test_predictions_for_a_file_are_those_of_the_run(
    method: str, plates: pd.DataFrame, tmp_path: Path
) -> None:
    overrides = written(plates, tmp_path, "csv")
    config = compose(
        *overrides,
        f"out={tmp_path}",
        "split=north+south:new",
        f"method={method}",
        "save_model=true",
        *fast(method),
    )
    run(config)
    (folder,) = tmp_path.glob("runs/plates/*/*")
    recorded = pd.read_csv(folder / "predictions.csv")
    later = plates[plates["plate"] == "new"].drop(columns=["diagnosis", "person"])
    later[later.columns[::-1]].assign(remark="x").to_csv(tmp_path / "later.csv", index=False)
    predict_command([f"run={folder}", f"data={tmp_path / 'later.csv'}", f"out={tmp_path / 'p.csv'}"])
    got = pd.read_csv(tmp_path / "p.csv")
    shares = ["sample", "predicted", "p_healthy", "p_case"]
    pd.testing.assert_frame_equal(got[shares], recorded[shares])
    own = predict(folder, tmp_path / "later.csv", statistics="both").probability["new"]
    assert not np.allclose(own[:, 1], recorded["p_case"])


def test_subjects_and_scores_where_they_are_known(plates: pd.DataFrame, tmp_path: Path) -> None:
    overrides = written(plates, tmp_path, "csv")
    run(compose(*overrides, f"out={tmp_path}", "split=north:new", "save_model=true", *fast("joint")))
    (folder,) = tmp_path.glob("runs/plates/*/*")
    known = plates[plates["plate"] == "south"].assign(plate="next week")
    written(known, tmp_path, "h5ad")
    command = [
        sys.executable,
        ROOT / "scripts" / "predict.py",
        f"run={folder}",
        f"data={tmp_path / 'plates.h5ad'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "Batch next week, whose labels are known: accuracy" in done.stdout
    subjects = pd.read_csv(tmp_path / "predictions_plates_subjects.csv")
    assert list(subjects["samples"]) == [2] * 8 + [1]
    assert len(pd.read_csv(tmp_path / "predictions_plates.csv")) == 17


def test_a_model_reads_files_as_the_last_command_says(plates: pd.DataFrame, tmp_path: Path) -> None:
    """The data of both runs are the same, since no value of theirs is missing."""
    overrides = [
        *written(plates, tmp_path, "csv"),
        f"out={tmp_path}",
        "split=north+south:new",
        "save_model=true",
    ]
    run(compose(*overrides, *fast("joint")))
    (folder,) = tmp_path.glob("runs/plates/*/*")
    later = plates[plates["plate"] == "new"].assign(mz_1=lambda t: t["mz_1"].where(np.arange(len(t)) > 2))
    later.to_csv(tmp_path / "later.csv", index=False)
    with pytest.raises(CalibError, match="fill them in the file"):
        predict(folder, tmp_path / "later.csv")
    run(compose(*overrides, *fast("joint"), "dataset.impute=median"))
    assert len(predict(folder, tmp_path / "later.csv").probability["new"]) == 14
    made = (folder / "model.npz").stat().st_mtime_ns
    run(compose(*overrides, *fast("joint"), "dataset.impute=median"))
    assert (folder / "model.npz").stat().st_mtime_ns == made


def test_predicting_without_a_model(plates: pd.DataFrame, tmp_path: Path) -> None:
    overrides = [*written(plates, tmp_path, "csv"), f"out={tmp_path}", "split=north+south:new"]
    with pytest.raises(CalibError, match="method=cca knows only the batches that it is fitted on"):
        run(compose(*overrides, "method=cca", "save_model=true"))
    run(compose(*overrides, *fast("joint")))
    (folder,) = tmp_path.glob("runs/plates/*/*")
    with pytest.raises(CalibError, match="holds no saved model"):
        predict(folder, tmp_path / "plates.csv")
    run(compose(*overrides, *fast("joint"), "save_model=true"))  # the record is there, but without a model
    plates.drop(columns="mz_3").to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(DataError, match=r"lacks 1 of 8 features, the first 'mz_3'"):
        predict(folder, tmp_path / "short.csv")
    with pytest.raises(CalibError, match="statistics=mine is not one of"):
        predict(folder, tmp_path / "plates.csv", statistics="mine")
    plates[plates["plate"] == "new"].head(1).to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(CalibError, match="one sample and so no statistics of its own"):
        predict(folder, tmp_path / "one.csv", statistics="both")
    run(compose(*overrides, "method=standardise_network", *fast("standardise_network"), "save_model=true"))
    (other,) = tmp_path.glob("runs/plates/*/standardise_network-*")
    with pytest.raises(CalibError, match="no calibrator or discriminator whose batch norm could take other"):
        predict(other, tmp_path / "plates.csv", statistics="both")
    (folder / "model.npz").write_bytes(b"PK half")
    with pytest.raises(CalibError, match=r"model.npz is damaged .* train it again"):
        predict(folder, tmp_path / "plates.csv")
