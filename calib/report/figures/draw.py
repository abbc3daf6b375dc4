"""All figures of one study, drawn several at once from the runs that belong to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from calib.data.study import Study
from calib.report.figures.gallery import Gallery, draw_waiting, map_folder, rules_of
from calib.report.figures.split_figures import MAPPED, draw_split
from calib.report.figures.study_figures import draw_study
from calib.report.figures.tsne import MapSettings, make_maps
from calib.report.groups import CONVERGED
from calib.runs.planner import Job
from calib.runs.run import Run
from calib.shown import one_line


@dataclass
class Figures:
    """The figures of one study.

    Attributes:
        study: the figures that depend on no split.
        splits: (protocol and training, split label) -> its figures.
    """

    study: Gallery
    splits: dict[tuple[str, str], Gallery]

    @property
    def missing(self) -> list[str]:
        """Return a sentence for each gap, without repetition."""
        galleries = [self.study, *self.splits.values()]
        return list(dict.fromkeys(sentence for gallery in galleries for sentence in gallery.missing))


def draw(study: Study, jobs: Sequence[Job], folder: Path, workers: int) -> Figures:
    """Draw the figures of every split and protocol, for the first seed, and the losses of all seeds.

    Args:
        study: the study, with its values as loaded, not scaled.
        jobs: all planned runs of the study; runs with a variant other than converged training are left out.
        folder: folder of the figures.
        workers: number of figures drawn at once.

    Raises:
        CalibError: a record does not fit the study, or the folder cannot be written to.
    """
    published = [job.run for job in jobs if job.variant in ("", CONVERGED)]
    seed = min((int(run.config.seed) for run in published), default=0)
    shown = _shown([run for run in published if run.config.seed == seed])
    mapped = [runs[name] for runs in shown.values() for name in MAPPED if name in runs]
    fill_maps(study, mapped, seed, workers)
    splits = {place: draw_split(runs, folder) for place, runs in shown.items()}
    made = Figures(draw_study(study, _trainings(published), folder), splits)
    draw_waiting([made.study, *splits.values()], workers, one_line(f"figures of {study.name}"))
    return made


def _shown(runs: Sequence[Run]) -> dict[tuple[str, str], dict[str, Run]]:
    """Return (rules, split label) -> method -> run, for the splits with a run of the joint model.

    Rules are those of ``gallery.rules_of``.

    A correction without labels is the same under every protocol with the same data. So if it was planned for
    one protocol only, that run is shown under the other protocols, too.
    """
    places: dict[tuple[str, str], dict[str, Run]] = {}
    for run in runs:
        places.setdefault((rules_of(run), run.split.label), {})[str(run.config.method.name)] = run
    for (_, split), methods in places.items():
        first = next(iter(methods.values()))
        for run in runs:
            name = str(run.config.method.name)
            trained_alike = run.config.training == first.config.training
            alike = run.split.label == split and run.data == first.data and trained_alike
            if name not in methods and alike and hasattr(run.method, "corrector"):
                methods[name] = run
    return {place: methods for place, methods in places.items() if "joint" in methods}


def fill_maps(study: Study, runs: Sequence[Run], seed: int, workers: int) -> None:
    """Make the missing maps of the recorded runs, several at once."""
    recorded = [run for run in runs if run.record.is_finished()]
    if recorded:
        records = [run.record for run in recorded]
        made = make_maps(records, study, map_folder(recorded[0]), MapSettings(seed=seed), workers)
        for _ in tqdm(made, desc=one_line(f"maps of {study.name}"), unit="map", disable=None):
            pass


def _trainings(runs: Sequence[Run]) -> dict[str, dict[str, dict[int, Run]]]:
    """Return rules -> split label -> seed -> run of the joint model."""
    trainings: dict[str, dict[str, dict[int, Run]]] = {}
    for run in runs:
        if run.config.method.name == "joint":
            splits = trainings.setdefault(rules_of(run), {})
            splits.setdefault(run.split.label, {})[int(run.config.seed)] = run
    return trainings
