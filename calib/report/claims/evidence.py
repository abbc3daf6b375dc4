"""Finished runs as evidence for claims: looked up by method and protocol, and read once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from calib.data.split import all_splits
from calib.data.study import Study
from calib.errors import CalibError, SplitError
from calib.evaluation.intervals import Line, Tally, tallies
from calib.files import read_table
from calib.records.predictions_file import read_predictions
from calib.records.record import Finished
from calib.report.paper import ONE_SOURCE

VARIANTS = {"pairwise": ONE_SOURCE}
"""What is set besides the published values in the runs that count, where it is not nothing."""

FALLBACK = "paper"
"""The protocol of methods that were not run in the one asked for."""

Cell = tuple[str, int]
"""Split and seed."""


@dataclass(frozen=True)
class Judged:
    """Runs of one method that are complete: every target batch of every split of the study.

    ``protocol`` is the one that they were made in; ``seeds`` is empty where no seed is complete.
    """

    method: str
    protocol: str
    seeds: Mapping[int, Mapping[Line, Tally]]


class Evidence:
    """The finished runs of one study.

    Raises:
        CalibError: two different runs are called the same.
    """

    def __init__(self, study: Study, finished: Iterable[Finished]) -> None:
        self.study = study
        self._runs: dict[tuple[str, str, str], dict[Cell, Finished]] = {}
        self._read: dict[str, dict[str, Tally]] = {}
        self._judged: dict[tuple[str, str], Judged] = {}
        self._distances: dict[str, dict[tuple[str, ...], float]] = {}
        for one in finished:
            result = one.result
            if result["study"] != study.name:
                continue
            cells = self._runs.setdefault((result["method"], result["protocol"], one.variant), {})
            known = cells.setdefault((result["split"], result["seed"]), one)
            if known.path != one.path:
                raise CalibError(f"Two runs are called the same: {known.path} and {one.path}; name one only.")

    def runs(self, method: str, protocol: str) -> Mapping[Cell, Finished]:
        """Split and seed -> run, made with the values that the claims are about."""
        return self._runs.get((method, protocol, VARIANTS.get(method, "")), {})

    def nearest(self, method: str, protocol: str) -> tuple[str, Mapping[Cell, Finished]]:
        """The runs in this protocol, or those in ``paper`` where there are none; and the protocol of them."""
        if runs := self.runs(method, protocol):
            return protocol, runs
        return (FALLBACK, other) if (other := self.runs(method, FALLBACK)) else (protocol, {})

    def judged(self, method: str, protocol: str) -> Judged:
        """The complete seeds of a method in this protocol, or in ``paper`` where it has none in this."""
        found = self._complete(method, protocol)
        other = found if found.seeds else self._complete(method, FALLBACK)
        return other if other.seeds else found

    def lines(self, method: str) -> Sequence[Line]:
        """Every split and target batch with labels that a method has to be run on.

        None where the study cannot be split by its number of sources, so that nothing is complete.
        """
        study = replace(self.study, n_sources=1) if VARIANTS.get(method) == ONE_SOURCE else self.study
        try:
            splits = all_splits(study)
        except SplitError:
            return []
        return [
            (split.label, target)
            for split in splits
            for target in split.targets
            if study.batches[target].y is not None
        ]

    def distances(self, run: Finished) -> Mapping[tuple[str, ...], float]:
        """Space, kernel and two batches -> mean over the draws of squared MMD."""
        key = str(run.path)
        if key not in self._distances:
            by = ["space", "kernel", "batch_a", "batch_b"]
            table = read_table(run.path / "mmd.csv", dtype=dict.fromkeys(by, str), keep_default_na=False)
            means = table.groupby(by)["mmd2"].mean()
            names = means.index.to_list()
            self._distances[key] = dict(zip(names, means.tolist(), strict=True))
        return self._distances[key]

    def _complete(self, method: str, protocol: str) -> Judged:
        if (method, protocol) not in self._judged:
            runs, lines = self.runs(method, protocol), self.lines(method)
            seeds = sorted({seed for _, seed in runs})
            whole = [s for s in seeds if lines and all((split, s) in runs for split, _ in lines)]
            read = {s: {(split, b): self._tally(runs[split, s], b) for split, b in lines} for s in whole}
            self._judged[method, protocol] = Judged(method, protocol, read)
        return self._judged[method, protocol]

    def _tally(self, run: Finished, batch: str) -> Tally:
        key = str(run.path)
        if key not in self._read:
            self._read[key] = tallies(read_predictions(run.path / "predictions.csv").table)
        if batch not in self._read[key]:
            raise CalibError(f"The record {run.path} says nothing of batch '{batch}'; make the run again.")
        return self._read[key][batch]
