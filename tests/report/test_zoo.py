"""Tests of the section on public studies."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from calib.evaluation.jackknife import METRICS
from calib.report.assemble import write_report
from calib.report.docs.archived import Archived
from calib.report.docs.blocks import NOT_ARCHIVED, renewed
from calib.report.groups import group_jobs
from calib.report.zoo import best
from calib.report.zoo.forest import forest_figure
from calib.report.zoo.properties import SPELLED, correlations
from calib.report.zoo.ranks import rank_figure, ranked, wilcoxon_p
from calib.report.zoo.section import LISTS, Zoo, apart_from_zoo
from calib.report.zoo.tables import correlation_table, metric_table, rank_table, study_table
from calib.runs.archive import Archive
from calib.runs.experiment import run
from calib.runs.planner import Job, Planner
from calib.runs.series import PLAN, Series, public_studies, read_series
from tests.conftest import CONF, ROOT, compose
from tests.data.test_zoo import loaded

STUDIES = ("stemcells", "ecoli", "autism")
METHODS = ("standardise_logistic", "rank_normal_logistic", "combat_logistic")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """Return runs of three studies, recorded but for one method on one of them."""
    for name in STUDIES:
        loaded(name)
    out = tmp_path_factory.mktemp("zoo")
    series = [
        Series(STUDIES, METHODS, name="zoo"),
        Series(STUDIES, ["baseline"], variants=["logistic"], name="zoo"),
        Series(["stemcells"], ["scanvi"], name="zoo_slow"),
    ]
    made = Planner(CONF, out).jobs(series)
    kept = [job.overrides for job in made if job.run.config.method.name != "scanvi"]
    of_all_splits = (tuple(word for word in words if not word.startswith("split=")) for words in kept)
    for words in dict.fromkeys(of_all_splits):  # which read the study once
        run(compose(*words, "split=all", f"out={out}"))
    return made


@pytest.fixture(scope="module")
def zoo(jobs: list[Job]) -> Zoo:
    finished = [record for job in jobs if (record := job.finished)]
    by_study = {name: [job for job in jobs if job.run.study.name == name] for name in STUDIES}
    return Zoo({name: group_jobs(part, finished) for name, part in by_study.items()})


def test_metrics_are_those_of_the_records(zoo: Zoo) -> None:
    assert list(zoo.studies) == list(STUDIES)  # the order of conf/zoo.yaml
    row = zoo.numbers[(zoo.numbers["study"] == "autism") & (zoo.numbers["method"] == "combat_logistic")]
    (entry,) = (one for one in zoo.studies["autism"] if one.key == ("combat_logistic", ""))
    assert row["mcc"].item() == pytest.approx(np.mean(entry.group.means("mcc")))
    assert row["auc"].item() == pytest.approx(np.mean(entry.group.means("auc")), abs=1e-4)
    assert row["balanced_accuracy"].item() == pytest.approx(
        np.mean(entry.group.means("auc_hard"))
    )  # 2 classes


def test_gains_are_over_logistic_regression_without_calibration(zoo: Zoo) -> None:
    numbers = zoo.numbers.set_index(["study", "method"])
    none = numbers.loc[("stemcells", "baseline")]
    assert np.isnan(none["mcc_gain"])
    for method in METHODS:
        own = numbers.loc[("stemcells", method)]
        assert own["mcc_gain"] == pytest.approx(own["mcc"] - none["mcc"])
        assert own["mcc_gain_low"] < own["mcc_gain"] < own["mcc_gain_high"]


def test_tables_have_every_method_and_study(zoo: Zoo) -> None:
    tables = {table.name: table for table in zoo.tables()}
    assert set(tables) >= {"zoo_studies", "zoo_ranks", *(f"zoo_{metric}" for metric in METRICS)}
    for metric in METRICS:
        table = tables[f"zoo_{metric}"]
        assert list(table.heads[2:]) == ["stemcells", "ecoli (c)", "autism (c)"]
        assert len(table.rows) == 4
    first = tables["zoo_studies"].rows[0]
    assert first[:6] == ["stemcells", "4", "125", "15", "400", "3"]
    autism = tables["zoo_studies"].rows[-1]
    assert autism[-1] == "0 of 4"  # nothing is surely above chance


def test_no_method_surely_above_the_one_that_is_recommended(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert best.best_table(zoo.studies, zoo.parts, ()) is None  # no run of it here
    monkeypatch.setattr(best, "BEST", ("baseline", "logistic"))
    table = best.best_table(zoo.studies, zoo.parts, ("combat_logistic",))
    assert table is not None
    assert [row[0] for row in table.rows] == ["stemcells", "ecoli (c)", "autism (c)"]
    assert {row[5] for row in table.rows} == {"2"}  # standardised and rank-normal
    gains = zoo.numbers.set_index(["study", "method"])
    for one in table.numbers.to_dict("records"):
        method = "standardise_logistic" if "Standard" in one["method"] else "rank_normal_logistic"
        own = gains.loc[(one["study"], method)]
        assert one["difference"] == pytest.approx(-own["balanced_accuracy_gain"])
        assert one["high"] == pytest.approx(-own["balanced_accuracy_gain_low"])
    ecoli = dict(zip(table.heads, table.rows[1], strict=True))
    assert ecoli["surely above best"] == "Standardised, logistic regression; Rank-normal, logistic regression"


def test_the_report_has_the_section_and_no_maps_of_these_studies(jobs: list[Job], tmp_path: Path) -> None:
    studies = {job.run.study.name: job.run.study for job in jobs}
    page = write_report(jobs, studies, tmp_path, 1, {}).read_text()
    assert "Public studies" in page
    assert "4 of 56 planned runs are not recorded." in page
    assert (tmp_path / "report" / "tables" / "zoo_balanced_accuracy.csv").is_file()
    assert sorted(file.name for file in (tmp_path / "report" / "figures").glob("*.png")) == [
        "zoo_forest.png",
        "zoo_forest_stacked.png",
        "zoo_ranks.png",
    ]


def test_runs_of_other_lists_stay_in_their_sections(jobs: list[Job]) -> None:
    others, own = apart_from_zoo(jobs)
    assert (others, own) == ([], jobs)
    assert apart_from_zoo([]) == ([], [])
    names = {one.name for one in read_series(CONF / PLAN, ",".join(LISTS))}
    assert names == set(LISTS)
    assert set(read_series(CONF / PLAN, "zoo")[0].studies) == set(public_studies(CONF))


def test_ranks_are_of_methods_that_every_study_has() -> None:
    rng = np.random.default_rng(0)
    best = np.linspace(0.6, 0.9, 12)
    scores = pd.DataFrame(
        {"a": best, "b": best - 0.05, "c": best - 0.2 - rng.random(12) / 10, "d": best},
        [f"s{i}" for i in range(12)],
    )
    scores.loc["s3", "d"] = np.nan
    found = ranked(scores)
    assert found is not None
    assert found.ranks.to_dict() == {"a": 1, "b": 2, "c": 3}
    assert found.p < 0.001
    assert found.best.to_dict() == {"a": True, "b": False, "c": False}
    assert isinstance(rank_figure(found), Figure)
    assert ranked(scores[["a", "b"]]) is None
    numbers = pd.DataFrame(
        {
            "name": list("abc"),
            "seconds": 1.0,
            "balanced_accuracy_gain_low": [0.1, -1, -1],
            "balanced_accuracy_gain_high": [1, 1, -0.1],
        }
    )
    rows = {row[0]: row for row in rank_table(found, numbers).rows}
    assert rows["a"][1:5] == ["1.0", "0.750", "1", "0"]
    assert rows["c"][3:5] == ["0", "1"]


def test_correlations_are_adjusted_over_the_table() -> None:
    rng = np.random.default_rng(1)
    names = [f"s{i}" for i in range(12)]
    properties = pd.DataFrame({"study": names, **{key: rng.random(12) for key in SPELLED}})
    gains = {"follows": properties["mix"], "noise": rng.random(12)}
    scores = pd.concat(
        [
            pd.DataFrame({"study": names, "name": name, "balanced_accuracy_gain": g})
            for name, g in gains.items()
        ]
    )
    found = correlations(scores, properties).set_index(["name", "property"])
    assert found.loc[("follows", "mix"), "rho"] == pytest.approx(1)
    assert found.loc[("follows", "mix"), "p_holm"] < 0.05
    assert (found["p_holm"] >= found["p"] - 1e-12).all()
    table = correlation_table(found.reset_index())
    assert table is not None
    assert "1 of 18 can be told from 0" in table.caption
    assert correlation_table(correlations(scores.iloc[:0], properties)) is None


def test_few_studies_have_no_test() -> None:
    assert np.isnan(wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4])))
    assert wilcoxon_p(np.arange(1, 11) / 100) < 0.01


def test_a_study_that_a_method_lacks_is_a_cross_and_a_dash(zoo: Zoo) -> None:
    some = zoo.numbers[~((zoo.numbers["study"] == "autism") & (zoo.numbers["method"] == METHODS[0]))]
    table = metric_table("mcc", some, zoo.properties)
    (row,) = (row for row in table.rows if row[0] == "Standardised, logistic regression")
    assert row[1] == row[-1] == "–"
    assert table.rows[-1] is row  # methods that lack a study come last
    assert isinstance(forest_figure(some, STUDIES), Figure)
    assert len(study_table(zoo.properties, some).rows) == 3


def test_the_archive_gives_the_same_tables(jobs: list[Job], zoo: Zoo, tmp_path: Path) -> None:
    Archive(tmp_path).add(jobs, common=lambda _: None)
    archived = Archived(CONF, Archive(tmp_path), ",".join(LISTS))
    assert archived.zoo is not None
    ours, kept = (
        one.numbers.set_index(["study", "method"]).sort_index()[["balanced_accuracy", "mcc", "auc"]]
        for one in (zoo, archived.zoo)
    )
    pd.testing.assert_frame_equal(ours, kept, atol=2e-3)
    pd.testing.assert_frame_equal(zoo.properties, archived.zoo.properties)
    block = renewed(
        "<!-- table: zoo mcc -->\nold\n<!-- end -->\n<!-- table: zoo refused -->\n<!-- end -->", archived
    )
    assert "| Standardised, logistic regression |" in block
    assert NOT_ARCHIVED in block
    assert "zoo_ranks" in [table.name for table in archived.tables()]


@pytest.mark.slow
def test_the_page_has_the_tables_of_the_archive() -> None:
    page = (ROOT / "docs" / "zoo.md").read_text()
    archive = Archive(ROOT / "docs" / "results" / "archive")
    assert renewed(page, Archived(CONF, archive, ",".join(LISTS))) == page, "run make tables"
