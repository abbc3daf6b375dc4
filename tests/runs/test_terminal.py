"""The table that a run prints at its end."""

from typing import Any

from calib.runs.terminal import result_table

SCORES = {"accuracy": 0.75, "f_score": 0.5, "auc": None, "mcc": 0.25}


def table(targets: dict[str, Any]) -> list[str]:
    """Return the lines below the title, sources, targets and choice."""
    result = {
        **{
            "study": "s",
            "split": "1_23",
            "label": "Joint",
            "protocol": "paper",
            "seed": 0,
            "selection": "defaults",
        },
        **{"seconds": {"total": 1.0}, "sources": ["1"], "uses_target_labels": False},
        **{"targets": targets, "mean": {**SCORES, "accuracy": 0.5}},
    }
    lines = result_table(result, "auc").splitlines()
    assert lines[:3] == [
        "s  1_23  Joint  (protocol paper, seed 0, 1.0 s)",
        "Sources: '1'.",
        f"Targets: {', '.join(map(repr, targets))}.",
    ]
    return lines[5:]


def test_a_line_for_each_target_and_their_mean() -> None:
    one, two = {"n": 4, **SCORES}, {"n": 8, **SCORES, "subject": {"n": 2, "accuracy": 1.0}}
    assert [line.split() for line in table({"2": one, "3": two})] == [
        ["2", "4", "0.750", "0.500", "-", "0.250", "-", "-"],
        ["3", "8", "0.750", "0.500", "-", "0.250", "2", "1.000"],
        ["mean", "0.500", "0.500", "-", "0.250"],
    ]
    assert len(table({"2": one})) == 1


def test_a_target_without_labels_has_its_answers() -> None:
    (_, answers) = table({"2": {"n": 4, "predicted": {"case": 3, "control": 1}}})
    assert answers == "Batch 2 has no labels; predicted: 3 case, 1 control. See predictions.csv."
