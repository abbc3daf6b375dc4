"""Checks of how many samples of each class a published study has in each batch."""

from collections.abc import Mapping, Sequence

import pandas as pd

from calib.data.sheet import Sheet
from calib.data.study import IntArray
from calib.errors import CalibError, DataError

Composition = Mapping[str, Sequence[int] | None]
"""Class -> its expected number of samples in each batch, or None where any number is accepted."""


def check_composition(sheet: Sheet, y: IntArray, expected: Composition, key: str) -> None:
    """Check the numbers of samples of each class against the expected ones.

    Args:
        sheet: the samples.
        y: class index of each, in the order of ``expected``.
        expected: what is expected.
        key: setting that says so, for messages.

    Raises:
        DataError: a class has another number of samples in a batch.
        CalibError: a class does not have one expected number for each batch.
    """
    batches = pd.unique(sheet.batch)
    for index, (name, numbers) in enumerate(expected.items()):
        if numbers is not None and len(numbers) != len(batches):
            raise CalibError(
                f"{key}.{name} has {len(numbers)} numbers of samples for {len(batches)} batches; give one a "
                "batch, or null."
            )
        for batch, count in zip(batches, numbers or (), strict=False):
            found = int((y[sheet.batch == batch] == index).sum())
            if found != count:
                raise DataError(
                    f"File {sheet.file} is not the expected one: batch '{batch}' has {found} samples of "
                    f"class '{name}', not {count}; delete it so that it can be downloaded again, or set "
                    f"{key}.{name}=null to use it as it is."
                )
