"""Tests of subjects that have samples of several classes: never averaged, and scored class by class."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.data.study import Study
from calib.data.subjects import mixed_subjects, units, with_subject_labels
from calib.errors import DataError
from calib.evaluation.metrics import by_subject
from calib.runs.experiment import run
from calib.runs.outcome import subject_predictions
from calib.runs.predict import predict
from tests.conftest import build, compose, fast
from tests.made_h5ad import write_h5ad

PLATES = ("a", "b", "c")
COMMON = ["dataset.name=paired", "dataset.batch=plate", "dataset.label=tissue", "dataset.subject=patient"]
SPLIT = "dataset.subject_labels=split"


@pytest.fixture
def table() -> pd.DataFrame:
    """Return three plates of ten patients, each with one sample of a tumour and one of normal tissue."""
    rng = np.random.default_rng(1)
    rows = []
    for plate in PLATES:
        for i in range(20):
            tumour = i % 2
            rows.append(
                [plate, f"{plate}{i // 2}", ("normal", "tumour")[tumour], *(rng.normal(6, 1, 4) + 3 * tumour)]
            )
    return pd.DataFrame(rows, columns=["plate", "patient", "tissue", *"wxyz"])


def written(table: pd.DataFrame, folder: Path, kind: str = "csv") -> list[str]:
    file = folder / f"paired.{kind}"
    if kind == "h5ad":
        obs = {column: table[column].tolist() for column in ("plate", "patient", "tissue")}
        write_h5ad(file, obs, list("wxyz"), table[list("wxyz")].to_numpy())
        return ["dataset=h5ad", f"dataset.path={file}", *COMMON]
    table.to_csv(file, index=False)
    return ["dataset=table", f"dataset.path={file}", *COMMON]


def study(*overrides: str) -> Study:
    return build(compose(*overrides).dataset)


def test_units_are_subjects_where_each_has_one_label() -> None:
    subject, y = np.array(["b", "a", "b", "c"]), np.array([1, 0, 1, 1])
    for labels in (y, None):
        first, owner = units(subject, labels)
        assert (first.tolist(), owner.tolist()) == ([1, 0, 3], [1, 0, 1, 2])
    first, owner = units(subject, np.array([1, 0, 0, 1]))
    assert (first.tolist(), owner.tolist()) == ([1, 2, 0, 3], [2, 0, 1, 3])


@pytest.mark.parametrize("kind", ["csv", "h5ad"])
def test_samples_of_a_subject_with_two_labels_are_no_replicates(
    kind: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    overrides = written(table, tmp_path, kind)
    asked, split = study(*overrides), study(*overrides, SPLIT)
    assert asked.refusal == (
        "Batch 'a' has 10 subjects with samples of several classes, the first 'a0' (normal, tumour), and this "
        "method gives all samples of a subject one answer; give the samples of each class a subject of their "
        "own, set dataset.subject_labels=split, which averages over no subject, or choose a method that does "
        "not average."
    )
    assert split.refusal == ""
    assert asked.sha256() == split.sha256()
    for got in (asked, split):
        assert [one.code for one in got.cautions] == ["subjects_split"]
        for batch in got.batches.values():
            assert batch.replicate is None
            assert len(mixed_subjects(batch)) == 10
    assert not mixed_subjects(
        split.batches["a"].__class__("a", split.batches["a"].x, None, split.batches["a"].subject)
    ).size


AVERAGE = {
    "average_replicates": [],
    "joint_plus": [],
    "fewer_subjects": ["method.subjects=4"],
    "nearest_source": ["method@method.method=average_replicates"],
}
"""Methods that give the samples of a subject one answer, or draw them together, with their overrides."""


@pytest.mark.parametrize("method", AVERAGE)
def test_methods_that_average_are_refused(method: str, table: pd.DataFrame, tmp_path: Path) -> None:
    overrides = [*written(table, tmp_path), f"method={method}", *AVERAGE[method], f"out={tmp_path}"]
    with pytest.raises(DataError, match="10 subjects with samples of several classes"):
        run(compose(*overrides, "split='12_3'"))
    assert not (tmp_path / "runs").exists()


def test_other_methods_run_and_say_so(table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[table["plate"] == "c", "tissue"] = None
    overrides = [*written(table, tmp_path), "method=standardise_network", *fast("standardise_network")]
    (result,) = run(compose(*overrides, f"out={tmp_path}", "split='12_3'", "save_model=true"))
    assert "subjects_split" in [warning["code"] for warning in result["warnings"]]
    (folder,) = tmp_path.glob("runs/*/*/*")
    later = table[table["plate"] == "c"].assign(plate="d").drop(columns="tissue")
    later.to_csv(tmp_path / "later.csv", index=False)
    found = predict(folder, tmp_path / "later.csv")  # whose patients may have samples of both classes, too
    assert subject_predictions(found.study, found.probability).empty


def test_ordinary_subjects_stay_as_they_are(table: pd.DataFrame, tmp_path: Path) -> None:
    table["patient"] += table["tissue"]
    overrides = written(table, tmp_path)
    got = study(*overrides)
    assert not got.cautions
    for batch in got.batches.values():
        np.testing.assert_array_equal(batch.replicate, batch.subject)
    assert study(*overrides, SPLIT).sha256() != got.sha256()  # methods average over other samples
    assert with_subject_labels(got, "refuse", "") is got


@pytest.mark.parametrize(
    "method", ["average_replicates", "joint_plus", "standardise_logistic", "honest_cross_validation"]
)
def test_each_class_of_a_subject_is_answered_and_scored_apart(
    method: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    options = [*fast(method), "protocol.cv_folds=3"]
    (result,) = run(
        compose(
            *written(table, tmp_path), SPLIT, "split='12_3'", f"method={method}", f"out={tmp_path}", *options
        )
    )
    assert result["targets"]["c"]["subject"]["n"] == 20
    if method == "standardise_logistic":
        assert result["targets"]["c"]["accuracy"] == 1
        assert result["targets"]["c"]["subject"]["accuracy"] == 1
    (file,) = tmp_path.glob("runs/*/*/*/predictions.csv")
    got = pd.read_csv(file)
    assert set(got["subject"]) == {f"c{i}" for i in range(10)}
    assert got.groupby("subject")["p_tumour"].nunique().gt(1).any()  # no answer for both samples of a patient


def test_tables_of_subjects(table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[table["plate"] == "c", "tissue"] = None
    got = study(*written(table, tmp_path), SPLIT)
    p = {name: np.tile([[0.2, 0.8], [0.7, 0.3]], (10, 1)) for name in PLATES}
    made = subject_predictions(got, p)
    assert set(made["batch"]) == {"a", "b"}  # of batch c nobody knows which samples belong together
    assert made[["subject", "samples", "label", "predicted"]].to_numpy()[:2].tolist() == [
        ["a0", 1, "normal", "tumour"],
        ["a0", 1, "tumour", "normal"],
    ]
    medians, y = by_subject(p["a"], np.tile([0, 1], 10), np.repeat(np.arange(10), 2))
    assert (len(medians), y.tolist()) == (20, [0, 1] * 10)


def test_a_later_file(table: pd.DataFrame, tmp_path: Path) -> None:
    later = table[table["plate"] == "c"].assign(plate="d")
    later.to_csv(tmp_path / "later.csv", index=False)
    method = ["method=standardise_network", *fast("standardise_network"), "save_model=true", "split='12_3'"]
    run(compose(*written(table, tmp_path), SPLIT, f"out={tmp_path / 'split'}", *method))
    table["patient"] += table["tissue"]
    run(compose(*written(table, tmp_path), f"out={tmp_path / 'refuse'}", *method))
    for rule in ("split", "refuse"):
        (folder,) = (tmp_path / rule).glob("runs/*/*/*")
        found = predict(folder, tmp_path / "later.csv")
        assert found.study.batches["d"].replicate is None
        assert len(subject_predictions(found.study, found.probability)) == 20


def test_a_later_file_for_a_model_that_averages(table: pd.DataFrame, tmp_path: Path) -> None:
    later = table[table["plate"] == "c"].assign(plate="d")
    later.to_csv(tmp_path / "later.csv", index=False)
    table["patient"] += table["tissue"]
    method = ["method=joint_plus", *fast("joint_plus"), "save_model=true", "split='12_3'"]
    run(compose(*written(table, tmp_path), f"out={tmp_path}", *method))
    (folder,) = tmp_path.glob("runs/*/*/*")
    with pytest.raises(
        DataError, match=r"Batch 'd' has 10 subjects .* or train the model with dataset.subject_labels"
    ):
        predict(folder, tmp_path / "later.csv")
