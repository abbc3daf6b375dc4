"""A plain version of the joint training of `paper`, to compare the speed of the package with.

It is written like the released code: a DataLoader for each batch, C applied to one batch after another, a
kernel matrix and its exponentials for each pair of batches and each width, PyTorch's own layers and Adam. It
shares no code with the package.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from tests.reference import Discriminator

WIDTHS = (1, 2, 4, 8, 16)


def calibrator(features: int, dropout: float) -> nn.Sequential:
    """Return C: batch norm, then the layers of R."""
    return nn.Sequential(nn.BatchNorm1d(features), *reconstructor(features, dropout))


def reconstructor(features: int, dropout: float) -> nn.Sequential:
    """Return R: FC, dropout, Tanhshrink, FC."""
    layers = [nn.Linear(features, features) for _ in range(2)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Dropout(dropout), nn.Tanhshrink(), layers[1])


def mmd2(x: Tensor, y: Tensor) -> Tensor:
    """Return the biased squared MMD of two mini-batches, from the kernels of all their rows."""
    rows = torch.cat([x, y])
    products = rows @ rows.T
    squares = products.diag()
    distances2 = (squares[None] + squares[:, None] - 2 * products).clamp(min=0)
    kernels = sum(torch.exp(-distances2 / (2 * width**2)) for width in WIDTHS)
    n = len(x)
    return kernels[:n, :n].mean() + kernels[n:, n:].mean() - 2 * kernels[:n, n:].mean()


def endless(loader: DataLoader) -> Iterator[list[Tensor]]:
    """Yield mini-batches without end."""
    while True:
        yield from loader


def train(
    x: Sequence[Tensor],
    y: Sequence[Tensor],
    epochs: int,
    batch_size: int = 128,
    dropout: float = 0.5,
    weights: tuple[float, float, float, float] = (10, 10, 10, 0.01),
    lr: float = 1e-3,
) -> tuple[nn.Module, nn.Module]:
    """Train C and D, and return them; the first ``len(y)`` of the batches are sources.

    Args:
        x: data of each batch ``(rows, features)``.
        y: class 0 or 1 of each source's rows.
        weights: alpha1, beta, alpha2, gamma.
    """
    alpha1, beta, alpha2, gamma = weights
    features, sources = x[0].shape[1], len(y)
    c, d = calibrator(features, dropout), Discriminator(inplace=False, features=features)
    rs = [reconstructor(features, dropout) for _ in y]
    networks = nn.ModuleList([c, d, *rs])
    adam = torch.optim.Adam(networks.parameters(), lr, weight_decay=5e-5)  # a network without gradient rests
    labels = [*y, *(torch.zeros(len(rows)) for rows in x[sources:])]  # a target's labels are never used
    loaders = [
        endless(DataLoader(TensorDataset(*batch), batch_size, shuffle=True, drop_last=True))
        for batch in zip(x, labels, strict=True)
    ]

    def calibration(z: Sequence[Tensor]) -> Tensor:
        pairs = [(i, j) for i in range(len(z)) for j in range(i)]
        return torch.stack([mmd2(z[i], z[j]) for i, j in pairs]).mean()

    for _ in range(epochs * (max(map(len, x)) // batch_size)):
        drawn = [next(loader) for loader in loaders]
        z = [c(rows) for rows, _ in drawn]
        l_d = torch.stack(
            [binary_cross_entropy(d(z[k]), drawn[k][1], reduction="sum") for k in range(sources)]
        ).mean()
        adam.zero_grad()
        (alpha1 * calibration(z) + beta * l_d).backward()
        adam.step()

        drawn = [next(loader) for loader in loaders]
        z = [c(rows) for rows, _ in drawn]
        l_r = torch.stack([((rs[k](z[k]) - drawn[k][0]) ** 2).mean() for k in range(sources)]).mean()
        adam.zero_grad()
        (alpha2 * calibration(z) + gamma * l_r).backward()
        adam.step()
    return c.eval(), d.eval()
