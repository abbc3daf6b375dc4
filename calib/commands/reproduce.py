"""Recompute the paper: make every run that is missing, then the tables, the figures and the page.

Repeat the command to go on after an interruption: recorded runs are not made again. A failed run stops
no other; failures are listed at the end, and the exit code is then 1. A study that cannot be downloaded is
left out, which is said at the start, at the end and on the page; it is a failure if --studies names it.
"""

import argparse
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from calib.errors import CalibError
from calib.failures import command
from calib.registry import CONF
from calib.runs.cli import explain
from calib.runs.options import add_run_options, local_jobs, numbers, several, show_progress
from calib.runs.series import PLAN, read_series
from calib.shown import say


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add(
        "--series",
        default="paper",
        help="series of conf/reproduce.yaml: paper, demo, notes, beyond, named, ... (default paper)",
    )
    add("--studies", type=several, help="only these, such as mi,chd")
    add("--methods", type=several, help="only these, such as joint,combat")
    add("--protocols", type=several, help="only these: paper,released")
    add("--seeds", type=numbers, help="these instead of the listed ones, such as 0,1,2")
    add_run_options(made)
    add("--report-only", action="store_true", help="no runs, only the report of what is recorded")
    return made


def main(options: argparse.Namespace) -> int:
    """Plan and make the runs, write the report, and return the exit code: 1 if a run or a study failed.

    A study that cannot be reached is a failure only where it was asked for by name.
    """
    from calib.runs.planner import Planner
    from calib.runs.schedule import guessed_seconds, plan_table, schedule

    planner = Planner(CONF, options.out, options.device)
    narrowing = {key: getattr(options, key) for key in ("studies", "methods", "protocols", "seeds")}
    series = [part for s in read_series(CONF / PLAN, options.series) if (part := s.narrowed(**narrowing))]
    if not series:
        raise CalibError(
            f"No series of '{options.series}' has all that is asked for; see conf/reproduce.yaml."
        )
    jobs = planner.jobs(series)
    scheduled = schedule(jobs, guessed_seconds(CONF))
    say(*plan_table(jobs, scheduled))
    for name, why in planner.refused.items():
        say(f"Cannot be planned: {name}: {why}")
    for name, why in planner.unreachable.items():
        say(f"Left out: {name}: {why}")
    if options.dry_run:
        return 0
    failures: dict[str, str] = {}
    started = time.monotonic()
    if scheduled and not options.report_only:
        from calib.runs.launch import carry_out_all

        failures = carry_out_all(scheduled, CONF, options.launcher, options.jobs, options.launcher_options)
        say(f"Runs: {timedelta(seconds=round(time.monotonic() - started))}.")
    asked = {name: why for name, why in planner.unreachable.items() if name in (options.studies or ())}
    failures |= planner.refused | asked
    left_out = {name: why for name, why in planner.unreachable.items() if name not in asked}
    started = time.monotonic()
    from calib.report.assemble import write_report

    try:
        missing = failures | left_out
        page = write_report(jobs, planner.as_loaded(), options.out, local_jobs(options), missing)
        say(f"Report: {timedelta(seconds=round(time.monotonic() - started))}.")
    finally:  # without any record, the failures say why
        for run, why in failures.items():
            say(f"Failed: {run}: {why}")
        for study, why in left_out.items():
            say(f"Left out: {study}: {why}")
    say(page)
    return 1 if failures else 0


def command_line() -> None:
    """Do as the arguments of the command say."""
    show_progress()
    with command():
        try:
            sys.exit(main(parser().parse_args()))
        except (CalibError, HydraException, OmegaConfBaseException) as error:
            sys.exit(f"Error: {explain(error, [], CONF)}")
        except BrokenProcessPool:
            sys.exit("Error: a process that draws was killed; repeat the command with fewer jobs (--jobs).")
