"""A naive version of the training, one batch, pair and kernel at a time, to check the package with.

It shares no code with the package. ``python -m tests.reference`` writes tests/golden/trajectory.npz.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

TRAJECTORY = Path(__file__).parent / "golden" / "trajectory.npz"
WIDTHS = (1, 2, 4, 8, 16)
PROTOCOLS = ("paper", "released", "two_adams")
FEATURES, ROWS, SIZES, ITERATIONS = 7, 16, (40, 36, 33), 3


def calibrator() -> nn.Sequential:
    """Return C without dropout."""
    return nn.Sequential(
        nn.BatchNorm1d(FEATURES),
        nn.Linear(FEATURES, FEATURES),
        nn.Tanhshrink(),
        nn.Linear(FEATURES, FEATURES),
    )


def reconstructor() -> nn.Sequential:
    """Return R without dropout."""
    return nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Tanhshrink(), nn.Linear(FEATURES, FEATURES))


class Discriminator(nn.Module):
    """The discriminator D.

    The skip connection starts at the output of BN (text), or at its LeakyReLU, which overwrites that output in
    place (released).
    """

    def __init__(self, inplace: bool, features: int = FEATURES) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(features)
        self.act = nn.LeakyReLU(0.2, inplace=inplace)
        self.fc = nn.ModuleList(
            nn.Linear(*s) for s in [(features, 100), (100, features), (features, 50), (50, 16), (16, 1)]
        )

    def forward(self, z: Tensor) -> Tensor:
        z = self.bn(z)
        skip = z
        h = self.fc[1](self.act(self.fc[0](self.act(z)))) + skip
        for layer in self.fc[2:]:
            h = layer(self.act(h))
        return torch.sigmoid(h)[:, 0]


def mmd2(x: Tensor, y: Tensor) -> Tensor:
    """Return the biased squared MMD with five kernels."""

    def k(a: Tensor, b: Tensor) -> Tensor:
        d2 = ((a[:, None] - b[None]) ** 2).sum(-1)
        return sum(torch.exp(-d2 / (2 * s**2)) for s in WIDTHS).mean()

    return k(x, x) + k(y, y) - 2 * k(x, y)


def cross_entropy(p: Tensor, y: Tensor) -> Tensor:
    """Return the loss of Eq. 3 for one batch, summed over samples."""
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).sum()


def problem() -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return data of three batches, labels of the two sources, and rows of ITERATIONS x 2 mini-batches."""
    rng = np.random.default_rng(20211202)
    x = [torch.tensor(rng.gamma(2, 3, (n, FEATURES)) * (1 + i)) for i, n in enumerate(SIZES)]
    y = [torch.tensor(rng.integers(0, 2, n)) for n in SIZES[:2]]
    draws = [[rng.permutation(n)[:ROWS] for n in SIZES] for _ in range(2 * ITERATIONS)]
    return x, y, torch.tensor(np.array(draws))


def train(protocol: str, initial: dict[str, dict[str, Tensor]]) -> tuple[dict, list[list[float]], Tensor]:
    """Train for ITERATIONS iterations in one epoch, and return final state, losses and target probabilities.

    Losses have a row for each iteration, with L_C of step A, L_D, L_C of step B, and L_R, as the protocol
    defines them.
    """
    released = protocol == "released"
    x, y, draws = problem()
    c, d = calibrator().double(), Discriminator(inplace=released).double()
    rs = [reconstructor().double() for _ in range(2)]
    modules = {"c": c, "d": d, "r1": rs[0], "r2": rs[1]}
    for name, module in modules.items():
        module.load_state_dict(initial[name])

    def adam(*parts: nn.Module) -> torch.optim.Adam:
        lr = 1e-3 * 0.9 ** (1 / 10000) if released else 1e-3
        parameters = [p for part in parts for p in part.parameters()]
        return torch.optim.Adam(parameters, lr=lr, weight_decay=5e-5, foreach=False)

    both = adam(c, *rs, d)
    step_a, step_b = (adam(c, d), adam(c, *rs)) if protocol == "two_adams" else (both, both)
    stream = iter(draws)
    log = []
    for _ in range(ITERATIONS):
        rows = next(stream)

        z = [c(xi[r]) for xi, r in zip(x, rows, strict=True)]
        pairs = [(0, 1), (0, 2), (1, 2)]
        scale_c = 2 if released else 1 / 3
        scale_k = 1 if released else 1 / 2
        lc_a = scale_c * sum(mmd2(z[i], z[j]) for i, j in pairs)
        ld = scale_k * sum(cross_entropy(d(z[i]), y[i][rows[i]]) for i in range(2))
        step_a.zero_grad(set_to_none=not released)
        (10 * lc_a + 10 * ld).backward()
        step_a.step()

        rows = rows if released else next(stream)
        z = [c(xi[r]) for xi, r in zip(x, rows, strict=True)]
        lc_b = scale_c * sum(mmd2(z[i], z[j]) for i, j in pairs)
        lr = scale_k * sum(((rs[i](z[i]) - x[i][rows[i]]) ** 2).mean() for i in range(2))
        step_b.zero_grad(set_to_none=not released)
        (10 * lc_b + 0.01 * lr).backward()
        step_b.step()
        log.append([v.item() for v in (lc_a, ld, lc_b, lr)])
    for module in modules.values():
        module.eval()
    state = {name: module.state_dict() for name, module in modules.items()}
    return state, log, d(c(x[2])).detach()


def initial_state() -> dict[str, dict[str, Tensor]]:
    """Return the initial weights."""
    torch.manual_seed(0)
    parts = {"c": calibrator(), "d": Discriminator(False), "r1": reconstructor(), "r2": reconstructor()}
    return {name: part.double().state_dict() for name, part in parts.items()}


def main() -> None:
    """Write the committed trajectory."""
    initial = initial_state()
    arrays = {f"init/{m}/{n}": v.numpy().copy() for m, s in initial.items() for n, v in s.items()}
    for protocol in PROTOCOLS:
        state, log, probability = train(protocol, initial)
        arrays |= {f"{protocol}/{m}/{n}": v.numpy() for m, s in state.items() for n, v in s.items()}
        arrays |= {f"{protocol}/losses": np.array(log), f"{protocol}/probability": probability.numpy()}
    np.savez_compressed(TRAJECTORY, **arrays)


if __name__ == "__main__":
    main()
