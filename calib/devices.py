"""Names of devices and number types, checked without loading PyTorch, which takes seconds."""

import re

from calib.errors import CalibError

DTYPES = ("float32", "float64")
"""The number types that a run may have."""

USUAL = re.compile(r"cpu|cuda(:\d+)?")
"""Names that need no question to PyTorch."""


def check_device(device: object) -> None:
    """Refuse the name of no device; this machine need not have the device.

    Raises:
        CalibError: PyTorch knows no such device.
    """
    if USUAL.fullmatch(str(device)):
        return
    import torch

    try:
        torch.device(str(device))
    except RuntimeError as error:
        raise CalibError(f"device={device} is no device; set device=cpu, or cuda for a GPU.") from error
