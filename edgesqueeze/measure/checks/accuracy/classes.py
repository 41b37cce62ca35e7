"""Which class of images lost most, and whether that is no chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.numerics.proportions import PairedTest, losing_p_value, mcnemar_exact

Right = NDArray[np.bool_]
"""Of which test images an answer is right, [N]."""
Labels = NDArray[np.int64]
"""The class of every test image, [N]."""


@dataclass(frozen=True)
class ClassLoss:
    """What a class lost: ``fall`` is that of its recall, a share; ``p_value`` is already corrected.

    A class is looked at because it lost most of all, so that its p-value is multiplied by the number of
    classes that were compared (Bonferroni's correction; Dunn 1961, Journal of the American Statistical
    Association 56:52-64).
    """

    label: int
    images: int
    fall: float
    test: PairedTest
    p_value: float


def recall_of(label: int, right: Right, labels: Labels) -> float:
    """The share of a class's images that are right."""
    return float(right[labels == label].mean())


def class_losses(before: Right, after: Right, labels: Labels) -> list[ClassLoss]:
    """Every class that lost, the largest fall of a recall first, by the exact test on its own images."""
    count = int(labels.max(initial=-1)) + 1
    images, lost, won = (
        np.bincount(labels[chosen], minlength=count)
        for chosen in (np.full(len(labels), True), before & ~after, ~before & after)
    )
    compared = int((images > 0).sum())
    found = []
    for label in np.flatnonzero(lost > won).tolist():
        test = mcnemar_exact(int(lost[label]), int(won[label]))
        p_value = min(1.0, compared * losing_p_value(test))
        fall = (test.lost - test.won) / int(images[label])
        found.append(ClassLoss(label, int(images[label]), fall, test, p_value))
    return sorted(found, key=lambda loss: -loss.fall)
