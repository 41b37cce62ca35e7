"""What a file with float32 activations must answer: torch's numbers, with the weights that the file has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgesqueeze.formats.limits import as_float16
from edgesqueeze.network.floats.rule import Weights
from edgesqueeze.network.floats.run import compute_node, graph_weights
from edgesqueeze.network.graph.nodes import Conv, Dense, Floats, Graph, WeightedNode
from edgesqueeze.network.integers.int4 import BLOCK, int4_weights
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.integers.weight_only import int8_weights, is_dynamic
from edgesqueeze.trees import Tree, by_name

FLOAT_TOLERANCE = 1e-3
"""Largest difference allowed in a float file, as a fraction of the tensor's largest magnitude.

Kernels sum in different orders; depth amplifies that to a few 1e-4 in an untrained MobileNet v2.
"""
DYNAMIC_TOLERANCE = 1e-2
"""The same for one node of a ``dynamic`` file that reads what the file computed before it.

A runtime may round a value that lies near the middle of two steps to the other one. One such value moves a
sum by at most one step, 1/255 of the input's range, times a weight: up to 2.4e-3 of the largest result was
seen in eight architectures; everything else agrees to 1e-5.
"""
_STEPS = 255
_LARGEST_INT8 = 127
NAMES = {
    "fp32": "torch",
    "fp16": "torch with float16 weights",
    "int8_weights": "torch with int8 weights",
    "dynamic": "torch with int8 weights and inputs",
    "codebook": "torch",
    "int4": "torch with int4 weights",
}
"""Precision to what its files are compared with."""


@dataclass(frozen=True, eq=False)
class FloatReference:
    """A float network with the weights of one precision.

    ``dynamic`` layers quantize their input at run time, ``per_pixel`` ones among them pixel by pixel, and
    ``in_blocks`` others do so in blocks.
    """

    graph: Graph
    weights: Weights
    dynamic: frozenset[str] = frozenset()
    per_pixel: frozenset[str] = frozenset()
    in_blocks: frozenset[str] = frozenset()

    def tensors(self, x: Tree) -> dict[str, Floats]:
        """Node name to its output [N, …] for inputs [N, C, H, W]."""
        values = by_name(x, [node.name for node in self.graph.inputs])
        for node in self.graph.nodes:
            if node.name not in values:
                values[node.name] = self.output(node.name, values)
        return values

    @torch.no_grad()
    def output(self, name: str, values: Mapping[str, Floats]) -> Floats:
        """One node's output [N, …], computed from those of the nodes it reads."""
        node = self.graph.by_name[name]
        inputs = [torch.from_numpy(values[source]) for source in node.inputs]
        if name in self.dynamic:
            inputs = [_per_pixel(inputs[0]) if name in self.per_pixel else fake_quantize_dynamic(inputs[0])]
        if name in self.in_blocks:
            inputs = [quantize_in_blocks(inputs[0])]
        found: Floats = compute_node(node, inputs, self.weights).numpy()
        return found


def float_reference(graph: Graph, spec: QuantSpec | None, precision: str, runtime: str) -> FloatReference:
    """The reference for files of one precision (see :data:`NAMES`), in ``onnxruntime`` or ``xnnpack``.

    Raises:
        ExportError: ``fp16``, and a weight is too large for it.
    """
    weights = graph_weights(graph)
    if precision in ("fp32", "codebook"):
        return FloatReference(graph, weights)
    if precision == "fp16":
        return FloatReference(
            graph, {name: (_half(name, w), _half(name, b)) for name, (w, b) in weights.items()}
        )
    integers = int4_weights(graph, spec) if precision == "int4" else int8_weights(graph, spec)
    for name, layer in integers.items():
        weights[name] = (torch.from_numpy(layer.dequantized()), weights[name][1])
    if precision == "int8_weights":
        return FloatReference(graph, weights)
    if precision == "int4":
        dense = [node for node in graph.weighted if node.name in integers and isinstance(node, Dense)]
        return FloatReference(graph, weights, in_blocks=_names(dense))
    dynamic = [node for node in graph.weighted if node.name in integers and is_dynamic(graph, node)]
    per_pixel = [node for node in dynamic if runtime == "xnnpack" and is_per_pixel(node)]
    return FloatReference(graph, weights, _names(dynamic), _names(per_pixel))


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


def quantize_in_blocks(x: Tensor) -> Tensor:
    """Every 32 values of a row of [N, features] on an int8 grid of their own, symmetric.

    What ONNX Runtime's MatMulNBits does to its input where the processor multiplies int8 fast
    (``accuracy_level`` 4, the default for DequantizeLinear and Gemm that it has fused).
    """
    rows, features = x.shape
    blocks = nn.functional.pad(x, (0, -features % BLOCK)).reshape(rows, -1, BLOCK)
    step = blocks.abs().amax(2, keepdim=True) / _LARGEST_INT8
    rounded: Tensor = torch.round(blocks * torch.where(step > 0, 1 / step, 0.0)) * step
    return rounded.flatten(1)[:, :features]


def _per_pixel(x: Tensor) -> Tensor:
    pixels = x.movedim(1, -1)
    return fake_quantize_dynamic(pixels.flatten(0, -2)).view(pixels.shape).movedim(-1, 1)


def _half(layer: str, values: Tensor) -> Tensor:
    return torch.from_numpy(as_float16(layer, values.numpy())).float()


def _names(nodes: Sequence[WeightedNode]) -> frozenset[str]:
    return frozenset(node.name for node in nodes)
