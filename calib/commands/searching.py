"""What ``calib search`` does: the runs of a grid, the choice, the runs of the splits, and the table."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from calib.data.split import Split
from calib.report.exhibits import write_table
from calib.report.search_table import caption, search_table, summary
from calib.runs.launch import carry_out_all
from calib.runs.planner import Job
from calib.runs.schedule import guessed_seconds, schedule
from calib.runs.search import Search, choose
from calib.shown import say, without_passwords


def search_for(options: argparse.Namespace, conf: Path) -> int:
    """Run the grid, choose a setting, run the splits with it, and return the exit code: 1 if a run failed.

    Args:
        options: as ``calib.commands.search.parser`` gives them.
        conf: folder of the configuration.
    """
    search = Search(
        conf,
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
    say(f"Runs with a source left out: {progress(inner, conf)}")
    if options.dry_run:
        most = 2 * len(splits) * len(search.seeds)
        say(f"Then at most {most} runs of the splits themselves, published and chosen.")
        return 0
    failures = carry_out(inner, options, conf)
    outer = [job for split in splits for job in outer_jobs(search, split)]
    say(f"Runs of the splits themselves: {progress(outer, conf)}")
    failures |= carry_out(outer, options, conf)
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


def progress(jobs: Sequence[Job], conf: Path) -> str:
    """Return how many runs there are and how long the missing ones take, as text."""
    left = schedule(jobs, guessed_seconds(conf))
    time = timedelta(seconds=round(sum(item.seconds for item in left)))
    rest = f"{len(left)} to make, about {time} of one core" if left else "none to make"
    return f"{len(jobs)}, {len(jobs) - len(left)} recorded; {rest}."


def carry_out(jobs: Sequence[Job], options: argparse.Namespace, conf: Path) -> dict[str, str]:
    """Carry out the runs that have no record, and return those that failed with the reason."""
    scheduled = schedule(jobs, guessed_seconds(conf))
    if not scheduled:
        return {}
    return carry_out_all(scheduled, conf, options.launcher, options.jobs, options.launcher_options)
