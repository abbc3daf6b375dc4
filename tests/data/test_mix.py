"""Tests of targets that are drawn to have another class mix."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.mix import MOST, Mix, mixed, whole_name
from calib.data.split import Split, parse_split
from calib.data.study import Batch, Study
from calib.errors import CalibError, DataError
from calib.runs.experiment import run
from tests.conftest import compose

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


@pytest.fixture
def plates() -> Study:
    """Return three batches of 60 subjects with one to five rows each, four in ten of them cases."""
    rng = np.random.default_rng(0)
    batches = {}
    for name in "abc":
        sizes = rng.integers(1, 6, 60)
        label = np.arange(60) % 5 < 2
        subject = np.repeat(np.array([f"s{n:02}" for n in range(60)]), sizes)
        y = np.repeat(label.astype(np.int64), sizes)
        x = rng.normal(size=(len(y), 4)).astype(np.float32) + y[:, None]
        batches[name] = Batch(name, x, y, subject, replicate=subject)
    return Study("plates", batches, list("wxyz"), ["well", "ill"])


@pytest.fixture
def split(plates: Study) -> Split:
    return parse_split("12_3", plates)


def drawn(plates: Study, split: Split, mix: Mix) -> Study:
    """Return the study of a mix that leaves the split as it is."""
    study, same = mixed(plates, split, mix)
    assert same is split
    return study


def subjects(batch: Batch) -> dict[str, int]:
    """Return the class of each subject of a batch."""
    return dict(zip(batch.subject.tolist(), batch.y.tolist(), strict=True))  # type: ignore[union-attr]


@pytest.mark.parametrize("share", SHARES)
def test_a_target_has_the_share_and_the_size_of_every_share(
    share: float, plates: Study, split: Split
) -> None:
    study = drawn(plates, split, Mix(share))
    found = subjects(study.batches["c"])
    assert len(found) == 26  # 24 cases allow as many at a share of .9
    assert sum(found.values()) == round(26 * share)
    for name in "ab":
        assert study.batches[name] is plates.batches[name]


def test_whole_subjects_are_drawn_with_their_rows(plates: Study, split: Split) -> None:
    whole, few = plates.batches["c"], drawn(plates, split, Mix(0.3)).batches["c"]
    rows = few.names.astype(int)  # type: ignore[union-attr]
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(few.dense, whole.dense[rows])
    np.testing.assert_array_equal(few.y, whole.y[rows])  # type: ignore[index]
    for subject in subjects(few):
        assert (few.subject == subject).sum() == (whole.subject == subject).sum()
    np.testing.assert_array_equal(few.replicate, few.subject)


def test_draws_of_neighbouring_shares_have_the_same_subjects_where_they_can(
    plates: Study, split: Split
) -> None:
    found = [subjects(drawn(plates, split, Mix(share)).batches["c"]) for share in SHARES]
    for few, more in pairwise(found):
        assert {s for s, y in few.items() if y} < {s for s, y in more.items() if y}
        assert {s for s, y in more.items() if not y} < {s for s, y in few.items() if not y}
    again = subjects(drawn(plates, split, Mix(0.5)).batches["c"])
    assert again == found[2]
    assert subjects(drawn(plates, split, Mix(0.5, draw=1)).batches["c"]) != again


def test_sources_can_have_the_opposite_mix(plates: Study, split: Split) -> None:
    study = drawn(plates, split, Mix(0.1, sources="opposite"))
    shares = {name: np.mean(list(subjects(batch).values())) for name, batch in study.batches.items()}
    assert shares["a"] == shares["b"] == pytest.approx(0.9, abs=0.03)
    assert shares["c"] == pytest.approx(0.1, abs=0.03)


def test_a_class_of_several_is_drawn_against_all_others(plates: Study, split: Split) -> None:
    rng = np.random.default_rng(1)
    three = {
        name: replace(b, y=np.where(b.y == 1, 2, np.unique(b.subject, return_inverse=True)[1] % 2))
        for name, b in plates.batches.items()
    }
    study = replace(plates, batches=three, classes=["u", "v", "w"])
    found = subjects(drawn(study, split, Mix(0.2, of="v", draw=int(rng.integers(9)))).batches["c"])
    assert sum(y == 1 for y in found.values()) == round(len(found) * 0.2)
    assert {0, 2} <= set(found.values())
    with pytest.raises(CalibError, match="mix.of=x is no class of study 'plates'"):
        mixed(study, split, Mix(0.2, of="x"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.05}, "mix.share"),
        ({"share": "half"}, "mix.share"),
        ({"share": 0.5, "sources": "same"}, "mix.sources"),
        ({"share": 0.5, "draw": -1}, "mix.draw"),
        ({"size": 0}, "mix.size"),
        ({"size": 2.5}, "mix.size"),
        ({"draw": 1}, "mix.share and mix.size are null, so mix.draw has no effect"),
        ({"of": "ill"}, "mix.share is null, so mix.of and mix.sources have no effect"),
        ({"size": 5, "sources": "opposite"}, "mix.share is null, so mix.of and mix.sources have no effect"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(CalibError, match=message):
        Mix(**settings)  # type: ignore[arg-type]


def test_what_cannot_be_drawn_is_refused(plates: Study, split: Split) -> None:
    target = plates.batches["c"]
    for batch, message in (
        (replace(target, y=None), "has no labels, so no mix can be drawn of it"),
        (replace(target, y=np.zeros_like(target.y)), r"has 0 subject\(s\) of the class and 60 of all others"),
    ):
        study = replace(plates, batches={**plates.batches, "c": batch})
        with pytest.raises(DataError, match=message):
            mixed(study, split, Mix(0.5))


def test_nothing_is_drawn_unless_it_is_asked_for(plates: Study, split: Split) -> None:
    assert not Mix().draws
    assert Mix(size=3).draws
    study, same = mixed(plates, split, Mix())
    assert study is plates
    assert same is split


@pytest.mark.parametrize(("size", "names"), [(1, ["c part 01", "c part 60"]), (20, ["c part 1", "c part 3"])])
def test_targets_are_cut_into_parts_by_subject(
    size: int, names: list[str], plates: Study, split: Split
) -> None:
    study, parts = mixed(plates, split, Mix(size=size))
    assert parts.sources == split.sources
    assert parts.label == split.label
    assert [parts.targets[0], parts.targets[-1]] == names
    assert len(parts.targets) == 60 // size
    assert list(study.batches) == ["a", "b", *parts.targets]
    assert study.batches["a"] is plates.batches["a"]
    whole, seen = plates.batches["c"], []
    for name in parts.targets:
        part = study.batches[name]
        assert part.name == name
        assert whole_name(name) == "c"
        rows = part.names.astype(int)  # type: ignore[union-attr]
        np.testing.assert_array_equal(part.dense, whole.dense[rows])
        np.testing.assert_array_equal(part.y, whole.y[rows])  # type: ignore[index]
        assert len(subjects(part)) == size
        seen += [*rows]
    assert len(seen) == len(set(seen)) == len(whole)


def test_there_are_parts_up_to_a_number_and_a_rest_is_left_out(plates: Study, split: Split) -> None:
    target = plates.batches["c"]
    rows = np.arange(MOST + 30) % len(target)
    alone = Batch("c", target.dense[rows], target.y[rows])  # type: ignore[index]
    study = replace(plates, batches={**plates.batches, "c": alone})
    _, parts = mixed(study, split, Mix(size=1))
    assert len(parts.targets) == MOST
    assert [parts.targets[0], parts.targets[-1]] == ["c part 001", "c part 100"]
    _, parts = mixed(plates, split, Mix(size=25))
    assert parts.targets == ("c part 1", "c part 2")


def test_parts_are_the_same_twice_and_others_in_another_draw(plates: Study, split: Split) -> None:
    def rows(mix: Mix) -> list[list[str]]:
        study, parts = mixed(plates, split, mix)
        return [list(study.batches[name].names) for name in parts.targets]  # type: ignore[arg-type]

    first = rows(Mix(size=10))
    assert rows(Mix(size=10)) == first
    assert rows(Mix(size=10, draw=1)) != first


def test_every_target_is_cut_and_rows_without_subjects_by_replicate_or_alone(plates: Study) -> None:
    target = plates.batches["c"]
    unlabelled = replace(plates.batches["b"], y=None, subject=None)
    alone = replace(target, subject=None, replicate=None)
    study = replace(plates, batches={"a": plates.batches["a"], "b": unlabelled, "c": alone})
    drawn, parts = mixed(study, parse_split("1_23", study), Mix(size=30))
    assert {whole_name(name) for name in parts.targets} == {"b", "c"}
    for name in parts.targets:
        part = drawn.batches[name]
        if whole_name(name) == "b":
            assert part.y is None
            assert len(set(part.replicate.tolist())) == 30  # type: ignore[union-attr]
        else:
            assert len(part) == 30


def test_parts_of_a_mix_have_its_subjects(plates: Study, split: Split) -> None:
    whole = subjects(drawn(plates, split, Mix(0.1)).batches["c"])
    study, parts = mixed(plates, split, Mix(0.1, size=13))
    found = [subjects(study.batches[name]) for name in parts.targets]
    assert found[0] | found[1] == whole
    names = drawn(plates, split, Mix(0.1)).batches["c"].names
    assert set(study.batches["c part 1"].names) < set(names)  # type: ignore[arg-type]


def test_too_few_subjects_for_a_part_are_refused(plates: Study, split: Split) -> None:
    with pytest.raises(DataError, match=r"batch 'c' has 60 subject\(s\), too few for mix.size=61"):
        mixed(plates, split, Mix(size=61))


def test_a_part_names_the_batch_that_it_was_cut_from() -> None:
    assert whole_name("plate 7 part 03") == "plate 7"
    assert whole_name("plate part 7 part 03") == "plate part 7"


def test_a_run_scales_the_drawn_plate_and_keeps_the_rows_of_the_file(tmp_path: Path) -> None:
    plain = compose("method=standardise_logistic", f"out={tmp_path}")
    (without,) = run(plain)
    keys = {without["key"]}
    for share in (0.1, 0.5):
        (result,) = run(compose("method=standardise_logistic", f"out={tmp_path}", f"mix.share={share}"))
        keys.add(result["key"])
        ((target, counts),) = ((t, result["class_counts"][t]) for t in result["targets"])
        assert counts[build(plain.dataset).classes[-1]] / sum(counts.values()) == pytest.approx(
            share, abs=0.05
        )
        (record,) = tmp_path.glob(f"runs/*/*/*{result['key']}")
        table = pd.read_csv(record / "predictions.csv")
        study = build(plain.dataset)
        y = study.batches[target].y[table["sample"]]
        assert table["label"].tolist() == [study.classes[label] for label in y]
    assert len(keys) == 3


def test_the_protocols_scale_is_that_of_the_drawn_plate(tmp_path: Path) -> None:
    config = compose(
        "method=baseline",
        "classifier@method.classifier=logistic",
        f"out={tmp_path}",
        "mix.share=0.1",
        "protocol.batch_scale=standardise",
    )
    (result,) = run(config)
    (record,) = tmp_path.glob("runs/*/*/*")
    with np.load(record / "embedding.npz") as stored:
        target = stored["z"][stored["batch"] == next(iter(result["targets"]))]
    np.testing.assert_allclose(target.mean(axis=0), 0, atol=1e-5)


def test_a_run_answers_every_part(tmp_path: Path) -> None:
    config = compose("method=standardise_mix_logistic", f"out={tmp_path}", "mix.size=20")
    (result,) = run(config)
    assert list(result["targets"]) == ["3 part 1", "3 part 2", "3 part 3"]
    assert result["split"] == "12_3"
    (record,) = tmp_path.glob("runs/*/*/*")
    table = pd.read_csv(record / "predictions.csv")
    assert set(table["batch"]) == set(result["targets"])
    assert not table["sample"].duplicated().any()
    assert len(table) == 20 * 5 * 3


def test_drawn_rows_keep_their_own_marks(plates: Study, split: Split) -> None:
    """Check that warnings of repeated rows count the rows that were drawn."""
    for mix in (Mix(0.3), Mix(size=5)):
        study, drawn = mixed(plates, split, mix)
        assert {name: len(study.marks[name]) for name in drawn.targets} == {
            name: len(study.batches[name]) for name in drawn.targets
        }


def test_a_part_never_takes_the_name_of_another_batch(plates: Study, split: Split) -> None:
    named = replace(plates.batches["a"], name="c part 01")
    study = replace(plates, batches={**plates.batches, named.name: named})
    with pytest.raises(DataError, match="rename it"):
        mixed(study, split, Mix(size=5))
