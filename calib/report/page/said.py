"""The verdicts in a few sentences, for the first screen."""

from collections import Counter
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from calib.report.exhibits import Ruling, Verdict
from calib.report.paper import spelled

WORDS = {"paper": "the rules of the text", "released": "those of the authors' code"}
"""Protocol -> its name in a sentence."""

LEVEL = "level of joint's average accuracy"
BEATS = "joint beats "
"""The claim on the joint model's accuracy, and the start of those on other methods."""

SHORT = {"paper": "the text", "released": "the code"}
"""Protocol -> the same in a few letters."""

PROTOCOL_KEYS = {"paper": "ours, by the text (paper)", "released": "ours, by the authors' code (released)"}
"""Protocol -> its entry in a legend."""

OPEN = "not settled (undecided, cannot be told, too few seeds or not run)"
"""What an outcome is that is neither reproduced nor not."""


def answer(verdicts: Sequence[Verdict]) -> list[Markup]:
    """Return what reproduces in two or three sentences, each decided by the verdicts alone."""
    if not verdicts:
        return []
    return [sentence for sentence in (_counted(verdicts), _level(verdicts), _beaten(verdicts)) if sentence]


def _counted(verdicts: Sequence[Verdict]) -> Markup:
    counts = Counter(verdict.outcome for verdict in verdicts)
    claims = len({verdict.claim for verdict in verdicts})
    studies = _listed(dict.fromkeys(spelled(verdict.study) for verdict in verdicts))
    protocols = dict.fromkeys(verdict.protocol for verdict in verdicts if verdict.protocol)
    by = _listed(WORDS.get(protocol, protocol) for protocol in protocols)
    rules = Markup(", by {}").format(by) if by else ""
    told = counts[Ruling.YES] + counts[Ruling.NO]
    return Markup(
        "Of {} verdicts ({} on {}{}) <b>{} say reproduced, {} not reproduced</b>; {} {} {}."
    ).format(
        len(verdicts),
        _plural(claims, "claim"),
        studies,
        rules,
        counts[Ruling.YES],
        counts[Ruling.NO],
        len(verdicts) - told,
        "is" if len(verdicts) - told == 1 else "are",
        OPEN,
    )


def _level(verdicts: Sequence[Verdict]) -> Markup:
    """Return where the joint model has its printed accuracy."""
    of_level = [verdict for verdict in verdicts if verdict.claim == LEVEL]
    if not of_level:
        return Markup("")
    where = _places(of_level, Ruling.YES)
    start = "The joint model <b>reproduces the printed accuracy</b> on {}"
    if not where:
        start = "The joint model <b>does not reproduce the printed accuracy</b> anywhere{}"
    others = [
        Markup("{} on {}").format(words, places)
        for ruling, words in ((Ruling.NO, "not"), (Ruling.OPEN, "undecided"), (Ruling.FEW, "too few seeds"))
        if (places := _places(of_level, ruling)) and (where or ruling is not Ruling.NO)
    ]
    end = Markup("; ").join(["", *others])
    if not where and not _places(of_level, Ruling.NO):
        return Markup("Whether the joint model reproduces the printed accuracy is not settled{}.").format(end)
    return Markup(start).format(where) + end + "."


def _beaten(verdicts: Sequence[Verdict]) -> Markup:
    """Return what the joint model is surely below, and what it is surely above."""
    of_methods: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.claim.startswith(BEATS):
            name = verdict.claim.removeprefix(BEATS).partition(",")[0]
            of_methods.setdefault(name, []).append(verdict)
    if not any(v.outcome is not Ruling.MISSING for judged in of_methods.values() for v in judged):
        return Markup("")
    above, below = (
        [
            Markup("{} ({})").format(name, places)
            for name, judged in of_methods.items()
            if (places := _places(judged, ruling, ", "))
        ]
        for ruling in (Ruling.NO, Ruling.YES)
    )
    first = Markup("The joint model <b>is beaten by</b> {}").format(_listed(above))
    if not above:
        first = Markup("No other method of the paper surely beats the joint model")
    then = Markup("; it beats {}").format(_listed(below)) if below else Markup("; it surely beats none")
    return first + then + "."


def _places(verdicts: Sequence[Verdict], ruling: Ruling, between: str = " and ") -> str:
    """Return the studies and protocols with an outcome, as text; "" without any."""
    texts = []
    for study in dict.fromkeys(verdict.study for verdict in verdicts):
        here = [verdict for verdict in verdicts if verdict.study == study]
        found = [verdict.protocol for verdict in here if verdict.outcome is ruling]
        rules = "both" if len(found) == len(here) == 2 else _listed(SHORT.get(name, name) for name in found)
        if found:
            texts.append(f"{spelled(study)} by {rules}" if any(found) else spelled(study))
    return between.join(texts)


def _listed(names: Iterable[str]) -> Markup:
    """Return names with commas and "and" before the last."""
    every = [Markup.escape(name) for name in names]
    if len(every) < 2:
        return Markup("").join(every)
    return Markup(", ").join(every[:-1]) + " and " + every[-1]


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
