"""QuantSpec: the integers of a full-int8 network, decided once and read by every emitter.

Activations are int8 with one scale and zero point per tensor (the ONNX emitter writes them as uint8,
zero point + 128: the same grid). Weights are symmetric int8 in [-127, 127] with one scale per output
channel; biases are int32 on the grid input scale × weight scale. Scales are float32, since both runtimes
hold them so. (Scheme: Jacob et al. 2018, arXiv 1712.05877; the LiteRT 8-bit quantization specification.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.graph.align import align_grids
from edgesqueeze.graph.grid import QMAX, QMIN, SMALLEST_SCALE, ActivationQuant, activation_quant
from edgesqueeze.graph.nodes import Floats, Graph, WeightedNode
from edgesqueeze.graph.ranges import Range

__all__ = [
    "QMAX",
    "QMIN",
    "ActivationQuant",
    "QuantSpec",
    "WeightQuant",
    "activation_quant",
    "make_spec",
    "quantize_layer",
    "spec_from_activations",
]

_BIAS_LIMIT = 2.0**30


@dataclass(frozen=True, eq=False)
class WeightQuant:
    """Integers of one layer.

    ``weight`` is int8 in the float weight's shape, ``scale`` float32 [out], ``bias`` int32 [out].
    """

    weight: NDArray[np.int8]
    scale: Floats
    bias: NDArray[np.int32]

    def bias_scale(self, input_scale: float) -> Floats:
        """The grid of the bias, float32 [out]: input scale × weight scale."""
        return self.scale * np.float32(input_scale)


@dataclass(frozen=True, eq=False)
class QuantSpec:
    """Node name to activation grid, and weighted node name to its integers."""

    activations: dict[str, ActivationQuant]
    weights: dict[str, WeightQuant]


def quantize_layer(graph: Graph, node: WeightedNode, input_scale: float) -> WeightQuant:
    """Min-max symmetric int8 weights per output channel, and the int32 bias that goes with them.

    A channel's scale is raised where its bias would not fit in 31 bits, which happens when pruning leaves
    a channel with tiny weights; a channel without any weight takes the layer's largest scale, since
    every scale is right for zeros.
    """
    weight, bias = graph.weight(node).astype(np.float64), graph.bias(node).astype(np.float64)
    per_channel = np.abs(weight).reshape(len(weight), -1).max(axis=1) / 127.0
    largest = per_channel.max()
    per_channel = np.where(per_channel > 0, per_channel, largest if largest > 0 else 1.0)
    needed = np.abs(bias) / (_BIAS_LIMIT * input_scale)
    scale = np.maximum(np.maximum(per_channel, needed), SMALLEST_SCALE).astype(np.float32)
    grid = scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    integers = np.clip(np.rint(weight / grid), -127, 127).astype(np.int8)
    bias_grid = (scale * np.float32(input_scale)).astype(np.float64)
    return WeightQuant(integers, scale, np.rint(bias / bias_grid).astype(np.int32))


def make_spec(graph: Graph, ranges: dict[str, Range]) -> QuantSpec:
    """The QuantSpec of a graph whose activations have these ranges, one per node, merged over groups.

    Scales are then moved a little so that both runtimes round alike, see :mod:`edgesqueeze.graph.align`.
    """
    activations = {name: activation_quant(*ranges[name]) for name in graph.by_name}
    return spec_from_activations(graph, align_grids(graph, activations))


def spec_from_activations(graph: Graph, activations: dict[str, ActivationQuant]) -> QuantSpec:
    """The QuantSpec with these activation grids; weights and biases follow from the float tensors."""
    weights = {
        node.name: quantize_layer(graph, node, activations[node.inputs[0]].scale) for node in graph.weighted
    }
    return QuantSpec(activations, weights)
