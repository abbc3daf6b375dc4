"""Tests of NormAE against passes of the original modules, without dropout."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from calib.config import build
from calib.data.study import Samples
from calib.errors import CalibError
from calib.methods.normae import Networks, NormAE, few_zeros, filled, least
from calib.runs.run import method_settings
from calib.runtime import Runtime
from tests.conftest import compose

GOLDEN = Path(__file__).parents[1] / "golden" / "normae"
PARTS = {"encoder": "encoder", "decoder": "decoder", "map": "inject", "disc_b": "adversary"}


def corrector(**changes: object) -> NormAE:
    overrides = [f"method.corrector.{key}={value}" for key, value in changes.items()]
    return build(OmegaConf.create(method_settings(compose("method=normae", *overrides))["corrector"]))


def networks(features: int, batches: int, settings: NormAE) -> Networks:
    s = settings
    return Networks(
        features, batches, s.hidden, s.latent, s.inject, s.adversary, tuple(s.dropout), torch.Generator()
    )  # fmt: skip


def original_weights(hidden_layers: dict[str, int]) -> dict[str, torch.Tensor]:
    """Return the stored state under our names; ``layers.i.0`` is linear, ``layers.i.1`` batch norm."""
    state = {}
    with np.load(GOLDEN / "init_weights.npz") as stored:
        for name, value in stored.items():
            part, _, rest = name.partition("|")
            _, layer, kind, what = rest.split(".")
            last = int(layer) == hidden_layers[part]
            ours = "last" if last else f"{'hidden' if kind == '0' else 'norms'}.{layer}"
            state[f"{PARTS[part]}.{ours}.{what}"] = torch.tensor(value)
    return state


def test_original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses of eight passes agree to 1e-6, decoded data to 1e-3.

    The gradient of a bias before a batch norm is only rounding noise, and Adam turns it into steps of +-lr. The
    training is not affected, because batch norm subtracts the bias again, but the running mean lags behind. The
    original's own layers differ from the stored numbers by 6e-4 on another processor, and by 4e-4 in float64.
    """
    monkeypatch.setattr(NormAE, "_minibatches", lambda *_: [torch.arange(24)])
    data = pd.read_csv(GOLDEN / "x.csv")
    x = torch.tensor(data.drop(columns="batch").to_numpy(), dtype=torch.float32)
    owner = torch.tensor(data["batch"].to_numpy(), dtype=torch.int64)
    normae = corrector(
        pretrain_epochs=3, adversary_epochs=2, epochs=3, batch_size=24, lr_adversary=1e-4,
        hidden=[8, 8], latent=5, inject=[9], adversary=[7, 7], dropout=[0, 0, 0],
    )  # fmt: skip
    n = networks(6, 3, normae)
    n.load_state_dict(original_weights({"encoder": 2, "decoder": 2, "map": 1, "disc_b": 2}))
    runtime = Runtime(0)
    normae.train(n, x, owner, runtime)
    expected = pd.read_csv(GOLDEN / "one_pass_losses.csv")
    history = pd.DataFrame(runtime.history)
    for ours, theirs in (
        ("adversary", "disc_b_loss"),
        ("reconstruction", "rec_loss"),
        ("adversary deceived", "adv_b_loss"),
    ):
        np.testing.assert_allclose(history[ours], expected[theirs], atol=1e-6)
    with torch.inference_mode():
        code = n.encoder(x)
        batch = torch.nn.functional.one_hot(owner).float()
        for file, decoded in (
            ("rec_nobe", n.decoder(code)),
            ("rec_with_batch", n.decoder(code + n.inject(batch))),
        ):
            np.testing.assert_allclose(decoded, np.loadtxt(GOLDEN / f"{file}.csv", delimiter=","), atol=1e-3)


def test_size_of_the_networks() -> None:
    overrides = compose("dataset=mi", "method=normae")
    n = networks(204, 3, build(OmegaConf.create(method_settings(overrides)["corrector"])))
    counts = json.loads((GOLDEN / "param_counts_204feat_3batch.json").read_text())
    ours = {part: sum(p.numel() for p in getattr(n, part).parameters()) for part in PARTS.values()}
    assert list(ours.values()) == list(counts.values())


def test_zeros() -> None:
    x = np.array([[0, 4, -3, 0], [2, 0, 0, 0], [6, 8, 5, 0], [8, 2, 5, 1]], float)
    kept = x[:, few_zeros(x, 0.3)]
    np.testing.assert_array_equal(
        filled(kept, least(kept) / 2), [[1, 4, -3], [2, 1, -1.5], [6, 8, 5], [8, 2, 5]]
    )
    with pytest.raises(CalibError, match="20% zeros or more, and that is all of them"):
        few_zeros(np.zeros((3, 2)), 0.2)


def test_it_removes_a_shift_between_batches() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 6))
    batches = [Samples(name, base[i::2] + 10 + 4 * i) for i, name in enumerate("ab")]
    normae = corrector(
        pretrain_epochs=40, adversary_epochs=10, epochs=80, batch_size=30, lr=2e-3,
        hidden=[32, 32], latent=8, inject=[16], adversary=[16, 16],
    )  # fmt: skip
    corrected = normae.correct(batches, Runtime(0))
    before = abs(batches[0].x.mean(axis=0) - batches[1].x.mean(axis=0)).mean()
    after = abs(corrected["a"].mean(axis=0) - corrected["b"].mean(axis=0)).mean()
    assert after < before / 2
