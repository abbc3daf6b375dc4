"""Pages of the site that list every setting, made from the files of ``conf/`` and the comments in them."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calib.runs.comments import bases, card, content, opening, own_comments

GROUPS = {
    "dataset": ("Studies", "`dataset=<name>` chooses a study. The settings of a study begin with `dataset.`"),
    "method": ("Methods", "`method=<name>` chooses a method. The settings of a method begin with `method.`"),
    "corrector": (
        "Correctors",
        "A corrector changes the values of a batch before a classifier sees them. "
        "`corrector@method.corrector=<name>` exchanges it in a method that has one.",
    ),
    "classifier": (
        "Classifiers",
        "A classifier learns the classes. `classifier@method.classifier=<name>` exchanges it in a method "
        "that corrects first and classifies then.",
    ),
    "protocol": (
        "Protocols",
        "`protocol=<name>` chooses the rules where the paper's text and the authors' code differ. Each "
        "option begins with `protocol.` and can be changed alone.",
    ),
    "training": ("Lengths of training", "`training=<name>` chooses how long the networks train."),
    "launch": ("Where a sweep runs", "`launch=<name>` chooses where the runs of a sweep (`-m`) are made."),
    "tuned": (
        "Values of a study",
        "Some settings of a method have another value for a study: the one in the study's file here.",
    ),
    "search": ("Grids", "`+search=<name>` tries every value of a grid, with `-m` or `calib search`."),
}
"""Folder of ``conf/`` -> title and first sentences of its page."""

PLACES = {"dataset": "dataset.", "method": "method.", "protocol": "protocol."} | {
    part: f"method.{part}." for part in ("corrector", "classifier")
}
"""Folder -> what stands before a setting of its files on the command line."""

LISTS = ("tuned", "search")
"""Folders of lists: their files are shown as they are, since they give values to settings of other files."""

ALONE = ("answer", "zoo", "reproduce", "seconds")
"""Files beside those folders, which are lists, too; they share a page."""

HIDDEN = ("card", "name", "defaults")
"""What a file has at its first level beside settings."""

LONGEST = 100


def pages(conf: Path) -> dict[str, str]:
    """Return the Markdown of each page, by the page's name."""
    made = {group: _page(*GROUPS[group], *_files(conf, group)) for group in GROUPS}
    made |= {"run": _run_page(conf / "config.yaml"), "lists": _lists_page(conf)}
    return made | {"settings": _contents("run", *GROUPS, "lists")}


def settings(file: Path) -> Iterator[tuple[str, str, str]]:
    """Return each setting that a file itself has: its name with dots, its value, and its comment.

    A block of which only the first line has a comment is one setting. One with comments inside, too, comes
    first without a value, and then with each of its settings.
    """
    yield from _leaves(content(file), own_comments(file))


def _leaves(node: Any, told: Mapping[str, str], place: str = "") -> Iterator[tuple[str, str, str]]:
    for key, value in node.items():
        name = f"{place}{key}"
        if key == "_target_" or value == "${protocol}" or (key in HIDDEN and not place):
            continue
        inner = any(other.startswith(f"{name}.") for other in told)
        if isinstance(value, dict) and value and (inner or name not in told):
            if name in told:
                yield name, "", told[name]
            yield from _leaves(value, told, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield name, text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…", told.get(name, "")


def _page(title: str, text: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", text, *parts]) + "\n"


def _files(conf: Path, group: str) -> Iterator[str]:
    """Return a part of the page for each file of a folder."""
    for file in sorted((conf / group).glob("*.yaml")):
        told = [f"## {file.stem}", plain(opening(file))]
        found = content(file)
        if based := list(bases(found, group)):
            told.append(f"Based on {', '.join(_link(*base) for base in based)}.")
        if group == "method":
            told += _card(card(conf, file.stem))
        elif group == "dataset":
            told += _card(found.get("card", {}))
        if group in LISTS:
            told.append(_as_it_is(file))
        else:
            told += [_entry(f"{PLACES.get(group, '')}{name}", *rest) for name, *rest in settings(file)]
        yield "\n\n".join(filter(None, told))


def _link(group: str, name: str, place: str) -> str:
    """Return a link to a file that another is based on."""
    return f"[{name}]({group}.md#{name})" + (f" as `{place}`" if place else "")


def _card(known: Mapping[str, Any]) -> Iterator[str]:
    """Return what a card says: what the method or study is, how it was chosen, and where it comes from."""
    if label := known.get("label"):
        yield f"**{plain(label)}.** {plain(known['summary'])}"
    if chosen := known.get("chosen"):
        yield f"How its settings were chosen: {plain(chosen)}"
    rest = {"subjects": "Subjects", "licence": "Licence"}
    told = [f"{meaning}: {plain(str(known[key]))}." for key, meaning in rest.items() if known.get(key)]
    if doi := known.get("doi"):
        told.append(f"Paper: [{doi}](https://doi.org/{doi}).")
    if code := known.get("code") or known.get("source"):
        told.append(f"Source: <{code}>." if str(code).startswith("http") else f"Source: {plain(str(code))}.")
    yield " ".join(told)


def _entry(name: str, value: str, comment: str) -> str:
    """Return a setting as an entry of a list of definitions."""
    if tuned := re.fullmatch(r"\$\{tuned:[\w.]+,(.*)\}", value):
        value = tuned[1]
    own = ". A study may have [another value](tuned.md)" if tuned else ""
    return f"`{name}{'=' if value else ''}{value}`\n: {plain(comment)}{own}"


def _run_page(file: Path) -> str:
    """Return the page of the settings of a run itself."""
    text = file.read_text(encoding="utf-8")
    choices = [
        f"`{group}={name}`\n: {plain(comment)} ([the choices]({group}.md))"
        for group, name, comment in re.findall(r"(?m)^  - (\w+): (\w+) +# (.*)$", text)
    ]
    own = [entry for entry in settings(file) if not entry[0].startswith("hydra.")]
    return _page(
        "A run",
        "Every run has these settings, here with their defaults. `calib run dataset=mi seed=1` changes two.",
        "## What to run",
        *choices,
        "## How to run it",
        *(_entry(*entry) for entry in own),
    )


def _contents(*names: str) -> str:
    """Return the page that leads to all others."""
    text = (
        "Every setting has its comment from its file in `conf/`. `calib run --help` shows those of what is "
        "chosen, and `calib run method=desc --help` those of another method."
    )
    return _page("Settings", text, "\n".join(["```{toctree}", *names, "```"]))


def _lists_page(conf: Path) -> str:
    """Return the page of the lists that commands go through."""
    files = {name: conf / f"{name}.yaml" for name in ALONE}
    parts = [f"## {name}\n\n{plain(opening(file))}\n\n{_as_it_is(file)}" for name, file in files.items()]
    return _page("Lists", "These files name what a command goes through, one entry after another.", *parts)


def _as_it_is(file: Path) -> str:
    """Return a file as a block of YAML."""
    return f"```yaml\n{file.read_text(encoding='utf-8').strip()}\n```"


def plain(comment: str) -> str:
    """Return a comment as Markdown: its signs as they are, and a page of the docs that it names as a link."""
    pieces = re.split(r"(`[^`]*`)", comment)
    pieces[::2] = [re.sub(r"([\\*_\[\]<>|])", r"\\\1", piece) for piece in pieces[::2]]
    return re.sub(r"(?<![`\w/])docs/([\w-]+)\.md", r"[docs/\1.md](../docs/\1.md)", "".join(pieces))
