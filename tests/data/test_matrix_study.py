"""Tests of studies whose matrix and table of samples are apart."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calib.config import build
from calib.data.preparations import most_variable_features
from calib.data.sheet import Sheet
from calib.data.study import Study
from calib.errors import CalibError, DataError
from calib.runs.experiment import run
from calib.runs.predict import predict
from tests.conftest import compose

GENES = [f"g{number}" for number in range(1, 7)]
NAMES = [f"{batch}_{number}" for batch in ("p2", "p10") for number in range(8)]


@pytest.fixture
def values() -> pd.DataFrame:
    """Return a matrix with genes in rows and samples in columns."""
    x = np.random.default_rng(0).gamma(2, 300, (len(GENES), len(NAMES))).round(2)
    return pd.DataFrame(x, GENES, NAMES)


@pytest.fixture
def samples() -> pd.DataFrame:
    """Return the table of the samples, in another order than the matrix."""
    table = pd.DataFrame(
        {
            "plate": [name.split("_")[0] for name in NAMES],
            "kind": ["a", "b"] * 8,
            "person": [f"s{number // 2}" for number in range(16)],
            "type": ["sample"] * 16,
        },
        index=pd.Index(NAMES, name="id"),
    )
    return table.iloc[::-1]


def load(folder: Path, values: pd.DataFrame, samples: pd.DataFrame, *settings: str, **how: object) -> Study:
    """Write both files and load the study."""
    values.to_csv(folder / "values.tsv", sep="\t")
    samples.to_csv(folder / "samples.csv", **how)
    files = [f"dataset.values={folder / 'values.tsv'}", f"dataset.table={folder / 'samples.csv'}"]
    return build(
        compose("dataset=matrix", *files, "dataset.batch=plate", "dataset.label=kind", *settings).dataset
    )


def test_samples_are_matched_by_name(tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame) -> None:
    study = load(tmp_path, values, samples, "dataset.subject=person")
    assert list(study.batches) == ["p2", "p10"]  # natural order
    assert study.features == GENES
    for batch in study.batches.values():
        names = list(batch.names)  # type: ignore[arg-type]
        assert names == [name for name in NAMES if name.startswith(f"{batch.name}_")]
        np.testing.assert_allclose(batch.dense, values[names].T, rtol=1e-6)
        assert [study.classes[label] for label in batch.y] == samples.kind[names].tolist()  # type: ignore[union-attr]
        assert batch.subject.tolist() == samples.person[names].tolist()  # type: ignore[union-attr]


def test_it_is_the_same_as_one_table(tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame) -> None:
    apart = load(tmp_path, values, samples)
    both = samples[["plate", "kind"]].join(values.T).loc[NAMES]
    both.rename_axis("id").to_csv(tmp_path / "both.csv")
    table = build(
        compose(
            "dataset=table",
            f"dataset.path={tmp_path / 'both.csv'}",
            "dataset.batch=plate",
            "dataset.label=kind",
            "dataset.sample=id",
        ).dataset
    )
    assert apart.sha256() == table.sha256()


def test_rows_may_be_samples_and_r_leaves_the_names_column_without_a_name(
    tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    expected = load(tmp_path, values, samples).sha256()
    transposed = values.T
    transposed.to_csv(tmp_path / "rows.csv")
    header, *lines = (tmp_path / "rows.csv").read_text().splitlines()
    (tmp_path / "rows.csv").write_text("\n".join([header.lstrip(","), *lines]) + "\n")
    found = load(tmp_path, values, samples, "dataset.samples=rows", f"dataset.values={tmp_path / 'rows.csv'}")
    assert found.sha256() == expected


def test_every_matrix_can_be_a_batch(tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame) -> None:
    settings = []
    for plate in ("p2", "p10"):
        names = [name for name in NAMES if name.startswith(f"{plate}_")]
        values[names].drop(index="g3" if plate == "p2" else "g5").to_csv(tmp_path / f"{plate}.values.csv")
        samples.loc[names].to_csv(tmp_path / f"{plate}.samples.csv")
    settings = [
        f"dataset.{key}=[{tmp_path / f'p2.{part}.csv'},{tmp_path / f'p10.{part}.csv'}]"
        for key, part in (("values", "values"), ("table", "samples"))
    ]
    study = load(tmp_path, values, samples, "dataset.batch=null", *settings)
    assert list(study.batches) == ["p2", "p10"]
    assert study.features == ["g1", "g2", "g4", "g6"]
    assert "features_not_shared" in [caution.code for caution in study.cautions]
    with pytest.raises(CalibError, match=r"dataset.values names 2 file\(s\) and dataset.table 1; give each"):
        load(tmp_path, values, samples, settings[0])


def test_rows_are_left_out_set_apart_and_counted(
    tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    samples.loc[["p2_0", "p10_0"], "type"] = "pool"
    samples.loc[["p2_1", "p10_1", "p10_2"], "type"] = "blank"
    chosen = ["dataset.exclude={type: blank}", "dataset.reference={type: pool}"]
    study = load(tmp_path, values, samples, *chosen, "dataset.expected={a: [3, 2], b: [3, 3]}")
    assert {name: len(batch) for name, batch in study.batches.items()} == {"p2": 6, "p10": 5}
    np.testing.assert_allclose(study.batches["p2"].reference, values[["p2_0"]].T, rtol=1e-6)
    with pytest.raises(DataError, match=r"batch 'p10' has 2 samples of class 'a', not 3; delete it"):
        load(tmp_path, values, samples, *chosen, "dataset.expected={a: [3, 3], b: [3, 3]}")
    with pytest.raises(CalibError, match=r"dataset.expected names the classes b, a; name those .*: a, b"):
        load(tmp_path, values, samples, *chosen, "dataset.expected={b: [3, 3], a: [3, 2]}")
    with pytest.raises(
        DataError, match=r"column 'type' has no value 'pol', which dataset.reference names; did"
    ):
        load(tmp_path, values, samples, "dataset.reference={type: pol}")


def test_batches_are_named_and_chosen(tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame) -> None:
    study = load(tmp_path, values, samples, "dataset.batches={late: p10, early: p2}")
    assert list(study.batches) == ["late", "early"]
    assert study.batches["late"].names[0] == "p10_0"  # type: ignore[index]
    with pytest.raises(DataError, match=r"batch 'p3'|no batch 'p3'"):
        load(tmp_path, values, samples, "dataset.batches={one: p3, two: p2}")


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("arcsinh", lambda x: np.arcsinh(x / np.median([np.median(x[:8]), np.median(x[8:])]))),
        ("arcsine_sqrt", lambda x: np.arcsin(np.sqrt(x))),
        ("none", lambda x: x),
        ("counts", lambda x: np.log1p(x / x.sum(axis=1, keepdims=True) * 10000)),
    ],
)
def test_values_are_prepared_as_their_kind_asks(
    kind: str, function: object, tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    if kind == "counts":
        pytest.importorskip("scanpy")
    if kind == "arcsine_sqrt":
        with pytest.raises(DataError, match="below 0 or above 1, which are no shares of a whole"):
            load(tmp_path, values, samples, f"dataset.prepare={kind}")
        values = values / values.sum()
    study = load(tmp_path, values, samples, f"dataset.prepare={kind}")
    found = np.concatenate([batch.dense for batch in study.batches.values()])
    np.testing.assert_allclose(found, function(values.T.to_numpy()), rtol=2e-6)  # type: ignore[operator]


def test_missing_values_are_refused_or_filled(
    tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    values.loc["g2", "p2_3"] = np.nan
    values.loc["g4", [name for name in NAMES if name.startswith("p10_")]] = np.nan
    with pytest.raises(DataError, match=r"missing or infinite value\(s\), the first in p2_3, column 'g2'"):
        load(tmp_path, values, samples)
    study = load(tmp_path, values, samples, "dataset.impute=median", "dataset.prepare=arcsinh")
    assert study.features == ["g1", "g2", "g3", "g5", "g6"]
    column = study.batches["p2"].dense[:, 1]
    np.testing.assert_allclose(column[3], np.median(np.delete(column, 3)), rtol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v, s: (v, s.drop("p2_3")), r"does not describe sample 'p2_3' of .*values.tsv; did you mean"),
        (lambda v, s: (v, pd.concat([s, s.loc[["p2_3"]]])), r"describes sample 'p2_3' twice"),
        (lambda v, s: (pd.concat([v, v.loc[["g2"]]]), s), r"has feature 'g2' twice; rename one of them"),
        (lambda v, s: (v, s.assign(plate=None)), r"sample 'p2_0' has no batch; fill the column"),
        (lambda v, s: (v.astype(object).replace(v.iloc[1, 1], "high"), s), r"column 'p2_1': 'high' is not a"),
        (lambda v, s: (v.T, s), r"does not describe sample 'g1' of .* or set dataset.samples if they are"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    spoil: object, message: str, tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=message) as error:
        load(tmp_path, *spoil(values, samples))  # type: ignore[operator]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["dataset.samples=diagonal"], "dataset.samples=diagonal"),
        (["dataset.prepare=log"], "dataset.prepare=log"),
        (["dataset.values={file: a.csv}"], "dataset.values has no 'file'"),
        (["dataset.values={object: x}"], "dataset.values.path is missing; name the file"),
        (["dataset.label=kin"], "column 'kin'"),
        (["dataset.sample=idd"], "column 'idd'"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(
    settings: list[str], message: str, tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    with pytest.raises(CalibError, match=re.escape(message)) as error:
        load(tmp_path, values, samples, *settings)
    assert "\n" not in str(error.value)


def test_names_that_are_numbers_stay_as_they_are_spelled(
    tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    numbers = {name: f"{place:03}" for place, name in enumerate(NAMES)}
    genes = [f"{100 + place}.50" for place in range(len(GENES))]
    study = load(tmp_path, values.rename(columns=numbers).set_axis(genes), samples.rename(index=numbers))
    assert study.features == genes
    assert study.batches["p2"].names[:2].tolist() == ["000", "001"]  # type: ignore[index]


def test_what_is_left_out_need_not_be_filled(
    tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    samples.loc[["p2_0"], ["plate", "type"]] = [None, "blank"]
    with pytest.raises(
        DataError, match="sample 'p2_0' has no batch; fill the column, or leave the sample out"
    ):
        load(tmp_path, values, samples)
    assert len(load(tmp_path, values, samples, "dataset.exclude={type: blank}").batches["p2"]) == 7


def test_names_may_be_in_a_column_of_the_table(
    tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    expected = load(tmp_path, values, samples).sha256()
    moved = samples.assign(file=samples.index).reset_index(drop=True)
    assert load(tmp_path, values, moved, "dataset.sample=file").sha256() == expected


def test_a_later_table_is_judged_unless_values_were_prepared_together(
    tmp_path: Path, values: pd.DataFrame, samples: pd.DataFrame
) -> None:
    values.to_csv(tmp_path / "values.tsv", sep="\t")
    samples.to_csv(tmp_path / "samples.csv")
    later = values.T.iloc[:3].assign(plate="late", kind="a").rename_axis("id")
    later.to_csv(tmp_path / "later.csv")
    for prepare in ("none", "arcsinh"):
        out = tmp_path / prepare
        run(
            compose(
                "dataset=matrix",
                f"dataset.values={tmp_path / 'values.tsv'}",
                f"dataset.table={tmp_path / 'samples.csv'}",
                "dataset.batch=plate",
                "dataset.label=kind",
                f"dataset.prepare={prepare}",
                "method=standardise_logistic",
                "split='1_2'",
                "save_model=true",
                f"out={out}",
            )
        )
        (record,) = out.glob("runs/*/*/*")
        if prepare == "none":
            assert predict(record, tmp_path / "later.csv").probability["late"].shape == (3, 2)
        else:
            with pytest.raises(CalibError, match="is prepared from the values of all its batches together"):
                predict(record, tmp_path / "later.csv")


@pytest.mark.parametrize("stored", ["dense", "sparse"])
def test_the_features_that_vary_most_within_batches_are_kept(stored: str) -> None:
    rng = np.random.default_rng(0)
    batch = np.repeat(["a", "b"], 30).astype(object)
    x = rng.normal(size=(60, 5)) * [1, 3, 0.5, 2, 0.1]
    x[batch == "b", 4] += 100  # a difference between batches is no variance within them
    kept = sparse.csr_matrix(x) if stored == "sparse" else x
    names = np.arange(60).astype(str)
    sheet = Sheet("f.csv", kept, names, list("vwxyz"), batch, pd.Series(["k"] * 60), None)
    assert most_variable_features(sheet, 2).tolist() == [False, True, False, True, False]
    with pytest.raises(
        CalibError, match=r"dataset.most_variable=6 is more than the 5 features that there are"
    ):
        most_variable_features(sheet, 6)
    with pytest.raises(CalibError, match=r"dataset.most_variable"):
        most_variable_features(sheet, 0)
