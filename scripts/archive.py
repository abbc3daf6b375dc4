"""Keep the planned runs of docs and README in docs/results/archive, or lay them out as records.

python scripts/archive.py                        adds the recorded runs of outputs/ to the archive
python scripts/archive.py --restore --out there  lays the archive out as records: no training, no data file

A record that is restored has results and predictions, and neither losses nor calibrated data, which figures
need. Runs that the plan of conf/reproduce.yaml no longer has leave the archive.
"""

import argparse
import sys
from pathlib import Path

from hydra.errors import HydraException
from tqdm import tqdm

from calib.evaluation.differential import common_features
from calib.failures import command
from calib.runs.archive import Archive, restore
from calib.runs.planner import Planner
from calib.runs.series import ARCHIVED, PLAN, read_series
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
CONF, ARCHIVE = ROOT / "conf", ROOT / "docs" / "results" / "archive"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=ROOT / "outputs", help="folder of the records")
    made.add_argument("--archive", type=Path, default=ARCHIVE, help="folder of the archive")
    made.add_argument("--restore", action="store_true", help="from the archive to the records")
    return made


def add(archive: Archive, out: Path) -> None:
    """Add the recorded runs to the archive, and say what it holds."""
    planner = Planner(CONF, out)
    jobs = planner.jobs(read_series(CONF / PLAN, ARCHIVED))
    studies = planner.as_loaded()
    counts = archive.add(jobs, lambda name: common_features(studies[name]))
    for name, why in planner.refused.items():
        say(f"Cannot be planned: {name}: {why}")
    planned = {study: sum(job.run.study.name == study for job in jobs) for study in counts}
    for study, count in counts.items():
        say(f"{study}: {count} of {planned[study]} planned runs are archived")
    size = sum(file.stat().st_size for file in archive.folder.rglob("*.zip"))
    say(f"{archive.folder}: {size / 1e6:.1f} MB")


def lay_out(archive: Archive, out: Path) -> None:
    """Lay the archived runs out as records, and say how many there are."""
    planner = Planner(CONF, out, load=archive.load)
    archived = archive.studies()
    series = [s for entry in read_series(CONF / PLAN, ARCHIVED) if (s := entry.narrowed(studies=archived))]
    found = [(job, kept) for job in planner.jobs(series) if (kept := archive.find(job))]
    for job, kept in tqdm(found, desc="records", unit="run", disable=None):
        restore(job, kept)
    say(f"{len(found)} runs are recorded in {out}")


if __name__ == "__main__":
    with command():
        options = parser().parse_args()
        try:
            (lay_out if options.restore else add)(Archive(options.archive), options.out)
        except HydraException as error:
            sys.exit(f"Error: {error}")
