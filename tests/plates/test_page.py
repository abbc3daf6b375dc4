"""The page of a study: what it says, odd names, the same bytes, and a browser's view of it."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from calib.errors import CalibError
from calib.plates.answer import Answer, Expected
from calib.plates.page.call_tables import evenly
from calib.plates.page.grid import MOST_CALLS
from calib.plates.page.page import page, write_page
from calib.plates.page.said import answer_in_three, rules
from calib.plates.page.sample_map import MOST_POINTS
from calib.plates.page.squares import wilson
from calib.report.figures.style import BATCH_COLOURS, CLASS_COLOURS
from calib.report.page.svg import (
    CONTRAST,
    DARK_PAPER,
    PAPER,
    Scale,
    class_look,
    contrast,
    legible,
    plate_look,
    short,
    tag,
    two_lines,
)
from tests.plates.made_answer import (
    labelled_in_part,
    made_answer,
    nothing_above_the_floor,
    nothing_to_call,
    one_labelled_plate,
    thirteen_classes,
    ugly_names,
)

VARIANTS = (
    made_answer,
    thirteen_classes,
    nothing_above_the_floor,
    one_labelled_plate,
    nothing_to_call,
    labelled_in_part,
    ugly_names,
)
CHARTS = {"forest", "plates", "counts", "importance", "reliability", "benefit", "map"}

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
AXE = os.environ.get("AXE")
"""The file ``axe.min.js`` of axe-core, which checks what a person without sight or pointer gets."""

SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=20000", "--enable-logging=stderr", "--window-size=1400,900", "--dump-dom"),
)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
variants = pytest.mark.parametrize("made", VARIANTS, ids=lambda made: made.__name__)
Make = Callable[[], Answer]


class Read(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.refers: list[str] = []
        self.links: list[str] = []
        self.charts: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "data", "action", "poster"), (tag, name)
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name in ("aria-describedby", "aria-labelledby", "for"):
                self.refers += (value or "").split()
        given = dict(attrs)
        if tag == "svg" and given.get("role") == "img":
            assert given.get("aria-label")
            name = (given.get("aria-describedby") or "").removesuffix("-desc")
            self.charts.add(name.removesuffix("-wide").removesuffix("-narrow"))

    def handle_data(self, data: str) -> None:
        self.text += data


def said(answer: Answer) -> list[str]:
    """Return the three sentences without their tags."""
    return [
        re.sub(r"<[^>]+>", "", str(one)).replace("\N{NO-BREAK SPACE}", " ") for one in answer_in_three(answer)
    ]


def test_everything_is_there() -> None:
    answer = made_answer()
    read = Read(page(answer))
    assert read.charts == CHARTS
    assert (read.tags["h1"], read.tags["main"], read.tags["script"]) == (1, 1, 2)
    assert {"calls", "design", "comparison", "trust", "map", "features", "methods-used"} <= set(read.ids)
    assert answer.choice
    assert answer.trust
    assert answer.features
    for sentence in (
        *(finding.text for finding in answer.design.findings),
        *answer.choice.caveats,
        *answer.trust.caveats,
        *answer.features.caveats,
        *answer.warnings,
        answer.choice.rule,
        answer.command,
        "0f" * 32,
        *answer.design.tables,
        "It needs at least 2 samples",
    ):
        assert sentence in read.text
    for name in answer.methods["label"]:
        assert name in read.text


def test_the_answer_in_three_sentences() -> None:
    best, gain, calls = said(made_answer())
    assert best == (
        "Best of 5 methods on 3 labelled plates is Joint+ (balanced accuracy 0.84, gain +0.07 over no calibration). "
        "Picked by the other plates, a method reaches 0.83 on a plate whose labels it does not know (95 % interval 0.78 "
        "to 0.87; a single further plate 0.70 to 0.93): that is what to expect. With shuffled labels the best method "
        "reaches up to 0.58."
    )
    assert gain == "Choosing gains 0.06 over no calibration (95 % interval +0.02 to +0.10)."
    assert re.match(
        r"\d+ of 58 subjects on 2 plates without labels get an answer \(\d+ × control, \d+ × case\)", calls
    )
    assert (
        "At most about 10 % of the answers will be wrong if these plates are like the labelled ones" in calls
    )


def test_what_is_not_known_is_said() -> None:
    answer = made_answer()
    assert answer.choice
    assert answer.trust
    nan = float("nan")
    none = replace(answer, choice=replace(answer.choice, method="none", label="No calibration"))
    assert said(none)[0].startswith(
        "Best of 5 methods on 3 labelled plates is No calibration (balanced accuracy 0.77). Picked"
    )
    assert said(none)[1] == "No other method is better on these plates: calibration gains nothing here."
    alone = replace(none, methods=answer.methods[answer.methods["method"] == "none"])
    assert said(alone)[0].startswith(
        "One method was compared on 3 labelled plates: No calibration. It reaches a balanced accuracy of 0.83 on a plate"
    )
    assert (
        said(alone)[1] == "No other method was compared, so nothing here tells what calibration would gain."
    )
    refused = replace(none, methods=answer.methods[answer.methods["method"].isin(["none", "combat_d"])])
    assert said(refused)[1].startswith("No other method could be judged, so")
    worse = replace(answer, choice=replace(answer.choice, gain=Expected(-0.05, -0.08, -0.02)))
    assert said(worse)[1] == (
        "Choosing was a loss here: the difference to no calibration is −0.05 (95 % interval −0.08 to −0.02). "
        "No calibration (0.77) is better: methods=none calls with it."
    )
    for gain, words in (
        (Expected(nan, nan, nan), "cannot be told"),
        (Expected(0.1, nan, nan), "no interval"),
    ):
        assert words in said(replace(answer, choice=replace(answer.choice, gain=gain)))[1]
    unfloored = replace(answer, choice=replace(answer.choice, floor=nan, above_floor=False))
    assert "was not measured" in said(unfloored)[0]
    short_of = replace(answer.choice, nested=Expected(0.8, nan, nan), next_plate=Expected(0.8, nan, nan))
    assert (
        "reaches 0.80 on a plate whose labels it does not know (no interval can be told)"
        in said(replace(answer, choice=short_of))[0]
    )
    silent = answer.subject_calls.assign(answer="abstained")
    assert said(replace(answer, subject_calls=silent))[2].startswith("None of 58 subjects")
    for changed in (none, worse, unfloored, replace(answer, choice=short_of)):
        page(changed)


def test_nothing_above_chance_is_said_first() -> None:
    best, gain, calls = said(nothing_above_the_floor())
    assert best.startswith("Nothing here is above chance, and the calls should not be used")
    assert gain.startswith(
        "Choosing gained nothing here that can be told: the difference to no calibration is −0.01"
    )
    assert "methods=none" not in gain
    assert calls.endswith("Do not use them.")
    html = page(nothing_above_the_floor())
    assert (
        html.index("Nothing here is above chance")
        < html.index("Read this first")
        < html.index("Methods compared")
    )
    assert "Plate 2 has only the class case" in Read(html).text


def test_one_labelled_plate() -> None:
    best, _, calls = said(one_labelled_plate())
    assert best.startswith("No method can be chosen: only one plate, plate 1, has labels")
    assert "with nothing that says how sure" in calls
    none = one_labelled_plate().design
    unlabelled = replace(none, plates=none.plates.assign(labelled=False))
    assert "no plate has labels" in said(replace(one_labelled_plate(), design=unlabelled))[0]
    read = Read(page(one_labelled_plate()))
    assert read.charts == {"counts", "map"}
    assert not {"comparison", "trust", "features"} & set(read.ids)


def test_samples_of_a_plate_that_is_labelled_in_part() -> None:
    answer = labelled_in_part()
    best, gain, calls, part = said(answer)
    assert "(balanced accuracy 0.85, gain 0.00 over no calibration)" in best
    assert gain.endswith("No calibration (0.85) is as good as far as is known: methods=none calls with it.")
    assert "if this plate is like the labelled ones; on left-out plates 6 % to 14 % were." in calls
    assert part == (
        "The samples of '3 (unlabelled)' lie on plate 3, whose other samples the model learns from; "
        "when plate 3 was left out, 14 % of the answers were wrong."
    )
    assert said(replace(answer, trust=None))[3].endswith("the model learns from.")
    both = answer.subject_calls.assign(plate=["1 (unlabelled)", *["3 (unlabelled)"] * 29])
    calls_of_both = answer.calls.assign(plate=["1 (unlabelled)", *["3 (unlabelled)"] * 59])
    part = said(replace(answer, calls=calls_of_both, subject_calls=both))[3]
    assert part.startswith("The samples of 2 plates, such as '1 (unlabelled)', lie on plates whose")
    assert re.search(r"when such plates were left out, \d+ % to 14 % of the answers were wrong\.$", part)


def test_the_calls_say_what_they_rest_on() -> None:
    answer = labelled_in_part()
    assert answer.trust
    html = page(answer)
    table = html[html.index('id="calls-subject"') : html.index('id="calls-subject--note"')]
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', table)
    assert heads == [
        *("subject", "answer", "P(MI)", "P(control)", "cannot be ruled out", "samples that agree")
    ]
    assert table.count("unusual sample") == answer.subject_calls["unusual"].sum() == 1
    assert table.count(">1 of 2</td>") == (answer.subject_calls["agree"] == 0.5).sum() == 4
    read = Read(html)
    for words in (
        *rules(answer),
        "Unusual sample: one lies far from",
        "the chosen method: Every batch to mean 0 and standard deviation 1, then logistic regression. (A batch is a plate.)",
        "Made for research with calib 0.9.0; no diagnosis should rest on this page alone.",
    ):
        assert words in read.text


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (0.79, "is at least 79.0 %: then"),
        (0.796, "is at least 80 %: then"),
        (0.0, "Every subject gets an answer"),
        (2.0, "No subject gets an answer"),
    ],
)
def test_a_limit_has_the_digits_that_tell(confidence: float, words: str) -> None:
    answer = made_answer()
    assert answer.trust
    calls = answer.subject_calls.head(2).assign(
        calibrated_case=[0.788, 0.31], calibrated_control=[0.212, 0.69], answer="abstained"
    )
    trust = replace(answer.trust, confidence=confidence)
    changed = replace(answer, subject_calls=calls, trust=trust)
    assert words in " ".join(rules(changed)).replace("\N{NO-BREAK SPACE}", " ")
    assert (">0.788</td>" in page(changed)) == (confidence == 0.79)


def test_nothing_to_call() -> None:
    assert said(nothing_to_call())[2] == "Every plate has labels, so there is nothing to call."
    read = Read(page(nothing_to_call()))
    assert "calls" not in read.ids
    assert {"calls.csv", "methods.csv"} <= set(read.links)


def test_an_answer_of_empty_tables() -> None:
    answer, empty = one_labelled_plate(), pd.DataFrame()
    read = Read(
        page(
            replace(
                answer, calls=empty, subject_calls=empty, mixes=empty, map=pd.DataFrame(columns=["x", "y"])
            )
        )
    )
    assert read.charts == {"counts"}


@variants
def test_links_and_names_of_parts(made: Make) -> None:
    answer = made()
    html = page(answer)
    read = Read(html)
    assert max(Counter(read.ids).values()) == 1
    assert not re.search(r"url\(|@import|<link|<iframe|<object|<img|https?://", html)
    assert set(read.refers) <= set(read.ids)
    for link in read.links:
        assert (
            link.removeprefix("#") in read.ids
            if link.startswith("#")
            else ":" not in link and "//" not in link
        )
    assert "script-src 'sha256-" in html
    assert html == page(made())


def test_names_are_shown_not_run() -> None:
    html = page(ugly_names())
    read = Read(html)
    assert (read.tags["script"], read.tags["img"]) == (2, 0)
    for name in ("<script>alert(1)</script>", "a & b", "{{ 7 * 7 }}", "名前", "'quoted' \"twice\""):
        assert read.text.count(name) >= 3, name
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "\\x1b[31m" in html
    data = html[html.index('id="map-data">') :]
    assert json.loads(data[data.index("{") : data.index("</script>")])["plates"][1] == "a & b"


def test_calls_are_cut_evenly_and_the_map_too() -> None:
    answer = thirteen_classes()
    shown = evenly(answer.calls, MOST_CALLS)
    sizes = shown["plate"].value_counts()
    assert set(sizes) == {MOST_CALLS // 12}
    assert evenly(answer.calls.head(9), MOST_CALLS).equals(answer.calls.head(9))
    assert len(evenly(answer.calls, 5)) == 5
    html = page(answer)
    assert f"{MOST_POINTS} of {len(answer.map)} samples are drawn." in html
    assert f"{len(shown)} of {len(answer.calls)} samples, of each plate as many." in html
    assert html.count("<use ") == 2 * MOST_POINTS
    assert "Of 49 methods 15 are drawn." in html
    assert (
        "No calibration"
        in html[html.index('class="chart wide"') : html.index("balanced accuracy on left-out")]
    )


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CalibError, match="taken cannot be written to"):
        write_page(tmp_path / "taken" / "index.html", made_answer())
    write_page(tmp_path / "out" / "index.html", made_answer())
    assert (tmp_path / "out" / "index.html").read_text(encoding="utf-8") == page(made_answer())


def test_marks_can_be_seen_and_told_apart() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # a value that is often quoted
    for paper in (PAPER, DARK_PAPER):
        changed = [legible(colour, paper) for colour in (*BATCH_COLOURS, *CLASS_COLOURS)]
        assert all(contrast(colour, paper) >= CONTRAST for colour in changed)
        assert len(set(changed)) == len(changed)
    assert len({plate_look(i) for i in range(42)}) == 42
    assert len({class_look(i) for i in range(54)}) == 54
    css = page(made_answer())
    for paper in (PAPER.replace("#ffffff", "#fff"), DARK_PAPER):
        assert f"--paper: {paper};" in css


def test_parts_of_drawings() -> None:
    assert (
        tag("g", "a<b", data_tip='"', x=1.25, y=-0.04, z=None)
        == '<g data-tip="&#34;" x="1.2" y="0">a&lt;b</g>'
    )
    assert Scale(0.0, 1.0, 10.0, 110.0)(0.5) == 60
    assert Scale(0.0, 1.0, 10.0, 110.0)(7.0) == 110
    assert Scale(0.52, 0.98, 0.0, 1.0).ticks(5) == [0.6, 0.7, 0.8, 0.9]
    assert short("a" * 9, 5) == "aaaa…"
    assert short("名前名前", 5) == "名前…"
    assert short(" ", 12) == "(no name)"
    assert two_lines("one two three", 20, 20) == ["one two three"]
    assert two_lines("one two three", 8, 4) == ["one two", "thr…"]
    assert two_lines("a" * 30, 8, 8) == ["aaaaaaa…"]
    low, high = wilson(0.5, 10)
    assert (round(low, 4), round(high, 4)) == (
        0.2366,
        0.7634,
    )  # statsmodels.stats.proportion_confint(5, 10, method="wilson")


def opened(folder: Path, *pages: tuple[str, int, str]) -> tuple[list[dict], list[str]]:
    """Open pages in frames and return what each has found, and the lines of the browser's console.

    Args:
        pages: HTML, width of its frame and the script that looks at it: a function body that returns an object.
            A window is never narrower than 500 pixels, but a frame can be.
    """
    frames = ""
    for i, (html, width, look) in enumerate(pages):
        script = f"""<script>addEventListener("load", async () => {{
            let found; try {{ found = await (async () => {{ {look} }})() }} catch (error) {{ found = {{error: String(error)}} }}
            parent.postMessage({{...found, width: innerWidth, place: {i}}}, "*") }})</script>"""
        html = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", html, count=1)
        (folder / f"page_{i}.html").write_text(html.replace("</body>", f"{script}</body>"), encoding="utf-8")
        frames += f'<iframe src="page_{i}.html" width="{width}" height="800"></iframe>'
    (folder / "frames.html").write_text(
        "<script>const all = []; addEventListener('message', event => { all.push(event.data);"
        "document.documentElement.dataset.all = JSON.stringify(all) })</script>" + frames
    )
    dom, console = run_browser(folder / "frames.html", folder)
    found = re.search(r'data-all="([^"]*)"', dom)
    seen = json.loads(unescape(found[1])) if found else []
    return sorted(seen, key=lambda one: one["place"]), console


def run_browser(file: Path, folder: Path) -> tuple[str, list[str]]:
    """Return the document as it is after its scripts have run, and the lines of the console."""
    assert CHROMIUM
    command = [CHROMIUM, *SWITCHES, f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


FITS = """
    const seen = [...document.querySelectorAll("svg[role=img]")].filter((one) => one.getBoundingClientRect().height > 20);
    const names = seen.map((one) => one.getAttribute("aria-describedby").replace(/-(wide|narrow)?-?desc|-desc/, ""));
    const wide = seen.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length;
    const small = seen.filter((one) => !one.matches(".map")).filter((one) => one.getBoundingClientRect().width < one.viewBox.baseVal.width * 0.9).length;
    const root = document.documentElement;
    const forest = seen.find((one) => one.getAttribute("aria-describedby").startsWith("forest"));
    return { fits: root.scrollWidth <= root.clientWidth, names, wide, small, js: root.dataset.js,
        forest: forest ? forest.getBoundingClientRect().top : 0 };
"""


@pytest.mark.slow
@in_browser
@variants
def test_it_fits_and_is_silent(made: Make, tmp_path: Path) -> None:
    html = page(made())
    seen, console = opened(tmp_path, *((html, width, FITS) for width in (390, 768, 1280)))
    assert console == []
    assert [one["width"] for one in seen] == [390, 768, 1280]
    for one in seen:
        assert one["fits"], one
        assert (one["wide"], one["small"], one["js"]) == (0, 0, "1")
        assert sorted(one["names"]) == sorted(Read(html).charts)
        if made in (made_answer, thirteen_classes):
            assert one["forest"] < 600  # its top is on the first screen of 800 pixels


SORTS = """
    const table = document.getElementById("methods");
    const column = (i) => [...table.tBodies[0].rows].map((row) => row.cells[i].textContent);
    const heads = [...table.tHead.rows[0].cells];
    const before = column(1);
    heads[1].querySelector("button").click();
    const down = column(1), state = heads[1].getAttribute("aria-sort");
    heads[1].querySelector("button").click();
    const up = column(1);
    heads[0].querySelector("button").click();
    const named = column(0);
    const calls = document.getElementById("calls-subject");
    const select = calls.closest(".exhibit").querySelector("select");
    const all = calls.tBodies[0].rows.length;
    select.value = "plate 5";
    select.dispatchEvent(new Event("change"));
    const chosen = [...calls.tBodies[0].rows].map((row) => row.cells[0].textContent);
    return { before, down, up, state, named, none: heads[0].getAttribute("aria-sort"), all, chosen };
"""


@pytest.mark.slow
@in_browser
def test_tables_are_sorted_and_chosen_from(tmp_path: Path) -> None:
    (seen,), console = opened(tmp_path, (page(made_answer()), 1280, SORTS))
    assert console == []
    assert seen["state"] == "descending"
    assert seen["down"] == seen["before"]  # the best came first; the refused one stays last
    assert seen["up"] == [*reversed(seen["before"][:-1]), seen["before"][-1]]
    assert seen["named"] == sorted(seen["named"], key=str.lower)
    assert seen["none"] == "ascending"
    assert seen["all"] == 58
    assert seen["chosen"] == ["plate 5"] * 28


HOVERS = """
    const tip = document.getElementById("tip");
    const at = (node, x, y) => node.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: x, clientY: y }));
    const tips = {};
    for (const chart of document.querySelectorAll("svg[role=img]:not(.map)")) {
        const name = chart.getAttribute("aria-describedby");
        const part = chart.querySelector("[data-tip]");
        at(part.firstElementChild || part, 50, 50);
        tips[name] = tip.hidden ? "" : tip.textContent;
    }
    const map = document.querySelector("[data-map]"), svg = map.querySelector("svg");
    const mark = svg.querySelector("use");
    const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
    at(map, box.left + mark.getAttribute("x") * scale, box.top + mark.getAttribute("y") * scale);
    const hovered = tip.textContent;
    map.dispatchEvent(new PointerEvent("pointerleave"));
    const left = tip.hidden;
    map.focus();
    const press = (key) => map.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    press("ArrowRight"); const first = tip.textContent;
    press("ArrowRight"); const second = tip.textContent;
    press("Home"); const home = tip.textContent, aloud = document.getElementById("said").textContent;
    press("Escape"); const escaped = tip.hidden;
    const shown = (name) => getComputedStyle(svg.querySelector(name)).display !== "none";
    const before = [shown(".by-plate"), shown(".by-call")];
    document.getElementById("colour-call").click();
    const after = [shown(".by-plate"), shown(".by-call")];
    document.querySelector("[data-show='call 1'] button").click();
    const off = svg.querySelectorAll(".by-call .off").length;
    return { tips, hovered, left, first, second, home, aloud, escaped, before, after, off };
"""


@pytest.mark.slow
@in_browser
def test_charts_answer_to_pointer_and_keys(tmp_path: Path) -> None:
    answer = made_answer()
    (seen,), console = opened(tmp_path, (page(answer), 1280, HOVERS))
    assert console == []
    assert "error" not in seen, seen
    assert {name.split("-")[0] for name in seen["tips"]} == CHARTS - {"map"}
    assert all(seen["tips"].values())
    assert re.fullmatch(r"sample s\d_\d+\nplate plate \d\n(label|call|no answer).*", seen["hovered"])
    assert (seen["left"], seen["escaped"]) == (True, True)
    assert seen["first"] == seen["home"] == seen["aloud"] != seen["second"]
    assert (seen["before"], seen["after"]) == ([True, False], [False, True])
    is_other = (answer.map["known"] + answer.map["call"]) != "case"
    assert seen["off"] == is_other.sum()


@pytest.mark.slow
@in_browser
def test_the_policy_lets_its_own_script_run(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", made_answer())
    dom, console = run_browser(tmp_path / "index.html", tmp_path)
    assert console == []
    assert 'data-js="1"' in dom
    assert dom.count("<button") > 20
    wrong = page(made_answer()).replace("</main>", "<script>document.title = 'changed'</script></main>")
    (tmp_path / "wrong.html").write_text(wrong)
    dom, console = run_browser(tmp_path / "wrong.html", tmp_path)
    assert any("Content Security Policy" in line for line in console)
    assert "<title>changed" not in dom


@pytest.mark.slow
@in_browser
@pytest.mark.skipif(AXE is None, reason="AXE does not name axe-core's axe.min.js")
@pytest.mark.parametrize("dark", [False, True])
@variants
def test_axe_finds_nothing_serious(made: Make, dark: bool, tmp_path: Path) -> None:
    assert AXE
    html = page(made()).replace("<details>", "<details open>")
    if dark:
        html = html.replace("(prefers-color-scheme: dark)", "(min-width: 0)")
    html = html.replace("</main>", f"</main><script>{Path(AXE).read_text()}</script>")
    look = """const found = await axe.run(); return { violations: found.violations.map((one) =>
        [one.impact, one.id, one.nodes.length, one.nodes[0].html.slice(0, 200), one.nodes[0].failureSummary]) };"""
    seen, _ = opened(tmp_path, (html, 390, look), (html, 1280, look))
    assert len(seen) == 2
    for one in seen:
        assert [found for found in one["violations"] if found[0] in ("serious", "critical")] == []
