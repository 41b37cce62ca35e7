"""Running a graph in torch, tensor by tensor: calibration, and the simulation of int8."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.graph.nodes import (
    Activation,
    Add,
    AnyNode,
    AvgPool,
    Clamp,
    Concat,
    Conv,
    Dense,
    Flatten,
    Function,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
    Mul,
    Pad,
    Pointwise,
    Resize,
    Shuffle,
    Slice,
)
from edgesqueeze.graph.ranges import Range, merge_ranges
from edgesqueeze.graph.spec import QMAX, QMIN, ActivationQuant, QuantSpec, WeightQuant

Observe = Callable[[AnyNode, Tensor], Tensor]
"""Sees a node's output [N, …] and returns what the nodes behind it shall read."""
Weights = dict[str, tuple[Tensor, Tensor]]
"""Weighted node name to its weight and bias."""


def graph_weights(graph: Graph) -> Weights:
    """The graph's own float weights as tensors."""
    return {
        node.name: (torch.from_numpy(graph.weight(node)), torch.from_numpy(graph.bias(node)))
        for node in graph.weighted
    }


def run_graph(graph: Graph, x: Tensor, weights: Weights, observe: Observe | None = None) -> Tensor:
    """The output of a graph for a batch [N, C, H, W]; every tensor on the way passes through ``observe``."""
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        inputs = [values[name] for name in node.inputs]
        y = x if isinstance(node, Input) else compute_node(node, inputs, weights)
        values[node.name] = y if observe is None else observe(node, y)
    return values[graph.output.name]


def dequantized_weights(graph: Graph, spec: QuantSpec) -> Weights:
    """The real numbers that a spec's integers stand for; the graph's own for layers kept in float."""
    scales = {node.name: spec.activations[node.inputs[0]].scale for node in graph.weighted}
    known = {name: dequantized_layer(quant, scales[name]) for name, quant in spec.weights.items()}
    return {**graph_weights(graph), **known}


def dequantized_layer(quant: WeightQuant, input_scale: float) -> tuple[Tensor, Tensor]:
    """The weight and bias that one layer's integers stand for."""
    scale = quant.scale.reshape(-1, *[1] * (quant.weight.ndim - 1))
    bias = quant.bias * quant.bias_scale(input_scale).astype(np.float64)
    return torch.from_numpy(quant.weight * scale), torch.from_numpy(bias.astype(np.float32))


def fake_quantize(y: Tensor, grid: ActivationQuant) -> Tensor:
    """Real numbers moved to the nearest points of a grid, saturating."""
    integers = torch.clamp(torch.round(y / grid.scale) + grid.zero_point, QMIN, QMAX)
    return (integers - grid.zero_point) * grid.scale


@torch.no_grad()
def calibrate_min_max(graph: Graph, batches: Iterable[Tensor]) -> dict[str, Range]:
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


def compute_node(node: AnyNode, inputs: list[Tensor], weights: Weights) -> Tensor:
    """The output [N, …] of one node in float, its fused activation included."""
    match node:
        case Conv():
            weight, bias = weights[node.name]
            x = _pad(inputs[0], node.pads, 0.0)
            y = F.conv2d(x, weight, bias, node.stride, 0, node.dilation, node.groups)
            return _activate(y, node.activation)
        case Dense():
            return _activate(F.linear(inputs[0], *weights[node.name]), node.activation)
        case MaxPool():
            return F.max_pool2d(_pad(inputs[0], node.pads, float("-inf")), node.kernel, node.stride)
        case AvgPool():
            return F.avg_pool2d(inputs[0], node.kernel, node.stride)
        case GlobalAvgPool():
            return inputs[0].mean((2, 3), keepdim=True)
        case Flatten():
            return inputs[0].flatten(1)
        case Concat():
            return torch.cat(inputs, 1)
        case Add():
            return _activate(inputs[0] + inputs[1], node.activation)
        case Clamp():
            return _activate(inputs[0], node.activation)
        case _:
            return _rearrange(node, inputs)


def _rearrange(node: AnyNode, inputs: list[Tensor]) -> Tensor:
    match node:
        case Mul():
            return inputs[0] * inputs[1]
        case Pointwise():
            return _FUNCTIONS[node.function](inputs[0])
        case Slice():
            return inputs[0][:, node.start : node.stop]
        case Shuffle():
            return F.channel_shuffle(inputs[0], node.groups)
        case Pad():
            return _pad(inputs[0], node.pads, 0.0)
        case Resize():
            return F.interpolate(inputs[0], size=node.size, mode=node.mode)
        case _:
            raise AssertionError("an input is not computed")


_FUNCTIONS: dict[Function, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "silu": F.silu,
}


def _pad(x: Tensor, pads: tuple[int, int, int, int], value: float) -> Tensor:
    top, left, bottom, right = pads
    return F.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def _activate(y: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return F.relu(y)
    return F.relu6(y) if activation == "relu6" else y
