"""The section beyond the paper: its comparisons, figures and tables, from made-up records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.data.study import FloatArray
from calib.evaluation.intervals import Estimate
from calib.evaluation.metrics import score
from calib.evaluation.trust import tempered
from calib.records.record import Finished
from calib.report.beyond.attribution import walk_numbers, walks
from calib.report.beyond.comparison import comparison_numbers, comparison_table
from calib.report.beyond.dimensions import dimensions
from calib.report.beyond.growth import growth_numbers
from calib.report.beyond.named import named_numbers, named_section
from calib.report.beyond.section import TABLES, beyond_section, is_beyond
from calib.report.beyond.trust import trust_numbers, trusted
from calib.report.exhibits import MISSING, Table, markdown
from calib.report.groups import (
    ARCSINH,
    LOGISTIC,
    LOGISTIC_CV,
    SVM_CV,
    WEIGHT_1,
    Group,
    average,
    difference,
    group_jobs,
)
from calib.report.paper import ONE_SOURCE
from calib.report.readings import readings
from calib.runs.outcome import predictions
from calib.runs.planner import Job, Planner
from calib.runs.series import Series
from tests.conftest import CONF, SMALL

STUDY = " ".join(o.replace(" ", "") for o in SMALL)
WALK = [
    "residual=activated",
    "mmd_pairs=sum_ordered",
    "class_loss_over_sources=sum",
    "weight_decay=decoupled",
]

Plan = Callable[..., list[Job]]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Return a function that plans runs on the tiny demo study, whose settings are not part of the variants."""

    def planned(
        *series: Series | tuple[Sequence[str], Sequence[str], Sequence[int], Sequence[str]],
    ) -> list[Job]:
        every = [one if isinstance(one, Series) else Series(["demo"], *one) for one in series]
        small = [replace(one, variants=[f"{STUDY} {v}".strip() for v in one.variants]) for one in every]
        jobs = Planner(CONF, tmp_path).jobs(small)
        return [replace(job, variant=job.variant.removeprefix(STUDY).strip()) for job in jobs]

    return planned


def probabilities(job: Job, right: float, sharpness: float, one_sure: bool) -> dict[str, FloatArray]:
    """Return probabilities for every target, right for the first share ``right`` of the subjects.

    Args:
        job: the run.
        right: share of subjects that are classified correctly.
        sharpness: inverse temperature of the probabilities.
        one_sure: whether one measurement of each subject is certainly classified correctly.
    """
    answers = {}
    for target in job.run.split.targets:
        batch = job.run.study.batches[target]
        assert batch.y is not None
        assert batch.subject is not None
        given = np.where(batch.subject < right * (batch.subject.max() + 1), batch.y, 1 - batch.y)
        sure = 0.55 + 0.4 * np.random.default_rng(int(target)).random(len(given))
        p = np.where(given[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
        answers[target] = tempered(p, 1 / sharpness)
        if one_sure:
            first = np.unique(batch.subject, return_index=True)[1]
            answers[target][first] = np.where(batch.y[first, None] == np.arange(2), 1 - 1e-6, 1e-6)
    return answers


def record(jobs: Iterable[Job], right: float = 0.8, sharpness: float = 1.0, one_sure: bool = False) -> None:
    """Write records of runs that were never made."""
    for job in jobs:
        study, config = job.run.study, job.run.config
        answers = probabilities(job, right, sharpness, one_sure)
        job.run.record.prepare()
        job.run.record.write_table("predictions.csv", predictions(study, answers), digits=8)
        targets = {}
        for name, p in answers.items():
            y = study.batches[name].y
            assert y is not None
            targets[name] = {"n": len(y)} | score(p, y)
        job.run.record.finish(
            {
                "study": study.name,
                "split": job.run.split.label,
                "method": str(config.method.name),
                "protocol": str(config.protocol.name),
                "seed": int(config.seed),
                "targets": targets,
                **UNUSED,
                "key": job.run.key,
            }
        )


UNUSED = {"label": "x", "uses_target_labels": False, "uses_seed": True, "mean": {}, "mmd": {}} | {
    "chosen_by": "paper",
    "selection": "x",
    "correction": None,
    "seconds": {"fit": 1.0, "total": 1.0},
    "peak_memory_mb": None,
}
"""What every result has and these tests do not look at."""


def grouped(jobs: Sequence[Job]) -> list[Group]:
    """Return the groups of the jobs with their records."""
    return group_jobs(jobs, finished(jobs))


def finished(jobs: Sequence[Job]) -> list[Finished]:
    """Return the finished runs of the jobs."""
    return [one for job in jobs if (one := job.finished)]


def only(jobs: Sequence[Job], method: str, variant: str = "", protocol: str = "paper") -> list[Job]:
    """Return the jobs of one method, variant and protocol."""
    config = [(j, j.run.config) for j in jobs]
    return [
        j for j, c in config if (c.method.name, j.variant, c.protocol.name) == (method, variant, protocol)
    ]


def assert_same_from_file(table: Table, kind: str, tmp_path: Path) -> None:
    """Assert that the table made from its CSV file, as the docs make it, is the same."""
    table.numbers.to_csv(tmp_path / "n.csv", index=False, float_format="%.6g")
    columns = ("study", "variant", "besides", "option", "walk", "data", "classifier", "chosen_by")
    text = dict.fromkeys((*columns, "reads", "together_reads"), str)
    read = pd.read_csv(tmp_path / "n.csv", keep_default_na=False, na_values=[""], dtype=text)
    read = read.fillna(dict.fromkeys(read.columns.intersection(list(text)), ""))
    assert TABLES[kind]("demo", read).rows == table.rows


def test_methods_are_compared_with_joint_plus(plan: Plan, tmp_path: Path) -> None:
    jobs = plan(
        (["joint", "joint_plus", "combat", "cross_validation"], ["paper"], [0, 1], [""]),
        (["baseline"], ["paper"], [0], ["", LOGISTIC]),
        (["combat"], ["paper"], [0], [LOGISTIC]),
        (["joint_plus"], ["paper"], [0], ["method.members=1"]),
    )
    record(only(jobs, "joint_plus"), 0.8)
    record(only(jobs, "joint"), 0.6)
    record(only(jobs, "cross_validation"), 1.0)
    record(only(jobs, "combat")[1:], 0.75)  # the first seed lacks a split
    record(only(jobs, "baseline"), 0.5)
    record(only(jobs, "baseline", LOGISTIC), 0.7)
    record(only(jobs, "combat", LOGISTIC), 0.9)
    numbers = comparison_numbers("demo", grouped(jobs))
    table = comparison_table("demo", numbers)
    methods = ["In-batch cross-validation †", "ComBat, logistic regression", "Joint+ ‡", "ComBat"]
    methods += ["Baseline, logistic regression", "Joint calibration", "Baseline"]
    assert [row[0] for row in table.rows] == methods
    assert [row[-1] for row in table.rows] == ["2", "any", "2", "1", "any", "2", "1"]
    assert [row[-2] for row in table.rows] == [
        "paper",
        "defaults",
        "scores",
        "paper",
        "defaults",
        "paper",
        "paper",
    ]
    by_method = numbers[numbers["variant"] == ""].set_index("method")
    assert by_method.loc["joint_plus", "accuracy"] - by_method.loc["joint", "accuracy"] == pytest.approx(
        -by_method.loc["joint", "difference"]
    )
    assert (
        by_method.loc["joint", "low"]
        <= by_method.loc["joint", "difference"]
        <= by_method.loc["joint", "high"]
    )
    assert by_method.loc["baseline", "shared_seeds"] == 1
    logistic = numbers[numbers["variant"] == LOGISTIC].set_index("method")
    assert logistic.loc["combat", "shared_seeds"] == 2  # its one run is as good as any
    assert table.rows[2][7:9] == [MISSING] * 2
    assert {row[8] for row in table.rows} == {MISSING, "too few seeds"}
    assert_same_from_file(table, "comparison", tmp_path)


def test_what_has_not_been_run_is_a_dash(plan: Plan) -> None:
    jobs = plan((["joint", "joint_plus"], ["paper"], [0], [""]))
    record(only(jobs, "joint"))
    table = comparison_table("demo", comparison_numbers("demo", grouped(jobs)))
    assert table.rows[0][0] == "Joint calibration"
    assert table.rows[1][2:] == [*[MISSING] * 10, "scores", MISSING]


def test_over_replicates_every_method_gives_a_sample_one_answer(plan: Plan) -> None:
    jobs = plan((["combat", "joint_plus"], ["paper"], [0], [""]))
    record(only(jobs, "joint_plus"), 0.5)
    record(only(jobs, "combat"), 0.5, one_sure=True)
    combat, plus = grouped(jobs)
    assert combat.knows_replicates
    one, together = average(combat.runs), average(combat.runs_over_replicates)
    assert one is not None
    assert together is not None
    assert one.value < together.value == 1
    assert plus.runs_over_replicates is plus.runs
    numbers = comparison_numbers("demo", [combat, plus]).set_index("method")
    assert numbers.loc["combat", "together"] == pytest.approx(together.value)
    assert numbers.loc["combat", "together_difference"] == pytest.approx(0.5, abs=0.1)


def test_a_correction_is_compared_with_none_before_the_same_classifier(plan: Plan) -> None:
    made = {"": (0.4, 0.8), LOGISTIC: (0.6, 0.8), ARCSINH: (0.8, 0.6)}
    jobs = plan((["sva", "baseline"], ["paper"], [0], list(made)))
    for variant, (raw, corrected) in made.items():
        record(only(jobs, "baseline", variant), raw)
        record(only(jobs, "sva", variant), corrected)
    numbers = named_numbers("demo", grouped(jobs))
    before = numbers[numbers["method"] == "baseline"].set_index(["data", "classifier"])
    after = numbers[numbers["method"] == "sva"].set_index(["data", "classifier"])
    assert before["difference"].isna().all()
    assert len(after) == 3
    expected = after["accuracy"] - before["accuracy"].reindex(after.index)
    np.testing.assert_allclose(after["difference"], expected, atol=1e-12)


def test_differences_are_paired(plan: Plan) -> None:
    jobs = plan((["joint", "joint_plus"], ["paper"], [0, 1], [""]), (["combat"], ["paper"], [2], [""]))
    record(jobs, 0.7)
    joint, plus, combat = grouped(jobs)
    joint, plus, combat = joint.runs, plus.runs, combat.runs
    same = difference(joint, plus)
    assert same is not None
    assert (same.value, same.low, same.high, same.seeds) == (0, 0, 0, 2)
    assert difference(joint, combat) is None
    alone = average(joint)
    assert alone is not None
    assert alone.low < alone.value < alone.high


def test_differences_are_read_in_words(plan: Plan) -> None:
    jobs = plan((["joint", "joint_plus", "combat", "coral"], ["paper"], range(5), [""]))
    for method, right in (("joint_plus", 0.7), ("joint", 0.3), ("combat", 0.7), ("coral", 0.9)):
        record(only(jobs, method), right)
    joint, plus, combat, coral = grouped(jobs)
    numbers = comparison_numbers("demo", [joint, plus, combat, coral]).set_index("method")
    reads = numbers["reads"].to_dict()
    assert reads == {
        "joint_plus": "",
        "joint": "below",
        "combat": "equal within 0.02",
        "coral": "undecided",  # so few subjects show neither a difference nor that it is small
    }
    differences = [difference(group.runs, plus.runs) for group in (joint, combat, coral)]
    tests = [one["p"] for one in readings(differences)]
    assert numbers.loc["joint", "p_holm"] >= numbers.loc["joint", "p"] == tests[0]
    lowest, accuracy, highest = numbers.loc["joint", ["lowest", "accuracy", "highest"]]
    assert lowest <= accuracy <= highest


def test_the_words_for_a_difference() -> None:
    def of(value: float, error: float, seeds: int = 5) -> Estimate:
        return Estimate(value, error, 50.0, 0.0, 0.0, seeds, True)

    many = [of(0.05, 0.01), of(-0.05, 0.01), of(0.01, 0.002), of(0.001, 0.004), of(0.01, 0.02), of(1, 0.1, 4)]
    words = [one["reads"] for one in readings([*many, None])]
    assert words == [
        "above",
        "below",
        "above, within 0.02",
        "equal within 0.02",
        "undecided",
        "too few seeds",
        "",
    ]
    alone = readings([of(0.021, 0.01)])[0]
    assert (alone["reads"], alone["p"], alone["p_holm"]) == ("above", alone["p"], alone["p"])
    among = readings([of(0.021, 0.01), of(0.0, 0.01), of(0.0, 0.01)])[0]
    assert (among["reads"], among["p_holm"]) == ("undecided", pytest.approx(3 * alone["p"]))


def walk(name: str, options: Sequence[str], seeds: Sequence[int], end: str = "") -> Series:
    """Return a walk from the protocol ``paper``, as the plan's ``adding`` makes it."""
    words = ["", *(f"protocol.{option}" for option in options)]
    steps = list(accumulate(words, lambda before, word: f"{before} {word}".strip()))
    return Series(["demo"], ["joint"], ["paper"], seeds, steps, walk=name, options=words, end=end)


def walk_jobs(plan: Plan) -> list[Job]:
    """Return jobs with a walk, and with an option that is set alone."""
    return plan(
        (["joint"], ["paper", "released", "corrected"], [0, 1, 2], [""]),
        walk("paper on", WALK, [0, 1]),
        Series(
            ["demo"],
            ["joint"],
            variants=["protocol.optimizer=shared"],
            walk="alone",
            options=["protocol.optimizer=shared"],
        ),
    )


def test_a_walk_is_one_option_more_at_a_time(plan: Plan, tmp_path: Path) -> None:
    jobs = walk_jobs(plan)
    (made,) = walks(grouped(jobs))  # options that are set alone are not a walk
    assert made.options == ["", *WALK]
    assert made.name == "paper on"
    levels = {"": 0.5, f"protocol.{WALK[0]}": 0.7, " ".join(f"protocol.{o}" for o in WALK[:2]): 0.9}
    for variant, level in levels.items():
        record(only(jobs, "joint", variant), level)
    numbers = walk_numbers("demo", grouped(jobs))
    assert numbers["change_value"].isna().tolist() == [True, False, False, True, True]
    sums = numbers["value"][0] + numbers["change_value"][1:3].cumsum()
    assert sums.tolist() == pytest.approx(numbers["value"][1:3].tolist())
    assert numbers["seeds"].tolist() == [2, 2, 2, 0, 0]  # the start has only the seeds of the other steps
    table = TABLES["attribution"]("demo", numbers)
    assert [row[1] for row in table.rows] == ["paper", *(f"+ {option}" for option in WALK)]
    assert table.rows[3][2:] == [MISSING] * 5
    assert [row[5] for row in table.rows[:3]] == ["", "too few seeds", "too few seeds"]
    assert_same_from_file(table, "attribution", tmp_path)


def test_a_walk_ends_at_the_protocol_that_the_plan_names(plan: Plan) -> None:
    own = ["transform=arcsinh", "batch_scale=standardise", "calibrator_test_statistics=own"]
    own += ["discriminator_test_statistics=own", "kernel_widths=median", "weight_decay=decoupled"]
    (made,) = walks(grouped(plan(walk("paper to corrected", own, [0], end="corrected"))))
    assert made.name == "paper to corrected"
    assert made.options[-1] == "corrected: optimizer=per_step"


def test_two_walks_share_the_runs_that_are_the_same(plan: Plan) -> None:
    one = [
        "residual=activated",
        "mmd_pairs=sum_ordered",
        "class_loss_over_sources=sum",
        "weight_decay=decoupled",
    ]
    other = [one[2], one[1], one[3], one[0]]
    jobs = plan(walk("first", one, [0, 1]), walk("second", other, [0]))
    assert len({job.run.record.path for job in jobs}) == len(jobs)
    first, second = walks(grouped(jobs))
    assert (first.name, second.name) == ("first", "second")
    assert second.options == ["", *other]
    assert second.steps[-1].variant == first.steps[-1].variant
    record(only(jobs, "joint", first.steps[-1].variant), 0.8)
    record(only(jobs, "joint", f"protocol.{other[0]}"), 0.6)
    numbers = walk_numbers("demo", grouped(jobs))
    assert numbers.groupby("walk")["seeds"].agg(lambda seeds: sorted({*seeds} - {0})).tolist() == [[2], [1]]


def test_temperature_comes_from_runs_that_leave_a_source_out(plan: Plan, tmp_path: Path) -> None:
    jobs = plan((["joint", "joint_plus"], ["paper"], [0, 1], ["", ONE_SOURCE]))
    record(only(jobs, "joint"), 0.75, sharpness=3)
    record(only(jobs, "joint_plus"), 0.75, sharpness=3)
    record(only(jobs, "joint_plus", ONE_SOURCE), 0.75, sharpness=3)
    judged = trusted(grouped(jobs))
    numbers = trust_numbers("demo", judged)
    assert numbers["method"].tolist() == ["joint", "joint", "joint_plus", "joint_plus"]
    before, after = numbers.iloc[2], numbers.iloc[3]
    assert after["log_loss"] < before["log_loss"]
    assert after["brier"] < before["brier"]
    assert after["accuracy"] == before["accuracy"]
    assert after["temperature_low"] > 1.5
    assert np.isnan(numbers.iloc[1]["log_loss"])  # no run of joint leaves a source out
    table = TABLES["trust"]("demo", numbers)
    assert table.rows[1][2:] == [MISSING] * 9
    assert_same_from_file(table, "trust", tmp_path)


def test_no_label_of_a_target_changes_a_temperature(plan: Plan) -> None:
    jobs = plan((["joint_plus"], ["paper"], [0], ["", ONE_SOURCE]))
    record(jobs, 0.75, sharpness=3)
    (one,) = trusted(grouped(jobs))
    by_split = dict(zip([j.run.split.label for j in only(jobs, "joint_plus")], one.temperatures, strict=True))
    for job in jobs:  # every label of batch 3 is now another
        file = job.run.record.path / "predictions.csv"
        table = pd.read_csv(file, dtype={"batch": str})
        last = table["batch"] == "3"
        table.loc[last, "label"] = table.loc[last, "label"].map({"case": "control", "control": "case"})
        result = job.run.record.read()
        assert result is not None
        job.run.record.prepare()
        job.run.record.write_table("predictions.csv", table, digits=8)
        job.run.record.finish({**result, "targets": {}})
    (other,) = trusted(grouped(jobs))
    changed = dict(zip(by_split, other.temperatures, strict=True))
    assert changed["12_3"] == by_split["12_3"]
    assert changed["13_2"] != by_split["13_2"]


def test_accuracy_against_the_number_of_sources(plan: Plan, tmp_path: Path) -> None:
    jobs = plan(
        (["joint_plus"], ["paper"], [0, 1], ["", ONE_SOURCE, "method.members=1"]),
        (["joint"], ["paper"], [0], [""]),
    )
    record(only(jobs, "joint_plus"), 0.9)
    record(only(jobs, "joint_plus", ONE_SOURCE), 0.6)
    numbers = growth_numbers("demo", grouped(jobs))
    assert numbers[["method", "count"]].to_numpy().tolist() == [["joint_plus", 1], ["joint_plus", 2]]
    assert numbers["accuracy"][0] < numbers["accuracy"][1]
    assert_same_from_file(TABLES["growth"]("demo", numbers), "growth", tmp_path)


def test_the_section_has_what_is_recorded(plan: Plan, tmp_path: Path) -> None:
    variants = ["", ONE_SOURCE]
    jobs = [*walk_jobs(plan), *plan((["joint_plus", "baseline"], ["paper"], [0, 1], variants))]
    assert beyond_section({"demo": group_jobs(jobs, [])}, tmp_path) is None
    record(only(jobs, "joint"))
    record(only(jobs, "baseline"))
    assert beyond_section({"demo": grouped(jobs)}, tmp_path) is None  # all runs are the paper's
    record(jobs)
    section = beyond_section({"demo": grouped(jobs)}, tmp_path)
    assert section is not None
    names = ["attribution_demo", "trust_demo", "growth_demo"]
    assert [table.name for table in section.tables] == ["comparison_demo", *names]
    assert [shown.figure.name for shown in section.figures] == names
    for name in names:
        assert {".png", ".pdf", ".csv"} <= {file.suffix for file in tmp_path.glob(f"{name}.*")}
    assert all(markdown(table.heads, table.rows) for table in section.tables)


def test_the_paper_s_runs_are_not_beyond(plan: Plan) -> None:
    jobs = plan((["joint", "coral"], ["paper", "corrected"], [0], [""]))
    beyond = {(j.run.config.method.name, j.run.config.protocol.name) for j in jobs if is_beyond(j)}
    assert beyond == {("coral", "paper"), ("coral", "corrected"), ("joint", "corrected")}


def named_jobs(plan: Plan) -> list[Job]:
    """Return jobs of methods that the paper names, and of others."""
    return plan(
        (["baseline", "joint", "mnn", "sva"], ["paper"], [0, 1], [""]),
        (["joint"], ["released"], [0], [""]),
        (["mnn", "sva"], ["paper"], [0], [ARCSINH, LOGISTIC]),
        (["standardise_logistic"], ["paper"], [0], [""]),
    )


def test_the_methods_the_paper_names_stand_beside_its_own(plan: Plan, tmp_path: Path) -> None:
    jobs = named_jobs(plan)
    record(only(jobs, "baseline"), 0.5)
    assert named_numbers("demo", grouped(jobs)).empty
    record(only(jobs, "joint", protocol="released"), 0.7)
    record(only(jobs, "mnn"), 0.6)
    record(only(jobs, "mnn", LOGISTIC), 0.9)
    numbers = named_numbers("demo", grouped(jobs))
    table = TABLES["named"]("demo", numbers)
    assert [row[:3] for row in table.rows[:4]] == [
        ["MNN", "as they are", "logistic regression"],
        ["Joint calibration, released", "as they are", "D"],
        ["MNN", "as they are", "D"],
        ["Baseline", "as they are", "D"],
    ]
    assert numbers["difference"][2] == pytest.approx(numbers["accuracy"][2] - numbers["accuracy"][3])
    assert ["MNN", "arcsinh", "D", *[MISSING] * 7, "paper", MISSING] in table.rows
    assert "standardise_logistic" not in set(numbers["method"])
    assert_same_from_file(table, "named", tmp_path)


def test_fewer_dimensions_stand_beside_as_many_principal_components(plan: Plan, tmp_path: Path) -> None:
    five = "method.corrector.dimensions=5"
    jobs = plan(
        (["baseline", "pca"], ["paper"], [0], [LOGISTIC, LOGISTIC_CV]),
        (["pca"], ["paper"], [0], [f"{LOGISTIC} by_batch", f"{five} {LOGISTIC}"]),
        (["cca", "mnn"], ["paper"], [0, 1], [LOGISTIC]),
    )
    made = {"baseline": 0.9, "cca": 0.7, "mnn": 0.8, "pca": 0.5}
    for method, right in made.items():
        record(only(jobs, method, LOGISTIC), right)
    record(only(jobs, "pca", LOGISTIC_CV), 0.6)
    record(only(jobs, "pca", f"{LOGISTIC} by_batch"), 0.4)
    record(only(jobs, "pca", f"{five} {LOGISTIC}"), 0.3)
    groups = grouped(jobs)
    counts = {(g.method, g.variant): dimensions(g) for g in groups}
    assert counts["cca", LOGISTIC] == counts["pca", LOGISTIC] == 12  # all features, fewer than 20
    assert counts["pca", f"{five} {LOGISTIC}"] == 5
    assert counts["mnn", LOGISTIC] is None
    numbers = named_numbers("demo", groups).set_index(["label", "classifier"])
    assert numbers.index.is_unique
    assert ("PCA, each batch standardised first", "logistic regression") in numbers.index
    assert (f"PCA, {five}", "logistic regression") in numbers.index
    assert ("PCA", "logistic regression, C chosen") in numbers.index
    cca = numbers.loc[("CCA", "logistic regression")]
    accuracy = {g.method: np.mean(g.means("accuracy")) for g in groups if g.variant == LOGISTIC}
    assert cca["equal_difference"] == pytest.approx(accuracy["cca"] - accuracy["pca"])
    assert cca["difference"] == pytest.approx(accuracy["cca"] - accuracy["baseline"])
    assert numbers["equal_difference"].notna().sum() == 1
    table = TABLES["named"]("demo", named_numbers("demo", groups))
    assert table.heads[-3:] == ["minus PCA", "chosen by", "seeds"]
    assert "as many principal components" in table.caption
    assert_same_from_file(table, "named", tmp_path)


def test_classifiers_with_chosen_settings_have_rows_of_their_own(plan: Plan, tmp_path: Path) -> None:
    jobs = plan(
        (["joint_plus"], ["paper"], [0], [""]),
        (["standardise_logistic"], ["paper"], [0], ["", LOGISTIC_CV]),
        (["standardise_svm"], ["paper"], [0], [SVM_CV]),
        (["deep_coral"], ["paper"], [0], ["", WEIGHT_1]),
    )
    record(jobs)
    table = comparison_table("demo", comparison_numbers("demo", grouped(jobs)))
    names = {row[0] for row in table.rows}
    assert {
        "Standardised, logistic regression",
        "Standardised, logistic regression, C chosen",
        "Standardised, SVM, C chosen",
        "DeepCORAL, weight 1",
    } <= names


def test_the_section_on_named_methods_has_maps_of_what_is_recorded(plan: Plan, tmp_path: Path) -> None:
    jobs = named_jobs(plan)
    record(only(jobs, "baseline"))
    assert named_section({"demo": grouped(jobs)}, tmp_path / "figures", 1) is None
    for job in only(jobs, "mnn"):
        record([job])
        batches = job.run.study.batches
        z = np.concatenate([batch.dense for batch in batches.values()])
        names = np.repeat(list(batches), [len(batch) for batch in batches.values()])
        row = np.concatenate([np.arange(len(batch)) for batch in batches.values()])
        job.run.record.write_arrays("embedding.npz", {"z": z, "batch": names, "row": row})
    section = named_section({"demo": grouped(jobs)}, tmp_path / "figures", 1)
    assert section is not None
    assert [table.name for table in section.tables] == ["named_demo"]
    assert [shown.figure.name for shown in section.figures] == ["tsne_named_demo"]
    assert (tmp_path / "figures" / "tsne_named_demo.pdf").is_file()
