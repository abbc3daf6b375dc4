"""Tests of differential features against BPSC's own numbers, against statsmodels, and on the real MI data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.study import Batch, Study
from calib.errors import CalibError
from calib.evaluation.differential import differential, overlaps, p_values, two_group_glm
from tests.conftest import ROOT, compose

GOLDEN = ROOT / "tests" / "golden" / "bpsc"


@pytest.fixture(scope="module")
def bpsc() -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Return samples by features, 1 for each patient, and the results of BPSC 0.99.2."""
    table = pd.read_csv(GOLDEN / "input.csv", index_col=0)
    expected = pd.read_csv(GOLDEN / "bpglm_out.csv", skipinitialspace=True)
    assert list(table.index) == list(expected["feature"])
    return table.to_numpy(float).T, table.columns.str.startswith("PT").astype(int), expected


def assert_same_p(p: np.ndarray, expected: pd.Series, digits: float = 1e-6) -> None:
    np.testing.assert_allclose(np.log10(p), np.log10(expected), rtol=0, atol=digits)


def test_the_closed_form_is_bpsc_given_its_fit(bpsc: tuple) -> None:
    x, case, expected = bpsc
    alpha, beta = expected["alpha"], expected["beta"]
    t, p = two_group_glm(x, case, expected["lambda2"], beta / (alpha * (alpha + beta + 1)))
    fitted = expected["lambda2"].notna().to_numpy()  # BPSC tested one feature by its fallback, a Welch test
    assert fitted.sum() == 23
    np.testing.assert_allclose(t[fitted], expected["tval"][fitted], rtol=0, atol=1e-6)
    assert_same_p(p[fitted], expected["pval"][fitted])


def test_the_poisson_variance_is_the_quasi_poisson_glm(bpsc: tuple) -> None:
    x, case, expected = bpsc
    t, p = two_group_glm(x, case, linear=1, quadratic=0)
    absent = (x[case == 0] == 0).all(axis=0)  # all controls are 0: R's t of 0.01 means nothing, ours is NaN
    assert np.isnan(t).tolist() == np.isnan(p).tolist() == absent.tolist()
    # R stops iterating at a relative change of 1e-8 in the deviance, an error of 5e-6 in t
    np.testing.assert_allclose(t[~absent], expected["quasipoisson_t"][~absent], rtol=1e-5)
    assert_same_p(p[~absent], expected["quasipoisson_p"][~absent], 1e-4)


def test_the_default_is_the_gamma_glm_of_statsmodels(bpsc: tuple) -> None:
    api = pytest.importorskip("statsmodels.api", reason="statsmodels comes with the single-cell extra")
    x, case, _ = bpsc
    t, _ = two_group_glm(x, case)
    family = api.families.Gamma(api.families.links.Log())
    for feature in (0, 8, 22):
        fit = api.GLM(x[:, feature], api.add_constant(case), family).fit(scale="X2", tol=1e-12)
        assert t[feature] == pytest.approx(fit.tvalues[1], rel=1e-6)


def test_features_that_have_no_logarithm_have_no_p() -> None:
    x = np.array([[1.0, -1, 5, 0], [2, -2, 5, 0], [3, 1, 5, -1], [7, 1, 5, 9]])
    t, p = two_group_glm(x, np.array([1, 1, 0, 0]))
    assert np.isfinite(t).tolist() == [True, False, False, False]
    assert np.isnan(p).tolist() == [False, True, True, True]
    assert t[0] < 0  # controls are higher
    some_negative = two_group_glm(x + np.array([[0], [0], [-4], [4]]), np.array([1, 1, 0, 0]))[0]
    assert np.isfinite(some_negative[0])


@pytest.mark.parametrize("case", [[1, 1, 1], [1, 0]])
def test_groups_too_small(case: list[int]) -> None:
    with pytest.raises(CalibError, match="Two groups of at least three samples"):
        two_group_glm(np.ones((len(case), 2)), np.array(case))
    assert np.isfinite(two_group_glm(np.array([[1.0], [2], [3]]), np.array([1, 1, 0]))).all()


def test_replicates_are_averaged_over_their_subject(study: Study) -> None:
    positive = Study(
        "p",
        {k: Batch(k, np.exp(b.x / 1e4), b.y, b.subject) for k, b in study.batches.items()},
        study.features,
        study.classes,
    )
    sample, subject = p_values(positive), p_values(positive, "subject")
    assert sample.shape == subject.shape == (12, 3)
    batch = next(iter(positive.batches.values()))
    assert batch.y is not None
    means = pd.DataFrame(batch.x).groupby(batch.subject).mean().to_numpy()
    labels = pd.Series(batch.y).groupby(batch.subject).first().to_numpy()
    np.testing.assert_allclose(subject.iloc[:, 0], two_group_glm(means, labels)[1])


def test_batches_that_cannot_be_tested_are_left_out(study: Study) -> None:
    first, second, third = study.batches.values()
    batches = {"a": first, "b": Batch("b", second.x), "c": Batch("c", third.x, np.ones(len(third.x), int))}
    mixed = Study("mixed", batches, study.features, study.classes)
    assert list(p_values(mixed).columns) == ["a"]
    assert list(p_values(mixed, "subject").columns) == ["a"]
    with pytest.raises(CalibError, match="has 3"):
        p_values(Study("three", study.batches, study.features, ["a", "b", "c"]))
    with pytest.raises(CalibError, match="No batch"):
        p_values(Study("none", {"b": batches["b"]}, study.features, study.classes))


def test_overlaps_count_every_feature_once() -> None:
    p = pd.DataFrame({"1": [0.01, 0.01, 0.9, np.nan], "2": [0.01, 0.9, 0.04, 0.9], "3": [0.02, 0.05, 1, 1]})
    found = differential(p)
    counts = overlaps(found)
    assert counts == {
        ("1", "2", "3"): 1, ("1", "2"): 0, ("1", "3"): 0, ("2", "3"): 0, ("1",): 1, ("2",): 1, ("3",): 0,
    }  # fmt: skip
    assert sum(counts.values()) == found.any(axis=1).sum()


def test_of_many_batches_only_the_sets_that_occur_are_counted() -> None:
    batches = [str(number) for number in range(40)]
    found = pd.DataFrame(False, index=range(5), columns=batches)
    found.loc[[0, 3], ["4", "7"]] = True
    found.loc[1, "9"] = True
    assert list(overlaps(found).items()) == [(tuple(batches), 0), (("4", "7"), 2), (("9",), 1)]


def test_the_paper_s_figure_s1a_on_the_real_mi_data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIB_DATA_DIR", str(data_dir))
    study = build(compose("dataset=mi").dataset)
    found = differential(p_values(study))
    assert found.sum().tolist() == [161, 132, 135]
    assert found.all(axis=1).sum() == 84  # the paper: 82; BPSC itself: 83
    by_subject = differential(p_values(study, "subject"))
    assert by_subject.sum().tolist() == [120, 70, 68]
    assert by_subject.all(axis=1).sum() == 35
