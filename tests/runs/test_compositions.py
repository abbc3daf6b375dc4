"""No record changes its key: every study, method, training and protocol composes as it was recorded.

``tests/golden/keys/compositions.csv`` holds the keys; ``python -m tests.renew_keys`` renews them.
"""

from collections.abc import Iterable, Sequence
from itertools import product

import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf

from calib.data.split import all_splits
from calib.errors import CalibError
from calib.runs.compositions import compositions
from calib.runs.run import make_run
from tests.conftest import CONF, METHODS, ROOT, compose
from tests.without_files import load_without_files

PROTOCOLS = ("paper", "released", "corrected")
ALIKE = {
    "arrays": "table",
    **dict.fromkeys(("pancreas_500", "pancreas_1000", "pancreas_1000_three"), "pancreas_mini"),
    **dict.fromkeys(("autism", "cellmix", "ecoli", "mtbls79", "pbmc", "quartet", "stemcells"), "crc"),
}
"""Study -> another one that composes as it does."""

FILES = {
    "table": ["dataset.path=x"],
    "arrays": ["dataset.path=x"],
    "h5ad": ["dataset.path=x"],
    "matrix": ["dataset.values=x", "dataset.table=y"],
}
"""Kinds of users' studies -> overrides that name their files."""

DATASETS = sorted(file.stem for file in (CONF / "dataset").glob("*.yaml") if file.stem not in ALIKE)
CONVERGED = ("pancreas", "pancreas_mini")
"""Studies with a block ``converged``."""

COMPOSITIONS = ROOT / "tests" / "golden" / "keys" / "compositions.csv"
"""The recorded keys."""

Combination = tuple[str, str, str, str]
"""Study, method, training and protocol."""


SHARED = compositions(CONF)


def composed(dataset: str, method: str, training: str, protocol: str) -> DictConfig:
    """Return the configuration that the command line gives."""
    given = f"dataset={dataset}", f"method={method}", f"training={training}", f"protocol={protocol}"
    return SHARED.compose(*given, *FILES.get(dataset, ()))


def key(config: DictConfig) -> str:
    """Return the key of the first split's run on a study that has only the configured one's name and batches.

    Raises:
        CalibError: the combination is refused.
    """
    study, data = load_without_files(config)
    return make_run(config, study, data, all_splits(study)[0]).key


def keys(datasets: Iterable[str], protocols: Iterable[str]) -> dict[Combination, str]:
    """Return the key of every combination that is not refused, with training=converged where a study has it."""
    found = {}
    for dataset, method, protocol in product(datasets, METHODS, protocols):
        for training in ("as_printed", "converged") if dataset in CONVERGED else ("as_printed",):
            one = (dataset, method, training, protocol)
            try:
                found[one] = key(composed(*one))
            except CalibError as error:
                refusal = str(error)
                assert f"training=converged changes nothing for dataset={dataset}" in refusal
                assert training == "converged"
    return found


@pytest.fixture(scope="module")
def before() -> dict[Combination, str]:
    """The recorded keys."""
    table = pd.read_csv(COMPOSITIONS)
    return {
        (row["dataset"], row["method"], row["training"], protocol): row[protocol]
        for row in table.to_dict("records")
        for protocol in PROTOCOLS
        if row["method"] in METHODS
    }


def every_key() -> dict[Combination, str]:
    """Return the keys of all studies, methods, trainings and protocols."""
    return keys(DATASETS, PROTOCOLS)


@pytest.mark.parametrize(
    ("datasets", "protocols"),
    [
        (("mi", "pancreas_mini"), ("paper",)),
        pytest.param(sorted({*DATASETS} - {"mi", "pancreas_mini"}), ("paper",), marks=pytest.mark.slow),
        pytest.param(("mi",), PROTOCOLS[1:], marks=pytest.mark.slow),
    ],
)
def test_every_composition_has_the_key_it_had(
    datasets: Sequence[str], protocols: Sequence[str], before: dict[Combination, str]
) -> None:
    asked = {one: made for one, made in before.items() if one[0] in datasets and one[3] in protocols}
    assert keys(datasets, protocols) == asked


@pytest.mark.parametrize("study", ALIKE)
def test_studies_alike_have_the_same_settings(study: str) -> None:
    for method in ("joint", "combat", "joint_plus"):
        converges = method != "joint_plus" and ALIKE[study] in CONVERGED
        for training in ("as_printed", "converged") if converges else ("as_printed",):
            one, other = (composed(name, method, training, "paper") for name in (study, ALIKE[study]))
            assert OmegaConf.to_container(one.method, resolve=True) == OmegaConf.to_container(
                other.method, resolve=True
            )


def test_an_exchanged_classifier_does_not_train_as_d_does() -> None:
    """An exchanged network has its own epochs and learning rate, on every study."""
    alone = compose("method=standardise_network").method.classifier
    assert (alone.epochs, alone.lr) == (30, 1e-3)
    for study, method in (("mi", "combat"), ("demo", "baseline"), ("pancreas", "normae")):
        exchanged = compose(f"dataset={study}", f"method={method}", "classifier@method.classifier=network")
        assert exchanged.method.classifier == alone
    at_last = compose("dataset=mi", "method=standardise_svm", "classifier@method.classifier=discriminator")
    assert (at_last.method.classifier.epochs, at_last.method.classifier.lr) == (100, 1e-4)


def test_a_wrapped_method_has_the_values_of_the_study() -> None:
    wrapped = compose("dataset=chd", "method=nearest_source", "method@method.method=joint").method.method
    assert (wrapped.epochs, wrapped.lr, wrapped.lambda1) == (50, 1e-4, 4)
    plus = compose("dataset=chd", "method=fewer_subjects", "method@method.method=joint_plus").method.method
    assert (plus.joint.dropout, plus.joint.alpha1) == (0.5, 10)


def test_null_is_a_value_and_the_command_line_has_the_last_word() -> None:
    bermuda = compose("dataset=pancreas", "method=bermuda").method.corrector
    assert (bermuda.normalise, bermuda.log) == (None, False)
    assert compose("dataset=mi", "method=bermuda").method.corrector.normalise == 10000
    without = compose("dataset=pancreas", "method=bermuda", "~tuned").method
    assert (without.corrector.normalise, without.classifier.lr) == (10000, 1e-3)
    own = compose("dataset=table", "dataset.path=x", "method=joint", "~tuned").method.epochs
    assert own == {"least": 100, "iterations": 1000}
    assert compose("dataset=mi", "tuned.joint.lr=7").method.lr == 7
    config = compose("dataset=pancreas", "training=converged", "protocol=two_adams", "method.lr=3")
    assert (config.protocol.optimizer, config.method.lr, config.method.epochs) == ("per_step", 3, 55)


@pytest.mark.parametrize(
    ("study", "overrides", "refused"),
    [
        ("mi", ["method=joint"], True),
        ("pancreas_mini", ["method=standardise_svm"], True),
        ("pancreas_mini", ["method=joint_plus"], True),
        ("pancreas_mini", ["method=combat", "classifier@method.classifier=svm"], True),
        ("pancreas_mini", ["method=nearest_source"], True),
        ("pancreas_mini", ["method=combat", "~tuned"], True),
        ("pancreas_mini", ["method=nearest_source", "method@method.method=combat"], False),
        ("pancreas_mini", ["method=standardise_d"], False),
        ("pancreas_mini", ["method=standardise_svm", "classifier@method.classifier=discriminator"], False),
    ],
)
def test_a_training_that_changes_nothing_is_refused(study: str, overrides: list[str], refused: bool) -> None:
    config = compose(f"dataset={study}", "training=converged", *overrides)
    if not refused:
        assert key(config) != key(compose(f"dataset={study}", *overrides))
        return
    with pytest.raises(CalibError) as error:
        key(config)
    assert str(error.value) == (
        f"training=converged changes nothing for dataset={study} with method={config.method.name}; leave "
        "training=as_printed, or write values in the block converged of conf/tuned/<dataset>.yaml."
    )


def test_every_value_of_a_study_is_asked_for() -> None:
    """A misspelt part or setting in ``conf/tuned`` would be ignored in silence."""
    text = "".join(
        file.read_text() for group in ("method", "classifier") for file in (CONF / group).glob("*.yaml")
    )
    for file in (CONF / "tuned").glob("*.yaml"):
        parts = OmegaConf.to_container(OmegaConf.load(file))
        assert isinstance(parts, dict)
        parts.pop("defaults", None)
        for block in (parts.pop("converged", {}), parts):
            for part, values in block.items():
                assert not {name for name in values if f"${{tuned:{part}.{name}," not in text}, file.name
