"""A graph as an ONNX file with 4-bit weights, in blocks that have a scale each.

A convolution's weight is made of Cast, Mul and Reshape, which ONNX Runtime carries out once, when it loads
the file; it would repeat a DequantizeLinear in every run. A dense layer has a DequantizeLinear all the same:
of it and Gemm, ONNX Runtime makes MatMulNBits, which keeps 4 bits in memory and is faster than float32. It
quantizes the layer's input to 8 bits in blocks, if the processor has instructions for that.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgesqueeze.formats.limits import check_size
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.onnx.writing.emit import OPSET_OF_INT4, Emitter
from edgesqueeze.formats.onnx.writing.weights import FloatStore, LayerWriter
from edgesqueeze.network.graph.nodes import (
    Activation,
    AnyNode,
    ConvTranspose,
    Dense,
    Graph,
    WeightedNode,
    bias_name,
    weight_name,
)
from edgesqueeze.network.integers.int4 import BLOCK, Int4Weight

_INT4 = helper.tensor_dtype_to_np_dtype(TensorProto.INT4)


def emit_onnx_int4(graph: Graph, weights: dict[str, Int4Weight], batch: Batch = 1) -> bytes:
    """The bytes of an ONNX model like the float32 one, with 4-bit weights.

    Args:
        graph: the network.
        weights: the integers of the layers; a layer that is not among them stays float32.
        batch: how many inputs the file takes at once.

    Raises:
        ExportError: the weights exceed 2 GB.
    """
    check_size(graph, None)
    store = Int4Store(graph, weights)
    return _Int4Emitter(graph, None, store, opset=OPSET_OF_INT4, batch=batch, int4=store).run()


@dataclass(frozen=True)
class Int4Store:
    """int4 weights and their scales; layers without integers in float32."""

    graph: Graph
    weights: dict[str, Int4Weight]

    def store(self, writer: LayerWriter, node: WeightedNode) -> list[str]:
        """The integers times their scales in the weight's shape, and the bias."""
        layer = self.weights.get(node.name)
        if layer is None:
            return FloatStore(self.graph).store(writer, node)
        name, (out, blocks), summed = weight_name(node), layer.scale.shape, prod(layer.weight.shape[1:])
        stored_as: tuple[int, ...] = (out, blocks, summed // blocks)
        scale = _as_float(writer, name, layer.scale[:, :, np.newaxis])
        if blocks > 1 and summed % BLOCK:
            stored_as, scale = (out, summed), _one_per_weight(writer, name, scale, summed)
        integers = layer.weight.astype(_INT4).reshape(stored_as)
        real = writer.op("Cast", [writer.constant(name, integers)], f"{name}/cast", {"to": TensorProto.FLOAT})
        product = writer.op("Mul", [real, scale], f"{name}/product", {})
        shape = _constant(writer, f"{name}_shape", *layer.weight.shape)
        weight = writer.op("Reshape", [product, shape], f"{name}/out", {})
        if isinstance(node, ConvTranspose):  # ONNX has [in, out, height, width]
            weight = writer.op("Transpose", [weight], f"{name}/transposed", {"perm": (1, 0, 2, 3)})
        return [weight, writer.constant(bias_name(node), self.graph.bias(node))]

    def store_for_gemm(self, writer: LayerWriter, node: Dense) -> list[str]:
        """The weight as [in, out] behind a DequantizeLinear, and the bias."""
        layer, name = self.weights[node.name], weight_name(node)
        inputs = [
            writer.constant(name, layer.weight.T.astype(_INT4)),
            _as_float(writer, name, layer.scale.T),
        ]
        attributes: dict[str, object] = {"axis": 0, "block_size": BLOCK}
        weight = writer.op("DequantizeLinear", inputs, f"{name}/out", attributes)
        return [weight, writer.constant(bias_name(node), self.graph.bias(node))]


@dataclass
class _Int4Emitter(Emitter):
    """One walk over the nodes."""

    int4: Int4Store = field(kw_only=True)

    def _is_int4_gemm(self, node: AnyNode) -> bool:
        return isinstance(node, Dense) and node.name in self.int4.weights

    def _activated(self, node: AnyNode, value: str) -> str:
        """Behind a Relu or a Clip, ONNX Runtime would leave DequantizeLinear and Gemm as they are."""
        activation: Activation = getattr(node, "activation", "none")
        if activation != "none" and self._is_int4_gemm(node):
            return self._bounded(node, value, activation)
        return super()._activated(node, value)

    def _operation(self, node: AnyNode) -> str:
        if not isinstance(node, Dense) or not self._is_int4_gemm(node):
            return super()._operation(node)
        inputs = [self.values[node.inputs[0]], *self.int4.store_for_gemm(self._layer_writer, node)]
        return self._op("Gemm", inputs, f"{node.name}/raw", {})


def _as_float(writer: LayerWriter, name: str, scale: NDArray[np.floating]) -> str:
    """Stored scales as float32 values."""
    stored = writer.constant(f"{name}_scale", scale)
    if scale.dtype == np.float32:
        return stored
    return writer.op("Cast", [stored], f"{name}_scale/out", {"to": TensorProto.FLOAT})


def _one_per_weight(writer: LayerWriter, name: str, scale: str, summed: int) -> str:
    """[out, blocks, 1] as [out, summed], where the last block is shorter than the others."""
    block = _constant(writer, f"{name}_block", 1, 1, BLOCK)
    scale = writer.op("Expand", [scale, block], f"{name}_scale/blocks", {})
    scale = writer.op("Reshape", [scale, _constant(writer, f"{name}_rows", 0, -1)], f"{name}_scale/rows", {})
    limits = [
        _constant(writer, f"{name}_{ending}", n)
        for ending, n in (("start", 0), ("summed", summed), ("axis", 1))
    ]
    return writer.op("Slice", [scale, *limits], f"{name}_scale/each", {})


def _constant(writer: LayerWriter, name: str, *values: int) -> str:
    return writer.shared(name, np.array(values, np.int64))
