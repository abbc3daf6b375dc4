"""The finished runs of one study, looked up by method and protocol for the claims."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from calib.data.split import all_splits
from calib.data.study import Study
from calib.errors import CalibError, SplitError
from calib.evaluation.tallies import Line, Runs, Tally
from calib.records.record import Finished
from calib.report.paper import ONE_SOURCE

VARIANTS = {"pairwise": ONE_SOURCE}
"""Method -> variant of the runs that the claims are about; all other methods have the published values."""

FALLBACK = "paper"
"""Protocol of the runs that stand in for a method without runs under the protocol of a claim."""

Cell = tuple[str, int]
"""Split and seed."""


@dataclass(frozen=True)
class CompleteRuns:
    """The runs of one method with the seeds that have every target batch of every split of the study.

    Attributes:
        method: name of the method.
        protocol: protocol that the runs were made under.
        runs: the tallies of every split and target batch; of no seed if none is complete.
    """

    method: str
    protocol: str
    runs: Runs


class StudyRuns:
    """The finished runs of one study; each record is read once.

    Raises:
        CalibError: two different runs have the same study, method, protocol, variant, split and seed.
    """

    def __init__(self, study: Study, finished: Iterable[Finished]) -> None:
        self.study = study
        self._runs: dict[tuple[str, str, str], dict[Cell, Finished]] = {}
        self._complete: dict[tuple[str, str], CompleteRuns] = {}
        for run in finished:
            result = run.result
            if result["study"] != study.name:
                continue
            cells = self._runs.setdefault((result["method"], result["protocol"], run.variant), {})
            known = cells.setdefault((result["split"], result["seed"]), run)
            if known.path != run.path:
                raise CalibError(f"Two runs are called the same: {known.path} and {run.path}; name one only.")

    def of(self, method: str, protocol: str) -> Mapping[Cell, Finished]:
        """Return the runs of a method under a protocol with the values that the claims are about."""
        return self._runs.get((method, protocol, VARIANTS.get(method, "")), {})

    def nearest(self, method: str, protocol: str) -> tuple[str, Mapping[Cell, Finished]]:
        """Return a method's runs under a protocol, or those under ``paper`` if there are none.

        Returns:
            The protocol of the runs, and the runs.
        """
        if runs := self.of(method, protocol):
            return protocol, runs
        return (FALLBACK, runs) if (runs := self.of(method, FALLBACK)) else (protocol, {})

    def complete(self, method: str, protocol: str) -> CompleteRuns:
        """Return a method's complete seeds under a protocol, or those under ``paper`` if there are none."""
        asked = self._of_protocol(method, protocol)
        nearest = asked if asked.runs else self._of_protocol(method, FALLBACK)
        return nearest if nearest.runs else asked

    def lines(self, method: str) -> Sequence[Line]:
        """Return every split and labelled target batch that a method has to be run on.

        Without any, as in a study that cannot be split by its number of sources, no seed is complete.
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

    def _of_protocol(self, method: str, protocol: str) -> CompleteRuns:
        """Return the complete seeds of a method under exactly this protocol."""
        if (method, protocol) not in self._complete:
            runs, lines = self.of(method, protocol), self.lines(method)
            seeds = sorted({seed for _, seed in runs})
            whole = [s for s in seeds if lines and all((split, s) in runs for split, _ in lines)]
            read = {s: {(split, b): self._tally(runs[split, s], b) for split, b in lines} for s in whole}
            uses_seed = any(runs[split, s].result["uses_seed"] for s in read for split, _ in lines)
            self._complete[method, protocol] = CompleteRuns(method, protocol, Runs(read, uses_seed))
        return self._complete[method, protocol]

    def _tally(self, run: Finished, batch: str) -> Tally:
        """Return the tally of one target batch of a run."""
        if batch not in run.tallies:
            raise CalibError(f"The record {run.path} says nothing of batch '{batch}'; make the run again.")
        return run.tallies[batch]
