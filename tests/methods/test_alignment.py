"""Tests of DeepCORAL and DANN: losses against formulas, gradients, and that batches become alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.errors import CalibError
from calib.methods.alignment import Aligned
from calib.methods.dann import DomainClassifier, reverse_gradient, strength
from calib.methods.deep_coral import CoralLoss, coral_loss
from calib.methods.network import FeatureNetwork
from calib.runs.experiment import run
from calib.runs.models import MODEL
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose, small_run

BOTH = ["deep_coral", "dann"]


def method(name: str, **changes: object) -> Aligned:
    overrides = [f"method.{key}={value}" for key, value in changes.items()]
    return build(OmegaConf.create(method_settings(compose(f"method={name}", *overrides))))


def task(sources: int = 2, targets: int = 1) -> Task:
    """Return a task of batches of different size, whose classes differ in two features."""
    rng = np.random.default_rng(0)
    batches = []
    for number in range(sources + targets):
        y = rng.integers(0, 2, 60 + 7 * number)
        x = 100 * np.exp(rng.normal(0, 0.5, (len(y), 6)) + 0.3 * number)
        x[:, :2] *= np.exp(1.5 * y)[:, None]
        batches.append(LabelledSamples("abcd"[number], x, y))
    return Task(batches[:sources], [Samples(b.name, b.x) for b in batches[sources:]], 2)


def test_coral_loss_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(30, 4)), rng.normal(1, 2, (20, 4))
    expected = ((np.cov(source.T) - np.cov(target.T)) ** 2).sum() / (4 * 16)
    np.testing.assert_allclose(coral_loss(torch.tensor(source), torch.tensor(target)), expected)
    features = torch.tensor(rng.normal(size=(3, 20, 4)))
    pooled = ((np.cov(features[:2].reshape(40, 4).T) - np.cov(features[2].T)) ** 2).sum() / (4 * 16)
    np.testing.assert_allclose(CoralLoss()(features, 2, 0.5), pooled)


def test_reversed_gradient() -> None:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    (by_x,) = torch.autograd.grad(x.pow(3).sum(), x)
    y = reverse_gradient(x, 0.25)
    torch.testing.assert_close(y, x)
    (reversed_by_x,) = torch.autograd.grad(y.pow(3).sum(), x)
    torch.testing.assert_close(reversed_by_x, -0.25 * by_x)
    for by in (0.0, 1.0):  # layers before the reversal get no gradient, or the reversed one
        (slope,) = torch.autograd.grad(reverse_gradient(x.sin(), by).sum(), x)
        torch.testing.assert_close(slope, -by * x.cos())


def test_domain_loss_is_the_formula() -> None:
    classifier = DomainClassifier(4, 3, torch.Generator().manual_seed(0)).double()
    features = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hidden = (features @ classifier.fc1.weight.T + classifier.fc1.bias).clamp(min=0)
    logits = hidden @ classifier.fc2.weight.T + classifier.fc2.bias
    own = torch.stack([logits.softmax(-1)[batch, :, batch] for batch in range(3)])
    torch.testing.assert_close(classifier(features, 2, 0.3), -own.log().mean())


def test_the_domain_classifier_descends_while_the_features_climb() -> None:
    classifier = DomainClassifier(4, 3, torch.Generator().manual_seed(0)).double()
    features = torch.randn(
        3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True
    )
    half = torch.autograd.grad(classifier(features, 2, 0.1), [features, *classifier.parameters()])
    full = torch.autograd.grad(classifier(features, 2, 1.0), [features, *classifier.parameters()])
    torch.testing.assert_close(half[0] / strength(0.1), full[0] / strength(1.0))
    for one, other in zip(half[1:], full[1:], strict=True):
        torch.testing.assert_close(one, other)  # the classifier's own gradient is not scaled


def test_strength_of_the_reversal() -> None:
    assert strength(0) == 0
    assert strength(0.5) == pytest.approx(0.98661, abs=1e-5)
    assert strength(1) == pytest.approx(0.99991, abs=1e-5)


def test_feature_network() -> None:
    network = FeatureNetwork([4, 8, 5], 0.5, torch.Generator().manual_seed(0))
    x = torch.randn(1, 20, 4, generator=torch.Generator().manual_seed(1))
    first, second = (network(x, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert first.shape == (1, 20, 5)
    assert not first.equal(second)
    theirs = torch.nn.Sequential(
        *(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU()),
        *(torch.nn.Linear(8, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU()),
    )
    theirs[0].load_state_dict(network.linear[0].state_dict())
    theirs[3].load_state_dict(network.linear[1].state_dict())
    network.dropout.p = 0
    torch.testing.assert_close(network(x)[0], theirs(x[0]))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(("sources", "targets"), [(2, 1), (1, 3)])
def test_classes_are_learnt(name: str, sources: int, targets: int) -> None:
    given = task(sources, targets)
    fitted = method(name, batch_size=16).fit(given, Runtime(0))
    for target in given.targets:
        predicted = fitted.predict_proba(target).argmax(axis=1)
        y = target.x[:, :2].prod(axis=1) > np.median(target.x[:, :2].prod(axis=1))
        assert (predicted == y).mean() > 0.75


@pytest.mark.parametrize(("name", "epochs", "weight"), [("deep_coral", 30, 300), ("dann", 300, 1)])
def test_alignment_makes_batches_alike(name: str, epochs: int, weight: float) -> None:
    """Each method aligns something else: covariances of sources and target, or the means of all batches."""
    given = task()

    def apart(weight: float) -> float:
        one = method(name, batch_size=32, epochs=epochs, weight=weight, batch_scale="none")
        fitted = one.fit(given, Runtime(0))
        z = [torch.tensor(fitted.transform(batch)) for batch in given.batches]
        if name == "deep_coral":
            return float(coral_loss(torch.cat(z[:2]), z[2]))
        means = torch.stack([part.mean(dim=0) for part in z])
        return float(means.var(dim=0).sum() / torch.cat(z).var(dim=0).sum())

    assert apart(weight) < apart(0) / 1.5


@pytest.mark.parametrize("name", BOTH)
def test_a_saved_network_judges_alike(name: str) -> None:
    given, one = task(), method(name, epochs=2, batch_size=16)
    fitted = one.fit(given, Runtime(0))
    again = one.restore(fitted.state(), 6, 2, Runtime(1))
    for batch in given.batches:
        np.testing.assert_array_equal(again.predict_proba(batch), fitted.predict_proba(batch))
        np.testing.assert_array_equal(again.transform(batch), fitted.transform(batch))


@pytest.mark.parametrize("name", BOTH)
def test_a_run_can_keep_its_network(name: str, tmp_path: Path) -> None:
    run(small_run(name, tmp_path, "save_model=true"))
    assert list(tmp_path.rglob(MODEL))


def test_wrong_settings_are_named() -> None:
    for change, message in (
        ({"dropout": 1}, "dropout=1 must be below 1"),
        ({"hidden": "[]"}, r"hidden=\[\] must be a list of widths, one at least"),
        ({"weight": -1}, "weight=-1 must be a number of at least 0"),
        ({"transform": "log"}, "method.transform=log is not one of"),
    ):
        with pytest.raises(CalibError, match=message):
            method("dann", **change)
