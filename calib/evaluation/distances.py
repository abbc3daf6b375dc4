"""Distances between batches before and after calibration, as in the paper's Figure S1b."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch

from calib.data.matrix import Matrix, dense, feature_means
from calib.mmd import median_distance, mmd2_matrices
from calib.rules import MEDIAN_FACTORS, PAPER_WIDTHS

ROWS, DRAWS = 500, 30
"""Most rows of a batch in a draw, and number of draws."""
LIMIT = 5000
"""Most rows of all batches together in a draw, because kernels are computed between all of them."""

FEW = 9
"""Most batches whose distances are drawn ``DRAWS`` times even if no draw leaves a row out."""

PAIRS = 500
"""Most pairs of batches whose distances a record holds."""


def most_rows(batches: int) -> int:
    """Return the number of rows that a draw takes from each of so many batches, at most all of its rows."""
    return min(ROWS, max(LIMIT // batches, 2))


@dataclass(frozen=True)
class Choice:
    """The draws and pairs of batches whose distances a record holds.

    Attributes:
        draws: number of draws.
        pairs: positions of the two batches of each pair.
        rule: the rule that chose them, as a sentence.
    """

    draws: int
    pairs: Sequence[tuple[int, int]]
    rule: str


def chosen_distances(sizes: Sequence[int]) -> Choice:
    """Return the draws and pairs of batches whose distances are worth recording.

    Draws differ only if they leave rows out. Up to ``FEW`` batches there are ``DRAWS`` draws all the same, as
    in all records so far. Of more than ``PAIRS`` pairs, those of batches that are near in the study's order
    are taken, so that every batch is in equally many.

    Args:
        sizes: number of rows of each batch, in the order of the study.
    """
    count, rows = len(sizes), most_rows(len(sizes))
    pairs = list(combinations(range(count), 2))
    whole = count > FEW and max(sizes) <= rows
    how = "all rows in one draw" if whole else f"{DRAWS} draws of at most {rows} rows of each batch"
    which = "all pairs of batches"
    if len(pairs) > PAIRS:
        steps = max(PAIRS // count, 1)
        near = {(i, (i + step) % count) for i in range(count) for step in range(1, steps + 1)}
        pairs = sorted({(min(pair), max(pair)) for pair in near})
        which = f"of each batch and the {steps} after it, the first after the last, because {count} are many"
    return Choice(1 if whole else DRAWS, pairs, f"{which}; {how}")


def batch_distances(
    spaces: Mapping[str, Mapping[str, Matrix]],
    seed: int,
    rows: int | None = None,
    draws: int = DRAWS,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> pd.DataFrame:
    """Compute the biased squared MMD between all pairs of batches, over random draws of rows.

    The same rows are drawn in every space. There are two sets of kernel widths. ``fixed`` is the paper's 1 to
    16. ``median`` lies around the median distance between the rows of the first draw, all batches pooled, so
    that spaces of different scale can be compared.

    Args:
        spaces: name of a space (before, after) -> batch name -> data ``(samples, dimensions)``.
        seed: seed of the draws.
        rows: number of rows drawn from each batch, or all of them where it has fewer; None: ``most_rows``.
        draws: number of draws.
        pairs: positions of the two batches of each pair; None: all pairs.

    Returns:
        A table with one row for each draw, space, set of widths and pair of batches, and columns ``space,
        kernel, widths, batch_a, batch_b, draw, mmd2``; widths are in the unit of the space.
    """
    rng = np.random.default_rng([seed, ROWS])
    batches = list(next(iter(spaces.values())))
    sizes = {name: x.shape[0] for name, x in next(iter(spaces.values())).items()}
    rows = most_rows(len(sizes)) if rows is None else rows
    drawn = [
        {name: rng.permutation(size)[:rows].copy() for name, size in sizes.items()} for _ in range(draws)
    ]
    pairs = list(combinations(range(len(batches)), 2)) if pairs is None else pairs
    table = []
    for space, data in spaces.items():
        centre = np.mean([feature_means(x) for x in data.values()], axis=0)  # saves digits of float32
        widths: dict[str, list[float]] = {}
        for draw, chosen in enumerate(drawn):
            groups = [torch.as_tensor(dense(data[name][chosen[name]]) - centre) for name in batches]
            if not widths:
                scale = float(median_distance(torch.cat(groups)))
                widths = {
                    "fixed": list(PAPER_WIDTHS),
                    "median": [scale * factor for factor in MEDIAN_FACTORS],
                }
            for (kernel, values), mmd2 in zip(
                widths.items(), mmd2_matrices(groups, list(widths.values())), strict=True
            ):
                listed = " ".join(f"{width:.4g}" for width in values)
                table += [
                    (space, kernel, listed, batches[i], batches[j], draw, float(mmd2[i, j])) for i, j in pairs
                ]
    columns = ["space", "kernel", "widths", "batch_a", "batch_b", "draw", "mmd2"]
    return pd.DataFrame(table, columns=columns)


def pair_name(a: object, b: object) -> str:
    """Return the name of two batches in a summary."""
    return f"{a}-{b}"


def summarise(distances: pd.DataFrame) -> dict[str, dict[str, dict[str, object]]]:
    """Return mean and standard deviation over the draws, as space -> kernel -> pair ``a-b``.

    The standard deviation of a single draw, which has all rows, is 0. Each kernel also has its ``widths``.
    """
    summary: dict[str, dict[str, dict[str, object]]] = {}
    for (space, kernel), part in distances.groupby(["space", "kernel"], sort=False):
        entry: dict[str, object] = {"widths": part["widths"].iloc[0]}
        for (a, b), pair in part.groupby(["batch_a", "batch_b"], sort=False):
            spread = float(pair["mmd2"].std()) if len(pair) > 1 else 0.0
            entry[pair_name(a, b)] = {"mean": float(pair["mmd2"].mean()), "sd": spread}
        summary.setdefault(str(space), {})[str(kernel)] = entry
    return summary
