"""Holding a part of the training split out, to judge epochs on."""

import numpy as np

from edgesqueeze.data.splits import ArraySplit, DatasetSplit, fixed_order
from edgesqueeze.errors import TaskError

_ORDER = 0
"""Decides which images are held out: the same for every seed of a recipe, so that runs can be compared."""
Rows = ArraySplit | DatasetSplit


def hold_out(split: Rows, share: float) -> tuple[Rows, Rows]:
    """What is left of a split, and the share of it that is held out; both keep the order of the whole.

    Which images are held out is drawn once and for all from their places, so that every class has its part
    where classes stand one behind the other.

    Args:
        split: the whole.
        share: how much of it is held out, above 0 and below 1; rounded to whole images.

    Raises:
        TaskError: that is no image, or all.
    """
    count = round(share * len(split))
    if not 0 < count < len(split):
        raise TaskError(
            f"task.validation holds {share} of {len(split)} training images out, which is {count}; "
            "at least one must be held out and one left"
        )
    order = fixed_order(len(split), _ORDER)
    return split.rows(np.sort(order[count:])), split.rows(np.sort(order[:count]))
