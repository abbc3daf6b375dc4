"""Tests that the files around the code agree with each other."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import CONF, METHODS, ROOT, compose

PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)


def test_one_file_holds_the_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"][0] == "python=3.11"
    pip = environment["dependencies"][-1]["pip"]
    assert pip == ["--constraint constraints.txt", "--editable .[dev]"]
    assert PINS["torch"] == "2.13.0"
    hook = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]
    assert hook["rev"] == f"v{PINS['ruff']}"


def test_the_lock_has_the_pins_with_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text()
    found = re.findall(
        r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, flags=re.MULTILINE
    )
    rest = [line for line in text.splitlines() if not line.startswith(("#", "    --hash="))]
    assert len(rest) == len(found)
    locked = {name: version for name, version, _ in found}
    assert locked == {name.lower().replace("_", "-"): version for name, version in PINS.items()}
    assert text.startswith(runpy.run_path(str(ROOT / "scripts" / "lock.py"))["HEADER"])
    assert "://" not in text  # whichever index pip is set up with


def test_every_requirement_is_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(
        r'"([A-Za-z][\w.-]*)(?:[<>=,.\d]*)"',
        text[text.index("dependencies = [") : text.index("[tool.setuptools.dyn")],
    )
    names = {name.lower().replace("_", "-") for name in PINS}
    assert {name.lower().replace("_", "-") for name in wanted if name not in ("dev",)} <= names


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF)))
def test_every_setting_has_a_line_of_comment(file: Path) -> None:
    if file.parent.name in ("search", "tuned", "options") or file.name in ("reproduce.yaml", "seconds.yaml"):
        assert "# " in file.read_text().replace("# @package", "")
        return
    described = {
        "_target_",
        "name",
        "card",
        "label",
        "summary",
        "doi",
        "code",
        "kind",
        "fast",
        "assumes",
        "chosen_by",
        "chosen",
        "defaults",
        "hydra",
        "protocol",
    }
    block = ""
    settings = re.sub(r"^card:\n(  .*\n)+", "", file.read_text().split("\nhydra:")[0], flags=re.M)  # prose
    for line in settings.splitlines():
        found = re.match(r"( *)([\w]+):(.*)", line)
        if found and found[2] not in described:
            block = found[2] if not found[3].split("#")[0].strip() else block
            assert "#" in line or not found[3].strip() or block == "expected", f"{file.name}: {line}"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_card(name: str) -> None:
    method = compose(f"method={name}").method
    assert method.name == name
    assert all(method.card[key] for key in ("label", "summary", "doi", "code"))


def test_the_tables_in_the_notes_are_those_of_the_results() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "notes.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_explains_itself() -> None:
    done = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    for target in ("demo", "test", "test-slow", "lint", "data", "bench", "clean"):
        assert re.search(rf"make {target} +\w", done.stdout)


def test_the_package_holds_every_folder_and_the_configuration() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {
        ".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "calib").rglob("__init__.py")
    }
    assert set(listed) == folders | {"calib.conf", "hydra_plugins"}


def test_importing_beside_a_clone_of_the_same_name(tmp_path: Path) -> None:
    """Check that a clone's folder is not taken for the package: the installed path has to win over it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["distutils"]["editable_wheel"]["mode"] == "compat"  # puts the clone on the path
    (tmp_path / "calib").symlink_to(ROOT, target_is_directory=True)
    done = subprocess.run(
        [sys.executable, "-c", "import calib; print(calib.__version__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip()
