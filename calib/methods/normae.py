"""NormAE: an autoencoder trained so that an adversary cannot recognise the batch from the code.

Rong et al. 2020 (doi 10.1021/acs.analchem.9b05460); original code https://github.com/luyiyun/NormAE, in the
version of 2019 to 2021 that the paper used (``deprecated/`` there). The studies have no injection order, so
the order head and the order column of the batch injector are left out, as in the paper.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from calib.data.study import FloatArray, Samples, by_batch
from calib.errors import CalibError, check_number, check_widths
from calib.layers import Dropout, default_linear
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.nets import arrays, load_arrays
from calib.runtime import Runtime


class Coder(nn.Module):
    """A network of hidden layers (linear, BN, LeakyReLU(0.01), dropout) and a last linear layer."""

    def __init__(self, widths: Sequence[int], dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        *hidden, last = pairwise(widths)
        self.hidden = nn.ModuleList(default_linear(a, b, generator) for a, b in hidden)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for _, b in hidden)
        self.last = default_linear(*last, generator)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the outputs ``(rows, widths[-1])`` of ``x (rows, widths[0])``."""
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = self.dropout(F.leaky_relu(norm(layer(x))), generator)
        return self.last(x)


class Networks(nn.Module):
    """The four networks: encoder, decoder, injector of the batch into the code, adversary that guesses it."""

    def __init__(
        self,
        features: int,
        batches: int,
        hidden: Sequence[int],
        latent: int,
        inject: Sequence[int],
        adversary: Sequence[int],
        dropout: tuple[float, float, float],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        encoder, decoder, guess = dropout
        self.encoder = Coder([features, *hidden, latent], encoder, generator)
        self.decoder = Coder([latent, *reversed(hidden), features], decoder, generator)
        self.inject = Coder([batches, *inject, latent], 0, generator)
        self.adversary = Coder([latent, *adversary, batches], guess, generator)


class NormAE(Lasting):
    """NormAE as a corrector; the corrected data are decoded from the codes without injecting the batch.

    So the trained coders correct later batches, too, in the standard units of the batches of the fit.

    Args:
        pretrain_epochs: epochs of reconstruction alone.
        adversary_epochs: epochs of the adversary alone.
        epochs: epochs of both, one step each for every mini-batch.
        batch_size: rows of a mini-batch, drawn from all batches together.
        lr: Adam's learning rate of encoder, decoder and injector.
        lr_adversary: Adam's learning rate of the adversary.
        strength: weight of the adversary's cross-entropy, which the encoder maximises.
        zeros: features with at least this share of zeros are left out.
        hidden, latent, inject, adversary: widths of the layers of encoder (mirrored in the decoder), code,
            injector and adversary.
        dropout: three shares of zeroed outputs, of encoder, decoder and adversary.

    Raises:
        CalibError: a value is of the wrong kind, too small or too large.
    """

    version = 1
    uses_seed = True
    stored = True

    def __init__(
        self,
        pretrain_epochs: int,
        adversary_epochs: int,
        epochs: int,
        batch_size: int,
        lr: float,
        lr_adversary: float,
        strength: float,
        zeros: float,
        hidden: Sequence[int],
        latent: int,
        inject: Sequence[int],
        adversary: Sequence[int],
        dropout: Sequence[float],
    ) -> None:
        for key, count in (("pretrain_epochs", pretrain_epochs), ("adversary_epochs", adversary_epochs)):
            check_number(key, count, least=0, whole=True)
        check_number("epochs", epochs, least=1, whole=True)
        check_number("batch_size", batch_size, least=2, whole=True)
        check_number("latent", latent, least=1, whole=True)
        for key, widths in (("hidden", hidden), ("inject", inject), ("adversary", adversary)):
            check_widths(key, widths)
        check_number("zeros", zeros, least=0, most=1)
        if len(dropout) != 3:
            raise CalibError(
                f"dropout={list(dropout)} must be three shares: of encoder, decoder and adversary."
            )
        for share in dropout:
            check_number("dropout", share, least=0, below=1)
        for key, value in (("lr", lr), ("lr_adversary", lr_adversary), ("strength", strength)):
            check_number(key, value, least=0)
        self.pretrain_epochs, self.adversary_epochs, self.epochs = pretrain_epochs, adversary_epochs, epochs
        self.batch_size, self.lr, self.lr_adversary, self.strength = batch_size, lr, lr_adversary, strength
        self.zeros = zeros
        self.hidden, self.latent, self.inject, self.adversary = hidden, latent, inject, adversary
        self.dropout = dropout

    def learn(self, batches: Sequence[Samples], runtime: Runtime) -> tuple[Mapping[str, FloatArray], State]:
        """Return the corrected data of every batch, in the unit of the data, without the left-out features.

        Further arrays are the trained coders and how their input is made.

        Raises:
            CalibError: every feature is left out.
            DivergedError: a loss is no longer finite.
        """
        measured = np.concatenate([batch.dense for batch in batches])
        kept = few_zeros(measured, self.zeros)
        floor = least(measured[:, kept]) / 2
        raw = filled(measured[:, kept], floor)
        scaler = StandardScaler().fit(raw)
        x = runtime.tensor(scaler.transform(raw))
        rows = torch.tensor([len(batch) for batch in batches])
        owner = torch.arange(len(batches)).repeat_interleave(rows).to(runtime.device)
        networks = self._networks(x.shape[1], len(batches), runtime)
        self.train(networks, x, owner, runtime)
        learnt = {"kept": kept, "floor": floor, "mean": scaler.mean_, "scale": scaler.scale_}
        coders = arrays({"encoder": networks.encoder, "decoder": networks.decoder})
        return by_batch(_decoded(networks, x, scaler, runtime), batches), {**learnt, **coders}

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the corrected data of a later batch; zeros become what they became in the fit."""
        kept = learnt["kept"].astype(bool)
        networks = self._trained(learnt, int(kept.sum()), runtime)
        scaler = StandardScaler()
        scaler.mean_, scaler.scale_ = learnt["mean"], learnt["scale"]
        raw = filled(later.dense[:, kept], learnt["floor"])
        return _decoded(networks, runtime.tensor((raw - scaler.mean_) / scaler.scale_), scaler, runtime)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features that are kept."""
        kept = int(np.sum(learnt["kept"].astype(bool)))
        shapes = {"kept": ("features",), "floor": ("kept",), "mean": ("kept",), "scale": ("kept",)}
        sizes(learnt, {"features": features, "kept": kept}, **shapes)
        self._trained(learnt, kept, runtime)
        return kept

    def _networks(self, features: int, batches: int, runtime: Runtime) -> Networks:
        """Return the untrained networks."""
        return Networks(
            features, batches, self.hidden, self.latent, self.inject, self.adversary,
            (self.dropout[0], self.dropout[1], self.dropout[2]), runtime.generator("NormAE: initial weights"),
        ).to(runtime.device, runtime.dtype)  # fmt: skip

    def _trained(self, learnt: State, features: int, runtime: Runtime) -> Networks:
        """Return networks with trained coders; the other two, which nothing needs any more, are untrained."""
        networks = self._networks(features, 1, runtime)
        coders = {"encoder": networks.encoder, "decoder": networks.decoder}
        load_arrays(coders, {name: learnt[name] for name in learnt if name.partition(".")[0] in coders})
        return networks

    def train(self, networks: Networks, x: Tensor, owner: Tensor, runtime: Runtime) -> None:
        """Train the networks in place in three phases: coders alone, adversary alone, both in turn.

        Args:
            networks: the four networks.
            x: standardised data ``(rows, features)``.
            owner: index of each row's batch ``(rows,)``.
            runtime: seed, device and history.
        """
        n = networks
        noise = runtime.generator("NormAE: dropout", on_device=True)
        shuffle = runtime.generator("NormAE: mini-batches")
        coders = [*n.encoder.parameters(), *n.decoder.parameters(), *n.inject.parameters()]
        guesser = list(n.adversary.parameters())
        adam_coders = torch.optim.Adam(coders, lr=self.lr, betas=(0.5, 0.9), fused=True)
        adam_guesser = torch.optim.Adam(guesser, lr=self.lr_adversary, betas=(0.5, 0.9), fused=True)
        one_hot = F.one_hot(owner, int(owner.max()) + 1).to(x.dtype)

        def guess(rows: Tensor) -> Tensor:
            """Train the adversary for one step; the encoder's running batch-norm statistics change too."""
            with torch.no_grad():
                code = n.encoder(x[rows], noise)
            loss = F.cross_entropy(n.adversary(code, noise), owner[rows])
            _descend(loss, guesser, adam_guesser)
            return loss.detach()

        def reconstruct(rows: Tensor, adversarial: bool) -> dict[str, Tensor]:
            """Train encoder, decoder and injector for one step, against the adversary if ``adversarial``."""
            code = n.encoder(x[rows], noise)
            error = F.l1_loss(n.decoder(code + n.inject(one_hot[rows], noise), noise), x[rows])
            if not adversarial:
                _descend(error, coders, adam_coders)
                return {"reconstruction": error.detach()}
            n.adversary.requires_grad_(False)
            deceit = F.cross_entropy(n.adversary(code, noise), owner[rows])
            n.adversary.requires_grad_(True)
            _descend(error - self.strength * deceit, coders, adam_coders)
            return {"reconstruction": error.detach(), "adversary deceived": deceit.detach()}

        phases = [
            ("NormAE, reconstruction", self.pretrain_epochs, False, True),
            ("NormAE, adversary", self.adversary_epochs, True, False),
            ("NormAE, both", self.epochs, True, True),
        ]
        n.train()
        for phase, count, guessing, coding in phases:
            for epoch in (bar := runtime.epochs(count, phase)):
                totals: dict[str, Tensor] = {}
                for rows in self._minibatches(len(x), shuffle):
                    rows = rows.to(x.device)
                    losses = {"adversary": guess(rows)} if guessing else {}
                    if coding:
                        losses |= reconstruct(rows, adversarial=guessing)
                    for name, loss in losses.items():
                        totals[name] = totals.get(name, 0) + loss * len(rows)
                means = {name: float(total) / len(x) for name, total in totals.items()}
                runtime.report(bar, epoch, means, phase)
        n.eval()

    def _minibatches(self, rows: int, generator: torch.Generator) -> list[Tensor]:
        """Return a shuffle of the rows in mini-batches, of which the last may be smaller.

        A last mini-batch of a single row has no variance and is left out.
        """
        parts = torch.randperm(rows, generator=generator).split(self.batch_size)
        return [part for part in parts if len(part) > 1]


def _descend(loss: Tensor, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Take one step of the optimizer down the gradient of the loss, clipped to norm 1."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, max_norm=1)
    optimizer.step()


def _decoded(networks: Networks, x: Tensor, scaler: StandardScaler, runtime: Runtime) -> FloatArray:
    """Return standardised data ``(rows, features)``, encoded, decoded and in their own unit again."""
    with torch.inference_mode():
        decoded = networks.decoder(networks.encoder(x)).cpu().numpy()
    corrected: FloatArray = scaler.inverse_transform(decoded).astype(runtime.numpy_dtype)
    return corrected


def few_zeros(x: FloatArray, share: float) -> NDArray[np.bool_]:
    """Return whether each feature of ``x (samples, features)`` has a smaller share of zeros than ``share``.

    Raises:
        CalibError: none has.
    """
    kept: NDArray[np.bool_] = (x == 0).mean(axis=0) < share
    if not kept.any():
        raise CalibError(
            f"NormAE leaves out features with {share:.0%} zeros or more, and that is all of them; "
            "raise method.corrector.zeros."
        )
    return kept


def least(x: FloatArray) -> FloatArray:
    """Return the smallest value that is not zero of every feature, in float64 ``(features,)``."""
    x = np.asarray(x, np.float64)
    smallest: FloatArray = np.where(x == 0, np.inf, x).min(axis=0)
    return smallest


def filled(x: FloatArray, floor: FloatArray) -> FloatArray:
    """Return ``x (samples, features)`` in float64, with zeros replaced by ``floor (features,)``."""
    x = np.asarray(x, np.float64)
    return np.where(x == 0, floor, x)
