"""Reading a study once for all runs that a process makes of it.

A worker of a sweep makes many runs of one study, whose reading may take longer than a run. So a process keeps
the study that it read last, as long as settings and files are the same.
"""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from calib.config import build
from calib.data.downloads import data_folders, find
from calib.data.overlaps import with_marks
from calib.data.study import Study
from calib.registry import find as find_target
from calib.runs.contents import contents, files_of


class _Reader:
    """Reads studies and keeps the last one."""

    def __init__(self) -> None:
        self._key: object = None
        self._study: Study | None = None

    def __call__(self, dataset: DictConfig, expected: str) -> Study:
        if self._study is None or self._key is None or self._key != self._of(dataset):
            self._key = self._study = None  # so that two studies are never in memory at once
            self._study = with_marks(build(dataset, expected))
            self._key = self._of(dataset)  # of files that were downloaded now, too
        return self._study

    def _of(self, dataset: DictConfig) -> object:
        """Return what decides the study, or None if that cannot be told without reading it."""
        found = contents(dataset)
        if found is None:
            return None
        places = [find(str(file["path"])) for file in files_of(dataset)]
        stamps = [place and (str(place), *_stamp(place)) for place in places]
        loader = find_target(str(dataset.get("_target_")))
        return OmegaConf.to_yaml(dataset, resolve=True), loader, found, stamps, data_folders()


def _stamp(file: Path) -> tuple[int, int]:
    """Return size and time of the last change of a file."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


read = _Reader()
"""Return the study that settings describe: ``read(config.dataset, loader)``; it must not be changed."""
