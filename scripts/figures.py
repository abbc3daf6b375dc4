"""The paper's figures from the run records: python scripts/figures.py out=outputs study=mi split=12_3.

out       folder with the records, default outputs
study     mi | chd | pancreas | demo | any other dataset of conf/dataset, default mi
split     as for run.py, or all; default the first split of the study
seed      of the runs shown, default 0; the loss curves show seeds 0 to 9, as far as they were run
protocol  paper | released, default paper
to        folder to write to, default <out>/report/figures
Any other key=value is a setting that the runs were made with, as for run.py: training=converged.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException
from tqdm import tqdm

from calib.build import build, compose
from calib.data.split import Split, all_splits, parse_splits
from calib.data.study import Study
from calib.errors import CalibError
from calib.planning import Run, load, plan
from calib.report.gallery import draw_study

CONF = Path(__file__).resolve().parent.parent / "conf"
METHODS = [file.stem for file in sorted((CONF / "method").glob("*.yaml"))]
LOSS_SEEDS = range(10)
DEFAULTS = {"out": "outputs", "study": "mi", "seed": "0", "protocol": "paper"}


class Planner:
    """The runs of one study under one protocol; ``refused`` says what cannot be planned, and why."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self.overrides = overrides
        config = compose(CONF, *overrides)
        self.study, self.data = load(config)
        self.as_loaded: Study = build(config.dataset)
        self.refused: dict[str, str] = {}

    def run(self, method: str, seed: int | str, split: Split) -> Run:
        """One run with its record's place."""
        config = compose(CONF, *self.overrides, f"method={method}", f"seed={seed}")
        return plan(config, self.study, self.data, split)

    def every_method(self, seed: int | str, split: Split) -> dict[str, Run]:
        """All methods that can be planned for this study."""
        runs = {}
        for method in METHODS:
            try:
                runs[method] = self.run(method, seed, split)
            except (CalibError, HydraException) as error:  # the latter: a setting that it has not
                self.refused[method] = " ".join(str(error).split())
        return runs


def main(arguments: Sequence[str]) -> None:
    """Follow the options."""
    if set(arguments) & {"-h", "--help"}:
        print(__doc__)
        return
    given = dict(argument.partition("=")[::2] for argument in arguments)
    for key, value in given.items():
        if not value:
            raise CalibError(f"'{key}' needs a value, as in study=mi; see scripts/figures.py --help.")
    options = {**DEFAULTS, **given}
    out, study, seed, protocol = (options.pop(key) for key in DEFAULTS)
    split = options.pop("split", None)
    to = Path(options.pop("to", f"{out}/report/figures"))
    planner = Planner(
        [f"dataset={study}", f"protocol={protocol}", f"out={out}", *(f"{k}={v}" for k, v in options.items())]
    )
    splits = all_splits(planner.study)
    trainings = {
        one.label: {number: planner.run("joint", number, one) for number in LOSS_SEEDS} for one in splits
    }
    chosen = parse_splits(split.strip("'\""), planner.study) if split else splits[:1]
    missing: dict[str, None] = {}
    for one in tqdm(chosen, desc="splits", unit="split", disable=None):
        gallery = draw_study(planner.as_loaded, planner.every_method(seed, one), trainings, to)
        missing |= dict.fromkeys(gallery.missing)
        for drawn in gallery.drawn:
            print(*(to / file for file in drawn.files))
    for sentence in (*missing, *(f"{method}: {why}" for method, why in planner.refused.items())):
        print(f"Missing: {sentence}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (CalibError, HydraException) as error:
        sys.exit(f"Error: {error}")
