"""The report page: one file with all verdicts, tables and figures, for screen, phone and paper."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from calib.records.record import Record
from calib.report.exhibits import MISSING, Ruling, Table, Verdict
from calib.report.numbers import tested
from calib.report.page.forest import Forest, drawn, keys
from calib.report.page.parts import Shown, anchor, gap, seen_figure, seen_table
from calib.report.page.said import PROTOCOL_KEYS, answer
from calib.report.page.script import page_script
from calib.report.page.svg import short
from calib.report.paper import PROTOCOLS, spelled
from calib.report.readings import FAMILY, INTERVALS

SHORT = {
    Ruling.YES: "yes",
    Ruling.NO: "no",
    Ruling.OPEN: "undecided",
    Ruling.UNTOLD: "cannot be told",
    Ruling.FEW: "few seeds",
    Ruling.MISSING: "not run",
}
"""Ruling -> its short name in the overview."""


@dataclass(frozen=True)
class Section:
    """A part of the page, such as a study: a title, a few sentences, tables, then figures."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    figures: Sequence[Shown] = ()


@dataclass(frozen=True)
class Content:
    """The content of the page.

    Attributes:
        verdicts: in the order of the overview: claims are its rows, studies and protocols its columns.
        forests: the methods of each study, for the first screen.
        sections: one for each study, then those on all studies, such as run times.
        missing: a sentence for each gap and failed run.
        facts: heading -> name -> value: hardware, versions, data checksums, code revision, run times.
        commands: command line -> its result.
        title, summary: the heading and the sentence below it.
        tables: folder of ``write_table``; the page links to its CSV files.
    """

    verdicts: Sequence[Verdict] = ()
    forests: Sequence[Forest] = ()
    sections: Sequence[Section] = ()
    missing: Sequence[str] = ()
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    title: str = "Multi-batch calibration, recomputed"
    summary: str = "Every number and figure from the data by one command, beside those of the paper."
    tables: Path | None = None


def write_page(file: Path, content: Content) -> None:
    """Write the page, whole or not at all; it loads nothing from the network.

    Raises:
        CalibError: the folder cannot be written to, or an image cannot be read.
    """
    record = Record(file.parent)
    record.make_folder()
    record.write_text(file.name, page(content, file.parent))


def page(content: Content, folder: Path) -> str:
    """Return the page as HTML, with links relative to ``folder``; the same content gives the same text.

    Raises:
        CalibError: an image cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("calib.report.page", "."),
        autoescape=True,  # names of batches, classes and methods come from the user
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    taken: Counter[str] = Counter(["overview", "contents", "missing", "claims", "commands", "facts"])
    missing = list(content.missing)
    sections = []
    for section in content.sections:
        parts, gaps = _section(section, content.tables, folder, taken)
        missing += gaps
        if parts["tables"] or parts["figures"]:
            sections.append(parts)
        elif not gaps:
            missing.append(f"{section.title}: nothing of it is recorded.")
    missing += _unjudged(content.verdicts)
    counts = Counter(verdict.outcome for verdict in content.verdicts)
    protocols = [p for p in PROTOCOLS if any(p in forest.protocols for forest in content.forests)]
    script, script_hash = page_script()
    return environment.get_template("page.html").render(
        content=content,
        answer=answer(content.verdicts),
        counts={outcome: counts[outcome] for outcome in Ruling if counts[outcome]},
        forests=[
            (f"{short(forest.study, 60)}: average accuracy", drawn(forest, place, protocols))
            for place, forest in enumerate(content.forests, start=1)
        ],
        keys=keys(content.forests, {name: PROTOCOL_KEYS.get(name, name) for name in protocols}),
        short=SHORT,
        tested=tested,
        uncertainty=f"{INTERVALS} {FAMILY}",
        overview=_judged(overview(content.verdicts)),
        claims=len({verdict.claim for verdict in content.verdicts}),
        rules=_by_rule(content.verdicts),
        sections=sections,
        missing=missing,
        dash=MISSING,
        script=script,
        script_hash=script_hash,
    )


def _section(
    section: Section, tables: Path | None, folder: Path, taken: Counter[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the parts of a section for the template, and a sentence for each figure without an image."""
    figures, gaps = [], []
    for shown in section.figures:
        if (figure := seen_figure(shown, folder, taken)) is None:
            gaps.append(gap(shown))
        else:
            figures.append(figure)
    parts = {
        "id": anchor(section.title, taken),
        "title": section.title,
        "text": section.text,
        "tables": [seen_table(table, tables, folder, taken) for table in section.tables],
        "figures": figures,
    }
    return parts, gaps


def overview(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the verdicts as a matrix, each with its number among ``verdicts``.

    Returns:
        ``studies``: name -> its protocols, [""] if no claim depends on one; ``rows``: claim -> its cells. A
        cell has a list of (number, verdict) and the number of columns that it spans: all of a study for a
        claim that does not depend on the protocol.
    """
    studies: dict[str, list[str]] = {}
    for verdict in verdicts:
        protocols = studies.setdefault(verdict.study, [])
        if verdict.protocol and verdict.protocol not in protocols:
            protocols.append(verdict.protocol)
    rows: dict[str, list[dict[str, Any]]] = {}
    for claim in dict.fromkeys(verdict.claim for verdict in verdicts):
        cells = rows[claim] = []
        for study, protocols in studies.items():
            numbered = [(i, v) for i, v in enumerate(verdicts) if (v.claim, v.study) == (claim, study)]
            if any(verdict.protocol for _, verdict in numbered):
                for protocol in protocols:
                    here = [pair for pair in numbered if pair[1].protocol in (protocol, "")]
                    cells.append({"span": 1, "first": protocol == protocols[0], "verdicts": here})
            else:
                cells.append({"span": len(protocols) or 1, "first": True, "verdicts": numbered})
    return {"studies": {name: protocols or [""] for name, protocols in studies.items()}, "rows": rows}


def _judged(found: dict[str, Any]) -> dict[str, Any]:
    """Return an overview without the claims that were judged nowhere, which are among what is missing."""
    rows = {
        claim: cells
        for claim, cells in found["rows"].items()
        if any(v.outcome is not Ruling.MISSING for cell in cells for _, v in cell["verdicts"])
    }
    return found | {"rows": rows}


Numbered = tuple[int, Verdict]
"""The number of a verdict among all, and the verdict."""


def _by_rule(verdicts: Sequence[Verdict]) -> list[tuple[str, list[tuple[str, list[Numbered]]]]]:
    """Return each rule once with its claims, and each claim with its verdicts; those not run are left out."""
    rules: dict[str, dict[str, list[Numbered]]] = {}
    for number, verdict in enumerate(verdicts):
        if verdict.outcome is not Ruling.MISSING:
            rules.setdefault(verdict.rule, {}).setdefault(verdict.claim, []).append((number, verdict))
    return [(rule, list(claims.items())) for rule, claims in rules.items()]


def _unjudged(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a sentence for each claim that could not be judged, with the reason where one is told."""
    claims: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict.outcome is Ruling.MISSING:
            reason = "" if verdict.ours in ("", MISSING) else f" ({verdict.ours})"
            place = f"{spelled(verdict.study)} {verdict.protocol}".strip()
            claims.setdefault((verdict.claim, reason), []).append(place)
    return [
        f"Not judged on {', '.join(places)}: {claim}{reason}." for (claim, reason), places in claims.items()
    ]
