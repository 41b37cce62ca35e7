"""What a task measures, and how two answers to one input are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.trees import Tree

Metric = Callable[[Any, Any], float]
"""(outputs [N, ...], targets [N, ...]), or trees of them, to one number.

A plain function is a share, and higher is better."""
Unit = Literal["share", "number"]
"""How a metric is written: as percent with changes in points, or as it is."""


@dataclass(frozen=True)
class Measure:
    """A metric of another kind: a function with what a table has to know of it."""

    compute: Metric
    higher_is_better: bool = True
    unit: Unit = "share"

    def __call__(self, outputs: Tree, targets: Tree) -> float:
        """The metric of outputs [N, ...] against targets [N, ...]."""
        return self.compute(outputs, targets)


def measure_of(metric: Metric) -> Measure:
    """What a table has to know of a metric."""
    return metric if isinstance(metric, Measure) else Measure(metric)


def same_class(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """For every input whether two answers [N, classes] name the same class, [N]."""
    return np.asarray(one.argmax(axis=1) == other.argmax(axis=1))


def top1_accuracy(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
    """The fraction of rows whose largest output is at the target's index.

    Of equal outputs the first counts; a row with NaN in it is wrong.

    Args:
        outputs: scores, [N, classes].
        targets: class indices, [N].

    Raises:
        TaskError: there are no rows, or the shapes do not fit.
    """
    if outputs.ndim != 2 or targets.shape != outputs.shape[:1] or len(outputs) == 0:
        raise TaskError(
            f"accuracy needs outputs [N, classes] and targets [N] with N at least 1, "
            f"found {list(outputs.shape)} and {list(targets.shape)}"
        )
    right = (outputs.argmax(axis=1) == targets) & ~np.isnan(outputs).any(axis=1)
    return float(right.mean())
