"""Fixtures: small studies with unequal batches, composed configurations, and the folders of real files."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

import calib.config
from calib.config import build
from calib.data.downloads import data_folders
from calib.data.simulate import simulate
from calib.data.study import Study
from calib.protocol import Protocol

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
METHODS = sorted(file.stem for file in (CONF / "method").glob("*.yaml"))

SMALL = [
    "dataset.subjects=[8,6,9]",
    "dataset.replicates=4",
    "dataset.features=12",
    "dataset.informative=5",
]
"""Overrides that make the demo study tiny."""

FAST = {
    "joint": ["method.epochs=3", "method.batch_size=8"],
    "joint_plus": ["method.joint.epochs=3", "method.joint.batch_size=8", "method.members=2"],
    "recon_t": ["method.epochs=3", "method.batch_size=8"],
    "baseline": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "combat": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "mnn": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "cca": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "seurat": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "ratio_g": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "sva": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "fsva": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "bermuda": [
        "method.classifier.epochs=3",
        "method.classifier.batch_size=8",
        "method.corrector={epochs: 3, starts: 2}",
    ],
    "normae": [
        "method.classifier.epochs=3",
        "method.classifier.batch_size=8",
        "method.corrector={pretrain_epochs: 2, adversary_epochs: 1, epochs: 2, batch_size: 30}",
    ],
    "desc": [
        "method.classifier.epochs=3",
        "method.classifier.batch_size=8",
        "method.corrector={pretrain_epochs: 6, batch_size: 30, rounds: 3}",
    ],
    "coral": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "mmd_resnet": [
        "method.classifier.epochs=3",
        "method.classifier.batch_size=8",
        "method.mapper={epochs: 3, batch_size: 30}",
    ],
    "deep_coral": ["method.epochs=3", "method.batch_size=8"],
    "dann": ["method.epochs=3", "method.batch_size=8"],
    "harmony": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "scanvi": ["method.pretrain_epochs=2", "method.epochs=1", "method.samples_per_class=8"],
    "nearest_source": [
        "method.method.classifier={widths: [6], epochs: 2, members: 2}",
        "method.keep=null",
        "method.weight=true",
    ],
    "fewer_subjects": ["method.method.classifier={widths: [6], epochs: 2, members: 2}"],
    "pairwise": ["method.epochs=3", "method.batch_size=8"],
    "adabn": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
    "average": [
        "method.classifier.classifiers.network={widths: [6], epochs: 2, members: 2}",
        "method.classifier.classifiers.boosting.estimator.max_iter=3",
    ],
    "average_replicates": [
        "method.classifier.classifier.classifiers.network={widths: [6], epochs: 2, members: 2}",
        "method.classifier.classifier.classifiers.boosting.estimator.max_iter=3",
    ],
    "shuffled_labels": [],
    "oracle": ["protocol.cv_folds=3"],
    "honest_cross_validation": [
        "method.classifier.epochs=2",
        "method.classifier.batch_size=8",
        "protocol.cv_folds=3",
    ],
    "cross_validation": [
        "method.classifier.epochs=2",
        "method.classifier.batch_size=8",
        "protocol.cv_folds=3",
    ],
}
"""Overrides that make a run of each method fast."""

FAST_CLASSIFIERS = {
    "logistic": [],
    "svm": ["method.classifier.estimator.cv=2"],
    "boosting": ["method.classifier.estimator.max_iter=5"],
    "network": ["method.classifier={widths: [6], epochs: 2, members: 2}"],
    "d": ["method.classifier.epochs=3", "method.classifier.batch_size=8"],
}
"""Overrides that make the classifiers of the plain corrections fast."""

FAST |= {
    f"{c}_{k}": fast for c in ("standardise", "rank_normal", "combat") for k, fast in FAST_CLASSIFIERS.items()
}

SEEDLESS = tuple(
    f"{c}_{k}" for c in ("standardise", "rank_normal", "combat") for k in ("logistic", "svm", "boosting")
)
"""Methods whose results do not depend on the seed."""

SILENT = (*SEEDLESS, "shuffled_labels", "oracle")
"""Methods that report no losses."""


def compose(*overrides: str) -> DictConfig:
    """Return the configuration that the command line composes."""
    return calib.config.compose(CONF, *overrides)


def small_run(method: str, out: Path, *overrides: str) -> DictConfig:
    """Return the configuration of a fast run."""
    return compose(f"method={method}", f"out={out}", *SMALL, *FAST[method], *overrides)


@pytest.fixture(autouse=True)
def _quiet_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=["paper", "released"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return build(compose(f"protocol={request.param}").protocol)


@pytest.fixture
def study() -> Study:
    """Return a study of three small batches of different size, in float64."""
    return simulate([8, 6, 9], 4, 12, 5, 0.5, 0.3, 0.5, 0.15, seed=3)[0]


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that writes three CSV batches and returns the overrides that read them.

    Its caller may spoil the lines of the second file.
    """

    def write(spoil: Callable[[list[str]], list[str]] = lambda lines: lines, rows: int = 24) -> list[str]:
        rng = np.random.default_rng(0)
        overrides = ["dataset=mi"]
        for number in (1, 2, 3):
            lines = ["label,board,a,b,c,d"]
            for row in range(rows):
                values = rng.gamma(2, 500, 4) * number
                lines.append(f"{row // 4 % 2},{number}," + ",".join(f"{v:.1f}" for v in values))
            file = tmp_path / f"{number}.csv"
            file.write_text("\n".join(spoil(lines) if number == 2 else lines) + "\n")
            overrides += [f"dataset.files.{number}.path={file}", f"dataset.files.{number}.sha256=null"]
        return overrides

    return write


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder with the real MI and CHD files, or skip the test where they are missing."""
    for folder in data_folders():
        if (folder / "mi" / "1.csv").is_file() and (folder / "chd" / "1.csv").is_file():
            return folder
    pytest.skip("the real MI and CHD files are not here: run make data, or set CALIB_DATA_DIR")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Return the folder with reference numbers that cannot be committed, or skip the test without it."""
    folder = os.environ.get("CALIB_GOLDEN_DIR")
    if folder is None:
        pytest.skip("CALIB_GOLDEN_DIR does not name a folder with the reference numbers")
    return Path(folder)
