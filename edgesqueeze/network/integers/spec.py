"""QuantSpec: the integers of a full-int8 network, decided once and read by every emitter.

Activations are int8 with one scale and zero point per tensor (the ONNX emitter writes them as uint8,
zero point + 128: the same grid). Weights are symmetric int8 in [-127, 127] with one scale per output
channel, or one per layer; biases are int32 on the grid input scale × weight scale. Scales are float32,
since both runtimes hold them so. (Scheme: Jacob et al. 2018, arXiv 1712.05877; the LiteRT 8-bit
quantization specification.)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.nodes import Floats, Graph, WeightedNode
from edgesqueeze.network.integers.align import align_grids
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant, activation_quant
from edgesqueeze.network.integers.ranges import Range
from edgesqueeze.numerics.integers import (
    BIAS_MAX,
    bias_scales,
    min_max_scales,
    nearest_biases,
    nearest_weights,
    usable_scale,
)

__all__ = [
    "QMAX",
    "QMIN",
    "ActivationQuant",
    "QuantSpec",
    "WeightQuant",
    "activation_grids",
    "activation_quant",
    "float_layers",
    "make_spec",
    "min_max_scales",
    "quantize_layer",
    "spec_from_activations",
    "usable_scale",
]


@dataclass(frozen=True, eq=False)
class WeightQuant:
    """Integers of one layer.

    ``weight`` is int8 in the float weight's shape, ``scale`` float32 [out], or [1] if the whole tensor has
    one scale, ``bias`` int32 [out].
    """

    weight: NDArray[np.int8]
    scale: Floats
    bias: NDArray[np.int32]

    def bias_scale(self, input_scale: float) -> Floats:
        """The grid of the bias, float32 [out] or [1]: input scale × weight scale."""
        return bias_scales(self.scale, input_scale)


@dataclass(frozen=True, eq=False)
class QuantSpec:
    """Node name to activation grid, and weighted node name to its integers.

    A layer that is used again (``weights_of``) has the integers of its first use.

    Nothing here has to follow from the float tensors: scales may be learned, integers rounded up or down,
    biases corrected. What does follow is what :func:`spec_from_activations` makes.

    A weighted node without integers is kept in float: its operation reads and makes int8 tensors like any
    other, but computes with the graph's float32 weight and bias in between.
    """

    activations: dict[str, ActivationQuant]
    weights: dict[str, WeightQuant]

    @property
    def per_channel(self) -> bool:
        """Whether weights have a scale per output channel; if not, files store one scalar per weight."""
        return all(len(layer.scale) == len(layer.bias) for layer in self.weights.values())


def float_layers(graph: Graph, spec: QuantSpec) -> tuple[str, ...]:
    """The layers kept in float, in execution order."""
    return tuple(node.name for node in graph.weighted if node.name not in spec.weights)


def quantize_layer(
    graph: Graph,
    node: WeightedNode,
    input_scale: float,
    scale: Floats | None = None,
    *,
    per_channel: bool = True,
) -> WeightQuant:
    """The int8 weights nearest to a layer's float weights, and the int32 bias that goes with them.

    Args:
        graph: the network with its float32 tensors.
        node: the layer.
        input_scale: the scale of the grid the layer reads.
        scale: positive float32 [out], the grid of each output channel, or [1]; taken as it is. None takes
            :func:`usable_scale` of the largest magnitude per channel / 127 (min-max, symmetric).
        per_channel: False takes one scale for the whole tensor where ``scale`` is None.

    Raises:
        CodecError: a bias does not fit in int32 on the grid of the given scale.
    """
    weight, bias = graph.weight(node), graph.bias(node)
    if scale is None:
        scale = usable_scale(min_max_scales(weight, per_channel=per_channel), bias, input_scale)
    bias_integers = nearest_biases(bias, bias_scales(scale, input_scale))
    if not (np.abs(bias_integers) <= BIAS_MAX).all():
        raise CodecError(f"a bias of layer {node.name!r} does not fit in int32 on the grid of its weights")
    return WeightQuant(nearest_weights(weight, scale), scale, bias_integers.astype(np.int32))


def activation_grids(graph: Graph, ranges: dict[str, Range]) -> dict[str, ActivationQuant]:
    """The grids that cover these ranges, one per node, merged over groups.

    Scales are moved a little so that both runtimes round alike, see ``network.integers.align``.
    """
    return align_grids(graph, {name: activation_quant(*ranges[name]) for name in graph.by_name})


def make_spec(graph: Graph, ranges: dict[str, Range], keep_float: Collection[str] = ()) -> QuantSpec:
    """The QuantSpec of a graph whose activations have these ranges, with min-max weights.

    ``keep_float`` names layers that get no integers.
    """
    return spec_from_activations(graph, activation_grids(graph, ranges), keep_float=keep_float)


def spec_from_activations(
    graph: Graph,
    activations: dict[str, ActivationQuant],
    scales: Mapping[str, Floats] | None = None,
    keep_float: Collection[str] = (),
    *,
    per_channel: bool = True,
) -> QuantSpec:
    """The QuantSpec with these activation grids and weight scales.

    Integers are the nearest to the float tensors. A layer that ``scales`` does not name takes min-max, one
    scale per output channel or, if not ``per_channel``, one for the tensor; one that ``keep_float`` names
    gets no integers.

    Raises:
        CodecError: see :func:`quantize_layer`.
    """
    scales = scales or {}
    weights = {
        node.name: quantize_layer(
            graph, node, activations[node.inputs[0]].scale, scales.get(node.owner), per_channel=per_channel
        )
        for node in graph.weighted
        if node.owner not in keep_float
    }
    return QuantSpec(activations, weights)
