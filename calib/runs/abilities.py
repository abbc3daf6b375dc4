"""What each method of ``conf/method`` can do and needs, from its card and its class."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache

from omegaconf import OmegaConf

from calib.config import build
from calib.registry import CONF, METHOD
from calib.runs.compositions import compositions
from calib.runs.input_checks import assumption
from calib.runs.run import method_settings

YES, NO = "yes", "no"


@dataclass(frozen=True)
class Ability:
    """One method.

    Attributes:
        name: its name, as in ``method=``.
        label: its name in tables.
        kind: what it is, in a word of its card.
        summary: what it does, in one line.
        needs: what it cannot do without.
        notebook: whether it is a ``BatchClassifier``.
        later_batches: what it does with a batch that it has not seen.
        saved: whether a trained model can be kept, without a pickle, for later batches.
        calibrated: whether a temperature can be learnt for its probabilities, which takes no target label.
        doi: of the publication, "" where there is none.
    """

    name: str
    label: str
    kind: str
    summary: str
    needs: str
    notebook: str
    later_batches: str
    saved: str
    calibrated: str
    doi: str


HEADS = tuple(field.name for field in fields(Ability))


@cache
def abilities() -> Sequence[Ability]:
    """Return every method by its name, as its configuration on a study of one's own builds it."""
    shared = compositions(CONF)
    found = []
    for file in sorted((CONF / "method").glob("*.yaml")):
        whole = shared.compose("dataset=table", "dataset.path=x", f"method={file.stem}")
        config = whole.method
        method = build(OmegaConf.create(method_settings(whole)), METHOD)
        blind = NO if method.uses_target_labels else YES
        found.append(
            Ability(
                file.stem,
                str(config.card.label),
                str(config.card.kind),
                str(config.card.summary),
                "; ".join(_needs(method, assumption(config))),
                blind,
                method.new_batches,
                NO if method.why_not_saved else YES,
                blind,
                str(config.card.get("doi") or ""),
            )
        )
    return found


def markdown() -> str:
    """Return what every method can do as a table for the docs."""
    heads = ("name", "notebook", "later_batches", "saved", "calibrated")
    titles = (
        "`method=`",
        "notebook",
        "a later batch is",
        "saved without a pickle",
        "calibrated probabilities",
    )
    lines = [titles, ["---"] * len(titles)]
    for one in abilities():
        lines.append([f"`{one.name}`", *(getattr(one, head) for head in heads[1:])])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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
