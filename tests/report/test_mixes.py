"""Tests of the section on drawn targets: another class mix, or another size."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.evaluation.mix_borne import measured
from calib.report.docs.blocks import NOT_ARCHIVED
from calib.report.mixes.section import LISTS, Mixes, apart_from_mixes, mix_section
from calib.report.mixes.tables import METRICS, borne
from calib.runs.experiment import run
from calib.runs.planner import Job, Planner
from calib.runs.series import PLAN, Series, read_series
from tests.conftest import CONF, ROOT, compose

METHODS = ("standardise_logistic", "standardise_mix_logistic")
VARIANTS = ("cases_10", "cases_50", "cases_90", "5_a_part", "")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """Return recorded runs on the simulated study, and a planned one of another list."""
    out = tmp_path_factory.mktemp("mixes")
    own = Series(["demo"], METHODS, variants=VARIANTS, name="mix")
    made = Planner(CONF, out).jobs([own, Series(["demo"], ["baseline"], name="paper")])
    for job in made:
        if job.run.config.method.name in METHODS:
            run(compose(*job.overrides, f"out={out}"))
    return made


@pytest.fixture(scope="module")
def mixes(jobs: list[Job]) -> Mixes:
    return Mixes.of_runs(apart_from_mixes(jobs)[1], [one for job in jobs if (one := job.finished)])


def test_runs_of_other_lists_stay_there(jobs: list[Job]) -> None:
    others, own = apart_from_mixes(jobs)
    assert {job.run.config.method.name for job in others} == {"baseline"}
    assert {job.run.config.method.name for job in own} == set(METHODS)


def test_each_degree_of_drawing_is_a_row(mixes: Mixes) -> None:
    found = mixes.numbers[mixes.numbers["method"] == METHODS[0]]
    degrees = set(zip(found["kind"], found["at"].fillna(-1), strict=True))
    assert degrees == {("mix", 0.1), ("mix", 0.5), ("mix", 0.9), ("size", 5.0), ("own", -1.0)}
    assert set(found["variant"]) == {""}
    assert (found["balanced_accuracy_low"] <= found["balanced_accuracy"]).all()


def test_scores_are_those_of_the_records(mixes: Mixes, jobs: list[Job]) -> None:
    (name, variant) = METHODS[0], "cases_10"
    results = [
        job.finished.result  # type: ignore[union-attr]
        for job in jobs
        if (job.run.config.method.name, job.variant) == (name, variant)
    ]
    by_target: dict[str, list[float]] = {}
    for result in results:
        for target, scores in result["targets"].items():
            by_target.setdefault(target, []).append(scores["accuracy"])
    row = mixes.numbers.query("method == @name and kind == 'mix' and at == .1")
    expected = np.mean([value for values in by_target.values() for value in values])
    assert row["accuracy"].item() == pytest.approx(expected)


def test_a_method_without_all_its_runs_has_no_row(jobs: list[Job]) -> None:
    finished = [one for job in jobs if (one := job.finished)]
    left = Mixes.of_runs(apart_from_mixes(jobs)[1], finished[1:]).numbers
    assert len(left) == len(METHODS) * len(VARIANTS) - 1


def test_tables_name_every_method(mixes: Mixes) -> None:
    tables = {table.name: table for table in mixes.tables()}
    assert set(tables) == {
        *(f"mix_mix_{metric}" for metric in METRICS),
        *("mix_own", "mix_sizes", "mix_estimate"),
    }
    for name in ("mix_mix_balanced_accuracy", "mix_own", "mix_sizes"):
        assert len(tables[name].rows) == len(METHODS)
    own = {row[1] for row in tables["mix_estimate"].rows}
    assert own == {"10%", "50%", "90%", "as they are"}


def test_numbers_survive_their_files(mixes: Mixes, tmp_path: Path) -> None:
    mixes.write(tmp_path)
    again = Mixes.of_files(tmp_path)
    for before, after in zip(mixes.tables(), again.tables(), strict=True):
        assert before.rows == after.rows


def test_the_loss_is_that_from_half_to_the_ends(mixes: Mixes) -> None:
    table = borne(with_all_shares(mixes.numbers), studies=["demo"])
    assert list(table.columns) == ["method", "10", "30", "70", "90"]
    at = mixes.numbers.query("method == @METHODS[0] and kind == 'mix'").set_index("at")["balanced_accuracy"]
    row = table[table["method"] == METHODS[0]]
    assert row["10"].item() == pytest.approx(at[0.5] - at[0.1], abs=1e-3)


def with_all_shares(numbers: pd.DataFrame) -> pd.DataFrame:
    """Return numbers with rows for 30 and 70 %, as those of 50 %."""
    half = numbers[numbers["at"] == 0.5]
    return pd.concat([numbers, half.assign(at=0.3), half.assign(at=0.7)])


def test_the_page_has_figures_and_tables(mixes: Mixes, jobs: list[Job], tmp_path: Path) -> None:
    own = apart_from_mixes(jobs)[1]
    section = mix_section(own, [one for job in own if (one := job.finished)], tmp_path)
    assert section is not None
    assert len(section.tables) == len(mixes.tables())
    assert (tmp_path / "class_mix.png").is_file()
    assert (tmp_path / "class_size.png").is_file()
    assert mix_section([], [], tmp_path) is None


def test_the_docs_quote_the_files() -> None:
    """Check that the package's losses are those of docs/results, and that every list is in the plan."""
    kept = Mixes.of_files(ROOT / "docs" / "results")
    table = borne(kept.numbers).set_index("method")
    assert set(measured()) == set(table.index)
    for method, losses in measured().items():
        np.testing.assert_allclose(losses, table.loc[method], atol=1e-9)
    assert all(read_series(CONF / PLAN, name) for name in LISTS)
    assert NOT_ARCHIVED not in (ROOT / "docs" / "class-mix.md").read_text(encoding="utf-8")
