"""The rule behind every verdict, on made-up records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calib.data.split import all_splits
from calib.data.study import Batch, Study
from calib.errors import CalibError
from calib.evaluation.distances import summarise
from calib.evaluation.intervals import Estimate, paired
from calib.evaluation.significance import holm
from calib.evaluation.tallies import Runs, Tally
from calib.records.record import Finished, Record
from calib.report.claims.floor import Floor
from calib.report.claims.rules import all_or_none, near, side
from calib.report.claims.runs import StudyRuns
from calib.report.claims.share import SHARE, share_of_way
from calib.report.claims.tables import claims_table
from calib.report.claims.verdicts import data_claims, verdicts
from calib.report.exhibits import MISSING, Ruling, Verdict, write_table
from calib.report.paper import ONE_SOURCE
from calib.runs.outcome import predictions

NAMES = ["<script>", "NA", "01"]
SUBJECTS, REPLICATES = (8, 10, 9), 3
FLOORED = 5 * (1 / 24 + 1 / 30), 5 * (1 / 24 + 1 / 27), 5 * (1 / 30 + 1 / 27)
FLOOR = float(np.mean(FLOORED))


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome"),
    [
        (0.816, 0.80, 0.83, Ruling.YES),
        (0.786, 0.77, 0.80, Ruling.YES),  # exactly the band
        (0.780, 0.77, 0.787, Ruling.OPEN),
        (0.860, 0.845, 0.88, Ruling.OPEN),
        (0.750, 0.74, 0.76, Ruling.NO),
        (0.900, 0.89, 0.91, Ruling.NO),
    ],
)
def test_near_the_printed_value(value: float, low: float, high: float, outcome: Ruling) -> None:
    assert near(value, low, high, 0.816) == outcome


def test_sides_of_zero() -> None:
    def of(low: float, high: float, seeds: int = 5, uses_seed: bool = True) -> Ruling:
        return side(Estimate(0, 1, 9, low, high, seeds, uses_seed))

    assert [of(0.1, 0.2), of(-0.1, 0.2), of(-0.2, -0.1)] == [Ruling.YES, Ruling.OPEN, Ruling.NO]
    assert of(0.1, 0.2, seeds=4) == Ruling.FEW
    assert of(0.1, 0.2, seeds=1, uses_seed=False) == Ruling.YES  # one is as good as any
    assert [all_or_none(h) for h in ([True], [True, False], [False])] == [
        Ruling.YES,
        Ruling.OPEN,
        Ruling.NO,
    ]


def made_study(name: str = "made", names: Sequence[str] = NAMES) -> Study:
    """Return a study of three batches with replicates."""
    batches = {}
    for batch, subjects in zip(names, SUBJECTS, strict=True):
        y = np.repeat(np.arange(subjects) % 2, REPLICATES)
        x = np.random.default_rng(0).gamma(2, 50, (len(y), 2)).astype(np.float32)
        batches[batch] = Batch(batch, x, y, np.repeat(np.arange(subjects), REPLICATES))
    return Study(name, batches, ["p", "q"], ["control", "case"])


class Bench:
    """Makes records of runs without training."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.folder, self.study, self.finished = folder, study, list[Finished]()

    def run(
        self,
        method: str,
        right: float = 0.8,
        seeds: Sequence[int] = range(5),
        protocol: str = "paper",
        seconds: float = 10.0,
        after: Mapping[str, float] | None = None,
        splits: int | None = None,
    ) -> None:
        """Record all splits, or the first so many, with the first share ``right`` of subjects right.

        Seeds differ in nothing but their names, so they share a folder.
        """
        variant = ONE_SOURCE if method == "pairwise" else ""
        study = replace(self.study, n_sources=1) if variant else self.study
        for split in all_splits(study)[:splits]:
            path = self.folder / f"{method}-{protocol}-{len(self.finished)}"
            record = Record(path)
            record.prepare()
            probability = {t: self._answers(t, right) for t in split.targets}
            record.write_table("predictions.csv", predictions(self.study, probability), digits=8)
            for seed in seeds:
                result = {
                    "study": self.study.name,
                    "split": split.label,
                    "method": method,
                    "protocol": protocol,
                    "seed": seed,
                    "targets": dict.fromkeys(split.targets),
                    "uses_seed": True,
                    "mmd": summarise(self._distances(after or {})),
                    "seconds": {"fit": seconds * (len(split.targets) if variant else 1)},
                }
                self.finished.append(Finished(variant, result, path))

    def _answers(self, batch: str, right: float) -> np.ndarray:
        """Return probabilities that are right for the first share of a batch's subjects."""
        y, subject = self.study.batches[batch].y, self.study.batches[batch].subject
        assert y is not None
        assert subject is not None
        given = np.where(subject < right * (subject.max() + 1), y, 1 - y)
        return np.eye(2)[given]

    def _distances(self, after: Mapping[str, float]) -> pd.DataFrame:
        """Return a table of squared MMD with these values after calibration."""
        names = list(self.study.batches)
        pairs = [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]
        values = {("before", "fixed"): 1.0, ("before", "median"): 2.0}
        values |= {("after", kernel): after.get(kernel, 1.5) for kernel in ("fixed", "median")}
        if "raw" in after:
            values["before", "fixed"] = after["raw"]
        rows = [
            (space, kernel, "1 2", a, b, draw, value + (draw - 0.5) / 1e4)
            for (space, kernel), value in values.items()
            for a, b in pairs
            for draw in range(2)
        ]
        return pd.DataFrame(rows, columns=["space", "kernel", "widths", "batch_a", "batch_b", "draw", "mmd2"])

    def verdict(self, claim: str, protocol: str = "paper", **options: Any) -> Verdict:
        """Return the only verdict on a claim with this start."""
        every = verdicts(self.finished, {self.study.name: self.study}, protocols=[protocol], **options)
        (verdict,) = [v for v in every if v.claim.startswith(claim)]
        return verdict


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, made_study())


BenchOf = Callable[[str], Bench]


@pytest.fixture
def bench_of(tmp_path: Path) -> BenchOf:
    return lambda name: Bench(tmp_path, made_study(name))


@pytest.mark.parametrize("name", ["mi", "chd", "pancreas", "demo"])
def test_nothing_run_is_said_to_be_nothing(name: str) -> None:
    names = ["1", "2", "3"]
    study = made_study(name, names)
    if name == "chd":
        study = replace(study, batches={**study.batches, "4": replace(study.batches["3"], name="4")})
    found = [v for v in verdicts([], {name: study}) if v.protocol]
    assert {v.outcome for v in found} == {Ruling.MISSING}
    assert all("0." not in v.ours for v in found)
    claims = [v.claim for v in found]
    assert ("level of joint's average accuracy" in claims) == (name != "demo")
    beats = [v for v in found if v.claim == "joint beats the baseline"]
    assert [v.printed == MISSING for v in beats] == [name == "demo"] * 2


@pytest.mark.parametrize(("other", "outcome"), [(0.4, Ruling.YES), (0.7, Ruling.OPEN), (1.0, Ruling.NO)])
def test_better_worse_or_undecided(bench: Bench, other: float, outcome: Ruling) -> None:
    bench.run("joint", 0.7, seeds=range(6))
    bench.run("combat", other)
    found = bench.verdict("joint beats ComBat")
    assert found.outcome == outcome
    assert "5 seeds" in found.ours
    assert ("within ±0.02 by two one-sided tests" in found.ours) == (other == 0.7)
    assert found.p is not None
    assert (found.p < 0.05) == (outcome != Ruling.OPEN)


def test_few_seeds_give_no_verdict(bench: Bench) -> None:
    bench.run("joint", 0.8)
    bench.run("recon_t", 0.5, seeds=[0])
    bench.run("combat", 0.8, seeds=range(4))
    bench.run("baseline", 0.4, seeds=range(4))
    bench.run("cross_validation", 1.0)
    one, four, share = (
        bench.verdict(f"joint {claim}") for claim in ("beats Recon_T", "beats ComBat", "approaches")
    )
    assert [v.outcome for v in (one, four, share)] == [Ruling.FEW] * 3
    assert "; 1 seed: subjects only)" in one.ours
    assert "; 4 seeds)" in four.ours
    assert "within" not in four.ours
    assert [one.p, four.p, share.p, one.p_holm] == [None] * 4


def test_a_method_that_no_seed_changes_needs_one(bench: Bench) -> None:
    bench.run("joint", 0.8)
    bench.run("combat", 0.4, seeds=[3])
    for one in bench.finished:
        if one.result["method"] == "combat":
            one.result["uses_seed"] = False
    found = bench.verdict("joint beats ComBat")
    assert (found.outcome, "; 5 seeds)" in found.ours) == (Ruling.YES, True)


def test_tests_are_adjusted_as_one_family(bench: Bench) -> None:
    bench.run("joint", 0.8)
    for method, right in (("baseline", 0.4), ("combat", 0.7), ("desc", 0.8)):
        bench.run(method, right)
    every = verdicts(bench.finished, {bench.study.name: bench.study}, protocols=["paper"])
    tests = {v.claim: v for v in every if v.p is not None}
    assert set(tests) == {"joint beats the baseline", "joint beats ComBat", "joint beats DESC"}
    assert [v.p_holm for v in tests.values()] == pytest.approx(
        holm([v.p or 0 for v in tests.values()]).tolist()
    )
    caption = claims_table(every).caption
    assert "3 verdicts rest on a test" in caption
    assert "training subjects are not resampled" in caption


def test_incomplete_seeds_do_not_count(bench: Bench) -> None:
    bench.run("joint", seeds=[0, 1])
    bench.run("desc", 0.4, seeds=[0])
    bench.run("desc", 0.4, seeds=[1], splits=1)
    assert "; 1 seed: subjects only)" in bench.verdict("joint beats DESC").ours
    bench.run("bermuda", 0.4, seeds=[0], splits=2)
    found = bench.verdict("joint beats BERMUDA")
    assert (found.outcome, found.ours) == (Ruling.MISSING, "no complete seed of BERMUDA")
    bench.run("normae", 0.4, seeds=[7])
    assert bench.verdict("joint beats NormAE").ours == "no seed in common"


def test_other_methods_may_come_from_the_paper_s_protocol_but_joint_may_not(bench: Bench) -> None:
    bench.run("joint", 0.7)
    bench.run("normae", 0.3)
    assert bench.verdict("joint beats NormAE", "released").outcome == Ruling.MISSING
    bench.run("joint", 0.7, protocol="released")
    found = bench.verdict("joint beats NormAE", "released")
    assert found.outcome == Ruling.YES
    assert found.ours.endswith("; NormAE under protocol paper")
    bench.run("normae", 1.0, protocol="released")
    found = bench.verdict("joint beats NormAE", "released")
    assert found.outcome == Ruling.NO
    assert "under" not in found.ours


def test_level_and_gain_beside_the_printed_ones(bench_of: BenchOf) -> None:
    bench = bench_of("mi")
    bench.run("joint", 0.8)  # 7 of 8, 8 of 10, 8 of 9
    bench.run("baseline", 0.7)  # 6 of 8, 7 of 10, 7 of 9
    level, gain = bench.verdict("level of joint"), bench.verdict("joint gains about ten points")
    assert level.printed == "0.816"
    assert level.ours.startswith("0.855 (")
    assert level.outcome == Ruling.OPEN
    assert gain.printed == "+0.112"
    assert gain.ours.startswith("+0.112 (")
    assert gain.outcome == Ruling.YES


def test_pairwise_is_averaged_over_single_sources_and_timed_by_pair(bench: Bench) -> None:
    bench.run("joint", 0.8, seconds=10)
    bench.run("pairwise", 0.4, seconds=30)
    assert bench.verdict("joint beats pairwise").outcome == Ruling.YES
    faster = bench.verdict("joint is faster")
    assert faster.outcome == Ruling.YES
    assert faster.ours.startswith(
        "joint 10 s, pairwise 60 s, 6 times as long"
    )  # two pairs end in each target
    others = [replace(f, result={**f.result, "seconds": {"fit": 1.0}}) for f in bench.finished]
    changed = Bench(bench.folder, bench.study)
    changed.finished = others
    study = {bench.study.name: bench.study}
    both = [verdicts(b.finished, study) for b in (bench, changed)]
    assert [v.claim for v, w in zip(*both, strict=True) if v != w] == [
        "joint is faster than pairwise calibration"
    ]


@pytest.mark.parametrize(("joint", "outcome"), [(1.0, Ruling.YES), (0.6, Ruling.OPEN), (0.4, Ruling.NO)])
def test_share_of_the_way_to_the_ceiling(bench: Bench, joint: float, outcome: Ruling) -> None:
    bench.run("joint", joint)
    bench.run("baseline", 0.4)
    bench.run("cross_validation", 1.0)
    found = bench.verdict("joint approaches")
    assert found.outcome == outcome
    assert "ceiling 1.000" in found.ours


def test_a_share_is_cut_where_the_point_on_the_way_can_be_told_from_it() -> None:
    rng = np.random.default_rng(0)
    subjects = rng.normal(0, 0.3, 80)

    def of(level: float, deviation: float) -> Runs:
        chance = np.clip(level + subjects + rng.normal(0, deviation, (5, 1)), 0, 1)
        right = rng.binomial(5, chance)
        names = np.arange(80).astype(str)
        return Runs({seed: {("1_2", "2"): Tally(names, np.full(80, 5), right[seed])} for seed in range(5)})

    three = paired([of(0.6, 0.03), of(0.5, 0.01), of(0.8, 0.02)])
    found = share_of_way(three)
    assert found is not None
    assert found.low < found.value < found.high
    assert three.contrast(1, found.low - 1, -found.low).low == pytest.approx(0, abs=1e-9)
    assert three.contrast(1, found.high - 1, -found.high).high == pytest.approx(0, abs=1e-9)
    assert (found.low > SHARE) == (found.beyond.low > 0)
    assert share_of_way(paired([of(0.6, 0.03), of(0.5, 0.1), of(0.52, 0.1)])) is None


def test_a_ceiling_below_the_baseline_decides_nothing(bench: Bench) -> None:
    bench.run("joint", 0.9)
    bench.run("baseline", 0.8)
    bench.run("cross_validation", 0.5)
    found = bench.verdict("joint approaches")
    assert found.outcome == Ruling.OPEN
    assert found.ours.startswith("the ceiling is not surely above the baseline")


@pytest.mark.parametrize(
    ("after", "raw", "outcome"),
    [
        (0.2, 0.9, Ruling.YES),
        (0.9, 0.5, Ruling.NO),
        (FLOOR * 1.05, FLOOR, Ruling.UNTOLD),
        (FLOOR * 2, FLOOR, Ruling.UNTOLD),  # nothing is measured in the raw data
        (FLOOR / 9, FLOOR, Ruling.UNTOLD),
        (FLOOR / 9, 0.9, Ruling.YES),
    ],
)
def test_distances_below_raw_and_the_floor(bench: Bench, after: float, raw: float, outcome: Ruling) -> None:
    bench.run("joint", after={"fixed": after, "raw": raw})
    found = bench.verdict("batches come closer: MMD below raw (kernel widths of the paper)")
    assert found.outcome == outcome
    assert "of 15 runs" in found.ours
    assert ("at the floor: " in found.ours) == (raw == FLOOR)
    assert bench.verdict("batches come closer: MMD below raw (kernel widths fitted").outcome == Ruling.YES


def test_distances_against_other_methods(bench: Bench) -> None:
    claim = "batches come closer than by other methods: MMD (kernel widths fitted"
    bench.run("joint", after={"median": 0.9})
    assert bench.verdict(claim).outcome == Ruling.MISSING
    for method in ("combat", "normae", "bermuda"):
        bench.run(method, after={"median": 1.2})
    assert bench.verdict(claim).outcome == Ruling.OPEN  # DESC has not been run
    assert bench.verdict(claim).ours.endswith("not run: DESC")
    bench.run("desc", after={"median": 1.5})
    assert bench.verdict(claim).outcome == Ruling.YES
    bench.finished = [f for f in bench.finished if f.result["method"] != "combat"]
    bench.run("combat", after={"median": 0.3})
    found = bench.verdict(claim)
    assert found.outcome == Ruling.NO
    assert "ComBat 0.300 (0 of 15), NormAE 1.200 (15 of 15)" in found.ours


def test_what_is_at_the_floor_with_joint_decides_nothing(bench: Bench) -> None:
    claim = "batches come closer than by other methods: MMD (kernel widths of the paper"
    bench.run("joint", after={"fixed": FLOOR * 1.01})
    for method in ("combat", "normae", "bermuda", "desc"):
        bench.run(method, after={"fixed": FLOOR if method == "combat" else 0.9})
    found = bench.verdict(claim)
    assert found.outcome == Ruling.UNTOLD
    assert "ComBat 0." in found.ours
    assert found.ours.endswith("at the floor: joint, ComBat")


def test_a_method_at_the_floor_is_no_reason_against_joint(bench: Bench) -> None:
    claim = "batches come closer than by other methods: MMD (kernel widths of the paper"
    bench.run("joint", after={"fixed": FLOOR * 3})
    for method in ("combat", "normae", "bermuda"):
        bench.run(method, after={"fixed": FLOOR if method == "combat" else FLOOR * 4})
    assert bench.verdict(claim).outcome == Ruling.UNTOLD  # ComBat's samples are too far apart
    bench.run("desc", after={"fixed": FLOOR / 2})
    assert bench.verdict(claim).outcome == Ruling.NO  # DESC is measured, and nearer


def test_fitted_widths_hide_only_what_is_small_on_both_sides() -> None:
    def hides(first: float, second: float, blind: bool = False) -> bool:
        return Floor(0.02, blind).hides({("1_2", 0): first}, {("1_2", 0): second})

    assert hides(0.015, 0.01)
    assert not hides(0.19, 0.01)
    assert hides(0.19, 0.02, blind=True)
    assert not hides(0.19, 0.01, blind=True)


def test_maps_are_judged_by_the_silhouettes_of_the_runs(bench: Bench) -> None:
    levels = {"joint": (0.1, 0.3), "baseline": (0.2, 0.1), "combat": (0.0, 0.2), "normae": (0.0, 0.4)}
    for method in levels:
        bench.run(method)
    assert bench.verdict("classes separate more").outcome == Ruling.MISSING
    for run in bench.finished:
        run.result["silhouette"] = dict(zip(("batch", "class"), levels[run.result["method"]], strict=True))
    assert bench.verdict("batches mix").outcome == Ruling.YES
    assert bench.verdict("classes separate: ").outcome == Ruling.YES
    assert bench.verdict("classes separate more").outcome == Ruling.NO
    bench.finished[0].result["silhouette"] = {"batch": 0.9, "class": None}
    assert bench.verdict("batches mix").outcome == Ruling.OPEN
    assert "in 14 of 14 runs" in bench.verdict("classes separate: ").ours


def test_cohorts_are_compared_by_samples() -> None:
    def sized(name: str, samples: Sequence[int], subjects: Sequence[int]) -> Study:
        batches = {
            str(i): Batch(str(i), np.zeros((n, 1), np.float32), None, np.arange(n) % m)
            for i, (n, m) in enumerate(zip(samples, subjects, strict=True), start=1)
        }
        return Study(name, batches, ["p"], ["control", "case"])

    found, features = data_claims(sized("mi", (1330, 1305, 1345), (266, 262, 268)))
    assert found.outcome == Ruling.YES
    assert found.ours == "1330, 1305, 1345 samples; 266, 262 (+1), 268 (−1) subjects"
    assert features.outcome == Ruling.MISSING
    assert data_claims(sized("mi", (1330, 1305, 1344), (266, 261, 269)))[0].outcome == Ruling.NO
    (cells,) = data_claims(sized("pancreas", (1004, 638, 2394), (3, 3, 3)))
    assert cells.outcome == Ruling.NO  # 1 feature instead of 325
    assert "4036 samples" in cells.ours
    assert data_claims(sized("mine", (3, 3), (2, 2))) == []


@pytest.mark.parametrize(("features", "outcome"), [(82, Ruling.YES), (87, Ruling.YES), (88, Ruling.NO)])
def test_common_features_are_counted(features: int, outcome: Ruling) -> None:
    def batch(name: str) -> Batch:
        y = np.arange(20) % 2
        x = np.random.default_rng(0).uniform(90, 110, (20, features + 3)) * np.where(
            np.arange(features + 3) < features, 1 + y[:, None], 1
        )
        x[:, features:] = 100 + (np.arange(20) // 2 % 5)[:, None]  # the same in both classes
        return Batch(name, x, y)

    study = Study(
        "mi", {n: batch(n) for n in "123"}, [str(i) for i in range(features + 3)], ["control", "MI"]
    )
    found = data_claims(study)[1]
    assert found.ours == f"{features} of {features + 3}"
    assert found.outcome == outcome


def test_two_runs_of_one_name_are_refused(bench: Bench) -> None:
    bench.run("joint", splits=1)
    StudyRuns(
        bench.study, [*bench.finished, *bench.finished]
    )  # the same record, listed twice, is no conflict
    twin = replace(bench.finished[0], path=bench.folder / "elsewhere")
    with pytest.raises(CalibError, match="elsewhere"):
        StudyRuns(bench.study, [*bench.finished, twin])


def test_other_variants_and_studies_play_no_part(bench: Bench) -> None:
    bench.run("joint", 0.8)
    bench.run("baseline", 0.4)
    before = bench.verdict("joint beats the baseline")
    for changed in (
        {"variant": "training=converged"},
        {"result": {**bench.finished[0].result, "study": "mi"}},
    ):
        bench.finished.append(replace(bench.finished[0], path=bench.folder / "none", **changed))
    assert bench.verdict("joint beats the baseline") == before


def test_the_table_has_a_line_a_claim_and_is_the_same_at_each_run(bench: Bench, tmp_path: Path) -> None:
    for protocol in ("paper", "released"):
        bench.run("joint", protocol=protocol)
        bench.run("baseline", 0.5, seeds=[4, 3, 2, 1, 0], protocol=protocol)
    study = {bench.study.name: bench.study}
    found = verdicts(bench.finished, study)
    table = claims_table(found)
    assert table.name == "claims"
    assert {len(row) for row in table.rows} == {len(table.heads)}
    assert len(table.rows) * 2 == len(found) == len(table.numbers)
    assert len({row[1] for row in table.rows}) == len(table.rows)
    files = [file.read_bytes() for file in write_table(table, tmp_path / "once")]
    backwards = claims_table(verdicts(bench.finished[::-1], study))
    assert files == [file.read_bytes() for file in write_table(backwards, tmp_path / "again")]
    assert claims_table([]).rows == []


def test_batches_without_subjects_or_labels(tmp_path: Path) -> None:
    study = made_study()
    batches = dict(study.batches)
    batches["NA"] = replace(batches["NA"], subject=None)
    bench = Bench(tmp_path, study)
    bench.run("joint", 0.8)
    bench.run("combat", 0.4)
    for one in bench.finished:  # as a record of such a study would be
        table = pd.read_csv(one.path / "predictions.csv", dtype=str, keep_default_na=False)
        table.loc[table["batch"] == "NA", "subject"] = ""
        table.to_csv(one.path / "predictions.csv", index=False)
    bench.study = replace(study, batches=batches)
    assert bench.verdict("joint beats ComBat").outcome == Ruling.YES
    unlabelled = replace(batches["01"], y=None)
    bench.study = replace(study, batches={**batches, "01": unlabelled}, n_sources=2)
    assert StudyRuns(bench.study, []).lines("joint") == []  # its only target has no labels
    assert bench.verdict("joint beats ComBat").outcome == Ruling.MISSING
