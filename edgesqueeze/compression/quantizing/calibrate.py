"""Activation ranges from calibration batches, by the method a recipe names."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import AnyNode, Graph
from edgesqueeze.network.integers.pixels import without_halves
from edgesqueeze.network.integers.ranges import Range, merge_ranges, share_groups
from edgesqueeze.numerics.ranges import NUM_BINS, Histogram, entropy_range, mse_range, percentile_range
from edgesqueeze.trees import Tree

RangeMethod = Literal["min_max", "moving_average", "percentile", "entropy", "mse"]
"""How the range of an activation is chosen."""
RANGE_METHODS: tuple[RangeMethod, ...] = get_args(RangeMethod)
MOMENTUM = 0.9
"""What a moving average keeps per batch."""


def calibrate(
    graph: Graph, batches: Sequence[Tree], method: RangeMethod, percentile: float = 99.99
) -> dict[str, Range]:
    """The range of every node's output, equal within a share-group; that of an input lets it take pixels.

    Args:
        graph: the float network.
        batches: calibration inputs [N, C, H, W], or trees of several.
        method: ``min_max`` takes the extremes; ``moving_average`` the exponential moving average of each
            batch's extremes (Jacob et al. 2018, arXiv 1712.05877, section 3.1); for the others see
            :mod:`edgesqueeze.numerics.ranges`. With ``entropy`` the network's input keeps its extremes:
            pictures have peaks, such as an even background, that divergence cannot deal with.
        percentile: used by the method of that name.
    """
    return without_halves(graph, _calibrated(graph, batches, method, percentile))


def _calibrated(
    graph: Graph, batches: Sequence[Tree], method: RangeMethod, percentile: float
) -> dict[str, Range]:
    if method == "moving_average":
        return calibrate_moving_average(graph, batches)
    extremes = calibrate_min_max(graph, batches)
    if method == "min_max":
        return extremes
    groups = share_groups(graph)
    found: dict[str, Range] = {}
    for group, histogram in _histograms(graph, batches, extremes).items():
        if method == "entropy" and group in {groups[node.name] for node in graph.inputs}:
            found[group] = extremes[group]
        elif method == "percentile":
            found[group] = percentile_range(histogram, percentile)
        else:
            found[group] = entropy_range(histogram) if method == "entropy" else mse_range(histogram)
    return {name: found[group] for name, group in groups.items()}


@torch.no_grad()
def calibrate_min_max(graph: Graph, batches: Iterable[Tree]) -> dict[str, Range]:
    """Lowest and highest value of every tensor over the batches, merged over share-groups."""
    seen: dict[str, Range] = {}

    def observe(node: AnyNode, y: Tensor) -> Tensor:
        low, high = torch.aminmax(y)
        known = seen.get(node.name, (float(low), float(high)))
        seen[node.name] = (min(known[0], float(low)), max(known[1], float(high)))
        return y

    weights = graph_weights(graph)
    for x in batches:
        run_graph(graph, x, weights, observe)
    return merge_ranges(graph, seen)


@torch.no_grad()
def calibrate_moving_average(graph: Graph, batches: Sequence[Tree]) -> dict[str, Range]:
    """Exponential moving averages of each batch's lowest and highest values, merged over share-groups."""
    seen: dict[str, Range] = {}

    def observe(node: AnyNode, y: Tensor) -> Tensor:
        low, high = (float(end) for end in torch.aminmax(y))
        known = seen.get(node.name, (low, high))
        seen[node.name] = (
            MOMENTUM * known[0] + (1 - MOMENTUM) * low,
            MOMENTUM * known[1] + (1 - MOMENTUM) * high,
        )
        return y

    weights = graph_weights(graph)
    for x in batches:
        run_graph(graph, x, weights, observe)
    return merge_ranges(graph, seen)


@torch.no_grad()
def _histograms(graph: Graph, batches: Sequence[Tree], ranges: dict[str, Range]) -> dict[str, Histogram]:
    """One histogram per share-group over its whole range, of all values of its tensors."""
    groups = share_groups(graph)
    counts = {group: np.zeros(NUM_BINS) for group in groups.values()}

    def observe(node: AnyNode, y: Tensor) -> Tensor:
        low, high = ranges[node.name]
        if low < high:
            bins = torch.histc(y, NUM_BINS, low, high)
        else:
            bins = torch.zeros(NUM_BINS)
            bins[0] = y.numel()
        counts[groups[node.name]] += bins.double().numpy()
        return y

    weights = graph_weights(graph)
    for x in batches:
        run_graph(graph, x, weights, observe)
    return {group: Histogram(found, *ranges[group]) for group, found in counts.items()}
