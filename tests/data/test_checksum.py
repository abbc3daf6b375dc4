"""The checksum of a study: everything that reaches a method or a file decides it, and the paper's stay."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calib.config import build
from calib.data.downloads import find
from calib.data.study import Batch, Study
from calib.runs.experiment import run
from tests.conftest import compose

X = np.arange(8, dtype=np.float32).reshape(4, 2)
WHOLE = Batch(
    "1", X, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), np.array(list("abcd")), np.array([0, 1, 2, 3]), X[:1]
)  # fmt: skip
OTHER = {
    "name": "2", "x": X + 1, "y": np.array([1, 0, 1, 0]), "subject": np.array([0, 1, 1, 1]), "reference": X[1:2],
    "names": np.array(list("abdc")), "replicate": np.array([0, 0, 2, 3]),
}  # fmt: skip


def study(batch: Batch, **settings: object) -> Study:
    return Study("s", {batch.name: batch}, ["f", "g"], ["no", "yes"], **settings)  # type: ignore[arg-type]


def test_every_attribute_of_a_batch_decides_the_checksum() -> None:
    unseen = {"order"}  # no method and no file of the record has it
    assert {one.name for one in fields(Batch)} - unseen == set(OTHER), (
        "give the new attribute another value here"
    )
    whole = study(WHOLE).sha256()
    changed = {name: study(replace(WHOLE, **{name: value})).sha256() for name, value in OTHER.items()}
    missing = [study(replace(WHOLE, **{name: None})).sha256() for name in ("names", "replicate", "subject")]
    assert len({whole, *changed.values(), *missing}) == 1 + len(OTHER) + 3


def test_an_attribute_that_is_added_later_decides_it_too() -> None:
    @dataclass(frozen=True)
    class Later(Batch):
        weight: object = None

    plain, weighed = Later(**vars(WHOLE)), Later(**vars(WHOLE), weight=np.ones(4))
    assert study(plain).sha256() == study(WHOLE).sha256() != study(weighed).sha256()


def test_the_order_and_missing_values_do_not() -> None:
    ordered = replace(WHOLE, order=np.array([3.0, 1.0, np.nan, 2.0]))
    assert study(ordered, missing={"1": np.eye(4, 2) > 0}).sha256() == study(WHOLE).sha256()


def test_what_is_implied_does_not() -> None:
    bare = replace(WHOLE, names=None, replicate=WHOLE.subject)  # as a file with subjects gives them
    assert study(WHOLE, implied=("names", "replicate")).sha256() == study(bare).sha256()
    assert study(replace(bare, replicate=None)).sha256() != study(bare).sha256()


def test_names_are_hashed_alike_however_they_are_stored() -> None:
    names = np.array(["a", "b", "c", "d"], object)
    assert study(replace(WHOLE, names=names)).sha256() == study(WHOLE).sha256()
    assert study(replace(WHOLE, names=WHOLE.names.astype("<U9"))).sha256() == study(WHOLE).sha256()  # type: ignore[union-attr]


KNOWN = {
    "mi": "14954f3ec09abe10539274a383353717607d41fa6edb9315341e335eabd4e1b9",
    "chd": "aafccfdd96ea147ab02a66fb27f4864ffde3fa1e088a8a0f9a8bc902c47482f7",
    "demo": "534dd1f94ef996c6d7e6b4283c081b4851306a72355ddd1de5c4183510c2d28f",
    "pancreas_mini": "824b30a1ee13a59f792dd8a456b056bda00f1c709bb738a7c4f9d47932d9c4e2",
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_papers_studies_keep_their_checksums(name: str, request: pytest.FixtureRequest) -> None:
    if name != "demo":
        request.getfixturevalue("data_dir")
    if name == "pancreas_mini":
        pytest.importorskip("scanpy")
        if find(compose("dataset=pancreas_mini").dataset.path) is None:
            pytest.skip("the file is not here: python scripts/fetch_data.py pancreas_mini fetches it")
    assert build(compose(f"dataset={name}").dataset).sha256() == KNOWN[name]


def test_replicates_of_files_without_subjects_decide_the_checksum(
    write_csv: Callable[..., list[str]],
) -> None:
    made = {r: build(compose(*write_csv(), f"dataset.replicates={r}").dataset) for r in (4, 5, 6)}
    assert (made[4].batches["1"].subject == made[6].batches["1"].subject).all()
    arrays = {tuple(one.batches["3"].replicate) for one in made.values()}
    assert len(arrays) > 1
    assert len({one.sha256() for one in made.values()}) >= len(arrays)
    same = {
        r: one.batches["1"].replicate.tolist() == one.batches["1"].subject.tolist() for r, one in made.items()
    }
    assert any(same.values()), "the replicates are the subjects, and yet the published ones are others"


def test_a_changed_name_of_a_sample_makes_a_new_record(tmp_path: Path) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "a.csv"
    table = pd.DataFrame(rng.normal(size=(24, 3)), columns=list("fgh"))
    table.insert(0, "id", [f"s{i}" for i in range(24)])
    table.insert(0, "label", ["x", "y"] * 12)
    table.insert(0, "batch", np.repeat(list("abc"), 8))

    def names(*overrides: str) -> set[str]:
        common = ("dataset=table", f"dataset.path={file}", f"out={tmp_path}", "split=a+b:c", *overrides)
        run(compose(*common, "dataset.ignore=[id]", "method=standardise_logistic"))
        files = tmp_path.glob("runs/*/*/*/predictions.csv")
        return {pd.read_csv(one)["sample"].iloc[0] for one in files}

    table.to_csv(file, index=False)
    first = names()
    assert len(first) == 1
    assert names("dataset.sample=id") == {*first, "s16"}
    table.loc[[16, 17], "id"] = ["s17", "s16"]  # corrected in the file
    table.to_csv(file, index=False)
    assert names("dataset.sample=id") == {*first, "s16", "s17"}
