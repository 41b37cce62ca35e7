"""Which test images were answered right, where the metric is a matter of right and wrong.

Nothing here knows what a metric means: it is asked, image by image.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.numerics.proportions import Interval, PairedTest, mcnemar_exact, wilson_interval
from edgesqueeze.task.metrics import Measure
from edgesqueeze.trees import Tree, length_of, rows_of

Counted = NDArray[np.bool_]
"""One entry per test image, in the order of the split: whether the metric is 1 of it, or 0."""

_TOLERANCE = 0.01
"""How far the mean may be from the metric, in images: metrics are often rounded to float32."""


def counted_images(measure: Measure, outputs: Tree, targets: Tree) -> Counted | None:
    """Which images a metric counts; None if it does not count images.

    The metric is computed for every image alone. It counts images if each gives exactly 0 or 1 and their
    mean is the metric of all. A metric of another kind (F1, mIoU, a mean of distances) fails this, or
    refuses single images. What is counted is right, or wrong where less is better.

    Args:
        measure: the metric.
        outputs: [N, ...].
        targets: [N, ...].
    """
    values: list[float] = []
    for i in range(length_of(outputs)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a metric that is undefined for one image often warns
                value = float(measure(*(rows_of(tree, slice(i, i + 1)) for tree in (outputs, targets))))
        except Exception:  # the user's metric may raise anything on a single image: then it needs several
            return None
        if value not in (0.0, 1.0):
            return None
        values.append(value)
    counted = np.array(values) == 1.0
    whole = float(measure(outputs, targets))
    return counted if abs(counted.mean() - whole) * len(counted) <= _TOLERANCE else None


def share_interval(counted: Counted) -> Interval:
    """The 95 % interval of the share that is counted."""
    return wilson_interval(int(counted.sum()), len(counted))


def paired_right(before: Counted, after: Counted, measure: Measure) -> PairedTest:
    """The test of two models on the same images: which of them lost what was right."""
    if not measure.higher_is_better:
        before, after = ~before, ~after
    return mcnemar_exact(int((before & ~after).sum()), int((~before & after).sum()))
