"""The comparison with other programs, at tiny size; one whose package is missing is left out."""

from collections.abc import Callable

import pytest
import torch

from tests.conftest import ROOT


@pytest.mark.parametrize(
    "programs",
    [
        ["joint", "plain", "harmony"],
        pytest.param(
            ["released", "joint_plus", "best", "scanvi", "skada", "skada_longer"], marks=pytest.mark.slow
        ),
    ],
)
def test_each_program_answers_the_target(
    programs: list[str],
    write_csv: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts" / "bench")
    import world

    absent = world.Program("Absent", "nothing", world.plain, "calib_absent")
    monkeypatch.setitem(world.PROGRAMS, "absent", absent)
    before = torch.get_rng_state()
    world.main([*programs, "absent"], quick=True, study=write_csv())
    assert torch.equal(before, torch.get_rng_state())
    text = capsys.readouterr().out
    assert "Absent is left out: the package calib_absent is not installed." in text
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    labels = [world.PROGRAMS[name].label for name in programs]
    missing = [label for label in labels if f"{label} is left out" in text]
    assert [line[0] for line in lines[2:]] == [label for label in labels if label not in missing]
    assert lines[2][3] == lines[2][5] == "1.00"
    assert all(0 <= float(line[4]) <= 1 and 0 <= float(line[6]) <= 1 for line in lines[2:])
