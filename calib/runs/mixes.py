"""The class mix of a run's targets, estimated without labels, and a warning where its method loses by it."""

from collections.abc import Mapping, Sequence

import numpy as np

from calib.data.cautions import Caution
from calib.data.study import Batch, IntArray, LabelledSamples, Samples, Study
from calib.data.transform import TRANSFORMS, unit_of
from calib.evaluation.class_mix import MixEstimate, MixModel
from calib.evaluation.mix_borne import mix_warning
from calib.files import short_hash
from calib.runs.last import Last
from calib.runs.run import Run, as_loaded

NUMBERS = 2**22
"""Most numbers of a batch that take part: rows are drawn of larger ones, with a fixed seed."""


class Mixes:
    """The estimates for the last data that were asked for: runs of a sweep share them."""

    def __init__(self) -> None:
        self._last: Last[tuple[MixModel, Mapping[str, MixEstimate]]] = Last()

    def of(self, run: Run) -> Mapping[str, MixEstimate]:
        """Return the estimated mix of each target of a run."""
        return self._made(run)[1]

    def model(self, run: Run) -> MixModel:
        """Return what the sources of a run tell of the mix of other batches."""
        return self._made(run)[0]

    def _made(self, run: Run) -> tuple[MixModel, Mapping[str, MixEstimate]]:
        """Return the model and the estimates of a run."""
        sides = {"sources": list(run.split.sources), "targets": list(run.split.targets)}
        return self._last(short_hash(run.data | sides), lambda: self._make(run))

    @staticmethod
    def _make(run: Run) -> tuple[MixModel, Mapping[str, MixEstimate]]:
        """Compute them."""
        study = as_loaded(run)
        model, unit = model_of(study, run.split.sources), unit_of(study)
        return model, {name: model.estimate(even(study.batches[name], unit)) for name in run.split.targets}


estimated = Mixes()
"""``estimated.of(run)``: the estimated mix of each target."""


def mix_model(run: Run) -> MixModel:
    """Return what the sources of a run tell of the mix of other batches."""
    return estimated.model(run)


def model_of(study: Study, names: Sequence[str]) -> MixModel:
    """Return what labelled batches of a study, with its values as loaded, tell of the mix of others."""
    unit, sources = unit_of(study), []
    for name in names:
        batch = study.batches[name]
        assert batch.y is not None
        one, rows = even(batch, unit), some_rows(batch)
        sources.append(LabelledSamples(name, one.x, batch.y[rows], replicate=one.replicate))
    return MixModel.of(sources, len(study.classes))


def later_mix(model: MixModel, batch: Batch | Samples, unit: float) -> MixEstimate | None:
    """Return the estimated mix of a batch that comes after the training.

    Args:
        model: what the sources of the training tell.
        batch: the batch with its values as loaded.
        unit: unit of the values of the training as loaded.

    Returns:
        None for a batch of one sample, which has no mix, or where the sources tell of no class.
    """
    made = even(batch, unit)
    return model.estimate(made) if made.distinct > 1 and model.directions.any() else None


def even(batch: Batch | Samples, unit: float) -> Samples:
    """Return some rows of a batch without labels, as arcsinh of its values by their unit."""
    rows = some_rows(batch)
    values = Samples(batch.name, batch.x[rows]).dense.astype(np.float64)
    replicate = None if batch.replicate is None else batch.replicate[rows]
    return Samples(batch.name, TRANSFORMS["arcsinh"](values, unit), replicate=replicate)


def some_rows(batch: Batch | Samples) -> IntArray:
    """Return the rows of a batch that take part."""
    most = max(NUMBERS // batch.x.shape[1], 50)
    if len(batch) <= most:
        return np.arange(len(batch))
    return np.sort(np.random.default_rng(NUMBERS).permutation(len(batch))[:most])


def mixes_of(run: Run) -> dict[str, dict[str, dict[str, float]]]:
    """Return the estimated mix of each target of a run, as a record keeps it."""
    return {name: as_recorded(found, run.study.classes) for name, found in estimated.of(run).items()}


def as_recorded(found: MixEstimate, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return an estimate as a record keeps it: class -> its ``share``, and ``low`` and ``high`` of 95 %."""
    numbers = zip(classes, found.shares, found.low, found.high, strict=True)
    return {
        name: {"share": round(float(share), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
        for name, share, low, high in numbers
    }


def unlike_sources(run: Run) -> list[Caution]:
    """Return a warning for each target whose mix the method bears badly, by what was measured."""
    if run.method.uses_target_labels:
        return []
    reference, name = mix_model(run).reference, run.config.method.name
    several = {one for one in run.split.targets if run.study.batches[one].unlabelled().distinct > 1}
    texts = (
        mix_warning(f"Target '{target}'", name, mix, reference, run.study.classes)
        for target, mix in estimated.of(run).items()
        if target in several
    )
    return [Caution("class_mix", text) for text in texts if text]
