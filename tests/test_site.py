"""The site: its menu has every page, its lists every setting; and Sphinx finds no fault in it."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from calib.runs.reference import GROUPS, LISTS, pages, settings
from tests.conftest import CONF, ROOT

SCRIPT = ROOT / "scripts" / "build_site.py"
MENU = (ROOT / "docs" / "site" / "index.md").read_text(encoding="utf-8")
KINDS = ["Tutorials", "How-to", "Reference", "Explanation"]


def test_the_menu_has_every_page_once_under_four_headings() -> None:
    assert re.findall(r":caption: (.+)", MENU) == KINDS
    listed = re.findall(r"<(?:docs/)?([\w/-]+)>", MENU)
    made = {f"reference/{name}" for name in ("commands", "settings", "python", "results")}
    assert sorted(listed) == sorted(
        {file.stem for file in (ROOT / "docs").glob("*.md")}
        | made
        | {"SECURITY", "CHANGELOG", "CONTRIBUTING"}
    )


def test_every_setting_is_listed_with_its_comment() -> None:
    made = pages(CONF)
    assert set(made) == {*GROUPS, "run", "lists", "settings"}
    assert {folder.name for folder in CONF.iterdir() if folder.is_dir()} - {"hydra"} == set(GROUPS)
    for group in GROUPS:
        for file in sorted((CONF / group).glob("*.yaml")):
            assert f"\n## {file.stem}\n" in made[group]
            for name, value, comment in [] if group in LISTS else settings(file):
                assert comment, f"{file.name}: {name}={value}"
                assert re.search(rf"`[\w.]*{re.escape(name)}\b.*`\n: \S", made[group]), f"{file.name}: {name}"
    assert "`mix.share=null`\n: share of the class" in made["run"]


def test_links_that_leave_the_pages_lead_to_pages() -> None:
    relinked = runpy.run_path(str(SCRIPT))["relinked"]
    assert relinked("[a](../conf/dataset/mi.yaml)", "../") == "[a](../reference/dataset.md#mi)"
    assert relinked("[a](../conf/corrector)", "../") == "[a](../reference/corrector.md)"
    assert relinked("[a](conf/answer.yaml)", "") == "[a](reference/lists.md#answer)"
    assert relinked("[nets](../calib/nets.py), [pins](../constraints.txt)", "../") == "nets, pins"
    assert relinked("[a](results/archive)", "../") == "[a](../reference/results.md)"
    assert relinked("[a](results/runs.csv), [b](paper.md#x)", "") == "[a](results/runs.csv), [b](paper.md#x)"


@pytest.mark.slow
def test_sphinx_finds_no_fault_and_the_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; from pathlib import Path; runpy.run_path(sys.argv[1])['main'](Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    html = {file: file.read_text(encoding="utf-8") for file in (tmp_path / "html").rglob("*.html")}
    laid_out = (file.relative_to(tmp_path / "source") for file in (tmp_path / "source").rglob("*.md"))
    assert {tmp_path / "html" / page.with_suffix(".html") for page in laid_out} <= set(html)
    for file, text in html.items():
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"(?:https?:)?//[^\"]*", text)
        assert not loaded, f"{file.name}: {loaded}"
    for style in (tmp_path / "html").rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", style.read_text(encoding="utf-8")), (
            style.name
        )
