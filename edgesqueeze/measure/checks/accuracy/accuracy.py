"""The check "accuracy": does it still work."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgesqueeze.measure.checks.accuracy.classes import Labels, Right, class_losses, recall_of
from edgesqueeze.measure.checks.accuracy.losing import losing_step
from edgesqueeze.measure.checks.accuracy.variety import NEARLY, Variety
from edgesqueeze.measure.checks.check import Check, Finding, Severity, concluded
from edgesqueeze.measure.checks.image_answers import AnyPairedTest
from edgesqueeze.numerics.proportions import SIGNIFICANT, Interval, PairedTest, losing_p_value
from edgesqueeze.task.metrics import Measure
from edgesqueeze.task.metrics.wording import written, written_change
from edgesqueeze.text.digits import significant

CLASS_DROP = 0.1
"""What a class may lose of its recall."""
_ROUNDING = 1e-9
"""How far a loss of exactly what is allowed may be off as a difference of two metrics."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A state or a file and what its answers are worth: ``value`` is the primary metric.

    ``test`` is that against the baseline; None of the baseline, and where there is none. ``right`` says which
    images are right, where they are right or wrong. ``interval`` is the 95 % interval of ``value``.
    """

    name: str
    value: float
    variety: Variety | None = None
    right: Right | None = None
    test: AnyPairedTest | None = None
    interval: Interval | None = None


@dataclass(frozen=True, eq=False)
class AccuracyEvidence:
    """What the files are worth, and every state from the baseline to the last.

    ``allowed`` is what may be lost, in the metric's own unit (0.01 is a point of a share). ``labels`` are the
    classes of the test images, if they have any. Without labels the metric is the ``fidelity`` to the
    baseline, which nothing can improve on.
    """

    metric: str
    measure: Measure
    allowed: float
    test_examples: int
    states: tuple[Judged, ...]
    files: tuple[Judged, ...]
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    fidelity: bool = False

    @property
    def name(self) -> str:
        """What the check is called."""
        return "fidelity" if self.fidelity else "accuracy"

    @property
    def least(self) -> float:
        """Where less is a fault."""
        return self.baseline.value - self.allowed

    @property
    def baseline(self) -> Judged:
        """What all others are compared with."""
        return self.states[0]


def allowed_loss(measure: Measure, max_drop: float | None, value: float) -> float:
    """What may be lost of a metric that was ``value``, in its own unit.

    Args:
        measure: the metric.
        max_drop: what a recipe says: points of a share, else the metric's unit; None for what the metric
            allows, or a small change.
        value: the baseline's.
    """
    if max_drop is None:
        return measure.point(value) if measure.loss_allowed is None else measure.loss_allowed
    return max_drop / 100 if measure.unit == "share" else max_drop


def check_accuracy(evidence: AccuracyEvidence) -> Check:
    """A file is about as good as the baseline, does not answer all images alike, still knows every class."""
    name = evidence.name
    if not evidence.files:
        return Check(name, unchecked="no file was measured")
    files: dict[tuple[Severity, str], list[str]] = {}
    for file in evidence.files:
        for severity, said in _judged(evidence, file):
            files.setdefault((severity, said), []).append(file.name)
    findings = [Finding(severity, f"{', '.join(names)}: {said}") for (severity, said), names in files.items()]
    return concluded(name, _passed(evidence), findings)


def _passed(evidence: AccuracyEvidence) -> str:
    """What holds, as far as it could be asked."""
    unit = evidence.measure.unit
    allowed = written_change(evidence.allowed, unit)
    holds = [f"no file has lost more than {allowed} of {evidence.metric} against {evidence.baseline.name!r}"]
    if evidence.fidelity:
        holds = [f"the {evidence.metric} of every file is {written(evidence.least, unit)} or more"]
    if all(file.variety is not None for file in evidence.files):
        holds.append("none answers all images alike")
    if evidence.labels is not None and evidence.baseline.right is not None:
        holds.append(f"no class has lost more than {100 * CLASS_DROP:.0f} points of its recall")
    return ", ".join(holds)


def _judged(evidence: AccuracyEvidence, file: Judged) -> list[tuple[Severity, str]]:
    """What is found of a file; all of its faults are one sentence, which ends with the stage."""
    # That one class is answered to all says of the others what the worst of them would say again.
    same = [*_constancy(evidence, file)]
    losses = [*_loss(evidence, file), *(same or _worst_class(evidence, file))]
    faults = [loss for loss in losses if loss.severity == "fault"]
    others: list[tuple[Severity, str]] = [
        (loss.severity, loss.said) for loss in losses if loss.severity != "fault"
    ]
    if not faults:
        return others
    blame = next((text for text in (_blame(evidence, loss) for loss in faults) if text), "")
    return [("fault", "; ".join([*(loss.said for loss in faults), *([blame] if blame else [])])), *others]


@dataclass(frozen=True)
class _Loss:
    """Something that a file has lost, and how it came to that.

    ``worth`` is what the baseline, the states and the file are worth in it, more being better, ``shown`` the
    same in words; empty if not all are known. What is less than ``limit`` is lost.
    """

    severity: Severity
    said: str
    worth: tuple[float, ...] = ()
    shown: tuple[str, ...] = ()
    limit: float = 0.0


def _loss(evidence: AccuracyEvidence, file: Judged) -> Iterator[_Loss]:
    measure, before = evidence.measure, evidence.baseline
    allowed = evidence.allowed + _ROUNDING * max(1.0, abs(before.value))
    gain = measure.gain(before.value, file.value)
    if gain >= -allowed or math.isnan(before.value):
        return
    values = [judged.value for judged in (*evidence.states, file)]
    shown = [written(value, measure.unit) for value in values]
    severity, said = _unfaithful(evidence, file) if evidence.fidelity else _worse(evidence, file)
    yield _Loss(
        severity, said, tuple(measure.gain(before.value, v) for v in values), tuple(shown), limit=-allowed
    )


def _worse(evidence: AccuracyEvidence, file: Judged) -> tuple[Severity, str]:
    """What is said of a loss against the baseline."""
    before, unit = evidence.baseline, evidence.measure.unit
    severity, chance = _chance(evidence, file)
    amount = written_change(abs(file.value - before.value), unit)
    found, better = (written(judged.value, unit) for judged in (file, before))
    return severity, (
        f"{evidence.metric} is {found} where {before.name!r} has {better}: {amount} worse, "
        f"{written_change(evidence.allowed, unit)} are allowed ({chance})"
    )


def _unfaithful(evidence: AccuracyEvidence, file: Judged) -> tuple[Severity, str]:
    """What is said of answers that are not those of the baseline."""
    found, least = (written(value, evidence.measure.unit) for value in (file.value, evidence.least))
    said = f"the {evidence.metric} with {evidence.baseline.name!r} is {found}, {least} is the least"
    if file.interval is None or file.interval.high < evidence.least or math.isnan(file.value):
        return "fault", said
    high = written(file.interval.high, evidence.measure.unit)
    return "doubt", f"{said}; {evidence.test_examples:,} images cannot tell, it may be {high}"


def _chance(evidence: AccuracyEvidence, file: Judged) -> tuple[Severity, str]:
    """Whether a loss may be chance."""
    if math.isnan(file.value):
        return "fault", "which is no number"
    if file.test is None:
        return "doubt", "without a paired test it may be chance"
    if isinstance(file.test, PairedTest):
        p_value = losing_p_value(file.test)
        said = f"{file.test.lost:,} of {evidence.test_examples:,} images lost, {file.test.won:,} won"
    else:
        p_value, said = file.test.p_value, "paired bootstrap"
    said = f"{said}, {_p(p_value)}"
    return ("fault", said) if p_value < SIGNIFICANT else ("doubt", f"{said}, so it may be chance")


def _constancy(evidence: AccuracyEvidence, file: Judged) -> Iterator[_Loss]:
    if file.variety is None or not file.variety.nearly_constant:
        return
    whose = "the float network's" if evidence.fidelity else "the right ones"
    before = evidence.baseline.variety
    if before is not None and before.nearly_constant:
        said = file.variety.said(evidence.classes, whose)
        yield _Loss("note", f"{said}; so it is of {evidence.baseline.name!r}")
        return
    known = [judged.variety for judged in (*evidence.states, file) if judged.variety is not None]
    complete = len(known) == len(evidence.states) + 1
    yield _Loss(
        "fault",
        file.variety.said(evidence.classes, whose),
        tuple(variety.found for variety in known) if complete else (),
        tuple(f"a variety of {significant(variety.found, 3)}" for variety in known),
        limit=NEARLY * file.variety.wanted,
    )


def _worst_class(evidence: AccuracyEvidence, file: Judged) -> Iterator[_Loss]:
    before, labels = evidence.baseline.right, evidence.labels
    if before is None or file.right is None or labels is None:
        return
    fallen = [loss for loss in class_losses(before, file.right, labels) if loss.fall > CLASS_DROP + _ROUNDING]
    if not fallen:
        return
    worst = next((loss for loss in fallen if loss.p_value < SIGNIFICANT), fallen[0])
    certain = worst.p_value < SIGNIFICANT
    name = evidence.classes[worst.label] if worst.label < len(evidence.classes) else str(worst.label)
    rights = [judged.right for judged in (*evidence.states, file) if judged.right is not None]
    complete = len(rights) == len(evidence.states) + 1
    worth = tuple(recall_of(worst.label, right, labels) for right in rights)
    counts = f"{worst.test.lost:,} of its {worst.images:,} images lost, {worst.test.won:,} won"
    chance = _p(worst.p_value) if certain else f"{_p(worst.p_value)}, so it may be chance"
    yield _Loss(
        "fault" if certain else "note",
        f"the recall of class {name!r} fell by {100 * worst.fall:.2f} points ({counts}, {chance})",
        worth if complete else (),
        tuple(written(value, "share") for value in worth),
        limit=recall_of(worst.label, before, labels) - CLASS_DROP - _ROUNDING,
    )


def _blame(evidence: AccuracyEvidence, loss: _Loss) -> str:
    """Who lost it: a stage, or the step from the last state to the file."""
    if not loss.worth:
        return ""
    step = losing_step(loss.worth, loss.limit)
    stages: Sequence[Judged] = evidence.states[1:]
    if step == len(stages):
        return f"{evidence.states[-1].name} still has {loss.shown[step]}, so the file lost it"
    return f"{stages[step].name} lost it: {loss.shown[step]} before it, {loss.shown[step + 1]} behind it"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p {value:.3f}"
