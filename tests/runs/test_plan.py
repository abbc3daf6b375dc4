"""The plan of conf/reproduce.yaml: the committed keys of all runs, and names that stand for settings.

``python -m tests.renew_keys`` renews the committed keys.
"""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from calib.config import compose
from calib.errors import CalibError
from calib.runs.compositions import Compositions, compositions
from calib.runs.planner import Planner
from calib.runs.series import PLAN, Series, expand, read_series, read_variants
from tests.conftest import CONF
from tests.without_files import load_without_files

GOLDEN = Path(__file__).parents[1] / "golden" / "keys" / "planned.csv"
"""Keys of all planned runs, with a study's name in the place of its checksum."""

FAST = ("demo", "trust")

NEED_FILES = ("mix", "mix_again", "sizes")
"""Lists that cannot be planned without the studies' files, of whose samples they draw some."""


PLANNED = pd.read_csv(GOLDEN)
LISTS = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in PLANNED["series"].unique()
]


def planned_keys(name: str, out: Path) -> dict[tuple[str, str], set[str]]:
    """Return the keys of a list's runs by study and method, without the studies' files."""
    planner = Planner(CONF, out, load=load_without_files)
    found: dict[tuple[str, str], set[str]] = {}
    for job in planner.jobs(read_series(CONF / PLAN, name)):
        found.setdefault((job.run.study.name, str(job.run.config.method.name)), set()).add(job.run.key)
    assert not planner.refused
    return found


@pytest.mark.parametrize("name", LISTS)
def test_a_list_plans_the_same_runs_as_ever(name: str, tmp_path: Path) -> None:
    rows = PLANNED[PLANNED["series"] == name]
    committed = zip(rows["study"], rows["method"], rows["keys"], strict=True)
    assert planned_keys(name, tmp_path) == {
        (study, method): set(keys.split()) for study, method, keys in committed
    }


NAMES = read_variants(CONF / PLAN)


@pytest.mark.parametrize(
    "overrides",
    [
        "dataset=mi method=joint protocol=released protocol.transform=arcsinh out=there device=cpu",
        "dataset=pancreas_mini method=baseline converged logistic_cv",
        "dataset=table method=joint_plus protocol=corrected one_source no_mmd running_statistics",
        "dataset=chd method=nearest_source protocol=paper by_nearness",
        "method=pairwise protocol=strict protocol.batch_scale=standardise method.epochs=100",
        "dataset=chd dataset=mi seed=7 split='13_2' threads=2 save_model=true mix.share=0.3 dataset.name=a",
        "dataset=pancreas method=combat ~tuned seed=1",
        "method=combat classifier@method.classifier=svm +corrector@other=arcsinh method.classifier.estimator.cv=2",
    ],
)
def test_what_is_put_together_is_what_hydra_composes(overrides: str) -> None:
    shared = Compositions(CONF)
    words = [one for word in overrides.split() for one in NAMES.get(word, word).split()]
    composed = compose(CONF, *words)
    for _ in range(2):  # the second one from what the first one left
        put = shared.compose(*words)
        for resolve in (False, True):
            assert OmegaConf.to_container(put, resolve=resolve) == OmegaConf.to_container(
                composed, resolve=resolve
            )
        put.method.name = put.protocol.name = put.dataset.name = "changed"


def test_a_changed_file_is_composed_anew(tmp_path: Path) -> None:
    conf = Path(shutil.copytree(CONF, tmp_path / "conf"))
    assert compositions(conf) is compositions(conf)
    assert compositions(conf).compose("dataset=demo").dataset.seed == 20211202
    file = conf / "dataset" / "demo.yaml"
    file.write_text(file.read_text().replace("seed: 20211202", "seed: 7"))
    assert compositions(conf).compose("dataset=demo").dataset.seed == 7


def test_what_cannot_be_put_together_is_refused_as_hydra_does() -> None:
    for wrong in (
        "protocol.transfrom=log2",
        "method=joynt",
        "method.epochs=(1",
        "sead=1",
        "seed=0,1",
    ):
        with pytest.raises((CalibError, HydraException)) as ours:
            Compositions(CONF).compose("dataset=mi", wrong)
        with pytest.raises(type(ours.value)) as hydras:
            compose(CONF, "dataset=mi", wrong)
        assert str(ours.value) == str(hydras.value)


def test_every_list_has_its_keys() -> None:
    lists = read_series(CONF / PLAN, ",".join(PLANNED["series"].unique()))
    assert {one.name for one in lists} == set(PLANNED["series"])
    assert all(lists)


def test_a_walk_adds_one_option_at_a_time() -> None:
    walks = [one for one in read_series(CONF / PLAN, "attribution") if one.walk == "paper to corrected"]
    assert [one.studies for one in walks] == [["mi", "chd"]]
    walk = walks[0]
    assert (walk.end, walk.seeds, walk.protocols) == ("corrected", [0, 1, 2], ("paper",))
    assert walk.variants[:3] == ["", walk.options[1], f"{walk.options[1]} {walk.options[2]}"]
    assert not walk.narrowed(protocols=["paper"]).end


def test_words_of_every_variant_of_an_entry() -> None:
    entries = {one.name: one for one in read_series(CONF / PLAN, "choice,ablation")}
    assert all(variant.startswith("one_source one_model ") for variant in entries["choice"].variants)
    assert entries["ablation"].variants[0] == "one_model"


def test_a_name_stands_for_its_overrides() -> None:
    names = read_variants(CONF / PLAN)
    overrides = expand("one_source no_mmd method.rounds=1", names)
    assert overrides == (
        "dataset.n_sources=1",
        "method.joint.alpha1=0",
        "method.joint.alpha2=0",
        "method.rounds=1",
    )
    series = Series(["mi"], ["joint"], seeds=[0], variants=["one_source"])
    assert series.commands(names) == [
        "python run.py -m split=all dataset=mi method=joint protocol=paper seed=0 dataset.n_sources=1"
    ]
    with pytest.raises(CalibError, match="variant=one_sauce is not one of: .*; did you mean 'one_source'?"):
        expand("one_sauce", names)


def test_numbers_are_named_by_their_ends() -> None:
    for name, text in read_variants(CONF / PLAN).items():
        numbered = name.endswith(("_source", "_sources", "_subjects"))
        assert numbered == text.startswith(("dataset.n_sources=", "method.subjects=")), name


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            "{studies: [mi], methods: [joint], wlak: x}",
            "Key of an entry of 'odd' .*wlak.* did you mean 'walk'",
        ),
        ("{studies: [mi], methods: [joint], adding: [a=1]}", "adding: of 'odd' .* needs the walk's name"),
        ("{studies: [mi], methods: [joint], variants: {a: b=1}}", "variants: .* must be a list"),
        ("{studies: mi, methods: [joint]}", r"studies: mi of 'odd' .* must be a list, as in \[mi\]"),
        (
            "{studies: [mi], methods: [joint], walk: w, adding: [a=1], variants: [b=1]}",
            "variants: and adding:",
        ),
        ("joint", "is no table of keys: joint"),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused_in_one_sentence(
    entry: str, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / PLAN
    file.write_text(f"variants: {{}}\nodd:\n  - {entry}\n")
    with pytest.raises(CalibError, match=sentence):
        read_series(file, "odd")
