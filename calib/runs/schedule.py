"""The order in which planned runs are made, and the time that they take."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from omegaconf import OmegaConf

from calib.runs.series import Job

SECONDS = "seconds.yaml"
"""File of the configuration folder with guesses of the time that runs take."""

OTHERWISE = 30
"""Seconds that a run on MI is guessed to take where the file does not say."""

SMALL = 500
"""Most features times batches of a study whose seeds are trained together.

In larger studies matrix products take so much of the time that it gains nothing on a processor
(docs/performance.md)."""

Guesses = Mapping[str, Mapping[str, float]]
"""Seconds of ``runs`` and ``corrections`` by method, and the factors of ``studies``."""


@dataclass(frozen=True)
class Scheduled:
    """A run that is to be made, and the seconds that it will take on one core."""

    job: Job
    seconds: float


def guessed_seconds(conf: Path) -> Guesses:
    """Read the guesses of a configuration folder."""
    return {str(kind): dict(values) for kind, values in OmegaConf.load(conf / SECONDS).items()}


def schedule(jobs: Sequence[Job], guesses: Guesses) -> list[Scheduled]:
    """Return the runs that have no record: makers of stored corrections first, then the longest first.

    So no worker waits for a correction that another one makes, and no long run is left for the end.
    Seconds are the mean of finished runs of the same method and study, of the same variant if there are
    any; else the method's guess times the study's factor.
    """
    runs: dict[tuple[str, ...], list[float]] = {}
    corrections: dict[tuple[str, ...], list[float]] = {}
    missing, made = [], set()
    for job in jobs:
        done = job.finished
        if done is None:
            missing.append(job)
            continue
        made.add(job.correction)
        correction = (done.result["correction"] or {}).get("seconds", 0.0)
        total = done.result["seconds"]["total"]
        for key in (_key(job), _key(job)[:2]):
            runs.setdefault(key, []).append(total - correction if total > correction else total)
            corrections.setdefault(key, []).append(correction)
    makers, users = [], []
    for job in missing:
        factor = guesses["studies"].get(job.run.study.name, 1.0)
        seconds = _mean(runs, job, guesses["runs"], OTHERWISE, factor)
        if job.correction is None or job.correction in made:
            users.append(Scheduled(job, seconds))
        else:
            made.add(job.correction)
            seconds += _mean(corrections, job, guesses["corrections"], 0, factor)
            makers.append(Scheduled(job, seconds))
    return [one for part in (makers, users) for one in sorted(part, key=lambda s: -s.seconds)]


def _key(job: Job) -> tuple[str, str, str]:
    return str(job.run.config.method.name), job.run.study.name, job.variant


def _mean(
    times: Mapping[tuple[str, ...], Sequence[float]],
    job: Job,
    guesses: Mapping[str, float],
    otherwise: float,
    factor: float,
) -> float:
    method, study, _ = _key(job)
    for known in (times.get(_key(job)), times.get((method, study))):
        if known:
            return sum(known) / len(known)
    return guesses.get(method, otherwise) * factor


def together(scheduled: Sequence[Scheduled]) -> list[list[Scheduled]]:
    """Group runs that one training makes: those that differ in their seed only, where it gains time."""
    groups: dict[object, list[Scheduled]] = {}
    for one in scheduled:
        alike = [o for o in one.job.overrides if not o.startswith("seed=")]
        run = one.job.run
        small = len(run.study.features) * len(run.study.batches) <= SMALL
        batched = small and run.method.trains_seeds_together
        groups.setdefault(tuple(alike) if batched else run.record.path, []).append(one)
    return list(groups.values())


def overrides(group: Sequence[Scheduled]) -> list[str]:
    """Return the overrides that make all runs of a group."""
    first, *others = [one.job for one in group]
    if not others:
        return list(first.overrides)
    seeds = ",".join(str(one.job.run.config.seed) for one in group)
    return [*(o for o in first.overrides if not o.startswith("seed=")), f"seed='{seeds}'", "batch_seeds=true"]


def plan_table(jobs: Sequence[Job], scheduled: Sequence[Scheduled]) -> str:
    """Return the plan as text, a line a method and variant: runs, how many are recorded, time left."""
    left: dict[tuple[str, ...], list[float]] = {}
    for one in scheduled:
        left.setdefault(_line(one.job), []).append(one.seconds)
    planned = Counter(_line(job) for job in jobs)
    lines = [f"{'study':<14}{'method':<25}{'protocol':<10}{'runs':>6}{'recorded':>10}{'left':>10}   variant"]
    for line, count in planned.items():
        study, method, protocol, variant = line
        seconds = left.get(line, [])
        time = str(timedelta(seconds=round(sum(seconds)))) if seconds else "-"
        counts = f"{count:>6}{count - len(seconds):>10}{time:>10}"
        lines.append(f"{study:<14}{method:<25}{protocol:<10}{counts}   {variant}".rstrip())
    total = timedelta(seconds=round(sum(one.seconds for one in scheduled)))
    recorded = len(jobs) - len(scheduled)
    lines.append(
        f"{len(jobs)} runs, {recorded} recorded; {len(scheduled)} to make, about {total} of one core."
    )
    return "\n".join(lines)


def _line(job: Job) -> tuple[str, ...]:
    """Return the line of the plan that counts a run: study, method, protocol, and step or variant."""
    config = job.run.config
    steps = [f"{place.walk}, step {place.step}: {place.option}".rstrip(": ") for place in job.places]
    variant = job.variant if len(job.variant) <= 60 or not steps else steps[0]
    return job.run.study.name, str(config.method.name), str(config.protocol.name), variant
