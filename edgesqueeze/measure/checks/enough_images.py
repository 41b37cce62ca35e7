"""The check on the metric: are there enough test images to tell what the table shows?"""

from collections.abc import Mapping
from dataclasses import dataclass

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.numerics.proportions import (
    SIGNIFICANT,
    PairedTest,
    images_to_tell,
    smallest_visible_loss,
)

NEGLIGIBLE = 0.001
"""A change below a tenth of a point is not taken as a claim: nothing here promises more."""
WANTED = 0.01
"""A test split should be able to show a loss of one point."""


@dataclass(frozen=True)
class AnswersEvidence:
    """What the files answered, image by image, against the baseline.

    ``tests`` maps a file to its paired test; ``unpaired`` says why there are none.
    """

    metric: str
    baseline: str
    test_examples: int
    tests: Mapping[str, PairedTest]
    unpaired: str = ""


def check_enough_images(answers: AnswersEvidence) -> Check:
    """The changes shown are no chance, and the split is large enough to show a loss of one point at all."""
    name = "enough images"
    total, needed = answers.test_examples, smallest_visible_loss()
    if answers.unpaired:
        return Check(name, unchecked=answers.unpaired)
    if not answers.tests:
        return Check(name, unchecked="no file was measured")
    findings = []
    if needed / total > WANTED:
        what = f"{total:,} test images cannot show a change below {_points(needed / total)} points"
        wanted = round(needed / WANTED)
        findings.append(Finding("fault", f"{what}; {wanted} can show one of {_points(WANTED)}"))
    for test, files in _alike(answers.tests).items():
        change = (test.won - test.lost) / total
        if abs(change) >= NEGLIGIBLE and test.p_value >= SIGNIFICANT:
            what = f"a change of {100 * change:+.2f} points against {answers.baseline!r} may be chance"
            counts = f"{test.lost:,} of {total:,} images lost, {test.won:,} won, p {test.p_value:.2f}"
            hint = f"about {images_to_tell(test, total):,} images would tell"
            findings.append(Finding("fault", f"{files}: {what} ({counts}; {hint})"))
    passed = f"every change of {_points(NEGLIGIBLE)} points or more shown for a file is no chance"
    return concluded(name, f"{passed} (exact McNemar test, p < {SIGNIFICANT:.2f})", findings)


def _alike(tests: Mapping[str, PairedTest]) -> dict[PairedTest, str]:
    """Each result once, with the names of all files that have it."""
    return {
        test: ", ".join(file for file, other in tests.items() if other == test)
        for test in dict.fromkeys(tests.values())
    }


def _points(share: float) -> str:
    return f"{100 * share:.2f}"
