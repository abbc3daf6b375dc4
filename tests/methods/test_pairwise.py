"""Tests of pairwise calibration against five steps of the original network classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

import calib.training
from calib.config import build
from calib.data.study import LabelledSamples, Samples, Task
from calib.methods.pairwise import FittedPairs, PairNetworks, PairStack, Pairwise
from calib.minibatches import Pool
from calib.runs.run import method_settings
from calib.runtime import Runtime
from calib.training import train
from tests.conftest import compose

GOLDEN = Path(__file__).parents[1] / "golden" / "pairwise"
NAMES = {
    "encoder|encoder.0": "bn", "encoder|encoder.2": "c.0", "encoder|encoder.4": "c.1",
    **{f"decoder_a|decoder.{2 * i}": f"r_source.{i}" for i in range(3)},
    **{f"decoder_b|decoder.{2 * i}": f"r_target.{i}" for i in range(3)},
    **{f"discriminator|model.{2 * i}": f"d.{i}" for i in range(5)},
}  # fmt: skip


def method(**changes: object) -> Pairwise:
    overrides = [f"method.{key}={value}" for key, value in changes.items()]
    return build(OmegaConf.create(method_settings(compose("method=pairwise", *overrides))))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-6)])
def test_original(dtype: torch.dtype, bound: float, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pd.read_csv(GOLDEN / "source.csv", header=None).to_numpy()
    target = pd.read_csv(GOLDEN / "target.csv", header=None).to_numpy()
    y = source[:, 0].astype(np.int64)
    task = Task([LabelledSamples("a", source[:, 1:], y)], [Samples("b", target)], 2)
    runtime = Runtime(0, dtype=dtype)
    pair = method(epochs=5, batch_size=30)
    networks = PairNetworks(6, 2, runtime.generator("x"))
    with np.load(GOLDEN / "init_weights.npz") as stored:
        state = {
            f"{NAMES[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": torch.tensor(value)
            for name, value in stored.items()
            if "num_batches" not in name
        }
    networks.load_state_dict(state)
    networks.to(dtype)
    whole = torch.arange(30).repeat(2, 1)
    monkeypatch.setattr(calib.training, "lockstep", lambda *_: iter([whole]))
    pool = Pool([source[:, 1:], target], [y], runtime)
    together = PairStack([networks])
    train([pair.step(together, pool)], pool.sizes, pair.schedule, pair.rules, [runtime], "test")

    losses = pd.read_csv(GOLDEN / "losses.csv")
    history = pd.DataFrame(runtime.history)
    for ours, theirs in (("L_R", "reconstruct"), ("MMD", "mmd2"), ("L_D", "bce_sum")):
        np.testing.assert_allclose(history[ours], losses[theirs], rtol=1e-3)
    probability = FittedPairs({("a", "b"): networks}, runtime).predict_proba(task.targets[0])[:, 1]
    expected = np.loadtxt(GOLDEN / "target_prob.csv")
    np.testing.assert_allclose(probability, expected, rtol=0, atol=bound)


def test_several_sources_are_averaged() -> None:
    rng = np.random.default_rng(0)
    sources = [LabelledSamples(n, rng.normal(size=(12, 4)), np.arange(12) % 2) for n in "ab"]
    target = Samples("c", rng.normal(size=(9, 4)))
    pair = method(epochs=2, batch_size=6)

    def probability(*chosen: LabelledSamples) -> np.ndarray:
        return pair.fit(Task(list(chosen), [target], 2), Runtime(0)).predict_proba(target)

    alone = [probability(source) for source in sources]
    np.testing.assert_allclose(probability(*sources), np.mean(alone, axis=0), rtol=1e-6)


def test_pairs_of_a_source_learn_together_what_each_learns_alone() -> None:
    """Targets with as many mini-batches are stacked, the last one has more and is trained by itself."""
    rng = np.random.default_rng(0)
    source = LabelledSamples("a", rng.normal(size=(12, 4)), np.arange(12) % 2)
    targets = [Samples(name, rng.normal(size=(rows, 4))) for name, rows in (("b", 9), ("c", 11), ("d", 20))]
    pair = method(epochs=2, batch_size=6)
    together = pair.fit(Task([source], targets, 2), Runtime(0))
    for target in targets:
        alone = pair.fit(Task([source], [target], 2), Runtime(0))
        expected = alone.predict_proba(target)
        np.testing.assert_allclose(together.predict_proba(target), expected, rtol=1e-6)
