"""The modules are layers: every import runs downwards or stays in its layer, and there is no circle."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = (
    ("calib.shown",),  # what may reach a terminal
    ("calib.errors", "calib.units"),  # sentences for users; the unit of measured values
    (
        "calib.devices",
        "calib.failures",
        "calib.files",
        "calib.runtime",
    ),  # files written whole; device, number type and random streams
    ("calib.data",),  # studies: readers, splits, scaling
    # the paper: its networks, losses, training loop and protocol
    (
        "calib.adam",
        "calib.layers",
        "calib.losses",
        "calib.minibatches",
        "calib.mmd",
        "calib.nets",
        "calib.protocol",
        "calib.replayed",
        "calib.rules",
        "calib.seeds",
        "calib.together",
        "calib.training",
    ),
    (
        "calib.comparators",
        "calib.evaluation",
    ),  # the algorithms inside comparators; metrics, distances, intervals
    ("calib.methods",),  # one file for each method, behind one contract
    ("calib.records",),  # finished runs and corrections on disk
    (
        "calib.config",
        "calib.overrides",
        "calib.registry",
    ),  # objects from YAML: how people type them, what may be built
    ("calib.runs",),  # from a configuration to a record, once or many times
    ("calib.estimators",),  # the same methods for scikit-learn
    ("calib.report",),  # tables, figures and verdicts from records
    ("calib.plates",),  # from a person's plates to an answer
    ("calib.commands",),  # the command ``calib``
    ("scripts", "run", "hydra_plugins"),  # commands
)
"""From the bottom to the top; a name stands for a module or for a package with all its modules."""

ROOT_PACKAGE = "calib"
"""``calib/__init__.py``: below all layers, since it holds only the version and imports nothing when it is
imported. It hands out the estimators when they are asked for, which is the one import that is not counted."""

Imports = Mapping[str, frozenset[tuple[str, str]]]
"""Module -> imported module, and the imported name or "" where it is the module itself."""


def modules(root: Path) -> dict[str, Path]:
    """Return the file of each module of the project by its dotted name."""
    files = [
        root / "run.py",
        *(f for d in ("calib", "scripts", "hydra_plugins") for f in (root / d).rglob("*.py")),
    ]
    names = {".".join(file.relative_to(root).with_suffix("").parts): file for file in files}
    return {name.removesuffix(".__init__"): file for name, file in names.items()}


def imports(root: Path) -> Imports:
    """Return the imports between the project's modules, those in functions and ``TYPE_CHECKING`` blocks too."""
    known = modules(root)
    found = {}
    for name, file in known.items():
        pairs = set(_imported(ast.parse(file.read_text(encoding="utf-8")), known, name))
        found[name] = frozenset(pairs) if name != ROOT_PACKAGE else frozenset()
    return found


def _imported(tree: ast.AST, known: Mapping[str, Path], importer: str) -> Iterator[tuple[str, str]]:
    beside = importer.rpartition(".")[0] + "."  # scripts import the scripts beside them by their bare names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                for module in (alias.name, beside + alias.name):
                    if module in known:
                        yield module, ""
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer}: imports are absolute"
            for alias in node.names:
                for module in (node.module or "", beside + (node.module or "")):
                    if f"{module}.{alias.name}" in known:
                        yield f"{module}.{alias.name}", ""
                    elif module in known:
                        yield module, alias.name


def layer(module: str) -> int:
    """Return the number of a module's layer, from 0 at the bottom; -1 for ``calib`` itself."""
    if module == ROOT_PACKAGE:
        return -1
    places = [i for i, names in enumerate(LAYERS) for n in names if module == n or module.startswith(f"{n}.")]
    assert len(places) == 1, f"{module} belongs to no layer of {Path(__file__).name}; add it to one"
    return places[0]


def upward(found: Imports) -> list[str]:
    """Return the imports from a higher layer, as text."""
    pairs = {(name, module) for name, pairs in found.items() for module, _ in pairs}
    return [f"{name} imports {module}" for name, module in sorted(pairs) if layer(module) > layer(name)]


def circles(found: Imports) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reached = {name: _reached(name, found) for name in found}
    groups = {
        frozenset(n for n in reached[name] if name in reached[n]) for name in found if name in reached[name]
    }
    return sorted(map(sorted, groups))


def _reached(start: str, found: Imports) -> set[str]:
    """Return all modules that a module imports, directly or through others."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = {module for module, _ in found[waiting.pop()]} - seen
        seen |= new
        waiting += new
    return seen


@pytest.fixture(scope="module")
def found() -> Imports:
    return imports(ROOT)


def test_no_import_runs_upwards(found: Imports) -> None:
    assert upward(found) == []


def test_there_is_no_circle(found: Imports) -> None:
    assert circles(found) == []


def test_no_module_uses_a_private_name_of_another(found: Imports) -> None:
    private = [
        f"{name} imports {module}.{imported}"
        for name, pairs in found.items()
        for module, imported in sorted(pairs)
        for part in (imported, module.rpartition(".")[2])
        if part.startswith("_") and not part.startswith("__")
    ]
    assert private == []


def test_every_layer_has_a_module(found: Imports) -> None:
    assert {layer(name) for name in found} == set(range(-1, len(LAYERS)))


def test_upward_imports_and_circles_are_found(tmp_path: Path) -> None:
    (tmp_path / "calib" / "data").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "run.py").write_text("import calib.data.a\n")
    (tmp_path / "calib" / "__init__.py").write_text("from calib import errors\n")
    (tmp_path / "calib" / "errors.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from calib.data.a import A\n"
    )
    (tmp_path / "calib" / "data" / "a.py").write_text("def f():\n    from calib.data import b\n")
    (tmp_path / "calib" / "data" / "b.py").write_text("from calib.errors import x\n")
    (tmp_path / "scripts" / "one.py").write_text("from two import x\n")
    (tmp_path / "scripts" / "two.py").write_text("import one\n")
    small = imports(tmp_path)
    assert upward(small) == ["calib.errors imports calib.data.a"]
    assert circles(small) == [
        ["calib.data.a", "calib.data.b", "calib.errors"],
        ["scripts.one", "scripts.two"],
    ]
