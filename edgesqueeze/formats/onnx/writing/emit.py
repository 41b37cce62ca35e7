"""A graph as an ONNX file: float32, or int8 in QDQ form with the integers of a QuantSpec. Layout is NCHW.

How weights are stored, in all precisions: see ``onnx_weights``, ``onnx_int4`` and ``onnx_codebook`` beside
this file. The int8 form QOperator: see ``onnx_qoperator``.

In the int8 file every tensor passes through QuantizeLinear and DequantizeLinear, from which ONNX Runtime
makes integer kernels. Activations are uint8 (zero point + 128: the same grid), because ONNX Runtime leaves
convolutions of branched networks in float when they are int8 on x86. A layer kept in float has a float32
weight and stands between DequantizeLinear and QuantizeLinear like the others.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.limits import check_size
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.onnx.node_operators import kind_and_attributes
from edgesqueeze.formats.onnx.writing.batch import end_info, spread, target
from edgesqueeze.formats.onnx.writing.dynamic import write_dynamic
from edgesqueeze.formats.onnx.writing.maps import MAPS, OnnxWriter, write_map, write_mat_mul
from edgesqueeze.formats.onnx.writing.resize import write_lifted
from edgesqueeze.formats.onnx.writing.weights import (
    Float16Store,
    FloatStore,
    Int8Store,
    Int8WeightStore,
    LayerStore,
    LayerWriter,
)
from edgesqueeze.network.graph.nodes import (
    Activation,
    AnyNode,
    Clamp,
    Constant,
    Conv,
    Graph,
    Input,
    MatMul,
    Resize,
    WeightedNode,
    constant_values,
)
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.reference import clamp_limits, dequantize, quantize_input
from edgesqueeze.network.integers.rules.resizes import exact_bits
from edgesqueeze.network.integers.spec import QMAX, QMIN, QuantSpec
from edgesqueeze.network.integers.weight_only import Int8Weight, WeightForm, check_form
from edgesqueeze.normalization import METADATA_KEY

OPSET = 17
OPSET_OF_INT4 = 21
"""The first with tensors of 4 bits, and with DequantizeLinear in blocks."""
_IR_VERSIONS = {OPSET: 8, OPSET_OF_INT4: 10}
UINT8_OFFSET = 128


def emit_onnx(graph: Graph, spec: QuantSpec | None, batch: Batch = 1) -> bytes:
    """The bytes of an ONNX model with one float input "input" [N, C, H, W] and one float output "output".

    Several inputs and outputs have the names that the graph gives them. The input is uint8 if the graph takes
    pixels.

    The same graph and spec always give the same bytes.

    Args:
        graph: the network.
        spec: the integers of an int8 file, or None for float32.
        batch: how many inputs the file takes at once; each is answered as if it were alone.

    Raises:
        ExportError: the weights exceed the 2 GB that one ONNX file can hold.
    """
    if spec is not None:
        graph, spec = lower(graph, spec)
    check_size(graph, spec)
    store = FloatStore(graph) if spec is None else Int8Store(graph, spec)
    return Emitter(graph, spec, store, batch=batch).run()


def emit_onnx_weights(
    graph: Graph, form: WeightForm, weights: dict[str, Int8Weight], batch: Batch = 1
) -> bytes:
    """The bytes of an ONNX model like that of :func:`emit_onnx` in float32, but with smaller weights.

    Args:
        graph: the network.
        form: ``fp16``, ``int8_weights`` or ``dynamic``, see :mod:`edgesqueeze.network.integers.weight_only`.
        weights: the integers of the layers; not read for ``fp16``.
        batch: see :func:`emit_onnx`.

    Raises:
        ExportError: the weights exceed 2 GB, one is too large for float16, or no layer could compute with
            integers in a ``dynamic`` file.
    """
    check_form(graph, form)
    check_size(graph, None)
    if form == "fp16":
        return Emitter(graph, None, Float16Store(graph), batch=batch).run()
    store = Int8WeightStore(graph, weights)
    return Emitter(graph, None, store, store if form == "dynamic" else None, batch=batch).run()


@dataclass
class Emitter:
    """One walk over the nodes. ``values`` maps a node to the name of its float output in the file."""

    graph: Graph
    spec: QuantSpec | None
    store: LayerStore
    dynamic: Int8WeightStore | None = None
    opset: int = OPSET
    batch: Batch = 1
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    shared: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    operands: dict[str, list[str]] = field(default_factory=dict)
    """Owner of a weight and a bias to what an operator reads of them: stored once for all that use them."""
    named: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)

    def run(self) -> bytes:
        """The bytes of the file."""
        for node in self.graph.nodes:
            self._node(node)
        return self._finished()

    def _finished(self) -> bytes:
        for output in self.graph.outputs:
            self._name_output(self.values[output.node], output.name)
        taken = TensorProto.UINT8 if self.graph.takes_pixels else TensorProto.FLOAT
        inputs, outputs = (
            [end_info(name, node.shape, self.batch, kind) for name, node in ends.items()]
            for ends, kind in (
                ({node.name: node for node in self.graph.inputs}, taken),
                (self.graph.output_nodes, TensorProto.FLOAT),
            )
        )
        body = helper.make_graph(self.nodes, "edgesqueeze", inputs, outputs, self.initializers)
        model = helper.make_model(
            body,
            producer_name="edgesqueeze",
            opset_imports=[helper.make_opsetid(*opset) for opset in self._opsets],
            ir_version=_IR_VERSIONS[self.opset],
        )
        if self.graph.normalization is not None:
            helper.set_model_props(model, {METADATA_KEY: self.graph.normalization.text()})
        return bytes(model.SerializeToString(deterministic=True))

    @property
    def _opsets(self) -> tuple[tuple[str, int], ...]:
        return (("", self.opset),)

    def _node(self, node: AnyNode) -> None:
        if isinstance(node, Constant):
            self.values[node.name] = self._stored_constant(node)
            return
        if self.spec is not None and isinstance(node, Input) and self.graph.takes_pixels:
            inputs = [node.name, *self._grid(self.spec, node.name)]
            self.values[node.name] = self._op("DequantizeLinear", inputs, f"{node.name}/out", {})
            return
        if self.spec is not None and isinstance(node, Resize):
            integers = self._lifted(node, self.spec)
            if integers is not None:
                inputs = [integers, *self._grid(self.spec, node.name)]
                self.values[node.name] = self._op("DequantizeLinear", inputs, f"{node.name}/out", {})
                return
        y = node.name if isinstance(node, Input) else self._activated(node, self._operation(node))
        self.values[node.name] = self._round_trip(node.name, y, node.name)

    def _lifted(self, node: Resize, spec: QuantSpec) -> str | None:
        """The integers of a bilinear resize that rounds halves up; None where it cannot."""
        bits = exact_bits(self.graph, node)
        if bits is None:
            return None
        writer = self._map_writer
        scale, source = spec.activations[node.name].scale, self._integers_of(node.inputs[0])
        return write_lifted(writer, self._shared, (self.graph, node, bits), scale, source)

    def _integers_of(self, name: str) -> str:
        """The uint8 tensor behind a node's value."""
        maker = next(node for node in self.nodes if self.values[name] in node.output)
        return str(maker.input[0])

    def _stored_constant(self, node: Constant) -> str:
        """The value of a constant: stored float, or integers and their grid."""
        values = constant_values(self.graph, node)
        if self.spec is None:
            return spread(self._map_writer, self.graph, node, self._constant(node.name, values))
        integers = quantize_input(values, self.spec.activations[node.name])
        shifted = (integers.astype(np.int16) + UINT8_OFFSET).astype(np.uint8)
        stored = self._constant(f"{node.name}/int", shifted)
        stored = spread(self._map_writer, self.graph, node, stored)
        return self._op(
            "DequantizeLinear", [stored, *self._grid(self.spec, node.name)], f"{node.name}/out", {}
        )

    def _name_output(self, value: str, name: str) -> None:
        """Give a value the name of an output; one that has a name already is copied."""
        if name in self.named or any(name in node.output or name in node.input for node in self.nodes):
            raise ExportError(f"output {name!r} is called like another tensor of the file; rename it")
        maker = next((node for node in self.nodes if value in node.output), None)
        if maker is None or value in self.named:
            self._op("Identity", [value], name, {})
        else:
            for node in self.nodes:
                for names in (node.input, node.output):
                    names[:] = [name if known == value else known for known in names]
            self.values = {key: name if known == value else known for key, known in self.values.items()}
        self.named.add(name)

    # -- building blocks ---------------------------------------------------------------------------

    def _op(
        self,
        kind: str,
        inputs: list[str],
        output: str,
        attributes: dict[str, object],
        more: tuple[str, ...] = (),
    ) -> str:
        node = helper.make_node(kind, inputs, [output, *more], name=output)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)
        return output

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        """A constant, stored once: only a layer that is used again has one of a known name."""
        if name not in self.stored:
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
            self.stored.add(name)
        return name

    def _shared(self, name: str, values: NDArray[Any]) -> str:
        """A small constant, stored once under its first name however often it is used."""
        key = (values.dtype.name, values.shape, values.tobytes())
        if key not in self.shared:
            # Not by _constant: QLinearAdd takes 0-d grids only, and ascontiguousarray adds an axis.
            self.initializers.append(numpy_helper.from_array(values, name))
            self.shared[key] = name
        return self.shared[key]

    def _round_trip(self, node: str, value: str, name: str) -> str:
        """A value through a node's grid and back to float; in a float file, the value itself."""
        if self.spec is None:
            return value
        grid = self._grid(self.spec, node)
        integers = self._op("QuantizeLinear", [value, *grid], f"{name}/int", {})
        return self._op("DequantizeLinear", [integers, *grid], f"{name}/out", {})

    def _grid(self, spec: QuantSpec, node: str) -> list[str]:
        """Scale and zero point of a node's grid."""
        quant = spec.activations[node]
        return [
            self._shared(f"{node}.scale", np.array(quant.scale, np.float32)),
            self._shared(f"{node}.zero_point", np.array(quant.zero_point + UINT8_OFFSET, np.uint8)),
        ]

    # -- operations --------------------------------------------------------------------------------

    def _operation(self, node: AnyNode) -> str:
        """Append the operation itself; the name of its result before any activation."""
        inputs = [self.values[name] for name in node.inputs]
        if isinstance(node, Clamp):
            return inputs[0]
        if type(node) in MAPS:
            return write_map(self._map_writer, self.graph, node, inputs[0])
        if isinstance(node, MatMul):
            return write_mat_mul(self._map_writer, node, inputs)
        if isinstance(node, Conv) and len(self.graph.source(node).shape) == 2:
            inputs = [self._as_map(node, inputs[0])]
        kind, attributes = kind_and_attributes(node)
        if isinstance(node, WeightedNode):
            if self.dynamic is not None and self.dynamic.reads_integers(node):
                return write_dynamic(self._layer_writer, self.dynamic, node, inputs[0])
            if node.owner not in self.operands:
                self.operands[node.owner] = self.store.store(self._layer_writer, node)
            inputs += self.operands[node.owner]
        return self._op(kind, inputs, f"{node.name}/raw", attributes)

    @property
    def _map_writer(self) -> OnnxWriter:
        return OnnxWriter(self._op, self._constant, self._round_trip, self.batch, self.opset)

    @property
    def _layer_writer(self) -> LayerWriter:
        return LayerWriter(self._op, self._constant, self._shared, self._has, self.batch, self.opset)

    def _has(self, name: str) -> bool:
        return any(name in node.output for node in self.nodes)

    def _as_map(self, node: Conv, value: str) -> str:
        """[1, features] as a map of height and width 1."""
        shape = self._constant(f"{node.name}.shape", target((1, node.shape[1], 1, 1), self.batch))
        mapped = self._op("Reshape", [value, shape], f"{node.name}/map", {})
        return self._round_trip(node.inputs[0], mapped, f"{node.name}/map")

    def _is_kept_float(self, node: AnyNode) -> bool:
        """Whether a node is a layer without integers in an int8 file."""
        return self.spec is not None and isinstance(node, WeightedNode) and node.name not in self.spec.weights

    def _activated(self, node: AnyNode, value: str) -> str:
        activation: Activation = getattr(node, "activation", "none")
        if self._is_kept_float(node):
            return self._bounded(node, value, activation)
        if activation == "none":
            return value
        if self.spec is not None and not isinstance(node, Clamp):
            if clamp_limits(self.spec.activations[node.name], activation) == (QMIN, QMAX):
                return value  # saturation of the output grid does the same
            # An operation stays integer inside ONNX Runtime only if its own output is quantized.
            value = self._round_trip(node.name, value, f"{node.name}/before")
        if activation == "relu":
            return self._op("Relu", [value], f"{node.name}/relu", {})
        limits = [self._shared(name, np.array(n, np.float32)) for name, n in (("zero", 0), ("six", 6))]
        return self._op("Clip", [value, *limits], f"{node.name}/relu6", {})

    def _bounded(self, node: AnyNode, value: str, activation: Activation) -> str:
        """The result of a layer kept in float, with its activation, or cut off where its grid ends anyway.

        By Max and Min: where a Relu, a Clip or nothing stands between a layer and QuantizeLinear, ONNX
        Runtime replaces float weights by int8 ones of its own (its WeightBiasQuantization, per tensor).
        """
        lowest = 0.0
        if activation == "none" and self.spec is not None:
            lowest = float(dequantize(np.array([QMIN], np.int8), self.spec.activations[node.name])[0])
        if activation == "relu6":
            six = self._shared("six", np.array(6, np.float32))
            value = self._op("Min", [value, six], f"{node.name}/min", {})
        limit = self._shared(f"{node.name}.lowest", np.array(lowest, np.float32))
        return self._op("Max", [value, limit], f"{node.name}/max", {})
