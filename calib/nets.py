"""The paper's three networks: calibrator C, discriminator D and reconstructor R.

Every network takes mini-batches *stacked by batch*, shape ``(batches, rows, features)``. One matrix product
then serves all batches, while batch norm still sees each batch alone. ``seeds.stacked`` combines the networks
of several seeds into one; all shapes then have a leading axis for the seeds.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from calib.errors import CalibError
from calib.layers import BatchNorm, Dropout, Noise, default_linear, orthogonal_linear, tanhshrink


class Calibrator(nn.Module):
    """The calibrator C: BN, FC, dropout, Tanhshrink, FC, all as wide as the input (Methods, section 1).

    Initial weights are orthogonal and biases zero, as in the released code; the text does not say.
    """

    def __init__(self, features: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.bn = BatchNorm(features)
        self.fc1 = orthogonal_linear(features, features, generator)
        self.dropout = Dropout(dropout)
        self.fc2 = orthogonal_linear(features, features, generator)

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Return the codes Z = C(X) of ``x (batches, rows, features)``; same shape."""
        h = self.fc1(self.bn.standardised(x), *self.bn.affine())
        return self.fc2(tanhshrink(self.dropout(h, noise)))


class Reconstructor(nn.Module):
    """The reconstructor R: FC, dropout, Tanhshrink, FC, all as wide as the input (Methods, section 1)."""

    def __init__(self, features: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.fc1 = orthogonal_linear(features, features, generator)
        self.dropout = Dropout(dropout)
        self.fc2 = orthogonal_linear(features, features, generator)

    def forward(self, z: Tensor, noise: Noise | None = None) -> Tensor:
        """Return the reconstruction X' = R(Z) of one batch's codes ``z (rows, features)``; same shape."""
        return self.fc2(tanhshrink(self.dropout(self.fc1(z), noise)))


class Discriminator(nn.Module):
    """The discriminator D: BN, a residual part P-100-P, then P-50-16-classes (Methods, section 1).

    Its activation is LeakyReLU. It has one output for two classes (sigmoid), and one output a class for more
    (softmax). Outputs are logits.

    Args:
        residual: the tensor that the skip connection adds to the residual part. ``"normalised"`` is the
            batch-normalised input (the text). ``"activated"`` is its LeakyReLU (the released code, whose
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
        """Return the logits ``(batches, rows, 1 or classes)`` of ``z (batches, rows, features)``."""
        z = self.bn(z)
        h = F.leaky_relu(z, self.SLOPE)
        skip = h if self.residual == "activated" else z
        h = self.fc2(F.leaky_relu(self.fc1(h), self.SLOPE)) + skip
        h = self.fc3(F.leaky_relu(h, self.SLOPE))
        h = self.fc4(F.leaky_relu(h, self.SLOPE))
        return self.fc5(F.leaky_relu(h, self.SLOPE))


def probabilities(logits: Tensor) -> Tensor:
    """Return class probabilities ``(..., classes)`` from D's logits; one logit stands for two classes."""
    if logits.shape[-1] == 1:
        positive = torch.sigmoid(logits)
        return torch.cat([1 - positive, positive], dim=-1)
    return torch.softmax(logits, dim=-1)


def arrays(networks: Mapping[str, nn.Module]) -> dict[str, NDArray[np.floating]]:
    """Return the parameters and buffers of several networks, named ``<network>.<name>``."""
    return {
        f"{network}.{name}": value.cpu().numpy()
        for network, module in networks.items()
        for name, value in module.state_dict().items()
    }


def load_arrays(networks: Mapping[str, nn.Module], state: Mapping[str, NDArray[np.floating]]) -> None:
    """Load into several networks the parameters and buffers that ``arrays`` returned.

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
