"""README and docs: links lead somewhere, files that are named exist, and commands run or say why not."""

import re
from pathlib import Path

import pytest

from calib.plates.checklist import items
from tests import page_commands
from tests.conftest import ROOT
from tests.renew_reforms import ITEM, renewed
from tests.renew_reforms import PAGE as REFORMS

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("[!R]*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FOLDERS = "calib|conf|docs|hydra_plugins|scripts|tests"
CODE = re.compile(rf"(?<![\w/.<>-])((?:{FOLDERS})/(?:[\w./-]+\.(?:py|yaml|md|csv|html|png)|[\w/-]+/(?=`)))")
RUN = [ROOT / "docs" / "ten-minutes.md"]
"""Pages whose commands a test runs, but for marked ones."""
OWN = ("cohort", "mine", "mycluster", "median_centre", "mean_alignment")
"""Names of files that a reader would write."""
LIKE = {"dataset=cohort": "dataset=table"} | {f"method={name}": "method=baseline" for name in OWN}
"""A choice of such a file -> one that has the same settings."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


@pages
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(prose):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


@pages
def test_files_that_are_named_exist(page: Path) -> None:
    for name in CODE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists() or Path(name).stem in OWN, f"{page.name}: {name}"


@pages
def test_every_command_block_is_run_or_says_why_not(page: Path) -> None:
    """Check the marks; and of commands that no test runs, that what they name is there."""
    for block in page_commands.blocks(page):
        assert block.kind, f"{page.name}: a block without a language:\n{block.text}"
        assert block.kind not in ("sh", "shell", "console"), f"{page.name}: call it bash:\n{block.text}"
        if block.kind != "bash":
            continue
        assert page in RUN or not block.runs, (
            f"{page.name}: no test runs this, and it has no mark:\n{block.text}"
        )
        if not block.runs:
            for words in page_commands.commands(block.text, ROOT):
                known = [LIKE.get(word, word) for word in words]
                assert not list(page_commands.faults(known)), f"{page.name}: {' '.join(words)}"


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page_commands.run(page, tmp_path)


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {page.relative_to(ROOT).as_posix() for page in PAGES[1:]} <= linked


def test_every_item_of_reforms_is_answered_with_a_link() -> None:
    page = REFORMS.read_text(encoding="utf-8")
    assert renewed() == page, "python -m tests.renew_reforms renews it"
    asked = items("reforms.csv")
    given = ITEM.findall(page)
    assert [number for number, _, _ in given] == [item["item"] for item in asked]
    assert not [number for number, _, answer in given if not LINK.search(answer)]
    parts = re.findall(r"^## (.+)$", page, flags=re.MULTILINE)
    assert parts == list(dict.fromkeys(item["section"] for item in asked))


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not line.startswith("<!-- ")]) <= 120
