"""The order in which planned runs are made, and the time that they take."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from omegaconf import OmegaConf

from calib.runs.planner import Job
from calib.runs.run import CLOSE

SECONDS = "seconds.yaml"
"""File of the configuration folder with guesses of the time that runs take."""

OTHERWISE = 30
"""Guess of the seconds of a run on MI, for methods that the file does not list."""

SMALL = 500
"""Largest product of features and batches of a study whose seeds are trained together.

In larger studies matrix products take most of the time, so that training seeds together gains nothing on a
processor (docs/performance.md)."""

Guesses = Mapping[str, Mapping[str, float]]
"""Seconds of ``runs`` and ``corrections`` by method, and the factors of ``studies``."""


@dataclass(frozen=True)
class Scheduled:
    """A run that has no record yet, and the seconds that it will take on one core."""

    job: Job
    seconds: float


def guessed_seconds(conf: Path) -> Guesses:
    """Return the guesses of a configuration folder."""
    return {str(kind): dict(values) for kind, values in OmegaConf.load(conf / SECONDS).items()}


def schedule(jobs: Sequence[Job], guesses: Guesses) -> list[Scheduled]:
    """Return the runs that have no record, in the order in which they are started.

    Runs that make a stored correction come first, and longer runs before shorter ones. So no worker waits for
    a correction that another worker makes, and no long run is left for the end. Seconds are the mean of
    finished runs of the same method and study, of the same variant if there are any; else the method's guess
    times the study's factor.
    """
    runs: dict[tuple[str, ...], list[float]] = {}
    corrections: dict[tuple[str, ...], list[float]] = {}
    missing, made = [], set()
    for job in jobs:
        record = job.finished
        if record is None:
            missing.append(job)
            continue
        made.add(job.correction)
        correction = (record.result["correction"] or {}).get("seconds", 0.0)
        total = record.result["seconds"]["total"]
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
    return [item for part in (makers, users) for item in sorted(part, key=lambda item: -item.seconds)]


def _key(job: Job) -> tuple[str, str, str]:
    """Return the method, study and variant, which decide the time of a run."""
    return str(job.run.config.method.name), job.run.study.name, job.variant


def _mean(
    times: Mapping[tuple[str, ...], Sequence[float]],
    job: Job,
    guesses: Mapping[str, float],
    otherwise: float,
    factor: float,
) -> float:
    """Return the mean of the known times of a run, or else its guess."""
    method, study, _ = _key(job)
    for known in (times.get(_key(job)), times.get((method, study))):
        if known:
            return sum(known) / len(known)
    return guesses.get(method, otherwise) * factor


def together(scheduled: Sequence[Scheduled]) -> list[list[Scheduled]]:
    """Group runs that one training can make, if that gains time.

    On a processor these are the seeds of a split of a small study, on a GPU all seeds and splits of a study.
    """
    groups: dict[object, list[Scheduled]] = {}
    for item in scheduled:
        run, gpu = item.job.run, _on_gpu(item)
        alike = _without(item.job.overrides, "seed=", *(["split="] if gpu else []))
        small = len(run.study.features) * len(run.study.batches) <= SMALL
        batched = (gpu or small) and run.method.trains_together
        groups.setdefault(tuple(alike) if batched else run.record.path, []).append(item)
    return list(groups.values())


def overrides(group: Sequence[Scheduled]) -> list[str]:
    """Return the overrides that make all runs of a group."""
    first, *rest = group
    if not rest:
        return list(first.job.overrides)
    runs = [item.job.run for item in group]
    seeds = ",".join(dict.fromkeys(str(run.config.seed) for run in runs))
    if not _on_gpu(first):
        return [*_without(first.job.overrides, "seed="), f"seed='{seeds}'", "batch_seeds=true"]
    splits = ",".join(dict.fromkeys(run.split.override.removeprefix("split=") for run in runs))
    # the last digits are not a processor's in any case
    alike = _without(first.job.overrides, "seed=", "split=")
    return [*alike, f"seed='{seeds}'", f"split=[{splits}]", f"batch_seeds={CLOSE}"]


def _on_gpu(item: Scheduled) -> bool:
    """Return whether a run is made on a GPU."""
    return str(item.job.run.config.device).startswith("cuda")


def _without(words: Sequence[str], *starts: str) -> list[str]:
    """Return the overrides that have none of these starts."""
    return [word for word in words if not word.startswith(starts)]


def plan_table(jobs: Sequence[Job], scheduled: Sequence[Scheduled]) -> list[str]:
    """Return the plan as lines: for each method and variant the runs, the recorded runs and the time left."""
    left: dict[tuple[str, ...], list[float]] = {}
    for item in scheduled:
        left.setdefault(_line(item.job), []).append(item.seconds)
    planned = Counter(_line(job) for job in jobs)
    lines = [f"{'study':<21}{'method':<25}{'protocol':<10}{'runs':>6}{'recorded':>10}{'left':>10}   variant"]
    for line, count in planned.items():
        study, method, protocol, variant = line
        seconds = left.get(line, [])
        time = str(timedelta(seconds=round(sum(seconds)))) if seconds else "-"
        counts = f"{count:>6}{count - len(seconds):>10}{time:>10}"
        lines.append(f"{study:<21}{method:<25}{protocol:<10}{counts}   {variant}".rstrip())
    total = timedelta(seconds=round(sum(item.seconds for item in scheduled)))
    recorded = len(jobs) - len(scheduled)
    lines.append(
        f"{len(jobs)} runs, {recorded} recorded; {len(scheduled)} to make, about {total} of one core."
    )
    return lines


def _line(job: Job) -> tuple[str, ...]:
    """Return the line of the plan that counts a run: study, method, protocol, and step or variant."""
    config = job.run.config
    steps = [f"{place.walk}, step {place.step}: {place.option}".rstrip(": ") for place in job.places]
    variant = job.variant if len(job.variant) <= 60 or not steps else steps[0]
    return job.run.study.name, str(config.method.name), str(config.protocol.name), variant
