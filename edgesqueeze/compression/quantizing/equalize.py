"""Cross-layer equalization: the same function with channels of more equal ranges.

A factor that leaves one layer and enters the next cancels where only ReLU, max pooling and average pooling
stand between them (Nagel et al. 2019, "Data-free quantization through weight equalization and bias
correction", arXiv 1906.04721, section 4.1). ReLU6 does not scale, so pairs around it are left alone.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    AvgPool,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    MaxPool,
    WeightedNode,
    bias_name,
    weight_name,
)

Pair = tuple[WeightedNode, WeightedNode]
_SWEEPS = 50
_CLOSE = 1e-3


def equalizable_pairs(graph: Graph) -> list[Pair]:
    """Layers that follow each other with nothing between them that a positive factor cannot pass."""
    pairs: list[Pair] = []
    for first in graph.weighted:
        if first.activation == "relu6":
            continue
        reader = _only_reader(graph, first)
        while isinstance(reader, MaxPool | AvgPool | GlobalAvgPool | Flatten):
            reader = _only_reader(graph, reader)
        if isinstance(reader, WeightedNode):
            pairs.append((first, reader))
    return pairs


def _only_reader(graph: Graph, node: AnyNode) -> AnyNode | None:
    """The one node that a tensor goes to; None if there are others, or if it is an output."""
    users = graph.users(node.name)
    return users[0] if len(users) == 1 and node not in graph.output_nodes.values() else None


def equalize(graph: Graph) -> Graph:
    """A graph that computes the same, up to float32 rounding, with equalized weights.

    Every channel's largest weight in the layer before becomes that in the layer behind: the factor is
    the square root of their ratio (equation 11 of the paper), repeated over all pairs until nothing moves.
    Channels that are zero on either side are left alone.
    """
    tensors = {name: tensor.astype(np.float64) for name, tensor in graph.tensors.items()}
    pairs = equalizable_pairs(graph)
    for _ in range(_SWEEPS):
        if all(_equalize_pair(tensors, pair) < _CLOSE for pair in pairs):
            break
    return replace(graph, tensors={name: tensor.astype(np.float32) for name, tensor in tensors.items()})


def _equalize_pair(tensors: dict[str, NDArray[np.float64]], pair: Pair) -> float:
    """Move one factor per channel in place; returns the largest change of a factor's logarithm."""
    first, second = pair
    weight, behind = tensors[weight_name(first)], tensors[weight_name(second)]
    channels = len(weight)
    view = _by_input_channel(behind, second, channels)
    before = np.abs(weight).reshape(channels, -1).max(axis=1)
    after = np.abs(view).max(axis=(1, 3)).reshape(channels)
    usable = (before > 0) & (after > 0)
    factor = np.sqrt(np.where(usable, before, 1.0) / np.where(usable, after, 1.0))
    weight /= factor.reshape(-1, *[1] * (weight.ndim - 1))
    tensors[bias_name(first)] /= factor
    view *= factor.reshape(len(view), 1, -1, 1)  # a view: this changes the tensor
    return float(np.abs(np.log(factor)).max())


def _by_input_channel(weight: NDArray[np.float64], node: WeightedNode, channels: int) -> NDArray[np.float64]:
    """A view of a weight as [groups, out / groups, input channels / groups, values per channel]."""
    groups = node.groups if isinstance(node, Conv) else 1
    # Behind a flatten, a channel of the layer before is a run of columns.
    return weight.reshape(groups, len(weight) // groups, channels // groups, -1)
