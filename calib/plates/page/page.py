"""The page of a study: the answer in three sentences, then what it rests on, in one file."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from calib.plates.answer import Answer
from calib.plates.page import call_tables, charts, grid, said, squares, tables, trust_tables
from calib.plates.page.sample_map import sample_map
from calib.records.record import Record
from calib.report.exhibits import MISSING
from calib.report.page.script import page_script
from calib.report.page.svg import palette, short
from calib.shown import one_line

TITLE = 90
"""Columns of type that the study's name may take in the title."""


def write_page(file: Path, answer: Answer) -> None:
    """Write the page, whole or not at all; it loads nothing from the network.

    Raises:
        CalibError: the folder cannot be written to.
    """
    record = Record(file.parent)
    record.make_folder()
    record.write_text(file.name, page(answer))


def page(answer: Answer) -> str:
    """Return the page as HTML; the same answer gives the same text. ``answer.files`` lie beside it."""
    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("calib.plates.page", "."),
                PackageLoader("calib.report.page", "."),
            ]  # its style, macros and script
        ),
        autoescape=True,  # names of plates, classes and features come from the user
        finalize=_as_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, script_hash = page_script()
    return environment.get_template("study.html").render(
        answer=answer,
        title=short(answer.study, TITLE),
        summary=said.summary(answer),
        sentences=said.answer_in_three(answer),
        serious=[finding for finding in answer.design.findings if finding.serious],
        mild=[finding for finding in answer.design.findings if not finding.serious],
        palette=Markup(palette()),
        script=script,
        script_hash=script_hash,
        links={one_line(name): (quote(name), what) for name, what in answer.files.items()},
        dash=MISSING,
        rules=said.rules(answer),
        terms=said.terms(answer.choice.summary) if answer.choice else "",
        version=answer.facts.get("Versions", {}).get("calib", ""),
        most_methods=charts.MOST_METHODS,
        short=short,
        most_head=grid.HEAD,
        **_charts(answer),
        **_tables(answer),
    )


def _as_shown(value: Any) -> Any:
    """Return a value of the template: text without signs that steer, and without passwords of addresses."""
    return one_line(value) if type(value) is str else value


def _charts(answer: Answer) -> dict[str, Any]:
    """Return the drawings."""
    drawn = sample_map(answer)
    if drawn:
        # in a script element nothing is unescaped, and only "<" could end it
        data = json.dumps(drawn["data"], ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
        drawn["data"] = Markup(data)
    trust = answer.trust
    return {
        "forest": charts.forest(answer),
        "plate_dots": charts.plate_dots(answer),
        "class_counts": charts.class_counts(answer),
        "class_key": charts.class_key(answer),
        "importances": charts.importances(answer),
        "reliability": squares.reliability(trust) if trust else Markup(""),
        "benefit": squares.benefit(trust) if trust else Markup(""),
        "map": drawn,
        "compared": len(charts.with_numbers(answer.methods)),
    }


def _tables(answer: Answer) -> dict[str, Any]:
    """Return the tables; None for those that have nothing to show."""
    trust, calls, looked = answer.trust, answer.calls, answer.design.tables
    of_units, unit = said.units(answer)
    refused = [item for item in charts.records(answer.methods) if item["refusal"]]
    return {
        "plates": tables.plates_table(answer),
        "checks": [
            tables.data_table(f"check-{i}", tables.CHECKS.get(name, name), table)
            for i, (name, table) in enumerate(looked.items(), 1)
            if len(table)
        ],
        "empty_checks": [tables.CHECKS.get(name, name) for name, table in looked.items() if table.empty],
        "methods": tables.methods_table(answer) if len(answer.methods) else None,
        "intervals": tables.intervals_table(answer) if len(answer.methods) else None,
        "refused": [(item["label"], item["refusal"]) for item in refused],
        "by_plate": tables.by_plate_table(answer),
        "every_plate": tables.every_plate_table(answer),
        "trust_plates": trust_tables.trust_table(trust) if trust else None,
        "reliability_numbers": trust_tables.reliability_table(trust) if trust else None,
        "values": trust_tables.values_table(trust, answer.classes[-1]) if trust else None,
        "benefit_numbers": trust_tables.benefit_table(trust) if trust else None,
        "groups": tables.groups_table(answer),
        "markers": tables.markers_table(answer),
        "called": call_tables.called_table(of_units, answer.classes, unit) if len(calls) else None,
        "mixes": call_tables.mixes_table(answer),
        "calls": call_tables.calls_table(of_units, answer.classes, unit, trust) if len(calls) else None,
        "sample_calls": (
            call_tables.calls_table(calls, answer.classes, "sample", answer.sample_trust, single=True)
            if len(calls) and unit == "subject"
            else None
        ),
        "unit": unit,
    }
