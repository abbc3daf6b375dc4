"""The paper's three networks: calibrator C, discriminator D and reconstructor R.

Every network takes mini-batches *stacked by batch*, shape ``(batches, rows, features)``, so that one
matrix product serves all batches while batch norm still sees each batch alone. Randomness (initial
weights, dropout) comes from the generator that is passed in.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from calib.errors import CalibError

Statistics = Literal["running", "own"]


class BatchNorm(nn.Module):
    """Batch norm of stacked batches, each normalised by its own mean and variance in training.

    The running statistics follow the batches one after another, as if they had passed through
    ``nn.BatchNorm1d`` in turn. At test, ``statistics="running"`` uses those (what paper and released
    code do) and ``"own"`` uses the mean and variance of the rows given.
    """

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.momentum = momentum
        self.eps = eps
        self.test_statistics: Statistics = "running"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x (batches, rows, features)``; same shape."""
        if not self.training and self.test_statistics == "running":
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return x * scale + (self.bias - self.running_mean * scale)
        mean = x.mean(dim=1, keepdim=True)
        centred = x - mean
        var = centred.square().mean(dim=1, keepdim=True)
        if self.training:
            self._follow(mean.detach()[:, 0], var.detach()[:, 0], rows=x.shape[1])
        return centred * (self.weight * torch.rsqrt(var + self.eps)) + self.bias

    def _follow(self, mean: Tensor, var: Tensor, rows: int) -> None:
        unbiased = var * (rows / max(rows - 1, 1))
        for batch_mean, batch_var in zip(mean, unbiased, strict=True):
            self.running_mean.lerp_(batch_mean, self.momentum)
            self.running_var.lerp_(batch_var, self.momentum)


class Dropout(nn.Module):
    """Dropout whose mask is drawn from the generator given, not from global state."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Zero each entry of ``x`` with probability p and scale the rest by 1/(1-p), in training."""
        if not self.training or self.p == 0:
            return x
        keep = 1 - self.p
        mask = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        return x * mask.lt_(keep).div_(keep)


class Calibrator(nn.Module):
    """C: BN, FC, dropout, Tanhshrink, FC, all as wide as the input (Methods, section 1).

    Initial weights are orthogonal and biases zero: the text is silent, the released code does it.
    """

    def __init__(self, features: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.bn = BatchNorm(features)
        self.fc1 = orthogonal_linear(features, features, generator)
        self.dropout = Dropout(dropout)
        self.fc2 = orthogonal_linear(features, features, generator)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Codes Z = C(X) of ``x (batches, rows, features)``; same shape."""
        h = self.dropout(self.fc1(self.bn(x)), generator)
        return self.fc2(F.tanhshrink(h))


class Reconstructor(nn.Module):
    """R: FC, dropout, Tanhshrink, FC, all as wide as the input (Methods, section 1)."""

    def __init__(self, features: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.fc1 = orthogonal_linear(features, features, generator)
        self.dropout = Dropout(dropout)
        self.fc2 = orthogonal_linear(features, features, generator)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Reconstruction X' = R(Z) of one batch's codes ``z (rows, features)``; same shape."""
        h = self.dropout(self.fc1(z), generator)
        return self.fc2(F.tanhshrink(h))


class Discriminator(nn.Module):
    """D: BN; residual part P-100-P; then P-50-16-classes, with LeakyReLU (Methods, section 1).

    Two classes have one output (sigmoid), more have one output a class (softmax). Outputs are logits.

    Args:
        residual: what the skip connection adds to the residual part, ``"normalised"`` the
            batch-normalised input (the text) or ``"activated"`` its LeakyReLU (the released code, whose
            activation works in place and so overwrites the tensor kept for the skip).
    """

    SLOPE = 0.2

    def __init__(
        self,
        features: int,
        classes: int,
        generator: torch.Generator,
        residual: Literal["normalised", "activated"] = "normalised",
    ) -> None:
        super().__init__()
        if residual not in ("normalised", "activated"):
            raise ValueError(f"residual={residual!r} is neither 'normalised' nor 'activated'")
        self.residual = residual
        self.bn = BatchNorm(features)
        widths = [features, 100, features, 50, 16, classes if classes > 2 else 1]
        self.fc1, self.fc2, self.fc3, self.fc4, self.fc5 = (
            default_linear(fan_in, fan_out, generator) for fan_in, fan_out in pairwise(widths)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Logits ``(batches, rows, 1 or classes)`` of ``z (batches, rows, features)``."""
        z = self.bn(z)
        h = F.leaky_relu(z, self.SLOPE)
        skip = h if self.residual == "activated" else z
        h = self.fc2(F.leaky_relu(self.fc1(h), self.SLOPE)) + skip
        h = self.fc3(F.leaky_relu(h, self.SLOPE))
        h = self.fc4(F.leaky_relu(h, self.SLOPE))
        return self.fc5(F.leaky_relu(h, self.SLOPE))


def probabilities(logits: Tensor) -> Tensor:
    """Class probabilities ``(..., classes)`` from D's logits; one logit stands for two classes."""
    if logits.shape[-1] == 1:
        positive = torch.sigmoid(logits)
        return torch.cat([1 - positive, positive], dim=-1)
    return torch.softmax(logits, dim=-1)


def orthogonal_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with orthogonal weights (gain 1) and zero bias."""
    layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
    nn.init.orthogonal_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def default_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with PyTorch's default initial weights, drawn from ``generator``."""
    layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(fan_in)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def glorot_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with Glorot's uniform weights and zero bias, Keras' default."""
    layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def arrays(networks: Mapping[str, nn.Module]) -> dict[str, NDArray[np.floating]]:
    """Parameters and buffers of several networks, by ``<network>.<name>``."""
    return {
        f"{network}.{name}": value.cpu().numpy()
        for network, module in networks.items()
        for name, value in module.state_dict().items()
    }


def load_arrays(networks: Mapping[str, nn.Module], state: Mapping[str, NDArray[np.floating]]) -> None:
    """Give several networks the parameters and buffers that ``arrays`` took from their like.

    Raises:
        CalibError: a parameter is missing or has another shape.
    """
    for network, module in networks.items():
        own = {n.removeprefix(f"{network}."): v for n, v in state.items() if n.startswith(f"{network}.")}
        try:
            module.load_state_dict({name: torch.as_tensor(value) for name, value in own.items()})
        except RuntimeError as error:
            raise CalibError(
                f"The saved {network} does not fit the method's settings; was config.yaml changed?"
            ) from error
        module.eval()
