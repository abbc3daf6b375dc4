"""The notebook runs, and its page is the one that it makes."""

import json

import pytest

from tests.renew_notebook import NOTEBOOK, PAGE, figure, page, run


def test_the_page_is_that_of_the_notebook() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert page(notebook) == PAGE.read_text(encoding="utf-8"), "python -m tests.renew_notebook renews it"
    for cell in notebook["cells"]:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            assert (PAGE.parent / "figures" / figure(cell)).is_file()


@pytest.mark.slow
def test_the_notebook_runs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    made = run(cells)
    for cell, outputs in zip(cells, made, strict=True):
        kinds = [output["output_type"] for output in outputs]
        assert kinds == [output["output_type"] for output in cell.get("outputs", [])], cell["id"]
    told = "".join(next(outputs for outputs in reversed(made) if outputs)[0]["text"])
    assert float(told.split()[3].rstrip(".")) > 0.8, told  # plate 4, which nobody labelled
