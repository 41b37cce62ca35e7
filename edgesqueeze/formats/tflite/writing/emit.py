"""A graph as a TFLite file: float32, or full int8 with the integers of a QuantSpec. Layout is NHWC.

In int8, biases are int32, input and output int8 (the LiteRT 8-bit specification), or float32 if asked for. A
layer kept in float stands between DEQUANTIZE and QUANTIZE. How weights are stored, also those of float16,
dynamic and weight-only files: see :mod:`edgesqueeze.formats.tflite.writing.weights`.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.limits import check_size
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.tflite.flatbuffer import FlatModel, Generated, Quantization
from edgesqueeze.formats.tflite.order import file_orders
from edgesqueeze.formats.tflite.versions import USUAL_VERSIONS, VERSIONS
from edgesqueeze.formats.tflite.writing.batch import set_batch, write_concatenation
from edgesqueeze.formats.tflite.writing.floats import write_group_norm, write_layer_norm, write_mat_mul
from edgesqueeze.formats.tflite.writing.functions import write_function
from edgesqueeze.formats.tflite.writing.maps import write_map
from edgesqueeze.formats.tflite.writing.padding import padded
from edgesqueeze.formats.tflite.writing.rearranged import write_rearranged
from edgesqueeze.formats.tflite.writing.transposed import write_conv_transpose
from edgesqueeze.formats.tflite.writing.weights import (
    Float16Store,
    FloatStore,
    Int8Store,
    Int8WeightStore,
    LayerStore,
    Layout,
)
from edgesqueeze.network.graph.nodes import (
    Activation,
    Add,
    AnyNode,
    AvgPool,
    Clamp,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Extreme,
    Flatten,
    Floats,
    GlobalAvgPool,
    Graph,
    GroupNorm,
    Input,
    Join,
    LayerNorm,
    MatMul,
    MaxPool,
    Mul,
    Pointwise,
    Rearrange,
    Softmax,
    WeightedNode,
    constant_values,
)
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.reference import quantize_input
from edgesqueeze.network.integers.spec import QMIN, ActivationQuant, QuantSpec
from edgesqueeze.network.integers.weight_only import Int8Weight, WeightForm, check_form
from edgesqueeze.text.digits import span

_FUSED: dict[Activation, int] = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_OP = schema.BuiltinOperator
_RATIO_LIMIT = 256.0
_SMALLEST_ADD_RATIO = 2.0**-10
_SMALLEST_MUL_RATIO = 2.0**-16
EndType = Literal["int8", "float32"]
"""What a full-int8 file takes and gives."""


def emit_tflite(graph: Graph, spec: QuantSpec | None, int8_io: EndType = "int8", batch: Batch = 1) -> bytes:
    """The bytes of a TFLite model; the same graph and spec always give the same bytes.

    Args:
        graph: the network. Its input [1, C, H, W] becomes [N, H, W, C] in the file, uint8 if it takes pixels.
        spec: the integers of an int8 file, or None for float32.
        int8_io: what an int8 file takes and gives; float32 adds a QUANTIZE and a DEQUANTIZE at the ends. What
            takes pixels takes them in either case.
        batch: how many inputs the file takes at once; an open one is 1 until LiteRT is told another.

    Raises:
        ExportError: a flattened map reaches something for which the order of its values matters, or the
            weights exceed 2 GB; in int8, two scales lie too far apart for XNNPACK; or the batch is open and a
            layer is a transposed convolution in float.
    """
    if spec is not None:
        graph, spec = lower(graph, spec)
    check_size(graph, spec)
    store = FloatStore(graph) if spec is None else Int8Store(graph, spec)
    return _Emitter(graph, spec, store, spec is not None and int8_io == "float32", batch).run()


def emit_tflite_weights(
    graph: Graph, form: WeightForm, weights: dict[str, Int8Weight], batch: Batch = 1
) -> bytes:
    """The bytes of a TFLite model with float32 input, output and activations, but smaller weights.

    Args:
        graph: the network.
        form: ``fp16``, ``int8_weights`` or ``dynamic``, see :mod:`edgesqueeze.network.integers.weight_only`.
        weights: the integers of the layers; not read for ``fp16``.
        batch: see :func:`emit_tflite`.

    Raises:
        ExportError: a flattened map reaches something for which the order of its values matters, a weight is
            too large for float16, no layer could compute with integers in a ``dynamic`` file, or the batch
            is open and a layer is a transposed convolution.
    """
    check_form(graph, form)
    check_size(graph, None)
    store = Float16Store(graph) if form == "fp16" else Int8WeightStore(graph, weights, form == "dynamic")
    return _Emitter(graph, None, store, batch=batch).run()


@dataclass
class _Emitter:
    """One walk over the nodes.

    ``orders`` are those of flattened tensors, see :func:`edgesqueeze.formats.tflite.order.file_orders`.
    """

    graph: Graph
    spec: QuantSpec | None
    store: LayerStore
    float_ends: bool = False
    batch: Batch = 1
    model: FlatModel = field(default_factory=FlatModel)
    tensors: dict[str, int] = field(default_factory=dict)
    orders: dict[str, NDArray[np.intp]] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    operands: dict[tuple[str, bytes | None], list[int]] = field(default_factory=dict)
    """Owner of a weight and a bias, and order of its columns, to the tensors: one for all that use them."""

    def run(self) -> bytes:
        self.orders = file_orders(self.graph)
        for node in self.graph.nodes:
            if isinstance(node, Constant):
                self.tensors[node.name] = self._stored(node)
            else:
                self._node(node)
        results = {output.name: self._result(output.node) for output in self.graph.outputs}
        change = None if self.batch == 1 else partial(set_batch, batch=self.batch)
        return self.model.pack(self.sources, results, self.graph.normalization, change)

    def _result(self, name: str) -> int:
        tensor = self.tensors[name]
        if not self.float_ends:
            return tensor
        result = self.model.float_form(tensor)
        self.operator(_OP.DEQUANTIZE, [tensor], result, schema.DequantizeOptionsT())
        return result

    def _input(self, name: str, tensor: int) -> None:
        self.sources[name] = tensor
        if self.graph.takes_pixels and self.spec is not None:
            # int8 kernels take no uint8: LiteRT's QUANTIZE flips the highest bit, which is exact.
            grid = self.spec.activations[name]
            shifted = _per_tensor(ActivationQuant(grid.scale, grid.zero_point - QMIN))
            self.sources[name] = self.model.uint8_form(tensor, shifted)
        elif self.float_ends:
            self.sources[name] = self.model.float_form(tensor)
        if self.sources[name] != tensor:
            self.operator(_OP.QUANTIZE, [self.sources[name]], tensor, schema.QuantizeOptionsT())

    # -- tensors -----------------------------------------------------------------------------------

    def computed(self, name: str, shape: tuple[int, ...], grid_of: str) -> int:
        """Add a tensor of a shape given as NCHW, on a node's grid; its index."""
        dtype = "float32" if self.spec is None else "int8"
        return self.model.tensor(name, _nhwc(shape), dtype, self.grid(grid_of))

    def plain(self, name: str, shape: tuple[int, ...], grid_of: str) -> int:
        """Likewise with a shape as the file has it."""
        return self.model.tensor(name, shape, "float32" if self.spec is None else "int8", self.grid(grid_of))

    def grid(self, name: str) -> Quantization | None:
        """The grid of a node's output in an int8 file."""
        return None if self.spec is None else _per_tensor(self.spec.activations[name])

    def _parameters(self, node: WeightedNode, axes: tuple[int, ...], channel_axis: int) -> list[int]:
        """Weight and bias as constants, the weight's axes permuted."""
        if self.spec is not None and node.name in self.spec.weights:
            source, result = (self.spec.activations[name] for name in (node.inputs[0], node.name))
            bias_scale = self.spec.weights[node.name].bias_scale(source.scale)
            self._check_ratio(node, bias_scale / np.float32(result.scale), 0.0)
        layout = Layout(lambda weight: self._in_order(node, weight).transpose(axes), channel_axis)
        order = self.orders.get(node.inputs[0])
        key = (node.owner, None if order is None else order.tobytes())
        if key not in self.operands:
            self.operands[key] = self.store.store(self.model, node, layout)
        return self.operands[key]

    def _check_ratio(self, node: AnyNode, ratios: Floats, smallest: float) -> None:
        """Refuse what XNNPACK does not take: LiteRT would run another kernel, which rounds differently."""
        if np.any(ratios >= _RATIO_LIMIT) or np.any(ratios < smallest):
            low, high = float(np.min(ratios)), float(np.max(ratios))
            raise ExportError(
                f"layer {node.name!r} needs int8 scale ratios of {span(low, high, 3)} between its inputs "
                f"and its output; XNNPACK takes {smallest:.3g} up to {_RATIO_LIMIT:g}"
            )

    def _in_order(self, node: WeightedNode, weight: NDArray[Any]) -> NDArray[Any]:
        """A dense weight with its columns in the order in which the file holds the input."""
        order = self.orders.get(node.inputs[0]) if isinstance(node, Dense) else None
        return weight if order is None else weight[:, order]

    def operator(self, code: int, inputs: list[int], output: int, options: Generated) -> None:
        """Append an operator in the version that this file's precision needs."""
        version = VERSIONS.get(code, USUAL_VERSIONS)[self.spec is not None]
        self.model.operator(code, version, inputs, output, options)

    def _weighted(self, code: int, node: WeightedNode, operands: list[int], options: Generated) -> None:
        """Append a layer; one kept in float in an int8 file stands between DEQUANTIZE and QUANTIZE."""
        output = self.tensors[node.name]
        if self.spec is None or node.name in self.spec.weights:
            self.model.operator(code, self.store.version(node, VERSIONS[code]), operands, output, options)
            return
        source, *parameters = operands
        shape = self.model.shape(source)
        real = self.model.tensor(f"{node.name}.input", shape, "float32")
        result = self.model.tensor(f"{node.name}.float", self.model.shape(output), "float32")
        self.operator(_OP.DEQUANTIZE, [source], real, schema.DequantizeOptionsT())
        self.model.operator(code, VERSIONS[code][0], [real, *parameters], result, options)
        self.operator(_OP.QUANTIZE, [result], output, schema.QuantizeOptionsT())

    # -- operations --------------------------------------------------------------------------------

    def _node(self, node: AnyNode) -> None:
        inputs = [self.tensors[name] for name in node.inputs]
        output = self.computed(node.name, node.shape, node.name)
        self.tensors[node.name] = output
        match node:
            case Input():
                self._input(node.name, output)
            case Conv():
                self._conv(node, inputs[0])
            case ConvTranspose():
                shape = self.graph.source(node).shape
                operands = [inputs[0], *self._parameters(node, (0, 2, 3, 1), 0)]
                write_conv_transpose(self, node, shape, operands, output)
            case Dense():
                parameters = self._parameters(node, (0, 1), 0)
                options = schema.FullyConnectedOptionsT()
                options.fusedActivationFunction = _FUSED[node.activation]
                self._weighted(_OP.FULLY_CONNECTED, node, [inputs[0], *parameters], options)
            case MaxPool() | AvgPool():
                self._pool(node, inputs[0], output)
            case GlobalAvgPool():
                axes = self.model.constant(f"{node.name}.axes", np.array([1, 2], np.int32))
                options = schema.ReducerOptionsT()
                options.keepDims = True
                self.operator(_OP.MEAN, [inputs[0], axes], output, options)
            case Flatten():
                self._reshape(inputs[0], output, node.shape, f"{node.name}.shape")
            case Concat() | Join():
                write_concatenation(self, self.graph, node, inputs, output)
            case Add() | Mul() | Extreme() | MatMul():
                self._of_two(node, inputs, output)
            case _:
                self._plain(node, inputs[0], output)

    def _stored(self, node: Constant) -> int:
        values = constant_values(self.graph, node).transpose(0, 2, 3, 1)
        if self.spec is None:
            return self.model.constant(node.name, values)
        grid = self.spec.activations[node.name]
        return self.model.constant(node.name, quantize_input(values, grid), self.grid(node.name))

    def _plain(self, node: AnyNode, source: int, output: int) -> None:
        """Append a node that reads one tensor and has no weights of integers."""
        match node:
            case Rearrange():
                write_rearranged(self, node, self.graph.source(node).shape, source, output)
            case Clamp():
                code = _OP.RELU if node.activation == "relu" else _OP.RELU6
                self.operator(code, [source], output, None)
            case LayerNorm():
                write_layer_norm(self, node, (self.graph.weight(node), self.graph.bias(node)), source, output)
            case GroupNorm():
                write_group_norm(self, node, (self.graph.weight(node), self.graph.bias(node)), source, output)
            case Pointwise():
                write_function(self, node, source, output)
            case Softmax():
                options = schema.SoftmaxOptionsT()
                options.beta = 1.0
                self.operator(_OP.SOFTMAX, [source], output, options)
            case _:
                write_map(self, node, source, output)

    def _of_two(self, node: Add | Mul | Extreme | MatMul, inputs: list[int], output: int) -> None:
        match node:
            case Extreme():
                code = _OP.MAXIMUM if node.which == "maximum" else _OP.MINIMUM
                self.operator(code, inputs, output, schema.MaximumMinimumOptionsT())
            case MatMul():
                write_mat_mul(self, node, inputs, output)
            case _:
                self._binary(node, inputs, output)

    def _binary(self, node: Add | Mul, inputs: list[int], output: int) -> None:
        if self.spec is not None:
            left, right, result = (self.spec.activations[n].scale for n in (*node.inputs, node.name))
            if isinstance(node, Add):
                ratios = np.array([left, right], np.float32) / np.float32(result)
                self._check_ratio(node, ratios, _SMALLEST_ADD_RATIO)
            else:
                ratios = np.array([left * right / result], np.float32)
                self._check_ratio(node, ratios, _SMALLEST_MUL_RATIO)
        if isinstance(node, Mul):
            self.operator(_OP.MUL, inputs, output, schema.MulOptionsT())
            return
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _FUSED[node.activation]
        self.operator(_OP.ADD, inputs, output, options)

    def _conv(self, node: Conv, source: int) -> None:
        shape = self.graph.source(node).shape
        channels = shape[1]
        if len(shape) == 2:
            source = self._reshaped(node, source)
        source, padding = padded(self, node, source)
        depthwise = node.groups == channels > 1
        code = _OP.DEPTHWISE_CONV_2D if depthwise else _OP.CONV_2D
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        if depthwise:
            options.depthMultiplier = node.shape[1] // channels
        options.padding = padding
        options.strideH, options.strideW = node.stride
        options.dilationHFactor, options.dilationWFactor = node.dilation
        options.fusedActivationFunction = _FUSED[node.activation]
        axes, channel_axis = ((1, 2, 3, 0), 3) if depthwise else ((0, 2, 3, 1), 0)
        self._weighted(code, node, [source, *self._parameters(node, axes, channel_axis)], options)

    def _reshaped(self, node: Conv, source: int) -> int:
        """[1, features] as a map of height and width 1."""
        shape = (1, self.graph.source(node).shape[1], 1, 1)
        output = self.computed(f"{node.name}.map", shape, node.inputs[0])
        self._reshape(source, output, _nhwc(shape), f"{node.name}.shape")
        return output

    def _reshape(self, source: int, output: int, shape: tuple[int, ...], name: str) -> None:
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        constant = self.model.constant(name, options.newShape)
        self.operator(_OP.RESHAPE, [source, constant], output, options)

    def _pool(self, node: MaxPool | AvgPool, source: int, output: int) -> None:
        padding = schema.Padding.VALID
        if isinstance(node, MaxPool):
            source, padding = padded(self, node, source)
        options = schema.Pool2DOptionsT()
        options.padding = padding
        options.strideH, options.strideW = node.stride
        options.filterHeight, options.filterWidth = node.kernel
        code = _OP.MAX_POOL_2D if isinstance(node, MaxPool) else _OP.AVERAGE_POOL_2D
        self.operator(code, [source], output, options)


def _per_tensor(quant: ActivationQuant) -> Quantization:
    return Quantization(np.array([quant.scale], np.float32), np.array([quant.zero_point], np.int64))


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape
