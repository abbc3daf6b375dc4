"""Tests of targets that are drawn to have another class mix."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.mix import Mix, mixed
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


def subjects(batch: Batch) -> dict[str, int]:
    """Return the class of each subject of a batch."""
    return dict(zip(batch.subject.tolist(), batch.y.tolist(), strict=True))  # type: ignore[union-attr]


@pytest.mark.parametrize("share", SHARES)
def test_a_target_has_the_share_and_the_size_of_every_share(
    share: float, plates: Study, split: Split
) -> None:
    study = mixed(plates, split, Mix(share))
    found = subjects(study.batches["c"])
    assert len(found) == 26  # 24 cases allow as many at a share of .9
    assert sum(found.values()) == round(26 * share)
    for name in "ab":
        assert study.batches[name] is plates.batches[name]


def test_whole_subjects_are_drawn_with_their_rows(plates: Study, split: Split) -> None:
    whole, drawn = plates.batches["c"], mixed(plates, split, Mix(0.3)).batches["c"]
    rows = drawn.names.astype(int)  # type: ignore[union-attr]
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(drawn.dense, whole.dense[rows])
    np.testing.assert_array_equal(drawn.y, whole.y[rows])  # type: ignore[index]
    for subject in subjects(drawn):
        assert (drawn.subject == subject).sum() == (whole.subject == subject).sum()
    np.testing.assert_array_equal(drawn.replicate, drawn.subject)


def test_draws_of_neighbouring_shares_have_the_same_subjects_where_they_can(
    plates: Study, split: Split
) -> None:
    found = [subjects(mixed(plates, split, Mix(share)).batches["c"]) for share in SHARES]
    for few, more in pairwise(found):
        assert {s for s, y in few.items() if y} < {s for s, y in more.items() if y}
        assert {s for s, y in more.items() if not y} < {s for s, y in few.items() if not y}
    again = subjects(mixed(plates, split, Mix(0.5)).batches["c"])
    assert again == found[2]
    assert subjects(mixed(plates, split, Mix(0.5, draw=1)).batches["c"]) != again


def test_sources_can_have_the_opposite_mix(plates: Study, split: Split) -> None:
    study = mixed(plates, split, Mix(0.1, sources="opposite"))
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
    found = subjects(mixed(study, split, Mix(0.2, of="v", draw=int(rng.integers(9)))).batches["c"])
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
        ({"draw": 1}, "mix.share is null, so no other setting"),
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
        y = study.batches[target].y[table["sample"]]  # type: ignore[index]
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
