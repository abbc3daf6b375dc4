"""Tests of mini-batches in lockstep, learning rates, and the parameters that each step moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from calib.adam import Adam
from calib.data.study import LabelledSamples, Samples, Task
from calib.errors import CalibError, DivergedError
from calib.methods.joint import Joint
from calib.minibatches import Pool, lockstep
from calib.protocol import Protocol
from calib.runs.run import method_settings
from calib.runtime import Runtime
from calib.seeds import stacked
from calib.training import Schedule, Step, train
from tests.conftest import compose


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def draw(sizes: list[int], batch_size: int, count: int, discard_first: bool = False) -> np.ndarray:
    stream = lockstep(sizes, batch_size, generator(), discard_first)
    return np.stack([next(stream).numpy() for _ in range(count)])


def test_a_pass_takes_no_row_twice_and_short_batches_start_again() -> None:
    rows = draw([12, 9], 4, 6)
    assert rows.shape == (6, 2, 4)
    assert sorted(rows[:3, 0].ravel()) == list(range(12))
    assert sorted(rows[3:, 0].ravel()) == list(range(12))
    for start in (0, 2, 4):  # a shuffle of nine rows has two full mini-batches
        assert len(set(rows[start : start + 2, 1].ravel())) == 8


def test_a_batch_smaller_than_the_minibatch_fills_it_by_repeating() -> None:
    rows = draw([3, 20], 8, 5)
    for minibatch in rows[:, 0]:
        assert np.bincount(minibatch, minlength=3).min() >= 2


def test_no_row_repeats_where_every_batch_is_smaller_than_the_minibatch(protocol: Protocol) -> None:
    seen: list[torch.Tensor] = []
    task, runtime, method = toy_task(), Runtime(0), joint(protocol, batch_size=128, epochs=2)
    networks = stacked([method.networks(task, runtime)])
    pool = Pool(
        [b.x for b in task.batches], [b.y for b in task.sources], runtime
    )  # batches of 20, 21 and 17 rows
    step_a, step_b = method.steps(networks, pool, 2, [runtime])

    def watched(rows: torch.Tensor) -> object:
        seen.append(rows)
        return step_a.losses(rows)

    train([Step(step_a.modules, 1, watched), step_b], pool.sizes, method.schedule, protocol, [runtime], "x")
    assert [rows.shape for rows in seen] == [(1, 3, 21)] * 2
    assert all(sorted(rows[0, 1].tolist()) == list(range(21)) for rows in seen)


def test_released_iterators_discard_a_shuffle() -> None:
    rows = draw([400], 100, 5, discard_first=True)
    assert sorted(rows[1:, 0].ravel()) == list(range(400))  # the second shuffle starts at mini-batch 1
    assert len(set(rows[:4, 0].ravel())) < 400


def test_learning_rates() -> None:
    schedule = Schedule(epochs=1, batch_size=2, lr=1.0, learning_step=10, weight_decay=0)
    assert schedule.lr_at(epoch=5, iteration=0, decay="continuous_epochs") == pytest.approx(0.9**0.5)
    assert schedule.lr_at(epoch=5, iteration=9, decay="staircase_iterations") == 1
    assert schedule.lr_at(epoch=5, iteration=10, decay="staircase_iterations") == pytest.approx(0.9)


def toy_task() -> Task:
    rng = np.random.default_rng(0)
    sources = [
        LabelledSamples(str(i), rng.normal(i, 1, (20 + i, 5)), rng.integers(0, 2, 20 + i)) for i in range(2)
    ]
    return Task(sources, [Samples("2", rng.normal(2, 1, (17, 5)))], 2)


def joint(protocol: Protocol, **changes: object) -> Joint:
    settings = {
        "epochs": 1, "batch_size": 20, "lr": 1e-3, "learning_step": 10, "weight_decay": 5e-5,
        "alpha1": 10, "beta": 10, "alpha2": 10, "gamma": 0.01, "lambda1": 1, "lambda2": 1,
        "dropout": 0.5, "reconstruct_targets": False,
    }  # fmt: skip
    return Joint(**settings | changes, protocol=protocol)


@pytest.mark.parametrize(
    ("optimizer", "idle", "moves"),
    [("per_step", "none", False), ("shared", "none", False), ("shared", "zero", True)],
)
def test_who_moves_in_step_b(protocol: Protocol, optimizer: str, idle: str, moves: bool) -> None:
    """Check that D rests in step B, except with one Adam for all steps and gradients of zero (torch 1.8)."""
    chosen = replace(protocol, optimizer=optimizer, idle_gradient=idle, rebuild_optimizer_each_epoch=False)
    task, runtime, method = toy_task(), Runtime(0), joint(chosen)
    networks = stacked([method.networks(task, runtime)])
    pool = Pool([b.x for b in task.batches], [b.y for b in task.sources], runtime)
    step_a, step_b = method.steps(networks, pool, 2, [runtime])
    before: dict[str, torch.Tensor] = {}

    def watched(rows: torch.Tensor) -> object:
        before.update({k: v.clone() for k, v in networks.discriminator.named_parameters()})
        return step_b.losses(rows)

    train([step_a, Step(step_b.modules, 1, watched)], pool.sizes, method.schedule, chosen, [runtime], "x")
    after = dict(networks.discriminator.named_parameters())
    assert all(torch.equal(before[name], after[name]) for name in before) != moves


def test_lambda_repeats_a_step(protocol: Protocol) -> None:
    task, runtime, method = toy_task(), Runtime(0), joint(protocol, lambda1=3)
    networks = stacked([method.networks(task, runtime)])
    pool = Pool([b.x for b in task.batches], [b.y for b in task.sources], runtime)
    seen: list[list[int]] = []
    step_a, step_b = method.steps(networks, pool, 2, [runtime])

    def watched(rows: torch.Tensor) -> object:
        seen.append(rows[0, 0].tolist())
        return step_a.losses(rows)

    steps = [Step(step_a.modules, step_a.repeats, watched), step_b]
    train(steps, pool.sizes, method.schedule, protocol, [runtime], "x")
    assert len(seen) == 3
    assert len({tuple(rows) for rows in seen}) == (3 if protocol.redraw_each_repetition else 1)


def test_recon_t_reconstructs_every_batch(protocol: Protocol) -> None:
    task, runtime = toy_task(), Runtime(0)
    assert len(joint(protocol).networks(task, runtime).reconstructors) == 2
    method = joint(protocol, reconstruct_targets=True)
    assert len(method.networks(task, runtime).reconstructors) == 3
    assert np.isfinite(method.fit(task, runtime).predict_proba(task.targets[0])).all()


def test_more_than_two_classes(protocol: Protocol) -> None:
    rng = np.random.default_rng(0)
    task = toy_task()
    sources = [replace(s, y=rng.integers(0, 4, len(s.x))) for s in task.sources]
    fitted = joint(protocol).fit(Task(sources, task.targets, 4), Runtime(0))
    probability = fitted.predict_proba(task.targets[0])
    assert probability.shape == (17, 4)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)


def test_a_loss_that_is_no_number_stops_the_training(protocol: Protocol) -> None:
    task = toy_task()
    task.sources[0].x[3, 2] = np.inf
    with pytest.raises(DivergedError, match="epoch 1 .*lower the learning rate"):
        joint(protocol).fit(task, Runtime(0))


def test_same_seed_same_weights_other_seed_others(protocol: Protocol) -> None:
    task = toy_task()
    a, b, c = (joint(protocol).fit(task, Runtime(seed)).transform(task.targets[0]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_protocol_refuses_unknown_choices(protocol: Protocol) -> None:
    with pytest.raises(
        CalibError, match="mmd_pairs=means is not one of: mean, sum_ordered; did you mean 'mean'"
    ):
        replace(protocol, mmd_pairs="means")
    with pytest.raises(CalibError, match="kernel_widths"):
        replace(protocol, kernel_widths=[1, 0])


@pytest.mark.parametrize(
    ("sizes", "epochs"),
    [([24, 20], 1000), ([129, 100], 1000), ([1300, 900], 100), ([640, 640], 200), ([100_000], 100)],
)
def test_the_rule_for_the_number_of_epochs(sizes: list[int], epochs: int) -> None:
    schedule = Schedule({"least": 100, "iterations": 1000}, 128, 1e-3, 10_000, 0)
    assert schedule.epochs_for(sizes) == epochs
    assert Schedule(7, 128, 1e-3, 10_000, 0).epochs_for(sizes) == 7


@pytest.mark.parametrize("rule", [{"least": 1}, {"least": 1, "iterations": 0}, {}, {"epochs": 3}])
def test_a_rule_for_epochs_is_checked(rule: dict[str, int]) -> None:
    with pytest.raises(CalibError, match="epochs"):
        Schedule(rule, 128, 1e-3, 10_000, 0)


def test_only_studies_without_published_values_follow_the_rule() -> None:
    """The printed lengths and rates are those of the paper's own studies."""
    for dataset in ("mi", "chd", "pancreas", "pancreas_mini", "demo"):
        for method in ("joint", "joint_plus", "baseline", "dann", "standardise_network", "cross_validation"):
            settings = method_settings(compose(f"dataset={dataset}", f"method={method}"))
            assert "'iterations'" not in str(settings), (dataset, method)
    own = compose("dataset=table", "dataset.path=x", "method=baseline").method.classifier
    assert (own.epochs, own.lr) == ({"least": 100, "iterations": 1000}, 1e-3)


@pytest.mark.parametrize(("decoupled", "kind"), [(False, torch.optim.Adam), (True, torch.optim.AdamW)])
def test_adam_is_pytorchs(decoupled: bool, kind: type[torch.optim.Adam]) -> None:
    """Also where a parameter has no gradient in some steps."""
    ours, theirs = ([torch.linspace(-1, 1, size).requires_grad_() for size in (7, 33)] for _ in range(2))
    adam = Adam(ours, weight_decay=0.1, decoupled=decoupled)
    expected = kind(theirs, lr=0.01, weight_decay=0.1, fused=True)
    for number in range(4):
        adam.clear(keep=False)
        expected.zero_grad()
        for parameters in (ours, theirs):
            moving = parameters[: 1 + number % 2]
            sum((parameter**3).sum() for parameter in moving).backward()
        adam.step(0.01)
        expected.step()
    assert all(map(torch.equal, ours, theirs))
