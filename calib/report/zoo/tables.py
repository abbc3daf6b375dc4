"""The tables of the section on public studies."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from calib.evaluation.intervals import Estimate
from calib.evaluation.significance import ALPHA, holm
from calib.report.exhibits import MISSING, Table
from calib.report.numbers import number, p_text, signed, signed_with_interval
from calib.report.paper import spelled
from calib.report.zoo.properties import SPELLED
from calib.report.zoo.ranks import Ranks, wilcoxon_p
from calib.report.zoo.scores import HEADS, UNCALIBRATED, Entry, Key

COMMAND = "make zoo"

HALF = {"development": "", "confirmation": " (c)", "paper": ""}
"""Part -> mark of its studies in headings."""

JOINT = ("joint", "")
COMPARATORS = (
    *(("baseline", ""), UNCALIBRATED),
    *((method, "") for method in ("combat", "normae", "bermuda", "desc", "pairwise", "recon_t")),
)
"""Method and variant of the paper's method, and of those it is compared with."""

INTERVAL = (
    "± is half of the 95 % interval over subjects of the targets (delete-a-group jackknife) and over seeds "
    "(t quantiles); studies and batches are taken as they are. It is too small where a class has one "
    "subject. Three seeds, or any where the seed changes nothing."
)

MARKS = (
    "(c): of the confirmation half. –: the method refuses the study (see below) or has not been run. † uses "
    "target labels: a reference, not a method."
)


def study_table(properties: pd.DataFrame, methods: pd.DataFrame) -> Table:
    """Return what each study is like, its chance level and the best of the methods."""
    rows = []
    for study in properties.to_dict("records"):
        own = methods[methods["study"] == study["study"]]
        above = own[holm(own["p_chance"].tolist()) < ALPHA]
        best = own.loc[own["balanced_accuracy"].idxmax()] if len(own) else None
        rows.append(
            [
                spelled(str(study["study"])) + HALF[str(study["part"])],
                *(f"{study[key]:,.0f}" for key in ("batches", "samples", "smallest", "features", "classes")),
                *(number(study[key], 2) for key in ("mix", "silhouette_batch", "silhouette_class")),
                number(study["chance"]),
                number(study["by_itself"]),
                MISSING if best is None else f"{best['name']} {number(best['balanced_accuracy'])}",
                f"{len(above)} of {len(own)}",
            ]
        )
    heads = ["study", *SPELLED.values()]
    heads[-1:] = ["chance", "no calibration", "highest", "surely above chance"]
    caption = (
        "Class mix apart: mean over pairs of batches of the total variation distance of their class shares. "
        "Silhouettes: of the values without calibration. Chance: balanced accuracy of guessing. No "
        "calibration: balanced accuracy of logistic regression on the scale of the sources. Highest: of many "
        "methods, so it promises too much of the one that is named. Surely above chance: methods of "
        f"which a one-sided test says so at {ALPHA}, adjusted over the methods after Holm. {MARKS}"
    )
    return Table("zoo_studies", "What the studies are like", caption, heads, rows, properties, COMMAND)


def metric_table(metric: str, numbers: pd.DataFrame, properties: pd.DataFrame) -> Table:
    """Return one metric of every method on every study, the best mean first."""
    studies = list(properties["study"])
    parts = dict(zip(properties["study"], properties["part"], strict=True))
    by_name = {name: own.set_index("study") for name, own in numbers.groupby("name", sort=False)}
    means = {
        name: own[metric].mean() if len(own) == len(studies) else np.nan for name, own in by_name.items()
    }
    order = sorted(by_name, key=lambda name: (np.isnan(means[name]), -np.nan_to_num(means[name])))
    rows = []
    for name in order:
        cells = [_cell(by_name[name], study, metric) for study in studies]
        rows.append([str(name), number(means[name]), *cells])
    heads = ["method", "mean", *(spelled(study) + HALF[parts[study]] for study in studies)]
    caption = (
        f"{HEADS[metric][0].upper()}{HEADS[metric][1:]}, mean over target batches, at sample level. "
        f"{INTERVAL} Sorted by the mean over studies, for methods that have them all. {MARKS}"
    )
    title = f"Every method on every study: {HEADS[metric]}"
    return Table(f"zoo_{metric}", title, caption, heads, rows, numbers, COMMAND)


def _cell(own: pd.DataFrame, study: str, metric: str) -> str:
    """Return one metric with half of its interval, or a dash."""
    if study not in own.index:
        return MISSING
    value, low, high = (float(own.loc[[study], f"{metric}{end}"].iloc[0]) for end in ("", "_low", "_high"))
    return f"{number(value)} ± {number((high - low) / 2, 2)}"


def rank_table(found: Ranks, numbers: pd.DataFrame) -> Table:
    """Return mean ranks, and which methods cannot be told from the first."""
    by_name = numbers.assign(
        better=numbers["balanced_accuracy_gain_low"] > 0, worse=numbers["balanced_accuracy_gain_high"] < 0
    ).groupby("name")
    counted, seconds = by_name[["better", "worse"]].sum(), by_name["seconds"].mean()
    rows = [
        [
            str(name),
            number(rank, 1),
            number(found.scores[name].mean()),
            *(str(counted.at[name, side]) for side in ("better", "worse")),
            "yes" if found.best.loc[name] else "no",
            number(float(seconds.loc[name]), 1),
        ]
        for name, rank in zip(map(str, found.ranks.index), found.ranks, strict=True)
    ]
    heads = [
        *("method", "mean rank", "mean balanced accuracy", "studies surely above no calibration"),
        *("surely below", "not told from the first", "seconds a run"),
    ]
    caption = (
        f"Over the {len(found.scores)} studies that these methods have: {', '.join(found.scores.index)}. "
        f"Friedman's test that all are alike: p {p_text(found.p)}. Surely: the 95 % interval of the paired "
        "difference is on one side of 0; not adjusted for the number of studies. Not told from the first: "
        "Nemenyi's test at .05. Seconds: mean of all runs, on one core."
    )
    table = pd.DataFrame({"name": found.ranks.index, "rank": found.ranks.to_numpy()})
    return Table("zoo_ranks", "Ranks over the studies", caption, heads, rows, table, COMMAND)


def claim_table(studies: Mapping[str, Sequence[Entry]]) -> Table | None:
    """Return on how many studies the paper's method is above each of its comparators; None without any."""
    found = [apart for key in COMPARATORS if (apart := _joint_minus(key, studies))]
    if not found:
        return None
    p = [wilcoxon_p(np.array([one.value for _, one in apart.values()])) for apart in found]
    rows, table = [], []
    for apart, raw, adjusted in zip(found, p, holm(p), strict=True):
        name = next(iter(apart.values()))[0]
        estimates = [one for _, one in apart.values()]
        mean = float(np.mean([one.value for one in estimates]))
        counts = [
            sum(one.low > 0 for one in estimates),
            sum(one.low <= 0 <= one.high for one in estimates),
            sum(one.high < 0 for one in estimates),
        ]
        each = "; ".join(
            f"{spelled(study)} {signed_with_interval(one.value, one.low, one.high)}"
            for study, (_, one) in apart.items()
        )
        ahead = sum(one.value > 0 for one in estimates)
        rows.append(
            [
                name,
                str(len(apart)),
                signed(mean),
                str(ahead),
                *map(str, counts),
                p_text(raw),
                p_text(adjusted),
                each,
            ]
        )
        table += [
            {"method": name, "study": study, "difference": one.value, "low": one.low, "high": one.high}
            for study, (_, one) in apart.items()
        ]
    heads = [
        *("joint minus", "studies", "mean", "ahead", "surely above", "0 in the interval", "surely below"),
        *("p", "Holm", "study by study"),
    ]
    caption = (
        "Difference in balanced accuracy between joint calibration (protocol paper) and each method it is "
        "compared with in the paper, paired by subject and seed. p: Wilcoxon's signed-rank test with the "
        "studies as units, of five studies or more; Holm: adjusted over this table."
    )
    title = "Does joint calibration lead on other people's studies?"
    return Table("zoo_claim", title, caption, heads, rows, pd.DataFrame(table), COMMAND)


def _joint_minus(key: Key, studies: Mapping[str, Sequence[Entry]]) -> dict[str, tuple[str, Estimate]]:
    """Return the name of a method, and the paper's method minus it, for each study that has both."""
    apart = {}
    for name, methods in studies.items():
        known = {one.key: one for one in methods if one.metrics}
        if JOINT in known and key in known:
            joint, other = (known[one].metrics["balanced_accuracy"] for one in (JOINT, key))
            if (difference := joint.minus(other)) is not None:
                apart[name] = known[key].name, difference.estimate()
    return apart


def correlation_table(found: pd.DataFrame) -> Table | None:
    """Return the correlation of methods' gains with properties of the studies; None of too few studies."""
    if found.empty or found["rho"].isna().all():
        return None
    wide = found.pivot_table(index="name", columns="property", values="rho", sort=False, dropna=False)
    sure = found[found["p_holm"] < ALPHA]
    columns = [name for name in SPELLED if name in wide and wide[name].notna().any()]
    rows = [[str(name), *(number(row[c], 2) for c in columns)] for name, row in wide.iterrows()]
    caption = (
        "Spearman's correlation, over studies, of a method's gain over no calibration with a property of the "
        f"study (see the table of studies). After Holm's adjustment over the table, {len(sure)} of "
        f"{int(found['p'].notna().sum())} can be told from 0 at .05: read them as questions, not as answers."
    )
    heads = ["gain of", *(SPELLED[name] for name in columns)]
    return Table("zoo_properties", "Which studies a method helps", caption, heads, rows, found, COMMAND)


def refusal_table(studies: Mapping[str, Sequence[Entry]]) -> Table | None:
    """Return which method refused which study, and why; None where none did."""
    rows = [
        [one.name, spelled(study), one.refusal]
        for study, methods in studies.items()
        for one in methods
        if not one.metrics and one.refusal
    ]
    if not rows:
        return None
    numbers = pd.DataFrame(rows, columns=["method", "study", "why"])
    caption = "A method that cannot answer says why; that is a result, too."
    return Table(
        "zoo_refused", "What methods refuse", caption, ["method", "study", "why"], rows, numbers, COMMAND
    )
