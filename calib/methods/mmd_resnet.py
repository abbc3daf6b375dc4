"""MMD-ResNet: a mapper that moves one batch onto another by a residual network, trained on their MMD.

Shaham et al. 2017 (doi 10.1093/bioinformatics/btx196); original code https://github.com/ushaham/BatchEffectRemoval
at 89d13ab. Its denoising autoencoder is left out: it fills zeros that stand for missing values in mass
cytometry, and the original script does not use it.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torch.nn import functional as F

from calib.data.study import FloatArray, Samples
from calib.data.tensors import by_blocks
from calib.errors import CalibError, check_number
from calib.layers import BatchNorm, Linear
from calib.mmd import mmd2_matrix, mmd2_sum
from calib.runtime import Runtime
from calib.training import EarlyStop

WIDTH_FACTORS = (0.5, 1.0, 2.0)
"""Kernel widths s, in units of the target's ``neighbour_distance``."""
HELD_OUT = 0.1
"""Share of the rows of source and target that are held out and decide when the training stops."""
KERAS_EPS = 1e-3
"""Added to a variance by Keras' batch norm; it decides the scale, as the initial weights are so small."""
FEWEST = 4
"""Smallest number of rows of a batch: some to train on, with a variance, and one to hold out."""


class Block(nn.Module):
    """A residual block: BN, ReLU, FC to ``width``, BN, ReLU, FC back, added to the input."""

    def __init__(
        self, features: int, width: int, momentum: float, deviation: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.bn1, self.bn2 = (BatchNorm(n, momentum, KERAS_EPS) for n in (features, width))
        self.fc1, self.fc2 = (Linear(*n, device="cpu") for n in ((features, width), (width, features)))
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, std=deviation, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for rows ``(1, rows, features)``, in the same shape."""
        h = self.fc1(F.relu(self.bn1(x)))
        return x + self.fc2(F.relu(self.bn2(h)))


class MMDResNet:
    """MMD-ResNet as a mapper.

    Args:
        blocks, width: number of residual blocks, and units of their hidden layer.
        momentum: momentum of the running batch-norm statistics, which held-out and mapped rows use.
        deviation: standard deviation of the initial weights; so small that the first map is the identity.
        neighbours: neighbours of a target sample, itself included, in ``neighbour_distance``.
        l2: weight of the squared weights in the loss.
        lr: RMSprop's learning rate, divided by ten after every ``lr_step`` epochs.
        batch_size: source rows of a mini-batch; as many target rows are drawn with it.
        epochs: largest number of epochs.
        patience: the training stops after so many epochs in a row without a lower loss on the held-out rows.

    Raises:
        CalibError: a value is no number or too small.
    """

    version = 1

    def __init__(
        self,
        blocks: int,
        width: int,
        momentum: float,
        deviation: float,
        neighbours: int,
        l2: float,
        lr: float,
        lr_step: int,
        batch_size: int,
        epochs: int,
        patience: int,
    ) -> None:
        counts = {
            "blocks": blocks,
            "width": width,
            "lr_step": lr_step,
            "epochs": epochs,
            "patience": patience,
        }
        for key, count in counts.items():
            check_number(key, count, least=1, whole=True)
        check_number("neighbours", neighbours, least=2, whole=True)
        check_number("batch_size", batch_size, least=2, whole=True)
        for key, value in (("deviation", deviation), ("l2", l2), ("lr", lr)):
            check_number(key, value, least=0)
        check_number("momentum", momentum, least=0, most=1)
        self.blocks, self.width, self.momentum, self.deviation = blocks, width, momentum, deviation
        self.neighbours = neighbours
        self.l2, self.lr, self.lr_step, self.batch_size = l2, lr, lr_step, batch_size
        self.epochs, self.patience = epochs, patience

    def map(self, source: Samples, target: Samples, runtime: Runtime) -> FloatArray:
        """Return the source's rows ``(samples, features)`` moved onto the target, in the unit of the data.

        The network works on z-scores; the source's means and deviations scale source and target.

        Raises:
            CalibError: a batch has too few rows.
            DivergedError: a loss is no longer finite.
        """
        for batch in (source, target):
            if len(batch) < FEWEST:
                raise CalibError(
                    f"MMD-ResNet needs {FEWEST} samples of a batch, and batch '{batch.name}' has "
                    f"{len(batch)}; choose another split."
                )
        x, onto = runtime.tensor(source.dense), runtime.tensor(target.dense)
        mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0)
        deviation = torch.where(x.amax(dim=0) > x.amin(dim=0), deviation, 1)
        x, onto = (x - mean) / deviation, (onto - mean) / deviation
        initial = runtime.generator("MMD-ResNet: initial weights")
        size = (x.shape[1], self.width, self.momentum, self.deviation)
        blocks = [Block(*size, initial) for _ in range(self.blocks)]
        network = nn.Sequential(*blocks).to(runtime.device, runtime.dtype)
        self.train(network, x, onto, runtime)
        moved = by_blocks(network, x.cpu().numpy(), runtime)
        return moved * deviation.cpu().numpy() + mean.cpu().numpy()

    def train(self, network: nn.Sequential, x: Tensor, onto: Tensor, runtime: Runtime) -> None:
        """Train the network in place, on z-scores ``x`` of the source and ``onto`` of the target.

        Both have the shape ``(rows, features)``.
        """
        split = runtime.generator("MMD-ResNet: rows held out")
        x, x_held = _held_out(x, split)
        onto, onto_held = _held_out(onto, split)
        scale = neighbour_distance(torch.cat([onto, onto_held]), self.neighbours)
        widths = [scale * factor for factor in WIDTH_FACTORS]
        weights = [p for name, p in network.named_parameters() if ".fc" in name and name.endswith("weight")]
        rmsprop = torch.optim.RMSprop(network.parameters(), lr=self.lr, alpha=0.9, eps=1e-7)  # as in Keras
        shuffle, stop = runtime.generator("MMD-ResNet: mini-batches"), EarlyStop(self.patience, 0)

        def penalty() -> Tensor:
            return self.l2 * torch.stack([w.square().sum() for w in weights]).sum()

        for epoch in (bar := runtime.epochs(self.epochs, "MMD-ResNet")):
            rmsprop.param_groups[0]["lr"] = self.lr * 0.1 ** (epoch // self.lr_step)
            network.train()
            total, seen = torch.zeros((), dtype=x.dtype, device=x.device), 0
            for rows in torch.randperm(len(x), generator=shuffle).split(self.batch_size):
                if len(rows) < 2:
                    continue  # one row has no variance, so it is left out in this epoch
                others = torch.randint(len(onto), (len(rows),), generator=shuffle)
                moved = network(x[rows.to(x.device)][None])[0]
                distance = mmd(moved, onto[others.to(x.device)], widths)
                rmsprop.zero_grad()
                (distance + penalty()).backward()
                rmsprop.step()
                total += distance.detach() * len(rows)
                seen += len(rows)
            network.eval()
            with torch.no_grad():
                held = (
                    mmd2_matrix([network(x_held[None])[0], onto_held], _sigma(widths))[0, 1]
                    .clamp(min=0)
                    .sqrt()
                )
                losses = {"MMD": float(total / seen), "MMD (held out)": float(held), "L2": float(penalty())}
            runtime.report(bar, epoch, losses, "MMD-ResNet")
            if stop.after(losses["MMD (held out)"] + losses["L2"]):
                break


def mmd(x: Tensor, y: Tensor, widths: Sequence[float]) -> Tensor:
    """Return the square root of the biased squared MMD, with the sum of the kernels exp(-d^2 / s^2).

    Args:
        x, y: samples ``(rows, features)``, as many rows of both; the gradient goes to both.
        widths: the kernel widths s, in the unit of the data.
    """
    mmd2 = mmd2_sum(torch.stack([x, y]), _sigma(widths)) / 2  # the sum counts the pair in both orders
    return mmd2.clamp(min=torch.finfo(x.dtype).tiny).sqrt()  # the root has no derivative at 0


def _sigma(widths: Sequence[float]) -> list[float]:
    """Return the kernel widths sigma for ``calib.mmd``, whose kernels are exp(-d^2 / (2 sigma^2))."""
    return [width / math.sqrt(2) for width in widths]


def neighbour_distance(x: Tensor, neighbours: int) -> float:
    """Return the median distance of rows to their nearest neighbours, or 1 if these all coincide.

    Args:
        x: rows ``(rows, features)``.
        neighbours: number of nearest neighbours; the row itself counts as one, as in the original.
    """
    rows = x.cpu().numpy()
    found = NearestNeighbors(n_neighbors=min(neighbours, len(rows))).fit(rows).kneighbors(rows)[0]
    return float(np.median(found[:, 1:])) or 1.0


def _held_out(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the training rows and the held-out rows of ``x``, both in random order."""
    shuffled = x[torch.randperm(len(x), generator=generator).to(x.device)]
    held = math.ceil(len(x) * HELD_OUT)
    return shuffled[held:], shuffled[:held]
