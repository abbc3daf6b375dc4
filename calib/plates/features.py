"""Which features carry the answers: groups of features shuffled within plates the model does not know."""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from calib.data.cautions import counted
from calib.data.matrix import Matrix
from calib.data.study import Batch, FloatArray, Study
from calib.plates.answer import Features
from calib.plates.groups import MOST_GROUPS, Groups, groups_of
from calib.plates.left_out_models import LeftOutModel, left_out_models
from calib.plates.markers import markers
from calib.plates.ranks import macro_auc
from calib.plates.shuffles import shuffled_rows, with_shuffled
from calib.plates.units import unit_probability

log = logging.getLogger(__name__)

SHUFFLES = 3
"""Shuffles of each group in each plate."""

FIRST = 10
"""Number of groups that count as the most important of a plate."""

HARDLY = 0.6
"""AUC below which a model hardly tells the classes apart."""

Progress = Callable[[int, int], None]
"""Is told the number of predictions made, and of all."""


def features(
    study: Study,
    method: str,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    shuffles: int = SHUFFLES,
) -> Features:
    """Return which features carry the answers of a method, by permutation within left-out plates.

    The method is fitted without each labelled plate in turn, and answers it as a plate that comes later. Then
    the values of a group of features are shuffled within that plate, and its AUC falls by what the group
    carries (Breiman 2001, doi 10.1023/A:1010933404324; in groups Gregorutti, Michel and Saint-Pierre 2015,
    doi 10.1016/j.csda.2015.04.002). A method that scales a plate by its own samples still sees the same
    values of each feature. The AUC is by subject where subjects are known, and macro over classes.

    ``calib.plates.groups`` says which features are grouped. About ``plates x 60 x shuffles`` predictions are
    made; the number is logged before the first one.

    Args:
        study: a study of which at least two plates have labels.
        method: name of a method, as in ``conf/method``.
        settings: keyword arguments of ``BatchClassifier``, such as ``protocol__transform``.
        seed: seed of the training and of the shuffles.
        progress: is told the number of predictions made, and of all, from (0, all) on.
        shuffles: shuffles of each group in each plate.

    Raises:
        CalibError: no plate can be judged, or a setting is wrong.
    """
    label, models, said = left_out_models(study, method, settings or {}, seed)
    x = {model.plate.name: model.plate.x for model in models}
    whole = {model.plate.name: model.answer(model.plate.x) for model in models}
    groups = groups_of(x, whole)
    falls, rest = _falls(models, whole, groups, seed, progress, shuffles)
    base = np.array([_auc(whole[model.plate.name], model.plate) for model in models])
    return Features(
        groups=_table(groups, falls, study),
        agreement=_agreement(falls),
        markers=markers(
            {n: b for n, b in study.batches.items() if b.y is not None}, study.features, study.classes
        ),
        judged_by=label,
        caveats=[*said, *_caveats(groups, falls, rest, base)],
    )


def _auc(probability: FloatArray, plate: Batch) -> float:
    """Return the AUC of a plate's units."""
    assert plate.y is not None
    if plate.subject is None:
        return macro_auc(probability, plate.y)
    first, _, found = unit_probability(probability, plate.subject, plate.y)
    return macro_auc(found, plate.y[first])


def _falls(
    models: Sequence[LeftOutModel],
    whole: Mapping[str, FloatArray],
    groups: Groups,
    seed: int,
    progress: Progress | None,
    shuffles: int,
) -> tuple[FloatArray, FloatArray]:
    """Return by how much the AUC of each plate falls where features are shuffled, mean over shuffles.

    Returns:
        The fall by each group ``(plates, groups)``, and by all features in no group ``(plates,)``.
    """
    sets = [*groups.members, groups.rest] if len(groups.rest) else [*groups.members]
    count = len(models) * len(sets) * shuffles
    log.info("features: %d plates x %d groups x %d shuffles are %d predictions",
             len(models), len(sets), shuffles, count)  # fmt: skip
    tell = progress or (lambda made, of: None)
    tell(0, count)
    found = np.zeros((len(models), len(groups.members) + 1))
    made = 0
    for number, model in enumerate(models):
        plate = model.plate
        before = _auc(whole[plate.name], plate)
        for shuffle in range(shuffles):  # all groups get the same orders, so that they are compared alike
            rng = np.random.default_rng([seed, number, shuffle])
            rows = shuffled_rows(rng, len(plate), plate.subject)
            for place, members in enumerate(sets):
                shuffled: Matrix = with_shuffled(plate.x, members, rows)
                found[number, place] += (before - _auc(model.answer(shuffled), plate)) / shuffles
                made += 1
                tell(made, count)
    return found[:, :-1], found[:, -1]


def _table(groups: Groups, falls: FloatArray, study: Study) -> pd.DataFrame:
    """Return a row a group, the most important first; see ``calib.plates.answer.Features``."""
    columns = ["group", "features", "importance", "low", "high", "direction", "stable"]
    if not groups.members:
        return pd.DataFrame(columns=columns)
    importance = falls.mean(axis=0)
    first = rankdata(-falls, axis=1, method="ordinal") <= FIRST
    stable = (first & (falls > 0)).mean(axis=0)
    rows = [
        {
            "group": rank + 1,
            "features": ", ".join(str(study.features[i]) for i in groups.members[place]),
            "importance": float(importance[place]),
            "low": float(falls[:, place].min()),
            "high": float(falls[:, place].max()),
            "direction": _direction(groups.speaks[place], study.classes),
            "stable": float(stable[place]),
        }
        for rank, place in enumerate(np.argsort(-importance, kind="stable"))
    ]
    return pd.DataFrame(rows, columns=columns)


def _direction(speaks: FloatArray, classes: Sequence[str]) -> str:
    """Return ``+`` or ``-`` for the second of two classes, else the class that high values speak for."""
    if len(classes) == 2:
        return "+" if speaks[1] >= 0 else "-"
    return str(classes[int(speaks.argmax())])


def _agreement(falls: FloatArray) -> float:
    """Return the mean rank correlation of the falls ``(plates, groups)`` between pairs of plates, or NaN."""
    if min(falls.shape) < 2:
        return np.nan
    found = []
    for one, other in combinations(rankdata(falls, axis=1), 2):
        if one.std() > 0 and other.std() > 0:
            found.append(float(np.corrcoef(one, other)[0, 1]))
    return float(np.mean(found)) if found else np.nan


def _caveats(groups: Groups, falls: FloatArray, rest: FloatArray, base: FloatArray) -> list[str]:
    """Return what the importances cannot mean."""
    found = ["An importance is what the model uses, not what causes the class."]
    if len(falls) < 3:
        found.append(
            f"Importances rest on {counted(len(falls), 'left-out plate')}; how stable they are is hardly "
            "known."
        )
    if base.mean() < HARDLY:
        found.append(
            f"The model hardly tells the classes of a left-out plate apart (AUC {base.mean():.2f}), so there "
            "is little for features to carry."
        )
    if len(groups.rest):
        found.append(
            f"{len(groups.members)} groups were shuffled, those that vary most with the answers (at most "
            f"{MOST_GROUPS}). The other {counted(len(groups.rest), 'feature')} were shuffled only all "
            f"together, by which the AUC falls by {rest.mean():.3f}, from {base.mean():.3f}."
        )
    if len(falls[0]) and falls.mean(axis=0).max() < 0.01 and base.mean() >= HARDLY:
        found.append(
            "No single group lowers the AUC by .01: the answer is spread over many features, and the order "
            "of the groups is mostly chance."
        )
    return found
