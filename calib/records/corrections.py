"""Corrections of a study, computed once and reused by every split.

A corrector looks at no label, so its result depends on the study, the batches and the seed, but not on
which batches are sources.
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
from calib.files import read_arrays
from calib.methods.base import Corrector, in_order
from calib.records.provenance import peak_memory_mb
from calib.records.record import Record, correction_record, short_hash
from calib.runtime import Runtime

log = logging.getLogger(__name__)

CORRECTED = "corrected.npz"
COST = ("seconds", "cpu_seconds", "peak_memory_mb")
"""What is told of a correction besides its key."""


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
        batches = in_order(batches)
        if not corrector.stored:
            return corrector.correct(batches, runtime)
        described = _described(corrector)
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
            if self.force or (found := self._stored(record, names)) is None:
                self.used = {"key": key, **_compute(record, corrector, batches, runtime)}
                record.finish(self.used)
                found = _load(record, names)
        return found

    def _stored(self, record: Record, names: Sequence[str]) -> dict[str, FloatArray] | None:
        """What a record holds; None where it is not finished or damaged."""
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
        return found


def _described(corrector: Corrector) -> dict[str, Any]:
    """What decides a corrector's result besides data and seed; correctors within it are described alike."""
    return {
        "corrector": type(corrector).__name__.lower(),
        "settings": {k: _described(v) if hasattr(v, "correct") else v for k, v in vars(corrector).items()},
        "version": corrector.version,
    }


def _compute(
    record: Record, corrector: Corrector, batches: Sequence[Samples], runtime: Runtime
) -> dict[str, Any]:
    """Correct and write all but the result; what the computation took."""
    record.prepare()
    started, known = (time.perf_counter(), time.process_time()), len(runtime.history)
    corrected = corrector.correct(batches, runtime)
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    record.write_arrays(CORRECTED, {f"batch_{i}": x for i, x in enumerate(corrected.values())})
    record.write_table("history.csv", pd.DataFrame(runtime.history[known:]), digits=9)
    del runtime.history[known:]  # a run's history is the same whoever computed the correction
    return dict(zip(COST, (seconds, cpu, peak_memory_mb()), strict=True))


def _load(record: Record, names: Sequence[str]) -> dict[str, FloatArray]:
    places = [f"batch_{i}" for i in range(len(names))]
    stored = read_arrays(record.path / CORRECTED, *places)
    return {name: stored[place] for name, place in zip(names, places, strict=True)}
