"""The one reader of ``predictions.csv``."""

from pathlib import Path

import numpy as np
import pytest

from calib.data.study import Batch, Study
from calib.errors import DamagedError
from calib.records.predictions_file import TEXT, read_predictions
from calib.records.record import Record
from calib.runs.outcome import predictions

CLASSES = ["NA", "b"]  # the name of a class may look like a missing value


def written(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    x = np.zeros((3, 2), np.float32)
    batches = {
        "01": Batch("01", x, y=np.array([0, 1, 0]), subject=np.array([7, 7, 8])),
        "2": Batch("2", x, y=None),
    }
    p = np.array([[1 / 3, 2 / 3], [1e-30, 1.0], [0.75, 0.25]])
    probability = {"01": p, "2": p[::-1].copy()}
    study = Study("s", batches, ["f", "g"], CLASSES)
    Record(folder).write_table("predictions.csv", predictions(study, probability), digits=8)
    return folder / "predictions.csv", probability


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file, probability = written(tmp_path)
    read = read_predictions(file, CLASSES)
    assert list(read.table) == list(TEXT)
    assert read.table["subject"].tolist() == ["7", "7", "8", "", "", ""]
    assert read.table["row"].tolist() == ["0", "1", "2"] * 2
    assert read.y.tolist() == [0, 1, 0, -1, -1, -1]
    for name, p in probability.items():
        part = read.of_batch(name)
        assert part.probability.dtype == np.float64
        np.testing.assert_allclose(part.probability, p, rtol=1e-7)
        assert part.table["predicted"].tolist() == [CLASSES[k] for k in p.argmax(axis=1)]
    assert len(read.of_batch("3").y) == 0
    assert read_predictions(file).table.equals(read.table)
    assert read_predictions(file).probability.shape == (6, 0)


def test_another_table_is_refused(tmp_path: Path) -> None:
    file, _ = written(tmp_path)
    with pytest.raises(DamagedError, match=r"has no column 'p_c'; is it a run's predictions\.csv\?"):
        read_predictions(file, [*CLASSES, "c"])
    with pytest.raises(DamagedError, match="is not there"):
        read_predictions(tmp_path / "none.csv")
    file.write_text("batch,label,p_NA,p_b\n2,b,much,0.5\n")
    assert len(read_predictions(file, text=["batch", "label"]).table) == 1
    with pytest.raises(DamagedError, match="is damaged"):
        read_predictions(file, CLASSES, text=["batch", "label"])
