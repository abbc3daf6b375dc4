"""Tests of SVA and frozen SVA against R's sva 3.46.0, and of the data that their correctors get."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import ttest_ind

from calib.comparators.sva.frozen import Frozen, exact, fast
from calib.comparators.sva.lfdr import local_fdr
from calib.comparators.sva.number import analytic, by_permutation
from calib.comparators.sva.surrogates import (
    Surrogates,
    centred,
    coefficients,
    irw,
    model_matrix,
    p_values,
    two_step,
)
from calib.data.split import make_task, parse_splits
from calib.data.study import LabelledSamples, Samples, Study
from calib.errors import CalibError
from calib.estimators import BatchCorrector
from calib.methods.corrected import CorrectThenClassify
from calib.methods.sva import SVA, FrozenSVA
from calib.runs.experiment import run
from calib.runtime import Runtime
from tests.conftest import small_run

GOLDEN = Path(__file__).parents[1] / "golden" / "sva"


def table(name: str) -> np.ndarray:
    return pd.read_csv(GOLDEN / f"{name}.csv").to_numpy()


X, NEW = table("train").T, table("new").T
Y = table("train_group")[:, 0]


def signed(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return surrogate variables with the signs of others, because a singular vector's sign is arbitrary."""
    return values * np.sign((values * like).sum(axis=0))


@pytest.fixture(scope="module")
def found() -> Surrogates:
    return irw(X, Y, 2)


def test_irw(found: Surrogates) -> None:
    expected, probability = table("sv_irw"), table("pprob_irw")
    np.testing.assert_allclose(signed(found.values, expected), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.unwanted, probability[:, 0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(found.wanted, probability[:, 1], rtol=0, atol=1e-7)


def test_two_step_with_a_variable_left_out() -> None:
    expected, estimate = table("sv_two_step"), two_step(X, Y, 2)
    assert estimate.number == expected.shape[1] == 1
    np.testing.assert_allclose(signed(estimate.values, expected), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(estimate.unwanted == 1, table("pprob_two_step")[:, 0] == True)  # noqa: E712


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_fsva(mode: str, found: Surrogates) -> None:
    effects = coefficients(X, Y, found.values)
    new = {"exact": exact, "fast": fast}[mode](Frozen.of(X, found), NEW)
    expected = table(f"fsva_{mode}_newsv")
    signs = np.sign((found.values * table("sv_irw")).sum(axis=0))
    np.testing.assert_allclose(new * signs, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(NEW - new @ effects, table(f"fsva_{mode}_new").T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(X - found.values @ effects, table("fsva_exact_train").T, rtol=0, atol=1e-8)


def test_number_of_surrogate_variables() -> None:
    (be, leek), model = table("num_sv")[0], model_matrix(Y)
    assert {by_permutation(X, model, 20, np.random.default_rng(seed)) for seed in range(5)} == {be}
    assert analytic(X, model) == leek
    noise = np.random.default_rng(0).normal(size=(30, 80))
    assert by_permutation(noise, model_matrix(np.arange(30) % 3), 20, np.random.default_rng(0)) == 0


@pytest.mark.parametrize("shape", [(15, 200), (60, 45)])
def test_the_analytic_rule_step_by_step(shape: tuple[int, int]) -> None:
    """The result is that of the published rule, computed on matrices of samples times samples."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape) + 3 * np.outer(rng.normal(size=shape[0]), rng.normal(size=shape[1]))
    n, m = shape
    model = model_matrix(np.arange(n) % 2)
    free = np.eye(n) - model @ np.linalg.pinv(model)
    counts = []
    for part in range(m // 10, 10 * (m // 10) + 1, m // 10):
        products = x[:, :part] @ x[:, :part].T / part
        smallest = max(np.linalg.eigvalsh(products)[0], 0) if part >= n else 0
        values = np.linalg.eigvalsh(free @ products @ free - smallest * free)
        values[abs(values) < 1e-12] = 0
        steps = np.linspace(0, 2, 100) * part ** (-1 / 3) * n
        counts.append([(values > step).sum() for step in steps])
    spread = np.var(counts, axis=0, ddof=1)
    peak = next((i for i in range(100) if spread[i] > 2 * spread[0]), 0)
    start = next((i for i in range(peak + 1, 100) if spread[i] < spread[0] / 2), 0)
    end = next((i for i in range(start + 1, 100) if spread[i] > spread[0]), 99)
    assert analytic(x, model) == np.bincount(counts[-1][start : end + 1]).argmax()


@pytest.mark.parametrize("shape", [(12, 30), (40, 9)])
def test_exact_is_a_decomposition_with_the_new_sample(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    x, new = rng.normal(size=shape) * 5, rng.normal(size=(3, shape[1])) * 5
    weights = rng.uniform(0.2, 1, shape[1])
    vectors = np.linalg.svd(centred(x * weights), full_matrices=False)[0][:, :3]
    got = exact(Frozen.of(x, Surrogates(vectors, weights)), new)
    for one, values in zip(new, got, strict=True):
        u = np.linalg.svd(centred(np.vstack([x, one]) * weights), full_matrices=False)[0][:, :3]
        np.testing.assert_allclose(values, signed(u[:-1], vectors)[0] * u[-1] / u[0], rtol=1e-7, atol=1e-12)


def test_p_values_of_two_groups_are_those_of_the_t_test() -> None:
    got = p_values(X, model_matrix(Y), np.ones((len(X), 1)))
    np.testing.assert_allclose(got, ttest_ind(X[Y == 0], X[Y == 1]).pvalue, rtol=1e-9)
    constant = np.where(np.arange(X.shape[1]) == 4, 7.0, X)
    assert p_values(constant, model_matrix(Y), np.ones((len(X), 1)))[4] == 1


def test_local_false_discovery_rate() -> None:
    rng = np.random.default_rng(0)
    effect = np.arange(3000) < 600
    p = np.where(effect, rng.beta(0.1, 8, 3000), rng.uniform(size=3000))
    rate = local_fdr(p)
    assert (np.diff(rate[np.argsort(p)]) >= 0).all()
    assert rate.min() >= 0
    assert rate.max() <= 1
    assert abs(rate.mean() - 0.8) < 0.05
    assert (local_fdr(np.full(50, 1e-12)) == 0).all()  # no p-value suggests that there is no effect
    assert (local_fdr(np.full(50, 1e-12), least=1) > 0).all()


def plates(seed: int = 0) -> tuple[list[LabelledSamples], list[Samples]]:
    """Return two source plates and a target, with one strong direction that is unrelated to the classes."""
    rng = np.random.default_rng(seed)
    direction, signal = rng.normal(size=40), np.where(np.arange(40) < 8, 2.0, 0)

    def plate(n: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(n) % 2
        factor = shift + rng.normal(size=n)
        return np.outer(y, signal) + np.outer(factor, direction) + 0.3 * rng.normal(size=(n, 40)), y

    (a, ya), (b, yb), (c, _) = plate(30, 0), plate(25, 3), plate(20, 6)
    return [LabelledSamples("a", a, ya), LabelledSamples("b", b, yb)], [Samples("c", c)]


CORRECTORS = {
    "sva": SVA("be", 20, "irw"),
    "sva two_step": SVA("be", 20, "two_step"),
    "fsva exact": FrozenSVA("be", 20, "exact"),
    "fsva fast": FrozenSVA(1, 20, "fast"),
}


@pytest.mark.parametrize("name", ["sva", "sva two_step", "fsva exact"])
def test_an_unwanted_direction_is_taken_out_and_the_signal_stays(name: str) -> None:
    sources, targets = plates()
    corrected = CORRECTORS[name].correct(sources, targets, Runtime())
    x, y = corrected["c"], np.arange(20) % 2
    distance = np.linalg.norm(corrected["a"].mean(axis=0) - x.mean(axis=0))
    assert distance < 0.3 * np.linalg.norm(sources[0].x.mean(axis=0) - targets[0].x.mean(axis=0))
    gap = x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)
    assert gap[:8].mean() > 1.4
    assert x.std(axis=0)[8:].mean() < 0.7 * targets[0].x.std(axis=0)[8:].mean()
    assert x.dtype == np.float32


@pytest.mark.parametrize("name", CORRECTORS)
def test_sparse_as_dense_and_nothing_found_as_given(name: str) -> None:
    sources, targets = plates()
    given = [replace(batch, x=sparse.csr_array(batch.x)) for batch in sources]
    new = [replace(batch, x=sparse.csr_array(batch.x)) for batch in targets]
    one = CORRECTORS[name].correct(sources, targets, Runtime())
    other = CORRECTORS[name].correct(given, new, Runtime())
    assert all(np.array_equal(one[batch], other[batch]) for batch in "abc")
    none = SVA(0, 20, "irw").correct(sources, targets, Runtime())
    np.testing.assert_array_equal(none["c"], targets[0].x.astype(np.float32))


def test_what_a_target_sample_depends_on() -> None:
    """In exact fSVA it depends on no other target sample; in SVA and fast fSVA it depends on all of them."""
    sources, (target,) = plates()
    fewer = replace(target, x=target.x[:10])
    alone = {}
    for name, corrector in CORRECTORS.items():
        runtime = Runtime(dtype=Runtime.from_names(0, "cpu", "float64", False).dtype)
        whole = corrector.correct(sources, [target], runtime)
        part = corrector.correct(sources, [fewer], runtime)
        alone[name] = np.allclose(whole["c"][:10], part["c"], rtol=0, atol=1e-9)
        assert np.allclose(whole["a"], part["a"], rtol=0, atol=1e-12) == name.startswith("fsva")
    assert alone == {"sva": False, "sva two_step": False, "fsva exact": True, "fsva fast": False}


class Spy:
    """A corrector that uses source labels and keeps its arguments."""

    version, uses_source_labels = 1, True

    def correct(
        self, sources: Sequence[LabelledSamples], targets: Sequence[Samples], runtime: Runtime
    ) -> Mapping[str, np.ndarray]:
        self.sources, self.targets = sources, targets
        return {batch.name: batch.dense + 1 for batch in [*sources, *targets]}


class Classless:
    """A classifier that learns nothing."""

    version = 1

    def fit(self, sources: Sequence[LabelledSamples], n_classes: int, runtime: Runtime) -> "Classless":
        self.sources = sources
        return self


def test_labels_of_sources_only(study: Study) -> None:
    spy, classifier = Spy(), Classless()
    task = make_task(study, parse_splits("12_3", study)[0])
    fitted = CorrectThenClassify(spy, classifier).fit(task, Runtime())  # type: ignore[arg-type]
    assert [source.name for source in spy.sources] == ["1", "2"]
    assert all(isinstance(source, LabelledSamples) for source in spy.sources)
    assert [type(target) for target in spy.targets] == [Samples]
    np.testing.assert_array_equal(classifier.sources[0].x, study.batches["1"].x + 1)
    np.testing.assert_array_equal(fitted.transform(task.targets[0]), study.batches["3"].x + 1)


def test_it_is_made_anew_for_every_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for split in ("12_3", "13_2"):
        (result,) = run(small_run("fsva", tmp_path, f"split='{split}'"))
        assert result["correction"] is None
    assert "Surrogate variables of 56 samples: " in caplog.text
    assert "Surrogate variables of 68 samples: " in caplog.text
    assert not list(tmp_path.glob("corrections"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SVA("bee", 20, "irw"), "number=bee is not one of: be, leek; did you mean 'be'?"),
        (lambda: SVA(-1, 20, "irw"), "number=-1 must be a whole number of at least 0"),
        (lambda: SVA("be", 0, "irw"), "permutations=0 must be"),
        (lambda: SVA("be", 20, "svd"), "estimator=svd is not one of: irw, two_step"),
        (lambda: FrozenSVA("be", 20, "slow"), "mode=slow is not one of: exact, fast"),
        (lambda: SVA(60, 20, "irw").correct(*plates(), Runtime()), "60 surrogate variables are more than 55"),
        (lambda: FrozenSVA(1, 20, "fast").correct(plates()[0], [Samples("c", np.ones((1, 40)))], Runtime()),
         "there is one only"),
        (lambda: analytic(np.ones((5, 9)), np.ones((5, 1))), "at least 10 features"),
        (lambda: irw(np.ones((9, 20)), np.arange(9) % 2, 1), "no feature that depends on surrogate"),
    ],
)  # fmt: skip
def test_errors(build: Callable[[], object], message: str) -> None:
    with pytest.raises(CalibError, match=re.escape(message)):
        build()


def test_the_estimator_for_notebooks_says_that_labels_are_needed() -> None:
    with pytest.raises(ValueError, match="method=sva needs labels of some batches"):
        BatchCorrector("sva").fit(X, batch=np.repeat(["a", "b"], 20))
