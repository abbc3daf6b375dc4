"""The look at a design: a study with one fault has the finding of this fault, and a clean one has none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chi2_contingency, false_discovery_control, norm

from calib.data.cautions import Caution
from calib.data.study import Batch, Study
from calib.plates.answer import Design
from calib.plates.checks import seen as seen_module
from calib.plates.checks.confounding import association, cramers_v
from calib.plates.checks.seen import Seen, adjusted, auc_within, stratified
from calib.plates.checks.sizes import smallest_gain, subjects_for
from calib.plates.design import CHECKS, look

PLATES = (160, 150, 170)
FEATURES = 60


def made(sizes: tuple[int, ...] = PLATES, seed: int = 0, share: tuple[float, ...] = (0.5,) * 5) -> Study:
    """Return a study of plates with a gain for each feature, a weak class signal and a sample a subject."""
    rng = np.random.default_rng(seed)
    level, loadings = rng.normal(6, 1, FEATURES), rng.normal(0, 0.2, (4, FEATURES))
    signal = np.where(np.arange(FEATURES) < 15, 0.3, 0.0)
    batches = {}
    for number, (size, of) in enumerate(zip(sizes, share, strict=False), start=1):
        y = rng.permutation((np.arange(size) < of * size).astype(np.int64))
        x = level + rng.normal(size=(size, 4)) @ loadings + np.outer(y - 0.5, signal)
        x = np.exp(x + rng.normal(0, 0.3, x.shape) + rng.normal(0, 0.2, FEATURES))
        subject = np.array([f"{number}-{i}" for i in range(size)])
        batches[str(number)] = Batch(str(number), x, y, subject, replicate=subject)
    return Study("made", batches, [f"m{i}" for i in range(FEATURES)], ["control", "case"])


def changed(study: Study, plate: str, **parts: object) -> Study:
    return replace(study, batches=dict(study.batches) | {plate: replace(study.batches[plate], **parts)})


def codes(design: Design) -> set[str]:
    return {finding.code for finding in design.findings}


def serious(design: Design) -> set[str]:
    return {finding.code for finding in design.findings if finding.serious}


def text(design: Design, code: str) -> str:
    (found,) = (finding.text for finding in design.findings if finding.code == code)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_study_has_no_finding(seed: int) -> None:
    design = look(made(seed=seed))
    assert codes(design) <= {"few_subjects"}
    assert design.plates.columns.tolist() == [
        "plate", "samples", "subjects", "labelled", "n_control", "n_case"
    ]  # fmt: skip
    assert design.plates["subjects"].tolist() == list(PLATES)
    assert set(design.tables) == set(CHECKS)


def test_findings_are_sentences_and_serious_ones_come_first() -> None:
    design = look(with_labels(made((30, 30, 30)), {"3": np.ones(30, np.int64)}))
    assert [finding.serious for finding in design.findings] == [True] + [False] * (len(design.findings) - 1)
    for finding in design.findings:
        assert finding.text[0].isupper() or finding.text[0].isdigit()
        assert finding.text.endswith(".")
        assert finding.advice.endswith(".")


def with_labels(study: Study, y: dict[str, np.ndarray | None]) -> Study:
    for plate, labels in y.items():
        study = changed(study, plate, y=labels)
    return study


def whole(study: Study, labels: dict[str, int]) -> Study:
    return with_labels(study, {name: np.full(len(study.batches[name]), c) for name, c in labels.items()})


def test_classes_that_share_no_plate_are_named() -> None:
    design = look(whole(made(), {"1": 0, "2": 1, "3": 1}))
    assert serious(design) == {"confounded"}
    assert text(design, "confounded") == (
        "No labelled plate links these groups of classes: 'control' on plate '1'; 'case' on plates '2', '3'."
    )


def test_plates_of_one_class() -> None:
    design = look(whole(made(), {"3": 1}))
    assert serious(design) == {"plate_of_one_class"}
    assert "1 labelled plate has one class only: '3' (case)." in text(design, "plate_of_one_class")


def test_a_class_on_one_plate_only() -> None:
    study = replace(made(), classes=["control", "case", "other"])
    y = study.batches["2"].y.copy()  # type: ignore[union-attr]
    y[:12] = 2
    design = look(changed(study, "2", y=y))
    assert serious(design) == {"class_on_one_plate"}
    assert text(design, "class_on_one_plate") == (
        "1 class occurs on one labelled plate only: 'other' (plate '2')."
    )


def test_a_class_that_goes_with_the_plate() -> None:
    design = look(made(share=(0.25, 0.5, 0.75)))
    assert codes(design) - {"few_subjects"} == {"class_with_plate"}
    assert not serious(design)
    assert "the share of 'control' runs from 25% on plate '3' to 75% on plate '1'." in text(
        design, "class_with_plate"
    )
    assert serious(look(made(share=(0.02, 0.98, 0.98)))) == {"class_with_plate"}


def test_the_interval_of_the_association_holds_subjects_together() -> None:
    rng, study = np.random.default_rng(0), made(share=(0.35, 0.5, 0.65))
    once = association(Seen(study, 0)).table.iloc[0]
    for plate, batch in study.batches.items():
        rows = np.repeat(np.arange(len(batch)), 5)
        x = batch.dense[rows] * np.exp(rng.normal(0, 0.01, (len(rows), FEATURES)))
        study = changed(study, plate, x=x, y=batch.y[rows], subject=batch.subject[rows])  # type: ignore[index]
    assert association(Seen(study, 0)).table.iloc[0].equals(once)
    assert once["low"] < once["v"] < once["high"]


def test_subjects_on_several_plates() -> None:
    study = made()
    some = study.batches["2"].subject.copy()  # type: ignore[union-attr]
    y = study.batches["2"].y.copy()  # type: ignore[union-attr]
    some[:40] = study.batches["1"].subject[:40]  # type: ignore[index]
    y[:40] = study.batches["1"].y[:40]  # type: ignore[index]
    design = look(changed(study, "2", subject=some, y=y))
    assert serious(design) == {"subjects_on_several_plates"}
    assert "40 subjects of 440 have samples on more than one plate (40 on '1' and '2')." in text(
        design, "subjects_on_several_plates"
    )
    y[0] = 1 - y[0]
    assert serious(look(changed(study, "2", subject=some, y=y))) == {
        "subjects_on_several_plates",
        "subject_of_two_labels",
    }


def copied(noise: float, other_label: bool = False) -> Study:
    """Return a study in which three samples of plate 1 are on plate 2 as well."""
    study, rng = made(), np.random.default_rng(1)
    one, two = study.batches["1"], study.batches["2"]
    rows = np.flatnonzero(one.y == 1)[:3]
    places = np.flatnonzero(two.y == (0 if other_label else 1))[:3]
    x = two.dense.copy()
    x[places] = one.dense[rows] * np.exp(rng.normal(0, noise, (3, FEATURES))) if noise else one.dense[rows]
    return changed(study, "2", x=x)


def test_equal_values_on_two_plates() -> None:
    design = look(copied(0))
    assert serious(design) == {"copies"}
    assert text(design, "copies").startswith(
        "3 pairs of samples of different plates have equal values: sample"
    )
    assert len(design.tables["copies"]) == 3
    assert serious(look(copied(0, other_label=True))) == {"copies_of_two_labels"}


def test_nearly_equal_values_on_two_plates() -> None:
    design = look(copied(0.05))
    assert serious(design) == {"near_copies"}
    pairs = design.tables["copies"]
    assert len(pairs) >= 2
    assert (pairs["kind"] == "nearly equal").all()
    assert pairs["same_label"].all()
    assert "near_copies_of_two_labels" in serious(look(copied(0.05, other_label=True)))


def test_a_subject_that_is_measured_twice_is_no_copy() -> None:
    study = copied(0.05)
    one, two = study.batches["1"], study.batches["2"]
    subject = two.subject.copy()  # type: ignore[union-attr]
    subject[np.flatnonzero(two.y == 1)[:3]] = one.subject[np.flatnonzero(one.y == 1)[:3]]  # type: ignore[index]
    assert codes(look(changed(study, "2", subject=subject))) - {"few_subjects"} == {
        "subjects_on_several_plates"
    }


def test_rows_that_a_plate_repeats() -> None:
    study = made()
    x = study.batches["1"].dense.copy()
    rows = np.flatnonzero(study.batches["1"].y == 0)[:2]
    x[rows[1]] = x[rows[0]]
    assert codes(look(changed(study, "1", x=x))) - {"few_subjects"} == {"repeated_samples"}


def column(values: Callable[[Batch, int], np.ndarray]) -> Study:
    """Return a study whose first feature is made by a function of the plate and its number."""
    study = made()
    for number, (plate, batch) in enumerate(study.batches.items()):
        x = batch.dense.copy()
        x[:, 0] = values(batch, number)
        study = changed(study, plate, x=x)
    return study


def test_columns_that_give_the_label_or_the_plate_away() -> None:
    label = look(column(lambda batch, _: batch.y * 700.0 + 100))  # type: ignore[operator]
    assert serious(label) == {"column_label"}
    assert text(label, "column_label").startswith("The column 'm0' alone tells the label")
    assert "column_batch" in serious(look(column(lambda batch, number: np.full(len(batch), 500.0 + number))))
    assert serious(look(column(lambda batch, _: np.arange(len(batch)) * 5.5))) == {"column_monotone"}


def test_classes_that_many_features_tell_are_far_apart() -> None:
    study = made()
    for plate, batch in study.batches.items():
        study = changed(study, plate, x=batch.dense * np.exp(6.0 * batch.y[:, None]))  # type: ignore[index]
    design = look(study)
    assert "classes_far_apart" in codes(design)
    assert not serious(design)


def test_warnings_of_the_reading_are_findings() -> None:
    cautions = [
        Caution("names_alike", "File f: batches 'a' and 'A' differ only by case; correct the file."),
        Caution("labelled_in_part", "Batch 'b' is labelled in part: 3 samples became a batch."),
        Caution("unheard_of", "Something is odd. Do something."),
    ]
    design = look(replace(made(), cautions=cautions))
    assert serious(design) == {"names_alike"}
    assert text(design, "names_alike") == "File f: batches 'a' and 'A' differ only by case."
    assert text(design, "unheard_of") == "Something is odd."


def masked(share: Callable[[Batch], np.ndarray], zero: bool, plates: str = "123") -> Study:
    """Return a study in which some values of plates are missing (and filled), or zero."""
    study, rng = made(), np.random.default_rng(2)
    masks = {}
    for plate in plates:
        batch = study.batches[plate]
        masks[plate] = rng.random(batch.x.shape) < share(batch)
        if zero:
            study = changed(study, plate, x=np.where(masks[plate], 0, batch.dense))
    return study if zero else replace(study, missing=masks)


@pytest.mark.parametrize("zero", [False, True])
def test_missing_values_and_zeros(zero: bool) -> None:
    word = "detection" if zero else "missing"
    alike = look(masked(lambda batch: np.array(0.05), zero))
    assert codes(alike) <= {"few_subjects"}
    assert not alike.tables["detection"].empty
    differs = look(masked(lambda batch: 0.04 + 0.12 * batch.y[:, None], zero))  # type: ignore[index]
    assert f"{word}_by_class" in codes(differs)
    assert serious(differs) == (set() if zero else {"missing_by_class"})
    kind = "zero" if zero else "missing"
    assert f"values of class 'case' are {kind} more often than those of others" in text(
        differs, f"{word}_by_class"
    )
    one = look(masked(lambda batch: np.array(0.3), zero, plates="2"))
    assert codes(one) - {"few_subjects", "outlying_plate"} == {f"{word}_by_plate"}
    absent = np.zeros(FEATURES)
    absent[[3, 5]] = 1.1
    lacking = look(masked(lambda batch: absent[None], zero, plates="2"))
    assert f"{word}_on_plate" in codes(lacking)
    assert "'2' lacks 2 ('m3', 'm5')" in text(lacking, f"{word}_on_plate")


def test_outlying_samples_and_plates() -> None:
    study = made()
    x = study.batches["1"].dense.copy()
    x[7] *= np.random.default_rng(3).lognormal(0, 2.0, FEATURES)
    design = look(changed(study, "1", x=x))
    assert codes(design) - {"few_subjects"} == {"outlying_samples"}
    assert text(design, "outlying_samples").startswith(
        "1 sample of 480 lies unusually far from the middle of its"
    )
    assert design.tables["outlying_samples"]["sample"].tolist() == ["sample 8"]
    design = look(changed(study, "3", x=study.batches["3"].dense * 40))
    assert serious(design) == {"outlying_plate"}
    assert "Plate '3' lies outside the others" in text(design, "outlying_plate")


def ordered(order: Callable[[Batch, np.random.Generator], np.ndarray], drift: float = 0.0) -> Study:
    study, rng = made(), np.random.default_rng(4)
    for plate, batch in study.batches.items():
        place = order(batch, rng)
        slope = np.where(np.arange(FEATURES) < 20, drift, 0)
        x = batch.dense * np.exp(np.outer(place / len(batch), slope))
        study = changed(study, plate, x=x, order=place.astype(float))
    return study


def test_drift_and_classes_along_the_order_of_measurement() -> None:
    def shuffled(batch: Batch, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(batch))

    def cases_first(batch: Batch, rng: np.random.Generator) -> np.ndarray:
        return np.argsort(np.argsort(-batch.y + rng.normal(0, 0.1, len(batch))))  # type: ignore[operator]

    clean = look(ordered(shuffled))
    assert codes(clean) <= {"few_subjects"}
    assert len(clean.tables["order"]) == FEATURES + 2
    drifting = look(ordered(shuffled, drift=0.8))
    assert codes(drifting) - {"few_subjects"} == {"drift"}
    assert text(drifting, "drift").startswith("3")
    first = look(ordered(cases_first))
    assert "class_with_order" in serious(first)
    assert "a sample of 'case' comes after one of another class of its plate in 0%" in text(
        first, "class_with_order"
    )


def test_an_order_that_is_known_in_part() -> None:
    study = ordered(lambda batch, rng: rng.permutation(len(batch)))
    order = study.batches["1"].order.copy()  # type: ignore[union-attr]
    order[::2] = np.nan
    study = changed(changed(study, "1", order=order), "2", order=None)
    assert codes(look(study)) <= {"few_subjects"}


def test_sizes() -> None:
    study = made()
    assert serious(look(with_labels(study, {"2": None, "3": None}))) == {"few_labelled_plates"}
    assert serious(look(with_labels(study, dict.fromkeys("123", None)))) == {"few_labelled_plates"}
    small = look(made((40, 150, 160)))
    assert "1 plate of 3 has fewer than 50 samples: '1' (40)." in text(small, "small_plates")
    rare = look(made(share=(0.015, 0.015, 0.015)))
    assert text(rare, "small_class") == "A class has fewer than 10 labelled subjects: 'case' (9)."
    assert codes(look(made((20, 20)))) == {"few_subjects", "small_plates"}


def test_the_numbers_of_subjects_have_the_stated_power() -> None:
    assert subjects_for(0.05) == 469
    assert smallest_gain(469) == pytest.approx(0.05, abs=1e-4)
    assert np.isnan(smallest_gain(20))
    rng = np.random.default_rng(0)
    better, worse = 0.1, 0.05  # shares of the discordant subjects
    counts = rng.multinomial(469, [better, worse, 1 - better - worse], 4000)
    z = (counts[:, 0] - counts[:, 1]) / np.sqrt(counts[:, 0] + counts[:, 1])
    assert (np.abs(z) > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.02)


def test_the_mix_of_a_plate_without_labels() -> None:
    strong = made((200, 200, 200, 200), share=(0.5, 0.5, 0.5, 0.95))
    for plate, batch in strong.batches.items():
        x = batch.dense.copy()
        x[:, :30] *= np.exp(1.0 * batch.y[:, None])  # type: ignore[index]
        strong = changed(strong, plate, x=x)
    design = look(with_labels(strong, {"4": None}))
    assert "mix_unlike" in codes(design)
    assert text(design, "mix_unlike").startswith("On plate '4', which has no labels, the share of")
    mixes = design.tables["mixes"].set_index(["plate", "class"])
    assert mixes.loc[("4", "case"), "low"] < 0.95 < mixes.loc[("4", "case"), "high"] + 0.05
    assert np.isnan(mixes.loc[("1", "case"), "low"])
    assert "mix_unlike" not in codes(look(with_labels(made((150, 150, 150, 150)), {"4": None})))


def test_a_sparse_study_is_looked_at_like_a_dense_one() -> None:
    study = masked(lambda batch: 0.5 + 0.2 * batch.y[:, None], zero=True)  # type: ignore[index]
    thin = study
    for plate, batch in study.batches.items():
        thin = changed(thin, plate, x=sparse.csr_array(batch.dense))
    assert look(thin).findings == look(study).findings


def test_a_large_study_is_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_module, "SAMPLES", 120)
    monkeypatch.setattr(seen_module, "FEATURES", 30)
    design = look(made(), seed=3)
    assert "in 120 of 480 samples and 30 of 60 features, drawn with seed 3." in text(design, "drawn")
    assert not serious(design)
    assert look(made(), seed=3).findings == design.findings


def test_cramers_v() -> None:
    table = np.array([[[30, 0], [0, 40]], [[15, 15], [20, 20]]])
    assert cramers_v(table, 1).tolist() == pytest.approx([1, 0], abs=1e-9)
    some = np.array([[20, 10], [12, 30]])
    phi2 = chi2_contingency(some, correction=False).statistic / 72
    less = phi2 - 1 / 71
    assert cramers_v(some[None], 1)[0] == pytest.approx(np.sqrt(less / (2 - 1 / 71 - 1)))


def test_p_values_are_adjusted_as_scipy_does() -> None:
    p = np.random.default_rng(0).random((3, 20)) ** 2
    assert np.allclose(adjusted(p).ravel(), false_discovery_control(p.ravel()))
    assert np.isnan(adjusted(np.array([np.nan, 0.1]))).tolist() == [True, False]


def test_the_test_within_plates() -> None:
    value, inside = np.array([1.0, 0, 1, 1, 0, 0, 0]), np.array([1, 1, 1, 0, 0, 0, 0], bool)
    table = np.array([[2, 1], [1, 3]])
    z = stratified([value[:, None]], [inside])[0]
    assert z**2 == pytest.approx(chi2_contingency(table, correction=False).statistic * 6 / 7)
    assert np.isnan(stratified([np.ones((7, 1))], [inside])).all()
    assert auc_within([np.array([1.0, 2, 3, 4])], [np.array([False, False, True, True])]) == 1
