"""The real numbers that integers stand for, and rounding to them: what a simulation of int8 is made of."""

import numpy as np
import torch
from torch import Tensor

from edgesqueeze.network.floats.rule import Weights
from edgesqueeze.network.floats.run import graph_weights
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QMAX, QMIN, ActivationQuant, QuantSpec, WeightQuant


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
