"""Tests of the folds of the sources, by which a penalty is chosen and decisions are calibrated."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from calib.data.study import FloatArray, IntArray, LabelledSamples
from calib.methods.estimator import SklearnClassifier
from calib.methods.source_folds import SourceFolds, source_folds, source_groups
from calib.runtime import Runtime


class Watching(LogisticRegression):
    """Logistic regression that keeps the first feature, a subject's number, of every part that it is fitted to."""

    seen: list[IntArray] = []  # noqa: RUF012

    def fit(self, X: FloatArray, y: IntArray) -> "Watching":  # noqa: N803
        self.seen.append(X[:, 0])
        return super().fit(X, y)


def sources(replicates: Sequence[object | None]) -> list[LabelledSamples]:
    """Return sources of 12 subjects, each with three rows; the first feature is the subject's number."""
    owner = np.repeat(np.arange(12), 3)
    made = []
    for place, replicate in enumerate(replicates):
        x = np.column_stack([owner + 100 * place, np.random.default_rng(place).normal(size=36)])
        made.append(LabelledSamples(str(place), x, owner % 2, replicate=replicate))  # type: ignore[arg-type]
    return made


def test_a_subject_is_in_one_fold() -> None:
    groups = np.repeat(np.arange(20), 5)
    y = groups % 2
    folds = list(SourceFolds(5).split(y, y, groups))
    assert len(folds) == 5
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert np.bincount(y[test]).tolist() == [10, 10]
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(100))


def test_without_subjects_the_folds_are_blocks_of_rows() -> None:
    y = np.repeat([0, 1], 25)
    ours, theirs = (list(kind(5).split(y, y)) for kind in (SourceFolds, StratifiedKFold))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("grouped", [True, False])
def test_a_class_of_one_subject_is_in_every_training_part(grouped: bool) -> None:
    y = np.append(np.repeat([0, 1], 20), [2, 2] if grouped else [2])
    groups = np.append(np.arange(40) // 2, [99, 99]) if grouped else None
    for train, _ in source_folds(y, groups, 5).split(y, y, groups):
        assert set(y[train]) == {0, 1, 2}


def test_there_are_no_more_folds_than_subjects() -> None:
    y = np.array([0, 0, 0, 1, 1, 1])
    assert source_folds(y, np.array([0, 0, 0, 1, 1, 1]), 5).get_n_splits() == 2
    assert source_folds(y, None, 5).get_n_splits() == 3


def test_names_are_the_same_subject_in_every_source_and_numbers_are_not() -> None:
    numbers = source_groups(sources([np.repeat(np.arange(12), 3)] * 2))
    names = source_groups(sources([np.repeat([f"p{i}" for i in range(12)], 3)] * 2))
    assert numbers is not None
    assert names is not None
    assert (len(np.unique(numbers)), len(np.unique(names))) == (24, 12)
    np.testing.assert_array_equal(names[:36], names[36:])
    assert source_groups(sources([np.repeat(np.arange(12), 3), None])) is None


def test_subjects_reach_the_folds_of_an_estimator_inside_another_one() -> None:
    """A search over a calibrated classifier has folds within folds, and no subject is on both sides of any."""
    Watching.seen.clear()
    inner = CalibratedClassifierCV(Watching(), cv=2, ensemble=False)
    search = GridSearchCV(inner, {"estimator__C": [0.1, 1.0]}, cv=3, scoring="accuracy")
    given = sources([np.repeat(np.arange(12), 3)] * 2)
    SklearnClassifier(search, standardise=False).fit(given, 2, Runtime())
    assert len(Watching.seen) == (3 * 2 + 1) * (2 + 1)
    for part in Watching.seen:  # whole subjects only
        assert set(np.unique(part, return_counts=True)[1]) == {3}
    assert {len(part) for part in Watching.seen} == {72, 48, 36, 24}


def test_a_setting_is_chosen_that_suits_other_subjects() -> None:
    """Rows of a subject are alike: by rows its own neighbours would win, by subjects many neighbours do."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(60), 5)
    y = np.arange(60) % 2
    x = np.where(rng.random(60) < 0.25, 1 - y, y)[:, None] + rng.normal(0, 0.1, (60, 2))
    x = x[owner] + rng.normal(0, 1e-3, (300, 2))
    order = rng.permutation(300)
    chosen = {}
    for name, replicate in (("subjects", owner[order]), ("rows", None)):
        search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 50]}, cv=5, scoring="accuracy")
        given = LabelledSamples("a", x[order], y[owner][order], replicate=replicate)
        fitted = SklearnClassifier(search, standardise=True).fit([given], 2, Runtime())
        chosen[name] = fitted._model.best_params_["n_neighbors"]
    assert chosen == {"subjects": 50, "rows": 1}
