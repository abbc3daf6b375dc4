"""The verdicts on the paper's claims as tables."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from calib.evaluation.significance import ALPHA
from calib.report.exhibits import MISSING, Ruling, Table, Verdict, markdown
from calib.report.numbers import tested
from calib.report.paper import PROTOCOLS, spelled
from calib.report.readings import FAMILY, INTERVALS


def claims_table(verdicts: Sequence[Verdict]) -> Table:
    """Return the verdicts as a table: a row for each study and claim, our value and verdict by protocol.

    A verdict that does not depend on the protocol stands in the first protocol's columns. The caption
    numbers the rules.
    """
    protocols = list(dict.fromkeys(v.protocol for v in verdicts if v.protocol)) or [""]
    rules = {rule: number for number, rule in enumerate(dict.fromkeys(v.rule for v in verdicts), start=1)}
    lines: dict[tuple[str, str], dict[str, Verdict]] = {}
    for verdict in verdicts:
        line = lines.setdefault((verdict.study, verdict.claim), {})
        line[verdict.protocol or protocols[0]] = verdict
    rows = []
    for (study, claim), line in lines.items():
        first = next(iter(line.values()))
        cells = [
            text
            for p in protocols
            for text in ((line[p].ours, line[p].outcome, tested(line[p])) if p in line else ("", "", ""))
        ]
        rows.append([study, claim, first.printed, *cells, str(rules[first.rule])])
    counts = [f"{n} {outcome}" for outcome in Ruling if (n := sum(v.outcome == outcome for v in verdicts))]
    caption = (
        f"{', '.join(counts)}, of {len(verdicts)}. Accuracies are means over target batches of the mean over "
        f"their splits, at sample level. In brackets {INTERVALS} Methods are paired by subject and seed, and "
        f"only seeds with every split count. {FAMILY} {_family(verdicts)} "
        + " ".join(f"Rule {number}: {rule}" for rule, number in rules.items())
    )
    heads = ["study", "claim", "printed"]
    heads += [head for p in protocols for head in (f"ours, {p}" if p else "ours", "verdict", "test")]
    numbers = pd.DataFrame([asdict(v) | {"outcome": str(v.outcome)} for v in verdicts])
    return Table("claims", "What reproduced", caption, [*heads, "rule"], rows, numbers)


def _family(verdicts: Sequence[Verdict]) -> str:
    """Return how many verdicts rest on a test, and how many of these stand when all are taken together."""
    tests = [verdict for verdict in verdicts if verdict.p is not None]
    drawn = [verdict for verdict in tests if verdict.outcome in (Ruling.YES, Ruling.NO)]
    standing = sum(verdict.p_holm is not None and verdict.p_holm < ALPHA for verdict in drawn)
    return (
        f"{len(tests)} verdicts rest on a test, the others on counts or on values alone; of the {len(drawn)} "
        f"that say reproduced or not, {standing} stand at {ALPHA} after the adjustment."
    )


def verdict_counts(verdicts: Sequence[Verdict]) -> str:
    """Return the number of claims with each outcome, by study, as Markdown."""
    studies = list(dict.fromkeys(verdict.study for verdict in verdicts))
    rows = []
    for outcome in Ruling:
        each = [sum(v.study == study and v.outcome is outcome for v in verdicts) for study in studies]
        if any(each):
            rows.append([str(outcome), *map(str, each), str(sum(each))])
    every = [sum(verdict.study == study for verdict in verdicts) for study in studies]
    rows.append(["all", *map(str, every), str(len(verdicts))])
    return markdown(["verdicts", *map(spelled, studies), "together"], rows)


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Return the outcomes as Markdown: a row for each claim, a column for each study and protocol."""
    rules = list(dict.fromkeys(verdict.rule for verdict in verdicts))
    columns = [(study, p) for study in dict.fromkeys(v.study for v in verdicts) for p in PROTOCOLS]
    rows = []
    for claim in dict.fromkeys(verdict.claim for verdict in verdicts):
        same = [verdict for verdict in verdicts if verdict.claim == claim]
        cells = [[_outcome(v) for v in same if (v.study, v.protocol or p) == (s, p)] for s, p in columns]
        outcomes = [cell[0] if cell else MISSING for cell in cells]
        rows.append([claim, *outcomes, str(rules.index(same[0].rule) + 1)])
    return markdown(["claim", *(f"{spelled(study)}, `{p}`" for study, p in columns), "rule"], rows)


def _outcome(verdict: Verdict) -> str:
    """Return an outcome with the p values of its test, if it rests on one."""
    return f"{verdict.outcome} ({tested(verdict)})" if tested(verdict) else str(verdict.outcome)
