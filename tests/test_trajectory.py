"""Tests of the training, by the code of real runs, against trajectories computed elsewhere in float64."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import calib.training
from calib.data.split import make_task, parse_split
from calib.data.study import LabelledSamples, Samples, Task
from calib.methods.joint import FittedJoint, Joint, Networks
from calib.minibatches import Pool
from calib.protocol import Protocol
from calib.runs.run import load, make_run
from calib.runtime import Runtime
from calib.seeds import stacked
from calib.training import train
from tests import reference
from tests.conftest import compose


def method(protocol: Protocol, **changes: object) -> Joint:
    weights = {"alpha1": 10, "beta": 10, "alpha2": 10, "gamma": 0.01, "lambda1": 1, "lambda2": 1}
    schedule = {"epochs": 1, "batch_size": 128, "lr": 1e-3, "learning_step": 10000, "weight_decay": 5e-5}
    settings = schedule | weights | {"dropout": 0.0, "reconstruct_targets": False} | changes
    return Joint(**settings, protocol=protocol)


def follow(
    joint: Joint,
    task: Task,
    networks: Networks,
    rows: Tensor,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> Mapping[str, float]:
    """Train one epoch of one iteration per ``joint.schedule.batch_size`` rows on given mini-batches."""
    monkeypatch.setattr(calib.training, "lockstep", lambda *_: iter(rows))
    together = stacked([networks])
    pool = Pool([b.x for b in task.batches], [b.y for b in task.sources], runtime)
    iterations = len(rows) if not joint.protocol.redraw_each_repetition else len(rows) // 2
    sizes = [iterations * joint.schedule.batch_size] * len(task.batches)
    steps = joint.steps(together, pool, len(task.sources), [runtime])
    train(steps, sizes, joint.schedule, joint.protocol, [runtime], "test")
    return runtime.history[-1]


def modules(networks: Networks) -> Iterator[tuple[str, torch.nn.Module]]:
    yield "c", networks.calibrator
    yield "d", networks.discriminator
    for number, r in enumerate(networks.reconstructors, start=1):
        yield f"r{number}", r


@pytest.mark.parametrize("protocol", reference.PROTOCOLS, indirect=True)
@pytest.mark.parametrize("source", ["committed", "recomputed"])
def test_reference_trajectory(protocol: Protocol, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.load(reference.TRAJECTORY) as stored:
        arrays = dict(stored)
    ours = {"0.": "fc1.", "2.": "fc2."}
    calibrators = {"0.": "bn.", "1.": "fc1.", "3.": "fc2."}
    discriminators = {f"fc.{i}.": f"fc{i + 1}." for i in range(5)}
    renames = {"c": calibrators, "d": discriminators, "r1": ours, "r2": ours}

    def state(prefix: str, part: str) -> dict[str, Tensor]:
        found = {}
        for name, value in arrays.items():
            if name.startswith(f"{prefix}/{part}/") and "num_batches" not in name:
                key = name.split("/")[2]
                old = next((o for o in renames[part] if key.startswith(o)), "")
                found[renames[part].get(old, "") + key.removeprefix(old)] = torch.tensor(value)
        return found

    x, y, draws = reference.problem()
    used = reference.ITERATIONS if protocol.name == "released" else 2 * reference.ITERATIONS
    task = Task(
        [LabelledSamples(str(i), x[i].numpy(), y[i].numpy()) for i in range(2)],
        [Samples("2", x[2].numpy())],
        2,
    )
    joint = method(protocol, batch_size=reference.ROWS)
    runtime = Runtime(0, dtype=torch.float64)
    networks = joint.networks(task, runtime)
    for name, module in modules(networks):
        module.load_state_dict(state("init", name))
    means = follow(joint, task, networks, draws[:used], runtime, monkeypatch)

    if source == "recomputed":
        final, log, p = reference.train(protocol.name, reference.initial_state())
        arrays |= {f"{protocol.name}/{m}/{n}": v.numpy() for m, s in final.items() for n, v in s.items()}
        arrays |= {f"{protocol.name}/losses": np.array(log), f"{protocol.name}/probability": p.numpy()}
    expected = arrays[f"{protocol.name}/losses"].mean(axis=0)
    got = [means[name] for name in ("L_C (A)", "L_D", "L_C (B)", "L_R")]
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    for name, module in modules(networks):
        for key, value in state(protocol.name, name).items():
            torch.testing.assert_close(module.state_dict()[key], value, rtol=1e-8, atol=1e-8)
    probability = FittedJoint(networks, runtime).predict_proba(task.targets[0])[:, 1]
    np.testing.assert_allclose(probability, arrays[f"{protocol.name}/probability"], atol=1e-8)


GOLDEN_NAMES = [
    ("encoder.0", "bn"),
    ("encoder.1", "fc1"),
    ("encoder.4", "fc2"),
    ("decoder.0", "fc1"),
    ("decoder.3", "fc2"),
]


@pytest.mark.parametrize("iterations", [1, 2])
def test_released_code_on_mi(
    iterations: int, data_dir: Path, golden_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare with two iterations of the authors' released code on MI, sources 1 and 2, target 3."""
    with np.load(golden_dir / "released_mi_12_3.npz") as stored:
        golden = dict(stored)
    modules_there = {
        "c": "calibrator",
        "d": "discriminator",
        "r1": "reconstructor_1",
        "r2": "reconstructor_2",
    }

    def state(stage: str, part: str) -> dict[str, Tensor]:
        prefix = f"{stage}/{modules_there[part]}/"
        found = {}
        for name, value in golden.items():
            if name.startswith(prefix) and "num_batches" not in name:
                key = name.removeprefix(prefix)
                for old, new in GOLDEN_NAMES:
                    key = re.sub(f"^{re.escape(old)}", new, key)
                found[key] = torch.tensor(value)
        return found

    config = compose(
        "dataset=mi", "protocol=released", "dtype=float64", "method.dropout=0", "method.epochs=1"
    )
    study, data = load(config)
    split = parse_split("12_3", study)
    task = make_task(study, split)
    joint = make_run(config, study, data, split).method
    runtime = Runtime.from_names(0, config.device, config.dtype, progress=False)
    networks = joint.networks(task, runtime)
    for name, module in modules(networks):
        module.load_state_dict(state("init", name))
    rows = torch.tensor(golden["row_index"][:iterations])
    means = follow(joint, task, networks, rows, runtime, monkeypatch)

    log = golden["loss_log"][: 2 * iterations]
    step_a, step_b = log[log[:, 0] == 0].mean(axis=0), log[log[:, 0] == 1].mean(axis=0)
    got = [means[name] for name in ("L_D", "L_C (A)", "L_C (B)", "L_R")]
    np.testing.assert_allclose(got, [*step_a[2:4], *step_b[3:5]], rtol=1e-8)
    for name, module in modules(networks):
        for key, value in state(f"after_iteration_{iterations}", name).items():
            bound = {"rtol": 1e-5, "atol": 0} if "running" in key else {"rtol": 0, "atol": 1e-7}
            torch.testing.assert_close(module.state_dict()[key], value, **bound)
    if iterations == 2:
        fitted = FittedJoint(networks, runtime)
        probability = fitted.predict_proba(task.targets[0])[:, 1]
        np.testing.assert_allclose(probability, golden["eval_probability/batch_3"], atol=1e-6)
        code = fitted.transform(task.targets[0])[:100]
        np.testing.assert_allclose(code, golden["eval_code/target_first_100"], atol=1e-6)
