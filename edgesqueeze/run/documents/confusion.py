"""Which classes are taken for which."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.task.metrics.classification import named_classes
from edgesqueeze.trees import Tree


@dataclass(frozen=True)
class Confusion:
    """Counts of images, int64 [classes, classes]: the row is the true class, the column the answer."""

    counts: NDArray[np.int64]
    classes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"classes": list(self.classes), "rows": "target", "counts": self.counts.tolist()}


def confusion_of(outputs: Tree, targets: Tree, classes: tuple[str, ...] = ()) -> Confusion | None:
    """The confusion matrix of a classification; None where images have no class scores and one label each.

    Args:
        outputs: scores [N, classes], the first of the largest is the answer; a row with NaN has none,
            and is in no cell.
        targets: integer labels [N].
        classes: their names; without any, or with another number of them, they are called by their numbers.
    """
    if not (isinstance(outputs, np.ndarray) and isinstance(targets, np.ndarray)):
        return None
    if outputs.ndim != 2 or targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        return None
    size = outputs.shape[1]
    if size < 2 or targets.min() < 0 or targets.max() >= size:
        return None
    answered = named_classes(outputs)
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (targets[answered < size], answered[answered < size]), 1)
    names = classes if len(classes) == size else tuple(map(str, range(size)))
    return Confusion(counts, names)
