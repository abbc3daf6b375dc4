"""Renew the committed keys of runs, ``tests/golden/keys/*.csv``: ``python -m tests.renew_keys``.

To be called after a change that is meant to change keys: a raised version, another setting, another plan. Then
``git diff --stat tests/golden/keys`` and the tests say what changed, and only what was meant to may.
"""

from pathlib import Path

import pandas as pd

from calib.runs.series import PLAN, VARIANTS
from tests.conftest import CONF
from tests.runs.test_compositions import COMPOSITIONS, PROTOCOLS, every_key
from tests.runs.test_plan import GOLDEN, NEED_FILES, planned_keys


def main() -> None:
    """Write both files."""
    by_row: dict[tuple[str, ...], dict[str, str]] = {}
    for (*place, protocol), key in sorted(every_key().items()):
        by_row.setdefault(tuple(place), {})[protocol] = key
    rows = [
        dict(zip(("dataset", "method", "training"), place, strict=True)) | keys
        for place, keys in by_row.items()
    ]
    table = pd.DataFrame(rows)[["dataset", "method", "training", *PROTOCOLS]]
    table.to_csv(COMPOSITIONS, index=False, lineterminator="\n")
    lists = [line.partition(":")[0] for line in (CONF / PLAN).read_text().splitlines() if line[:1].isalpha()]
    planned = []
    for name in (one for one in lists if one not in (VARIANTS, *NEED_FILES)):
        for (study, method), found in planned_keys(name, Path("nowhere")).items():
            planned.append(
                {"series": name, "study": study, "method": method, "keys": " ".join(sorted(found))}
            )
    pd.DataFrame(planned).to_csv(GOLDEN, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
