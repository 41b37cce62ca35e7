"""An ONNX file of ours, parsed so that it can be cut after any node: see ``formats.cuttable``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper

from edgesqueeze.formats.cuttable import Order, Shape
from edgesqueeze.formats.onnx.writing.resize import FROM_ZERO

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
    "Resize lifted",
    "Resize nearest",
    "Sigmoid",
    "Slice",
    "Transpose",
}
"""What ONNX Runtime computes in integers between two grids, or by nothing but moving and choosing values."""
_ON_GRIDS = {"QuantizeLinear", "QLinearConv", "QGemm"}
"""Of which a file of integers has one."""
_FLOAT_ENDINGS = ("/raw", "/relu", "/relu6", "/max")


class OnnxFile:
    """An ONNX file of ours, with float activations, QDQ or of QOperators."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.makers = {name: node for node in self.model.graph.node for name in node.output}
        self._ends: dict[str, NodeProto] = {}
        # One of QOperators that takes pixels has no QuantizeLinear.
        quantized = any(node.op_type in _ON_GRIDS for node in self.model.graph.node)
        for node in self.model.graph.node:
            name = self._quantized_name(node) if quantized else _float_name(node)
            if name is not None:
                self._ends[name] = node
        self.names = tuple(self._ends)
        self.results = {value.name: self._result(value.name) for value in self.model.graph.output}

    def _result(self, output: str) -> str:
        """The node whose tensor an output is."""
        maker = self.makers[output]
        while maker.op_type == "Identity" and maker.input[0] in self.makers:
            maker = self.makers[maker.input[0]]
        return next((name for name, end in self._ends.items() if end is maker), output)

    def _quantized_name(self, node: NodeProto) -> str | None:
        """The node whose integers this makes, or makes real again right away."""
        if str(node.name).endswith("/int"):
            return str(node.name).removesuffix("/int")
        maker = self.makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if maker is None or maker.op_type != "QuantizeLinear" or str(node.name).endswith(FROM_ZERO):
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
                stored = self.makers.get(maker.input[0])
                if stored is not None and stored.op_type != "Expand":  # not a weight's, nor a constant's
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

        ``given`` are nodes that are not computed but further inputs, with their shapes for one example.
        """
        graph, end = self.model.graph, self._ends[name]
        batch = graph.input[0].type.tensor_type.shape.dim[0]
        inputs = {self.given_name(node): shape for node, shape in (given or {}).items()}
        needed, open_names = set(), list(end.output)
        while open_names:
            wanted = open_names.pop()
            if wanted not in needed and wanted not in inputs:
                needed.add(wanted)
                open_names += self.makers[wanted].input if wanted in self.makers else []
        further = [
            helper.make_tensor_value_info(
                n, TensorProto.UINT8, [batch.dim_param or batch.dim_value, *shape[1:]]
            )
            for n, shape in inputs.items()
        ]
        body = helper.make_graph(
            [node for node in graph.node if set(node.output) & needed],
            graph.name,
            [*graph.input, *further],
            [_value_of(end)],
            [tensor for tensor in graph.initializer if tensor.name in needed],
        )
        model = helper.make_model(body, opset_imports=self.model.opset_import)
        model.ir_version = self.model.ir_version
        model.metadata_props.extend(self.model.metadata_props)
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
    if node.op_type == "Resize" and str(node.input[0]).endswith(FROM_ZERO):
        return "Resize lifted"
    if node.op_type == "Resize":
        return next(f"Resize {a.s.decode()}" for a in node.attribute if a.name == "mode")
    if node.op_type in ("Conv", "Gemm") and node.input[1] not in makers:
        return f"{node.op_type} in float"
    return str(node.op_type)
