"""Cutting a model file short, so that one of its inner tensors becomes the output.

Runtimes fuse operations and reuse memory, so an inner tensor cannot be read while the whole file runs. The
file itself is cut, not written anew from the network: what is wrong in the file must stay in it.
Tensors go by the name of the graph's node they hold, as our emitters write it.
"""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.tflite.flatbuffer import AlignedBuffer

Order = NDArray[np.intp]
"""For each value of a flattened tensor as a file holds it: its place in C, H, W order."""

Shape = tuple[int, ...]
_INTEGER_KERNELS = {
    "Add",
    "Clip",
    "Concat",
    "Conv",
    "DepthToSpace",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize nearest",
    "Sigmoid",
    "Slice",
    "Transpose",
}
"""What ONNX Runtime computes in integers between two grids, or by nothing but moving and choosing values."""
_FLOAT_ENDINGS = ("/raw", "/relu", "/relu6", "/max")
_FILE_ID = b"TFL3"
# Operators whose output values have an order of their own, whatever the order of their input.
_MIXING = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
    schema.BuiltinOperator.MEAN,
}


class CuttableFile(Protocol):
    """A parsed file. ``names`` are the nodes at which it can be cut, in execution order."""

    names: tuple[str, ...]

    def cut(self, name: str) -> bytes:
        """A file that computes one node and nothing behind it."""
        ...

    def watched(self, names: Sequence[str]) -> bytes:
        """The whole file with the tensors of these nodes as its outputs, in this order."""
        ...

    def order(self, name: str) -> Order | None:
        """How a flattened tensor is ordered in the file, None if as in the graph."""
        ...


def open_cuttable(path: Path) -> CuttableFile:
    """Parse an ONNX or TFLite file.

    Raises:
        ExportError: there is no such file, or its bytes are not what its suffix says.
    """
    read_model_file(path)  # refuses what is damaged, in one sentence
    return OnnxFile(path) if path.suffix.lower() == ".onnx" else TfliteFile(path)


class OnnxFile:
    """An ONNX file of ours, with float activations, QDQ or of QOperators."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.makers = {name: node for node in self.model.graph.node for name in node.output}
        self._ends: dict[str, NodeProto] = {}
        quantized = any(node.op_type == "QuantizeLinear" for node in self.model.graph.node)
        for node in self.model.graph.node:
            name = self._quantized_name(node) if quantized else _float_name(node)
            if name is not None:
                self._ends[name] = node
        self.names = tuple(self._ends)

    def _quantized_name(self, node: NodeProto) -> str | None:
        """The node whose integers this makes, or makes real again right away."""
        if str(node.name).endswith("/int"):
            return str(node.name).removesuffix("/int")
        maker = self.makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if maker is None or maker.op_type != "QuantizeLinear":
            return None
        return str(node.name).removesuffix("/out")

    def read_in_float(self) -> dict[str, tuple[str, ...]]:
        """The nodes that ONNX Runtime computes in float between their grids, and the nodes they read."""
        found: dict[str, tuple[str, ...]] = {}
        for name, end in self._ends.items():
            maker = self._maker(end)
            if maker.op_type != "QuantizeLinear":
                continue  # an integer operator
            kinds, sources = self._between(maker)
            if not kinds <= _INTEGER_KERNELS:
                found[name] = sources
        return found

    def _between(self, quantize: NodeProto) -> tuple[set[str], tuple[str, ...]]:
        """The kinds of operator between a node's grid and the grids it reads, and whose grids these are."""
        kinds, sources, open_names = set(), [], [quantize.input[0]]
        while open_names:
            maker = self.makers.get(open_names.pop())
            if maker is None:
                continue
            name = self._quantized_name(maker)
            if name is not None:
                sources.append(name)
            elif maker.op_type == "DequantizeLinear":
                if maker.input[0] in self.makers:  # not a weight's
                    sources.append(str(maker.name).removesuffix("/out"))
            else:
                kinds.add(_kernel(maker, self.makers))
                open_names += maker.input
        return kinds, tuple(sources)

    def given_name(self, name: str) -> str:
        """The name under which :meth:`cut` asks for a node's integers, uint8."""
        return str(self._maker(self._ends[name]).output[0])

    def _maker(self, end: NodeProto) -> NodeProto:
        """The operator that makes the integers of a node."""
        return end if str(end.name).endswith("/int") else self.makers[end.input[0]]

    def cut(self, name: str, given: Mapping[str, Shape] | None = None) -> bytes:
        """A file that computes one node and nothing behind it.

        ``given`` are nodes that are not computed but further inputs, with their shapes.
        """
        graph, end = self.model.graph, self._ends[name]
        inputs = {self.given_name(node): shape for node, shape in (given or {}).items()}
        needed, open_names = set(), list(end.output)
        while open_names:
            wanted = open_names.pop()
            if wanted not in needed and wanted not in inputs:
                needed.add(wanted)
                open_names += self.makers[wanted].input if wanted in self.makers else []
        further = [helper.make_tensor_value_info(n, TensorProto.UINT8, shape) for n, shape in inputs.items()]
        body = helper.make_graph(
            [node for node in graph.node if set(node.output) & needed],
            graph.name,
            [*graph.input, *further],
            [_value_of(end)],
            [tensor for tensor in graph.initializer if tensor.name in needed],
        )
        model = helper.make_model(body, opset_imports=self.model.opset_import)
        model.ir_version = self.model.ir_version
        return bytes(model.SerializeToString(deterministic=True))

    def watched(self, names: Sequence[str]) -> bytes:
        """The whole file with the tensors of these nodes as its outputs."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.output[:]
        model.graph.output.extend(_value_of(self._ends[name]) for name in names)
        return bytes(model.SerializeToString(deterministic=True))

    def order(self, name: str) -> Order | None:  # noqa: ARG002 (ONNX keeps the graph's order everywhere)
        """None: ONNX flattens as the graph does."""
        return None


def _value_of(end: NodeProto) -> onnx.ValueInfoProto:
    """The first output of an operator that ends a node: uint8 if it is named so, else float."""
    kind = TensorProto.UINT8 if str(end.name).endswith("/int") else TensorProto.FLOAT
    return helper.make_tensor_value_info(end.output[0], kind, None)


def _float_name(node: NodeProto) -> str | None:
    for ending in _FLOAT_ENDINGS:
        if str(node.name).endswith(ending):
            return str(node.name).removesuffix(ending)
    return None


def _kernel(node: NodeProto, makers: Mapping[str, NodeProto]) -> str:
    """The kind of an operator, with what decides how ONNX Runtime computes it."""
    if node.op_type == "Resize":
        return next(f"Resize {a.s.decode()}" for a in node.attribute if a.name == "mode")
    if node.op_type in ("Conv", "Gemm") and node.input[1] not in makers:
        return f"{node.op_type} in float"
    return str(node.op_type)


class TfliteFile:
    """A TFLite file of ours; ``graph`` is its one subgraph."""

    def __init__(self, path: Path) -> None:
        self.model: Any = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        self.graph: Any = self.model.subgraphs[0]
        self.makers = {int(out): op for op in self.graph.operators for out in op.outputs}
        self.indices = {tensor.name.decode(): i for i, tensor in enumerate(self.graph.tensors)}
        computed = {name: index for name, index in self.indices.items() if index in self.makers}
        integers = {name: i for name, i in computed.items() if self._is_int8(i)}
        # The float tensors of an int8 file are inside of nodes.
        self.names = tuple(integers or computed)

    def _is_int8(self, index: int) -> bool:
        return bool(self.graph.tensors[index].type == schema.TensorType.INT8)

    def code(self, operator: Any) -> int:
        """The built-in code of an operator."""
        return int(self.model.operatorCodes[operator.opcodeIndex].builtinCode)

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(int(n) for n in self.graph.tensors[index].shape)

    def cut(self, name: str) -> bytes:
        """A file that computes one node and nothing behind it."""
        return self.watched([name])

    def watched(self, names: Sequence[str]) -> bytes:
        """A file that computes these nodes, which are its outputs, and what they need."""
        ends = [self.indices[name] for name in names]
        operators, buffers = self._needed(ends)
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.name, graph.tensors, graph.operators = self.graph.name, self.graph.tensors, operators
        graph.inputs, graph.outputs = self.graph.inputs, np.array(ends, np.int32)
        model.version, model.operatorCodes = self.model.version, self.model.operatorCodes
        model.subgraphs, model.buffers = [graph], buffers
        return pack_tflite(model)

    def _needed(self, ends: Sequence[int]) -> tuple[Sequence[Any], list[Any]]:
        """The operators that tensors depend on, and all buffers with those they do not read emptied."""
        kept, open_tensors, read = set(), list(ends), set()
        while open_tensors:
            operator = self.makers.get(open_tensors.pop())
            if operator is not None and id(operator) not in kept:
                kept.add(id(operator))
                inputs = [int(i) for i in operator.inputs if i >= 0]
                read |= {int(self.graph.tensors[i].buffer) for i in inputs}
                open_tensors += inputs
        operators = [op for op in self.graph.operators if id(op) in kept]
        buffers = [
            AlignedBuffer(np.asarray(buffer.data, np.uint8))
            if i in read and buffer.data is not None
            else schema.BufferT()
            for i, buffer in enumerate(self.model.buffers)
        ]
        return operators, buffers

    def order(self, name: str) -> Order | None:
        """How a flattened tensor is ordered, None if as in the graph.

        TFLite flattens a map in H, W, C order. What follows value by value keeps that order.
        """
        index = self.indices[name]
        features = self.shape(index)[-1]
        if len(self.shape(index)) != 2:
            return None
        while index in self.makers:
            operator, flat = self.makers[index], len(self.shape(index)) == 2
            index, code = int(operator.inputs[0]), self.code(operator)
            shape = self.shape(index)
            is_map = len(shape) == 4 and prod(shape[1:3]) > 1
            if code == schema.BuiltinOperator.RESHAPE and is_map and flat:
                places = np.arange(features).reshape(shape[3], *shape[1:3])
                return places.transpose(1, 2, 0).ravel()
            # The channels of a map (before a pool, within a channel shuffle) are in the graph's order.
            if code in _MIXING or is_map or shape[-1] != features:
                return None
        return None


def pack_tflite(model: Any) -> bytes:
    """The bytes of a model of the generated schema."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _FILE_ID)
    return bytes(builder.Output())
