"""Run ``docs/notebook.ipynb`` and write its outputs and its page: ``python -m tests.renew_notebook``.

The page is ``docs/notebook.md``. Nothing of Jupyter is needed: cells are run one after another, and what they
print, the value of their last line and their figures become outputs.
"""

import ast
import base64
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

from tests.conftest import ROOT

NOTEBOOK, PAGE = ROOT / "docs" / "notebook.ipynb", ROOT / "docs" / "notebook.md"
FIGURES = ROOT / "docs" / "figures"

Output = dict[str, Any]
"""An output of a cell in the format of notebooks (nbformat 4)."""


def run(cells: list[dict[str, Any]]) -> list[list[Output]]:
    """Return the outputs of each cell; code cells share their names and an empty folder of their own."""
    matplotlib.use("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return [_outputs("".join(c["source"]), names) if c["cell_type"] == "code" else [] for c in cells]
        finally:
            os.chdir(before)


def _outputs(source: str, names: dict[str, Any]) -> list[Output]:
    """Run one cell, and return what it prints, its figures and the value of its last line."""
    from matplotlib import pyplot as plt

    *body, last = ast.parse(source).body
    shown = isinstance(last, ast.Expr)
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body if shown else [*body, last], []), "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    found: list[Output] = []
    if text := printed.getvalue():
        found.append({"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)})
    for number in plt.get_fignums():
        image = io.BytesIO()
        plt.figure(number).savefig(
            image, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None}
        )
        plt.close(number)
        data = {"image/png": base64.b64encode(image.getvalue()).decode()}
        found.append({"output_type": "display_data", "data": data, "metadata": {}})
    if value is not None and not hasattr(value, "set_xlabel"):
        data = {"text/plain": str(value).splitlines(keepends=True)}
        found.append({"output_type": "execute_result", "execution_count": None, "data": data, "metadata": {}})
    return found


def page(notebook: dict[str, Any]) -> str:
    """Return the notebook with its outputs as a page of the docs; figures are files beside the others."""
    parts = ["<!-- made from docs/notebook.ipynb by python -m tests.renew_notebook -->"]
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                parts.append(f"![]({FIGURES.name}/{figure(cell)})")
            else:
                text = "".join(output.get("text") or output["data"]["text/plain"]).rstrip()
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def figure(cell: dict[str, Any]) -> str:
    """Return the name of the file with a cell's figure."""
    return f"notebook_{cell['id']}.png"


if __name__ == "__main__":
    made = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for one, outputs in zip(made["cells"], run(made["cells"]), strict=True):
        if one["cell_type"] == "code":
            one["outputs"] = outputs
        for output in outputs:
            if png := output.get("data", {}).get("image/png"):
                (FIGURES / figure(one)).write_bytes(base64.b64decode(png))
    NOTEBOOK.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(made), encoding="utf-8")
