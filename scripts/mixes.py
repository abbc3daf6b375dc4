"""Put the numbers of drawn targets into docs/results, the package and the figures of docs/class-mix.md.

python scripts/mixes.py [--out outputs]   after make reproduce-all SERIES=mix,mix_again,mix_own,sizes

It writes docs/results/class_mix.csv and class_mix_estimate.csv, calib/evaluation/mix_borne.csv, on which
warnings rest, and docs/figures/class_mix.png and class_size.png. Then make tables renews the page.
"""

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from calib.failures import command
from calib.report.mixes.section import LISTS, Mixes
from calib.report.mixes.tables import borne
from calib.runs.planner import Planner
from calib.runs.series import PLAN, read_series
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
RESULTS, FIGURES = ROOT / "docs" / "results", ROOT / "docs" / "figures"
BORNE = ROOT / "calib" / "evaluation" / "mix_borne.csv"


def main(out: Path) -> None:
    """Write the files from the records in a folder."""
    jobs = Planner(CONF, out, "cpu").jobs(read_series(CONF / PLAN, ",".join(LISTS)))
    finished = [record for job in jobs if (record := job.finished)]
    say(f"{len(finished)} of {len(jobs)} planned runs are recorded in {out}")
    mixes = Mixes.of_runs(jobs, finished)
    mixes.write(RESULTS)
    borne(mixes.numbers).to_csv(BORNE, index=False, lineterminator="\n")
    with TemporaryDirectory() as folder:
        for drawn in mixes.draw(Path(folder)).drawn:
            for name in drawn.files:
                if name.endswith(".png") and not name.endswith("_stacked.png"):
                    shutil.copy(Path(folder) / name, FIGURES / name)
    say(RESULTS, BORNE, FIGURES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "outputs", help="folder of the records")
    with command():
        main(parser.parse_args().out)
