"""What is marked in the calls: samples that the look at the design found far from their plate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from calib.plates.calls import flagged, nothing
from calib.plates.design import look
from tests.plates.made_plates import made_study


@pytest.mark.parametrize("named", [True, False])
def test_unusual_samples_and_those_that_disagree_are_marked(named: bool) -> None:
    study = made_study()
    (plate, batch), *_ = study.batches.items()
    x = batch.dense.copy()
    x[4] *= 50.0
    names = np.array([f"s{i}" for i in range(len(batch))]) if named else None
    batches = {**study.batches, plate: replace(batch, x=x, names=names)}
    design = look(replace(study, batches=batches))
    samples = pd.DataFrame(
        {
            "plate": plate,
            "sample": ["s3", "s4", "s5", "s6"] if named else ["4", "5", "6", "7"],
            "subject": ["a", "a", "b", "b"],
            "call": ["case", "control", "case", "case"],
        }
    )
    subjects = pd.DataFrame({"plate": plate, "subject": ["a", "b"], "call": ["case", "case"]})
    called = flagged(replace(nothing(study.classes), samples=samples, subjects=subjects), design)
    assert called.samples["unusual"].tolist() == [False, True, False, False]
    assert called.subjects["unusual"].tolist() == [True, False]
    assert called.subjects["agree"].tolist() == [0.5, 1.0]
