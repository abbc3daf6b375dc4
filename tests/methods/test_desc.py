"""Tests of DESC: its formulas to 1e-7, and its behaviour on the study on which the original was run."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from calib.comparators.autoencoder import MIN_DELTA
from calib.config import build
from calib.data.study import Samples
from calib.errors import CalibError, DivergedError
from calib.methods.desc import (
    DESC,
    Scale,
    kl_divergence,
    normalised,
    soft_assignment,
    suggested_dims,
    target_distribution,
)
from calib.runs.run import method_settings
from calib.runtime import Runtime
from calib.training import EarlyStop
from tests.conftest import compose

GOLDEN = Path(__file__).parents[1] / "golden" / "desc"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


def corrector(**changes: object) -> DESC:
    overrides = [f"method.corrector.{key}={value}" for key, value in changes.items()]
    return build(OmegaConf.create(method_settings(compose("method=desc", *overrides))["corrector"]))


def golden(name: str) -> torch.Tensor:
    return torch.tensor(np.loadtxt(GOLDEN / f"comp_{name}.csv", delimiter=","))


def two_groups(sizes: tuple[int, int] = (60, 50)) -> list[Samples]:
    """Return two batches, each with the same two groups of samples."""
    rng = np.random.default_rng(0)
    centres = rng.gamma(2, 500, (2, 12))
    return [
        Samples(name, centres[np.arange(n) % 2] * rng.lognormal(0, 0.1, (n, 12)))
        for name, n in zip("ab", sizes, strict=True)
    ]


def test_original_formulas() -> None:
    q = soft_assignment(golden("z"), golden("mu"), alpha=1.0)
    p = target_distribution(q)
    np.testing.assert_allclose(q, golden("q"), atol=1e-7)
    np.testing.assert_allclose(p, golden("p"), atol=1e-7)
    assert float(kl_divergence(p, q)) == pytest.approx(EXPECTED["kl_component"], abs=1e-7)


def test_degrees_of_freedom() -> None:
    z, centres = golden("z"), golden("mu")
    squared = ((z[:, None] - centres) ** 2).sum(dim=2)
    kernel = (1 + squared / 3) ** -2  # alpha = 3
    np.testing.assert_allclose(
        soft_assignment(z, centres, 3.0), kernel / kernel.sum(dim=1, keepdim=True), rtol=1e-12
    )


def test_divergence_of_empty_clusters_is_finite() -> None:
    p, q = torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0]], requires_grad=True)
    assert float(kl_divergence(p.detach(), q).detach()) == pytest.approx(-np.log(1e-7), rel=1e-4)


def test_the_nearer_of_two_close_centres_is_found_in_float32() -> None:
    """Otherwise samples between coinciding centres change clusters in every round, and clustering never ends."""
    rng = np.random.default_rng(0)
    centres = np.full((2, 16), 0.9) + np.array([[0], [1e-4]]) * rng.normal(size=16)
    z = centres[0] + 0.01 * rng.normal(size=(500, 16))
    exact, single = (
        soft_assignment(torch.tensor(z, dtype=kind), torch.tensor(centres, dtype=kind), 1.0).argmax(dim=1)
        for kind in (torch.float64, torch.float32)
    )
    assert (exact == single).double().mean() > 0.95


@pytest.mark.parametrize(("scale", "max_value"), [("by_batch", 6), ("all", 3)])
def test_behaviour_of_the_original(scale: str, max_value: int) -> None:
    """With data scaled by batch the clusters are the types; scaled together, they are types within batches."""
    x = np.loadtxt(GOLDEN / "input.csv.gz", delimiter=",", dtype=np.float32)
    cells = pd.read_csv(GOLDEN / "cells.csv")
    owner, kind = (cells[column].to_numpy() for column in ("batch", "type"))
    desc = corrector(normalise="null", log1p="false", scale=scale, max_value=max_value)
    runtime = Runtime(0)
    codes = desc.correct([Samples(str(b), x[owner == b]) for b in range(3)], runtime)
    code = np.concatenate([codes[str(b)] for b in range(3)])
    owner, kind = (np.concatenate([of[owner == b] for b in range(3)]) for of in (owner, kind))
    clusters = desc.first_clusters(torch.tensor(code), runtime)
    found, expected = clusters.max() + 1, EXPECTED[f"scale_{scale}"]
    batch_in_clusters = normalized_mutual_info_score(owner, clusters)

    assert code.shape == (660, expected["embed_dim"])
    assert abs(code).max() < 1
    assert code.std() == pytest.approx(expected["embed_std"], abs=0.05)
    changed = [row["changed"] for row in runtime.history if row["training"] == "DESC, clusters"]
    assert len(changed) == expected["n_target_updates"] - 1
    assert changed[0] == pytest.approx(expected["delta_label"][0], abs=0.01)
    if scale == "by_batch":
        assert found == expected["n_clusters"] == 4
        assert adjusted_rand_score(kind, clusters) > 0.95
        assert batch_in_clusters < 0.05
    else:
        assert abs(found - expected["n_clusters"]) <= 3
        assert adjusted_rand_score(kind, clusters) < 0.7
        assert batch_in_clusters > 0.4


def test_stages_of_the_pretraining() -> None:
    runtime = Runtime(0)
    codes = corrector(dims="[8,3]", pretrain_epochs=60).correct(two_groups(), runtime)
    assert {name: code.shape for name, code in codes.items()} == {"a": (60, 3), "b": (50, 3)}
    history = pd.DataFrame(runtime.history)
    rates = [f"DESC, layer {layer}, rate {rate}" for layer in (1, 2) for rate in ("0.1", "0.01", "0.001")]
    assert list(history["training"].unique()) == [
        *rates, "DESC, all layers, rate 1", "DESC, all layers, rate 0.1", "DESC, clusters",
    ]  # fmt: skip
    longest = history.groupby("training")["epoch"].max()
    assert (longest[rates] <= 10).all()  # half of the epochs, divided by three stages
    assert longest["DESC, all layers, rate 1"] == 50


def test_without_clustering() -> None:
    runtime = Runtime(0)
    codes = corrector(rounds=0, pretrain_epochs=12, dims="[4]").correct(two_groups(), runtime)
    assert codes["b"].shape == (50, 4)
    assert not any("KL" in row for row in runtime.history)


def test_early_stopping() -> None:
    """Training ends after the third epoch in a row whose loss is not lower by 1e-4."""
    losses = [1.0, 0.99995, 0.9, 0.9, 0.89995, 0.8998, 0.95, 0.8998, 0.8999]
    stop = EarlyStop(patience=3, min_delta=MIN_DELTA)
    assert [stop.after(loss) for loss in losses] == [False] * 8 + [True]
    assert stop.lowest == 0.8998


def test_a_round_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round ends after the first epoch and 5 without a lower loss, so never within the published 5 epochs."""
    epochs = []
    monkeypatch.setattr("calib.methods.desc.one_epoch", lambda *_: epochs.append(1) or 1.0)
    for given, expected in ((5, 5), (50, 6)):
        epochs.clear()
        corrector(pretrain_epochs=6, rounds=1, epochs=given).correct(two_groups(), Runtime(0))
        assert len(epochs) == expected


def test_suggested_dims() -> None:
    sizes = {20001: [128, 32], 20000: [64, 32], 10000: [32, 16], 5000: [128], 2000: [64], 500: [16]}
    assert {n: suggested_dims(n) for n in sizes} == sizes


def test_normalised() -> None:
    x = np.array([[1, 3, -2], [0, 0, 0]], np.float32)
    np.testing.assert_array_equal(normalised(x, 100, False), [[25, 75, 0], [0, 0, 0]])
    np.testing.assert_array_equal(normalised(x, None, True), np.log([[2, 4, 1], [1, 1, 1]]))
    np.testing.assert_array_equal(normalised(x, None, False), x)  # negative values stay as they are


def test_z_scores() -> None:
    x = np.array([[1, 5, 0], [2, 5, 0], [3, 5, 9]], float)
    root = 3**-0.5
    scale = Scale.of(x)
    np.testing.assert_allclose(scale.z_scores(x, None), [[-1, 0, -root], [0, 0, -root], [1, 0, 2 * root]])
    np.testing.assert_allclose(scale.z_scores(x, 0.5)[:, 0], [-1, 0, 0.5])
    np.testing.assert_array_equal(Scale.of(x[:1]).z_scores(x[:1], 6), np.zeros((1, 3)))


def test_scaling_by_batch_or_over_all_samples() -> None:
    batches = [np.array([[1.0], [3.0]]), np.array([[11.0], [13.0]])]
    flat = {"normalise": "null", "log1p": "false"}
    of_all = Scale.of(np.concatenate(batches))
    one, other = (corrector(scale="by_batch", **flat).prepared(batch, of_all) for batch in batches)
    np.testing.assert_array_equal(one, other)
    one, other = (corrector(scale="all", **flat).prepared(batch, of_all) for batch in batches)
    assert one.max() < 0 < other.min()


def test_same_seed_same_bytes() -> None:
    codes = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(codes))
        codes.append(corrector(pretrain_epochs=12).correct(two_groups(), Runtime(seed))["a"])
    assert codes[0].tobytes() == codes[1].tobytes() != codes[2].tobytes()


def test_few_samples() -> None:
    """Fewer samples than neighbours, and than rows of a mini-batch, give finite codes."""
    codes = corrector(pretrain_epochs=12, resolution=1.5).correct(two_groups((5, 4)), Runtime(0))
    assert [len(code) for code in codes.values()] == [5, 4]
    assert all(np.isfinite(code).all() for code in codes.values())


def test_one_cluster() -> None:
    with pytest.raises(
        CalibError, match=r"one cluster only among 9 .* raise method.corrector.resolution, which is 0\.01"
    ):
        corrector(pretrain_epochs=6, resolution=0.01).correct(two_groups((5, 4)), Runtime(0))


def test_missing_values_are_no_silent_codes() -> None:
    batches = two_groups()
    batches[0].x[3, 2] = np.nan
    with pytest.raises(DivergedError, match="no longer a finite number"):
        corrector(pretrain_epochs=6).correct(batches, Runtime(0))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scale", "batch", "scale=batch is not one of: by_batch, all; did you mean 'by_batch'"),
        ("log1p", "maybe", "log1p=maybe is not one of: true, false"),
        ("normalise", 0, "normalise=0 must be a number"),
        ("max_value", "high", "max_value=high must be a number"),
        ("dims", 32, "dims=32 must be a list of widths"),
        ("dims", "[]", "must be a list of widths"),
        ("dims", "[32,0]", "dims=0 must be a whole number of at least 1"),
        ("pretrain_epochs", 0, "pretrain_epochs=0 must be a whole number of at least 1"),
        ("batch_size", 1.5, "batch_size=1.5 must be a whole number"),
        ("neighbours", 1, "neighbours=1 must be a whole number of at least 2"),
        ("dropout", 1, "dropout=1 must be below 1"),
        ("resolution", -1, "resolution=-1 must be a number of at least 0"),
        ("alpha", "null", "alpha=None must be a number"),
        ("tol", -0.1, "tol=-0.1 must be a number of at least 0"),
    ],
)
def test_wrong_settings(key: str, value: object, message: str) -> None:
    with pytest.raises(CalibError, match=message.replace("[", r"\[")):
        corrector(**{key: value})
