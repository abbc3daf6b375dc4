"""R data files for the tests, such as the parts of a Seurat object that are read.

The objects are lists with attributes where R has objects with slots, since rdata writes no such objects. Both
are read alike.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rdata.parser import (
    CharFlags,
    RData,
    RExtraInfo,
    RObject,
    RObjectInfo,
    RObjectType,
    RVersions,
)
from rdata.unparser import unparse_file
from scipy import sparse


def write_seurat(
    file: Path, counts: sparse.spmatrix, genes: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> Path:
    """Write cells ``counts (cells, genes)`` with their table as an object called ``cells``."""
    names = [f"cell_{row}" for row in range(counts.shape[0])]
    x = sparse.csr_matrix(counts)  # the columns of R's matrix are cells
    matrix = _with({
        "i": _numbers(x.indices), "p": _numbers(x.indptr), "x": _numbers(x.data.astype(float)),
        "Dim": _numbers(np.array(x.shape[::-1], np.int32)), "Dimnames": _list([_texts(genes), _texts(names)]),
    })  # fmt: skip
    table = _list([_column(values) for values in columns.values()], {"names": _texts(list(columns))})
    seurat = _with(
        {"assays": _list([_with({"counts": matrix})], {"names": _texts(["RNA"])}), "meta.data": table}
    )
    write(file, {"cells": seurat})
    return file


def write(file: Path, objects: Mapping[str, RObject]) -> None:
    """Write an R data file of these objects."""
    data = RData(RVersions(3, 0x40401, 0x30500), RExtraInfo("UTF-8"), _pairs(objects))
    unparse_file(file, data, file_type="rda", compression="gzip")


def factor(codes: Sequence[int], levels: Sequence[str]) -> RObject:
    """Return a factor; codes count from 1, and R's missing value is the smallest integer."""
    made = _numbers(np.array(codes, np.int32))
    return _object(RObjectType.INT, made.value, {"levels": _texts(levels)})


def matrix(values: np.ndarray, rows: Sequence[str] | None, columns: Sequence[str] | None) -> RObject:
    """Return a dense matrix; R stores it column by column, and its names may be missing."""
    slots = {"dim": _numbers(np.array(values.shape, np.int32))}
    if rows is not None and columns is not None:
        slots["dimnames"] = _list([_texts(rows), _texts(columns)])
    return _object(RObjectType.REAL, values.astype(float).ravel(order="F"), slots)


def named_list(entries: Mapping[str, Any], rows: Sequence[str] | None = None) -> RObject:
    """Return a list with names, or a data frame with names of its rows."""
    attributes = {"names": _texts(list(entries))} | ({} if rows is None else {"row.names": _texts(rows)})
    return _list([_column(values) for values in entries.values()], attributes)


def with_slots(slots: Mapping[str, RObject]) -> RObject:
    """Return an object with these slots."""
    return _with(slots)


def _column(values: Any) -> RObject:
    if isinstance(values, RObject):
        return values
    array = np.asarray(values)
    return _numbers(array) if array.dtype.kind in "if" else _texts(values)


def _object(kind: RObjectType, value: Any, attributes: Mapping[str, RObject] | None = None) -> RObject:
    info = RObjectInfo(kind, object=False, attributes=bool(attributes), tag=False, gp=0, reference=0)
    return RObject(info, value, _pairs(attributes) if attributes else None, None, None)


def _with(slots: Mapping[str, RObject]) -> RObject:
    return _object(RObjectType.VEC, [], slots)


def _list(values: Sequence[RObject], attributes: Mapping[str, RObject] | None = None) -> RObject:
    return _object(RObjectType.VEC, list(values), attributes)


def _numbers(values: np.ndarray) -> RObject:
    whole = values.dtype.kind == "i"
    return _object(RObjectType.INT if whole else RObjectType.REAL, values.astype("i4" if whole else "f8"))


def _texts(values: Sequence[str | None]) -> RObject:
    return _object(RObjectType.STR, [_text(value) for value in values])


def _text(value: str | None) -> RObject:
    info = RObjectInfo(
        RObjectType.CHAR,
        object=False,
        attributes=False,
        tag=False,
        gp=0 if value is None else int(CharFlags.UTF8),
        reference=0,
    )
    return RObject(info, None if value is None else value.encode(), None, None, None)


def _pairs(entries: Mapping[str, RObject]) -> RObject:
    """Return one of R's linked lists."""
    made = RObject(RObjectInfo(RObjectType.NILVALUE, False, False, False, 0, 0), None, None, None, None)
    for name, value in reversed(entries.items()):
        symbol = _object(RObjectType.SYM, _text(name))
        info = RObjectInfo(RObjectType.LIST, object=False, attributes=False, tag=True, gp=0, reference=0)
        made = RObject(info, (value, made), None, symbol, None)
    return made
