"""What the commands print: the design and its findings, the comparison, the choice and the calls."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from calib.plates.answer import BALANCED, Answer, Design, Finding
from calib.shown import one_line

MOST = 12
"""Most plates, and most methods, that are printed; all are in the files."""


def design_lines(design: Design) -> list[str]:
    """Return the plates and the findings of a design, as they may be shown."""
    serious = sum(one.serious for one in design.findings)
    other = len(design.findings) - serious
    count = (
        f"{serious} serious and {other} other findings." if design.findings else "Nothing to say against it."
    )
    return [*_table(_plates(design)), "", *finding_lines(design.findings), count]


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield each finding: its code, what was found, and what to do."""
    for one in findings:
        mark = "serious" if one.serious else "note"
        yield one_line(f"{mark} [{one.code}] {one.text} {one.advice}")


def answer_lines(answer: Answer, folder: Path) -> list[str]:
    """Return the answer as it may be shown: findings, methods, the answer in three sentences, the files."""
    serious = [one for one in answer.design.findings if one.serious]
    lines = [*finding_lines(serious), ""] if serious else []
    if len(answer.methods):
        lines += [*_table(_methods(answer)), ""]
    lines += [one_line(sentence) for sentence in answer.sentences]
    return [*lines, "", f"All tables are in {folder}, the page is"]


def _plates(design: Design) -> pd.DataFrame:
    """Return the plates as text."""
    shown = design.plates.head(MOST).rename(columns=lambda name: str(name).removeprefix("n_"))
    return shown.astype(object).where(shown.notna(), "-")


def _methods(answer: Answer) -> pd.DataFrame:
    """Return the methods as text: balanced accuracy with its interval, gain, AUC and seconds of a run."""
    rows = []
    for one in answer.methods.head(MOST).to_dict("records"):
        ends = f"{one[f'{BALANCED}_low']:.2f} to {one[f'{BALANCED}_high']:.2f}"
        gain = (
            ""
            if pd.isna(one["gain"])
            else f"{one['gain']:+.3f} ({one['gain_low']:+.2f} to {one['gain_high']:+.2f})"
        )
        known = not one["refusal"]
        rows.append(
            {
                "method": one["label"],
                "balanced accuracy": f"{one[BALANCED]:.3f} ({ends})" if known else one["refusal"],
                "gain over none": gain,
                "AUC": f"{one['auc']:.3f}" if known else "",
                "s a run": f"{one['seconds']:.1f}" if known else "",
            }
        )
    return pd.DataFrame(rows)


def _table(table: pd.DataFrame) -> list[str]:
    """Return a table as aligned lines."""
    cells = [[str(name) for name in table], *([one_line(cell) for cell in row] for row in table.to_numpy())]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
