"""Int8 weights beside float activations: the integers of the precisions ``dynamic`` and ``int8_weights``.

Neither needs calibration. ``int8_weights`` turns the integers back into float32 and computes in float;
``dynamic`` quantizes each layer's input while it runs, with the range that this input has, and multiplies
integers. (Dynamic range quantization: LiteRT's post-training quantization guide.)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import Conv, Dense, Floats, Graph, WeightedNode
from edgesqueeze.network.integers.spec import QuantSpec, min_max_scales
from edgesqueeze.numerics.integers import SMALLEST_SCALE, nearest_weights

WeightForm = Literal["fp16", "int8_weights", "dynamic"]
"""How a file with float32 activations makes its weights smaller."""


@dataclass(frozen=True, eq=False)
class Int8Weight:
    """One layer's weight: int8 in [-127, 127], and its scale, float32 [out] or [1]. Biases stay float32."""

    weight: NDArray[np.int8]
    scale: Floats

    def dequantized(self) -> Floats:
        """The real numbers that the integers stand for, float32."""
        return self.weight * self.scale.reshape(-1, *[1] * (self.weight.ndim - 1))


def int8_weights(graph: Graph, spec: QuantSpec | None) -> dict[str, Int8Weight]:
    """The integers of every layer by name.

    Those of the spec if the network has been quantized: one network, one set of integers. Otherwise the
    nearest to the float weights on min-max scales per output channel, symmetric; a channel of zeros takes
    the layer's largest scale. A layer that the spec leaves out stays float.
    """
    if spec is not None:
        return {name: Int8Weight(layer.weight, layer.scale) for name, layer in spec.weights.items()}
    return {node.name: nearest_int8(graph.weight(node)) for node in graph.weighted}


def is_dynamic(graph: Graph, node: WeightedNode) -> bool:
    """Whether both runtimes multiply integers in this layer of a ``dynamic`` file.

    Depthwise convolutions keep to float32: XNNPACK has no such kernel for them, and ONNX Runtime's is slower
    than the float one.
    """
    if isinstance(node, Conv):
        return node.groups == 1 or node.groups < graph.source(node).shape[1]
    return isinstance(node, Dense)


def check_form(graph: Graph, form: WeightForm) -> None:
    """Refuse a form that the network has no use for.

    Raises:
        ExportError: ``dynamic``, and no layer would compute with integers.
    """
    if form == "dynamic" and not any(is_dynamic(graph, node) for node in graph.weighted):
        raise ExportError(
            "no layer of this network can quantize its input at run time: depthwise convolutions keep to "
            "float32, and it has no other layers; use int8_weights instead of dynamic"
        )


def nearest_int8(weight: Floats) -> Int8Weight:
    """The integers of a weight [out, …] that needs no activation grids, as :func:`int8_weights` describes."""
    found = min_max_scales(weight)
    largest = found.max(initial=0.0)
    scale = np.maximum(np.where(found > 0, found, largest if largest > 0 else 1.0), SMALLEST_SCALE)
    scale = scale.astype(np.float32)
    return Int8Weight(nearest_weights(weight, scale), scale)
