"""Choose settings, such as the weights of the losses, by leaving a source out, never by a target.

For a split with sources S, every setting of a grid (a file of conf/search) is run once for each source s in
S, with the other sources as sources and s as the only target: the targets of the split take no part, neither
their data nor their labels. With two sources that means training on one. The setting with the highest mean
accuracy is chosen; the split itself is then run with it and with the published values. A table of all
settings goes to <out>/search/.

Repeat the command to go on after an interruption: recorded runs are not made again. A failed run stops no
other; failures are listed at the end, and the exit code is then 1.

  calib search --study mi --split 12_3
  calib search --study chd --split all --search steps_grid --seeds 0,1
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import timedelta

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from calib.data.split import Split
from calib.errors import CalibError
from calib.failures import command
from calib.registry import CONF
from calib.report.exhibits import write_table
from calib.report.search_table import caption, search_table, summary
from calib.runs.cli import explain
from calib.runs.launch import carry_out_all
from calib.runs.options import add_run_options, numbers, show_progress
from calib.runs.planner import Job
from calib.runs.schedule import guessed_seconds, schedule
from calib.runs.search import Search, choose
from calib.shown import say, without_passwords


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--study", default="demo", help="as in dataset=: demo, mi, chd, ... (default demo)")
    add("--split", default="12_3", help="12_3, names as in plate_1+plate_2:plate_3, or all (default 12_3)")
    add("--search", default="weights_grid", help="a file of conf/search (default weights_grid)")
    add("--method", default="joint", help="joint or recon_t, which have these settings (default joint)")
    add("--protocol", default="paper", help="paper | released (default paper)")
    add("--seeds", type=numbers, default=[0], help="each setting is run with every one (default 0)")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for every run: training=converged, ...")
    add_run_options(made)
    return made


def main(options: argparse.Namespace) -> int:
    """Run the grid, choose a setting, run the splits with it, and return the exit code: 1 if a run failed."""
    search = Search(
        CONF,
        options.out,
        options.study,
        options.method,
        options.protocol,
        options.search,
        options.seeds,
        options.device,
        options.set,
    )
    splits = search.splits(options.split)
    inner = search.inner_jobs(splits)
    labels = ", ".join(split.label for split in splits)
    say(f"{len(search.settings)} settings of {options.search}, to be chosen for {labels}.")
    say(f"Runs with a source left out: {progress(inner)}")
    if options.dry_run:
        most = 2 * len(splits) * len(search.seeds)
        say(f"Then at most {most} runs of the splits themselves, published and chosen.")
        return 0
    failures = carry_out(inner, options)
    outer = [job for split in splits for job in outer_jobs(search, split)]
    say(f"Runs of the splits themselves: {progress(outer)}")
    failures |= carry_out(outer, options)
    say("", caption(search, splits[0]))  # all splits have as many sources
    for split in splits:
        command = without_passwords(f"calib search {shlex.join(sys.argv[1:])}".strip())
        file, *_ = write_table(search_table(search, split, command), options.out / "search")
        say("", *summary(search, split), file)
    for run, why in failures.items():
        say(f"Failed: {run}: {why}")
    return 1 if failures else 0


def outer_jobs(search: Search, split: Split) -> list[Job]:
    """Return the runs of a split with the published setting and with the chosen setting, if there is one."""
    chosen = choose(search.trials(split), search.published)
    settings = [search.published]
    if chosen is not None and chosen.setting != search.published:
        settings.append(chosen.setting)
    return [job for setting in settings for job in search.jobs(setting, split)]


def progress(jobs: Sequence[Job]) -> str:
    """Return how many runs there are and how long the missing ones take, as text."""
    left = schedule(jobs, guessed_seconds(CONF))
    time = timedelta(seconds=round(sum(item.seconds for item in left)))
    rest = f"{len(left)} to make, about {time} of one core" if left else "none to make"
    return f"{len(jobs)}, {len(jobs) - len(left)} recorded; {rest}."


def carry_out(jobs: Sequence[Job], options: argparse.Namespace) -> dict[str, str]:
    """Carry out the runs that have no record, and return those that failed with the reason."""
    scheduled = schedule(jobs, guessed_seconds(CONF))
    if not scheduled:
        return {}
    return carry_out_all(scheduled, CONF, options.launcher, options.jobs, options.launcher_options)


def command_line() -> None:
    """Do as the arguments of the command say."""
    show_progress()
    chosen = parser().parse_args()
    with command():
        try:
            sys.exit(main(chosen))
        except (CalibError, HydraException, OmegaConfBaseException) as error:
            given = [
                f"dataset={chosen.study}",
                f"method={chosen.method}",
                f"protocol={chosen.protocol}",
                *chosen.set,
            ]
            sys.exit(f"Error: {explain(error, given, CONF)}")
