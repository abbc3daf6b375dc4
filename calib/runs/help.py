"""The text of ``python run.py --help``: what can be chosen, and the settings of what is chosen."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from calib.config import compose
from calib.runs.comments import card, comments, first_sentences

WIDTH = 100

EXAMPLES = """\
calib: multi-batch calibration for classification in omics (Niu et al. 2021), recomputed.

  python run.py                                the simulated study demo
  python run.py dataset=mi split=12_3          the joint model on MI, sources 1 and 2, target 3
  python run.py -m dataset=chd split=all method=baseline,joint seed=0,1,2
  python run.py -m +search=weights_grid dataset=mi split=12_3
  python run.py method=desc --help             the settings of another method
"""

KINDS = {
    "paper": "the paper's model and what the paper compares it with",
    "ours": "the paper's model, improved (docs/beyond.md)",
    "named": "named in the paper's introduction, not run there (docs/named.md)",
    "control": "controls: simpler or later than the paper's (docs/beyond.md)",
    "wrapper": "around another method: method@method.method=joint",
    "reference": "references, which use target labels",
    "": "other methods",
}
"""What ``kind`` in a method's card means, in the order of the list."""

PARTS = {
    "corrector": "corrector@method.corrector=<name>: exchanges what corrects the batches",
    "classifier": "classifier@method.classifier=<name>: exchanges what learns the classes",
    "search": "+search=<name>: a grid of settings, with -m or scripts/search.py",
}
"""Groups that are not in the defaults of ``config.yaml``, and how they are chosen."""


HELP = ("-h", "--help")
"""The flags that ask for this text."""

COLUMN = 48
"""Where comments begin at the latest, where what they explain is not longer."""


def help_text(conf: Path, overrides: Sequence[str]) -> str:
    """Return the help for a command line with these overrides, at most ``WIDTH`` columns wide.

    Raises:
        CalibError, HydraException: an override is wrong.
    """
    config = compose(conf, *overrides)
    main = (conf / "config.yaml").read_text(encoding="utf-8")
    lines = [EXAMPLES, "CHOICES"]
    chosen = {}
    for group, default, meaning in re.findall(r"(?m)^  - (\w+): (\w+) +# (.*)$", main):
        chosen[group] = next((o.split("=")[1] for o in overrides if o.startswith(f"{group}=")), default)
        lines += ["", f"{group}=<name>: {meaning} (without it: {default})"]
        lines += _methods(conf) if group == "method" else _described(first_sentences(conf, group))
    for group, meaning in PARTS.items():
        lines += ["", meaning, *_described(first_sentences(conf, group))]
    own = main[main.index("\nsplit:") : main.index("\nhydra:")]
    lines += ["", "SETTINGS", "", *_commented(list(_own_settings(own)))]
    for group in ("dataset", "method", "protocol"):
        lines += ["", f"Settings of {group}={chosen[group]}"]
        told = comments(conf, group, chosen[group])
        for part, place, name in re.findall(r"(?m)^(\w+)@method\.([\w.]+)=(\w+)$", "\n".join(overrides)):
            if group == "method":
                told |= {f"{place}.{key}": text for key, text in comments(conf, part, name).items()}
        settings = _settings(config[group], group)
        lines += _commented([(line, told.get(key, "")) for key, line in settings])
    return "\n".join([*lines, "", "Hydra's own flags: python run.py --hydra-help"])


def _own_settings(text: str) -> Iterator[tuple[str, str]]:
    """Return the settings of ``config.yaml`` itself with their comments; those of a block with its name."""
    block = ""
    for indent, setting, comment in re.findall(r"(?m)^( *)(\w.*?) +# (.*)$", text):
        block = block if indent else setting.rstrip(":")
        yield f"{block}.{setting}" if indent else setting, comment


def _methods(conf: Path) -> Iterator[str]:
    """Return the list of methods, by the kind that their cards name, each with its card's summary."""
    cards = {file.stem: card(conf, file.stem) for file in sorted((conf / "method").glob("*.yaml"))}
    for kind, meaning in KINDS.items():
        summaries = {name: one["summary"] for name, one in cards.items() if one.get("kind", "") == kind}
        if summaries:
            yield f"  {meaning}"
            yield from _described(summaries, indent=4)


def _described(texts: Mapping[str, str], indent: int = 2) -> Iterator[str]:
    """Return a list of names, with a text for each."""
    width = max(map(len, texts))
    for name, text in texts.items():
        first = f"{'':{indent}}{name:{width}}  "
        rest = " " * len(first)
        yield textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _commented(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Return lines with a comment each, aligned in a column."""
    column = min(max((len(line) for line, _ in lines), default=0) + 2, COLUMN)
    for line, comment in lines:
        pieces = [
            f"{'':{column}}# {piece}"
            for piece in textwrap.wrap(comment, WIDTH - column - 2, break_on_hyphens=False)
        ]
        if pieces and len(line) < column:
            pieces[0] = line + pieces[0][len(line) :]
        else:
            pieces = [line, *pieces]
        yield "\n".join(pieces)


def _settings(config: DictConfig, group: str) -> Iterator[tuple[str, str]]:
    """Return each setting of a study, method or protocol: its key, and the override that sets it as it is."""
    written, values = (OmegaConf.to_container(config, resolve=resolve) for resolve in (False, True))
    hidden = ("_target_", "card") if group == "dataset" else ("_target_", "card", "name")
    for key, value in _leaves(written, values, hidden):
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        line = f"{group}.{key}={text}"
        yield key, line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _leaves(written: Any, values: Any, hidden: Sequence[str], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if key in hidden or written[key] == "${protocol}":  # whose settings are listed once, by themselves
            continue
        if isinstance(value, dict) and value:
            parts = (
                written[key] if isinstance(written[key], dict) else value
            )  # else it refers to another part
            yield from _leaves(parts, value, hidden, f"{place}{key}.")
        else:
            yield f"{place}{key}", value
