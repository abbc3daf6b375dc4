"""Corrections of a study, which are computed once and reused by every split.

A corrector uses no label, so its result depends on the study, the batches and the seed, but not on which
batches are sources.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from calib.data.matrix import Matrix
from calib.data.study import FloatArray, Samples
from calib.errors import DamagedError
from calib.files import read_arrays, short_hash
from calib.methods.base import Corrector, in_order
from calib.records.provenance import device_name, made_elsewhere, peak_memory_mb, versions
from calib.records.record import Record, correction_record
from calib.runtime import Runtime

log = logging.getLogger(__name__)

CORRECTED = "corrected.npz"
"""The file of a record that holds the corrected data, an array for each batch."""

COST = ("seconds", "cpu_seconds", "peak_memory_mb")
"""The costs of a correction that its record and the records of its runs hold."""


class Corrections:
    """The stored corrections of one prepared study below an output folder.

    Args:
        study: name of the study.
        identity: checksum, scaling and number type of its data.
        force: whether stored corrections are computed again.

    Attributes:
        used: key, seconds, processor seconds and memory of the correction that was obtained last, or None.
    """

    def __init__(self, out: Path, study: str, identity: Mapping[str, Any], force: bool = False) -> None:
        self.out, self.study, self.identity, self.force = out, study, identity, force
        self.used: dict[str, Any] | None = None

    def obtain(
        self, corrector: Corrector, batches: Sequence[Samples], runtime: Runtime
    ) -> Mapping[str, Matrix]:
        """Return the corrected data of every batch, stored ones if there are any.

        Of several processes that need the same correction one computes it, and the others wait. ``used``
        then holds the key and the costs of the correction.
        """
        batches = in_order(batches)
        if not corrector.stored:
            return corrector.correct(batches, runtime)
        described = description(corrector)
        name = described["corrector"]
        key = short_hash(
            {
                **self.identity,
                **described,
                "batches": [batch.name for batch in batches],
                "seed": runtime.seed if corrector.uses_seed else None,
            }
        )
        record = correction_record(self.out, self.study, name, key)
        names = [batch.name for batch in batches]
        with record.locked():
            if self.force or (found := self._stored(record, names, str(runtime.device))) is None:
                self.used = {"key": key, **_compute(record, corrector, batches, runtime)}
                device = {"device": device_name(str(runtime.device))}
                record.finish({**self.used, "versions": versions(), "hardware": device})
                found = _load(record, names)
        return found

    def _stored(self, record: Record, names: Sequence[str], device: str) -> dict[str, FloatArray] | None:
        """Return the corrected data in a record, or None if it is not finished or is damaged."""
        result = record.result()
        if result is None:
            return None
        self.used = {name: result[name] for name in ("key", *COST)}
        try:
            found = _load(record, names)
        except DamagedError as error:
            log.warning("%s The correction is made again.", error)
            return None
        log.info("Correction from %s", record.path)
        if note := made_elsewhere(result, device):
            log.warning("Correction %s: %s force=true makes it again.", record.path, note)
        return found


def description(corrector: Corrector) -> dict[str, Any]:
    """Return class, settings and version of a corrector, also of the correctors among its settings.

    Data, seed and these decide the corrected data, so they are hashed into the key of the correction.
    """
    return {
        "corrector": type(corrector).__name__.lower(),
        "settings": {k: description(v) if hasattr(v, "correct") else v for k, v in vars(corrector).items()},
        "version": corrector.version,
    }


def _compute(
    record: Record, corrector: Corrector, batches: Sequence[Samples], runtime: Runtime
) -> dict[str, Any]:
    """Correct the batches, write the corrected data and the history, and return the costs."""
    record.prepare()
    started, known = (time.perf_counter(), time.process_time()), len(runtime.history)
    corrected = corrector.correct(batches, runtime)
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    record.write_arrays(CORRECTED, {f"batch_{i}": x for i, x in enumerate(corrected.values())})
    record.write_table("history.csv", pd.DataFrame(runtime.history[known:]), digits=9)
    del runtime.history[known:]  # a run's history does not depend on which run computed the correction
    return dict(zip(COST, (seconds, cpu, peak_memory_mb()), strict=True))


def _load(record: Record, names: Sequence[str]) -> dict[str, FloatArray]:
    """Return the corrected data of a finished record by the names of the batches.

    Raises:
        DamagedError: the archive is not there, or not as it was written.
    """
    places = [f"batch_{i}" for i in range(len(names))]
    stored = read_arrays(record.path / CORRECTED, *places)
    return {name: stored[place] for name, place in zip(names, places, strict=True)}
