"""How the settings of a run were chosen and what was seen, from the cards of its method and its parts."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.runs.run import AS_PRINTED

CHOSEN_BY = {
    "defaults": "the original's or the library's, or set once for all studies, with no score in view",
    "sources": "by the labels of source batches, of which one was left out at a time",
    "paper": "the paper's own for a study; it does not say on which labels its authors chose them",
    "scores": "with accuracies of batches in view that are targets here, scored with their labels",
}
"""What a card may say of how settings were chosen (``card.chosen_by``), the least seen first."""

EVERY_RUN = "Last epoch; the run itself chooses nothing by a target's label."

OTHER_TRAINING = "training={}: rates and epochs chosen by leaving a source out."


@dataclass(frozen=True)
class Selection:
    """How settings were chosen.

    Attributes:
        chosen_by: the word of ``CHOSEN_BY`` for the setting of which most was seen.
        rule: the same in sentences, one for the method and for each part that says something.
    """

    chosen_by: str
    rule: str


def selection(config: DictConfig) -> Selection:
    """Return how the settings of a run were chosen, from the cards in its method's settings."""
    cards = _cards(OmegaConf.to_container(config.method, resolve=True))
    words = [str(card["chosen_by"]) for card in cards if "chosen_by" in card]
    sentences = dict.fromkeys(str(card["chosen"]) for card in cards if "chosen" in card)
    if config.training != AS_PRINTED:
        sentences[OTHER_TRAINING.format(config.training)] = None
    most = max(words, key=list(CHOSEN_BY).index, default=next(iter(CHOSEN_BY)))
    return Selection(most, " ".join([EVERY_RUN, *sentences]))


def _cards(node: Any) -> list[dict[str, Any]]:
    """Return the cards of settings and of the parts inside them, the outermost first."""
    if not isinstance(node, dict):
        return []
    own = [node["card"]] if isinstance(node.get("card"), dict) else []
    return own + [card for key, value in node.items() if key != "card" for card in _cards(value)]
