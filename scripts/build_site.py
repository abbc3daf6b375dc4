"""Build the site in build/site/html from README, docs, docstrings, --help and the comments in conf/.

The pages are laid side by side in build/site/source, in folders as in the repository, so that their links
lead on. Sphinx then takes every warning for an error: a dead link, a page that no menu has, a docstring that
cannot be read. Nothing is downloaded, and the site loads nothing from other places.

  python scripts/build_site.py
"""

import contextlib
import io
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

from calib.commands import COMMANDS, usage
from calib.errors import CalibError
from calib.failures import command
from calib.runs.reference import pages
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
OWN = ROOT / "docs" / "site"
"""Settings of Sphinx, the menu, and the page of the names in Python."""

SETTINGS = re.compile(r"\]\((?P<up>(?:\.\./)?)conf/(?P<name>\w+)(?:/(?P<part>\w+))?(?:\.yaml)?/?\)")
RESULTS = re.compile(r"\]\(results(?:/archive)?/?\)")
"""Links to folders and files of settings, and to folders of results, for which the site has pages."""
SOURCES = re.compile(
    r"\[(?P<text>[^\]]*)\]\((?:\.\./)?(?:(?:calib|tests|scripts)/[^)]+|[\w.-]+\.(?:txt|yml|lock|toml))\)"
)
"""Links to other files of the repository, for which it has none."""


def lay_out(source: Path) -> None:
    """Write all pages of the site into an empty folder."""
    shutil.copytree(ROOT / "docs", source / "docs", ignore=shutil.ignore_patterns("site", "archive"))
    reference = source / "reference"
    reference.mkdir()
    made = pages(ROOT / "conf") | {"commands": commands_page(), "results": results_page()}
    for name, text in made.items():
        (reference / f"{name}.md").write_text(text, encoding="utf-8")
    shutil.copy(OWN / "python.md", reference)
    menu = (OWN / "index.md").read_text(encoding="utf-8")
    (source / "index.md").write_text(
        (ROOT / "README.md").read_text(encoding="utf-8") + menu, encoding="utf-8"
    )
    for name in ("SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for page in [*source.glob("*.md"), *(source / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        page.write_text(relinked(text, "" if page.parent == source else "../"), encoding="utf-8")


def relinked(text: str, up: str) -> str:
    """Return a page whose links to files of settings and to results lead to the pages that show those.

    Of a link to another file of the repository the words are left.

    Args:
        text: the page.
        up: the way from its folder to that of ``index.md``.
    """

    def page_of(link: re.Match[str]) -> str:
        if not (ROOT / "conf" / link["name"]).is_dir():
            return f"]({up}reference/lists.md#{link['name']})"
        return f"]({up}reference/{link['name']}.md{'#' + link['part'] if link['part'] else ''})"

    text = re.sub(r"\]\((?:\.\./)?README\.md", f"]({up}index.md", text)
    text = SOURCES.sub(r"\g<text>", text)
    return RESULTS.sub(f"]({up}reference/results.md)", SETTINGS.sub(page_of, text))


def commands_page() -> str:
    """Return the page with the help of every command."""
    parts = ["# Command line", "These are the texts of `--help`.", block(usage())]
    for name, what in COMMANDS.items():
        parts += [
            f"## calib {name}",
            f"{what[0].upper()}{what[1:].split(': calib')[0]}.",
            block(help_of(name)),
        ]
    return "\n\n".join(parts) + "\n"


def help_of(name: str) -> str:
    """Return what ``calib <name> --help`` prints."""
    before, told = sys.argv, io.StringIO()
    sys.argv = [f"calib {name}", "--help"]
    try:
        with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
            import_module(f"calib.commands.{name}").command_line()
    finally:
        sys.argv = before
    return told.getvalue().strip()


def block(text: str) -> str:
    """Return text as it is, between fences."""
    return f"```text\n{text}\n```"


def results_page() -> str:
    """Return the page with the files of measured results."""
    files = sorted((ROOT / "docs" / "results").glob("*.csv"))
    rows = {file.name: len(file.read_text(encoding="utf-8").splitlines()) - 1 for file in files}
    lines = [f"- [{name}](../docs/results/{name}), {n} rows" for name, n in rows.items()]
    text = (
        "The tables of the pages are made from these files. The folder `docs/results/archive` of the "
        "repository has the predictions of every planned run ([how](../docs/records.md#the-archive))."
    )
    return "\n\n".join(["# Results", text, "\n".join(lines)]) + "\n"


def main(site: Path = SITE) -> None:
    """Build the site.

    Args:
        site: folder for it; the pages are laid out in ``source`` there, and the site is in ``html``.

    Raises:
        CalibError: Sphinx is not installed, or found a fault in the pages.
    """
    try:
        from sphinx.cmd.build import build_main
    except ImportError as error:
        raise CalibError("The site needs Sphinx: pip install -c constraints.txt -e '.[docs]'.") from error
    source, html = site / "source", site / "html"
    for folder in (source, html):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    lay_out(source)
    options = ["--builder=html", "--fail-on-warning", "--conf-dir", str(OWN), "--quiet"]
    if build_main([*options, str(source), str(html)]):
        raise CalibError(f"The site has the faults above; its pages are in {source}.")
    say(str(html / "index.html"))


if __name__ == "__main__":
    with command():
        main()
