"""Rewriting the few operations that the runtimes' int8 kernels round differently.

ONNX Runtime and LiteRT disagree on halves in an average pool, and on a ReLU that changes the grid. A
depthwise convolution they compute alike. So in int8 both operations are written as one: weights of 1 with
scale 1 / window size, bias 0.
"""

from dataclasses import replace
from math import prod

import numpy as np

from edgesqueeze.graph.nodes import AnyNode, AvgPool, Clamp, Conv, Flatten, Graph
from edgesqueeze.graph.spec import QuantSpec, WeightQuant


def lower(graph: Graph, spec: QuantSpec) -> tuple[Graph, QuantSpec]:
    """The same int8 network without average pools and loose activations.

    The new layers' integers are in the returned spec only. A convolution that stands for an activation of a
    flattened tensor reads [1, features] as a map of height and width 1.
    """
    nodes: list[AnyNode] = []
    weights, activations = dict(spec.weights), dict(spec.activations)
    for node in graph.nodes:
        if not isinstance(node, AvgPool | Clamp):
            nodes.append(node)
            continue
        layer = _depthwise(node)
        weights[layer.name] = _ones(layer)
        activations[layer.name] = spec.activations[node.name]
        nodes.append(layer)
        if len(node.shape) == 2:
            nodes.append(Flatten(name=node.name, inputs=(layer.name,), shape=node.shape))
    return Graph(tuple(nodes), graph.tensors), QuantSpec(activations, weights)


def _depthwise(node: AvgPool | Clamp) -> Conv:
    layer = Conv(
        name=node.name,
        inputs=node.inputs,
        shape=node.shape,
        kernel=node.kernel if isinstance(node, AvgPool) else (1, 1),
        stride=node.stride if isinstance(node, AvgPool) else (1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=node.shape[1],
        activation=node.activation if isinstance(node, Clamp) else "none",
    )
    if len(node.shape) == 2:
        return replace(layer, name=f"{node.name}/map", shape=(*node.shape, 1, 1))
    return layer


def _ones(layer: Conv) -> WeightQuant:
    channels, window = layer.shape[1], prod(layer.kernel)
    return WeightQuant(
        weight=np.ones((channels, 1, *layer.kernel), np.int8),
        scale=np.full(channels, 1 / window, np.float32),
        bias=np.zeros(channels, np.int32),
    )
