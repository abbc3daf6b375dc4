"""Tests of every spelling of a split, and of the errors for wrong ones."""

from dataclasses import replace

import numpy as np
import pytest

from calib.data.split import all_splits, make_labelled_task, make_task, parse_split, parse_splits
from calib.data.study import Batch, Samples, Study
from calib.errors import DataError, SplitError


def named(study: Study, *names: str) -> Study:
    batches = zip(names, study.batches.values(), strict=True)
    return replace(study, batches={name: replace(batch, name=name) for name, batch in batches})


@pytest.mark.parametrize(
    ("text", "sources", "targets"),
    [("12_3", "12", "3"), ("21_3", "21", "3"), ("3_12", "3", "12"), ("1_2", "1", "2"), ("1+2:3", "12", "3")],
)
def test_by_position(study: Study, text: str, sources: str, targets: str) -> None:
    split = parse_split(text, study)
    assert (split.sources, split.targets) == (tuple(sources), tuple(targets))
    assert split.label == f"{sources}_{targets}"


def test_by_name(study: Study) -> None:
    plates = named(study, "plate_1", "plate_2", "lab B")
    split = parse_split("plate_1+lab B:plate_2", plates)
    assert split.sources == ("plate_1", "lab B")
    assert split.label == "13_2"
    assert parse_split("13_2", plates) == split


def test_all(study: Study) -> None:
    assert [s.label for s in parse_splits("all", study)] == ["12_3", "13_2", "23_1"]
    assert [s.label for s in all_splits(replace(study, n_sources=1))] == ["1_23", "2_13", "3_12"]
    with pytest.raises(SplitError, match=r"between 1 and 2 source batches .* dataset.n_sources is 3"):
        all_splits(replace(study, n_sources=3))


def test_more_than_nine_batches_are_split_by_name(study: Study) -> None:
    batch = study.batches["1"]
    many = replace(study, batches={f"p{i}": replace(batch, name=f"p{i}") for i in range(10)}, n_sources=9)
    assert parse_split("p1+p9:p0", many).label == "p1+p9:p0"
    assert len(all_splits(many)) == 10
    with pytest.raises(SplitError, match=r"more than 9 batches, so split it by name, as in p0\+p1:p2"):
        parse_split("12_3", many)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (123, "lost its underscore: 12_3 is the number 123 to YAML and Hydra, so write it in quotes"),
        ("12_4", "has no batch 4. It has: 1 = '1', 2 = '2', 3 = '3'"),
        ("12_0", "has no batch 0"),
        ("12_2", "uses batch '2' more than once"),
        ("11_2", "uses batch '1' more than once"),
        ("12_", "has no target batch; study 'demo' has: 1 = '1'"),
        ("_3", "has no source batch"),
        ("1+4:3", "has no batch '4'"),
        ("1+2:", "has no target batch"),
        ("123", "is not a split of study 'demo': write positions as in 12_3"),
        ("alll", "or all. Its batches: 1 = '1'"),
    ],
)
def test_wrong_splits(study: Study, text: object, message: str) -> None:
    with pytest.raises(SplitError) as error:
        parse_split(text, study)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_misspelt_name_is_corrected(study: Study) -> None:
    with pytest.raises(SplitError, match="no batch 'plate1'; did you mean 'plate_1'"):
        parse_split("plate1:three", named(study, "plate_1", "two", "three"))


def test_a_task_has_no_place_for_target_labels(study: Study) -> None:
    split = parse_split("12_3", study)
    task = make_task(study, split)
    assert [type(target) for target in task.targets] == [Samples]
    assert vars(task.targets[0]).keys() == {"name", "x", "replicate", "reference"}
    labelled = make_labelled_task(study, split)
    np.testing.assert_array_equal(labelled.targets[0].y, study.batches["3"].y)


def test_sources_need_labels_and_two_classes(study: Study) -> None:
    single = {
        name: replace(b, y=np.zeros(len(b.x), np.int64)) for name, b in study.batches.items() if name != "3"
    }
    unlabelled = {"1": Batch("1", study.batches["1"].x)}
    for changed, message in (
        (
            single,
            "split=12_3: all samples of '1' and '2' have the class 'control'; the sources need at least two",
        ),
        (unlabelled, "Batch '1' has no labels, which a source or reference needs"),
    ):
        for make in (make_task, make_labelled_task):
            with pytest.raises(DataError, match=message):
                make(replace(study, batches=study.batches | changed), parse_split("12_3", study))


def test_a_source_may_have_one_class_if_another_has_two(study: Study) -> None:
    first = study.batches["1"]
    changed = replace(
        study, batches=study.batches | {"1": replace(first, y=np.zeros(len(first.x), np.int64))}
    )
    task = make_task(changed, parse_split("12_3", study))
    assert [source.name for source in task.sources] == ["1", "2"]
    with pytest.raises(DataError, match="split=1_23: all samples of '1' have the class"):
        make_task(changed, parse_split("1_23", study))
