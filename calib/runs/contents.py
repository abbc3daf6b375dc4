"""What the files of a study hold, told without reading the study."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.files import facts

PARTS = ("files", "values", "table")
"""Settings of a study that name files one by one, each with its checksum where it is a published one."""


def contents(dataset: DictConfig) -> list[Any] | None:
    """Return what a study's files hold, or None if only its reader knows which they are.

    Files with a checksum in their settings need no look: a reader takes no others.
    """
    path = dataset.get("path")
    if path is None:
        pinned = [file.get("sha256") for file in files_of(dataset)]
        made = str(dataset.get("_target_", "")).endswith(".demo_study")
        return [] if made or (pinned and all(pinned) and "archive" not in dataset) else None
    names = [path] if isinstance(path, str) else list(path)
    files = [Path(str(name)).expanduser() for name in names]
    try:
        return [facts(file) for file in files]
    except OSError:  # not in the current folder: the reader knows where else to look
        return None


def files_of(dataset: DictConfig) -> Iterator[Mapping[str, Any]]:
    """Yield what the settings say of each file; a file without more than a path has no checksum."""
    yield from _mappings({key: OmegaConf.to_container(dataset[key]) for key in PARTS if dataset.get(key)})


def _mappings(setting: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the settings of files that a setting holds."""
    if isinstance(setting, Mapping) and not {"path", "sha256"} & set(setting):
        setting = list(setting.values())
    if isinstance(setting, list):
        for part in setting:
            yield from _mappings(part)
    else:
        yield setting if isinstance(setting, Mapping) else {}
