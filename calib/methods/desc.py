"""DESC: an autoencoder whose codes move, round by round, towards the centres of their own clusters.

Li et al. 2020 (doi 10.1038/s41467-020-15851-3); original code https://github.com/eleozzr/desc, version
2.1.1, whose Keras defaults are written out here. The network does not know which batch a sample comes from:
differences between batches are removed by the scaling before it, and by clusters that span batches. The
autoencoder and its pre-training are in ``calib.comparators.autoencoder``.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calib.comparators.autoencoder import MIN_DELTA, Autoencoder, Momentum, one_epoch, pretrain
from calib.comparators.clusters import either_neighbours, louvain, neighbours
from calib.data.study import FloatArray, IntArray, Samples, by_batch
from calib.errors import CalibError, check_choice, check_flag, check_number, check_widths
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.nets import arrays, load_arrays
from calib.runtime import Runtime
from calib.training import EarlyStop

log = logging.getLogger(__name__)

PATIENCE = 5
"""Epochs without a lower loss after which a round ends; no round of the published 5 epochs ends early."""
SMALLEST = 1e-7
"""Keras' epsilon: the smallest probability in the Kullback-Leibler divergence."""
SMALLEST_SD = 1e-5
"""Smallest standard deviation by which data are divided."""


class DESC(Lasting):
    """DESC as a corrector; the corrected data are the codes (in -1 to 1) of all samples after clustering.

    The trained encoder gives later batches their codes.

    Args:
        normalise: total intensity that every sample is scaled to; None leaves the totals as they are.
        log1p: take log(1 + x). If ``normalise`` or ``log1p`` is on, negative intensities count as 0.
        scale: z-score each feature in every batch alone (``"by_batch"``) or over all samples (``"all"``).
        max_value: largest z-score, to which larger ones are set; None keeps them.
        dims: widths of the encoder's layers, of which the last is the code; None for ``suggested_dims``.
        pretrain_epochs: at most half of them pre-train each layer, in three stages; then as many stages of
            50 epochs as they fill fine-tune all layers.
        batch_size: rows of a mini-batch, drawn from all batches together.
        dropout: share of a layer's input and output that is zeroed while the layer is pre-trained alone.
        neighbours: nearest samples, itself included, in the graph of the first clusters.
        resolution: resolution of Louvain's method; a larger one gives more and smaller clusters.
        alpha: degrees of freedom of the soft assignment.
        lr: learning rate of encoder and centres while clustering.
        epochs: epochs of a round, in which the target distribution does not change.
        rounds: largest number of rounds; 0 returns the codes before clustering.
        tol: clustering ends when a smaller share of samples has changed its cluster since the round before.
    """

    version = 1
    uses_seed = True
    stored = True

    def __init__(
        self,
        normalise: float | None,
        log1p: bool,
        scale: str,
        max_value: float | None,
        dims: Sequence[int] | None,
        pretrain_epochs: int,
        batch_size: int,
        dropout: float,
        neighbours: int,
        resolution: float,
        alpha: float,
        lr: float,
        epochs: int,
        rounds: int,
        tol: float,
    ) -> None:
        check_flag("log1p", log1p)
        check_choice("scale", scale, ("by_batch", "all"))
        if dims is not None:
            check_widths("dims", dims)
        for key, count in (
            ("pretrain_epochs", pretrain_epochs),
            ("epochs", epochs),
            ("batch_size", batch_size),
        ):
            check_number(key, count, least=1, whole=True)
        check_number("rounds", rounds, least=0, whole=True)
        check_number("neighbours", neighbours, least=2, whole=True)
        for key, value in (("resolution", resolution), ("lr", lr), ("tol", tol)):
            check_number(key, value, least=0)
        check_number("alpha", alpha, least=SMALLEST)
        for key, positive in (("normalise", normalise), ("max_value", max_value)):
            if positive is not None:
                check_number(key, positive, least=SMALLEST)
        check_number("dropout", dropout, least=0, below=1)
        self.normalise, self.log1p, self.scale, self.max_value = normalise, log1p, scale, max_value
        self.dims, self.pretrain_epochs = dims, pretrain_epochs
        self.batch_size, self.dropout = batch_size, dropout
        self.neighbours, self.resolution, self.alpha = neighbours, resolution, alpha
        self.lr, self.epochs, self.rounds, self.tol = lr, epochs, rounds, tol

    def learn(self, batches: Sequence[Samples], runtime: Runtime) -> tuple[Mapping[str, FloatArray], State]:
        """Return codes ``(samples, width)`` of every batch, without unit, each entry in -1 to 1.

        Further arrays are the trained encoder and how its input is made.

        Raises:
            CalibError: the samples fall into one cluster.
            DivergedError: a loss or a code is no longer finite.
        """
        counts = [normalised(batch.dense, self.normalise, self.log1p) for batch in batches]
        scale = Scale.of(np.concatenate(counts))
        x = runtime.tensor(np.concatenate([self.prepared(part, scale) for part in counts]))
        widths = [x.shape[1], *(self.dims or suggested_dims(len(x)))]
        initial = runtime.generator("DESC: initial weights")
        network = Autoencoder(widths, self.dropout, initial).to(runtime.device, runtime.dtype)
        shuffle = runtime.generator("DESC: mini-batches")
        pretrain(network, x, self.pretrain_epochs, self.batch_size, shuffle, runtime, "DESC")
        if self.rounds:
            clusters = self.first_clusters(network.code(x), runtime)
            self.cluster(network, x, clusters, shuffle, runtime)
        learnt = {**vars(scale), **arrays({"encoder": network.encoder})}
        return by_batch(network.code(x).cpu().numpy(), batches), learnt

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return codes ``(samples, width)`` of a later batch, z-scored by itself unless ``scale`` is all."""
        counts = normalised(later.dense, self.normalise, self.log1p)
        x = runtime.tensor(self.prepared(counts, Scale(learnt["mean"], learnt["sd"])))
        return self._trained(learnt, runtime).code(x).cpu().numpy()

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the width of the code."""
        sizes(learnt, {"features": features}, mean=("features",), sd=("features",))
        widths = self._trained(learnt, runtime).widths
        if widths[0] != features:
            raise ValueError(f"the encoder takes {widths[0]} features")
        return widths[-1]

    def _trained(self, learnt: State, runtime: Runtime) -> Autoencoder:
        """Return a network with the trained encoder; the decoder, which nothing needs now, is untrained.

        Raises:
            ValueError: the encoder's layers do not fit each other or the settings.
        """
        layers = len([name for name in learnt if name.endswith(".weight")])
        shapes = [learnt[f"encoder.{layer}.weight"].shape for layer in range(layers)]
        widths = [shapes[0][1], *(shape[0] for shape in shapes)]
        if not all(widths) or (self.dims is not None and widths[1:] != list(self.dims)):
            raise ValueError(f"the encoder has widths {widths[1:]}")
        network = Autoencoder(widths, self.dropout, torch.Generator()).to(runtime.device, runtime.dtype)
        own = {name: learnt[name] for name in learnt if name.startswith("encoder.")}
        load_arrays({"encoder": network.encoder}, own)
        return network

    def prepared(self, counts: FloatArray, of_all: "Scale") -> FloatArray:
        """Return the network's input of a batch ``(samples, features)``: z-scores, cut at ``max_value``."""
        scale = Scale.of(counts) if self.scale == "by_batch" else of_all
        return scale.z_scores(counts, self.max_value)

    def first_clusters(self, code: Tensor, runtime: Runtime) -> IntArray:
        """Return Louvain's clusters ``(samples,)`` of the codes ``(samples, width)``, numbered from 0.

        Raises:
            CalibError: there is only one cluster; the original ends here too.
        """
        k = self.neighbours if self.neighbours <= len(code) else 1 + len(code) // 2  # scanpy's rule
        graph = either_neighbours(neighbours(code.cpu().numpy(), k))
        clusters = louvain(graph, self.resolution, starts=1, seed=runtime.derived_seed("DESC: Louvain"))
        found = int(clusters.max()) + 1
        if found == 1:
            raise CalibError(
                f"DESC finds one cluster only among {len(code)} samples, and nothing to train on; "
                f"raise method.corrector.resolution, which is {self.resolution}."
            )
        log.info("DESC: %d clusters", found)
        return clusters

    def cluster(
        self, network: Autoencoder, x: Tensor, clusters: IntArray, shuffle: torch.Generator, runtime: Runtime
    ) -> None:
        """Train encoder and centres towards their own sharpened assignments until few samples change cluster.

        Args:
            network: pre-trained autoencoder, whose encoder is trained in place.
            x: prepared data of all samples ``(samples, features)``.
            clusters: first cluster of every sample ``(samples,)``.
            shuffle: source of the order of the mini-batches.
            runtime: device and history.
        """
        training = "DESC, clusters"
        last = torch.as_tensor(clusters, device=x.device)
        member = F.one_hot(last).to(x.dtype)
        centres = nn.Parameter(member.T @ network.code(x) / member.sum(dim=0)[:, None])
        # One optimiser serves all rounds, so that its momentum carries over from round to round.
        optimizer = Momentum([*network.encoder.parameters(), centres], self.lr)
        rows = x.contiguous()  # faster to gather from than columns

        def loss(rows: Tensor, target: Tensor) -> Tensor:
            return kl_divergence(target, soft_assignment(network.encode(rows), centres, self.alpha))

        for turn in (bar := runtime.epochs(self.rounds, training)):
            with torch.no_grad():
                q = soft_assignment(network.code(x), centres, self.alpha)
            now = q.argmax(dim=1)
            changed = float((now != last).to(x.dtype).mean())
            if turn > 1 and changed < self.tol:
                log.info("DESC: settled in round %d", turn)
                return
            last, p, stop = now, target_distribution(q), EarlyStop(PATIENCE, MIN_DELTA)
            for _ in range(self.epochs):
                mean = one_epoch(loss, [rows, p], self.batch_size, optimizer, shuffle)
                if stop.after(mean):
                    break
            runtime.report(bar, turn, {"KL": mean, "changed": changed}, training)
        log.warning("DESC: not settled after %d rounds, the most allowed", self.rounds)


def suggested_dims(samples: int) -> list[int]:
    """Return the original's layer widths after the input for a number of samples."""
    for more_than, widths in (
        (20000, [128, 32]),
        (10000, [64, 32]),
        (5000, [32, 16]),
        (2000, [128]),
        (500, [64]),
    ):
        if samples > more_than:
            return widths
    return [16]


def normalised(x: FloatArray, total: float | None, log1p: bool) -> FloatArray:
    """Return intensities ``(samples, features)`` with equal totals, then log(1 + x), as float64.

    Args:
        x: intensities ``(samples, features)``.
        total: total of every sample; None leaves the totals as they are. A sample of zeros stays one.
        log1p: whether to take log(1 + x). If ``total`` or ``log1p`` is set, negative intensities become 0.
    """
    x = np.asarray(x, np.float64)
    if total is not None or log1p:
        x = np.maximum(x, 0)
    if total is not None:
        totals = x.sum(axis=1, keepdims=True)
        x = x * (total / np.where(totals == 0, 1, totals))
    return np.log1p(x) if log1p else x


@dataclass(frozen=True)
class Scale:
    """Mean and unbiased standard deviation of each feature ``(features,)``."""

    mean: FloatArray
    sd: FloatArray

    @classmethod
    def of(cls, x: FloatArray) -> "Scale":
        """Return those of ``x (samples, features)``."""
        mean = x.mean(axis=0)
        return cls(mean, np.sqrt(((x - mean) ** 2).sum(axis=0) / max(len(x) - 1, 1)))

    def z_scores(self, x: FloatArray, max_value: float | None) -> FloatArray:
        """Return the z-scores of ``x (samples, features)``.

        Only the upper tail is cut, at ``max_value``. A feature that does not vary becomes 0.
        """
        z = (x - self.mean) / np.maximum(self.sd, SMALLEST_SD)
        return np.minimum(z, np.inf if max_value is None else max_value)


def soft_assignment(z: Tensor, centres: Tensor, alpha: float) -> Tensor:
    """Return q ``(samples, clusters)``: how much each sample belongs to each cluster; rows sum to 1.

    It follows Student's t distribution (Li et al. 2020, Methods), with
    (1 + d^2 / alpha)^(-(alpha + 1) / 2) as in their code.

    Args:
        z: codes ``(samples, width)``.
        centres: centres of the clusters ``(clusters, width)``, in the unit of the codes.
        alpha: degrees of freedom.
    """
    # Two centres can coincide. Distances computed by a matrix product then differ by rounding, the arg max
    # changes from round to round, and clustering does not end (this happened on CHD).
    distance = torch.cdist(z, centres, compute_mode="donot_use_mm_for_euclid_dist")
    q = (1 + distance.square() / alpha) ** (-(alpha + 1) / 2)
    return q / q.sum(dim=1, keepdim=True)


def target_distribution(q: Tensor) -> Tensor:
    """Return p ``(samples, clusters)``: q sharpened, with less weight on large clusters; rows sum to 1."""
    p = q.square() / q.sum(dim=0)
    return p / p.sum(dim=1, keepdim=True)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of q from p ``(samples, clusters)``, the mean over samples."""
    p, q = p.clamp(SMALLEST, 1), q.clamp(SMALLEST, 1)
    return (p * (p / q).log()).sum(dim=1).mean()
