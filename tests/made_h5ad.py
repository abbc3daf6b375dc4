"""Functions that make h5ad files for the tests, with the schema of the pancreas study's file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

TECHNOLOGIES = {
    "celseq": 1004, "celseq2": 2285, "fluidigmc1": 638, "inDrop1": 1937, "inDrop2": 1724,
    "inDrop3": 3605, "inDrop4": 1303, "smarter": 1492, "smartseq2": 2394,
}  # fmt: skip
"""Number of cells of each technology in the real file, 16,382 together."""


def write_h5ad(
    file: Path,
    obs: Mapping[str, Any],
    features: Sequence[str],
    x: Any = None,
    layers: Mapping[str, Any] = {},
    cells: Sequence[str] | None = None,
) -> Path:
    """Write a file as anndata does; text columns of ``obs`` are stored as categories."""
    table = pd.DataFrame({key: _storable(values) for key, values in obs.items()})
    names = pd.Index(cells or [f"cell_{row}" for row in range(len(table))], dtype=object)
    with h5py.File(file, "w") as h5:
        h5.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(h5, "obs", table.set_index(names))
        write_elem(h5, "var", pd.DataFrame(index=pd.Index(features, dtype=object)))
        if x is not None:
            write_elem(h5, "X", x)
        write_elem(h5, "layers", dict(layers))
    return file


def _storable(values: Any) -> Any:
    """Return text as categories of plain objects, because anndata 0.12 does not write the text of pandas 3."""
    column = pd.Series(values)
    if pd.api.types.is_numeric_dtype(column):
        return column
    column = pd.Series(pd.Categorical(column))
    return column.cat.rename_categories(column.cat.categories.astype(object))


def made_cells(
    composition: Mapping[str, Mapping[str, int]], genes: int, seed: int = 0
) -> tuple[pd.DataFrame, Any]:
    """Return the technology and the type of every cell, in random order, and their counts (CSR, float32).

    Types differ in a twelfth of the genes, technologies in depth and in a gain for each gene.
    """
    rng = np.random.default_rng(seed)
    rows = [
        (tech, kind) for tech, kinds in composition.items() for kind, n in kinds.items() for _ in range(n)
    ]
    obs = pd.DataFrame(rows, columns=["tech", "celltype"]).sample(
        frac=1, random_state=seed, ignore_index=True
    )
    level = rng.lognormal(-3.5, 1.8, genes).astype(np.float32)
    types = sorted(set(obs["celltype"]))
    marked = {kind: np.where(rng.random(genes) < 1 / 12, 8, 1).astype(np.float32) for kind in types}
    gain = {tech: rng.lognormal(0, 0.4, genes).astype(np.float32) for tech in sorted(composition)}
    parts = []
    for start in range(0, len(obs), 500):
        part = obs[start : start + 500]
        depth = rng.lognormal(0, 0.3, len(part)).astype(np.float32)
        rate = np.stack([marked[k] * gain[t] for t, k in zip(part["tech"], part["celltype"], strict=True)])
        parts.append(sparse.csr_matrix(rng.poisson(rate * level * depth[:, None]).astype(np.float32)))
    return obs, sparse.vstack(parts, "csr")


def whole_composition(
    counts: Mapping[str, Sequence[int]], wanted: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return the number of cells of each type and technology, as in the real file.

    The numbers of the wanted technologies are the given ones; those of the others are approximate.
    """
    composition = {tech: {kind: n[i] for kind, n in counts.items()} for i, tech in enumerate(wanted)}
    share = {kind: sum(n) / 4036 for kind, n in counts.items()}
    for tech, cells in TECHNOLOGIES.items():
        if tech not in composition:
            kinds = {kind: int(cells * part) for kind, part in share.items()}
            composition[tech] = kinds | {"alpha": kinds["alpha"] + cells - sum(kinds.values())}
    return composition
