"""What ``calib answer`` promises for a blank plate, and what is true: every plate is blank in turn.

python scripts/answers.py --out answers [--studies mi,chd]    two hours on one core for all studies

Each plate of each study loses its labels in turn, and ``calib.answer`` judges it. Only then are its labels
compared with what was promised. docs/results/answers.csv gets a line a plate. Records are kept in the folder,
so a repeated command goes on where it was.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

import calib
from calib.config import compose
from calib.data.study import Study
from calib.failures import command
from calib.plates.answer import BALANCED, Answer, Judged
from calib.plates.scores import MethodScores, scored
from calib.registry import CONF
from calib.runs.options import several, show_progress
from calib.runs.outcome import ABSTAINED
from calib.runs.run import load
from calib.shown import say

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "answers.csv"
STUDIES = ["mtbls79", "pancreas_500", "crc", "autism", "chd", "mi"]
NONE = "none"
"""Name of no calibration in the comparison."""


def main(studies: Sequence[str], out: Path) -> None:
    """Answer every plate of the studies, and write what was promised and what was true."""
    for name in studies:
        study = load(compose(CONF, f"dataset={name}"))[0]
        rows = []
        for plate in [name for name, batch in study.batches.items() if batch.y is not None]:
            rows.append(one_plate(study, plate, out / name / plate))
            say(", ".join(f"{key} {value}" for key, value in rows[-1].items()))
        known = (
            pd.read_csv(RESULTS, dtype={"plate": str}) if RESULTS.is_file() else pd.DataFrame({"study": []})
        )
        table = pd.concat([known[known["study"] != name], pd.DataFrame(rows)], ignore_index=True)
        table.to_csv(RESULTS, index=False, float_format="%.4g", lineterminator="\n")


def one_plate(study: Study, plate: str, folder: Path) -> dict[str, object]:
    """Return what is promised for a plate without its labels, and what is true."""
    found = answered(study, plate, folder, "fast")
    plain = answered(study, plate, folder, NONE)
    choice, trust = found.choice, found.trust
    assert choice is not None
    assert trust is not None
    truth, none = against(found, study, plate), against(plain, study, plate)
    calls = found.subject_calls if trust.unit == "subject" else found.calls
    y = true_classes(calls, study, plate)
    answers = calls["answer"].to_numpy()
    given = answers != ABSTAINED
    inside = [true in named.split(" or ") for true, named in zip(y, calls["set"], strict=True)]
    return {
        "study": study.name,
        "plate": plate,
        "unit": trust.unit,
        "units": len(calls),
        "method": choice.method,
        "promised": choice.nested.value,
        "low": choice.nested.low,
        "high": choice.nested.high,
        "plate_low": choice.next_plate.low,
        "plate_high": choice.next_plate.high,
        "true": truth.means[BALANCED],
        "gain": choice.gain.value,
        "gain_low": choice.gain.low,
        "gain_high": choice.gain.high,
        "true_gain": truth.means[BALANCED] - none.means[BALANCED],
        "floor": choice.floor,
        "above_floor": choice.above_floor,
        "error": trust.error,
        "answered": given.mean(),
        "true_error": (answers[given] != y[given]).mean() if given.any() else np.nan,
        "miss": trust.miss,
        "true_coverage": np.mean(inside),
        "set_size": calls["set"].str.split(" or ").str.len().mean(),
        "findings": " ".join(dict.fromkeys(one.code for one in found.design.findings if one.serious)),
    }


def answered(study: Study, blank: str, folder: Path, methods: str) -> Answer:
    """Return the answer for a study of which one plate has lost its labels."""
    parts = list(study.batches.values())
    classes = np.array(study.classes, object)
    x = [part.x for part in parts]
    y = [np.full(len(p), None) if p.name == blank or p.y is None else classes[p.y] for p in parts]
    subject = [[f"{part.name}-{one}" for one in part.subject] for part in parts if part.subject is not None]
    values = sparse.vstack(x, "csr") if sparse.issparse(x[0]) else np.concatenate([p.dense for p in parts])
    return calib.answer(
        values,
        np.concatenate(y),
        batch=np.repeat([part.name for part in parts], [len(part) for part in parts]),
        subject=np.concatenate(subject) if subject else None,
        positive=study.classes[1] if len(classes) == 2 else None,
        methods=methods,
        why=False,
        out=folder if methods != NONE else folder / NONE,
        jobs=1,
        name=study.name,
    )


def true_classes(calls: pd.DataFrame, study: Study, plate: str) -> NDArray[np.object_]:
    """Return the true class of each row of a table of calls."""
    batch = study.batches[plate]
    assert batch.y is not None
    labels = np.array(study.classes, object)[batch.y]
    if "samples" not in calls:
        return labels
    assert batch.subject is not None
    of_subject = {f"{plate}-{one}": label for one, label in zip(batch.subject, labels, strict=True)}
    return np.array([of_subject[one] for one in calls["subject"]], object)


def against(found: Answer, study: Study, plate: str) -> MethodScores:
    """Return the scores of the calls for a plate, by subject where subjects are known."""
    calls = found.subject_calls if len(found.subject_calls) else found.calls
    y = [list(study.classes).index(label) for label in true_classes(calls, study, plate)]
    raw = calls[[f"p_{name}" for name in study.classes]].to_numpy(float)
    return scored({plate: Judged(raw, np.array(y))})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("answers"), help="folder of the records")
    parser.add_argument("--studies", type=several, default=STUDIES, help="only these, such as mi,chd")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    show_progress()
    with command():
        main(given.studies, given.out)
