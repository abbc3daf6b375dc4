"""What the files of a study hold, told without reading the study."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.files import facts

PARTS = ("path", "files", "values", "table")
"""Settings of a study that name its files, each with a path and, where it is a published one, a checksum."""


def contents(dataset: DictConfig) -> list[Any] | None:
    """Return what a study's files hold, or None if only its reader knows which they are.

    Files with a checksum in their settings need no look: a reader takes no others.
    """
    if str(dataset.get("_target_", "")).endswith(".demo_study"):
        return []
    named = list(files_of(dataset))
    if not named or "archive" in dataset:
        return None
    files = [Path(str(file["path"])).expanduser() for file in named if not file.get("sha256")]
    try:
        return [facts(file) for file in files]
    except OSError:  # not in the current folder: the reader knows where else to look
        return None


def files_of(dataset: DictConfig) -> Iterator[Mapping[str, Any]]:
    """Yield path and checksum of each file that the settings of a study name."""
    settings = OmegaConf.to_container(dataset)
    assert isinstance(settings, dict)
    for key in PARTS:
        if (setting := settings.get(key)) is not None:
            for file in _mappings(setting):
                alone = key == "path" and isinstance(setting, str)  # its checksum stands beside it
                yield {"sha256": settings.get("sha256") if alone else None} | file


def _mappings(setting: Any) -> Iterator[dict[str, Any]]:
    """Yield the settings of files that a setting holds."""
    if isinstance(setting, dict) and "path" in setting:
        yield setting
    elif isinstance(setting, dict | list):
        for part in setting.values() if isinstance(setting, dict) else setting:
            yield from _mappings(part)
    else:
        yield {"path": str(setting)}
