"""What each method of ``conf/method`` can do and needs, from its card and its class."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from omegaconf import OmegaConf

from calib.config import build
from calib.registry import CONF, METHOD
from calib.runs.compositions import Compositions
from calib.runs.input_checks import assumption
from calib.runs.run import method_settings

ANSWERS, SAVED, AGAIN = "yes", "yes, also saved", "trained again"
"""Whether a method judges later batches: in the same session, from a saved model, or trained with them."""


@dataclass(frozen=True)
class Ability:
    """One method.

    Attributes:
        name: its name, as in ``method=``.
        label: its name in tables.
        kind: what it is, in a word of its card.
        summary: what it does, in one line.
        needs: what it cannot do without.
        later_batches: ``ANSWERS``, ``SAVED`` or ``AGAIN``.
        doi: of the publication, "" where there is none.
    """

    name: str
    label: str
    kind: str
    summary: str
    needs: str
    later_batches: str
    doi: str


HEADS = tuple(field.name for field in fields(Ability))


def abilities() -> list[Ability]:
    """Return every method by its name, as its configuration on a study of one's own builds it."""
    shared = Compositions(CONF)
    found = []
    for file in sorted((CONF / "method").glob("*.yaml")):
        whole = shared.compose("dataset=table", "dataset.path=x", f"method={file.stem}")
        config = whole.method
        method = build(OmegaConf.create(method_settings(whole)), METHOD)
        later = AGAIN if method.why_no_new_batches else ANSWERS if method.why_not_saved else SAVED
        found.append(
            Ability(
                file.stem,
                str(config.card.label),
                str(config.card.kind),
                str(config.card.summary),
                "; ".join(_needs(method, assumption(config))),
                later,
                str(config.card.get("doi") or ""),
            )
        )
    return found


def _needs(method: object, assumes: str) -> Sequence[str]:
    """Return what a method needs."""
    found = []
    if getattr(method, "uses_target_labels", False):
        found.append("labels of targets (a reference)")
    if getattr(method, "needs_targets", False):
        found.append("a target")
    if getattr(method, "why_two_classes", ""):
        found.append("two classes in each source")
    if assumes != "any":
        found.append(assumes)
    return found


def rows() -> list[tuple[str, ...]]:
    """Return ``HEADS`` and a row for each method."""
    return [HEADS, *(tuple(map(str, astuple(one))) for one in abilities())]
