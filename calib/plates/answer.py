"""What is known of a person's plates: the parts of an answer, from the design to the calls.

``calib answer`` writes them as files and as a page; ``calib.answer`` returns them. A plate is a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from calib.data.study import FloatArray, IntArray, Subjects


@dataclass(frozen=True)
class Finding:
    """What a look at the design has found.

    Attributes:
        code: short name of the kind of finding, which never changes, for programs.
        serious: whether an answer may be wrong by it; ``--strict`` makes such a finding an error.
        text: one sentence that names the plate, class, column or subject and the number behind it.
        advice: one sentence: what to do.
    """

    code: str
    serious: bool
    text: str
    advice: str


@dataclass(frozen=True)
class Design:
    """A look at plates before any training.

    Attributes:
        plates: a row a plate: ``plate``, ``samples``, ``subjects`` (missing where unknown), ``labelled`` and
            the number of samples of each class, in columns ``n_<class>`` (missing where there are no labels).
        findings: serious ones first.
        tables: name of a check -> the numbers behind it.
    """

    plates: pd.DataFrame
    findings: Sequence[Finding]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """Answers for a labelled plate by a model that did not know its labels.

    Attributes:
        probability: of the classes ``(n, classes)``; rows sum to 1.
        y: true class indices ``(n,)``.
        subject: subject of each row ``(n,)``; None where unknown, so that each row is one.
    """

    probability: FloatArray
    y: IntArray
    subject: Subjects | None = None


LeftOut = Mapping[str, Judged]
"""Labelled plate -> its answers when it was left out of the training."""


@dataclass(frozen=True)
class Expected:
    """A number with its interval.

    Attributes:
        value, low, high: the number and the ends of its interval; NaN where they cannot be told.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """The method that is chosen on the labelled plates, and what its choice is worth.

    Attributes:
        method, label: its name in settings, and in words.
        rule: the rule of the choice, a sentence.
        nested: balanced accuracy on the left-out plate of the method that the other plates choose, mean over
            plates, with a 95 % interval for the mean.
        next_plate: the same with a 95 % interval for a single further plate.
        gain: difference of the same to no calibration, with a 95 % interval.
        by_plate: a row a labelled plate: ``plate``, ``method`` (chosen by the other plates), ``label``,
            ``balanced_accuracy``, ``none`` (no calibration's).
        floor: balanced accuracy that the best of all compared methods reaches with shuffled labels, .95
            quantile.
        above_floor: whether the chosen method's mean lies above it.
        caveats: sentences on what the numbers cannot mean, such as with two plates.
        summary: what the method does, a sentence, or "".
    """

    method: str
    label: str
    rule: str
    nested: Expected
    next_plate: Expected
    gain: Expected
    by_plate: pd.DataFrame
    floor: float
    above_floor: bool
    caveats: Sequence[str] = ()
    summary: str = ""


@dataclass(frozen=True)
class Trust:
    """How far the calls of the chosen method may be believed, measured on left-out plates.

    Each number of a plate is measured with what the *other* labelled plates have set. "Units" are subjects
    where they are known, else samples.

    Attributes:
        unit: ``subject`` or ``sample``.
        temperature: number by which the logarithms of the probabilities are divided to calibrate them.
        error: the stated share of errors among the units that get an answer.
        confidence: least calibrated probability of the class that is answered; above 1 where no threshold
            keeps the error.
        miss: the stated share of units whose set of classes misses the true one.
        threshold: a class is in the set of a unit where its calibrated probability is at least this.
        plates: a row a labelled plate: ``plate``, ``units``, ``slope`` (calibration slope; 1 is right, below
            1 too sure), ``brier``, ``answered`` (share that gets an answer), ``error`` (share of errors among
            these), ``coverage`` (share whose set has the true class), ``set_size`` (mean number of classes).
        reliability: a row a bin of calibrated confidence: ``confidence``, ``accuracy``, ``count``.
        values: two classes only, a row a prevalence: ``prevalence``, ``sensitivity``, ``specificity``,
            ``ppv``, ``npv`` and their 95 % intervals (``ppv_low``, ``ppv_high``, ...).
        benefit: two classes only, a row a threshold: ``threshold``, ``model``, ``all``, ``none``: the net
            benefit (Vickers and Elkin 2006, doi 10.1177/0272989X06295361).
        caveats: sentences.
    """

    unit: str
    temperature: float
    error: float
    confidence: float
    miss: float
    threshold: float
    plates: pd.DataFrame
    reliability: pd.DataFrame
    values: pd.DataFrame
    benefit: pd.DataFrame
    caveats: Sequence[str] = ()


@dataclass(frozen=True)
class Features:
    """Which features carry the answer, by permutation within left-out plates.

    Attributes:
        groups: a row a group of features that vary together, the most important first: ``group`` (number from
            1), ``features`` (names with ", " between), ``importance`` (fall of the AUC where the group's
            values are shuffled within the plate, mean over plates), ``low``, ``high`` (over plates),
            ``direction`` (``+`` or ``-``, the class it speaks for where there are more than two), ``stable``
            (share of plates in which it is among the ten most important).
        agreement: mean rank correlation of the importances between pairs of plates; NaN with one plate.
        markers: classes x features that tell them apart: ``class``, ``feature``, ``auc`` (mean over plates of
            the class against the others), ``plates`` (share of plates in which it has this direction).
        judged_by: label of the method whose answers were looked at.
        caveats: sentences.
    """

    groups: pd.DataFrame
    agreement: float
    markers: pd.DataFrame
    judged_by: str
    caveats: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """Everything that is known of a person's plates.

    Attributes:
        study: name of the study.
        classes: names of the classes; of two, the second is the positive one.
        design: the look before any training.
        methods: a row a method, the best first: ``method``, ``label``, ``seconds``, then for each of
            ``METRICS`` its mean over plates with a 95 % interval by subject (``auc``, ``auc_low``,
            ``auc_high``), then ``gain``, ``gain_low``, ``gain_high`` (balanced accuracy less that of no
            calibration, paired by subject; NaN for no calibration) and ``refusal`` (why it has no numbers,
            else "").
        by_plate: a row a method and labelled plate: ``method``, ``label``, ``plate`` and ``METRICS``.
        choice: the chosen method; None where fewer than two labelled plates can be judged.
        trust: None as ``choice``.
        sample_trust: the same by sample, which sets the limits of ``calls`` where ``trust`` is by subject.
        calls: a row a sample of the plates without labels: ``plate``, ``sample``, ``subject``, ``call``,
            ``answer`` (the call, or ``abstained``), ``set`` (classes between " or "), ``p_<class>``
            (raw), ``calibrated_<class>``, as in the files of ``calib predict``, and ``unusual`` (whether the
            sample lies far from its plate); empty without such plates.
        subject_calls: the same by subject, with ``samples`` and ``agree`` (share of them with the same call);
            empty without subjects.
        mixes: a row an unlabelled plate and class: ``plate``, ``class``, ``share``, ``low``, ``high``.
        features: None where they were not asked for, or cannot be told.
        map: a row a sample of all plates: ``x``, ``y`` (two principal components of the chosen method's
            calibrated data), ``plate``, ``sample``, ``known`` (label or ""), ``call`` ("" where known).
        warnings: sentences that the chosen method's run has warned of.
        facts: heading -> name -> value: files, settings, versions, checksums, times.
        command: the command line, or "".
        later: the command that judges a later plate by the saved model, or "".
        files: names of the files beside the page that it links to -> what they hold.
        sentences: the answer in three sentences, as the page begins.
    """

    study: str
    classes: Sequence[str]
    design: Design
    methods: pd.DataFrame
    by_plate: pd.DataFrame
    choice: Choice | None
    trust: Trust | None
    calls: pd.DataFrame
    subject_calls: pd.DataFrame
    mixes: pd.DataFrame
    features: Features | None
    map: pd.DataFrame
    warnings: Sequence[str] = ()
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    sample_trust: Trust | None = None
    command: str = ""
    later: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    sentences: Sequence[str] = ()

    def __str__(self) -> str:
        """Return the answer in three sentences, as the page begins."""
        return "\n".join(self.sentences)

    def __repr__(self) -> str:
        chosen = None if self.choice is None else self.choice.method
        return f"Answer(study={self.study!r}, chosen={chosen!r}, calls={len(self.calls)})"


BALANCED = "balanced_accuracy"
"""Name of the metric that methods are chosen by."""

METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "mcc": "MCC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
    "slope": "calibration slope",
}
"""Metric -> its name; sensitivity and specificity are NaN with more than two classes."""
