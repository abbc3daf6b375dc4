"""What a release says of itself agrees with the code: version, requirements, licences, bill of materials."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import calib
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Packages that conda-forge calls otherwise."""


@pytest.fixture(scope="module")
def scripts() -> "tuple[ModuleType, ModuleType]":
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        import dependencies
        import sbom
    return dependencies, sbom


def test_there_is_one_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == calib.__version__
    assert RECIPE["context"]["version"] == calib.__version__
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0] == calib.__version__
    assert "version" in PROJECT["dynamic"]


def test_the_recipe_has_the_requirements() -> None:
    pairs = (re.fullmatch(r"([\w.-]+)(.*)", line) for line in PROJECT["dependencies"])
    wanted = {CONDA.get(pair[1], pair[1].lower()): pair[2] for pair in pairs if pair}
    python, *lines = RECIPE["requirements"]["run"]
    assert python == "python >=${{ python_min }}"
    assert f">={RECIPE['context']['python_min']}" == PROJECT["requires-python"]
    assert dict(line.split(" ") for line in lines) == wanted
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    assert entry == f"calib = {PROJECT['scripts']['calib']}"


def test_the_workflows_try_every_python_that_is_named(scripts: tuple[ModuleType, ModuleType]) -> None:
    kinds = [each.rpartition(" :: ")[2] for each in PROJECT["classifiers"] if ":: Python ::" in each]
    for file, job in (("ci", "test"), ("release", "check")):
        workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{file}.yml").read_text())
        assert workflow["jobs"][job]["strategy"]["matrix"]["python"] == kinds
    assert list(scripts[0].PYTHONS) == kinds


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_may_only_read_and_its_actions_cannot_change(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    actions = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert actions
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in actions)
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert set(more) == ({"sign", "publish"} if file.stem == "release" else set())
    for name, permissions in more.items():
        assert workflow["jobs"][name]["if"] == "github.event_name == 'release'"
        assert not any(
            "run" in step and "gh release" not in step["run"] for step in workflow["jobs"][name]["steps"]
        )
        assert name != "publish" or permissions == {"id-token": "write"}


def test_the_page_is_that_of_the_installed_packages(scripts: tuple[ModuleType, ModuleType]) -> None:
    dependencies, _ = scripts
    page = dependencies.PAGE.read_text(encoding="utf-8")
    assert dependencies.renewed(page, dependencies.tables()) == page, "make dependencies renews it"
    counted = re.findall(
        r"^\| (?:`calib-omics` without torch|\+ `([\w-]+)`) \| (\d+) \|", page, flags=re.MULTILINE
    )
    sizes = {extra: len([n for n in names if n != "torch"]) for extra, names in dependencies.groups().items()}
    assert {extra: int(number) for extra, number in counted} == sizes, (
        "scripts/dependencies.py --sizes renews it"
    )
    assert dependencies.closure("") | dependencies.closure("dev") == set(dependencies.pins())


def test_no_requirement_is_under_the_gpl(scripts: tuple[ModuleType, ModuleType]) -> None:
    dependencies, _ = scripts
    under = {name for name, licence in dependencies.licences().items() if "GPL" in licence}
    assert under == {"harmonypy"}
    assert dependencies.comes_with("harmonypy") == "controls"
    importing = {
        file.relative_to(ROOT / "calib").as_posix(): found
        for file in (ROOT / "calib").rglob("*.py")
        if (
            found := re.findall(
                r"^( *)(?:import|from) harmonypy", file.read_text(encoding="utf-8"), re.MULTILINE
            )
        )
    }
    assert importing == {"methods/harmony.py": [" " * 8]}  # in a function: only when the method runs


def test_the_bill_of_materials_is_that_of_the_lock(scripts: tuple[ModuleType, ModuleType]) -> None:
    dependencies, sbom = scripts
    bill = json.loads(sbom.written())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == calib.__version__
    parts = {part["name"]: part for part in bill["components"]}
    assert {name: part["version"] for name, part in parts.items()} == {
        name: version for name, (_, version) in dependencies.pins().items()
    }
    assert all(part["licenses"] and part["externalReferences"][0]["hashes"] for part in parts.values())
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert {"torch", "scanpy", "harmonypy"} <= {ref.partition("==")[0] for ref in needs[PROJECT["name"]]}
    reached, waiting = set(), [PROJECT["name"]]
    while waiting:
        if (one := waiting.pop()) not in reached:
            reached.add(one)
            waiting += needs[one]
    assert len(reached) == len(parts) + 1


def test_the_sdist_takes_every_folder() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a clone")
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    folders = {file.partition("/")[0] for file in files if "/" in file}
    grafted = set(re.findall(r"^graft (\S+)$", (ROOT / "MANIFEST.in").read_text(), flags=re.MULTILINE))
    assert folders == grafted | {"outputs"}


@pytest.mark.parametrize(
    "file", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=lambda f: f.stem
)
def test_a_form_asks_in_sentences(file: Path) -> None:
    form = yaml.safe_load(file.read_text(encoding="utf-8"))
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert form["name"]
    assert form["description"].endswith(".")
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
