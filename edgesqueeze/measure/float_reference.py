"""What a file with float32 activations must answer: torch's numbers, with the weights that the file has."""

from dataclasses import dataclass

import torch
from torch import Tensor

from edgesqueeze.emit.limits import as_float16
from edgesqueeze.graph.execute import Weights, compute_node, graph_weights
from edgesqueeze.graph.nodes import Conv, Floats, Graph, Input, WeightedNode
from edgesqueeze.graph.spec import QuantSpec
from edgesqueeze.graph.weight_only import int8_weights, is_dynamic

FLOAT_TOLERANCE = 1e-3
"""Largest difference allowed in a float file, as a fraction of the tensor's largest magnitude.

Kernels sum in different orders; depth amplifies that to a few 1e-4 in an untrained MobileNet v2.
"""
_STEPS = 255


@dataclass(frozen=True, eq=False)
class FloatReference:
    """A float network with the weights of one precision.

    ``tolerance`` is a fraction of a tensor's largest magnitude. ``dynamic`` are the layers that quantize their
    input at run time; ``per_pixel`` those of them that do so pixel by pixel.
    """

    name: str
    precision: str
    tolerance: float
    graph: Graph
    weights: Weights
    dynamic: frozenset[str] = frozenset()
    per_pixel: frozenset[str] = frozenset()

    @torch.no_grad()
    def tensors(self, x: Floats) -> dict[str, Floats]:
        """Node name to its output [N, …] for inputs [N, C, H, W]."""
        values: dict[str, Tensor] = {}
        for node in self.graph.nodes:
            if isinstance(node, Input):
                values[node.name] = torch.from_numpy(x)
                continue
            inputs = [values[name] for name in node.inputs]
            if node.name in self.per_pixel:
                last = fake_quantize_dynamic(inputs[0].movedim(1, -1).flatten(0, 2))
                inputs = [last.view(len(x), *inputs[0].shape[2:], -1).movedim(-1, 1)]
            elif node.name in self.dynamic:
                inputs = [fake_quantize_dynamic(inputs[0])]
            values[node.name] = compute_node(node, inputs, self.weights)
        return {name: value.numpy() for name, value in values.items()}


def is_per_pixel(node: WeightedNode) -> bool:
    """Whether XNNPACK quantizes a layer's input pixel by pixel at run time.

    It computes such a convolution as a dense layer whose rows are the pixels, and every row has a grid of its
    own. ONNX Runtime has one grid for the whole tensor.
    """
    return isinstance(node, Conv) and (node.kernel, node.stride, node.groups) == ((1, 1), (1, 1), 1)


def fake_quantize_dynamic(x: Tensor) -> Tensor:
    """Every sample of [N, …] on the 8-bit grid of its own range, zero included.

    The rule of ONNX's DynamicQuantizeLinear and of XNNPACK's dynamically quantized operators.
    """
    flat = x.flatten(1)
    low, high = flat.amin(1).clamp(max=0), flat.amax(1).clamp(min=0)
    scale = (high - low) / _STEPS
    scale = torch.where(scale > 0, scale, 1.0)
    zero_point = torch.round(-low / scale).clamp(0, _STEPS)
    scale, zero_point = (v.view(-1, *[1] * (x.ndim - 1)) for v in (scale, zero_point))
    return (torch.clamp(torch.round(x / scale) + zero_point, 0, _STEPS) - zero_point) * scale
