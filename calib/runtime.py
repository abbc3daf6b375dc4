"""The surroundings of a training: device, number type, random streams and the history of losses."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from calib.devices import DTYPES, check_device
from calib.errors import CalibError, DivergedError, check_choice
from calib.shown import one_line
from calib.units import PAPERS_UNIT


class StoredCorrections(Protocol):
    """The corrections of a study that are kept for later runs, as in ``calib.records.corrections``."""

    @property
    def used(self) -> dict[str, Any] | None:
        """Key and costs of the correction that was obtained last, or None."""
        ...

    def obtain(self, corrector: Any, batches: Sequence[Any], runtime: "Runtime") -> Mapping[str, Any]:
        """Return the corrected data of every batch by name, computed now or before."""
        ...


@contextmanager
def torchs_own_defaults() -> Iterator[None]:
    """Give PyTorch its own defaults within, whatever the caller has set: they would change the numbers.

    They are the number type of new tensors, their device, and that gradients are followed.
    """
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    elsewhere = torch.get_default_device().type != "cpu"
    try:
        with torch.enable_grad(), torch.device("cpu") if elsewhere else nullcontext():
            yield
    finally:
        torch.set_default_dtype(dtype)


def repeat_on(device: torch.device) -> None:
    """Have PyTorch take algorithms that give the same numbers again on a GPU, where it has such ones.

    It warns of an operation that has none. A processor gives the same numbers again by itself.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may add up in another order
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # all is filled


@dataclass
class Runtime:
    """Device, number type, seed, history, stored corrections and unit of one run.

    Each named purpose has a random stream of its own. So two runtimes with the same seed and stage give the
    same numbers, in whatever order their generators are made.
    """

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    progress: bool = False
    history: list[dict[str, float | int | str]] = field(default_factory=list)
    corrections: StoredCorrections | None = None
    stage: str = ""
    unit: float = PAPERS_UNIT
    """Value of the data by which arcsinh divides them, where a method takes it (``data.transform``)."""
    last_digits_may_differ: bool = False
    """Whether trainings are made as one, too, where that changes their last digits (``calib.together``)."""
    unlike_alone: list[str] = field(default_factory=list)
    """What has changed the last digits from those of a run alone; runtimes made of this one share it."""
    cuda_graphs: bool = False
    """Whether iterations are recorded and replayed on a GPU (``calib.replayed``)."""

    def within(self, stage: str) -> "Runtime":
        """Return this runtime for one of several trainings, named ``stage`` in random streams and history."""
        return replace(self, stage=f"{self.stage}{stage}: ")

    @property
    def numpy_dtype(self) -> str:
        """Return NumPy's name of the number type."""
        return str(self.dtype).removeprefix("torch.")

    @classmethod
    def from_names(cls, seed: int, device: str, dtype: str, progress: bool) -> "Runtime":
        """Return a runtime from configuration values.

        Raises:
            CalibError: this machine does not have the device, or the number type is unknown.
        """
        check_choice("dtype", dtype, DTYPES)
        check_device(device)
        try:
            chosen = torch.device(device)
            torch.ones(1, device=chosen).item()  # the device "meta" has no values
        except (RuntimeError, AssertionError, ImportError) as error:
            raise CalibError(f"device={device} cannot be used on this machine; set device=cpu.") from error
        return cls(seed=seed, device=chosen, dtype=getattr(torch, dtype), progress=progress)

    def tensor(self, x: NDArray[np.floating]) -> torch.Tensor:
        """Return ``x`` on the run's device, in its number type."""
        return torch.as_tensor(x).to(self.device, self.dtype)

    def generator(self, purpose: str, on_device: bool = False) -> torch.Generator:
        """Return a fresh random stream for one purpose, on the CPU or on the run's device."""
        device = self.device if on_device else torch.device("cpu")
        return torch.Generator(device).manual_seed(self.derived_seed(purpose))

    def derived_seed(self, purpose: str) -> int:
        """Return a seed for one purpose, from 0 to 2^63 - 1.

        Libraries that make their own random streams take it.
        """
        seed = np.random.SeedSequence([self.seed, *f"{self.stage}{purpose}".encode()]).generate_state(
            1, np.uint64
        )
        return int(seed[0] >> np.uint64(1))

    def epochs(self, count: int, training: str) -> "tqdm[int]":
        """Return epoch numbers from 1 to ``count`` behind a progress bar named ``training``."""
        hidden = None if self.progress else True  # tqdm hides the bar for None where there is no terminal
        name = self.stage + training
        return tqdm(range(1, count + 1), desc=one_line(name), unit="epoch", disable=hidden, leave=False)

    def report(self, bar: "tqdm[int]", epoch: int, losses: Mapping[str, float], training: str) -> None:
        """Record the mean losses of one epoch and show them on the bar.

        Args:
            bar: the progress bar that ``epochs`` made.
            epoch: number of the epoch, from 1.
            losses: name of a loss -> its mean over the epoch.
            training: name of the training in the history.

        Raises:
            DivergedError: a loss is not finite.
        """
        name = self.stage + training
        self.history.append({"training": name, "epoch": epoch, **losses})
        shown = {loss: f"{value:.3g}" for loss, value in losses.items()}
        if not all(map(math.isfinite, losses.values())):
            listed = ", ".join(f"{loss} {value}" for loss, value in shown.items())
            raise DivergedError(
                f"{name}: a loss is no longer a finite number in epoch {epoch} ({listed}); "
                "lower the learning rate or check the scale of the data."
            )
        bar.set_postfix(shown)
