"""What a metric is, and what a table, a check and a bootstrap have to know of it. No torch is needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.trees import Tree

Metric = Callable[[Any, Any], float]
"""(outputs [N, ...], targets [N, ...]), or trees of them, to one number.

A plain function is a share, and higher is better."""
POINT = 0.01
"""A change of a share by a hundredth."""
POINT_DB = 0.3
"""What is as small a change of a metric in decibels."""
Unit = Literal["share", "number", "dB"]
"""How a metric is written: as percent with changes in points, as it is, or in decibels."""
Parts = Mapping[str, NDArray[Any]]
"""What a metric has to know of every image, as arrays: [N, ...], or of any length with an array of places of
images beside it."""
Weights = NDArray[np.int64]
"""How often every image is drawn, [N]."""


@dataclass(frozen=True)
class Scores:
    """What one pass over the answers gives.

    ``values`` holds one number by the name of each metric, ``details`` plain JSON values that are no single
    number (per class, say). ``parts`` makes the parts of what was scored; None if there are none.
    """

    values: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)
    parts: Callable[[], Parts] | None = None


Together = Callable[[Any, Any], Scores]
"""(outputs, targets) to several metrics that are computed in one pass."""


@dataclass(frozen=True)
class OneOf:
    """A metric that is computed together with others: the one called ``name``."""

    together: Together
    name: str

    def __call__(self, outputs: Tree, targets: Tree) -> float:
        """The metric of outputs [N, ...] against targets [N, ...]."""
        return self.together(outputs, targets).values[self.name]


@dataclass(frozen=True)
class Measure:
    """A metric with what a table has to know of it, and how it is computed on resampled images.

    ``parts(outputs, targets)`` makes arrays from which ``value(parts, weights)`` computes the metric as it is
    when image i is drawn ``weights[i]`` times, int64 [N]; with all weights 1 it is ``compute``. They are
    given together or not at all; without them a metric is called on resampled rows if that is affordable.
    ``compact(outputs)`` is what the metric needs of a batch's outputs, and takes in their place, again one
    row per image: masks in place of class scores, say, so that those of a whole split need not be kept.
    ``loss_allowed`` is what a file may lose of it unless a recipe says otherwise, in its own unit; None is a
    small change.

    Raises:
        TaskError: only one of ``parts`` and ``value`` is given.
    """

    compute: Metric
    higher_is_better: bool = True
    unit: Unit = "share"
    parts: Callable[[Any, Any], Parts] | None = None
    value: Callable[[Parts, Weights], float] | None = None
    compact: Callable[[Any], Any] | None = None
    loss_allowed: float | None = None

    def __post_init__(self) -> None:
        if (self.parts is None) != (self.value is None):
            given, missing = ("parts", "value") if self.value is None else ("value", "parts")
            raise TaskError(f"a Measure has {given} without {missing}; give both or neither")

    def __call__(self, outputs: Tree, targets: Tree) -> float:
        """The metric of outputs [N, ...] against targets [N, ...]."""
        return self.compute(outputs, targets)

    def gain(self, before: float, after: float) -> float:
        """How much better ``after`` is, above 0 if it is, whichever direction is the good one."""
        return after - before if self.higher_is_better else before - after

    def point(self, value: float) -> float:
        """A small change of a metric that is ``value``: a point of a share, 0.3 dB, 1 % of a plain number."""
        match self.unit:
            case "share":
                return POINT
            case "dB":
                return POINT_DB
            case "number":
                return POINT * abs(value)

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is better than another; nothing is better than its equal, and NaN than nothing."""
        return self.gain(than, value) > 0


def measure_of(metric: Metric) -> Measure:
    """What a table has to know of a metric."""
    return metric if isinstance(metric, Measure) else Measure(metric)


def member(
    together: Together,
    name: str,
    value: Callable[[Parts, Weights], float],
    *,
    unit: Unit = "share",
    higher_is_better: bool = True,
    compact: Callable[[Any], Any] | None = None,
) -> Measure:
    """One of several metrics that are computed in one pass, which must give parts."""

    def parts(outputs: Tree, targets: Tree) -> Parts:
        found = together(outputs, targets).parts
        assert found is not None
        return found()

    return Measure(OneOf(together, name), higher_is_better, unit, parts, value, compact)


def compacted(metrics: Mapping[str, Metric], outputs: Tree) -> Tree:
    """What metrics need of a batch's outputs, if all of them need the same; else the outputs."""
    ways = {measure_of(metric).compact for metric in metrics.values()}
    way = ways.pop()
    return outputs if ways or way is None else way(outputs)


def score_all(metrics: Mapping[str, Metric], outputs: Tree, targets: Tree) -> Scores:
    """Every metric in order, metrics that belong together in one pass; details of all, parts of the first.

    Args:
        metrics: by name, at least one.
        outputs: [N, ...], or a tree.
        targets: [N, ...], or a tree.
    """
    passes: dict[int, Scores] = {}
    values: dict[str, float] = {}
    details: dict[str, Any] = {}
    for name, metric in metrics.items():
        compute = measure_of(metric).compute
        if isinstance(compute, OneOf):
            if id(compute.together) not in passes:
                passes[id(compute.together)] = found = compute.together(outputs, targets)
                details |= found.details
            values[name] = float(passes[id(compute.together)].values[compute.name])
        else:
            values[name] = float(compute(outputs, targets))
    return Scores(
        values, details, _parts_of(measure_of(next(iter(metrics.values()))), passes, outputs, targets)
    )


def _parts_of(
    measure: Measure, passes: Mapping[int, Scores], outputs: Tree, targets: Tree
) -> Callable[[], Parts] | None:
    parts = measure.parts
    if parts is None:
        return None
    if isinstance(measure.compute, OneOf):
        return passes[id(measure.compute.together)].parts
    return lambda: parts(outputs, targets)


def weighted_mean(values: NDArray[Any], weights: Weights) -> float:
    """The mean of values [N], each counted so often."""
    return float(weights @ values.astype(np.float64) / weights.sum())


def mean_over(values: NDArray[Any], present: NDArray[np.bool_]) -> float:
    """The mean over the classes that are present; NaN if there are none."""
    return float(values[present].mean()) if present.any() else float("nan")
