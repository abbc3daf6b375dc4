"""Answers with invented numbers, with every part that a page can show, in the shapes that studies have."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from calib.plates.answer import METRICS, Answer, Choice, Design, Expected, Features, Finding, Trust

UGLY = (
    *("<script>alert(1)</script>", "a & b", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "</script>"),
    *(
        "'quoted' \"twice\"",
        "w" * 90,
        "a name of many words " * 6,
        "名前" * 20,
        "x\x1b[31my\u202ez",
        " ",
        "$\\alpha$",
    ),
)
"""Names that a page must show and not run, and that must not break its lines."""


def made_answer(
    classes: Sequence[str] = ("control", "case"),
    plates: Sequence[str] = ("plate 1", "plate 2", "plate 3", "plate 4", "plate 5"),
    labelled: int = 3,
    methods: Sequence[str] = ("Joint+", "Standardised network", "ComBat and logistic regression", "AdaBN"),
    *,
    samples: int = 60,
    replicates: int = 2,
    level: float = 0.84,
    gain: float = 0.07,
    floor: float = 0.58,
    study: str = "cohort",
    seed: int = 0,
) -> Answer:
    """Return an answer.

    Args:
        labelled: the first so many plates have labels; below 2 there is no choice.
        methods: labels of the methods, the best first; no calibration and a refused one are added.
        samples: samples of a plate.
        replicates: samples of a subject; 0: no subjects are known.
        level, gain, floor: balanced accuracy of the best method, its gain, and the permutation floor.
    """
    rng = np.random.default_rng(seed)
    known, unknown = list(plates[:labelled]), list(plates[labelled:])
    rows = _samples(rng, classes, plates, samples, replicates)
    compared = _methods(rng, methods, level, gain)
    per_plate = _by_plate(rng, compared, known)
    calls = _calls(rng, rows[rows["plate"].isin(unknown)], classes)
    chosen = labelled > 1
    return Answer(
        study=study,
        classes=list(classes),
        design=_design(rows, classes, plates, known, replicates),
        methods=compared if chosen else compared.iloc[:0],
        by_plate=per_plate if chosen else per_plate.iloc[:0],
        choice=_choice(per_plate, compared, level, gain, floor) if chosen else None,
        trust=_trust(rng, known, len(classes), bool(replicates)) if chosen else None,
        calls=calls,
        subject_calls=_of_subjects(calls) if replicates else calls.iloc[:0],
        mixes=_mixes(rng, unknown, classes),
        features=_features(rng, classes, methods[0]) if chosen else None,
        map=_map(rng, rows, known, calls, classes),
        warnings=["Batch plate 4 has 12 samples, fewer than 30."],
        facts={
            "Data": {"file": "cohort.csv", "rows": len(rows), "features": 412, "SHA-256": "0f" * 32},
            "Settings": {"batch": "plate", "label": "diagnosis", "subject": "patient", "seed": 0},
            "Versions": {"calib": "0.9.0", "numpy": "2.1.0", "Python": "3.11.2"},
            "Time": {"comparison": "4 min 12 s", "floor": "2 min 3 s"},
        },
        command="calib answer cohort.csv batch=plate label=diagnosis subject=patient",
        files={
            "calls.csv": "the calls of all samples",
            "subject_calls.csv": "the calls of all subjects",
            "methods.csv": "the comparison",
        },
    )


def thirteen_classes() -> Answer:
    """Return an answer with thirteen classes, 42 plates and 50 methods, without subjects."""
    return made_answer(
        [f"cell type {i}" for i in range(1, 14)],
        [f"donor {i:02}" for i in range(1, 43)],
        30,
        [f"Method number {i}" for i in range(1, 49)],
        samples=140,
        replicates=0,
        level=0.91,
        floor=0.16,
        study="forty-two donors",
    )


def nothing_above_the_floor() -> Answer:
    """Return an answer where the best method is no better than with shuffled labels, and gains nothing."""
    answer = made_answer(level=0.53, gain=0.004, floor=0.57)
    finding = Finding(
        "label_is_plate", True, "Plate 2 has only the class case (60 of 60 samples).", "Leave plate 2 out."
    )
    return replace(answer, design=replace(answer.design, findings=[finding, *answer.design.findings]))


def one_labelled_plate() -> Answer:
    """Return an answer with too few labelled plates for a choice."""
    return made_answer(labelled=1)


def labelled_in_part() -> Answer:
    """Return an answer whose one blank plate is a part of a labelled one, and whose choice gains nothing."""
    labels = (
        "Pooled by batch size, logistic regression",
        "Standardised to the sources' mix, logistic regression",
        "Standardised, plain network",
    )
    return made_answer(
        ("MI", "control"), ("1", "2", "3", "3 (unlabelled)"), 3, labels, level=0.849, gain=0.001, floor=0.55
    )


def nothing_to_call() -> Answer:
    """Return an answer for plates that all have labels."""
    return made_answer(labelled=5)


def ugly_names() -> Answer:
    """Return an answer in which every name is one of ``UGLY``."""
    answer = made_answer(UGLY[:4], UGLY, 8, UGLY, study=UGLY[0], replicates=0)
    finding = Finding(UGLY[0], True, " ".join(UGLY), UGLY[2])
    facts: dict[str, dict[str, object]] = {name: dict.fromkeys(UGLY, UGLY[0]) for name in UGLY[:3]}
    return replace(
        answer,
        design=replace(answer.design, findings=[finding], tables={UGLY[0]: answer.mixes}),
        command=" ".join(UGLY),
        files=dict.fromkeys(UGLY[:3], UGLY[1]),
        facts=facts,
        warnings=UGLY,
    )


def _samples(
    rng: np.random.Generator, classes: Sequence[str], plates: Sequence[str], samples: int, replicates: int
) -> pd.DataFrame:
    """Return a row a sample: plate, sample, subject, truth."""
    each = max(replicates, 1)
    parts = []
    for i, plate in enumerate(plates):
        n = samples - 4 * (i % 3)
        subject = np.arange(n) // each
        parts.append(
            pd.DataFrame(
                {
                    "plate": plate,
                    "sample": [f"s{i + 1}_{j:03}" for j in range(n)],
                    "subject": [f"P{i + 1}{number:02}" if replicates else "" for number in subject],
                    "truth": rng.integers(len(classes), size=n)[subject],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _design(
    rows: pd.DataFrame, classes: Sequence[str], plates: Sequence[str], known: Sequence[str], replicates: int
) -> Design:
    """Return the look at the plates."""
    table = []
    for plate in plates:
        here = rows[rows["plate"] == plate]
        counts = {
            f"n_{name}": int((here["truth"] == i).sum()) if plate in known else np.nan
            for i, name in enumerate(classes)
        }
        subjects = here["subject"].nunique() if replicates else np.nan
        table.append(
            {"plate": plate, "samples": len(here), "subjects": subjects, "labelled": plate in known, **counts}
        )
    findings = [
        Finding("small_plate", False, "Plate 4 has 12 samples, the fewest.", "Read its calls with care."),
        Finding(
            "mix_differs", False, "The share of case is between 38 % and 61 %.", "Nothing needs be done."
        ),
    ]
    signal = pd.DataFrame({"quantity": ["plate from features", "chance"], "AUC": [0.97, 0.5]})
    return Design(pd.DataFrame(table), findings, {"plates told apart": signal})


def _methods(rng: np.random.Generator, labels: Sequence[str], level: float, gain: float) -> pd.DataFrame:
    """Return the comparison, with no calibration among the methods and one that refuses."""
    table = []
    all_labels = [*labels, "No calibration"]
    for i, label in enumerate(all_labels):
        none = i == len(labels)
        value = level - gain if none else level - 0.8 * gain * i / max(len(labels) - 1, 1)
        row: dict[str, object] = {"method": f"method_{i}" if not none else "none", "label": label}
        row["seconds"] = round(float(rng.uniform(0.5, 80)), 1)
        for metric in METRICS:
            centre = {"balanced_accuracy": value, "brier": 0.18, "slope": 0.8, "mcc": 2 * value - 1}.get(
                metric, min(value + 0.05, 0.99)
            )
            row |= {metric: centre, f"{metric}_low": centre - 0.05, f"{metric}_high": min(centre + 0.04, 1.0)}
        difference = np.nan if none else value - (level - gain)
        row |= {
            "gain": difference,
            "gain_low": difference - 0.03,
            "gain_high": difference + 0.03,
            "refusal": "",
        }
        table.append(row)
    table.sort(key=lambda row: -float(row["balanced_accuracy"]))  # type: ignore[arg-type]
    refused = dict.fromkeys(table[0], np.nan) | {
        "method": "combat_d",
        "label": "ComBat and D",
        "refusal": "It needs at least 2 samples of each class on every plate.",
    }
    return pd.DataFrame([*table, refused])


def _by_plate(rng: np.random.Generator, methods: pd.DataFrame, known: Sequence[str]) -> pd.DataFrame:
    """Return the metrics of each method and plate."""
    table = []
    for row in methods[methods["refusal"] == ""].itertuples():
        for plate in known:
            shift = float(rng.normal(0, 0.03))
            values = {name: getattr(row, name) + shift for name in METRICS}
            table.append({"method": row.method, "label": row.label, "plate": plate, **values})
    return pd.DataFrame(table, columns=["method", "label", "plate", *METRICS])


def _choice(
    per_plate: pd.DataFrame, methods: pd.DataFrame, level: float, gain: float, floor: float
) -> Choice:
    """Return the choice of the first method."""
    first = methods.iloc[0]
    by_plate = per_plate[per_plate["method"] == first["method"]][
        ["plate", "method", "label", "balanced_accuracy"]
    ]
    none = per_plate[per_plate["method"] == "none"].set_index("plate")["balanced_accuracy"]
    by_plate = by_plate.assign(none=by_plate["plate"].map(none)).reset_index(drop=True)
    nested = level - 0.01
    return Choice(
        first["method"],
        first["label"],
        "The method with the highest mean balanced accuracy over the labelled plates; of equal ones the quickest.",
        Expected(nested, nested - 0.05, nested + 0.04),
        Expected(nested, nested - 0.13, min(nested + 0.1, 1.0)),
        Expected(gain - 0.01, gain - 0.05, gain + 0.03),
        by_plate,
        floor,
        level > floor,
        ["With 3 labelled plates an interval for a further plate is wide."],
        "Every batch to mean 0 and standard deviation 1, then logistic regression.",
    )


def _trust(rng: np.random.Generator, known: Sequence[str], classes: int, subjects: bool) -> Trust:
    """Return how far calls may be believed."""
    plates = pd.DataFrame(
        [
            {
                "plate": plate,
                "units": int(rng.integers(20, 60)),
                "slope": float(rng.normal(0.9, 0.1)),
                "brier": float(rng.normal(0.15, 0.02)),
                "answered": float(rng.uniform(0.7, 0.95)),
                "error": float(rng.uniform(0.02, 0.15)),
                "coverage": float(rng.uniform(0.85, 0.98)),
                "set_size": float(rng.uniform(1.0, 1.4)),
            }
            for plate in known
        ]
    )
    confidence = np.linspace(0.52, 0.98, 8)
    reliability = pd.DataFrame(
        {
            "confidence": confidence,
            "accuracy": np.clip(confidence + rng.normal(0, 0.04, 8), 0, 1),
            "count": rng.integers(6, 60, 8),
        }
    )
    two = classes == 2
    prevalence = np.array([0.01, 0.05, 0.1, 0.2, 0.5]) if two else np.array([])
    sensitivity, specificity = 0.82, 0.88
    ppv = sensitivity * prevalence / (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))
    npv = specificity * (1 - prevalence) / (specificity * (1 - prevalence) + (1 - sensitivity) * prevalence)
    columns = {"prevalence": prevalence, "sensitivity": sensitivity + 0 * prevalence}
    columns |= {"specificity": specificity + 0 * prevalence, "ppv": ppv, "npv": npv}
    values = pd.DataFrame(columns)
    for name in ("sensitivity", "specificity", "ppv", "npv"):
        values[f"{name}_low"], values[f"{name}_high"] = values[name] * 0.9, np.minimum(values[name] * 1.08, 1)
    threshold = np.linspace(0.01, 0.99, 50) if two else np.array([])
    everyone = 0.5 - 0.5 * threshold / (1 - threshold)
    benefit = pd.DataFrame(
        {
            "threshold": threshold,
            "model": np.maximum(0.46 - 0.1 * threshold / (1 - threshold) ** 0.5, 0.01 * (1 - threshold)),
            "all": everyone,
            "none": 0 * threshold,
        }
    )
    unit = "subject" if subjects else "sample"
    return Trust(
        unit, 1.7, 0.1, 0.71, 0.1, 0.22, plates, reliability, values, benefit, ["Three plates set it."]
    )


def _calls(rng: np.random.Generator, rows: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return a call for each sample of plates without labels."""
    columns = ["plate", "sample", "subject", "call", "answer", "set", "unusual"]
    probability = rng.dirichlet(np.full(len(classes), 0.3), len(rows))
    probability[np.arange(len(rows)), rows["truth"]] += 1
    probability /= probability.sum(axis=1, keepdims=True)
    table = []
    for row, p in zip(rows.itertuples(), probability, strict=True):
        call = classes[int(p.argmax())]
        members = " or ".join(name for name, share in zip(classes, p, strict=True) if share >= 0.22)
        answer = call if p.max() >= 0.71 else "abstained"
        values = {
            f"{kind}_{name}": float(q)
            for kind in ("calibrated", "p")
            for name, q in zip(classes, p, strict=True)
        }
        table.append(
            {"plate": row.plate, "sample": row.sample, "subject": row.subject, "call": call, "answer": answer,
             "set": members, "unusual": row.sample.endswith("_007"), **values}
        )  # fmt: skip
    return pd.DataFrame(
        table, columns=[*columns, *(f"{k}_{name}" for k in ("calibrated", "p") for name in classes)]
    )


def _of_subjects(calls: pd.DataFrame) -> pd.DataFrame:
    """Return the calls of the first sample of each subject as the subject's."""
    counts = calls.groupby(["plate", "subject"], sort=False).size().reset_index(name="samples")
    first = calls.drop_duplicates(["plate", "subject"]).drop(columns="sample")
    table = first.merge(counts, on=["plate", "subject"]).drop(columns="unusual")
    odd = calls.groupby(["plate", "subject"])["unusual"].any().reset_index()
    return table.merge(odd, on=["plate", "subject"]).assign(agree=np.where(table.index % 9, 1.0, 0.5))


def _mixes(rng: np.random.Generator, unknown: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Return the shares of the classes on plates without labels."""
    table = []
    for plate in unknown:
        for name, share in zip(classes, rng.dirichlet(np.full(len(classes), 8.0)), strict=True):
            low, high = max(share - 0.08, 0), min(share + 0.08, 1)
            table.append({"plate": plate, "class": name, "share": share, "low": low, "high": high})
    return pd.DataFrame(table, columns=["plate", "class", "share", "low", "high"])


def _features(rng: np.random.Generator, classes: Sequence[str], label: str) -> Features:
    """Return the importance of invented groups of features."""
    table = []
    for i in range(1, 31):
        importance = 0.09 / i
        table.append(
            {
                "group": i,
                "features": ", ".join(f"mz_{100 + 7 * i + j}.{i:02}" for j in range(1 + (i * 5) % 9)),
                "importance": importance,
                "low": importance - 0.012,
                "high": importance + 0.014,
                "direction": "+-"[int(rng.integers(2))] if len(classes) == 2 else classes[i % len(classes)],
                "stable": float(rng.integers(1, 4)) / 3,
            }
        )
    markers = [
        {"class": name, "feature": f"mz_{200 + i}.{j}", "auc": 0.9 - 0.03 * j, "plates": 1.0}
        for i, name in enumerate(classes)
        for j in range(3)
    ]
    return Features(
        pd.DataFrame(table),
        0.62,
        pd.DataFrame(markers),
        label,
        ["A group counts as one: its members share the fall."],
    )


def _map(
    rng: np.random.Generator,
    rows: pd.DataFrame,
    known: Sequence[str],
    calls: pd.DataFrame,
    classes: Sequence[str],
) -> pd.DataFrame:
    """Return a place for each sample."""
    angle = 2 * np.pi * rows["truth"].to_numpy() / len(classes)
    called = calls.set_index(["plate", "sample"])["call"]
    keys = list(zip(rows["plate"], rows["sample"], strict=True))
    labelled = rows["plate"].isin(known).to_numpy()
    return pd.DataFrame(
        {
            "x": 5 * np.cos(angle) + rng.normal(size=len(rows)),
            "y": 3 * np.sin(angle) + rng.normal(size=len(rows)),
            "plate": rows["plate"],
            "sample": rows["sample"],
            "known": [
                classes[i] if is_known else "" for i, is_known in zip(rows["truth"], labelled, strict=True)
            ],
            "call": ["" if is_known else called[key] for key, is_known in zip(keys, labelled, strict=True)],
        }
    )
