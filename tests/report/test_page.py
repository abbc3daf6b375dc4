"""The report page: its content, odd names, gaps, no network, the same bytes twice, and a browser's view."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from calib.errors import CalibError
from calib.report.exhibits import MISSING, Ruling, Table, Verdict, write_table
from calib.report.figures.gallery import Drawn
from calib.report.page.forest import Forest, Line
from calib.report.page.page import Content, Section, overview, write_page
from calib.report.page.parts import IMAGE_WIDTH, STACKED_WIDTH, Shown
from calib.report.page.said import answer

ODD = ("<script>alert(1)</script>", "a & b", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=10000", "--enable-logging=stderr", "--window-size=1700,900", "--dump-dom"),
)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Read(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.classes: dict[str, set[str]] = {}
        self.text = ""
        self.inside: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "data", "action", "poster"):
                self.sources.append(value or "")
        if tag in ("td", "th"):
            self.inside = set((dict(attrs).get("class") or "").split())

    def handle_data(self, data: str) -> None:
        self.text += data
        if data.strip():
            self.classes[data.strip()] = self.inside


def made_figure(folder: Path, name: str, kinds: tuple[str, ...] = ("png", "pdf"), width: int = 1600) -> Drawn:
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        if kind == "png":
            noise = np.random.default_rng(0).integers(0, 255, (40, width, 4), dtype="uint8")
            Image.fromarray(noise, "RGBA").save(folder / f"{name}.png")
        else:
            (folder / f"{name}.{kind}").write_text("print")
    return Drawn(name, "Figure 2. Maps", f"What {name} shows.", [f"{name}.png", f"{name}.pdf"])


def made_table(name: str, columns: int = 9) -> Table:
    """Return a table with three lines for each row."""
    rows = [
        [split, target, line, *(MISSING if i == 2 else f"0.{i}47 ± 0.026 (5)" for i in range(columns))]
        for split in ("1, 2", "3, 4")
        for target in ("3", "4")
        for line in ("printed", "ours", "difference")
    ]
    heads = ["sources", "target", "", *(f"method {i}" for i in range(columns))]
    return Table(
        name, f"Title of {name}", f"Caption of {name}.", heads, rows, pd.DataFrame({"x": [1]}), "run me"
    )


def made_verdicts() -> list[Verdict]:
    """Return verdicts of every outcome in three studies."""
    claims = [f"The joint model is more accurate than method {i}" for i in range(12)]
    many = [
        Verdict(claim, study, protocol, ".816", ".747, 95% interval .721 to .773", outcome, "The rule.")
        for claim in claims
        for study, outcome in zip(("mi", "chd", "pancreas"), Ruling, strict=False)
        for protocol in ("paper", "released")
    ]
    return [*many, Verdict("cohort sizes", "mi", "", "3980", "3980", Ruling.MISSING, "Equal.")]


def made_forest() -> Forest:
    """Return two methods, one of which was run under one protocol and has no printed number."""
    both = {"paper": (0.747, 0.71, 0.78), "released": (0.805, 0.79, 0.82)}
    return Forest(
        "MI", [Line("ComBat", None, {"paper": (0.82, 0.8, 0.84)}), Line("Joint", 0.816, both, True)]
    )


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """Return the content of a page with every possible part; its files are in ``tmp_path / "report"``."""
    figures = tmp_path / "report" / "figures"
    shown = [Shown(made_figure(figures, name), figures, f"draw {name}") for name in ("maps", "losses")]
    tables = [made_table("table_1b"), made_table("table_2b", columns=14)]
    write_table(tables[0], tmp_path / "report" / "tables")
    return Content(
        made_verdicts(),
        [made_forest()],
        [
            Section("MI", "One study.", tables, shown),
            Section("All studies", tables=[made_table("timing", 2)]),
        ],
        ["chd 12_34 desc seed 1 failed: the loss is no longer a number."],
        {"Hardware": {"processor": "one", "threads": 1}, "Data": {"mi": "0f" * 32}},
        {"make report": "this page"},
        tables=tmp_path / "report" / "tables",
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report" / "index.html"


def test_everything_is_there(content: Content, file: Path) -> None:
    write_page(file, content)
    read = Read(file)
    assert (read.tags["h1"], read.tags["main"], read.tags["img"], read.tags["figure"]) == (1, 1, 2, 3)
    assert read.tags["table"] == read.tags["caption"] == 3 + 2  # the overview and the claims
    for said in ("Title of table_1b", "Caption of table_2b.", "What maps shows.", "draw losses", "run me",
                 "make report", "0f" * 32, "failed: the loss", "95% interval .721", "The rule."):  # fmt: skip
        assert said in read.text
    counts = Counter(verdict.outcome for verdict in content.verdicts)
    for outcome in Ruling:
        assert (f"{counts[outcome]} {outcome}" in read.text) == (counts[outcome] > 0)
    assert {"table_1b", "table_2b", "timing", "maps", "losses", "verdict-1", "verdict-72"} <= set(read.ids)
    assert "verdict-73" not in read.ids  # not run, so among what is missing
    assert "Not judged on MI: cohort sizes (3980)." in read.text
    assert read.text.count("The rule.") == 1  # of twelve claims in three studies


def judged(claim: str, study: str, protocol: str, outcome: Ruling) -> Verdict:
    return Verdict(claim, study, protocol, "", "", outcome, "A rule.")


def test_the_answer_comes_from_the_verdicts() -> None:
    level, combat = "level of joint's average accuracy", "joint beats ComBat"
    verdicts = [
        judged(level, "mi", "paper", Ruling.NO),
        judged(level, "mi", "released", Ruling.YES),
        judged(level, "chd", "paper", Ruling.YES),
        judged(level, "chd", "released", Ruling.YES),
        judged(combat, "mi", "paper", Ruling.NO),
        judged(combat, "mi", "released", Ruling.UNTOLD),
        judged("joint beats Recon_T, which reconstructs targets too", "chd", "paper", Ruling.YES),
    ]
    counted, level_said, beaten = (re.sub("<.*?>", "", sentence) for sentence in answer(verdicts))
    assert counted.startswith("Of 7 verdicts (3 claims on MI and CHD, by the rules of the text and ")
    assert "4 say reproduced, 2 not reproduced; 1 is not settled" in counted
    assert level_said == (
        "The joint model reproduces the printed accuracy on MI by the code and CHD by both; "
        "not on MI by the text."
    )
    assert beaten == (
        "The joint model is beaten by ComBat (MI by the text); it beats Recon_T (CHD by the text)."
    )
    assert "does not reproduce the printed accuracy</b> anywhere." in answer(verdicts[:1])[1]
    assert (
        "is not settled; undecided on MI by the text."
        in answer([judged(level, "mi", "paper", Ruling.OPEN)])[1]
    )
    (alone,) = answer([judged("cohort sizes", "mine", "", Ruling.YES)])
    assert "(1 claim on mine)" in alone
    assert answer([]) == []


def test_the_first_screen_has_methods_with_printed_numbers(content: Content, file: Path) -> None:
    write_page(file, content)
    html = file.read_text()
    first = html[: html.index('<nav id="contents"')]
    assert first.count('class="row"') == 2 * 2  # wide and narrow
    assert first.count("point hollow over") == 2  # of the joint model alone
    assert "Joint: paper 0.747 (0.71–0.78), released 0.805 (0.79–0.82); printed 0.816" in first
    assert "– · " not in first
    assert "0.82 · –" in first  # ComBat was run under one protocol
    assert '<div class="overview">' not in first


def test_nothing_is_loaded_and_every_link_leads_somewhere(content: Content, file: Path) -> None:
    write_page(file, content)
    read, html = Read(file), file.read_text()
    assert all(source.startswith("data:image/webp;base64,") for source in read.sources)
    assert not re.search(r"url\(|@import|<link|<iframe|<script [^>]*src|<object", html)
    assert max(Counter(read.ids).values()) == 1
    for link in read.links:
        if link.startswith("#"):
            assert link[1:] in read.ids
        elif not link.startswith("https://doi.org/"):
            assert (file.parent / link).is_file()
    assert {"figures/maps.pdf", "tables/table_1b.csv"} <= set(read.links)
    assert "tables/table_2b.csv" not in read.links  # not written


def test_names_are_shown_not_run(content: Content, file: Path) -> None:
    for odd in ODD:
        table = replace(made_table("odd"), name=odd, title=odd, caption=odd, command=odd)
        table = replace(table, heads=[odd] * 4, rows=[[odd] * 4], numbers=pd.DataFrame())
        drawn = content.sections[0].figures[0]
        shown = replace(drawn, command=odd, figure=replace(drawn.figure, title=odd))
        shown = replace(shown, figure=replace(shown.figure, name=odd, caption=odd))
        verdict = Verdict(odd, odd, odd, odd, odd, Ruling.YES, odd)
        section = Section(odd, odd, [table], [shown])
        forest = Forest(odd, [Line(odd, 0.5, {"paper": (0.6, 0.5, 0.7)})])
        write_page(
            file, Content([verdict], [forest], [section], [odd], {odd: {odd: odd}}, {odd: odd}, odd, odd)
        )
        read = Read(file)
        assert (read.tags["script"], read.tags["img"]) == (1, 1)
        assert read.text.count(odd) >= 25


def test_gaps_are_said(content: Content, file: Path) -> None:
    gone = Shown(Drawn("gone", "Gone", "A caption.", ["gone.png", "gone.pdf"]), file.parent, "draw gone")
    write_page(file, replace(content, sections=[Section("MI", figures=[gone]), Section("CHD")]))
    read = Read(file)
    assert "Figure gone has no image; draw gone draws it." in read.text
    assert "CHD: nothing of it is recorded." in read.text
    assert "4 gaps" in read.text  # with the failed run, and the claim that was not judged
    assert read.ids.count("CHD") == 0
    write_page(file, Content())
    assert "Nothing: every planned run" in Read(file).text
    assert "No claim has been judged." in Read(file).text


def test_the_same_bytes_twice(content: Content, file: Path) -> None:
    write_page(file, content)
    first = file.read_bytes()
    write_page(file, content)
    assert file.read_bytes() == first
    assert [one.name for one in file.parent.iterdir() if one.name.startswith(".")] == []


def test_images_are_smaller_and_white_below(content: Content, file: Path, tmp_path: Path) -> None:
    write_page(file, content)
    sizes = re.findall(r'<img src="[^"]+" width="(\d+)" height="(\d+)" alt="([^"]+)"', file.read_text())
    assert [(int(a), int(b)) for a, b, _ in sizes] == [(IMAGE_WIDTH, 35)] * 2
    assert all(alt for *_, alt in sizes)
    png = tmp_path / "report" / "figures" / "maps.png"
    png.write_bytes(png.read_bytes()[:100])
    with pytest.raises(CalibError, match=r"maps\.png cannot be read; delete it"):
        write_page(file, content)


def test_a_place_that_cannot_be_written_to(content: Content, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CalibError, match="taken cannot be written to"):
        write_page(tmp_path / "taken" / "index.html", content)


def test_the_overview_spans_protocols() -> None:
    found = overview(made_verdicts())
    assert found["studies"] == {study: ["paper", "released"] for study in ("mi", "chd", "pancreas")}
    last = found["rows"]["cohort sizes"]
    assert [(cell["span"], len(cell["verdicts"])) for cell in last] == [(2, 1), (2, 0), (2, 0)]
    first = next(iter(found["rows"].values()))
    assert [cell["span"] for cell in first] == [1] * 6
    assert [cell["verdicts"][0][0] for cell in first] == list(range(6))
    alone = overview([Verdict("c", "mi", "", "", "", Ruling.YES, "")])
    assert alone["studies"] == {"mi": [""]}
    both = overview([Verdict("c", "mi", p, "", "", Ruling.YES, "") for p in ("", "paper", "paper")])
    assert [len(cell["verdicts"]) for cell in both["rows"]["c"]] == [3]


def test_columns_look_like_what_they_hold(content: Content, file: Path) -> None:
    write_page(file, content)
    classes = Read(file).classes
    assert "number" in classes["0.347 ± 0.026 (5)"]
    assert {"stay", "first"} <= classes["1, 2"]
    assert "stay" in classes["difference"]
    assert "number" not in classes["difference"]
    assert {"gone", "number"} <= classes[MISSING]
    assert "stay" not in classes["method 1"]
    assert re.findall(r'class="exhibit broad" id="(\w+)"', file.read_text()) == ["table_2b"]


def looked_at(page: str, folder: Path, widths: tuple[int, ...] = (390, 1280)) -> tuple[list[dict], list[str]]:
    """Return a browser's measurements of a page in windows of these widths, and the lines of its console."""
    # A window is never narrower than 500 pixels, but a frame can be, so frames send their sizes to their parent.
    measure = """<script>addEventListener("load", () => parent.postMessage({
        width: innerWidth, fits: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
        tables: document.querySelectorAll("table").length,
        images: [...document.images].map(image => image.naturalWidth) }, "*"))</script>"""
    page = re.sub(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", page)
    (folder / "page.html").write_text(page.replace("</body>", f"{measure}</body>"))
    frames = "".join(f'<iframe src="page.html" width="{width}" height="800"></iframe>' for width in widths)
    (folder / "frames.html").write_text(
        "<script>const all = []; addEventListener('message', event => { all.push(event.data);"
        "document.documentElement.dataset.all = JSON.stringify(all) })</script>" + frames
    )
    dom, said = run_browser(folder / "frames.html", folder)
    found = re.search(r'data-all="([^"]*)"', dom)
    return json.loads(unescape(found[1])) if found else [], said


def run_browser(file: Path, folder: Path) -> tuple[str, list[str]]:
    """Return the document as it is after its scripts have run, and the lines of the console."""
    assert CHROMIUM
    command = [CHROMIUM, *SWITCHES, f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@in_browser
def test_a_browser_shows_all_of_it(content: Content, file: Path, tmp_path: Path) -> None:
    odd = Section(
        ODD[0], " ".join(ODD), [replace(made_table("long"), caption="word" * 99, command="x" * 300)]
    )
    write_page(file, replace(content, sections=[*content.sections, odd], commands={"y" * 300: "z" * 300}))
    seen, said = looked_at(file.read_text(), tmp_path)
    assert said == []
    assert sorted(one["width"] for one in seen) == [390, 1280]
    for one in seen:
        assert one["fits"], one
        assert one["images"] == [IMAGE_WIDTH] * 2
        assert one["tables"] == 4 + 2


SORTS = """<script>addEventListener("load", () => {
    const table = document.querySelector("#plain table");
    table.tHead.rows[0].cells[1].querySelector("button").click();
    document.title = [...table.tBodies[0].rows].map((row) => row.cells[0].textContent).join(" ");
})</script>"""


@pytest.mark.slow
@in_browser
def test_a_plain_table_is_sorted_by_the_page_s_own_script_alone(
    content: Content, file: Path, tmp_path: Path
) -> None:
    rows = [["one", "0.5"], ["two", "0.7 ± 0.1"], ["three", MISSING], ["four", "0.6"]]
    table = Table("plain", "Plain", "Caption.", ["method", "accuracy"], rows, pd.DataFrame())
    write_page(file, replace(content, sections=[Section("One", tables=[table, made_table("beside")])]))
    html = file.read_text()
    assert html.count(' sortable"') == 1  # lines that belong together stay together
    dom, said = run_browser(file, tmp_path)
    assert (said, 'data-js="1"' in dom) == ([], True)
    blocked = tmp_path / "blocked.html"
    blocked.write_text(html.replace("</body>", f"{SORTS}</body>"))
    dom, said = run_browser(blocked, tmp_path)
    assert any("Content Security Policy" in line for line in said)
    allowed = re.sub(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", blocked.read_text())
    blocked.write_text(allowed)
    dom, _ = run_browser(blocked, tmp_path)
    assert "<title>two four one three</title>" in dom  # the largest first, what has no number last


def test_a_phone_gets_the_stacked_drawing(content: Content, file: Path) -> None:
    figures = file.parent / "figures"
    drawn = replace(made_figure(figures, "maps"), stacked="maps_stacked.png")
    drawn = replace(drawn, files=[*drawn.files, "maps_stacked.png"])
    Image.new("RGB", (900, 1800), "white").save(figures / "maps_stacked.png")
    write_page(file, replace(content, sections=[Section("MI", figures=[Shown(drawn, figures)])]))
    html = file.read_text()
    (width, height) = re.findall(
        r'<source media="[^"]+" srcset="data:[^"]+" width="(\d+)" height="(\d+)"', html
    )[0]
    assert (int(width), int(height)) == (STACKED_WIDTH, 2 * STACKED_WIDTH)
    assert len(re.findall(r'<img src="data:[^"]+" width="1400"', html)) == 1
    assert 'class="exhibit drawing"' in html
    assert "drawing whole" not in html


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize(
    ("wrong", "sign"),
    [
        ("<script>throw new Error('on purpose')</script>", "on purpose"),
        ("<script>console.warn('on purpose')</script>", "on purpose"),
        ('<img src="https://example.invalid/x.png">', "Content Security Policy"),
        ('<div style="width: 2000px">wide</div>', ""),
    ],
)
def test_the_browser_would_tell(wrong: str, sign: str, content: Content, file: Path, tmp_path: Path) -> None:
    write_page(file, content)
    seen, said = looked_at(file.read_text().replace("</main>", f"{wrong}</main>"), tmp_path)
    assert len(seen) == 2
    if sign:
        assert any(sign in line for line in said)
    else:
        assert not any(one["fits"] for one in seen)
