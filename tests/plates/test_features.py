"""Tests of what carries the answers, on simulated plates in which it is known."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from calib.data.study import Batch, Study
from calib.errors import CalibError
from calib.plates.features import features
from calib.plates.groups import groups_of
from calib.plates.markers import markers
from calib.plates.ranks import centred_ranks, class_auc, macro_auc
from calib.plates.shuffles import shuffled_rows, with_shuffled

FEATURES = 15


def plate(name: str, seed: int, classes: int = 2, n: int = 90, positive: bool = False) -> Batch:
    """Draw a plate with gains and offsets of its own.

    Feature 0 is larger in the last class and feature 1 is nearly its copy; feature 2 is smaller in the last
    class; all others are noise, 5 and 6 nearly the same.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, FEATURES))
    last = y == classes - 1
    x[:, 0] += 2 * last
    x[:, 1] = x[:, 0] + 0.3 * rng.normal(size=n)
    x[:, 2] -= 1.5 * last
    x[:, 6] = x[:, 5] + 0.1 * rng.normal(size=n)
    if classes == 3:
        x[:, 3] += 2 * (y == 0)
    x = x * rng.uniform(0.5, 2, FEATURES) + rng.normal(size=FEATURES)
    x = np.exp(x) if positive else x
    return Batch(name, x.astype(np.float32), y)


def study(plates: Sequence[Batch], classes: int = 2) -> Study:
    names = ["control", "case", "other"] if classes == 2 else ["one", "two", "three"]
    return Study("made", {p.name: p for p in plates}, [f"f{i}" for i in range(FEATURES)], names[:classes])


def three(classes: int = 2) -> list[Batch]:
    return [plate(f"plate {i}", i, classes) for i in range(3)]


def test_planted_features_are_found_and_noise_is_not() -> None:
    told: list[tuple[int, int]] = []
    found = features(
        study(three()), "standardise_logistic", shuffles=2, progress=lambda made, of: told.append((made, of))
    )
    groups = found.groups.set_index("features")
    pair = next(name for name in groups.index if {"f0", "f1"} <= set(name.split(", ")))
    assert set(pair.split(", ")) == {"f0", "f1"}
    assert set(groups.index[:2]) == {pair, "f2"}
    assert groups.loc[pair, "direction"] == "+"
    assert groups.loc["f2", "direction"] == "-"
    assert (groups["stable"].iloc[:2] == 1).all()
    assert groups.loc["f2", "importance"] > 0.05
    assert groups["importance"].iloc[2:].max() < 0.025
    assert any({"f5", "f6"} == set(name.split(", ")) for name in groups.index)
    assert (groups["low"] <= groups["importance"]).all()
    assert (groups["importance"] <= groups["high"]).all()
    assert -1 <= found.agreement <= 1
    assert found.judged_by == "Standardised, logistic regression"
    sets = len(groups) + any("shuffled only all together" in one for one in found.caveats)
    assert told[0] == (0, 3 * sets * 2)
    assert told[-1] == (3 * sets * 2, 3 * sets * 2)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    made = study(three()[:2])
    one, two, other = (features(made, "standardise_logistic", seed=seed, shuffles=1) for seed in (1, 1, 2))
    assert one.groups.to_csv() == two.groups.to_csv()
    assert one.markers.to_csv() == two.markers.to_csv()
    assert one.groups.to_csv() != other.groups.to_csv()


def test_sparse_data_have_the_numbers_of_dense_ones() -> None:
    def thinned(batch: Batch) -> Batch:
        return Batch(batch.name, np.where(batch.dense > 0.3, batch.dense, 0).astype(np.float32), batch.y)

    dense = [thinned(batch) for batch in three()]
    stored = [Batch(b.name, sparse.csr_array(b.dense), b.y) for b in dense]
    one, two = (features(study(some[:2]), "standardise_logistic", shuffles=1) for some in (dense, stored))
    np.testing.assert_allclose(one.groups["importance"], two.groups["importance"], atol=2e-3)
    assert one.groups["features"].iloc[0] == two.groups["features"].iloc[0]
    assert one.markers.to_csv() == two.markers.to_csv()


def test_three_classes_name_the_class_that_a_feature_speaks_for() -> None:
    found = features(study(three(3), 3), "standardise_logistic", shuffles=1)
    groups = found.groups.set_index("features")
    pair = next(name for name in groups.index if "f0" in name.split(", "))
    assert groups.loc[pair, "direction"] == "three"
    assert groups.loc["f3", "direction"] == "one"
    assert set(groups.index[:3]) == {pair, "f2", "f3"}
    best = found.markers.groupby("class", sort=False)["feature"].first()
    assert best["one"] == "f3"
    assert best["three"] in ("f0", "f1")
    assert (found.markers["class"].value_counts() == 5).all()


def test_a_method_that_knows_no_later_plate_is_replaced_and_said_so() -> None:
    found = features(study(three()[:2]), "cca", shuffles=1)
    assert found.judged_by == "Standardised, logistic regression"
    assert found.caveats[0].startswith("The method of the calls, CCA")
    found = features(study(three()[:2]), "deep_coral", shuffles=1)
    assert "needs plates without labels" in found.caveats[0]


def test_plates_without_labels_are_targets_and_plates_of_one_class_tell_nothing() -> None:
    plates = three()
    blank = Batch("plate 9", plate("", 9).x)
    single = Batch("plate 5", plate("", 5).x, np.zeros(90, np.int64))
    tiny = Batch("plate 6", plates[0].x[:6], plates[0].y[:6])
    found = features(study([*plates, blank, single, tiny]), "standardise_logistic", shuffles=1)
    assert any("'plate 5', 'plate 6'" in one for one in found.caveats)
    assert set(found.groups["features"].iloc[0].split(", ")) == {"f0", "f1"}


def test_nothing_can_be_told_without_two_plates_of_two_classes() -> None:
    with pytest.raises(CalibError, match="no such plate"):
        features(study([plate("a", 0), Batch("b", plate("b", 1).x)]), "standardise_logistic")
    with pytest.raises(CalibError, match="no setting method.epoch"):
        features(study(three()), "standardise_logistic", {"epoch": 3})


def test_a_class_that_the_other_plates_lack_has_no_answers() -> None:
    plates = three(3)
    lacking = [Batch(p.name, p.x[p.y < 2], p.y[p.y < 2]) for p in plates[1:]]
    found = features(study([plates[0], *lacking], 3), "standardise_logistic", shuffles=1)
    assert np.isfinite(found.groups["importance"]).all()


def test_shuffling_keeps_the_values_of_each_feature() -> None:
    x = np.random.default_rng(0).poisson(1, (40, 6)).astype(np.float32)
    rows = shuffled_rows(np.random.default_rng(1), 40, None)
    some = np.array([1, 4])
    dense, stored = with_shuffled(x, some, rows), with_shuffled(sparse.csr_array(x), some, rows)
    assert isinstance(dense, np.ndarray)
    np.testing.assert_array_equal(stored.toarray(), dense)  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.sort(dense, axis=0), np.sort(x, axis=0))
    np.testing.assert_array_equal(dense[:, some], x[rows][:, some])  # the group moves together
    np.testing.assert_array_equal(np.delete(dense, some, axis=1), np.delete(x, some, axis=1))
    assert (dense[:, 1] != x[:, 1]).any()


def test_samples_of_a_subject_move_together() -> None:
    subject = np.tile(np.arange(10), 3).astype(str)
    rows = shuffled_rows(np.random.default_rng(2), 30, subject)
    assert sorted(rows) == list(range(30))
    given = {one: set(subject[rows[subject == one]]) for one in np.unique(subject)}
    assert all(len(others) == 1 for others in given.values())
    assert len(set.union(*given.values())) == 10
    unequal = np.repeat(["a", "b", "c"], [5, 2, 9])
    assert sorted(shuffled_rows(np.random.default_rng(3), 16, unequal)) == list(range(16))


def test_ranks_are_those_of_scikit_learn_and_scipy() -> None:
    rng = np.random.default_rng(4)
    values, y = rng.integers(0, 5, (60, 4)).astype(float), rng.integers(0, 3, 60)
    found = class_auc(values, y, 4)
    for c in range(3):
        for j in range(4):
            assert found[c, j] == pytest.approx(roc_auc_score(y == c, values[:, j]))
    assert np.isnan(found[3]).all()
    p = rng.dirichlet(np.ones(3), 60)
    expected = np.mean([roc_auc_score(y == c, p[:, c]) for c in range(3)])
    assert macro_auc(p, y) == pytest.approx(expected)
    assert macro_auc(p[:, :2], np.minimum(y, 1)) == pytest.approx(roc_auc_score(np.minimum(y, 1), p[:, 1]))
    assert np.isnan(macro_auc(p, np.zeros(60, np.int64)))
    ranks = centred_ranks(values)
    assert ranks[:, 0] @ ranks[:, 1] == pytest.approx(spearmanr(values[:, 0], values[:, 1])[0])
    assert centred_ranks(np.ones((5, 1))).tolist() == [[0]] * 5


def test_groups_are_within_plates() -> None:
    """Two features that differ between plates only are no group; opposite ones are."""
    rng = np.random.default_rng(5)
    x, p = {}, {}
    for move in (0, 10, 20):
        values = rng.normal(size=(200, 3)) + np.array([move, move, 0])
        values[:, 2] = -values[:, 0] + 0.1 * rng.normal(size=200)
        x[str(move)] = values
        one = 1 / (1 + np.exp(-values[:, 1] + move))
        p[str(move)] = np.column_stack([1 - one, one])
    found = groups_of(x, p)
    assert [sorted(own.tolist()) for own in found.members] == [[1], [0, 2]]
    assert found.speaks[0, 1] == pytest.approx(1)
    assert len(found.rest) == 0


def test_markers_are_directed_and_agree_over_plates() -> None:
    made = {batch.name: batch for batch in three()}
    found = markers(made, [f"f{i}" for i in range(FEATURES)], ["control", "case"])
    assert len(found) == 10
    assert (found["class"] == "case").all()
    first = found.set_index("feature").loc[["f0", "f2"]]
    assert first.loc["f0", "auc"] > 0.85
    assert first.loc["f2", "auc"] < 0.2
    assert (first["plates"] == 1).all()
    assert found["auc"].sub(0.5).abs().is_monotonic_decreasing
    tiny = Batch("tiny", made["plate 0"].x[:6], made["plate 0"].y[:6])
    pd.testing.assert_frame_equal(
        markers({**made, "tiny": tiny}, [f"f{i}" for i in range(FEATURES)], ["control", "case"]), found
    )
    assert len(markers({"tiny": tiny}, [f"f{i}" for i in range(FEATURES)], ["control", "case"])) == 10


def test_labels_without_relation_leave_nothing_to_carry() -> None:
    rng = np.random.default_rng(7)
    plates = [Batch(batch.name, batch.x, rng.permutation(np.arange(90) % 2)) for batch in three()]
    found = features(study(plates), "standardise_logistic", shuffles=1)
    assert abs(found.groups["importance"].mean()) < 0.02
    assert any("hardly tells the classes" in one for one in found.caveats)
