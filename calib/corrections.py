"""Corrections of a study, computed once and reused by every split.

A corrector looks at no label, so its result depends on the study, the batches and the seed, but not on
which batches are sources.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, Samples
from calib.provenance import peak_memory_mb
from calib.runtime import Runtime
from calib.store import RESULT, Record, correction_record, short_hash

log = logging.getLogger(__name__)


class Corrector(Protocol):
    """Removes differences between batches without looking at a label.

    ``version`` is raised whenever a change gives other numbers; ``uses_seed`` says whether the seed can
    change them; ``stored`` is False for corrections that cost less to make than to read.
    """

    version: ClassVar[int]
    uses_seed: ClassVar[bool]
    stored: ClassVar[bool]

    def correct(self, batches: Sequence[Samples], runtime: Runtime) -> Mapping[str, Matrix]:
        """Corrected data ``(samples, dimensions)`` of every batch, by name."""
        ...


class Corrections:
    """The stored corrections of one prepared study below an output folder.

    Args:
        study: name of the study.
        identity: what decides its data: checksum, scaling, number type.
        force: compute again what is stored.
    """

    def __init__(self, out: Path, study: str, identity: Mapping[str, Any], force: bool = False) -> None:
        self.out, self.study, self.identity, self.force = out, study, identity, force
        self.used: dict[str, Any] | None = None

    def obtain(
        self, corrector: Corrector, batches: Sequence[Samples], runtime: Runtime
    ) -> Mapping[str, Matrix]:
        """Corrected data of every batch, from the store where they are.

        Several processes that want the same correction compute it once: the others wait. What was used
        is told by ``used``: the key, seconds, processor seconds and memory of its computation.
        """
        if not corrector.stored:
            return corrector.correct(batches, runtime)
        batches = sorted(batches, key=lambda batch: batch.name)  # the order must not depend on the split
        name = type(corrector).__name__.lower()
        key = short_hash(
            {
                **self.identity,
                "corrector": name,
                "settings": vars(corrector),
                "version": corrector.version,
                "batches": [batch.name for batch in batches],
                "seed": runtime.seed if corrector.uses_seed else None,
            }
        )
        record = correction_record(self.out, self.study, name, key)
        with record.locked():
            self.used = None if self.force else record.result()
            if self.used is None:
                self.used = {"key": key} | _computed(corrector, batches, runtime, record)
                record.write_text(RESULT, json.dumps(self.used, indent=1, allow_nan=False))
            else:
                log.info("Correction from %s", record.path)
        return _load(record.path / "corrected.npz", [batch.name for batch in batches])


def _computed(
    corrector: Corrector, batches: Sequence[Samples], runtime: Runtime, record: Record
) -> dict[str, Any]:
    """Compute a correction, put it into its record, and tell what that took."""
    record.prepare()
    started, known = (time.perf_counter(), time.process_time()), len(runtime.history)
    corrected = corrector.correct(batches, runtime)
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    record.write_arrays("corrected.npz", {f"batch_{i}": x for i, x in enumerate(corrected.values())})
    record.write_table("history.csv", pd.DataFrame(runtime.history[known:]), digits=9)
    del runtime.history[known:]  # a run's history is the same whoever computed the correction
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_memory_mb": peak_memory_mb()}


def _load(file: Path, names: Sequence[str]) -> dict[str, FloatArray]:
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[f"batch_{i}"] for i, name in enumerate(names)}
