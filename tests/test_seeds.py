"""Tests that seeds trained together give the bytes of each seed trained alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch.nn import functional as F

import calib.runs.schedule
from calib.data.split import make_task, parse_split
from calib.data.study import Study, Task
from calib.errors import CalibError, DivergedError
from calib.layers import BatchNorm, chain, default_linear
from calib.methods.joint import Joint
from calib.overrides import parsed
from calib.runs.experiment import run
from calib.runs.planner import Planner
from calib.runs.run import load, make_run
from calib.runs.schedule import overrides, schedule, together
from calib.runs.series import Series
from calib.runtime import Runtime
from calib.seeds import LinearStack, stacked
from tests.conftest import CONF, SMALL, compose, fast, small_run


def files(record: Path) -> dict[str, bytes]:
    return {
        name: (record / name).read_bytes() for name in ("predictions.csv", "embedding.npz", "history.csv")
    }


def recorded(out: Path) -> dict[int, Path]:
    return {json.loads(file.read_text())["seed"]: file.parent for file in out.glob("runs/*/*/*/result.json")}


@pytest.mark.parametrize("method", ["joint", "baseline"])
def test_seeds_together_write_the_bytes_of_each_alone(method: str, tmp_path: Path) -> None:
    several = run(
        small_run(method, tmp_path / "together", "seed='3,1,2'", "batch_seeds=true", "split='12_3'")
    )
    assert [result["seed"] for result in several] == [3, 1, 2]
    for seed in (1, 2, 3):
        (alone,) = run(small_run(method, tmp_path / "alone", f"seed={seed}", "split='12_3'"))
        assert alone["key"] == next(result["key"] for result in several if result["seed"] == seed)
        assert alone["seeds_together"] == [seed]
    ours, theirs = recorded(tmp_path / "together"), recorded(tmp_path / "alone")
    for seed in (1, 2, 3):
        assert files(ours[seed]) == files(theirs[seed])
        config = OmegaConf.load(ours[seed] / "config.yaml")
        assert (config.seed, config.batch_seeds) == (seed, False)


@pytest.mark.parametrize("changes", [["dtype=float64"], ["protocol=released"], ["dataset.features=5"]])
def test_odd_shapes_and_other_options_keep_the_bytes(changes: list[str]) -> None:
    """Check shapes at which some of PyTorch's operations compute the end of an array in another way."""
    config = compose(
        "dataset=demo", *SMALL, *fast("joint"), "method.batch_size=7", "method.lambda1=2", *changes
    )
    study, data = load(config)
    split = parse_split("12_3", study)
    task, method = make_task(study, split), make_run(config, study, data, split).method
    runtimes = [Runtime.from_names(seed, "cpu", config.dtype, progress=False) for seed in range(3)]
    for seed, fitted in enumerate(method.fit_seeds(task, runtimes)):
        alone = Runtime.from_names(seed, "cpu", config.dtype, progress=False)
        expected = method.fit(task, alone)
        np.testing.assert_array_equal(
            fitted.predict_proba(task.targets[0]), expected.predict_proba(task.targets[0])
        )
        np.testing.assert_array_equal(fitted.transform(task.targets[0]), expected.transform(task.targets[0]))
        assert runtimes[seed].history == alone.history


def test_what_is_recorded_is_not_trained_again(tmp_path: Path) -> None:
    (first,) = run(small_run("joint", tmp_path, "seed=1"))
    results = run(small_run("joint", tmp_path, "seed='0,1,2'", "batch_seeds=true"))
    assert results[1] == first
    assert results[0]["seeds_together"] == results[2]["seeds_together"] == [0, 2]


def test_a_seed_that_diverges_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit_together = Joint.fit_together

    def diverging(self: Joint, tasks: list[Task], runtimes: list[Runtime]) -> list:
        if any(runtime.seed == 1 for runtime in runtimes):
            raise DivergedError("a loss is no longer a finite number in epoch 2")
        return fit_together(self, tasks, runtimes)

    monkeypatch.setattr(Joint, "fit_together", diverging)
    with pytest.raises(DivergedError, match="epoch 2"):
        run(small_run("joint", tmp_path, "seed='0,1,2'", "batch_seeds=true"))
    assert set(recorded(tmp_path)) == {0, 2}
    (error,) = tmp_path.glob("runs/*/*/*/error.txt")
    assert "epoch 2" in error.read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["seed='0,1'"], "seed=0,1 must be a whole number"),
        (["seed='0,x'", "batch_seeds=true"], "seed=x must be a whole number"),
        (["seed='0,1'", "batch_seeds=yes"], "batch_seeds=yes is not one of"),
        (["cuda_graphs=true"], "cuda_graphs=true needs a GPU"),
    ],
)
def test_wrong_seeds_are_refused(changes: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(CalibError, match=message):
        run(small_run("joint", tmp_path, *changes))


def test_the_planner_puts_seeds_together(tmp_path: Path) -> None:
    variant = " ".join(o.replace(" ", "") for o in [*SMALL, *fast("joint")])
    series = [Series(["demo"], ["joint"], ["paper"], [0, 1, 2], [variant])]
    scheduled = schedule(list(Planner(CONF, tmp_path).jobs(series)), {"runs": {}, "studies": {}})
    groups = together(scheduled)
    assert sorted(len(group) for group in groups) == [3, 3, 3]  # one group for each split
    assert {"seed='0,1,2'", "batch_seeds=true"} <= set(overrides(groups[0]))
    assert overrides(groups[0][:1]) == list(groups[0][0].job.overrides)
    for item in scheduled:
        item.job.run.config.device = "cuda"
    (group,) = together(scheduled)
    *_, seeds, splits, close = overrides(group)
    assert (seeds, close) == ("seed='0,1,2'", "batch_seeds=close")
    override = parsed(splits)
    assert override is not None
    assert sorted(override.value()) == ["12_3", "13_2", "23_1"]  # type: ignore[arg-type,call-overload]


def test_the_planner_leaves_large_studies_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calib.runs.schedule, "SMALL", 35)  # the tiny study has 36
    variant = " ".join(o.replace(" ", "") for o in [*SMALL, *fast("joint")])
    jobs = list(Planner(CONF, tmp_path).jobs([Series(["demo"], ["joint"], ["paper"], [0, 1], [variant])]))
    assert all(len(group) == 1 for group in together(schedule(jobs, {"runs": {}, "studies": {}})))


def test_a_stack_is_its_layers_side_by_side() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [default_linear(5, 3, generator).double() for _ in range(2)]
    x = torch.randn(2, 4, 7, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    scale, shift = torch.rand(2, 2, 1, 1, 5, generator=generator, dtype=torch.float64)
    together = LinearStack(layers)
    torch.testing.assert_close(together(x), torch.stack([layers[0](x[0]), layers[1](x[1])]))
    scaled = together(x, scale, shift)
    torch.testing.assert_close(scaled, together(x * scale + shift))
    torch.testing.assert_close(scaled[1], layers[1](x[1], scale[1, 0, 0], shift[1, 0, 0]))
    assert torch.autograd.gradcheck(together, (x,))
    assert list(map(id, together.parameters())) == [id(p) for layer in layers for p in layer.parameters()]


def test_a_chain_is_its_layers_one_after_another() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [
        [default_linear(a, b, generator).double() for a, b in ((5, 4), (4, 3), (3, 1))] for _ in range(2)
    ]
    x = torch.randn(2, 3, 7, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = torch.stack(
        [two(F.leaky_relu(one(part), 0.2)) for part, (one, two, _) in zip(x, layers, strict=True)]
    )
    stacks = [LinearStack(same) for same in zip(*layers, strict=True)]
    torch.testing.assert_close(chain(stacks[:2], x, 0.2), expected)
    torch.testing.assert_close(chain(layers[0][:2], x[0], 0.2), expected[0])
    assert torch.autograd.gradcheck(lambda x: chain(stacks, x, 0.2), (x,))
    assert torch.autograd.gradcheck(lambda x: chain(layers[0], x, 0.2), (x,))
    chain(stacks[:2], x, 0.2).square().sum().backward()
    ours = [layer.weight.grad for layer in layers[1][:2]]
    one, two, _ = layers[1]
    theirs = torch.autograd.grad(two(F.leaky_relu(one(x[1]), 0.2)).square().sum(), [one.weight, two.weight])
    torch.testing.assert_close(ours, list(theirs))


def test_batch_norm_statistics_reach_every_network() -> None:
    norms = [BatchNorm(3), BatchNorm(3)]
    alone = BatchNorm(3)
    x = torch.randn(2, 4, 9, 3, generator=torch.Generator().manual_seed(0)) * 5
    together = stacked([torch.nn.Sequential(norm) for norm in norms])
    y = together(x)
    assert torch.equal(y[1], alone(x[1]))
    assert torch.equal(norms[1].running_mean, alone.running_mean)
    assert torch.equal(norms[1].running_var, alone.running_var)


def test_trained_networks_are_in_test_mode(study: Study) -> None:
    config = compose("dataset=demo", *fast("joint"))
    task = make_task(study, parse_split("12_3", study))
    task = replace(task, sources=[replace(s, x=s.x.astype("float32")) for s in task.sources])
    method = make_run(config, *load(config), parse_split("12_3", study)).method
    for fitted in method.fit_seeds(task, [Runtime(0), Runtime(1)]):
        assert not any(module.training for module in fitted.networks.modules())
