"""A command that was carried out before, recognised without loading what computes.

To find a run's record by its key takes the study and the method, and so seconds of imports. What decides the
key are the settings, the code, the files of the study and the versions of libraries; of these a hash can be
taken at once. ``remember`` keeps which records a command has led to, and ``found_again`` shows them, if all
of that and the records are as they were.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.files import short_hash, write_whole
from calib.records.provenance import code, made_elsewhere, versions
from calib.records.record import Record, run_record
from calib.records.shape import RUN
from calib.runs.contents import contents
from calib.runs.terminal import result_table

FOLDER = ".again"
"""Folder of the output in which commands are remembered."""

log = logging.getLogger("calib.runs.experiment")


def found_again(config: DictConfig) -> bool:
    """Show the records that the command has led to before, and return whether there are all of them."""
    place = _place(config)
    if place is None:
        return False
    out = place.parent.parent
    try:
        records = [Record(out / name, RUN) for name in json.loads(place.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return False
    results = [record.result() for record in records]
    if not results or not all(results):
        return False
    for record, result in zip(records, results, strict=True):
        assert result is not None
        record.tidy()
        tell(record.path, result, config)
        for warning in result.get("warnings", []):
            log.warning("%s", warning["text"])
        log.info("%s\n", record.path)
    return True


def tell(path: Path, result: Mapping[str, Any], config: DictConfig) -> None:
    """Log the result of a run that is recorded already, and how it was made otherwise than now."""
    log.info(f"Already done:\n{result_table(result, config.protocol.reported_auc)}")
    if note := made_elsewhere(result, config.device):
        log.warning("Record %s: %s force=true makes it again.", path, note)


def remember(config: DictConfig, results: Sequence[Mapping[str, Any]]) -> None:
    """Keep the records that a command has led to; where that cannot be written, nothing is kept."""
    place = _place(config)
    if place is None:
        return
    out = place.parent.parent
    paths = [run_record(out, r["study"], r["split"], r["method"], r["key"]).path for r in results]
    names = json.dumps([path.relative_to(out).as_posix() for path in paths])
    with suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        write_whole(place, lambda file: file.write_text(names, encoding="utf-8"))


def _place(config: DictConfig) -> Path | None:
    """Return the file of a command, or None for one that does more than show what is recorded."""
    if config.force or config.save_model or config.batch_seeds or str(config.device) != "cpu":
        return None
    data = contents(config.dataset)
    if data is None:
        return None
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    asked = {key: value for key, value in settings.items() if key != "progress"}
    identity = {"settings": asked, "data": data, "code": code(), "versions": versions()}
    return Path(str(config.out)) / FOLDER / f"{short_hash(identity)}.json"
