"""BERMUDA: an autoencoder that brings together similar clusters of different batches.

Wang et al. 2019 (doi 10.1186/s13059-019-1764-6); original code https://github.com/txWang/BERMUDA, with
clusters from Seurat. No label is used, not even of the sources. The clusters of each batch come from
``calib.comparators.clusters``, the similar pairs of clusters from ``calib.comparators.metaneighbor``.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from calib.comparators.clusters import louvain, neighbours, shared_neighbours
from calib.comparators.metaneighbor import best_pairs, compared, similarity
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError, check_flag, check_number
from calib.layers import chain, glorot_linear
from calib.methods.base import State
from calib.methods.lasting import Lasting
from calib.minibatches import lockstep
from calib.mmd import mmd2_sum
from calib.nets import arrays, load_arrays
from calib.rules import PAPER_WIDTHS
from calib.runtime import Runtime

log = logging.getLogger(__name__)
SCALE_LIMIT = 10
"""Largest standardised value; larger ones become this before PCA, as in Seurat's ``ScaleData``."""


class Autoencoder(nn.Module):
    """An autoencoder features-hidden-code-hidden-features, with ReLU after all layers but the code."""

    def __init__(self, features: int, hidden: int, code: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = (features, hidden, code, hidden, features)
        layers = [glorot_linear(a, b, generator, bias=0.01) for a, b in pairwise(widths)]
        self.encoder = nn.Sequential(layers[0], nn.ReLU(), layers[1])
        self.decoder = nn.Sequential(layers[2], nn.ReLU(), layers[3], nn.ReLU())


class Bermuda(Lasting):
    """BERMUDA as a corrector; the corrected data are the codes of an autoencoder.

    One encoder serves all batches, each scaled by itself, and so later ones, too.

    Its two losses are the reconstruction of every cluster and the MMD between similar clusters of different
    batches (the transfer loss).

    Args:
        normalise: total of each sample before clusters are compared; None leaves the totals as they are.
        log: take log(1 + x) of the data for clusters and autoencoder; negative values count as 0.
        components: number of principal components on which each batch is clustered.
        neighbours, prune: settings of Seurat's graph; see ``shared_neighbours``.
        resolution, starts: settings of Louvain's method; see ``louvain``.
        threshold: smallest similarity of a pair of clusters (S_thr).
        hidden, code: widths of the autoencoder.
        epochs: number of epochs; one has as many iterations as the largest cluster has full mini-batches.
        batch_size: rows of each cluster in a mini-batch.
        lr: Adam's learning rate, halved every ``lr_step`` epochs.
        weight_decay: weight of Adam's L2 penalty.
        gamma: weight that the transfer loss rises to.
    """

    version = 2
    uses_seed = True
    stored = True

    def __init__(
        self,
        normalise: float | None,
        log: bool,
        components: int,
        neighbours: int,
        prune: float,
        resolution: float,
        starts: int,
        threshold: float,
        hidden: int,
        code: int,
        epochs: int,
        batch_size: int,
        lr: float,
        lr_step: int,
        weight_decay: float,
        gamma: float,
    ) -> None:
        if normalise is not None:
            check_number("normalise", normalise, least=1)
        check_flag("log", log)
        counts = {
            "components": components, "neighbours": neighbours, "starts": starts, "hidden": hidden,
            "code": code, "epochs": epochs, "lr_step": lr_step, "batch_size": batch_size,
        }  # fmt: skip
        for key, count in counts.items():
            check_number(key, count, least=1, whole=True)
        shares = {
            "prune": prune, "resolution": resolution, "threshold": threshold,
            "lr": lr, "weight_decay": weight_decay, "gamma": gamma,
        }  # fmt: skip
        for key, value in shares.items():
            check_number(key, value, least=0)
        self.normalise, self.log = normalise, log
        self.components, self.neighbours, self.prune = components, neighbours, prune
        self.resolution, self.starts, self.threshold = resolution, starts, threshold
        self.hidden, self.code, self.epochs, self.batch_size = hidden, code, epochs, batch_size
        self.lr, self.lr_step, self.weight_decay, self.gamma = lr, lr_step, weight_decay, gamma

    def learn(self, batches: Sequence[Samples], runtime: Runtime) -> tuple[Mapping[str, FloatArray], State]:
        """Return the code of every sample ``(samples, code)``, by batch, and the trained encoder.

        Raises:
            CalibError: a batch has one sample.
            DivergedError: a loss is no longer finite.
        """
        positive = [self._positive(batch) for batch in batches]
        clusters, pairs = self._clusters_and_pairs(positive, [batch.name for batch in batches], runtime)

        rng = np.random.default_rng(runtime.derived_seed("BERMUDA: oversampling"))
        starts = np.cumsum([0, *map(len, positive)])
        members = [
            rows + start
            for cluster, start in zip(clusters, starts, strict=False)
            for rows in oversampled(cluster, rng)
        ]
        scaled = [self._scaled(x, runtime) for x in positive]
        x = torch.cat(scaled)
        network = self._network(x.shape[1], runtime)
        self.train(network, x, members, pairs, runtime)
        with torch.inference_mode():
            codes = [network.encoder(part).cpu().numpy() for part in scaled]
        found = {batch.name: code for batch, code in zip(batches, codes, strict=True)}
        return found, arrays({"encoder": network.encoder})

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the code of every sample of a later batch ``(samples, code)``."""
        x = self._scaled(self._positive(later), runtime)
        network = self._network(x.shape[1], runtime)
        load_arrays({"encoder": network.encoder}, learnt)
        with torch.inference_mode():
            code: FloatArray = network.encoder(x).cpu().numpy()
        return code

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the width of the code."""
        load_arrays({"encoder": self._network(features, runtime).encoder}, learnt)
        return self.code

    def _positive(self, batch: Samples) -> FloatArray:
        """Return the data of a batch, without negative values if their logarithm is taken."""
        return batch.dense.clip(min=0) if self.log else batch.dense

    def _scaled(self, x: FloatArray, runtime: Runtime) -> Tensor:
        """Return the network's input of a batch ``(samples, features)``: every feature from 0 to 1."""
        return runtime.tensor(MinMaxScaler().fit_transform(np.log2(1 + x) if self.log else x))

    def _network(self, features: int, runtime: Runtime) -> Autoencoder:
        """Return the untrained network."""
        network = Autoencoder(features, self.hidden, self.code, runtime.generator("BERMUDA: initial weights"))
        return network.to(runtime.device, runtime.dtype)

    def _clusters_and_pairs(
        self, x: Sequence[FloatArray], names: Sequence[str], runtime: Runtime
    ) -> tuple[list[NDArray[np.intp]], list[tuple[int, int]]]:
        """Return the clusters of every batch, and the pairs of clusters that are brought together."""
        comparable = [self._comparable(data) for data in x]
        clusters = []
        for data, name in zip(comparable, names, strict=True):
            if len(data) < 2:
                raise CalibError(
                    f"BERMUDA needs two samples of a batch, and batch '{name}' has one; leave it out."
                )
            cluster = self._clusters(data, runtime.derived_seed(f"BERMUDA: clusters of {name}"))
            log.info("BERMUDA: batch %s has clusters of %s samples", name, np.bincount(cluster).tolist())
            clusters.append(cluster)
        rng = np.random.default_rng(runtime.derived_seed("BERMUDA: compared samples"))
        return clusters, self._pairs(comparable, clusters, rng)

    def _comparable(self, x: FloatArray) -> FloatArray:
        """Return data in which clusters are found and compared: equal totals and logarithm, if set."""
        if self.normalise is not None:
            total = x.sum(axis=1, keepdims=True)
            x = x / np.where(total > 0, total, 1) * self.normalise
        return np.log1p(x) if self.log else x

    def _clusters(self, x: FloatArray, seed: int) -> NDArray[np.intp]:
        """Return the cluster of every sample of one batch ``(samples,)``, found as Seurat does."""
        standardised = StandardScaler().fit_transform(x) * math.sqrt((len(x) - 1) / len(x))
        components = min(self.components, *x.shape)
        pca = PCA(components, svd_solver="full").fit_transform(standardised.clip(max=SCALE_LIMIT))
        graph = shared_neighbours(neighbours(pca, self.neighbours), self.prune)
        return louvain(graph, self.resolution, self.starts, seed)

    def _pairs(
        self, x: Sequence[FloatArray], clusters: Sequence[NDArray[np.intp]], rng: np.random.Generator
    ) -> list[tuple[int, int]]:
        """Return the pairs of clusters to bring together; clusters are numbered on from batch to batch."""
        counts = [int(cluster.max()) + 1 for cluster in clusters]
        offsets = np.cumsum([0, *counts[:-1]])
        shifted = np.concatenate([cluster + first for cluster, first in zip(clusters, offsets, strict=True)])
        batch = np.repeat(np.arange(len(x)), [len(rows) for rows in x])
        chosen = compared(shifted, rng)
        first = np.searchsorted(batch, np.arange(len(x)))
        rows = np.concatenate([data[chosen[batch[chosen] == i] - first[i]] for i, data in enumerate(x)])
        similar = similarity(rows, shifted[chosen], batch[chosen])
        pairs = best_pairs(similar, np.repeat(np.arange(len(x)), counts), self.threshold)
        log.info("BERMUDA: %d pairs of clusters are at least %g similar", len(pairs), self.threshold)
        if not pairs:
            log.warning(
                "BERMUDA found no clusters of different batches that are %g similar, so nothing draws the "
                "batches together; consider a lower method.corrector.threshold.",
                self.threshold,
            )
        return pairs

    def train(
        self,
        network: Autoencoder,
        x: Tensor,
        clusters: Sequence[NDArray[np.intp]],
        pairs: Sequence[tuple[int, int]],
        runtime: Runtime,
    ) -> None:
        """Train the network in place on all clusters.

        Args:
            network: the autoencoder.
            x: scaled data of all batches ``(rows, features)``.
            clusters: the rows of each cluster in ``x``, those of a batch equally many.
            pairs: pairs of clusters that are brought together.
            runtime: seed, device and history.
        """
        sizes = [len(rows) for rows in clusters]
        if min(sizes) < self.batch_size:
            log.warning(
                "BERMUDA: the largest cluster of a batch has %d samples, fewer than the %d of a mini-batch "
                "(the original fails): they repeat in it.",
                min(sizes),
                self.batch_size,
            )
        places = torch.as_tensor(np.concatenate(clusters))
        starts = torch.as_tensor(np.cumsum([0, *sizes[:-1]]))[:, None]
        first, second = torch.tensor(pairs, dtype=torch.long, device=x.device).reshape(-1, 2).unbind(dim=1)
        shuffle = runtime.generator("BERMUDA: mini-batches")
        iterations = max(1, max(sizes) // self.batch_size)
        network.train()
        for epoch in (bar := runtime.epochs(self.epochs, "BERMUDA")):
            lr = self.lr / 2 ** (epoch // self.lr_step)
            adam = torch.optim.Adam(network.parameters(), lr, weight_decay=self.weight_decay, fused=True)
            gamma = self.gamma * (2 / (1 + math.exp(-10 * epoch / self.epochs)) - 1)
            minibatches = lockstep(sizes, self.batch_size, shuffle, discard_first=True)
            totals = torch.zeros(2, device=x.device, dtype=x.dtype)
            for _ in range(iterations):
                chosen = places[next(minibatches) + starts].to(x.device)
                rows = x.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)  # by cluster
                code = chain([network.encoder[0], network.encoder[2]], rows, 0)  # slope 0: ReLU
                decoded = F.relu_(chain([network.decoder[0], network.decoder[2]], code, 0))
                error = F.mse_loss(decoded, rows) * len(sizes)  # the sum over clusters
                drawn_together = torch.stack(
                    [code[first], code[second]], dim=1
                )  # (pairs, 2, batch_size, code)
                transfer = mmd2_sum(drawn_together, PAPER_WIDTHS).sum() / 2  # mmd2_sum counts pairs twice
                adam.zero_grad()
                (error + gamma * transfer).backward()
                adam.step()
                totals += torch.stack([error.detach(), transfer.detach()])
            error, transfer = (totals / iterations).tolist()
            runtime.report(bar, epoch, {"reconstruction": error, "transfer": transfer}, "BERMUDA")
        network.eval()


def oversampled(cluster: NDArray[np.intp], rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Return the rows of each cluster, with random repeats until every cluster is as large as the largest."""
    members = [np.flatnonzero(cluster == k) for k in range(cluster.max() + 1)]
    size = max(map(len, members))
    return [np.concatenate([rows, rng.choice(rows, size - len(rows))]) for rows in members]
