"""What each public study is: its card, as a table."""

from collections.abc import Mapping

import pandas as pd
from omegaconf import OmegaConf

from calib.registry import CONF
from calib.report.exhibits import MISSING, Table

HEADS = {
    "summary": "what",
    "batch": "a batch is",
    "class": "classes",
    "values": "values",
    "subjects": "subjects",
    "good_for": "good for",
    "licence": "licence",
    "doi": "doi",
}
"""Key of a card -> its heading."""


def card_table(parts: Mapping[str, str]) -> Table:
    """Return the cards of the studies of conf/zoo.yaml.

    Args:
        parts: name of a study -> development or confirmation.
    """
    rows = []
    for name, part in parts.items():
        card = OmegaConf.load(CONF / "dataset" / f"{name}.yaml").card
        rows.append([name, part, *(str(card.get(key, MISSING)) for key in HEADS)])
    caption = (
        "Each is read from its published files, whose addresses, checksums and licences are in conf/dataset. "
        "What is done to the values looks at no label."
    )
    heads = ["study", "half", *HEADS.values()]
    numbers = pd.DataFrame(rows, columns=heads)
    return Table("zoo_cards", "The studies", caption, heads, rows, numbers, "make data STUDY=zoo")
