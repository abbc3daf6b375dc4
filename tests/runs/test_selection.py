"""How settings were chosen, from cards; which results the seed can change, from the parts of a method."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from calib.config import build
from calib.methods.randomness import estimator_uses_seed
from calib.runs.run import method_settings
from calib.runs.selection import CHOSEN_BY, EVERY_RUN, Selection, selection
from tests.conftest import CONF, METHODS, compose

PARTS = sorted(file for part in ("corrector", "classifier") for file in (CONF / part).glob("*.yaml"))

NOTHING_TO_CHOOSE = ("adabn", "arcsinh", "combat_arcsinh", "standardise")
"""Parts without a card of their own: what they hold has one, or is arcsinh(x / 100), whatever the study."""


def of(*overrides: str) -> Selection:
    """Return how the settings of a command line were chosen."""
    return selection(compose(*overrides))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_how_its_settings_were_chosen(method: str) -> None:
    found = of(f"method={method}")
    assert found.chosen_by in CHOSEN_BY
    assert found.rule.startswith(f"{EVERY_RUN} "), "write card.chosen_by and card.chosen in its YAML"


@pytest.mark.parametrize("file", PARTS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_part_with_settings_says_how_they_were_chosen(file: Path) -> None:
    if re.search(r"(?m)^ *\w+:.*#", file.read_text()) and file.stem not in NOTHING_TO_CHOOSE:
        card = OmegaConf.load(file).card
        assert card.chosen_by in CHOSEN_BY
        assert card.chosen.endswith(".")


def test_the_part_of_which_most_was_seen_decides() -> None:
    assert of("method=standardise_logistic").chosen_by == "defaults"
    assert of("method=combat").chosen_by == "paper"
    plain = of("method=combat", "classifier@method.classifier=logistic")
    assert (plain.chosen_by, "D:" in plain.rule) == ("defaults", False)
    plus = of("method=joint_plus")
    assert plus.chosen_by == "scores"
    assert "scored with the labels of batches that are targets here" in plus.rule
    assert of("method=fewer_subjects", "method@method.method=joint_plus").chosen_by == "scores"
    assert "training=converged" in of("dataset=pancreas_mini", "method=joint", "training=converged").rule


@pytest.mark.parametrize(
    ("overrides", "uses_seed"),
    [
        (["method=standardise_logistic"], False),
        (["method=combat"], True),
        (["method=combat", "classifier@method.classifier=logistic"], False),
        (["method=standardise_logistic", "classifier@method.classifier=network"], True),
        (["method=normae", "classifier@method.classifier=logistic"], True),
        (["method=coral"], True),
        (["method=coral", "classifier@method.classifier=svm"], False),
        (["method=sva", "classifier@method.classifier=logistic"], True),
        (["method=sva", "classifier@method.classifier=logistic", "method.corrector.number=2"], False),
        (["method=average_replicates"], True),
        (["method=average_replicates", "method.classifier.classifier.classifiers.network=null"], False),
        (["method=oracle"], True),
        (["method=shuffled_labels"], True),
        (["method=joint"], True),
    ],
)
def test_a_method_uses_the_seed_if_a_part_does(overrides: list[str], uses_seed: bool) -> None:
    assert build(OmegaConf.create(method_settings(compose(*overrides)))).uses_seed == uses_seed


def test_estimators_that_draw_random_numbers() -> None:
    assert not estimator_uses_seed(LogisticRegression())
    assert estimator_uses_seed(LogisticRegression(solver="liblinear"))
    assert not estimator_uses_seed(KNeighborsClassifier())
    assert not estimator_uses_seed(GridSearchCV(SVC(), {"C": [1, 2]}))
    assert estimator_uses_seed(GridSearchCV(RandomForestClassifier(), {"max_depth": [1, 2]}))
