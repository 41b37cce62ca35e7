"""Running a graph in torch, tensor by tensor: calibration, and the simulation of int8."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.graph.nodes import (
    Activation,
    Add,
    AnyNode,
    AvgPool,
    Clamp,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    Dense,
    DepthToSpace,
    Flatten,
    Function,
    GlobalAvgPool,
    Graph,
    Input,
    LayerNorm,
    MaxPool,
    Mul,
    Pad,
    Pointwise,
    Resize,
    Shuffle,
    Slice,
    Softmax,
    WeightedNode,
)
from edgesqueeze.network.integers.ranges import Range, merge_ranges
from edgesqueeze.network.integers.spec import QMAX, QMIN, ActivationQuant, QuantSpec, WeightQuant

Observe = Callable[[AnyNode, Tensor], Tensor]
"""Sees a node's output [N, …] and returns what the nodes behind it shall read."""
Weights = dict[str, tuple[Tensor, Tensor]]
"""Name of a node to its weight and bias. :func:`run_graph` adds those of layer norms itself."""


def graph_weights(graph: Graph) -> Weights:
    """The graph's own float weights as tensors."""
    return {
        node.name: (torch.from_numpy(graph.weight(node)), torch.from_numpy(graph.bias(node)))
        for node in graph.parametric
    }


def run_graph(graph: Graph, x: Tensor, weights: Weights, observe: Observe | None = None) -> Tensor:
    """The output of a graph for a batch [N, C, H, W]; every tensor on the way passes through ``observe``."""
    weights = norm_parameters(graph) | weights
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        inputs = [values[name] for name in node.inputs]
        y = x if isinstance(node, Input) else compute_node(node, inputs, weights)
        values[node.name] = y if observe is None else observe(node, y)
    return values[graph.output.name]


def norm_parameters(graph: Graph) -> Weights:
    """The weights and biases that stay float in an int8 network."""
    return {
        node.name: (torch.from_numpy(graph.weight(node)), torch.from_numpy(graph.bias(node)))
        for node in graph.nodes
        if isinstance(node, LayerNorm)
    }


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
        case Conv() | ConvTranspose() | Dense():
            return _activate(_weighted(node, inputs[0], *weights[node.name]), node.activation)
        case LayerNorm():
            return _layer_norm(node, inputs[0], *weights[node.name])
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
        case Crop():
            rows, columns = inputs[0].shape[2:]
            top, left, bottom, right = node.pads
            return inputs[0][:, :, top : rows - bottom, left : columns - right]
        case DepthToSpace():
            return depth_to_space(inputs[0], node.block)
        case Softmax():
            return torch.softmax(inputs[0], 1)
        case _:
            raise AssertionError("an input is not computed")


def _weighted(node: WeightedNode, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if isinstance(node, Dense):
        return F.linear(x, weight, bias)
    if isinstance(node, Conv):
        x = _pad(x, node.pads, 0.0)
        return F.conv2d(x, weight, bias, node.stride, 0, node.dilation, node.groups)
    y = F.conv_transpose2d(x, weight.transpose(0, 1), bias, node.stride, 0, node.extra)
    top, left = node.pads[:2]
    return y[:, :, top : top + node.shape[2], left : left + node.shape[3]]


def _layer_norm(node: LayerNorm, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x.movedim(1, -1), weight.shape, weight, bias, node.epsilon).movedim(-1, 1)


def depth_to_space(x: Tensor, block: tuple[int, int]) -> Tensor:
    """[N, block height · block width · C, H, W] as [N, C, H · block height, W · block width]."""
    count, _, rows, columns = x.shape
    y = x.view(count, *block, -1, rows, columns).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(count, -1, rows * block[0], columns * block[1])


_FUNCTIONS: dict[Function, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "silu": F.silu,
    "gelu": F.gelu,
}


def _pad(x: Tensor, pads: tuple[int, int, int, int], value: float) -> Tensor:
    top, left, bottom, right = pads
    return F.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def _activate(y: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return F.relu(y)
    return F.relu6(y) if activation == "relu6" else y
