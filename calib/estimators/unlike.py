"""How batches without labels differ from those that an estimator was trained on."""

from collections.abc import Sequence
from typing import Any

from calib.data.cautions import Caution
from calib.data.matrix import as_floats
from calib.data.split import Split
from calib.data.study import IntArray, Samples, Study
from calib.evaluation.class_mix import MixEstimate
from calib.evaluation.mix_borne import mix_warning
from calib.evaluation.novelty import novelty, training_statistics, warning
from calib.runs.mixes import even, later_mix, model_of

Shares = dict[Any, tuple[float, float, float]]
"""Class label -> its share in a batch, and the ends of a 95 % interval."""


class Unlike:
    """Class mixes of batches without labels, and warnings of batches unlike those of the training.

    Args:
        study: the batches of the training, not scaled.
        split: which of them are sources and targets.
        method: name of the method.
        unit: value by which arcsinh divides the study's values.
        labels: the class labels in ascending order.
        places: class index of each of them ``(classes,)``.

    Attributes:
        mixes: batch -> its class mix, for every batch so far.
    """

    def __init__(
        self, study: Study, split: Split, method: str, unit: float, labels: Sequence[Any], places: IntArray
    ) -> None:
        self.mixes: dict[str, Shares] = {}
        self._targets, self._method, self._unit = split.targets, method, unit
        self._classes, self._labels, self._places = study.classes, labels, places
        self._statistics = training_statistics({name: one.x for name, one in study.batches.items()})
        self._model = model_of(study, split.sources)

    def of_targets(self, study: Study) -> list[Caution]:
        """Estimate the mixes of the targets of the training, and return the warnings of them."""
        batches = [even(study.batches[name], self._unit) for name in self._targets]
        found = {batch.name: self._model.estimate(batch) for batch in batches}
        self.mixes |= {name: self._shares(mix) for name, mix in found.items()}
        return [caution for name, mix in found.items() for caution in self._lost(f"Target '{name}'", mix)]

    def of_later(self, batch: Samples) -> list[Caution]:
        """Estimate the mix of a batch that comes later, as given, and return the warnings of the batch."""
        said = []
        if self._statistics is not None:
            sentence = warning(batch.name, novelty(as_floats(batch.x), self._statistics))
            said += [Caution("lies_outside", sentence)] if sentence else []
        if (found := later_mix(self._model, batch, self._unit)) is not None:
            self.mixes[batch.name] = self._shares(found)
            said += self._lost(f"Batch '{batch.name}'", found)
        return said

    def _shares(self, found: MixEstimate) -> Shares:
        """Return an estimate by class label."""
        return {
            label: (float(found.shares[c]), float(found.low[c]), float(found.high[c]))
            for label, c in zip(self._labels, self._places, strict=True)
        }

    def _lost(self, batch: str, found: MixEstimate) -> list[Caution]:
        """Return the warning that the method loses by a batch's mix, if it does."""
        text = mix_warning(batch, self._method, found, self._model.reference, self._classes)
        return [Caution("class_mix", text)] if text else []
