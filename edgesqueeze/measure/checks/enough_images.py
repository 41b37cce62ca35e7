"""The check on the metric: are there enough test images to tell what the table shows?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.checks.image_answers import AnyPairedTest
from edgesqueeze.numerics.bootstrap import (
    FEWEST_IMAGES,
    BootstrapTest,
    images_to_see,
    visible_change,
)
from edgesqueeze.numerics.proportions import (
    SIGNIFICANT,
    Interval,
    PairedTest,
    images_to_tell,
    smallest_visible_loss,
)
from edgesqueeze.task.metrics import Measure
from edgesqueeze.task.metrics.base import POINT
from edgesqueeze.task.metrics.wording import written, written_change

NEGLIGIBLE = 0.001
"""A change below a tenth of a point is not taken as a claim: nothing here promises more."""
_RATIO = NEGLIGIBLE / POINT
"""Of the loss that a split should be able to show, as much is negligible in any unit."""
_Test = TypeVar("_Test", PairedTest, BootstrapTest)


@dataclass(frozen=True)
class AnswersEvidence:
    """What the files answered, image by image, against the baseline.

    ``value`` is the baseline's metric. ``tests`` maps a file to its paired test; ``unpaired`` says why there
    are none. Without labels ``least`` is what the metric, the fidelity to the baseline, must be, and
    ``fidelity`` maps a file to its value and its 95 % interval.
    """

    metric: str
    measure: Measure
    baseline: str
    value: float
    test_examples: int
    tests: Mapping[str, AnyPairedTest]
    unpaired: str = ""
    least: float | None = None
    fidelity: Mapping[str, tuple[float, Interval]] = field(default_factory=dict)

    @property
    def wanted(self) -> float:
        """The loss that a split should be able to show, in the metric's unit."""
        return self.measure.point(self.value)


def check_enough_images(answers: AnswersEvidence) -> Check:
    """The changes shown are no chance, and the split is large enough to show a small loss at all.

    Where it is not so, nothing is at fault: the images just cannot tell.
    """
    name = "enough images"
    if answers.unpaired:
        return concluded(name, "", [Finding("doubt", answers.unpaired)])
    if answers.least is not None:
        return _of_fidelity(name, answers, answers.least)
    if not answers.tests:
        return Check(name, unchecked="no file was measured")
    counted = {file: test for file, test in answers.tests.items() if isinstance(test, PairedTest)}
    drawn = {file: test for file, test in answers.tests.items() if isinstance(test, BootstrapTest)}
    findings = (_of_counted(answers, counted) if counted else []) + (
        _of_drawn(answers, drawn) if drawn else []
    )
    least = written_change(_RATIO * answers.wanted, answers.measure.unit)
    test = "exact McNemar test" if counted else "paired bootstrap"
    passed = f"every change of {least} or more shown for a file is no chance"
    return concluded(name, f"{passed} ({test}, p < {SIGNIFICANT:.2f})", findings)


def _of_fidelity(name: str, answers: AnswersEvidence, least: float) -> Check:
    """Of answers that are close enough, whether so many images can tell that they are."""
    shown, findings = written(least, answers.measure.unit), []
    for file, (value, interval) in answers.fidelity.items():
        if interval.low < least <= value:
            found, low = (written(x, answers.measure.unit) for x in (value, interval.low))
            what = f"{file}: the {answers.metric} is {found} and may be {low} (95 % interval)"
            images = f"{answers.test_examples:,} images cannot tell that it is {shown} or more"
            findings.append(Finding("doubt", f"{what}; {images}"))
    passed = f"the images tell for every file whether its {answers.metric} is {shown} or more (95 % interval)"
    return concluded(name, passed, findings)


def _of_counted(answers: AnswersEvidence, tests: Mapping[str, PairedTest]) -> list[Finding]:
    """Of a metric that counts right answers: 600 images can show a loss of one point."""
    total, needed = answers.test_examples, smallest_visible_loss()
    findings = []
    if needed / total > POINT:
        what = f"{total:,} test images cannot show a change below {_points(needed / total)} points"
        wanted = round(needed / POINT)
        findings.append(Finding("doubt", f"{what}; {wanted} can show one of {_points(POINT)}"))
    for test, files in _alike(tests).items():
        change = (test.won - test.lost) / total
        if abs(change) >= NEGLIGIBLE and test.p_value >= SIGNIFICANT:
            shown = change if answers.measure.higher_is_better else -change
            what = f"a change of {100 * shown:+.2f} points against {answers.baseline!r} may be chance"
            counts = f"{test.lost:,} of {total:,} images lost, {test.won:,} won, p {test.p_value:.2f}"
            hint = f"about {images_to_tell(test, total):,} images would tell"
            findings.append(Finding("doubt", f"{files}: {what} ({counts}; {hint})"))
    return findings


def _of_drawn(answers: AnswersEvidence, tests: Mapping[str, BootstrapTest]) -> list[Finding]:
    """Of any other metric: what the split can show follows from how much the change varies."""
    total, unit = answers.test_examples, answers.measure.unit
    findings = []
    if total < FEWEST_IMAGES:
        what = (
            f"{total:,} test images are too few to be drawn again and again; {FEWEST_IMAGES} are the fewest"
        )
        findings.append(Finding("doubt", what))
    for test, files in _alike(tests).items():
        if test.p_value < SIGNIFICANT:
            continue
        if test.change and abs(test.change) >= _RATIO * answers.wanted:
            change = written_change(test.change, unit, "+")
            what = f"a change of {change} against {answers.baseline!r} may be chance"
            hint = f"about {images_to_see(test, total, test.change):,} images would tell"
            findings.append(
                Finding("doubt", f"{files}: {what} (paired bootstrap, p {test.p_value:.2f}; {hint})")
            )
        elif visible_change(test) > answers.wanted:
            visible, wanted = (written_change(x, unit) for x in (visible_change(test), answers.wanted))
            what = f"{total:,} test images cannot show a change below {visible}"
            count = images_to_see(test, total, answers.wanted)
            hint = "" if count is None else f"; about {count:,} can show one of {wanted}"
            findings.append(Finding("doubt", f"{files}: {what}{hint}"))
    return findings


def _alike(tests: Mapping[str, _Test]) -> dict[_Test, str]:
    """Each result once, with the names of all files that have it."""
    return {
        test: ", ".join(file for file, other in tests.items() if other == test)
        for test in dict.fromkeys(tests.values())
    }


def _points(share: float) -> str:
    return f"{100 * share:.2f}"
