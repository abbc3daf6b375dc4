"""Tests of metrics against the paper's formulas, of subjects, and of distances between batches."""

import numpy as np
import pytest
from scipy import sparse

from calib.data.study import FloatArray
from calib.evaluation.distances import DRAWS, PAIRS, batch_distances, chosen_distances, most_rows, summarise
from calib.evaluation.metrics import by_subject, count_classes, mean_over, score, unseen_classes
from calib.evaluation.separation import separation, silhouette, standardised


def two(p: list[float]) -> FloatArray:
    return np.stack([1 - np.array(p), p], axis=1)


def test_metrics_are_those_of_the_paper() -> None:
    y = np.array([1, 1, 1, 1, 0, 0, 0])
    got = score(two([0.9, 0.8, 0.7, 0.2, 0.6, 0.1, 0.3]), y)
    tp, fn, fp, tn = 3, 1, 1, 2
    assert got["accuracy"] == pytest.approx((tp + tn) / 7)
    assert got["f_score"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    mcc = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert got["mcc"] == pytest.approx(mcc)
    assert got["auc_hard"] == pytest.approx((tp / 4 + tn / 3) / 2)
    assert got["auc"] == pytest.approx(10 / 12)


def test_metrics_where_something_is_missing() -> None:
    one_class = score(two([0.2, 0.1]), np.array([0, 0]))
    assert one_class["accuracy"] == 1
    assert (one_class["auc"], one_class["auc_hard"], one_class["mcc"]) == (None, None, None)
    assert one_class["f_score"] == 0
    assert mean_over({"a": one_class, "b": score(two([0.2, 0.9]), np.array([0, 1]))})["auc"] is None


def test_metrics_of_more_classes() -> None:
    y = np.array([0, 0, 2, 2, 2])  # classes 1 and 3 do not occur
    p = np.full((5, 4), 0.1)
    p[[0, 1, 2, 3, 4], [0, 0, 2, 2, 1]] = 0.7
    got = score(p, y)
    assert got["accuracy"] == pytest.approx(0.8)
    assert got["f_score"] == pytest.approx((1 + 0 + 0.8) / 3)
    assert got["auc"] == pytest.approx(11 / 12)  # class 0: 1; class 2: two of three above both, one ties both
    assert 0 < got["auc_hard"] < 1


def test_classes_that_no_source_has_are_named() -> None:
    counts = {name: count_classes(np.array(y), "abcd") for name, y in (("1", [0, 0, 1]), ("2", [0, 3, 3, 2]))}
    assert counts["2"] == {"a": 1, "b": 0, "c": 1, "d": 2}
    assert unseen_classes(counts, ["1"], ["2", "unlabelled"]) == {"2": {"c": 1, "d": 2}}
    assert unseen_classes(counts, ["2"], ["1"]) == {"1": {"b": 1}}
    assert unseen_classes(counts, ["1", "2"], ["1"]) == {}


def test_subjects_take_the_median_of_their_samples() -> None:
    probability, y = by_subject(
        two([0.9, 0.2, 0.8, 0.1, 0.4]), np.array([1, 1, 1, 0, 0]), np.array([7, 7, 7, 3, 3])
    )
    np.testing.assert_allclose(probability[:, 1], [0.25, 0.8])
    assert y.tolist() == [0, 1]


def test_distances_between_batches() -> None:
    rng = np.random.default_rng(0)
    near = {name: rng.normal(0, 1, (60, 4)).astype("float32") for name in "abc"}
    far = near | {"c": near["c"] + 3}
    table = batch_distances({"before": far, "after": near}, seed=0, rows=40, draws=5)
    assert len(table) == 5 * 2 * 2 * 3
    assert (table["mmd2"] >= -1e-6).all()
    summary = summarise(table)
    assert summary["before"]["fixed"]["widths"] == "1 2 4 8 16"
    for kernel in ("fixed", "median"):
        before, after = summary["before"][kernel], summary["after"][kernel]
        assert before["a-c"]["mean"] > 5 * before["a-b"]["mean"]
        same_rows = after["a-b"] == pytest.approx(before["a-b"], rel=1e-3)
        assert same_rows or kernel == "median"
    again = batch_distances({"before": far, "after": near}, seed=0, rows=40, draws=5)
    assert table.equals(again)
    assert not table.equals(batch_distances({"before": far, "after": near}, seed=1, rows=40, draws=5))


def test_many_batches_give_fewer_rows_each() -> None:
    assert [most_rows(batches) for batches in (2, 10, 20, 10_000)] == [500, 500, 250, 2]
    data = {str(i): np.random.default_rng(i).normal(size=(3, 2)) for i in range(3)}
    sparse_data = {name: sparse.csr_array(x) for name, x in data.items()}
    assert batch_distances({"x": data}, 0, draws=2).equals(batch_distances({"x": sparse_data}, 0, draws=2))


def test_distances_of_batches_with_few_rows() -> None:
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=(7, 2)), "b": rng.normal(size=(30, 2))}
    assert np.isfinite(batch_distances({"x": data}, seed=0, rows=20, draws=2)["mmd2"]).all()


@pytest.mark.parametrize("sizes", [[1330, 1305, 1345], [100] * 3, [10] * 9, [600] * 20, [10] * 9 + [5000]])
def test_distances_are_drawn_again_and_again_where_rows_are_left_out_or_batches_are_few(
    sizes: list[int],
) -> None:
    chosen = chosen_distances(sizes)
    assert chosen.draws == DRAWS
    assert len(chosen.pairs) == len(sizes) * (len(sizes) - 1) // 2
    assert chosen.rule.startswith(f"all pairs of batches; {DRAWS} draws of at most")


def test_many_small_batches_have_one_draw_of_some_pairs() -> None:
    assert chosen_distances([10] * 10).rule == "all pairs of batches; all rows in one draw"
    for count in (33, 200, 501, 2000):
        chosen = chosen_distances([2] * count)
        assert chosen.draws == 1
        assert len(chosen.pairs) <= max(PAIRS, count)
        partners = np.bincount(np.ravel(chosen.pairs), minlength=count)
        assert set(partners) == {2 * max(PAIRS // count, 1)}
        assert all(i < j for i, j in chosen.pairs)
        assert f"{count} are many; all rows in one draw" in chosen.rule
    data = {str(i): np.random.default_rng(i).normal(size=(10, 3)) for i in range(200)}
    chosen = chosen_distances([10] * 200)
    table = batch_distances({"before": data, "after": data}, 0, draws=chosen.draws, pairs=chosen.pairs)
    assert len(table.to_csv()) < 300_000
    every = batch_distances({"before": data}, 0, draws=1)
    both = table.merge(every, on=["space", "kernel", "widths", "batch_a", "batch_b", "draw"])
    assert len(both) == len(chosen.pairs) * 2
    np.testing.assert_array_equal(both["mmd2_x"], both["mmd2_y"])
    assert summarise(table)["before"]["fixed"]["0-1"]["sd"] == 0


def test_separation_measures_rows_of_batches_and_known_classes() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(30, 4)), rng.normal(size=(20, 4)) + 9]
    y = [np.arange(30) % 2, None]
    found = separation(parts, y)
    x = standardised(np.concatenate(parts))
    assert found["batch"] == pytest.approx(silhouette(x, np.repeat([0, 1], [30, 20])))
    assert found["class"] == pytest.approx(silhouette(x[:30], y[0]))
    assert separation(parts[:1], [None]) == {"batch": None, "class": None}


def test_separation_of_many_rows_takes_a_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.sort(np.random.default_rng([0, 12]).permutation(50)[:12])
    monkeypatch.setattr("calib.evaluation.separation.chosen_rows", lambda *_, **__: drawn)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(30, 4)), sparse.csr_array(rng.normal(size=(20, 4)) + 1)]
    x = standardised(np.concatenate([parts[0], parts[1].toarray()])[drawn])
    group = np.repeat([0, 1], [30, 20])[drawn]
    assert separation(parts, [None, None])["batch"] == pytest.approx(silhouette(x, group))
