"""Tables of README and docs come from the archive alone."""

import re
from pathlib import Path

import pandas as pd
import pytest

from calib.errors import CalibError
from calib.report.docs.archived import Archived
from calib.report.docs.blocks import NOT_ARCHIVED, only, renewed
from calib.report.docs.words import with_numbers
from calib.report.exhibits import markdown
from calib.report.paper import PROTOCOLS
from calib.runs.archive import Archive
from tests.conftest import CONF, ROOT


@pytest.fixture(scope="module")
def archived() -> Archived:
    """The archived runs of the paper's tables."""
    return Archived(CONF, Archive(ROOT / "docs" / "results" / "archive"), "paper")


def test_only_what_is_planned_and_archived_is_shown(archived: Archived, tmp_path: Path) -> None:
    assert {job.run.study.name for job in archived.jobs} <= set(archived.studies)
    assert 0 < len(archived.finished) <= len(archived.jobs)
    assert all("paper" in one.series for one in archived.finished)
    assert not list(tmp_path.iterdir())
    assert Archived(CONF, Archive(tmp_path), "readings").jobs == []


def test_a_page_is_renewed_between_its_marks(archived: Archived) -> None:
    page = "before\n<!-- table: readings mi chd -->\nold\n<!-- end -->\nafter\n"
    made = renewed(page, archived)
    assert made.startswith("before\n<!-- table: readings mi chd -->\n| reading | MI | CHD |")
    assert made.endswith("\n<!-- end -->\nafter\n")
    assert renewed(made, archived) == made
    none = "<!-- table: beyond growth mi -->\n<!-- end -->"
    assert NOT_ARCHIVED in renewed(none, archived)
    with pytest.raises(
        CalibError, match="A table of kind 'reading' does not exist; the kinds are accuracy, "
    ):
        renewed("<!-- table: reading mi -->\n<!-- end -->", archived)


def test_numbers_in_sentences_are_renewed(archived: Archived) -> None:
    text = "It has <!-- number: spread mi joint -->?<!-- end --> on MI, <!-- number: mean mi joint -->?<!-- end -->."
    made = with_numbers(text, archived)
    assert re.fullmatch(
        r"It has <!--.*?-->\.\d{3} ± \.0\d\d<!-- end --> on MI, <!--.*?-->\.\d{3}<!-- end -->\.", made
    )
    assert with_numbers(made, archived) == made
    apart = with_numbers("<!-- number: difference mi joint-joint -->?<!-- end -->", archived)
    assert "+.000 [" in apart
    missing = with_numbers("<!-- number: mean mi pairwise one_source -->?<!-- end -->", archived)
    assert missing.endswith("–<!-- end -->")
    for wrong, sentence in (
        ("average mi joint", "A number of kind 'average' does not exist"),
        ("mean mi joynt", "no archived study and runs called 'mi joynt paper'"),
    ):
        with pytest.raises(CalibError, match=sentence):
            with_numbers(f"<!-- number: {wrong} -->?<!-- end -->", archived)


def test_verdicts_need_no_measured_values(archived: Archived) -> None:
    features = [one for one in archived.verdicts if "differential in every batch" in one.claim]
    assert [one.ours.partition(" of ")[0] for one in features] == ["84"]
    assert {one.protocol for one in archived.verdicts} == {"", *PROTOCOLS}


def test_archived_predictions_are_as_a_record_has_them(archived: Archived) -> None:
    run = next(one for one in archived.finished if one.result["study"] == "mi")
    read = run.predictions(["control", "MI"])
    assert list(read.table) == ["batch", "row", "subject", "label", "predicted"]
    assert all(isinstance(text, str) for text in read.table.iloc[0])
    for batch, scores in run.result["targets"].items():
        part = read.of_batch(batch).table
        right = (part["label"] == part["predicted"]).mean()
        assert right == pytest.approx(scores["accuracy"], abs=1e-6)
        assert pd.Index(part["row"]).tolist() == [str(i) for i in range(scores["n"])]


def test_rows_of_a_table_are_chosen_by_their_first_cells() -> None:
    rows = [["Joint+ ‡", "paper", "1"], ["ComBat", "paper", "2"], ["ComBat", "released", "3"]]
    heads = ["method", "protocol", "accuracy"]
    table = f"{markdown(heads, rows)}\n\nNumbers: a file."
    shown = only(table, ["ComBat, released", "Joint+"])
    assert shown == f"{markdown(heads, rows[::2])}\n\n2 of 3 rows. Numbers: a file."
    with pytest.raises(CalibError, match="No row of the table is called 'Combat'"):
        only(table, ["Combat"])
