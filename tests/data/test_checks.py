"""Tests of the warnings about a study and a split, which a run logs and keeps in its record."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from calib.data.cautions import Caution
from calib.data.checks import cautions
from calib.data.overlaps import with_marks
from calib.data.split import parse_split
from calib.data.study import Study
from calib.data.transform import prepare


def of_one_class(study: Study, classes: dict[str, int]) -> Study:
    """Return the study with all samples of these batches in one class."""
    batches = dict(study.batches)
    for name, index in classes.items():
        batches[name] = replace(batches[name], y=np.full(len(batches[name]), index))
    return replace(study, batches=batches)


def found(study: Study, split: str = "12_3") -> Sequence[Caution]:
    return cautions(study, parse_split(split, study))


def test_an_ordinary_study_has_no_warnings(study: Study) -> None:
    assert not found(study)


def test_sources_of_one_class_are_named(study: Study) -> None:
    (one,) = found(of_one_class(study, {"2": 1}))
    assert one.code == "one_class_source"
    assert one.text.startswith("Sources with samples of one class only: '2' (case). A method that scales")
    (both,) = found(of_one_class(study, {"1": 0, "2": 1}))
    assert both.text.startswith("Every source has samples of one class only: '1' (control), '2' (case). No")
    assert not found(of_one_class(study, {"3": 1}))


def test_classes_of_one_sample_are_named(study: Study) -> None:
    y = np.array(study.batches["3"].y)
    y[0] = 2
    batches = study.batches | {"3": replace(study.batches["3"], y=y)}
    (one,) = found(replace(study, batches=batches, classes=[*study.classes, "pool"]))
    assert one.code == "class_of_one_sample"
    assert "in the whole study: 'pool' (batch '3')." in one.text


def named(study: Study, subjects: dict[str, list[str]], names: dict[str, list[str]]) -> Study:
    """Return the study whose batches have these subjects and sample names, repeated to their length."""
    batches = {
        key: replace(
            batch,
            subject=np.resize(subjects[key], len(batch)) if key in subjects else batch.subject,
            names=np.resize(names[key], len(batch)) if key in names else None,
        )
        for key, batch in study.batches.items()
    }
    return replace(study, batches=batches)


def test_the_same_people_on_both_sides(study: Study) -> None:
    people = {"1": ["ann", "bob"], "2": ["cem", "dot"], "3": ["bob", "eva", "dot", "cem", "ann"]}
    (one,) = found(named(study, people, {}))
    assert one.code == "shared_samples"
    assert "in common: 4 subjects ('ann', 'bob', 'cem' and 1 more). Scores" in one.text
    assert not found(named(study, people | {"3": ["eva"]}, {}))
    assert not found(named(study, people, {}), "1_2")
    samples = {key: [f"{key}-{i}" for i in range(100)] for key in "123"}
    assert not found(named(study, {}, samples))
    (one,) = found(named(study, {}, samples | {"3": ["2-7", *samples["3"]]}))
    assert "in common: 1 sample name ('2-7')." in one.text
    for counted in ([f"line {i}" for i in range(100)], [str(i) for i in range(100)]):
        assert not found(named(study, {}, dict.fromkeys("123", counted)))


def test_a_subject_with_other_labels_in_another_batch(study: Study) -> None:
    subjects = {key: [f"{key}{i}" for i in range(50)] for key in "123"}
    apart = named(study, subjects, {})
    assert not found(apart)
    first = {
        key: int(np.flatnonzero(apart.batches[key].y == label)[0]) for key, label in (("1", 0), ("2", 1))
    }
    for key, row in first.items():
        apart.batches[key].subject[row] = "P"  # type: ignore[index]
    (one,) = found(apart)
    assert one.code == "subject_of_two_labels"
    assert one.text.startswith("1 subject with other labels in one batch than in another: 'P'. Correct the")
    inferred = {key: replace(batch, subject=np.arange(len(batch))) for key, batch in study.batches.items()}
    assert not found(replace(study, batches=inferred))


def test_rows_of_the_same_values(study: Study) -> None:
    x = study.batches["3"].dense.copy()
    x[[0, 5, 6]] = study.batches["2"].dense[[1, 1, 2]]
    x[[7, 8]] = -0.0
    x[9] = 0.0
    for form in (np.asarray, sparse.csr_array):
        copied = with_marks(
            replace(study, batches=study.batches | {"3": replace(study.batches["3"], x=form(x))})
        )
        both, within = found(prepare(copied, "arcsinh", "standardise", "float32"))
        assert "in common: 3 rows of the same values." in both.text
        assert within.code == "repeated_samples"
        assert "'3': 1 row of values that another row has." in within.text
    assert not found(with_marks(study))


def test_names_that_occur_twice_in_a_batch(study: Study) -> None:
    samples = {key: [f"{key}-{i}" for i in range(100)] for key in "13"} | {
        "2": [f"two-{i}" for i in range(20)]
    }
    (one,) = found(named(study, {}, samples))
    assert f"'2': {len(study.batches['2']) - 20} samples of a name that another has" in one.text


def test_warnings_of_the_reading_count_in_no_checksum(study: Study) -> None:
    assert replace(study, cautions=[Caution("test", "A test.")]).sha256() == study.sha256()
