"""Recompute the paper: make every run that is missing, then the tables, the figures and the page.

Repeat the command to go on after an interruption: recorded runs are not made again. A failed run stops
no other; failures are listed at the end, and the exit code is then 1. A study that cannot be downloaded is
left out, which is said at the start, at the end and on the page; it is a failure if --studies names it.
"""

import argparse
import sys
import time
from datetime import timedelta

from calib.errors import CalibError
from calib.failures import command
from calib.registry import CONF
from calib.runs.cli import explain
from calib.runs.options import add_run_options, local_jobs, numbers, several, show_progress
from calib.runs.series import PLAN, read_series
from calib.shown import say

NOTHING_NEW = (
    "Report: nothing is new, so it is as it was; studies that were left out were not looked for again."
)


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

    A study that cannot be reached is a failure only where it was asked for by name. What plans and draws is
    imported only if there is something new.
    """
    if options.report_only and not options.dry_run:
        from calib.report.again import found_again

        if (known := found_again(options, CONF)) is not None:
            say(NOTHING_NEW, *known[0])
            return known[1]
    return _main(options)


def _main(options: argparse.Namespace) -> int:
    """Do what ``main`` does where something may be new."""
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
    end = [f"Failed: {run}: {why}" for run, why in failures.items()]
    end += [f"Left out: {study}: {why}" for study, why in left_out.items()]
    started = time.monotonic()
    from calib.report.assemble import write_report

    try:
        missing = failures | left_out
        page = write_report(jobs, planner.as_loaded(), options.out, local_jobs(options), missing)
        say(f"Report: {timedelta(seconds=round(time.monotonic() - started))}.")
    finally:  # without any record, the failures say why
        say(*end)
    say(page)
    if options.report_only:
        from calib.report.again import remember

        remember(options, CONF, jobs, planner.datasets, [*end, str(page)], int(bool(failures)))
    return 1 if failures else 0


def command_line() -> None:
    """Do as the arguments of the command say."""
    show_progress()
    with command():
        options = parser().parse_args()
        try:
            code = main(options)
        except Exception as error:
            sys.exit(_explained(error))
        sys.exit(code)


def _explained(error: Exception) -> str:
    """Return the sentence for an error of the user or of a process; any other error is raised again."""
    from concurrent.futures.process import BrokenProcessPool

    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, BrokenProcessPool):
        return "Error: a process that draws was killed; repeat the command with fewer jobs (--jobs)."
    if isinstance(error, CalibError | HydraException | OmegaConfBaseException):
        return f"Error: {explain(error, [], CONF)}"
    raise error
