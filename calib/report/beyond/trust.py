"""How far probabilities can be trusted, before and after a temperature from source labels alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calib.data.study import FloatArray, IntArray
from calib.evaluation.trust import (
    accuracy_at,
    area_under_risk,
    brier,
    calibration_error,
    log_loss,
    reliability,
    temperature,
    tempered,
)
from calib.records.predictions_file import read_predictions
from calib.records.record import Finished
from calib.report.beyond.comparison import value
from calib.report.exhibits import MISSING, Table
from calib.report.figures.layout import Page
from calib.report.figures.style import BATCH_COLOURS, BATCH_MARKERS, GREY, PALE, in_style, literal
from calib.report.groups import Group
from calib.report.paper import spelled

TRUSTED = ("baseline", "joint", "joint_plus", "standardise_network")
"""Methods whose probabilities are looked at, in the protocol of the text."""

PROTOCOL = "paper"

Judged = tuple[FloatArray, IntArray]
"""Probabilities ``(samples, classes)`` and class indices ``(samples,)`` of one target batch."""

METRICS: Mapping[str, Callable[[FloatArray, IntArray], float]] = {
    "brier": brier,
    "calibration_error": calibration_error,
    "log_loss": log_loss,
    "accuracy": lambda p, y: accuracy_at(p, y, 1.0),
    "accuracy_90": lambda p, y: accuracy_at(p, y, 0.9),
    "accuracy_80": lambda p, y: accuracy_at(p, y, 0.8),
    "area": area_under_risk,
}
HEADS = ("Brier", "ECE", "NLL", "accuracy", "at 90 %", "at 80 %", "risk area")

CAPTION = (
    "At sample level, mean over all splits' targets and seeds. Brier score (sum over classes), expected "
    "calibration error (15 bins), negative log-likelihood (nats), accuracy of all samples and of the 90 % "
    "and 80 % answered most confidently, mean risk over all coverages. Temperature: of each split and seed "
    "the one number that fits best where each source in turn is judged by a model trained on the others; no "
    "label of a target is used. Within a split it leaves predictions as they are. "
    "With one source less those models know less, so they may be less sure or less right than the one that "
    "is corrected."
)


@dataclass(frozen=True)
class Trusted:
    """What one method said: ``said`` seed -> its target batches; ``mended`` the same after temperature.

    ``mended`` is empty where a run that leaves a source out is missing.
    """

    group: Group
    said: Mapping[int, Sequence[Judged]]
    mended: Mapping[int, Sequence[Judged]]
    temperatures: Sequence[float]


def trusted(found: Sequence[Group]) -> list[Trusted]:
    """The methods of ``TRUSTED`` that have a complete seed, in that order."""
    by_method = {s.method: s for s in found if s.protocol == PROTOCOL and not s.variant}
    chosen = [one for name in TRUSTED if (one := by_method.get(name)) and one.runs]
    return [_trusted(one, found) for one in chosen]


def _trusted(one: Group, found: Sequence[Group]) -> Trusted:
    others = _left_out(one, found)
    said: dict[int, list[Judged]] = {}
    mended: dict[int, list[Judged]] = {}
    temperatures = []
    for seed, pairs in one.records.items():
        fitted = {}
        for job, _ in pairs:
            sources = job.run.split.sources
            runs = [others.get((seed, frozenset(sources) - {source})) for source in sources]
            judged = [
                _judged(run, one, [source]).get(source) if run else None
                for run, source in zip(runs, sources, strict=True)
            ]
            if all(part is not None for part in judged):
                parts = [part for part in judged if part is not None]
                fitted[job.run.split.label] = temperature(
                    np.concatenate([p for p, _ in parts]), np.concatenate([y for _, y in parts])
                )
        targets = [
            (job.run.split.label, part)
            for job, record in pairs
            for part in _judged(record, one, job.run.split.targets).values()
        ]
        said[seed] = [part for _, part in targets]
        if len(fitted) == len(pairs):
            mended[seed] = [(tempered(p, fitted[split]), y) for split, (p, y) in targets]
            temperatures += list(fitted.values())
    return Trusted(one, said, mended, temperatures)


def _left_out(one: Group, found: Sequence[Group]) -> dict[tuple[int, frozenset[str]], Finished]:
    """Seed and sources -> record, of the runs of a method that are alike but for the number of sources."""
    alike = [
        s
        for s in found
        if (s.method, s.protocol, s.numberless_variant) == (one.method, one.protocol, one.numberless_variant)
    ]
    return {
        (int(job.run.config.seed), frozenset(job.run.split.sources)): s.finished[path]
        for s in alike
        for job in s.jobs
        if (path := job.run.record.path) in s.finished
    }


def _judged(record: Finished, group: Group, batches: Sequence[str]) -> dict[str, Judged]:
    """Return probabilities and classes of those of the batches that have labels."""
    read = read_predictions(record.path / "predictions.csv", group.study.classes, ("batch", "label"))
    parts = {batch: read.of_batch(batch) for batch in batches}
    labelled = {batch: part for batch, part in parts.items() if len(part.y) and (part.y >= 0).all()}
    return {batch: (part.probability, part.y) for batch, part in labelled.items()}


def trust_numbers(study: str, found: Sequence[Trusted]) -> pd.DataFrame:
    """Two rows a method, as it answers and after temperature, NaN where that is missing."""
    rows = []
    for one in found:
        for kind, judged in (("as it answers", one.said), ("after temperature", one.mended)):
            fitted = one.temperatures if kind == "after temperature" else [1.0]
            rows.append(
                {
                    "study": study,
                    "method": one.group.method,
                    "label": one.group.label,
                    "probabilities": kind,
                    "seeds": len(judged),
                    **{name: _mean(metric, judged) for name, metric in METRICS.items()},
                    "temperature_low": min(fitted, default=np.nan),
                    "temperature_high": max(fitted, default=np.nan),
                }
            )
    return pd.DataFrame(rows)


def _mean(metric: Callable[[FloatArray, IntArray], float], judged: Mapping[int, Sequence[Judged]]) -> float:
    by_seed = [np.mean([metric(p, y) for p, y in parts]) for parts in judged.values()]
    return float(np.mean(by_seed)) if by_seed else np.nan


def trust_table(study: str, numbers: pd.DataFrame) -> Table:
    """The numbers as text."""
    rows = []
    for row in numbers.to_dict("records"):
        low, high = row["temperature_low"], row["temperature_high"]
        span = MISSING if pd.isna(low) else f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
        cells = [value(row[name]) for name in METRICS]
        seeds = str(row["seeds"]) if row["seeds"] else MISSING
        rows.append([row["label"], row["probabilities"], *cells, span, seeds])
    heads = ["method", "probabilities", *HEADS, "temperature", "seeds"]
    title, command = (
        f"{spelled(study)}: may a prediction be trusted?",
        f"make reproduce-all STUDIES={study} SERIES=paper,beyond,trust",
    )
    return Table(f"trust_{study}", title, CAPTION, heads, rows, numbers, command)


LEAST = 0.005
"""Share of all samples below which a bin has no dot: its accuracy would be that of a few samples."""

COVERAGES = np.linspace(0.05, 1, 39)
LEFT, GAP, SIDE, BELOW = 0.56, 0.22, 1.43, 1.9
"""Inches: left of the first panel, between panels, a diagram's side, height of the curves."""


@in_style
def trust_figure(found: Sequence[Trusted]) -> Figure:
    """Above a reliability diagram a method, below risk against coverage of all.

    Args:
        found: at most four methods.
    """
    page = Page(0.3 + SIDE + 0.55 + BELOW + 0.45)
    page.text(0.08, 0.05, "a", weight="bold", size=9)
    for column, one in enumerate(found):
        axes = page.axes(LEFT + column * (SIDE + GAP), 0.3, SIDE, SIDE)
        _diagram(axes, one, column)
        axes.set_title(literal(one.group.label, 30), size=7.5)
        axes.set_xlabel("confidence", labelpad=1)
        if column == 0:
            axes.set_ylabel("accuracy")
        else:
            axes.tick_params(labelleft=False)
    top = 0.3 + SIDE + 0.55
    page.text(0.08, top - 0.2, "b", weight="bold", size=9)
    axes = page.axes(LEFT, top, 4.2, BELOW)
    for column, one in enumerate(found):
        axes.plot(
            COVERAGES, _risk(one.said), color=BATCH_COLOURS[column], marker=BATCH_MARKERS[column],
            markevery=(column, 6), markersize=3.5, label=literal(one.group.label),
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, None)
    axes.set_xlabel("coverage: share of samples answered, the most confident first")
    axes.set_ylabel("risk: share of them wrong")
    axes.legend(loc="upper left", bbox_to_anchor=(1.03, 1), borderaxespad=0)
    for share in (0.8, 0.9):
        axes.axvline(share, color=PALE, linewidth=0.6, zorder=0)
    words = "a, full: as it answers\na, hollow: after temperature\nb, vertical: 80 % and 90 %"
    page.text(LEFT + 4.35, top + 1.1, words, color=GREY, linespacing=1.5)
    return page.figure


def _diagram(axes: Axes, one: Trusted, column: int) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    colour, marker = BATCH_COLOURS[column], BATCH_MARKERS[column]
    for judged, face, line in ((one.said, colour, "-"), (one.mended, "white", ":")):
        parts = [part for lines in judged.values() for part in lines]
        if not parts:
            continue
        p, y = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        found = reliability(p, y)
        there = found.count >= LEAST * found.count.sum()
        axes.plot(
            found.confidence[there], found.accuracy[there], color=colour, linestyle=line, linewidth=1,
            marker=marker, markersize=3.5, markerfacecolor=face, markeredgewidth=0.8,
        )  # fmt: skip
        lowest = 1 / p.shape[1]
        axes.set_xlim(lowest - 0.03, 1.02)
        axes.set_ylim(lowest - 0.15, 1.02)


def _risk(judged: Mapping[int, Sequence[Judged]]) -> FloatArray:
    """Mean over target batches and seeds at every coverage."""
    curves = [[1 - accuracy_at(p, y, c) for c in COVERAGES] for parts in judged.values() for p, y in parts]
    risk: FloatArray = np.mean(curves, axis=0)
    return risk
