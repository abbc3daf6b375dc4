"""What the page says in sentences: the answer in three, and what each chart and table shows."""

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from calib.plates.answer import Answer, Choice, Expected
from calib.plates.page.charts import gained, uncalibrated, with_numbers
from calib.report.numbers import number
from calib.report.page.svg import short

NAME = 48
"""Columns of type that a name may take in a sentence; tables have names in full."""

NBSP = "\N{NO-BREAK SPACE}"

NAMED_CLASSES = 4
"""Most classes that a sentence counts."""

Sentence = str | Markup


def answer_in_three(answer: Answer) -> list[Sentence]:
    """Return the answer: the best method, its gain over no calibration, the calls and how sure they are."""
    if answer.choice is None:
        return [*_no_choice(answer), _calls(answer)]
    return [_best(answer, answer.choice), _gain(answer, answer.choice), _calls(answer)]


def _best(answer: Answer, choice: Choice) -> Sentence:
    compared, plates = len(with_numbers(answer.methods)), len(choice.by_plate)
    among = f"of {compared} methods" if compared > 1 else "the one method that was compared"
    name = short(choice.label, NAME)
    value = Markup("<b>{}</b> ({})").format(
        number(choice.nested.value, 2), _interval(choice.nested, choice.next_plate)
    )
    if not math.isfinite(choice.floor):
        return Markup(
            "Best {} on {} is <strong>{}</strong>: on a plate that its training has not seen it reaches a "
            "balanced accuracy of {}. How much chance would reach was not measured."
        ).format(among, counted(plates, "labelled plate"), name, value)
    floor = number(choice.floor, 2)
    if not choice.above_floor:
        return Markup(
            "<strong>Nothing here is above chance, and the calls should not be used</strong>: the best "
            "{}, {}, "
            "reaches a balanced accuracy of {} on left-out plates, and with shuffled labels the best "
            "reaches up to {}."
        ).format(among, name, value, floor)
    return Markup(
        "Best {} on {} is <strong>{}</strong>: on a plate that its training has not seen, the choice "
        "reaches a "
        "balanced accuracy of {}. With shuffled labels the best method reaches up to {}."
    ).format(among, counted(plates, "labelled plate"), name, value, floor)


def _interval(mean: Expected, following: Expected) -> str:
    """Return the interval of the mean and that of a single further plate, as far as they can be told."""
    if not math.isfinite(mean.low):
        return "no interval can be told"
    text = f"95\N{NO-BREAK SPACE}% interval {number(mean.low, 2)} to {number(mean.high, 2)}"
    if math.isfinite(following.low):
        text += f", of a single further plate {number(following.low, 2)} to {number(following.high, 2)}"
    return text


def _gain(answer: Answer, choice: Choice) -> Sentence:
    gain = choice.gain
    plain = uncalibrated(answer.methods)
    if plain is not None and plain["method"] == choice.method:
        return Markup("<b>No calibration</b> is itself the best, so no calibration is gained from here.")
    if not math.isfinite(gain.value):
        return "The gain over no calibration cannot be told."
    if not math.isfinite(gain.low):
        return f"The difference to no calibration is {gained(gain.value)}; no interval can be told."
    interval = f"{gained(gain.low)} to {gained(gain.high)}"
    if gain.low <= 0 <= gain.high:
        return Markup(
            "<b>No gain over no calibration can be told</b>: the difference is {}, "
            "and its 95\N{NO-BREAK SPACE}% interval, {}, includes\N{NO-BREAK SPACE}0."
        ).format(gained(gain.value), interval)
    more = "more" if gain.value > 0 else "less"
    return Markup(
        "That is <b>{} {}</b> than without calibration (95\N{NO-BREAK SPACE}% interval of the difference {})."
    ).format(number(abs(gain.value), 2), more, interval)


def _no_choice(answer: Answer) -> list[Sentence]:
    labelled = answer.design.plates
    names = [short(name, NAME) for name in labelled.loc[labelled["labelled"].astype(bool), "plate"]]
    have = f"only one plate, {names[0]}, has labels" if names else "no plate has labels"
    if len(names) > 1:
        have = "fewer than two labelled plates have more than one class and leave more than one to learn"
    return [
        Markup(
            "<strong>No method can be chosen</strong>: {}, and a method is judged on a labelled plate that "
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
    whole, answered = len(calls), calls[calls["answer"] != "abstained"]
    where = f"on {counted(plates, 'plate')} without labels"
    if answer.trust is None:
        return Markup("<b>{}</b> {} are called ({}), with nothing that says how sure the calls are.").format(
            counted(whole, unit), where, _mix(calls["call"], answer.classes)
        )
    warned = (
        answer.choice is not None and not answer.choice.above_floor and math.isfinite(answer.choice.floor)
    )
    end = "; do not use them." if warned else "."
    if answered.empty:
        return Markup("None of <b>{}</b> {} gets an answer: none is sure enough{}").format(
            counted(whole, unit), where, end
        )
    errors = answer.trust.plates["error"].dropna() if len(answer.trust.plates) else pd.Series(dtype=float)
    seen = f", and on the left-out plates {_span(errors)} of the answers were" if len(errors) else ""
    return Markup(
        "<b>{} of {}</b> {} get an answer ({}) and {} none; about {} of the answers will be wrong if these "
        "plates are like the labelled ones{}{}"
    ).format(
        len(answered),
        counted(whole, unit),
        where,
        _mix(answered["answer"], answer.classes),
        whole - len(answered),
        percent(answer.trust.error),
        seen,
        end,
    )


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
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def percent(share: float) -> str:
    """Return a share in whole per cent."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%" if math.isfinite(share) else "an unknown share"


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
