"""REFORMS and TRIPOD+AI for a study: what the program knows is filled in, the rest is asked for.

REFORMS: Kapoor et al. 2024, doi 10.1126/sciadv.adk3452. TRIPOD+AI: Collins et al. 2024,
doi 10.1136/bmj-2023-078378. The items are paraphrased; their full text is in these papers.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from calib.data.cautions import counted, some
from calib.plates.answer import Answer, Expected
from calib.report.exhibits import markdown

FILE = "checklist.md"

CHECKLISTS = {
    "reforms.csv": ("REFORMS", "10.1126/sciadv.adk3452"),
    "tripod_ai.csv": ("TRIPOD+AI", "10.1136/bmj-2023-078378"),
}
"""Table of items -> name of the checklist and DOI."""

YOURS = "**to be filled in**"

CODES = {"missing": ("missing", "detection"), "copies": ("cop", "duplicate", "shared", "repeat", "subject"),
         "giveaway": ("column", "giveaway", "tells"), "sizes": ("size", "few", "small")}  # fmt: skip
"""What is asked -> parts of the codes of findings that answer it."""


def checklist(answer: Answer) -> str:
    """Return both checklists as Markdown."""
    known = {"reforms.csv": _reforms(answer), "tripod_ai.csv": _tripod(answer)}
    parts = [
        f"# Checklists of {answer.study}",
        "What `calib answer` knows of this study is filled in. Check it, and fill in the rest: the program "
        "knows neither the people nor the purpose. The items are paraphrased.",
    ]
    for file, (name, doi) in CHECKLISTS.items():
        rows = [
            (item["item"], item["section"], item["asks"], known[file].get(item["item"], YOURS))
            for item in items(file)
        ]
        filled = sum(row[-1] != YOURS for row in rows)
        parts.append(f"## {name} ([doi {doi}](https://doi.org/{doi}))")
        parts.append(f"{filled} of {len(rows)} items are filled in.")
        parts.append(markdown(("item", "part", "what is asked", "answer"), rows))
    return "\n\n".join(parts) + "\n"


def items(file: str) -> list[dict[str, str]]:
    """Return the items of a checklist."""
    with Path(__file__).with_name(file).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _reforms(answer: Answer) -> dict[str, str]:
    """Return what is known of the items of REFORMS."""
    said = _Said(answer)
    return {
        "2b": said.code,
        "2c": said.environment,
        "2d": "The documentation of calib; of the data: to be filled in.",
        "2e": f"`{answer.command}`" if answer.command else "calib.answer with the settings on the page.",
        "3e": said.sizes,
        "3f": said.findings("missing", "No missing value was seen."),
        "4a": said.setting("exclude", "No sample was left out by a setting."),
        "4b": said.setting("impute", "Files with missing values are refused; none was filled."),
        "4c": said.transform,
        "5a": said.models,
        "5b": "Chosen among methods by the rule of 5d.",
        "5c": said.evaluation,
        "5d": said.choice,
        "5e": "Those of each method's file in calib; none was tuned on these data.",
        "5f": said.comparison,
        "6a": "No method gets labels of a plate that it judges; scaling and calibration see its values.",
        "6b": said.findings("copies", "No sample, subject or near-copy was found on two plates."),
        "6c": said.findings("giveaway", "No feature was found that tells the class or the plate by itself.")
        + " Whether each may be used: to be filled in.",
        "7a": said.metrics,
        "7b": said.uncertainty,
        "7c": said.floor,
        "8a": said.heterogeneity,
        "8b": said.limits,
    }


def _tripod(answer: Answer) -> dict[str, str]:
    """Return what is known of the items of TRIPOD+AI."""
    said = _Said(answer)
    return {
        "7": said.transform,
        "10": said.findings(
            "sizes", "The plates were taken as they are; to be filled in where they come from."
        ),
        "11": said.setting("impute", "Files with missing values are refused; none was filled."),
        "12a": said.evaluation,
        "12b": said.transform,
        "12c": f"{said.models} {said.choice}",
        "12d": "Every plate is judged by a model of the others; numbers are given plate by plate.",
        "12e": said.metrics,
        "12g": "One training on all labelled plates answers the blank plates (`calls.csv`).",
        "13": "Balanced accuracy weighs classes alike; no sample was weighted or drawn anew to judge.",
        "15": said.output,
        "18f": said.code,
        "20b": said.sizes,
        "21": said.sizes,
        "22": "The saved model and its settings, in the folder of the final run; `calib predict` uses it.",
        "23a": said.performance,
        "23b": said.heterogeneity,
        "26": said.limits,
        "27a": "`calib predict` refuses missing values and warns of plates unlike those of the training.",
    }


class _Said:
    """Sentences on an answer that several items share."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    @property
    def code(self) -> str:
        """Return where the code is."""
        versions = self.answer.facts.get("Versions", {})
        return f"calib {versions.get('calib', '')}, revision {versions.get('revision', 'of a release')}."

    @property
    def environment(self) -> str:
        """Return machine and versions."""
        parts = {**self.answer.facts.get("Machine", {}), **self.answer.facts.get("Versions", {})}
        return "; ".join(f"{name} {value}" for name, value in parts.items() if name != "revision")

    @property
    def sizes(self) -> str:
        """Return the samples, subjects and classes of the plates."""
        plates = self.answer.design.plates
        labelled = plates[plates["labelled"].astype(bool)]
        counts = {
            name: labelled[f"n_{name}"].sum() for name in self.answer.classes if f"n_{name}" in labelled
        }
        subjects = plates["subjects"].sum() if plates["subjects"].notna().all() else None
        people = "" if subjects is None else f" of {int(subjects):,} subjects"
        shown = some([f"{int(count):,} {name}" for name, count in counts.items()], 15)
        return (
            f"{int(plates['samples'].sum()):,} samples{people} on {counted(len(plates), 'plate')}, "
            f"{len(labelled)} of them labelled ({shown}). See `plates.csv`."
        )

    def findings(self, kind: str, otherwise: str) -> str:
        """Return what the look at the design has found of a kind."""
        found = [f.text for f in self.answer.design.findings if any(part in f.code for part in CODES[kind])]
        return " ".join(found) or otherwise

    def setting(self, name: str, otherwise: str) -> str:
        """Return a setting of the study."""
        value = self.answer.facts.get("Settings", {}).get(f"dataset.{name}")
        return otherwise if value is None else f"{name}: {value}."

    @property
    def transform(self) -> str:
        """Return how values were transformed."""
        settings = self.answer.facts.get("Settings", {})
        first = settings.get("dataset.prepare") or settings.get("dataset.normalise") or "none"
        return (
            f"At reading: {first}; by the protocol: {settings.get('protocol.transform', 'none')}; each "
            "method scales as its card says (`calib methods`)."
        )

    @property
    def models(self) -> str:
        """Return the chosen model."""
        choice = self.answer.choice
        return YOURS if choice is None else f"{choice.label} (`{choice.method}`)."

    @property
    def evaluation(self) -> str:
        """Return how methods were evaluated."""
        if self.answer.choice is None:
            return "Not evaluated: fewer than two labelled plates could be judged."
        return (
            "Each labelled plate in turn was judged by a model of the other labelled plates; plates without "
            "labels took part without any."
        )

    @property
    def choice(self) -> str:
        """Return the rule of the choice."""
        return YOURS if self.answer.choice is None else self.answer.choice.rule

    @property
    def comparison(self) -> str:
        """Return what was compared."""
        labels: Sequence[str] = list(self.answer.methods["label"]) if len(self.answer.methods) else []
        return f"{len(labels)} methods: {some(labels, 60)}." if labels else YOURS

    @property
    def metrics(self) -> str:
        """Return the measures."""
        return (
            "Balanced accuracy (it decides), AUC, MCC, sensitivity and specificity, Brier score, calibration "
            "slope, coverage of conformal sets, errors among the answers, net benefit."
        )

    @property
    def uncertainty(self) -> str:
        """Return how intervals were made."""
        return (
            "95 % intervals by a jackknife over subjects within plates; for a further plate a prediction "
            "interval from the spread between plates; the choice itself is nested."
        )

    @property
    def floor(self) -> str:
        """Return the permutation floor."""
        choice = self.answer.choice
        if choice is None:
            return YOURS
        return (
            f"Labels shuffled between subjects within plates: the best of all methods reaches "
            f"{choice.floor:.2f} (.95 quantile)."
        )

    @property
    def performance(self) -> str:
        """Return the performance of the choice."""
        choice = self.answer.choice
        if choice is None:
            return YOURS
        return (
            f"Balanced accuracy {_ranged(choice.nested)} on left-out plates, {_ranged(choice.gain)} more "
            "than without calibration. Of groups of people: to be filled in."
        )

    @property
    def heterogeneity(self) -> str:
        """Return how plates differ."""
        choice = self.answer.choice
        if choice is None:
            return YOURS
        table = choice.by_plate
        each = some([f"{r.plate} {r.balanced_accuracy:.2f}" for r in table.itertuples()], 12)
        return (
            f"Balanced accuracy by left-out plate: {each}; for a further plate {_ranged(choice.next_plate)}."
        )

    @property
    def output(self) -> str:
        """Return the output and its thresholds."""
        trust = self.answer.trust
        if trust is None:
            return YOURS
        return (
            f"Class, calibrated probability (temperature {trust.temperature:.3g}), an answer from a "
            f"probability of {trust.confidence:.2f} on ({trust.error:.0%} errors allowed), and a set of "
            f"classes that misses the true one in {trust.miss:.0%}."
        )

    @property
    def limits(self) -> str:
        """Return what the numbers cannot mean."""
        choice, trust = self.answer.choice, self.answer.trust
        said = [*(choice.caveats if choice else ()), *(trust.caveats if trust else ())]
        said += [one.text for one in self.answer.design.findings if one.serious]
        return " ".join([*said, "Plates unlike these: not tested."])


def _ranged(found: Expected) -> str:
    """Return a number with its interval."""
    return f"{found.value:.2f} (95 % interval {found.low:.2f} to {found.high:.2f})"
