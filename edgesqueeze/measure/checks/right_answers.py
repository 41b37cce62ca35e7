"""Which test images were answered right, where the metric is a matter of right and wrong.

Nothing here knows what a metric means: it is asked, image by image.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.numerics.proportions import Interval, PairedTest, mcnemar_exact, wilson_interval
from edgesqueeze.task.task import Task
from edgesqueeze.trees import Tree, length_of, rows_of

Right = NDArray[np.bool_]
"""One entry per test image, in the order of the split."""

_TOLERANCE = 0.01
"""How far the mean may be from the metric, in images: metrics are often rounded to float32."""


def right_answers(task: Task, outputs: Tree, targets: Tree) -> Right | None:
    """Which images the primary metric counts as right; None if it does not count images.

    The metric is computed for every image alone. It counts images if each gives exactly 0 or 1 and their
    mean is the metric of all. A metric of another kind (F1, mIoU, a mean of distances) fails this, or
    refuses single images, and is not paired.

    Args:
        task: whose first metric is asked.
        outputs: [N, ...].
        targets: [N, ...].
    """
    metric = task.metrics[task.primary_metric]
    values: list[float] = []
    for i in range(length_of(outputs)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a metric that is undefined for one image often warns
                value = float(metric(*(rows_of(tree, slice(i, i + 1)) for tree in (outputs, targets))))
        except Exception:  # the user's metric may raise anything on a single image: then it needs several
            return None
        if value not in (0.0, 1.0):
            return None
        values.append(value)
    right = np.array(values) == 1.0
    whole = float(metric(outputs, targets))
    return right if abs(right.mean() - whole) * len(right) <= _TOLERANCE else None


def interval_of(right: Right | None) -> Interval | None:
    """The 95 % interval of the share that is right."""
    return None if right is None else wilson_interval(int(right.sum()), len(right))


def paired_with(baseline: Right | None, right: Right | None) -> PairedTest | None:
    """The test of a model against the baseline on the same images."""
    if baseline is None or right is None:
        return None
    return mcnemar_exact(int((baseline & ~right).sum()), int((~baseline & right).sum()))
