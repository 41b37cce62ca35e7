"""Running a graph in torch, tensor by tensor."""

from collections.abc import Callable

import torch
from torch import Tensor

from edgesqueeze.network.floats.layers import LAYERS
from edgesqueeze.network.floats.moves import MOVES
from edgesqueeze.network.floats.rule import Rule, Weights
from edgesqueeze.network.floats.values import VALUES
from edgesqueeze.network.graph.nodes import AnyNode, FloatNode, Graph, Input
from edgesqueeze.trees import Tree, by_name, filled, leaves

Observe = Callable[[AnyNode, Tensor], Tensor]
"""Sees a node's output [N, …] and returns what the nodes behind it shall read."""
RULES: dict[type[AnyNode], Rule] = {**LAYERS, **MOVES, **VALUES}
"""Every kind of node but the input."""


def graph_weights(graph: Graph) -> Weights:
    """The graph's own float weights as tensors."""
    return {
        node.name: (torch.from_numpy(graph.weight(node)), torch.from_numpy(graph.bias(node)))
        for node in graph.parametric
    }


def norm_parameters(graph: Graph) -> Weights:
    """The weights and biases that stay float in an int8 network."""
    return {
        node.name: (torch.from_numpy(graph.weight(node)), torch.from_numpy(graph.bias(node)))
        for node in graph.nodes
        if isinstance(node, FloatNode)
    }


def weights_on(device: torch.device, weights: Weights) -> Weights:
    """The same tensors on a device."""
    return {name: (weight.to(device), bias.to(device)) for name, (weight, bias) in weights.items()}


def run_graph(graph: Graph, x: Tree, weights: Weights, observe: Observe | None = None) -> Tree:
    """What the module that a graph was read from returns: the output [N, …], or a tree of several.

    Args:
        graph: the network.
        x: a batch [N, C, H, W]; of several inputs a tuple, or a dictionary by their names.
        weights: of all layers.
        observe: every tensor on the way passes through it.
    """
    given = by_name(x, [node.name for node in graph.inputs])
    weights = weights_on(next(leaves(x)).device, norm_parameters(graph)) | weights
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        inputs = [values[name] for name in node.inputs]
        y = given[node.name] if isinstance(node, Input) else compute_node(node, inputs, weights)
        values[node.name] = y if observe is None else observe(node, y)
    return filled(graph.returns, {name: values[node.name] for name, node in graph.output_nodes.items()})


def compute_node(node: AnyNode, inputs: list[Tensor], weights: Weights) -> Tensor:
    """The output [N, …] of one node in float, its fused activation included."""
    return RULES[type(node)](node, inputs, weights)
