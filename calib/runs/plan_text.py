"""The plan of many runs as text."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from calib.runs.series import Job, Scheduled


def plan_table(jobs: Sequence[Job], scheduled: Sequence[Scheduled]) -> str:
    """What is planned, what of it is recorded, and how long the rest takes, a line a method and variant."""
    left: dict[tuple[str, ...], list[float]] = {}
    for one in scheduled:
        left.setdefault(_group(one.job), []).append(one.seconds)
    planned = Counter(_group(job) for job in jobs)
    lines = [
        f"{'study':<14}{'method':<25}{'protocol':<10}{'runs':>6}{'recorded':>10}{'left':>10}   set besides"
    ]
    for group, count in planned.items():
        study, method, protocol, variant = group
        seconds = left.get(group, [])
        time = str(timedelta(seconds=round(sum(seconds)))) if seconds else "-"
        counts = f"{count:>6}{count - len(seconds):>10}{time:>10}"
        lines.append(f"{study:<14}{method:<25}{protocol:<10}{counts}   {variant}".rstrip())
    total = timedelta(seconds=round(sum(one.seconds for one in scheduled)))
    recorded = len(jobs) - len(scheduled)
    lines.append(
        f"{len(jobs)} runs, {recorded} recorded; {len(scheduled)} to make, about {total} of one core."
    )
    return "\n".join(lines)


def _group(job: Job) -> tuple[str, ...]:
    config = job.run.config
    return job.run.study.name, str(config.method.name), str(config.protocol.name), job.variant
