"""Seurat 3: a corrector that merges batches along a tree by weighted differences between anchors.

Stuart et al. 2019 (doi 10.1016/j.cell.2019.05.031), computed as by ``FindIntegrationAnchors`` and
``IntegrateData`` of Seurat 4.3.0. The anchors themselves are found in ``calib.comparators.seurat``.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse
from scipy.cluster.hierarchy import linkage

from calib.comparators.neighbours import nearest
from calib.comparators.seurat.anchors import Anchors, find_anchors
from calib.comparators.seurat.canonical import principal_scores, varying, z_scores
from calib.data.matrix import pieces
from calib.data.study import FloatArray, Samples
from calib.errors import CalibError, check_number
from calib.methods.base import State
from calib.methods.lasting import Lasting, sizes
from calib.runtime import Runtime

log = logging.getLogger(__name__)

AnchorSets = Mapping[tuple[int, int], Anchors]
"""Anchors of every two batches, by the batches' positions in the study, the smaller first."""

WEIGHTS = 2**22
"""Largest number of weights that are computed at a time."""


class Seurat(Lasting):
    """Seurat 3 as a corrector; the corrected data are features, in the unit of the data.

    It expects values on a logarithmic scale, as after Seurat's ``LogNormalize``. A later batch is a query: it
    is merged with the corrected batches, by its anchors with them, and these stay as they are.

    Args:
        dims: dimensions of the canonical embedding and of the one in which weights are computed.
        k_anchor, k_filter, k_score, max_features: see ``find_anchors``.
        k_weight: number of anchors that correct a sample.
        sd_weight: width of the kernel that weights these anchors.
    """

    version = 1
    uses_seed = False
    stored = True
    dense_copies = 5
    keeps_features = True

    def __init__(
        self,
        dims: int,
        k_anchor: int,
        k_filter: int,
        k_score: int,
        max_features: int,
        k_weight: int,
        sd_weight: float,
    ) -> None:
        for key, count in (
            ("dims", dims),
            ("k_anchor", k_anchor),
            ("k_filter", k_filter),
            ("k_score", k_score),
            ("max_features", max_features),
            ("k_weight", k_weight),
        ):
            check_number(key, count, least=1, whole=True)
        check_number("sd_weight", sd_weight, least=1e-3)
        self.dims, self.k_anchor, self.k_filter, self.k_score = dims, k_anchor, k_filter, k_score
        self.max_features, self.k_weight, self.sd_weight = max_features, k_weight, sd_weight

    def learn(
        self, batches: Sequence[Samples], runtime: Runtime
    ) -> tuple[Mapping[str, FloatArray], dict[str, FloatArray]]:
        """Return the corrected data ``(samples, features)`` of every batch, and all of them merged.

        Raises:
            CalibError: there is one batch only, a batch has a single sample, or fewer than two features vary
                in both of two batches.
        """
        x = [np.ascontiguousarray(batch.dense, np.float64) for batch in batches]
        check_batches(batches, x)
        anchors = {(i, j): self.anchors(x[i], x[j]) for i, j in combinations(range(len(x)), 2)}
        for (i, j), found in anchors.items():
            log.info("Seurat: %d anchors of %s and %s", len(found), batches[i].name, batches[j].name)
        nodes = {i: Node([i], [data]) for i, data in enumerate(x)}
        for step, (i, j) in enumerate(guide_tree(anchors, [len(data) for data in x])):
            reference, query = nodes.pop(i), nodes.pop(j)
            if len(query) > len(reference):
                reference, query = query, reference
            query = self.corrected(reference, query, anchors)
            nodes[len(x) + step] = Node(reference.batches + query.batches, reference.data + query.data)
        (whole,) = nodes.values()
        done = dict(zip(whole.batches, whole.data, strict=True))
        corrected = {batch.name: done[i].astype(runtime.numpy_dtype) for i, batch in enumerate(batches)}
        return corrected, {"merged": np.concatenate(whole.data)}

    def follow(self, learnt: State, later: Samples, runtime: Runtime) -> FloatArray:
        """Return the corrected data ``(samples, features)`` of a later batch.

        Raises:
            CalibError: it has a single sample, or fewer than two features vary in it.
        """
        x, merged = np.ascontiguousarray(later.dense, np.float64), learnt["merged"]
        check_batches([Samples("training", merged), later], [merged, x])
        query = self.corrected(Node([0], [merged]), Node([1], [x]), {(0, 1): self.anchors(merged, x)})
        return query.data[0].astype(runtime.numpy_dtype)

    def width(self, learnt: State, features: int, runtime: Runtime) -> int:
        """Return the number of features."""
        return sizes(learnt, {"features": features}, merged=("samples", "features"))["features"]

    def anchors(self, a: FloatArray, b: FloatArray) -> Anchors:
        """Return the anchors between two batches ``(samples, features)``."""
        return find_anchors(a, b, self.dims, self.k_anchor, self.k_filter, self.k_score, self.max_features)

    def corrected(self, reference: "Node", query: "Node", anchors: AnchorSets) -> "Node":
        """Return the query's batches, moved to the reference; without any anchor they stay as they are."""
        found = anchors_between(reference, query, anchors)
        if len(found) == 0:
            log.warning("Seurat finds no anchor for some batches: they are merged as they are.")
            return query
        a, b = np.concatenate(reference.data), np.concatenate(query.data)
        scores = principal_scores(z_scores(np.concatenate([a, b])), min(self.dims, a.shape[1] - 1))[len(a) :]
        moved, differences = b.copy(), b[found.b] - a[found.a]
        for rows, weights in anchor_weights(scores, found, self.k_weight, self.sd_weight):
            moved[rows] -= weights @ differences
        return Node(query.batches, pieces(moved, query.data))


@dataclass(frozen=True)
class Node:
    """A node of the tree: batches that are merged already.

    Attributes:
        batches: positions of the batches in the study.
        data: corrected data ``(samples, features)`` of these batches, in the same order.
    """

    batches: list[int]
    data: list[FloatArray]

    def __len__(self) -> int:
        return sum(map(len, self.data))

    def starts(self) -> dict[int, int]:
        """Return the first row of each batch among all rows of the node, by the batch's position."""
        ends = np.cumsum([len(part) for part in self.data])
        return {i: int(end) - len(part) for i, end, part in zip(self.batches, ends, self.data, strict=True)}


def guide_tree(anchors: AnchorSets, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the two nodes to merge in every step; step s makes node ``len(sizes) + s``.

    The tree comes from complete linkage. The distance of two batches is the number of samples of the smaller
    one over twice the number of anchors between them.

    Args:
        anchors: anchors of every two batches.
        sizes: number of samples of every batch.
    """
    # A pair of batches without anchors counts as having half an anchor, because clustering would fail on
    # Seurat's distance of 1/0.
    distance = [min(sizes[i], sizes[j]) / max(2 * len(found), 1) for (i, j), found in anchors.items()]
    return [(int(i), int(j)) for i, j, *_ in linkage(np.array(distance), "complete")]


def anchors_between(reference: Node, query: Node, anchors: AnchorSets) -> Anchors:
    """Return all anchors between the batches of two nodes; ``a`` is the reference.

    Rows are counted over all batches of a node. The anchors are in Seurat's order, which decides which ones
    are used if a sample has more anchors at the same distance than are needed.
    """
    start_a, start_b = reference.starts(), query.starts()
    pairs = sorted(anchors, key=lambda pair: pair[::-1])
    found = [
        (anchors[i, j].a + start_a[i], anchors[i, j].b + start_b[j], anchors[i, j].score)
        for i, j in pairs
        if i in start_a and j in start_b
    ] + [
        (anchors[i, j].b + start_a[j], anchors[i, j].a + start_b[i], anchors[i, j].score)
        for i, j in pairs
        if j in start_a and i in start_b
    ]
    return Anchors(*map(np.concatenate, zip(*found, strict=True)))


def anchor_weights(
    scores: FloatArray, anchors: Anchors, k: int, sd: float
) -> Iterator[tuple[slice, sparse.csr_array]]:
    """Yield the weight of each anchor for each sample of the query, in slices of samples.

    A sample uses ``k`` anchors, those of the nearest anchored samples. An anchor's weight is
    1 - exp(-(1 - d / d_k) score / (2 / sd)^2), where d is the distance to its sample and d_k that to the
    last one; a sample's weights are divided by their sum. If all are 0 they become equal (Seurat divides by
    zero).

    Args:
        scores: coordinates of the query's samples ``(samples, dims)``.
        anchors: anchors between reference and query.
        k, sd: ``k_weight`` and ``sd_weight`` of ``Seurat``.

    Yields:
        Rows of the query and their weights ``(rows, anchors)``.
    """
    anchored, owner, counts = np.unique(anchors.b, return_inverse=True, return_counts=True)
    by_sample = np.argsort(owner, kind="stable")  # anchors, ordered by their sample
    first = np.cumsum(counts) - counts
    near, distance = nearest(scores[anchored], scores, min(k, len(anchors)))
    last = distance[:, -1:]
    closeness = 1 - np.divide(distance, last, out=np.zeros_like(distance), where=last > 0)
    k = near.shape[1]
    step = max(WEIGHTS // k, 1)
    for start in range(0, len(scores), step):
        rows = slice(start, min(start + step, len(scores)))
        n = rows.stop - start
        before = counts[near[rows]].cumsum(axis=1) - counts[near[rows]]
        taken = np.clip(k - before, 0, counts[near[rows]])  # used anchors of each neighbour, k in every row
        place = np.repeat(np.arange(n * k), taken.ravel())  # place of the neighbour in the slice's table
        nth = np.arange(len(place)) - np.repeat(np.cumsum(taken) - taken.ravel(), taken.ravel())
        anchor = by_sample[first[near[rows].ravel()[place]] + nth]
        weight = -np.expm1(-closeness[rows].ravel()[place] * anchors.score[anchor] * (sd / 2) ** 2)
        total = weight.reshape(n, k).sum(axis=1, keepdims=True)
        weight = np.divide(weight.reshape(n, k), total, out=np.full((n, k), 1 / k), where=total > 0)
        ends = np.arange(0, n * k + 1, k)
        yield rows, sparse.csr_array((weight.ravel(), anchor, ends), (n, len(anchors)))


def check_batches(batches: Sequence[Samples], x: Sequence[FloatArray]) -> None:
    """Raise CalibError unless there are two batches and every two share two features that vary in both."""
    if len(batches) < 2:
        raise CalibError(f"Seurat needs at least two batches; there is only '{batches[0].name}'.")
    for i, j in combinations(range(len(x)), 2):
        if (count := int(varying([x[i], x[j]]).sum())) < 2:
            raise CalibError(
                f"Seurat needs at least two features that vary in both of two batches; '{batches[i].name}' "
                f"and '{batches[j].name}' have {count}."
            )
