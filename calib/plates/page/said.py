"""What the page says in sentences: the answer in three, and what each chart and table shows."""

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from calib.data.partial_labels import whole_plate
from calib.plates.answer import Answer, Choice, Expected
from calib.plates.page.charts import gained, uncalibrated, with_numbers
from calib.report.numbers import number
from calib.report.page.svg import short
from calib.runs.outcome import ABSTAINED

NAME = 48
"""Columns of type that a name may take in a sentence; tables have names in full."""

NBSP = "\N{NO-BREAK SPACE}"

NAMED_CLASSES = 4
"""Most classes that a sentence counts."""

Sentence = str | Markup


def answer_in_three(answer: Answer) -> list[Sentence]:
    """Return the answer: the best method, its gain over no calibration, the calls and how sure they are.

    Where blank samples lie on a labelled plate a fourth sentence says so.
    """
    parts = _parts(answer)
    end = [_calls(answer), *([parts] if parts else [])]
    if answer.choice is None:
        return [*_no_choice(answer), *end]
    return [_best(answer, answer.choice), _gain(answer, answer.choice), *end]


def _best(answer: Answer, choice: Choice) -> Sentence:
    has, plates = with_numbers(answer.methods), len(choice.by_plate)
    name, on = short(choice.label, NAME), counted(plates, "labelled plate")
    chosen = has[has["method"] == choice.method].iloc[0]
    mean, floor = number(float(chosen["balanced_accuracy"]), 2), number(choice.floor, 2)
    among = f"the best of {len(has)} methods" if len(has) > 1 else "the one method that was compared"
    if math.isfinite(choice.floor) and not choice.above_floor:
        return Markup(
            "<strong>Nothing here is above chance, and the calls should not be used.</strong> On {} {}, {}, "
            "reaches a balanced accuracy of <b>{}</b>; with shuffled labels the best reaches up to {}."
        ).format(on, among, name, mean, floor)
    expected = Markup(
        "<b>{}</b> on a plate whose labels it does not know ({}): that is what to expect."
    ).format(number(choice.nested.value, 2), _interval(choice.nested, choice.next_plate))
    chance = f"With shuffled labels the best method reaches up to {floor}."
    if not math.isfinite(choice.floor):
        chance = "How much chance would reach was not measured."
    if len(has) == 1:
        return Markup(
            "One method was compared on {}: <strong>{}</strong>. It reaches a balanced accuracy of {} {}"
        ).format(on, name, expected, chance)
    gain = float(chosen["gain"])
    own = f"balanced accuracy {mean}" + (
        f", gain {gained(gain)} over no calibration" if math.isfinite(gain) else ""
    )
    others = "plate" if plates == 2 else "plates"
    return Markup(
        "Best of {} methods on {} is <strong>{}</strong> ({}). Picked by the other {}, a method reaches {} {}"
    ).format(len(has), on, name, own, others, expected, chance)


def _interval(mean: Expected, following: Expected) -> str:
    """Return the interval of the mean and that of a single further plate, as far as they can be told."""
    if not math.isfinite(mean.low):
        return "no interval can be told"
    text = f"95{NBSP}% interval {number(mean.low, 2)} to {number(mean.high, 2)}"
    if math.isfinite(following.low):
        text += f"; a single further plate {number(following.low, 2)} to {number(following.high, 2)}"
    return text


def _gain(answer: Answer, choice: Choice) -> Sentence:
    gain, plain = choice.gain, uncalibrated(answer.methods)
    if len(with_numbers(answer.methods)) == 1 and plain is not None:
        others = "could be judged" if len(answer.methods) > 1 else "was compared"
        return f"No other method {others}, so nothing here tells what calibration would gain."
    if plain is not None and plain["method"] == choice.method:
        return Markup("<b>No other method is better</b> on these plates: calibration gains nothing here.")
    if plain is None or not math.isfinite(gain.value):
        return "What the choice gains over no calibration cannot be told."
    if not math.isfinite(gain.low):
        return f"Choosing gains {gained(gain.value)} over no calibration; no interval can be told."
    interval = f"95{NBSP}% interval {gained(gain.low)} to {gained(gain.high)}"
    if gain.low > 0:
        return Markup("Choosing gains <b>{}</b> over no calibration ({}).").format(
            number(gain.value, 2), interval
        )
    lost = gain.high < 0
    found = "Choosing was a loss here" if lost else "Choosing gained nothing here that can be told"
    text = Markup("<b>{}</b>: the difference to no calibration is {} ({}{}).").format(
        found, gained(gain.value), interval, "" if lost else f", which includes{NBSP}0"
    )
    if math.isfinite(choice.floor) and not choice.above_floor:
        return text
    return text + Markup(" No calibration ({}) is {}: <code>methods=none</code> calls with it.").format(
        number(float(plain["balanced_accuracy"]), 2), "better" if lost else "as good as far as is known"
    )


def _no_choice(answer: Answer) -> list[Sentence]:
    labelled = answer.design.plates
    names = [short(name, NAME) for name in labelled.loc[labelled["labelled"].astype(bool), "plate"]]
    have = f"only one plate, {names[0]}, has labels" if names else "no plate has labels"
    if len(names) > 1:
        have = "fewer than two labelled plates have more than one class and leave more than one to learn"
    return [
        Markup(
            "<strong>No method can be chosen</strong>: {}, and a method is judged on a plate whose labels "
            "its training has not seen, which takes two such plates."
        ).format(have),
        "So nothing here tells whether calibration helps, or how often a call is right; label a further "
        "plate to learn it.",
    ]


def _calls(answer: Answer) -> Sentence:
    if answer.calls.empty:
        return "Every plate has labels, so there is nothing to call."
    calls, unit = units(answer)
    plates = calls["plate"].nunique()
    whole, answered = len(calls), calls[calls["answer"] != ABSTAINED]
    where = f"on {counted(plates, 'plate')} without labels"
    if answer.trust is None:
        be = "is" if whole == 1 else "are"
        return Markup("<b>{}</b> {} {} called ({}), with nothing that says how sure the calls are.").format(
            counted(whole, unit), where, be, _mix(calls["call"], answer.classes)
        )
    choice = answer.choice
    warned = choice is not None and not choice.above_floor and math.isfinite(choice.floor)
    end = ". Do not use them." if warned else "."
    if answered.empty:
        return Markup("None of <b>{}</b> {} gets an answer: none is sure enough.").format(
            counted(whole, unit), where
        )
    few = f"<b>{len(answered)} of {counted(whole, unit)}</b>"
    if len(answered) == whole:
        few = f"<b>All {counted(whole, unit)}</b>" if whole > 1 else f"<b>The one {unit}</b>"
    silent = f" and {whole - len(answered)} none" if len(answered) < whole else ""
    errors = answer.trust.plates["error"].dropna() if len(answer.trust.plates) else pd.Series(dtype=float)
    seen = f"; on left-out plates {_span(errors)} were" if len(errors) else ""
    said = "{} {} {} an answer ({}){}. At most about {} of the answers will be wrong if {}{}{}"
    return Markup(said).format(
        Markup(few),
        where,
        "gets" if len(answered) == 1 else "get",
        _mix(answered["answer"], answer.classes),
        silent,
        percent(answer.trust.error),
        "this plate is like the labelled ones" if plates == 1 else "these plates are like the labelled ones",
        seen,
        end,
    )


def _parts(answer: Answer) -> str:
    """Return which blank samples lie on a plate that is labelled in part, and how that plate was judged."""
    plates = answer.design.plates
    known = set(plates.loc[plates["labelled"].astype(bool), "plate"].astype(str)) if len(plates) else set()
    blank = [] if answer.calls.empty else list(map(str, answer.calls["plate"].unique()))
    whole = {name: whole_plate(name, known) for name in blank if whole_plate(name, known) != name}
    if not whole:
        return ""
    table = pd.DataFrame(columns=["plate", "error"]) if answer.trust is None else answer.trust.plates
    errors = table.loc[table["plate"].astype(str).isin(set(whole.values())), "error"].astype(float).dropna()
    part, name = next(iter(whole.items()))
    if len(whole) == 1:
        text = f"The samples of '{short(part, NAME)}' lie on {_plate(name)}, whose other samples the model "
        text += "learns from"
        left_out = f"{_plate(name)} was"
    else:
        text = f"The samples of {len(whole)} plates, such as '{short(part, NAME)}', lie on plates whose "
        text += "other samples the model learns from"
        left_out = "such plates were"
    return text + (
        f"; when {left_out} left out, {_span(errors)} of the answers were wrong." if len(errors) else "."
    )


def _plate(name: str) -> str:
    """Return the name of a plate as a sentence has it."""
    text = short(name, NAME)
    return text if text.lower().startswith("plate") else f"plate {text}"


def rules(answer: Answer) -> list[str]:
    """Return when an answer is given, what cannot be ruled out, and which of the two to go by."""
    trust = answer.trust
    if trust is None:
        return ["Nothing tells how sure the calls are, so none counts as an answer."]
    calls, unit = units(answer)
    wrong = percent(trust.error)
    if trust.confidence > 1:
        text = f"No {unit} gets an answer: at no probability would so few as {wrong} of the answers be wrong."
    elif trust.confidence <= 0:
        text = f"Every {unit} gets an answer: of all answers at most {wrong} should be wrong."
    else:
        digits = telling_digits(trust.confidence, likeliest(calls, answer.classes))
        text = (
            f"A {unit} gets an answer where the probability of its likeliest class is at least "
            f"{percent(trust.confidence, digits - 2)}: then at most about {wrong} of the answers should be "
            "wrong."
        )
    return [
        text,
        f"Probabilities are calibrated: of the calls at {percent(0.8)}, about {percent(0.8)} should be "
        "right, and Trust shows how well that held.",
        f'"Cannot be ruled out" lists the classes that remain possible: for {percent(1 - trust.miss)} of '
        f"all {unit}s, answered or not, the true one should be among them.",
        "Where the two differ go by the answer, since only it keeps the share of wrong answers: one class "
        "may remain where no answer is sure enough.",
    ]


TERMS = {
    "batch": "A batch is a plate",
    "source": "sources are the labelled plates",
    "target": "targets are the plates without labels",
}
"""Word of the summary of a method -> what it means on this page."""


def terms(summary: str) -> str:
    """Return what the words of a method's summary mean, a sentence, or ""."""
    text = ", ".join(what for word, what in TERMS.items() if word in summary.lower())
    return f"{text[0].upper()}{text[1:]}." if text else ""


def likeliest(calls: pd.DataFrame, classes: Sequence[str]) -> pd.Series:
    """Return the calibrated probability of the likeliest class of each row."""
    return calls[[f"calibrated_{name}" for name in classes]].astype(float).max(axis=1)


def telling_digits(limit: float, values: pd.Series) -> int:
    """Return how many digits it takes, from two to six, that no value below a limit looks as high as it."""
    below = values[values < limit]
    if below.empty:
        return 2
    highest = float(below.max())
    return next((n for n in range(2, 6) if f"{highest:.{n}f}" < f"{limit:.{n}f}"), 6)


def units(answer: Answer) -> tuple[pd.DataFrame, str]:
    """Return the calls of subjects where they are known, else of samples, and what a row is."""
    return (answer.calls, "sample") if answer.subject_calls.empty else (answer.subject_calls, "subject")


def _mix(answers: pd.Series, classes: Sequence[str]) -> str:
    """Return how many have which answer: the first few classes by number, then how many others there are."""
    counts = Counter(map(str, answers))
    order = [name for name in map(str, classes) if counts[name]]
    if len(order) > NAMED_CLASSES:
        order.sort(key=lambda name: -counts[name])
    text = ", ".join(f"{counts[name]}{NBSP}×{NBSP}{short(name, NAME // 2)}" for name in order[:NAMED_CLASSES])
    rest = len(order) - NAMED_CLASSES
    return f"{text}, the others of {counted(rest, 'further class', 'further classes')}" if rest > 0 else text


def _span(shares: pd.Series) -> str:
    """Return the lowest and the highest share in per cent."""
    low, high = percent(float(shares.min())), percent(float(shares.max()))
    return low if low == high else f"{low} to {high}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share in per cent, whole ones or with so many digits."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%" if math.isfinite(share) else "an unknown share"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def summary(answer: Answer) -> str:
    """Return the line under the title: plates, samples, subjects, classes."""
    plates = answer.design.plates
    known = int(plates["labelled"].astype(bool).sum())
    text = f"{counted(known, 'plate')} with labels, {len(plates) - known} without; "
    text += counted(int(plates["samples"].sum()), "sample")
    if len(plates) and plates["subjects"].notna().all():
        text += f" of {counted(int(plates['subjects'].sum()), 'subject')}"
    names = [short(name, 30) for name in answer.classes]
    shown = ", ".join(names) if len(names) <= NAMED_CLASSES else ", ".join(names[:2]) + " and others"
    text += f"; {counted(len(names), 'class', 'classes')}: {shown}"
    if len(names) == 2:
        text += f" ({names[1]} is the positive one)"
    return text + "."
